"""When meter values are due: by the monotonic clock, and at instants of a wall clock that can be corrected."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse.meter_times import LATE, Instants, Periodic
from tests.evse.meter_parts import START, Clock


def day(hour: int, minute: int, second: float = 0) -> datetime:
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC) + timedelta(seconds=second)


def test_a_period_counts_from_the_start_and_makes_nothing_up() -> None:
    clock = Clock()
    periodic = Periodic(clock, clock.monotonic())
    assert periodic.due(60) == 1060.0 and not periodic.fire(60)
    clock.move(60)
    assert periodic.fire(60) and not periodic.fire(60)
    clock.move(150)  # late for two of them: one
    assert periodic.fire(60) and not periodic.fire(60)
    assert periodic.due(60) == 1240.0


def test_a_period_does_not_hear_of_a_corrected_clock() -> None:
    clock = Clock()
    periodic = Periodic(clock, clock.monotonic())
    clock.correct(-86_400)
    clock.move(60)
    assert periodic.fire(60)


def test_a_new_period_starts_with_the_change() -> None:
    clock = Clock()
    periodic = Periodic(clock, clock.monotonic())
    assert periodic.due(0) is None and not periodic.fire(0)
    clock.move(95)
    assert not periodic.fire(60)
    assert periodic.due(60) == 1120.0


def test_instants_are_counted_from_midnight() -> None:
    clock = Clock()
    instants = Instants(clock)
    assert instants.due(900) == 1000.0 + 8 * 60
    clock.move(8 * 60)
    assert instants.fire(900) == day(12, 15) and instants.fire(900) is None
    assert instants.due(900) == 1000.0 + 23 * 60


def test_each_day_starts_anew_where_the_interval_does_not_divide_it() -> None:
    clock = Clock()
    instants = Instants(clock)
    clock.wall = datetime(2026, 3, 1, 23, 59, 30, tzinfo=UTC)
    assert instants.due(7 * 3600) == 1030.0
    clock.move(30)
    assert instants.fire(7 * 3600) == datetime(2026, 3, 2, tzinfo=UTC)
    assert instants.due(100_000) == 1030.0 + 86_400


def test_an_instant_before_the_start_is_not_sampled() -> None:
    clock = Clock()
    clock.wall = day(12, 15, 3)
    instants = Instants(clock)
    assert instants.fire(900) is None and instants.due(900) == 1000.0 + 897


@pytest.mark.parametrize(
    ("late", "dated"),
    [(0.4, day(12, 15)), (20, day(12, 15, 20)), (LATE + 1, None)],
)
def test_who_is_late_says_so_and_who_is_too_late_is_silent(late: float, dated: datetime | None) -> None:
    clock = Clock()
    instants = Instants(clock)
    clock.move(8 * 60 + late)
    assert instants.fire(900) == dated


def test_an_interval_that_is_set_just_after_an_instant_waits_for_the_next() -> None:
    clock = Clock()
    instants = Instants(clock)
    assert instants.due(0) is None and instants.fire(0) is None
    clock.move(8 * 60 + 5)
    assert instants.fire(900) is None and instants.due(900) == 1000.0 + 23 * 60


def test_a_clock_that_is_set_back_repeats_no_instant() -> None:
    clock = Clock()
    instants = Instants(clock)
    clock.move(8 * 60)
    assert instants.fire(900) == day(12, 15)
    clock.correct(-120)
    assert instants.due(900) == clock.monotonic() + 17 * 60
    clock.move(120)
    assert instants.fire(900) is None


def test_a_clock_that_was_years_ahead_samples_on_when_it_is_right() -> None:
    clock = Clock()
    instants = Instants(clock)
    clock.move(8 * 60)
    assert instants.fire(900) is not None
    clock.correct(-5 * 365 * 86_400)
    clock.move(900)
    assert instants.fire(900) is not None


def test_instants_that_a_correction_skipped_were_never_measured() -> None:
    clock = Clock()
    instants = Instants(clock)
    clock.correct(3600)
    assert instants.fire(900) is None
    assert instants.due(900) == 1000.0 + 8 * 60


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 1000)),
        st.tuples(st.just("correct"), st.floats(-4000, 4000)),
    ),
    max_size=30,
)


@given(MOVES, st.sampled_from([1, 60, 100, 900, 3600]))
def test_no_instant_comes_twice_and_none_that_was_not_there(moves: list[tuple[str, float]], interval: int) -> None:
    clock = Clock()
    instants = Instants(clock)
    seen: list[datetime] = []
    for kind, seconds in moves:
        if kind == "correct":
            clock.correct(seconds)
        else:
            clock.move(seconds)
        at = instants.fire(interval)
        if at is None:
            due = instants.due(interval)
            assert due is not None and due > clock.monotonic()
            continue
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        late = (at - midnight) % timedelta(seconds=interval)
        assert timedelta(0) <= clock.now() - at < timedelta(seconds=1) and late <= timedelta(seconds=LATE)
        seen.append(at - late)
    assert len(set(seen)) == len(seen)


@given(st.floats(0, 86_400), st.sampled_from([60, 420, 900, 3600]))
def test_without_corrections_none_is_missed(offset: float, interval: int) -> None:
    clock = Clock()
    clock.wall = START + timedelta(seconds=offset)
    instants = Instants(clock)
    seen = []
    for _ in range(20):
        due = instants.due(interval)
        assert due is not None
        clock.move(due - clock.monotonic() + 0.01)
        seen.append(instants.fire(interval))
    assert None not in seen
    for one, following in pairwise(seen):
        assert one is not None and following is not None
        new_day = following.date() != one.date()
        assert following - one == timedelta(seconds=interval) or (new_day and following.hour == following.minute == 0)
