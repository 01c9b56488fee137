"""A station's diagnostics put together: what is in its logs, where they are uploaded from, whose data it keeps."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import boards
from agent.board import Board
from agent.chargepoint.charge_point import ChargePoint
from agent.chargepoint.customer import Customers, Place
from agent.clock import Clock
from agent.diagnostics.bundle import Bundle, Dated, PlainLog
from agent.diagnostics.ends import Way
from agent.diagnostics.job import Log, LogUploads
from agent.diagnostics.rings import LastLines, LastMessages
from agent.diagnostics.slices import DatedLine
from agent.model import DeviceModel
from agent.ocpp.host_diagnostics import Diagnostics
from agent.ocpp.messages import Request
from agent.store import Store


class Diagnosing:
    """`offered` is what the host lends; `run` uploads what is asked for, and remembers what is logged meanwhile.

    `settings` are the unit's; `post` is durable; `buses` are statistics that JSON can hold; `dated` maps the names of
    further members of the bundle to their lines; `security` are those of the security log, if there is one. `places`
    are where somebody may charge: without `charging`, nowhere.
    """

    def __init__(
        self,
        board: Board,
        store: Store,
        model: DeviceModel,
        clock: Clock,
        settings: Mapping[str, str],
        post: Callable[[Request], None],
        messages: LastMessages,
        *,
        buses: Callable[[], Any] = dict,
        dated: Mapping[str, Dated] | None = None,
        security: Dated | None = None,
        charging: ChargePoint | None = None,
        places: Iterable[Place] = (),
        reservation_ended: Callable[[int, str], None] = lambda number, status: None,
    ) -> None:
        self._post, self._folder, self._settings = post, store.directory, settings
        self._lines = LastLines(clock.now)
        station = board.station
        identity = {
            "model": station.model,
            "vendor": station.vendor,
            "serial": board.serial,
            "firmware": station.firmware,
            "identity": settings.get("identity"),
        }
        more: dict[str, Dated] = {"signals.csv": lambda: signal_lines(store.directory), **(dated or {})}
        if security is not None:
            more["security.log"] = security
        bundle = Bundle(
            model, clock, identity, messages, self._lines, board=board_files(board), buses=buses, dated=more
        )
        logs: dict[str, Log] = {"DiagnosticsLog": bundle}
        if security is not None:
            logs["SecurityLog"] = PlainLog(security)
        self._uploads = LogUploads(store, clock, logs, self._way, self._tell, settings.get("identity", ""))
        customers = None
        if charging is not None:
            customers = Customers(
                store=store,
                authorizer=charging.authorizer,
                reservations=charging.reservations,
                places=places,
                cancel=charging.cancel_reservation,
                ended=reservation_ended,
            )
        self.offered = Diagnostics(self._uploads, customers, post)

    def _way(self) -> Way:
        return Way(self._settings.get("proxy") or None, self._settings.get("trust") or None, self._folder)

    def _tell(self, status: str, request_id: int) -> None:
        from agent.ocpp.messages.log import LogStatusNotificationRequest

        self._post(LogStatusNotificationRequest(status=status, request_id=request_id))  # type: ignore[arg-type]

    async def run(self) -> None:
        """Until cancelled."""
        root = logging.getLogger()
        root.addHandler(self._lines)
        try:
            await self._uploads.run()
        finally:
            root.removeHandler(self._lines)


def board_files(board: Board) -> list[Path]:
    """The board file and the device profiles in use, where `agent.board.load` finds them."""
    folders = (board.path.parent / "profiles", boards.FOLDER / "profiles")
    found = (next((p for f in folders if (p := f / f"{name}.yaml").is_file()), None) for name in board.profiles)
    return [board.path, *(path for path in found if path is not None)]


def signal_lines(folder: Path) -> Iterator[DatedLine]:
    """The grid operator's signals; the head of the table, and what no clock dated, is of any time. Raises OSError."""
    from agent.ems.signals import export

    out = io.StringIO()
    export(folder, out)
    for line in out.getvalue().splitlines():
        time, _, rest = line.partition(",")
        dated = rest.partition(",")[0] in ("set", "reckoned")
        yield datetime.fromisoformat(time) if dated else None, line
