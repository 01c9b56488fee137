"""A car that draws more than it is offered, and for how long."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.obedience import GRACE, Obedience


def first(
    obedience: Obedience, offered: Callable[[int], float], drawn: Callable[[int], Sequence[float] | None]
) -> int:
    """The first of 60 seconds at which the car counts as disobedient, -1 if none."""
    told = [now for now in range(60) if obedience.step(offered(now), drawn(now), float(now))]
    return told[0] if told else -1


def test_too_much_is_told_after_the_time() -> None:
    assert first(Obedience(after=10.0, tolerance=2.0), lambda _: 16.0, lambda now: [20.0 if now >= 7 else 16.0]) == 17


def test_the_tolerance_is_obedience_and_the_highest_phase_counts() -> None:
    assert first(Obedience(after=10.0, tolerance=2.0), lambda _: 16.0, lambda _: [18.0, 18.0, 18.0]) == -1
    assert first(Obedience(after=10.0, tolerance=2.0), lambda _: 16.0, lambda _: [0.0, 18.1, 0.0]) == 10


def test_a_fall_that_is_not_followed_is_told_after_the_time() -> None:
    obedience = Obedience(after=10.0, tolerance=2.0)
    assert first(obedience, lambda now: 16.0 if now < 20 else 6.0, lambda _: [16.0] * 3) == 30


def test_a_car_has_its_five_seconds_however_short_the_time() -> None:
    obedience = Obedience(after=1.0, tolerance=2.0)
    assert first(obedience, lambda now: 16.0 if now < 20 else 6.0, lambda now: [16.0 if now < 24 else 6.0]) == -1
    obedience = Obedience(after=1.0, tolerance=2.0)
    told = first(obedience, lambda now: 16.0 if now < 20 else 6.0, lambda _: [16.0])
    assert 19 + GRACE <= told <= 20 + GRACE


def test_a_fall_excuses_nothing_that_was_too_much_before() -> None:
    obedience = Obedience(after=10.0, tolerance=2.0)
    assert first(obedience, lambda now: 16.0 if now < 8 else 6.0, lambda _: [20.0]) == 10


def test_an_offer_was_valid_until_the_next_one() -> None:
    """Though nobody looked for long."""
    obedience = Obedience(after=1.0, tolerance=2.0)
    assert not obedience.step(16.0, [16.0], 0.0)
    assert not obedience.step(6.0, [16.0], 100.0)
    assert not obedience.step(6.0, [16.0], 104.0)
    assert obedience.step(6.0, [16.0], 106.0)


def test_a_pause_is_an_offer_of_nothing() -> None:
    obedience = Obedience(after=10.0, tolerance=2.0)
    assert first(obedience, lambda now: 16.0 if now < 5 else 0.0, lambda _: [6.0]) == 15


def test_a_car_that_follows_late_but_in_time_may_be_lowered_again_and_again() -> None:
    obedience = Obedience(after=10.0, tolerance=0.5)
    assert first(obedience, lambda now: 40.0 - now / 2, lambda now: [40.0 - max(0, now - 4) / 2]) == -1


@pytest.mark.parametrize(("blind", "told"), [(0, 48), (2, 50)])
def test_what_was_late_but_in_time_does_not_count_when_it_follows_no_more(blind: int, told: int) -> None:
    """From 40 s on it stays at what it had: 5 s earlier that was its offer."""

    def drawn(now: int) -> list[float] | None:
        return None if 44 <= now < 44 + blind else [40.0 - max(0, min(now, 40) - 4) / 2]

    assert first(Obedience(after=10.0, tolerance=0.5), lambda now: 40.0 - now / 2, drawn) == told


def test_without_a_measure_no_time_passes() -> None:
    obedience = Obedience(after=10.0, tolerance=2.0)
    assert first(obedience, lambda _: 16.0, lambda now: None if 4 <= now < 24 else [20.0]) == 30
    assert first(Obedience(after=10.0, tolerance=2.0), lambda _: 16.0, lambda _: None) == -1
    assert first(Obedience(after=10.0, tolerance=2.0), lambda _: 16.0, lambda _: []) == -1
    assert first(Obedience(after=10.0, tolerance=2.0), lambda _: 16.0, lambda _: [20.0, float("nan")]) == -1


def test_it_is_over_when_the_car_obeys() -> None:
    obedience = Obedience(after=10.0, tolerance=2.0)
    assert first(obedience, lambda _: 16.0, lambda _: [20.0]) == 10
    assert not obedience.step(16.0, [16.0], 60.0)
    assert not obedience.step(16.0, [20.0], 61.0)
    assert obedience.step(16.0, [20.0], 71.0)


@given(st.lists(st.floats(0, 32), min_size=60, max_size=60), st.integers(0, 4), st.floats(0, 20))
def test_whoever_draws_what_was_offered_within_the_grace_is_obedient(
    offers: list[float], lag: int, after: float
) -> None:
    obedience = Obedience(after=after, tolerance=0.1)
    assert first(obedience, lambda now: offers[now], lambda now: [offers[max(0, now - lag)]]) == -1


@given(st.lists(st.floats(0, 16), min_size=60, max_size=60), st.floats(0, 20))
def test_whoever_draws_more_than_was_ever_offered_is_told_in_time(offers: list[float], after: float) -> None:
    told = first(Obedience(after=after, tolerance=1.0), lambda now: offers[now], lambda _: [18.0])
    assert after <= told <= after + 1
