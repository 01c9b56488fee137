"""One charging profile as limits over wall time, and which of several leads (part 2 §K.3.4, §K.3.5).

Times are whole µs since 1970: sums of them are exact, and a clock that was corrected changes nothing in them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.charging.profiles import CYCLES, PHASES, RECURRING, Period, Profile

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
SECOND = 1_000_000
NEVER = 2**62
"""Later than any time."""
LONG_AGO = -(2**60)
"""Before any time."""


def micros(time: datetime) -> int:
    """µs since 1970."""
    return (time - EPOCH) // MICRO


def time_of(at: int) -> datetime | None:
    """The time of `micros`; None for one that no calendar has."""
    try:
        return EPOCH + at * MICRO
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """A period, and what it means at an EVSE: `amps` per phase on `phases` of its phases."""

    period: Period
    amps: float
    phases: int


class Curve:
    """The limits of a profile at an EVSE with `phases`, W reckoned with the nominal `voltage` (K01.FR.49, FR.50).

    `began` is where a Relative profile starts; None: it has not begun, and its first period is what counts.
    """

    def __init__(self, profile: Profile, phases: int, voltage: float, began: datetime | None) -> None:
        schedule = profile.schedules[0]
        self.profile = profile
        self.schedule = schedule
        self._phases = phases
        self._voltage = voltage
        self._cycle = CYCLES[profile.recurrency or ""] * SECOND if profile.kind == RECURRING else 0
        length = min(NEVER if schedule.duration is None else schedule.duration * SECOND, self._cycle or NEVER)
        periods: Sequence[Period] = schedule.periods
        anchor = schedule.start or began
        if anchor is None:
            self._anchor, length, periods = LONG_AGO, NEVER, periods[:1]
        else:
            self._anchor = micros(anchor)
        self._starts = [period.start * SECOND for period in periods]
        while self._starts[-1] >= length:
            self._starts.pop()
        self._ends = [*self._starts[1:], length]
        self._length = length
        self._from = self._anchor if profile.valid_from is None else max(self._anchor, micros(profile.valid_from))
        self._to = NEVER if profile.valid_to is None else micros(profile.valid_to)
        if not self._cycle:
            self._to = min(self._to, self._anchor + length)

    def at(self, time: int) -> tuple[int | None, int]:
        """Which period holds at `time`, None for none, and the next time at which another may hold."""
        if time < self._from:
            return None, self._from
        if time >= self._to:
            return None, NEVER
        since = time - self._anchor
        if self._cycle:
            since %= self._cycle
            if since >= self._length:
                return None, time - since + self._cycle
        index = bisect_right(self._starts, since) - 1
        return index, min(time - since + self._ends[index], self._to)

    def step(self, index: int) -> Step:
        """What a period means here."""
        period = self.schedule.periods[index]
        used = min(period.phases or PHASES, self._phases)
        return Step(period, period.limit / (1.0 if self.schedule.unit == "A" else self._voltage * used), used)

    def min_amps(self, step: Step) -> float | None:
        """minChargingRate in A per phase while `step` holds (K01.FR.21)."""
        rate = self.schedule.min_rate
        if rate is None or self.schedule.unit == "A":
            return rate
        return rate / (self._voltage * step.phases)


def leading(curves: Iterable[Curve], time: int) -> tuple[Curve | None, int, int]:
    """Of `curves`, the first one that holds at `time`, its step, and when that may change. The first overrules."""
    until = NEVER
    for curve in curves:
        index, change = curve.at(time)
        until = min(until, change)
        if index is not None:
            return curve, index, until
    return None, 0, until


def paint(curves: Iterable[Curve], start: int, end: int) -> list[tuple[int, Step | None]]:
    """What leads from `start` until before `end`: (since when, step); the first overrules."""
    painted: list[tuple[int, Step | None]] = []
    gaps = [(start, end)]
    for curve in curves:
        if not gaps:
            break
        left: list[tuple[int, int]] = []
        for time, stop in gaps:
            while time < stop:
                index, change = curve.at(time)
                change = min(change, stop)
                if index is not None:
                    painted.append((time, curve.step(index)))
                elif left and left[-1][1] == time:
                    left[-1] = (left[-1][0], change)
                else:
                    left.append((time, change))
                time = change
        gaps = left
    painted.extend((time, None) for time, _ in gaps)
    painted.sort(key=_when)
    return painted


def _when(one: tuple[int, Step | None]) -> int:
    return one[0]
