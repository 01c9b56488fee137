"""What is known of the car at an EVSE, as far as limits need it: its phases, what it seems to want or still draws."""

from collections import deque
from dataclasses import dataclass

FLOWING = 0.5
"""A above which a phase is in use."""

SURE = 5.0
"""Seconds for which fewer phases must be in use before that is believed; more are believed at once."""

REACTION = 5.0
"""Seconds that a car has to follow a lower offer (IEC 61851-1): until then it may draw the old one."""

STEADY = 20.0
"""Seconds for which a car draws less than it is offered, before the rest is offered to others; what counts of it is
the most that it drew in each such time.
"""

SPARE = 2.0
"""A more than it draws that are kept for a car that draws less than it is offered; once half of them are used, it is
taken to want more.
"""


@dataclass(frozen=True, slots=True)
class Rating:
    """What an EVSE can do: A per phase, V between phase and neutral. `phases` is 1 or 3."""

    phases: int
    voltage: float
    least: float
    most: float

    @property
    def watts(self) -> float:
        return self.phases * self.voltage * self.most


@dataclass(frozen=True, slots=True)
class Facts:
    """How an EVSE is now. `active`: all but a limit says that a car may charge; `offered` A by the pilot; `drawn`
    and `voltages` per phase, None where the meter does not tell; `cable` A, None where nothing limits it.
    """

    active: bool = False
    powered: bool = False
    offered: float = 0.0
    cable: float | None = None
    drawn: tuple[float, ...] | None = None
    voltages: tuple[float, ...] | None = None
    priority: int = 0


class Car:
    """Follows the car at one EVSE; `look` once for each step, then ask."""

    def __init__(self, rating: Rating) -> None:
        self.rating = rating
        self.facts = Facts()
        self._phases: int | None = None
        self._fewer = 0
        self._fewer_since: float | None = None
        self._little_since: float | None = None
        self._peak = 0.0
        """A that it drew at most since then."""
        self._wants: float | None = None
        """A that are enough for it, None where it may want all."""
        self._before: deque[tuple[float, float]] = deque()
        """(until when the car may still draw it, A) of offers higher than this one, the highest first."""

    def look(self, facts: Facts, now: float) -> None:
        """Take what is so now."""
        if facts.offered < self.facts.offered:
            self._before.append((now + REACTION, self.facts.offered))
        while self._before and self._before[-1][1] <= facts.offered:
            self._before.pop()
        while self._before and self._before[0][0] <= now:
            self._before.popleft()
        self.facts = facts
        if not facts.active:
            self._phases = self._fewer_since = self._little_since = self._wants = None
            return
        self._look_at_phases(facts, now)
        self._look_at_demand(facts, now)

    def _look_at_phases(self, facts: Facts, now: float) -> None:
        if facts.drawn is None or len(facts.drawn) < self.rating.phases:
            self._phases = self._fewer_since = None  # it may use more by now, or what is not measured
            return
        if not facts.powered:
            return
        # L1 alone, L1 and L2, or all: of a car that uses L3 all are presumed.
        used = max((line for line, current in enumerate(facts.drawn, 1) if current > FLOWING), default=0)
        if used == 0:
            self._fewer_since = None
            return
        if used < self.phases():
            if self._fewer_since is None or used > self._fewer:
                self._fewer, self._fewer_since = used, now
            if now - self._fewer_since >= SURE:
                self._phases, self._fewer_since = used, None
        else:
            self._phases, self._fewer_since = used, None

    def _look_at_demand(self, facts: Facts, now: float) -> None:
        draws = max(facts.drawn, default=0.0) if facts.drawn is not None else None
        if draws is None or facts.offered < self.rating.least or draws > facts.offered - SPARE / 2:
            self._little_since = self._wants = None
        elif self._little_since is None:
            self._little_since, self._peak = now, draws
        else:
            self._peak = max(self._peak, draws)
            if now - self._little_since >= STEADY:
                self._wants = max(self.rating.least, self._peak + SPARE)
                self._little_since, self._peak = now, draws

    def phases(self) -> int:
        """On how many phases it charges, all of the EVSE's until that is known."""
        return min(self._phases or self.rating.phases, self.rating.phases)

    def voltage(self) -> float:
        """V to turn W into A with: as measured, where that can be, else the nominal one."""
        measured = self.facts.voltages
        sane = [one for one in measured or () if 0.8 * self.rating.voltage <= one <= 1.2 * self.rating.voltage]
        return max(sane) if sane and len(sane) == len(measured or ()) else self.rating.voltage

    def demand(self, most: float) -> float:
        """A that it seems to want, up to `most`."""
        return most if self._wants is None else min(most, self._wants)

    def floor(self, now: float) -> float:
        """A that it may be drawing whatever it is told now: what it is offered, what it was offered until it had its
        time to follow, and what it draws.
        """
        if not self.facts.powered:
            return 0.0
        before = max((amps for until, amps in self._before if until > now), default=0.0)
        return max(self.facts.offered, before, *(self.facts.drawn or ()))

    def due(self, now: float) -> float | None:
        """When one of the answers changes by itself."""
        times = []
        if self._fewer_since is not None:
            times.append(self._fewer_since + SURE)
        if self.facts.powered:
            times += [until for until, _ in self._before]
        if self._little_since is not None:
            times.append(self._little_since + STEADY)
        return min((one for one in times if one > now), default=None)
