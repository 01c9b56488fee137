"""What commands on this computer are told of the wires: how the devices answer, and the bytes that pass.

    "buses"  {"time": ISO 8601, "board", "buses": drivers.trace.statistics()}
    "trace"  asked with "of" (a device or a bus) and "since" (number of a record; left out: only what comes):
             {"bus", "driver", "board", "unit": Modbus unit | null, "time": ISO 8601, "monotonic": s at `time`,
              "first": number of the first record, "next": number to ask with, "lost": records that are gone,
              "records": [[monotonic s, "in" | "out", hexadecimal digits], …]}

Card numbers are blanked here: they leave the agent in neither.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent.board import Board
from agent.clock import Clock
from agent.onsite import OnsiteError
from drivers import Bus
from drivers.settings import ProfileDevice
from drivers.trace import statistics, trace_of
from drivers.trace_decode import masked

MOST = 500
"""Records in one answer."""

Answer = Callable[[Mapping[str, Any]], Any]


def answers(board: Board, buses: Mapping[str, Bus], clock: Clock) -> dict[str, Answer]:
    """What `agent.onsite.Onsite` is given for `buses` (name → bus) of `board`."""

    def told(_: Mapping[str, Any]) -> Any:
        return {"time": _iso(clock), "board": board.station.model, "buses": statistics(buses)}

    def traced(asked: Mapping[str, Any]) -> Any:
        return _trace(board, buses, clock, asked)

    return {"buses": told, "trace": traced}


def _trace(board: Board, buses: Mapping[str, Bus], clock: Clock, asked: Mapping[str, Any]) -> Any:
    of, since = asked.get("of"), asked.get("since")
    if not isinstance(of, str) or isinstance(since, bool) or not isinstance(since, int | None):
        raise OnsiteError('expected "of", a device or a bus, and "since", the number of a record')
    device = board.devices.get(of)
    name = of if device is None else device.bus
    trace = trace_of(buses.get(name))
    if trace is None:
        known = ", ".join(sorted({*buses, *board.devices}))
        raise OnsiteError(f"there is no device or bus {of[:40]!r}; there are: {known}")
    wanted = trace.count if since is None else max(0, since)
    first, records = trace.since(wanted, MOST)
    unit = None
    if isinstance(device, ProfileDevice) and trace.driver.startswith("modbus"):
        unit = 1 if device.unit is None else device.unit
    return {
        "bus": name,
        "driver": trace.driver,
        "board": board.station.model,
        "unit": unit,
        "time": _iso(clock),
        "monotonic": clock.monotonic(),
        "first": first,
        "next": first + len(records),
        "lost": max(0, first - wanted),
        "records": [[time, direction, masked(trace.driver, data).hex()] for time, direction, data in records],
    }


def _iso(clock: Clock) -> str:
    return clock.now().isoformat(timespec="milliseconds")
