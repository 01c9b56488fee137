"""What the CSMS is told of external limits: which changes are worth a message, and when (K11, K12, K13, SC.03).

A limit of an external system is told when it comes, changes by more than LimitChangeSignificance, or goes. Several
systems of one source (two EMSs) are one to the CSMS: the lowest of them. While offline nothing is told; what is in
force when the line is back is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.charging.limits import Limit, State, Unit

BURST, REFILL = 4.0, 10.0
"""Messages about one limit that may follow each other at once, and the seconds after which one more may: a limit that
changes faster is told as it is then.
"""

BOOT = 15.0
"""Seconds for which a source that has not been heard since the start is given the time to say what holds."""

DOUBT = 30.0
"""Seconds before the line was lost for which a message may not have arrived."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: `value` is None for a limit that is gone. `source` is a ChargingLimitSourceEnumType."""

    source: str
    evse: int
    value: float | None
    unit: Unit = "W"
    until: float | None = None


class Budget:
    """How many messages about one thing may be sent: `burst` at once, and one more each `refill` s."""

    def __init__(self, burst: float = BURST, refill: float = REFILL) -> None:
        self._burst, self._refill = burst, refill
        self._left, self._at = burst, 0.0

    def take(self, now: float) -> bool:
        """Whether one may be sent at `now`; it counts as sent then."""
        self._left = min(self._burst, self._left + (now - self._at) / self._refill)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class _Told:
    value: float | None
    """In W."""
    at: float
    doubted: bool = False
    """Whether the message may not have arrived."""
    left: float = BURST
    """Messages that may follow at once."""


class Notices:
    """Remembers what the CSMS knows. `watts` of an A per phase, by EVSE (0: the station)."""

    def __init__(self, watts: dict[int, float]) -> None:
        self._watts = watts
        self._told: dict[tuple[str, int], _Told] = {}
        self._online = False
        self._lost = 0.0
        self._started: float | None = None
        self._due: float | None = None

    def step(self, limits: Iterable[Limit], *, online: bool, significance: float, now: float) -> list[Notice]:
        """The messages to be sent now; `significance` in percent."""
        if self._started is None:
            self._started = now
        if online and not self._online:
            for told in self._told.values():
                told.doubted = told.doubted or told.at > self._lost - DOUBT
        elif self._online and not online:
            self._lost = now
        self._online = online
        self._due = None
        if not online:
            return []
        found: dict[tuple[str, int], Limit] = {}
        for limit in limits:
            if limit.kind not in ("EMS", "SO") or limit.value is None:
                continue
            if limit.state is State.INIT and now - self._started < BOOT:
                self._wait(self._started + BOOT)
                continue
            key = (limit.kind, limit.scope)
            if key not in found or self._in_watts(limit) < self._in_watts(found[key]):
                found[key] = limit
        return [one for key in self._keys(found) for one in self._look(key, found.get(key), significance, now)]

    def due(self) -> float | None:
        """When there may be something to tell, if nothing changes before."""
        return self._due

    def _keys(self, found: dict[tuple[str, int], Limit]) -> Sequence[tuple[str, int]]:
        return sorted(found.keys() | self._told.keys())

    def _look(self, key: tuple[str, int], limit: Limit | None, significance: float, now: float) -> list[Notice]:
        told = self._told.get(key)
        value = None if limit is None else self._in_watts(limit)
        before = None if told is None else told.value
        sure = told is None or not told.doubted
        same = value == before or (value is not None and before is not None and _close(value, before, significance))
        if same and sure:
            return []
        left = BURST if told is None else min(BURST, told.left + (now - told.at) / REFILL)
        if told is not None and left < 1:
            self._wait(told.at + (1 - told.left) * REFILL)
            return []
        self._told[key] = _Told(value, now, left=left - 1)
        if limit is None or limit.value is None:
            return [Notice(key[0], key[1], None)]
        return [Notice(key[0], key[1], limit.value, limit.unit, limit.until)]

    def _in_watts(self, limit: Limit) -> float:
        assert limit.value is not None
        return limit.value if limit.unit == "W" else limit.value * self._watts[limit.scope]

    def _wait(self, time: float) -> None:
        self._due = time if self._due is None else min(self._due, time)


def _close(value: float, before: float, significance: float) -> bool:
    """Whether the change is no larger than `significance` percent of what was told (SC.03)."""
    return abs(value - before) <= abs(before) * significance / 100
