"""The one owner of time: the wall time can be moved, what measures intervals cannot."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from agent.clock import SystemClock
from agent.model import format_date_time

SECOND = timedelta(seconds=1)


def test_it_starts_with_the_computers_time() -> None:
    clock = SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < 5 * SECOND
    assert abs(clock.monotonic() - time.monotonic()) < 5


@pytest.mark.requirement("B01.FR.06")
@pytest.mark.parametrize("days", [-20_000, -1, 1, 20_000])
def test_a_correction_moves_the_wall_time_and_no_interval(days: int) -> None:
    clock = SystemClock()
    before, wanted = clock.monotonic(), clock.now() + timedelta(days=days)
    assert clock.correct(wanted) == pytest.approx(days * 86_400, abs=5)
    assert abs(clock.now() - wanted) < 5 * SECOND
    assert 0 <= clock.monotonic() - before < 5


def test_wall_time_goes_on_from_the_correction() -> None:
    clock = SystemClock()
    start = datetime(2030, 1, 1, tzinfo=UTC)
    clock.correct(start)
    first = clock.now()
    time.sleep(0.01)
    assert start <= first < clock.now()


def test_two_corrections_do_not_add_up() -> None:
    clock = SystemClock()
    wanted = datetime(2030, 1, 1, tzinfo=UTC)
    clock.correct(wanted - timedelta(days=5))
    assert clock.correct(wanted) == pytest.approx(5 * 86_400, abs=5)
    assert clock.correct(wanted) == pytest.approx(0, abs=5)


def test_the_end_of_time_is_not_taken() -> None:
    """A station whose clock runs over could no longer say anything."""
    clock = SystemClock()
    before = clock.now()
    assert clock.correct(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) == 0.0
    assert abs(clock.now() - before) < 5 * SECOND
    clock.correct(datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert format_date_time(clock.now()).startswith("999")
