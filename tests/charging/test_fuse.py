"""The guard of the grid's fuse: by itself, and in a loop with a building, meters and cars that all take time."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.charging.fuse import LAG, FuseGuard, FuseSettings
from agent.charging.limits import Limit, State

SETTINGS = FuseSettings(rating=63, safe_current=16)


class Meter:
    """A guard that hears the meter each second."""

    def __init__(self, fuse: FuseSettings = SETTINGS) -> None:
        self.guard, self.now = FuseGuard(fuse), 100.0

    def hear(self, grid: float | None, own: float = 0.0, seconds: int = 1) -> Limit:
        """The same on all phases."""
        for _ in range(seconds):
            self.now += 1
            self.guard.measured((grid, grid, grid), (own, own, own), self.now)
        return self.told()

    def told(self) -> Limit:
        [limit] = self.guard.limits(self.now)
        return limit


def test_before_the_first_measure_the_safe_current_holds() -> None:
    told = Meter().told()
    assert (told.scope, told.kind, told.state, told.value) == (0, "Fuse", State.INIT, 16)
    assert told.phases == (16, 16, 16)


def test_at_the_start_all_that_is_free_can_be_had_at_once() -> None:
    assert Meter().hear(20).value == 43


def test_it_grows_slowly_to_what_is_free() -> None:
    meter = Meter()
    assert meter.hear(47).value == 16
    assert meter.hear(20, seconds=1).value == 16
    assert meter.hear(20, seconds=3).value <= 22
    assert meter.hear(20, seconds=60).value == 43


def test_it_falls_at_once_and_does_not_fall_further_because_the_meter_is_late() -> None:
    meter = Meter()
    meter.hear(52, own=32, seconds=60)
    assert meter.told().value == 43
    assert meter.hear(75, own=32).value == 20
    assert meter.hear(75, own=20).value == 20  # the car has followed, the meter tells of the second before
    assert meter.hear(63, own=20).value == 20
    assert meter.hear(63, own=20, seconds=30).value == 20


def test_what_is_no_overload_is_waited_out() -> None:
    meter = Meter()
    meter.hear(30, seconds=60)
    assert meter.hear(50, seconds=3).value == 33
    assert meter.hear(50).value == 13
    assert meter.hear(30, seconds=3).value == 13
    assert meter.hear(30).value == 15


def test_after_a_peak_it_grows_when_that_is_over_for_the_window() -> None:
    meter = Meter()
    meter.hear(30, seconds=60)
    assert meter.hear(70).value == 0
    assert meter.hear(30, seconds=3).value == 0
    assert meter.hear(30).value == 2


def test_each_phase_by_itself() -> None:
    guard = FuseGuard(FuseSettings(rating=40, margin=2, safe_current=40))
    guard.measured((10, 38, 60), (0, 4, 0), 1.0)
    [told] = guard.limits(1.0)
    assert told.phases == (28, 4, 0)
    assert told.value == 0


def test_what_is_fed_in_may_be_used_as_well() -> None:
    meter = Meter()
    assert meter.hear(-10, seconds=60).value == 73


def test_a_meter_that_is_not_heard_means_the_safe_current() -> None:
    meter = Meter()
    meter.hear(20, seconds=60)
    assert meter.guard.due(meter.now) == meter.now + SETTINGS.max_age
    assert meter.hear(None, seconds=4).state is State.ACTIVE
    stale = meter.hear(None)
    assert (stale.state, stale.value) == (State.STALE, 16)
    assert meter.guard.due(meter.now) is None
    assert meter.hear(20).value == 16
    assert meter.hear(20).value == 18


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), float("-inf")])
def test_rubbish_is_not_measured(rubbish: float) -> None:
    meter = Meter()
    meter.hear(20, seconds=60)
    assert meter.hear(rubbish, seconds=4).value == 43
    assert meter.hear(rubbish).state is State.STALE


def test_one_phase_that_is_not_heard() -> None:
    guard = FuseGuard(SETTINGS)
    for now in range(1, 60):
        guard.measured((20, None, 20), (0, 0, 0), float(now))
    [told] = guard.limits(59.0)
    assert (told.state, told.phases, told.value) == (State.STALE, (43, 16, 43), 16)


def test_memory_is_bounded() -> None:
    guard = FuseGuard(SETTINGS)
    for step in range(10_000):
        guard.measured((20, 20, 20), (0, 0, 0), step / 10)
    assert all(len(line._best) == len(line._worst) <= 10 * SETTINGS.window + 1 for line in guard._lines)
    assert all(len(line._own) <= 10 * LAG + 1 for line in guard._lines)


class Loop:
    """A second at a time: cars draw what was allowed `slow` s ago, the meters tell of `late` and `own_late` s ago."""

    def __init__(self, fuse: FuseSettings, slow: int, late: int, own_late: int) -> None:
        self.guard = FuseGuard(fuse)
        self.slow, self.late, self.own_late = slow, late, own_late
        self.building: list[float] = []
        self.own: list[float] = []
        self.limit: list[float] = []

    def step(self, building: float, wanted: float, shown: Callable[[float], float]) -> None:
        allowed = self.limit[-self.slow] if len(self.limit) >= self.slow else 0.0
        self.building.append(building)
        self.own.append(min(wanted, allowed))
        grid = shown(self._ago(self.building, self.late) + self._ago(self.own, self.late))
        own = self._ago(self.own, self.own_late)
        now = float(len(self.own))
        self.guard.measured((grid, grid, grid), (own, own, own), now)
        [limit] = self.guard.limits(now)
        assert limit.value is not None
        self.limit.append(limit.value)

    @staticmethod
    def _ago(values: list[float], seconds: int) -> float:
        return values[max(0, len(values) - 1 - seconds)]


LOADS = st.lists(st.tuples(st.floats(0, 70), st.integers(1, 25)), max_size=12)
LATE = st.integers(0, 2)


@settings(max_examples=300, deadline=None)
@given(
    LOADS, st.sampled_from([6.0, 32.0, 64.0]), st.integers(1, 5), LATE, st.integers(0, 1), st.sampled_from([0, 40])
)
def test_what_cars_draw_was_free_a_moment_ago(
    story: list[tuple[float, int]], wanted: float, slow: int, late: int, own_late: int, idle: int
) -> None:
    """So an overload ends within the window and what meters and cars take, if the building stays as it is. Cars may
    have to react twice, each LAG s late at worst: a change of their own that one meter knows and the other does not
    may hide a part at first.
    """
    fuse = FuseSettings(rating=63, margin=1, safe_current=0, rise=4)
    loop = Loop(fuse, slow, late, own_late)
    moment = int(fuse.window) + late + 2 * (slow + int(LAG) + own_late)
    for _ in range(idle):
        loop.step(0.0, 0.0, shown=round)  # the cars come later
    for building, seconds in story:
        for _ in range(seconds):
            loop.step(building, wanted, shown=round)
            free = 63 - min(loop.building[-moment - 1 :])
            assert loop.own[-1] <= max(0.0, free) + 1e-9


@settings(max_examples=100, deadline=None)
@given(LOADS, st.floats(0, 60), st.integers(1, 5), LATE, LATE)
def test_in_a_building_that_rests_the_cars_get_all_that_is_free(
    story: list[tuple[float, int]], building: float, slow: int, late: int, own_late: int
) -> None:
    loop = Loop(SETTINGS, slow, late, own_late)
    for load, seconds in story:
        for _ in range(seconds):
            loop.step(load, 64, shown=round)
    for _ in range(180):
        loop.step(building, 64, shown=round)
    last = loop.own[-20:]
    assert max(last) - min(last) <= 2  # the meter tells full A
    assert 63 - building - 2.5 <= min(last) <= max(last) <= 63 - building + 1
