"""The bench's panel in a terminal: connectors, cars, and what the CSMS hears; keys plug, swipe, trip and cut."""

import asyncio
import contextlib
import os
import re
import sys
import termios
import tty
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel as Box
from rich.table import Table
from rich.text import Text

from drivers.bench.api import Api
from drivers.bench.keys import KEYS, QUIT, Place, Seat, choose, request_of

if TYPE_CHECKING:
    from drivers.bench.bench import Bench
    from drivers.bench.csms import Message

INTERVAL = 0.25
"""Seconds from one look at the world to the next."""

DULL = frozenset({"Heartbeat", "NotifyReport"})
"""What the CSMS hears and nobody wants to see."""


_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[@-~]|O.)?")
"""What arrows and function keys send."""


class Panel:
    """The panel of a bench that runs in this event loop. `note` is a line that stays, such as where a log is."""

    def __init__(self, bench: "Bench", note: str = "") -> None:
        self._bench, self._note = bench, note
        self._api = Api(bench)
        places = bench.world.places
        self._places = list(places.connectors)
        self._chosen: Place | None = self._places[0] if self._places else None
        contacts = {evse: places.source("RCD", "Tripped", evse) for evse, _ in self._places}
        self._rcds = {
            evse: (contact.device, contact.name, not contact.invert)
            for evse, contact in contacts.items()
            if contact is not None
        }
        self._said = ""
        self._doing: set[asyncio.Task[None]] = set()

    async def run(self, stopped: asyncio.Event) -> None:
        """Show it until `stopped` is set, or until somebody quits, which sets it."""
        keys: asyncio.Queue[str] = asyncio.Queue()
        console = Console()
        with typing_to(keys), Live(console=console, screen=True, auto_refresh=False) as live:
            while not stopped.is_set():
                # In a thread: a terminal that takes nothing must not hold up the wires.
                await asyncio.to_thread(live.update, self.draw(console.size.height), refresh=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL):
                        key = await keys.get()
                        if key == QUIT:
                            stopped.set()
                        self.press(key)
            for task in self._doing:
                task.cancel()

    def press(self, key: str) -> None:
        """Do what `key` says, beside the drawing: a power cut takes its time."""
        if self._chosen is None:
            return
        self._chosen = choose(key, self._chosen, self._places)
        seat = Seat(self._bench.snapshot(), self._chosen, frozenset(self._bench.world.places.readers), self._rcds)
        request = request_of(key, seat)
        if request is None:
            return
        task = asyncio.get_running_loop().create_task(self._do(key, *request))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def _do(self, key: str, method: str, path: str, body: dict[str, Any] | None) -> None:
        status, answer = await self._api.handle(method, path, {}, body)
        self._said = f"{KEYS[key][0]}: " + ("done" if status == 200 else str(answer["error"]))

    # --- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, height: int) -> RenderableType:
        """The whole panel, for a terminal with so many lines."""
        world = self._bench.snapshot()
        layout = Layout()
        top, bottom = len(self._places) + 5, 2 + (len(KEYS) + 5) // 4 + 2
        layout.split_column(Layout(name="top", size=top), Layout(name="middle"), Layout(name="bottom", size=bottom))
        state = f"power {world['power']} · line {world['network']} · agent {world['agent']['pid'] or 'gone'}"
        layout["top"].update(Box(self._connectors(world), title=f"{self._bench.board_name}: {state}"))
        messages = self._messages(max(1, height - top - bottom - 2))
        layout["middle"].update(Box(messages, title="what the CSMS hears"))
        layout["bottom"].update(Box(self._help(), title=self._note or None, title_align="left"))
        return layout

    def _connectors(self, world: dict[str, Any]) -> Table:
        table = Table(box=None, padding=(0, 1), expand=True)
        for title in ("", "pilot", "contactor", "lock", "offered", "current L1/L2/L3", "power", "battery"):
            table.add_column(title, no_wrap=True)
        for number, place in enumerate(self._places, 1):
            now = world["evse"][str(place[0])]["connector"][str(place[1])]
            table.add_row(*connector_row(number, place, now), style="reverse" if place == self._chosen else "")
        return table

    def _messages(self, lines: int) -> Group:
        csms = self._bench.csms
        station = None if csms is None else csms.stations.get(self._bench.identity)
        if csms is None or station is None:
            return Group(Text("the station has not called yet", style="dim"))
        shown = [Text(line, no_wrap=True, overflow="ellipsis") for line in message_lines(station.messages, lines)]
        if csms.violations:
            shown = [*shown[1:], Text(csms.violations[-1], style="red", no_wrap=True, overflow="ellipsis")]
        return Group(*shown)

    def _help(self) -> Group:
        table = Table.grid(padding=(0, 2))
        entries = [f"{key}  {what}" for key, (what, _) in KEYS.items()] + ["Tab, 1…9  connector", f"{QUIT}  quit"]
        for start in range(0, len(entries), 4):
            table.add_row(*entries[start : start + 4])
        return Group(table, Text(self._said, style="yellow", no_wrap=True))


def connector_row(number: int, place: Place, now: dict[str, Any]) -> list[str]:
    """One connector in words, from what `GET /bench` says of it."""
    ev = now["ev"]
    battery = "no car, cable in" if now["plugged"] and ev is None else "—" if ev is None else f"{ev['soc']:.2f} %"
    lock = ("locked" if now["locked"] else "open") + (", jammed" if now["jammed"] else "")
    return [
        f"{number}: {place[0]}/{place[1]}",
        str(now["pilot"]),
        "closed" if now["contactor"] else "open",
        lock,
        f"{now['offered_a']:g} A",
        " ".join(f"{current:.1f}" for current in now["current_a"]),
        f"{now['power_w']:.0f} W",
        battery + ("" if ev is None or ev["ready"] else ", not ready"),
    ]


def message_lines(messages: "Iterable[Message]", lines: int) -> list[str]:
    """The newest calls, one a line, oldest first."""
    calls = [message for message in messages if message.kind == "call" and message.action not in DULL]
    return [
        f"{'→' if message.direction == 'in' else '←'} {message.action}  {gist(message.payload)}"
        for message in calls[-lines:]
    ]


def gist(payload: dict[str, Any]) -> str:
    """The part of a message that one wants to see."""
    if "transactionInfo" in payload:
        info = payload["transactionInfo"]
        parts = [f"#{payload['seqNo']}", payload["eventType"], payload["triggerReason"]]
        parts += [info.get("chargingState", ""), info.get("stoppedReason", ""), info["transactionId"]]
        return " ".join(part for part in parts if part)
    if "connectorStatus" in payload:
        return f"{payload['evseId']}/{payload['connectorId']} {payload['connectorStatus']}"
    if "eventData" in payload:
        data = payload["eventData"][-1]
        return f"{data['component']['name']}.{data['variable']['name']} = {data['actualValue']}"
    if "idToken" in payload:
        return str(payload["idToken"].get("idToken", ""))
    return ", ".join(f"{key} {value}" for key, value in payload.items() if isinstance(value, str | int | float))


@contextlib.contextmanager
def typing_to(keys: "asyncio.Queue[str]") -> Iterator[None]:
    """Each key that is typed goes into `keys`, at once and unseen, until the end; what arrows send does not."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    loop = asyncio.get_running_loop()

    def readable() -> None:
        data = os.read(fd, 64)
        if not data:
            loop.remove_reader(fd)
            keys.put_nowait(QUIT)
        for char in _ESCAPE.sub("", data.decode(errors="ignore")):
            keys.put_nowait(char)

    tty.setcbreak(fd)
    loop.add_reader(fd, readable)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
