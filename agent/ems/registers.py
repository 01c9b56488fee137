"""The register map of the Modbus interface, as a literal table, and the numbers in it. Pure.

Addresses are those of the protocol, from 0. 32-bit values are two registers, the high one first; texts are ASCII,
two characters a register, filled up with NUL. `python -m agent.ems.registers` prints the table for the README.
"""

import math
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.charging.limits import State
from agent.ems.telemetry import Telemetry

MAGIC = 0x454D5331
"""`EMS1` in ASCII: what to look for first."""
VERSION = 1
"""Of the map: rises when a register changes its meaning. New registers do not count."""

STATION_UNITS = (0, 255)
"""Unit ids of the station itself: the Modbus Messaging on TCP/IP Implementation Guide wants 255 for a device that is
addressed by its IP address alone, and takes 0 as well. EVSE n is unit n.
"""

Type = Literal["u16", "u32", "i32", "f32", "text"]
Access = Literal["r", "rw"]
Value = int | float | str | None

_SIZES: Mapping[str, int] = {"u16": 1, "u32": 2, "i32": 2, "f32": 2}
NOTHING: Mapping[str, int] = {"u16": 0xFFFF, "u32": 0xFFFFFFFF, "i32": 0x80000000}
"""What stands for "not measured", "no limit" or "does not apply" (of a float: NaN, of a text: NULs)."""
_RANGES: Mapping[str, tuple[int, int]] = {
    "u16": (0, 0xFFFE),
    "u32": (0, 0xFFFFFFFE),
    "i32": (-0x7FFFFFFF, 0x7FFFFFFF),
}

STATES: Mapping[State, int] = {
    State.INIT: 0,
    State.ACTIVE: 1,
    State.RELEASED: 2,
    State.STALE: 3,
    State.FAILSAFE: 4,
}


@dataclass(frozen=True, slots=True)
class Register:
    """One value of the map: `scale` registers' counts make one `unit`; `size` in registers."""

    address: int
    name: str
    type: Type
    unit: str
    access: Access
    meaning: str
    scale: int = 1
    length: int = 0
    """Of a text, in registers."""

    @property
    def size(self) -> int:
        return self.length or _SIZES[self.type]


MAP: tuple[Register, ...] = (
    # who is there, and how the interface is
    Register(0, "magic", "u32", "", "r", "0x454D5331, `EMS1`"),
    Register(2, "version", "u16", "", "r", "of this map: 1"),
    Register(3, "evses", "u16", "", "r", "number of EVSEs"),
    Register(4, "scope", "u16", "", "r", "0: this unit is the station; n: EVSE n"),
    Register(
        5, "state", "u16", "", "r", "of this interface: 0 not heard yet, 1 limiting, 2 released, 3 stale, 4 failsafe"
    ),
    Register(6, "failsafe_in", "u16", "s", "r", "until the failsafe limit holds, if nothing is written"),
    Register(7, "silent", "u16", "s", "r", "since the last sign of life"),
    # telemetry
    Register(100, "status", "u16", "", "r", "ASCII code of the IEC 61851 state, `A` (65) to `F` (70); 0: unknown"),
    Register(101, "connected", "u16", "", "r", "1: a cable with a car is plugged"),
    Register(102, "charging", "u16", "", "r", "1: energy flows, or may"),
    Register(103, "enabled", "u16", "", "r", "1: nothing pauses the EVSE"),
    Register(104, "phases", "u16", "", "r", "in use, 1 to 3"),
    Register(105, "min_current", "u32", "A", "r", "lowest current that can be offered", scale=1000),
    Register(107, "max_current", "u32", "A", "r", "highest current that can be offered", scale=1000),
    Register(109, "offered", "u32", "A", "r", "what the car is offered, per phase", scale=1000),
    Register(111, "limit", "u32", "A", "r", "the limit in force of all sources, per phase", scale=1000),
    Register(113, "current_l1", "u32", "A", "r", "measured", scale=1000),
    Register(115, "current_l2", "u32", "A", "r", "measured", scale=1000),
    Register(117, "current_l3", "u32", "A", "r", "measured", scale=1000),
    Register(119, "voltage_l1", "u16", "V", "r", "measured", scale=10),
    Register(120, "voltage_l2", "u16", "V", "r", "measured", scale=10),
    Register(121, "voltage_l3", "u16", "V", "r", "measured", scale=10),
    Register(122, "power", "i32", "W", "r", "measured, all phases; positive into the car"),
    Register(124, "energy", "u32", "Wh", "r", "counter reading of the meter"),
    Register(126, "session_energy", "u32", "Wh", "r", "since the transaction began"),
    Register(128, "source", "text", "", "r", "who set the limit in force", length=16),
    Register(144, "token", "text", "", "r", "the card that started the transaction", length=18),
    # commands
    Register(200, "limit_a", "u16", "A", "rw", "limit per phase; 0 pauses, 65535 releases", scale=10),
    Register(201, "enable", "u16", "", "rw", "0 pauses, whatever the limit is; 1 lets the limit count"),
    Register(202, "limit_w", "u32", "W", "rw", "limit of all phases together; 0 pauses, 0xFFFFFFFF releases"),
    Register(204, "heartbeat", "u16", "", "rw", "any number: a sign of life"),
    Register(205, "limit_a_float", "f32", "A", "rw", "as `limit_a`; it cannot release"),
    # the failsafe, of the interface as a whole
    Register(
        210, "failsafe_limit", "u32", "W", "rw", "of the station, while the master is silent; kept over a restart"
    ),
    Register(212, "failsafe_hold", "u16", "min", "rw", "how long it holds at least; kept over a restart"),
    Register(213, "failsafe_after", "u16", "s", "r", "silence after which it holds; set by the board file"),
)

BY_NAME: Mapping[str, Register] = {register.name: register for register in MAP}
BY_ADDRESS: Mapping[int, Register] = {register.address: register for register in MAP}
_KNOWN = frozenset(
    address for register in MAP for address in range(register.address, register.address + register.size)
)

LIMITS = ("limit_a", "limit_w", "limit_a_float")
MOST_AMPERES = 1000.0
MOST_WATTS = 1_000_000.0
"""More than this is no limit but a mistake."""


class NoSuchRegister(Exception):
    """Nothing is at that address, it is half of a value, or it cannot be written (exception 2)."""


class BadValue(Exception):
    """The register does not take that number (exception 3)."""


def encode(register: Register, value: Value) -> list[int]:
    """`value` in the register's unit as 16-bit numbers; what does not fit is told by the nearest that does."""
    if register.type == "text":
        text = str(value or "").encode("ascii", "replace")[: 2 * register.size].ljust(2 * register.size, b"\0")
        return list(struct.unpack(f">{register.size}H", text))
    if isinstance(value, str):
        raise TypeError(f"{register.name} is a number")
    if register.type == "f32":
        return list(struct.unpack(">HH", struct.pack(">f", math.nan if value is None else value)))
    if value is None or not math.isfinite(value):
        raw = NOTHING[register.type]
    else:
        low, high = _RANGES[register.type]
        raw = min(max(round(value * register.scale), low), high) & (0xFFFF if register.size == 1 else 0xFFFFFFFF)
    return [raw] if register.size == 1 else [raw >> 16, raw & 0xFFFF]


def decode(register: Register, words: Sequence[int]) -> Value:
    """What `words` say, in the register's unit; None for what stands for nothing."""
    data = struct.pack(f">{len(words)}H", *words)
    if register.type == "text":
        return data.rstrip(b"\0").decode("ascii", "replace")
    if register.type == "f32":
        (number,) = struct.unpack(">f", data)
        return None if math.isnan(number) else float(number)
    raw = int.from_bytes(data, "big")
    if raw == NOTHING[register.type]:
        return None
    if register.type == "i32" and raw & 0x80000000:
        raw -= 1 << 32
    return raw / register.scale if register.scale != 1 else raw


def read(values: Mapping[str, Value], address: int, count: int) -> list[int]:
    """`count` registers from `address`; raises NoSuchRegister where one of them is not in the map.

    A value that `values` does not hold reads as nothing.
    """
    wanted = range(address, address + count)
    if not all(one in _KNOWN for one in wanted):
        raise NoSuchRegister
    words: dict[int, int] = {}
    for register in MAP:
        if register.address < wanted.stop and wanted.start < register.address + register.size:
            words.update(enumerate(encode(register, values.get(register.name)), register.address))
    return [words[one] for one in wanted]


def written(address: int, words: Sequence[int]) -> dict[str, Value]:
    """What a write of `words` from `address` says, by name, all of it or nothing: a limit of None releases.

    Raises NoSuchRegister (exception 2) and BadValue (exception 3).
    """
    values: dict[str, Value] = {}
    at, end = address, address + len(words)
    while at < end:
        register = BY_ADDRESS.get(at)
        if register is None or register.access == "r" or at + register.size > end:
            raise NoSuchRegister
        part = words[at - address : at - address + register.size]
        values[register.name] = part[0] if register.name == "heartbeat" else _taken(register, decode(register, part))
        at += register.size
    if sum(values.get(name) is not None for name in LIMITS) > 1:
        raise BadValue("more than one limit")
    return values


def _taken(register: Register, value: Value) -> Value:
    if isinstance(value, str):
        raise BadValue(register.name)
    if value is None:
        if register.name in ("limit_a", "limit_w"):
            return None
        raise BadValue(register.name)
    most = {
        "limit_a": MOST_AMPERES,
        "limit_a_float": MOST_AMPERES,
        "limit_w": MOST_WATTS,
        "failsafe_limit": MOST_WATTS,
        "enable": 1,
        "failsafe_hold": 24 * 60,
    }[register.name]
    if not 0 <= value <= most:
        raise BadValue(register.name)
    return value


def telemetry_values(telemetry: Telemetry, scope: int) -> dict[str, Value]:
    """The read-only values of the station (scope 0) or of an EVSE."""
    if scope == 0:
        return {
            **_phases("current", telemetry.current_a),
            "limit": telemetry.limit_a,
            "power": telemetry.power_w,
            "source": telemetry.source,
            "status": 0,
        }
    evse = next(evse for evse in telemetry.evses if evse.id == scope)
    return {
        **_phases("current", evse.current_a),
        **_phases("voltage", evse.voltage_v),
        "status": ord(evse.status[0]) if evse.status[:1] in tuple("ABCDEF") else 0,
        "connected": int(evse.connected),
        "charging": int(evse.charging),
        "enabled": int(evse.enabled),
        "phases": evse.phases,
        "min_current": evse.min_a,
        "max_current": evse.max_a,
        "offered": evse.offered_a,
        "limit": evse.limit_a,
        "power": evse.power_w,
        "energy": evse.energy_wh,
        "session_energy": evse.session_wh,
        "source": evse.reason,
        "token": evse.token,
    }


def _phases(name: str, values: Sequence[float | None]) -> dict[str, Value]:
    return {f"{name}_l{phase}": value for phase, value in enumerate(values, 1)}


def table() -> Iterator[str]:
    """The map as lines of a Markdown table."""
    yield "| address | name | type | unit | access | meaning |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in MAP:
        unit = f"{one.unit} / {one.scale}" if one.scale != 1 else one.unit
        kind = f"text, {one.size} registers" if one.type == "text" else one.type
        yield f"| {one.address} | `{one.name}` | {kind} | {unit} | {one.access} | {one.meaning} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
