"""What a limit is, whoever imposes it, and what a source of limits must be able to tell.

A limit in A is per phase; one in W is the sum of all phases of its scope. Scope 0 is the station, 1..n an EVSE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

Unit = Literal["W", "A"]

Kind = Literal["CSMS", "EMS", "SO", "Fuse", "Thermal", "Cable", "EV", "Board"]
"""Who limits. EMS and SO (the grid operator) are external control systems (ChargingLimitSourceEnumType)."""


class State(StrEnum):
    """How a source is. `INIT`: not heard since the start; `STALE`: its measure is too old; `FAILSAFE`: its master
    fell silent. In all of them the limit that it tells is the one to fall back to.
    """

    INIT = "Init"
    ACTIVE = "Active"
    RELEASED = "Released"
    STALE = "Stale"
    FAILSAFE = "Failsafe"


@dataclass(frozen=True, slots=True)
class Limit:
    """What a source says of one scope now. `value` is None where it limits nothing; `phases` are A of L1, L2, L3
    where they differ (`value` is then the lowest). `changed` and `until` are monotonic times in s.
    """

    source: str
    kind: Kind
    scope: int
    state: State
    value: float | None
    unit: Unit = "A"
    phases: tuple[float, float, float] | None = None
    changed: float = 0.0
    until: float | None = None


class Source(Protocol):
    """Somebody who limits."""

    @property
    def name(self) -> str:
        """What tells it from every other, such as `modbus`."""
        ...

    def limits(self, now: float) -> Sequence[Limit]:
        """What it says at `now` (monotonic s), at most one for each scope."""
        ...

    def due(self, now: float) -> float | None:
        """When (monotonic s) it will say something else by itself, None for not before it is told something."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """What an external control system asks for: `value` in `unit` at most, for `duration` s; None: until it says
    something else.
    """

    value: float
    unit: Unit
    duration: float | None = None
