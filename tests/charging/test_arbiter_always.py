"""What holds whatever the limits and the cars of a station do: no limit is exceeded, the reason is one."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.charging.arbiter import PAUSES, Decision
from agent.charging.car import Rating
from agent.charging.limits import Kind, Limit, State
from tests.charging.arbiter_parts import ONE, THREE, Says, Yard

NEAR = 1e-6
FOLLOWED = 6.0
"""s in which all cars have followed, and been seen to."""

KINDS: dict[str, Kind] = {"csms": "CSMS", "ems": "EMS", "so": "SO", "fuse": "Fuse"}

AMPS = st.one_of(st.sampled_from([0.0, 5.0, 6.0, 12.0, 16.0, 32.0, 50.0]), st.floats(0, 64, allow_subnormal=False))


@st.composite
def limits(draw: st.DrawFn, source: str) -> Limit:
    scope, state = draw(st.sampled_from([0, 0, 1, 2, 3])), draw(st.sampled_from(list(State)))
    amps = draw(AMPS)
    shape = draw(st.sampled_from(["A", "W", "phases", "none"]))
    if shape == "none":
        return Limit(source, KINDS[source], scope, State.RELEASED, None)
    if shape == "W":
        return Limit(source, KINDS[source], scope, state, amps * 690.0, "W")
    if shape == "phases":
        lines = (amps, draw(AMPS), draw(AMPS))
        return Limit(source, KINDS[source], scope, state, min(lines), "A", lines)
    return Limit(source, KINDS[source], scope, state, amps)


@dataclass(frozen=True)
class Move:
    """`source` says this from now on, the car at `evse` comes, goes or is another, and so many seconds pass."""

    source: str
    said: tuple[Limit, ...]
    evse: int
    here: bool
    phases: int
    takes: float
    metered: bool
    volts: float
    lag: float
    seconds: float


@st.composite
def moves(draw: st.DrawFn) -> Move:
    source = draw(st.sampled_from(sorted(KINDS)))
    return Move(
        source,
        tuple(draw(st.lists(limits(source), max_size=3))),
        draw(st.integers(1, 3)),
        draw(st.booleans()) or draw(st.booleans()),
        draw(st.sampled_from([1, 2, 3])),
        draw(st.sampled_from([0.0, 7.0, 16.0, 32.0])),
        draw(st.booleans()),
        draw(st.sampled_from([225.0, 230.0, 245.0])),
        draw(st.sampled_from([0.0, 0.5, 4.0])),
        draw(st.sampled_from([0.25, 1.0, 3.0, 12.0])),
    )


RATINGS = {1: THREE, 2: THREE, 3: ONE}


class Watch:
    """A yard in which every moment is checked by rules of its own."""

    def __init__(self, ratings: Mapping[int, Rating], *, by_priority: bool, pauses: int = 100) -> None:
        self.sources = {name: Says(name, kind) for name, kind in KINDS.items()}
        self.yard = Yard(list(self.sources.values()), ratings, by_priority=by_priority, rotate=20.0, pauses=pauses)
        self.before = dict.fromkeys(ratings, 0.0)
        self.fell = -1e9
        """When a limit, or what is known of the cars, became tighter last."""
        self.changed = -1e9
        """When a decision became another."""

    @property
    def said(self) -> list[Limit]:
        return [one for source in self.sources.values() for one in source.said if one.value is not None]

    def move(self, one: Move) -> None:
        self.sources[one.source].said = list(one.said)
        plug = self.yard.plugs[one.evse]
        if not one.here:
            plug.active = False
        elif not plug.active and not plug.closed:
            phases = min(one.phases, self.yard.ratings[one.evse].phases)
            self.yard.car(one.evse, phases=phases, takes=one.takes, metered=one.metered, volts=one.volts, lag=one.lag)
        else:
            plug.takes = one.takes  # it changes its mind
        self.fell = self.yard.now
        for _ in range(round(one.seconds * 4)):
            self.check(self.yard.tick())

    def check(self, made: Mapping[int, Decision]) -> None:
        cars = self.yard.arbiter.cars
        sharing = {evse: one.current for evse, one in made.items() if cars[evse].facts.active}
        for evse, one in made.items():
            rating = self.yard.ratings[evse]
            assert one.current == 0 or rating.least - NEAR <= one.current <= self.own(evse) + NEAR
        for limit in self.said:
            if limit.scope == 0:
                for capacity, weights in self.lines(limit):
                    assert sum(weights[evse] * amps for evse, amps in sharing.items()) <= capacity + NEAR
                if self.yard.now - self.fell > FOLLOWED:
                    self.measured(limit)
        currents = {evse: one.current for evse, one in made.items()}
        if currents != self.before:
            self.changed = self.yard.now
        for evse in sharing:
            self.reason(evse, made)
        self.before = currents

    def own(self, evse: int) -> float:
        """A per phase that the limits of an EVSE itself allow, and those of the station if it were alone."""
        rating = self.yard.ratings[evse]
        least = rating.most
        for limit in self.said:
            if limit.scope in (0, evse):
                for capacity, weights in self.lines(limit):
                    least = min(least, capacity / weights[evse] if weights[evse] else rating.most)
        return least

    def lines(self, limit: Limit) -> list[tuple[float, dict[int, float]]]:
        """A limit as sums over the EVSEs: so much, weighed so."""
        assert limit.value is not None
        phases = {evse: car.phases() for evse, car in self.yard.arbiter.cars.items()}
        if limit.unit == "W":
            volts = {evse: 230.0 if limit.kind == "CSMS" else self.volts(evse) for evse in phases}
            return [(limit.value, {evse: count * volts[evse] for evse, count in phases.items()})]
        amps = limit.phases or (limit.value,) * 3
        return [(amps[line], {evse: float(count > line) for evse, count in phases.items()}) for line in range(3)]

    def volts(self, evse: int) -> float:
        return self.yard.plugs[evse].volts or 230.0

    def measured(self, limit: Limit) -> None:
        """What the cars really draw keeps to the limit."""
        drawn = {evse: plug.draws for evse, plug in self.yard.plugs.items()}
        phases = {evse: min(plug.phases, self.yard.ratings[evse].phases) for evse, plug in self.yard.plugs.items()}
        assert limit.value is not None
        if limit.unit == "W":
            volts = {evse: 230.0 if limit.kind == "CSMS" else self.volts(evse) for evse in drawn}
            assert sum(drawn[evse] * phases[evse] * volts[evse] for evse in drawn) <= limit.value + NEAR
            return
        for line, amps in enumerate(limit.phases or (limit.value,) * 3):
            assert sum(drawn[evse] for evse in drawn if phases[evse] > line) <= amps + NEAR

    def reason(self, evse: int, made: Mapping[int, Decision]) -> None:
        """The source that is named has a limit that forbids more, beside what the others have and may still draw."""
        share, name, car = made[evse].current, made[evse].reason, self.yard.arbiter.cars[evse]
        if name == "board":
            assert share == pytest.approx(car.rating.most)
            return
        assert name != PAUSES
        more = max(share + 0.01, car.rating.least)
        others, then = {}, self.yard.now - 0.25
        for other, car_there in self.yard.arbiter.cars.items():
            if other != evse and (car_there.facts.active or car_there.floor(then)):
                others[other] = max(self.before[other], made[other].current, car_there.floor(then))
                if car_there.facts.active and self.yard.now - self.changed < FOLLOWED:
                    others[other] = max(others[other], self.own(other))  # it waits for its share
                elif made[other].current == 0 and share == 0:
                    others[other] = max(others[other], car_there.rating.least)  # it waits for its turn
        mine = max(more, car.floor(then))
        for limit in self.said:
            if limit.source != name:
                continue
            for capacity, weights in self.lines(limit):
                if limit.scope == evse and weights[evse] * more > capacity:
                    return
                used = sum(weights[other] * amps for other, amps in others.items())
                if limit.scope == 0 and weights[evse] and used + weights[evse] * mine > capacity - NEAR:
                    return
        raise AssertionError(f"{name} does not limit EVSE {evse} to {share} A: {self.said}")


@settings(max_examples=40, deadline=None)
@given(st.lists(moves(), min_size=1, max_size=12), st.booleans())
def test_no_limit_is_exceeded_and_the_reason_is_one(story: list[Move], by_priority: bool) -> None:
    watch = Watch(RATINGS, by_priority=by_priority)
    for one in story:
        watch.move(one)


@settings(max_examples=30, deadline=None)
@given(st.floats(6, 40), st.integers(1, 3), st.integers(1, 3))
def test_nobody_starves_beside_others_of_its_kind(amps: float, first: int, second: int) -> None:
    yard = Yard([Says("ems").say(amps)], rotate=30.0, pauses=1000)
    yard.car(1, phases=first)
    yard.car(2, phases=second)
    charged = {1: 0.0, 2: 0.0}
    for _ in range(4 * 300):
        yard.tick()
        for evse, plug in yard.plugs.items():
            charged[evse] += plug.offer.current * 0.25
    assert min(charged.values()) >= 6.0 * 60


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(AMPS, st.sampled_from([1.0, 5.0, 60.0, 300.0])), min_size=20, max_size=60))
def test_pauses_are_bounded_in_every_hour(story: list[tuple[float, float]]) -> None:
    ems = Says("ems")
    yard = Yard([ems], {1: THREE}, pauses=3)
    yard.car(1)
    times: list[float] = []
    for amps, seconds in story:
        ems.anew(amps)
        for _ in range(round(seconds)):
            closed = yard.plugs[1].offer.current > 0
            yard.tick(1.0)
            if closed and yard.plugs[1].offer.current == 0:
                times.append(yard.now)
                assert sum(time > yard.now - 3600 for time in times) <= 3
