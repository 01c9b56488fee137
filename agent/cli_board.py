"""`station-agent board …` and `station-agent model`: for a bench engineer with a screwdriver in the other hand."""

import asyncio
import contextlib
import fcntl
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.board import Board, BoardError, load, read_overlay
from agent.board.spec import ROLES
from agent.board.wiring import points_of_connector
from drivers import Bus, DriverError, Quality, Reading, open_bus
from drivers.settings import ModbusProfile, ProfileDevice, points_of

PATIENCE = 5.0
"""Seconds that `probe` waits for points that have not been heard."""

SLOW = {"dsmr-p1": 12.0}
"""Seconds for the points of a driver that has to be waited for longer: some P1 meters speak every ten seconds."""


def load_or_exit(name: str, overlay: Path | None = None) -> Board:
    """The board, or its mistakes on standard error and exit code 1."""
    try:
        changes = {} if overlay is None else read_overlay(overlay)
        changes.pop("boot_id", None)  # a bench's word to `run`
        return load(name, changes)
    except BoardError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


def table(rows: Sequence[Sequence[str]]) -> str:
    """`rows` as text, columns aligned; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def check(name: str) -> int:
    """`board check`: the mistakes with file, line and column, or what the board is."""
    from agent.station import build_model

    board = load_or_exit(name)
    wiring = build_model(board)
    connectors = sum(len(evse.connectors) for evse in board.evses.values())
    what = f"{_number(len(board.evses), 'EVSE')}, {_number(connectors, 'connector')}"
    if not board.evses:
        what = "no charging station (part 1 §6)"
    print(f"{board.path}: {board.station.vendor} {board.station.model}: {what}")
    rows: list[Sequence[str]] = [("device", "bus", "driver", "points", "bound", "profile")]
    bound = set(wiring.readings) | {(t.device, t.point) for t in wiring.targets}
    bound |= {source for connector in wiring.connectors for source in connector.outputs.values()}
    for device, settings in board.devices.items():
        points = points_of(settings, board.profiles)
        used = sum((device, point) in bound for point in points)
        profile = str(getattr(settings, "profile", None) or getattr(settings, "kind", ""))
        driver = str(board.buses[settings.bus].driver)
        rows.append((device, settings.bus, driver, str(len(points)), str(used), profile))
    print(table(rows))
    if board.evses:
        print(f"\n{table(_connectors(board))}\n")
    print(f"{len(wiring.model)} variables, {len(wiring.readings)} measured points, {len(wiring.targets)} Targets")
    for note in board.notes:
        print(f"note: {note}")
    print("no mistakes found")
    return 0


def _number(count: int, of: str) -> str:
    return f"{count} {of}" if count == 1 else f"{count} {of}s"


def _connectors(board: Board) -> list[Sequence[str]]:
    """A row for each connector: what the agent reads of its hardware, and what it commands."""
    rows: list[Sequence[str]] = [("connector", "type", "controller", "reads", "commands")]
    for number, evse in board.evses.items():
        for one, connector in evse.connectors.items():
            found: dict[bool, list[str]] = {False: [], True: []}
            for role, source in points_of_connector(board, connector).items():
                own = source == f"{connector.controller}.{role}"
                found[ROLES[role].written].append(role if own else f"{role}={source}")
            cells = (" ".join(found[False]) or "—", " ".join(found[True]) or "—")
            rows.append((f"{number}/{one}", connector.type, connector.controller or "—", *cells))
    return rows


def schema() -> int:
    """`board schema`: the JSON Schema of board files."""
    from agent.board import schema as board_schema

    print(json.dumps(board_schema(), indent=2))
    return 0


def model(name: str) -> int:
    """`model`: every variable that the station will report, with what it is and where its value comes from."""
    from agent.station import build_model

    board = load_or_exit(name)
    wiring = build_model(board)
    sources = {b.variable: f"{device}.{point}" for (device, point), group in wiring.readings.items() for b in group}
    targets = {t.variable: f"{t.device}.{t.point}" for t in wiring.targets}
    rows = [("component", "variable", "type", "unit", "limits", "attributes", "value", "wire")]
    for variable in wiring.model.variables():
        c = variable.characteristics
        limits = (
            "" if c.min_limit is None and c.max_limit is None else f"{_limit(c.min_limit)}..{_limit(c.max_limit)}"
        )
        attributes = " ".join(
            f"{kind}{'' if a.mutability == 'ReadOnly' else '*'}" for kind, a in variable.attributes.items()
        )
        wire_ = sources.get(variable, "")
        if variable in targets:
            wire_ += f" ← {targets[variable]}"
        value = variable.actual.text()[:24] if variable.actual.mutability != "WriteOnly" else "(secret)"
        rows.append(
            (str(variable.component), str(variable.name), c.data_type, c.unit or "", limits, attributes, value, wire_)
        )
    print(table(rows))
    print(f"\n{len(rows) - 1} variables; * can be set by the CSMS")
    return 0


def _limit(limit: float | None) -> str:
    return "" if limit is None else f"{limit:g}"


@contextlib.contextmanager
def _instead_of_agent(state_dir: Path) -> Iterator[None]:
    """Keep an agent with that state directory from starting meanwhile; SystemExit where one is running."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context((state_dir / "lock").open())
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass  # no state directory, so no agent that uses it
        except BlockingIOError:
            raise SystemExit(
                f"station-agent: an agent is running with {state_dir} and owns the wires; stop it first: "
                "systemctl stop station-agent"
            ) from None
        except OSError as error:
            raise SystemExit(
                f"station-agent: {state_dir}: {error.strerror}, so an agent may be running and own the wires; "
                "probe as its user (sudo -u station-agent …) or give another --state-dir"
            ) from None
        yield


def probe(name: str, state_dir: Path, overlay: Path | None) -> int:
    """`board probe`: every point read once, and whether each device is the one of its profile.

    Exit code 1 when a point could not be read or a device is another one.
    """
    board = load_or_exit(name, overlay)
    wanted = {
        (device, point.name): point
        for device, settings in board.devices.items()
        for point in points_of(settings, board.profiles).values()
        if point.readable
    }
    with _instead_of_agent(state_dir):
        heard = asyncio.run(_Probe(board, set(wanted)).run())
    rows = [("device", "point", "value", "unit", "")]
    for (device, name_), point in wanted.items():
        reading = heard.readings.get((device, name_))
        if reading is None:
            reason = heard.errors.get(board.devices[device].bus, "nothing heard")
            rows.append((device, name_, "—", point.unit, reason))
        elif reading.quality is Quality.GOOD:
            value = reading.value
            rows.append(
                (device, name_, str(value).lower() if isinstance(value, bool) else f"{value}", point.unit, "ok")
            )
        else:
            rows.append((device, name_, "—", point.unit, reading.reason))
    print(table(rows))
    bad = sum(1 for row in rows[1:] if row[4] != "ok")
    print()
    for device, said in heard.identities.items():
        print(f"{device}: identity: {said}")
    print(f"{len(rows) - 1 - bad} of {len(rows) - 1} points read")
    return 1 if bad or any(said != FITS for said in heard.identities.values()) else 0


FITS = "fits"


class _Probe:
    """Runs every bus of `board` once: what each wanted point and each identity register holds."""

    def __init__(self, board: Board, wanted: set[tuple[str, str]]) -> None:
        self._board = board
        self._missing = wanted
        self._buses: dict[str, Bus] = {}
        self.readings: dict[tuple[str, str], Reading] = {}
        self.errors: dict[str, str] = {}
        """Why a bus ended, by its name."""
        self.identities: dict[str, str] = {}
        """What is to be said of the identity of each device whose profile tells one."""

    async def run(self) -> "_Probe":
        tasks = {name: asyncio.create_task(self._run(name)) for name in self._board.buses}
        started = time.monotonic()
        while any(self._worth_waiting(device, time.monotonic() - started, tasks) for device, _ in self._missing):  # noqa: ASYNC110 - many things end it
            await asyncio.sleep(0.05)
        for device, settings in self._board.devices.items():
            if isinstance(settings, ProfileDevice):
                profile = self._board.profiles[settings.profile]
                if isinstance(profile, ModbusProfile) and profile.identity is not None:
                    expected = profile.identity.equals
                    self.identities[device] = await self._identity(settings.bus, device, expected)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return self

    def _worth_waiting(self, device: str, waited: float, tasks: Mapping[str, "asyncio.Task[None]"]) -> bool:
        bus = self._board.devices[device].bus
        return not tasks[bus].done() and waited < SLOW.get(self._board.buses[bus].driver, PATIENCE)

    async def _run(self, name: str) -> None:
        board = self._board
        devices = {device: s for device, s in board.devices.items() if s.bus == name}
        try:
            bus = self._buses[name] = open_bus(name, board.buses[name], devices, board.profiles, time.monotonic)
            await bus.run(self._sink)
            self.errors[name] = "the bus ended"
        except DriverError as error:
            self.errors[name] = str(error)
        except Exception as error:  # noqa: BLE001 - a driver's mistake is told in the table like any other
            self.errors[name] = f"{type(error).__name__}: {error}"

    def _sink(self, device: str, point: str, reading: Reading) -> None:
        if (device, point) in self._missing:
            self.readings[device, point] = reading
            if reading.quality is Quality.GOOD:
                self._missing.discard((device, point))

    async def _identity(self, bus: str, device: str, expected: Sequence[int | str]) -> str:
        from drivers.modbus import ModbusBus

        owner = self._buses.get(bus)
        if not isinstance(owner, ModbusBus):
            return f"not read: {self.errors.get(bus)}"
        try:
            found = await owner.identity(device)
        except DriverError as error:
            return f"not read: {error}"
        wanted = " or ".join(str(one) for one in expected)
        return FITS if found in expected else f"found {found}, expected {wanted}: is it the device of its profile?"
