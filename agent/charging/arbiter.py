"""One current for each plug: every source's limits, merged per phase, shared among the cars, with the reason.

The lowest limit holds at any moment. A limit of the station is a sum over its EVSEs, in W or per phase; one of an
EVSE caps that EVSE alone. Nothing here waits: how fast an offer may rise is the power path's business.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.charging.car import Car, Facts, Rating
from agent.charging.limits import Limit, Source
from agent.charging.pauses import Pauses
from agent.charging.sharing import Claim, Sharing

LINES = 3
_SMALL = 1e-6

PAUSES = "pauses"
"""The reason of an EVSE that has been paused as often as the board allows, and has to wait."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an EVSE may offer: A per phase, 0 for a pause; `reason` names the source whose limit it is."""

    current: float
    reason: str


@dataclass(slots=True)
class _Capacity:
    """One limit of the station: Σ weight × A ≤ `capacity`."""

    capacity: float
    weights: Mapping[int, float]
    source: str


class Arbiter:
    """Decides for the EVSEs of one station. `sources` in the order in which ties are named."""

    def __init__(
        self, ratings: Mapping[int, Rating], sources: Sequence[Source], *, sharing: Sharing, pauses_per_hour: int
    ) -> None:
        self.sources = list(sources)
        self.cars = {evse: Car(rating) for evse, rating in ratings.items()}
        self._sharing = sharing
        self._pauses = {evse: Pauses(pauses_per_hour) for evse in ratings}
        self._paused: set[int] = set()
        self.limits: tuple[Limit, ...] = ()
        """What every source said at the last decision."""
        self.decisions = {evse: Decision(0.0, "") for evse in ratings}
        self.available = {evse: rating.most for evse, rating in ratings.items()}
        """A per phase that each EVSE could have if it alone charged."""
        self._due: float | None = None

    def decide(self, facts: Mapping[int, Facts], now: float) -> dict[int, Decision]:
        """What each EVSE may offer at `now` (monotonic s)."""
        for evse, car in self.cars.items():
            car.look(facts[evse], now)
        self.limits = tuple(limit for source in self.sources for limit in source.limits(now))
        caps = {evse: self._cap(evse) for evse in self.cars}
        capacities = self._capacities()
        claims = [self._claim(evse, caps[evse][0], capacities, now) for evse in self.cars if self._counts(evse, now)]
        shares = self._sharing.share(claims, [one.capacity for one in capacities], now)
        self._note_pauses(shares, now)
        for evse in self.cars:
            current, reason = caps[evse]
            alone = min((_alone(one, evse) for one in capacities), default=math.inf)
            self.available[evse] = max(0.0, min(current, alone))
            car, share = self.cars[evse], shares.get(evse)
            if share is None or not car.facts.active:
                if alone < current - _SMALL:
                    reason = _tightest(capacities, evse, {}, reason)[0]
                able = self.available[evse] if self.available[evse] >= car.rating.least else 0.0
                self.decisions[evse] = Decision(able, reason)
                continue
            if current >= car.rating.least and share < current - _SMALL:
                used = {other: max(amps, self.cars[other].floor(now)) for other, amps in shares.items()}
                used[evse] = share
                reason, left = _tightest(capacities, evse, used, reason)
                if left >= car.rating.least and self._barred(evse, now):
                    reason = PAUSES
            self.decisions[evse] = Decision(share, reason)
        self._due = self._next(now)
        return self.decisions

    def due(self) -> float | None:
        """The monotonic time of the next decision, if nothing changes before."""
        return self._due

    # --- the limits of one EVSE ------------------------------------------------------------------------------------

    def _cap(self, evse: int) -> tuple[float, str]:
        """A per phase that this EVSE may offer by its own limits, and whose limit that is."""
        car = self.cars[evse]
        best, source = car.rating.most, "board"
        if car.facts.cable is not None and car.facts.cable < best:
            best, source = car.facts.cable, "cable"
        for limit in self.limits:
            if limit.scope != evse or limit.value is None:
                continue
            amps = limit.value if limit.unit == "A" else limit.value / (car.phases() * _voltage(car, limit))
            if limit.phases is not None:
                amps = min(map(_sane, limit.phases[: car.phases()]))
            if _sane(amps) < best:
                best, source = _sane(amps), limit.source
        return best, source

    def _capacities(self) -> list[_Capacity]:
        """The station's limits: one for each phase, and the lowest in W of each voltage that is presumed."""
        found: dict[str, _Capacity] = {}
        for limit in self.limits:
            if limit.scope != 0 or limit.value is None:
                continue
            if limit.unit == "A":
                for line in range(LINES):
                    amps = limit.value if limit.phases is None else limit.phases[line]
                    _lower(found, f"L{line + 1}", amps, limit, self._on_line(line))
            else:
                nominal = limit.kind == "CSMS"
                weights = {evse: car.phases() * _voltage(car, limit) for evse, car in self.cars.items()}
                _lower(found, "nominal" if nominal else "measured", limit.value, limit, weights)
        return list(found.values())

    def _on_line(self, line: int) -> dict[int, float]:
        # A car on one phase uses L1; one on two phases L1 and L2.
        return {evse: 1.0 if line < car.phases() else 0.0 for evse, car in self.cars.items()}

    # --- sharing ---------------------------------------------------------------------------------------------------

    def _counts(self, evse: int, now: float) -> bool:
        car = self.cars[evse]
        return car.facts.active or car.floor(now) > 0

    def _claim(self, evse: int, cap: float, capacities: Sequence[_Capacity], now: float) -> Claim:
        car = self.cars[evse]
        allowed = car.facts.active and not self._barred(evse, now)
        return Claim(
            evse,
            least=car.rating.least,
            most=cap if allowed else 0.0,
            demand=car.demand(cap) if allowed else 0.0,
            priority=car.facts.priority,
            weights=tuple(one.weights[evse] for one in capacities),
            floor=car.floor(now),
        )

    def _barred(self, evse: int, now: float) -> bool:
        return evse in self._paused and not self._pauses[evse].may_resume(now)

    def _note_pauses(self, shares: Mapping[int, float], now: float) -> None:
        """Count each pause of a car that charged, so that no contactor is worn out by limits."""
        for evse, car in self.cars.items():
            if not car.facts.active or shares.get(evse, 0.0) > 0:
                self._paused.discard(evse)
            elif evse not in self._paused and car.facts.offered > 0:
                self._paused.add(evse)
                self._pauses[evse].paused(now)

    def _next(self, now: float) -> float | None:
        times = [source.due(now) for source in self.sources]
        times += [car.due(now) for car in self.cars.values()]
        times += [self._pauses[evse].due(now) for evse in self._paused]
        times.append(self._sharing.due(now))
        return min((one for one in times if one is not None), default=None)


def _voltage(car: Car, limit: Limit) -> float:
    """A CSMS reckons with the nominal voltage (K01.FR.50); who measures the grid means what is there."""
    return car.rating.voltage if limit.kind == "CSMS" else car.voltage()


def _lower(found: dict[str, _Capacity], key: str, value: float, limit: Limit, weights: Mapping[int, float]) -> None:
    known = found.get(key)
    if known is None or _sane(value) < known.capacity:
        found[key] = _Capacity(_sane(value), weights, limit.source)


def _sane(value: float) -> float:
    """What is no number, or below 0, is 0."""
    return value if value > 0 else 0.0


def _alone(one: _Capacity, evse: int) -> float:
    weight = one.weights[evse]
    return one.capacity / weight if weight > 0 else math.inf


def _tightest(
    capacities: Sequence[_Capacity], evse: int, used: Mapping[int, float], otherwise: str
) -> tuple[str, float]:
    """Whose limit of the station leaves `evse` the least room beside what all use, and how many A that is."""
    best, least = otherwise, math.inf
    for one in capacities:
        if one.weights[evse] <= 0:
            continue
        left = one.capacity - sum(one.weights[other] * current for other, current in used.items())
        if left / one.weights[evse] < least:
            best, least = one.source, left / one.weights[evse]
    return best, least
