"""Current and duty at the pilot, and how an offer may change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse.power import MIN_CURRENT, RISE_SECONDS, Offer, current_of, duty_of


@pytest.mark.parametrize(
    ("current", "duty"),
    [(0, 1.0), (6, 0.1), (10, 0.1667), (16, 0.2667), (32, 0.5333), (51, 0.85), (80, 0.96)],
)
def test_a_current_has_the_duty_of_the_standard(current: float, duty: float) -> None:
    assert duty_of(current) == pytest.approx(duty, abs=1e-4)


@pytest.mark.parametrize("current", [-6.0, 0.1, 5.9, 80.1, float("nan"), float("inf")])
def test_a_current_without_a_duty_is_refused(current: float) -> None:
    with pytest.raises(ValueError, match="no duty"):
        duty_of(current)


@given(st.one_of(st.floats(6, 51), st.floats(52.51, 80)))
def test_the_car_reads_the_current_that_was_meant(current: float) -> None:
    assert current_of(duty_of(current)) == pytest.approx(current, abs=1e-9)


@given(st.floats(51, 52.5))
def test_between_the_two_lines_of_the_standard_the_car_reads_less_than_was_meant(current: float) -> None:
    assert 50.6 <= current_of(duty_of(current)) <= current + 1e-9


@pytest.mark.parametrize(
    ("duty", "current"),
    [
        (0.0, 0),
        (0.05, 0),
        (0.0799, 0),
        (0.08, 6),
        (0.0999, 6),
        (0.1, 6),
        (0.85, 51),
        (0.965, 80),
        (0.975, 0),
        (1.0, 0),
    ],
)
def test_a_duty_at_the_edges(duty: float, current: float) -> None:
    assert current_of(duty) == pytest.approx(current)


@given(st.floats(0.1, 0.96), st.floats(0.1, 0.96))
def test_more_duty_is_never_less_current(one: float, other: float) -> None:
    assert current_of(min(one, other)) <= current_of(max(one, other)) + 1e-9


def test_the_first_offer_is_made_at_once() -> None:
    offer = Offer()
    assert offer.step(16, 100.0) == 16


def test_a_lower_limit_is_offered_at_once_and_a_higher_one_after_standing_still() -> None:
    offer = Offer()
    offer.step(16, 100.0)
    assert offer.step(10, 100.1) == 10
    assert offer.due(16) == 100.1 + RISE_SECONDS
    assert offer.step(16, 100.1 + RISE_SECONDS - 0.01) == 10
    assert offer.step(16, 100.1 + RISE_SECONDS) == 16


def test_less_than_the_least_current_is_no_offer() -> None:
    offer = Offer()
    offer.step(16, 0.0)
    assert offer.step(5.99, 1.0) == 0


def test_an_adopted_offer_may_fall_at_once() -> None:
    offer = Offer()
    offer.adopt(20)
    assert offer.step(20, 5.0) == 20
    assert offer.step(8, 5.0) == 8


@given(st.lists(st.tuples(st.floats(0, 80), st.floats(0, 10)), min_size=1, max_size=40))
def test_never_above_the_limit_and_never_a_rise_within_five_seconds(steps: list[tuple[float, float]]) -> None:
    offer, now, changed, before = Offer(), 0.0, None, 0.0
    for limit, wait in steps:
        now += wait
        current = offer.step(limit, now)
        assert current == 0 or MIN_CURRENT <= current <= limit
        if current > before and changed is not None:
            assert now - changed >= RISE_SECONDS - 1e-9
        if current != before:
            changed, before = now, current
