"""Periodic on elapsed time, PeriodicClockAligned on the wall clock (N08)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.monitoring.periods import boundaries
from tests.monitoring.monitoring_parts import ALIGNED, PERIODIC, START, Station


@pytest.mark.requirement("N08.FR.05", "N08.FR.06")
def test_periodic_counts_from_its_setting() -> None:
    station = Station()
    station.put(PERIODIC, 300)
    assert station.monitors.due() == station.clock.time + 300
    assert station.run(299) == []
    assert station.run(602) == ["12:12:30", "12:17:30", "12:22:30"]
    assert {(one.trigger, one.actual, one.cleared) for one in station.fired} == {("Periodic", "20", None)}


@pytest.mark.requirement("N08.FR.06")
def test_periodic_knows_no_wall_clock() -> None:
    station = Station()
    station.put(PERIODIC, 300)
    station.clock.wall -= timedelta(days=400)
    assert len(station.run(600)) == 2
    station.clock.wall += timedelta(days=800)
    assert len(station.run(299)) == 0


def test_periodic_makes_nothing_up_and_does_not_drift() -> None:
    station = Station()
    station.put(PERIODIC, 10)
    station.clock.move(10.4)
    station.monitors.step()
    assert station.monitors.due() == 1020
    station.clock.move(60)
    station.monitors.step()
    assert len(station.fired) == 2
    assert station.monitors.due() == pytest.approx(1080.4)


@pytest.mark.requirement("N08.FR.07")
def test_aligned_counts_from_midnight() -> None:
    station = Station()
    station.put(ALIGNED, 900)
    due = station.monitors.due()
    assert due is not None and due - station.clock.time == 450
    assert station.run(3600) == ["12:15:00", "12:30:00", "12:45:00", "13:00:00"]


@pytest.mark.requirement("N08.FR.07")
def test_aligned_begins_anew_at_midnight() -> None:
    station = Station()
    station.put(ALIGNED, 7 * 3600)
    assert station.run(86_400, 30) == ["14:00:00", "21:00:00", "00:00:00", "07:00:00"]


def test_two_with_one_interval_share_its_boundaries() -> None:
    station = Station()
    first = station.put(ALIGNED, 900, 5)
    station.run(450 + 0.5, 450)
    station.clock.move(0)
    second = station.put(ALIGNED, 900, 6)
    station.run(900, 60)
    assert [one.monitor.id for one in station.fired if one.monitor] == [first, first, second]
    station.monitors.clear(first)
    assert len(station.run(900, 60)) == 1
    station.monitors.clear(second)
    assert station.monitors.due() is None


def test_a_boundary_just_passed_is_not_that_of_a_monitor_set_after_it() -> None:
    station = Station()
    station.put(ALIGNED, 900, 5)
    station.clock.move(450.2)
    late = station.put(ALIGNED, 900, 6)
    station.clock.move(0.1)
    station.monitors.step()
    assert [one.monitor.id == late for one in station.fired if one.monitor] == [False]


@pytest.mark.requirement("N08.FR.07")
@pytest.mark.parametrize(
    ("at", "jump", "told"),
    [
        # over a boundary by a little: told a little late, and once
        (449, 3, ["12:15:02", "12:30:00"]),
        # far over it: it never came
        (100, 1200, ["12:30:00", "12:45:00"]),
        (100, 86_400 * 365, ["12:15:00", "12:30:00"]),
        # back by a little after it: not told again
        (451, -3, ["12:15:00", "12:30:00"]),
        # far back: 12:15 comes again
        (451, -600, ["12:15:00", "12:15:00"]),
        (451, -86_410, ["12:15:00", "12:15:00"]),
    ],
)
def test_aligned_through_a_jump_of_the_clock(at: float, jump: float, told: list[str]) -> None:
    station = Station()
    station.put(ALIGNED, 900)
    station.run(at)
    station.clock.wall += timedelta(seconds=jump)
    station.monitors.step()
    station.run(1800)
    assert [one.time.strftime("%H:%M:%S") for one in station.fired][:2] == told


@pytest.mark.requirement("N08.FR.03")
def test_offline_the_slight_ones_are_dropped_the_grave_ones_told() -> None:
    station = Station()
    station.put(PERIODIC, 60, 3)
    station.put(PERIODIC, 60, 7)
    station.put(ALIGNED, 60, 7)
    station.monitors.queue_up_to(3)
    station.monitors.online(False)
    station.run(180)
    assert [one.severity for one in station.fired] == [3, 3, 3]
    station.monitors.online(True)
    assert len(station.fired) == 3
    station.run(60)
    assert sorted(one.severity for one in station.fired[3:]) == [3, 7, 7]


@pytest.mark.requirement("N07.FR.15")
def test_above_the_level_time_goes_on_in_silence() -> None:
    station = Station()
    station.put(PERIODIC, 60, 7)
    station.monitors.set_level(6)
    assert station.run(90) == []
    station.monitors.set_level(7)
    assert station.run(30) == ["12:09:30"]


def test_modified_it_counts_anew_and_the_old_interval_is_gone() -> None:
    station = Station()
    id = station.put(PERIODIC, 60)
    station.run(59)
    assert station.set(PERIODIC, 30, id=id).accepted
    assert station.run(31) == ["12:08:59"]
    assert station.set(ALIGNED, 30, id=id).accepted
    assert station.run(61) == ["12:09:30", "12:10:00"]


def test_many_that_come_and_go_leave_nothing_behind() -> None:
    station = Station()
    for _ in range(1000):
        station.monitors.clear(station.put(PERIODIC, 60))
    assert station.monitors.due() is None and station.run(120) == []
    queue = station.monitors._active.periods._queue
    assert len(queue) < 50


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
    st.one_of(st.integers(1, 400_000), st.floats(1, 90_000).map(lambda x: round(x, 3))),
)
def test_boundaries_enclose_the_moment(naive: datetime, interval: float) -> None:
    now = naive.replace(tzinfo=UTC)
    last, following = boundaries(now, interval)
    assert last <= now < following
    assert following - last <= timedelta(seconds=interval)
    assert boundaries(last, interval)[0] == last and boundaries(following, interval)[0] == following
    midnight = START.replace(hour=0, minute=0, second=0)
    if interval <= 86_400 and 86_400 % interval == 0:
        assert ((last - midnight) / timedelta(seconds=interval)).is_integer()
