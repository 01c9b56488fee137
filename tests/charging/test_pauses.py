"""How often an EVSE is paused and resumed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.pauses import HOUR, Pauses


def test_it_resumes_until_the_pauses_of_the_hour_are_used() -> None:
    pauses = Pauses(3)
    for now in (0.0, 100.0):
        pauses.paused(now)
        assert pauses.may_resume(now + 10)
        assert pauses.due(now + 10) is None
    pauses.paused(200.0)
    assert not pauses.may_resume(210.0)
    assert pauses.due(210.0) == HOUR
    assert not pauses.may_resume(HOUR - 1)
    assert pauses.may_resume(HOUR)
    pauses.paused(HOUR + 5)
    assert pauses.due(HOUR + 6) == HOUR + 100


def test_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Pauses(0)


@given(st.integers(1, 5), st.lists(st.integers(1, 1500), min_size=30, max_size=80))
def test_never_more_than_declared_in_any_hour_and_never_stuck(per_hour: int, waits: list[int]) -> None:
    """A limit that pauses as soon as it can, whoever resumes when he may."""
    pauses = Pauses(per_hour)
    now, times = 0.0, list[float]()
    for wait in waits:
        pauses.paused(now)
        times.append(now)
        assert sum(now - HOUR < time <= now for time in times) <= per_hour
        free = pauses.due(now + wait)
        assert free is None or now + wait < free <= now + HOUR
        now = now + wait if free is None else free
        assert pauses.may_resume(now)
