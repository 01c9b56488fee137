"""`station-agent board …` and `station-agent model`: for a bench engineer with a screwdriver in the other hand."""

import asyncio
import fcntl
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from agent.board import Board, BoardError, load, read_overlay
from drivers import DriverError, Quality, Reading, open_bus
from drivers.settings import points_of

PROBE_SECONDS = 5.0
"""How long `probe` waits for points that have not been heard; a P1 meter may speak every ten seconds only."""


def load_or_exit(name: str, overlay: Path | None = None) -> Board:
    """The board, or its mistakes on standard error and exit code 1."""
    try:
        return load(name, None if overlay is None else read_overlay(overlay))
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
    what = f"{len(board.evses)} EVSEs, {connectors} connectors" if board.evses else "no charging station (part 1 §6)"
    print(f"{board.path}: {board.station.vendor} {board.station.model}: {what}")
    rows: list[Sequence[str]] = [("device", "bus", "driver", "points", "bound", "profile")]
    bound = set(wiring.readings) | {(t.device, t.point) for t in wiring.targets}
    for device, settings in board.devices.items():
        points = points_of(settings, board.profiles)
        used = sum((device, point) in bound for point in points)
        profile = str(getattr(settings, "profile", None) or getattr(settings, "kind", ""))
        driver = str(board.buses[settings.bus].driver)
        rows.append((device, settings.bus, driver, str(len(points)), str(used), profile))
    print(table(rows))
    print(f"{len(wiring.model)} variables, {len(wiring.readings)} measured points, {len(wiring.targets)} Targets")
    for note in board.notes:
        print(f"note: {note}")
    print("no mistakes found")
    return 0


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


def _refuse_beside_agent(state_dir: Path) -> None:
    try:
        with (state_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(
            f"station-agent: an agent is running with {state_dir} and owns the wires; stop it first: "
            "systemctl stop station-agent"
        ) from None
    except OSError:
        return  # no state directory, so no agent that uses it


def probe(name: str, state_dir: Path, overlay: Path | None) -> int:
    """`board probe`: every point read once, with how long it took; exit code 1 when one could not be read."""
    board = load_or_exit(name, overlay)
    _refuse_beside_agent(state_dir)
    wanted = {
        (device, point.name): point
        for device, settings in board.devices.items()
        for point in points_of(settings, board.profiles).values()
        if point.readable
    }
    heard, errors = asyncio.run(_listen(board, set(wanted)))
    rows = [("device", "point", "value", "unit", "")]
    for (device, name_), point in wanted.items():
        reading = heard.get((device, name_))
        if reading is None:
            reason = errors.get(board.devices[device].bus, "nothing heard")
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
    print(f"\n{len(rows) - 1 - bad} of {len(rows) - 1} points read")
    return 1 if bad else 0


async def _listen(
    board: Board, wanted: set[tuple[str, str]]
) -> tuple[dict[tuple[str, str], Reading], dict[str, str]]:
    """Run every bus until each wanted point gave a good reading, or the time is over."""
    heard: dict[tuple[str, str], Reading] = {}
    errors: dict[str, str] = {}
    complete = asyncio.Event()

    def sink(device: str, point: str, reading: Reading) -> None:
        known = heard.get((device, point))
        if known is None or known.quality is not Quality.GOOD:
            heard[device, point] = reading
        if wanted.issubset(key for key, one in heard.items() if one.quality is Quality.GOOD):
            complete.set()

    async def run(name: str) -> None:
        devices = {device: s for device, s in board.devices.items() if s.bus == name}
        bus = open_bus(name, board.buses[name], devices, board.profiles, time.monotonic)
        try:
            await bus.run(sink)
        except DriverError as error:
            errors[name] = str(error)

    tasks = [asyncio.create_task(run(name)) for name in board.buses]
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await complete.wait()
    except TimeoutError:
        pass
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return heard, errors
