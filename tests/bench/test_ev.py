"""The EV behind the plug: what it asks for, what it draws, how full it becomes."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bench.ev import Ev, EvSettings
from drivers.bench.refusals import Unusable


def ev(**told: Any) -> Ev:
    return Ev(EvSettings().changed(told))


def after(car: Ev, seconds: float, duty: float, closed: bool = True, phases: int = 3) -> tuple[float, ...]:
    """What it draws when so much time has passed in tenths of a second."""
    for _ in range(round(seconds * 10)):
        car.step(0.1, duty, closed, phases)
    return car.current


@pytest.mark.parametrize(
    ("told", "duty", "asked"),
    [
        ({}, 0, "B"),
        ({}, 5.9, "B"),
        ({}, 6, "C"),
        ({}, 32, "C"),
        ({"ready": False}, 32, "B"),
        ({"soc": 100}, 32, "B"),
        ({"ventilation": True}, 16, "D"),
        ({"ventilation": True}, 0, "B"),
        ({"ignores_offer": True}, 0, "C"),
    ],
)
def test_it_asks_for_energy_when_it_wants_some_and_is_offered_some(told: Any, duty: float, asked: str) -> None:
    assert ev(**told).asks(duty) == asked


@pytest.mark.parametrize(
    ("told", "duty", "drawn"),
    [
        ({}, 16, 16),
        ({}, 32, 32),
        ({"max_current": 10}, 16, 10),
        ({"max_current": 40}, 16, 16),
        ({"max_power": 6900}, 32, 10),
        ({"max_power": 2300, "phases": 1}, 32, 10),
        ({}, 5, 0),
        ({"overdraw": 1.3}, 10, 13),
        ({"ignores_offer": True, "max_current": 20}, 6, 20),
        ({"max_current": 0}, 16, 0),
    ],
)
def test_it_draws_the_least_of_what_is_offered_and_what_it_can(told: Any, duty: float, drawn: float) -> None:
    current = after(ev(**told), 10, duty)
    assert current[0] == pytest.approx(drawn)


@pytest.mark.parametrize(
    ("own", "supplied", "used"), [(3, 3, (8, 8, 8)), (2, 3, (8, 8, 0)), (1, 3, (8, 0, 0)), (3, 1, (8, 0, 0))]
)
def test_it_loads_its_own_phases_as_far_as_they_are_there(own: int, supplied: int, used: Any) -> None:
    assert after(ev(phases=own), 10, 8, phases=supplied) == used


def test_its_current_ramps_and_is_gone_at_once_behind_an_open_contactor() -> None:
    car = ev()
    rising = [after(car, 0.5, 32)[0] for _ in range(8)]
    assert rising == sorted(rising)
    assert 0 < rising[0] < 16 < rising[-1] == 32
    assert 6 <= after(car, 0.1, 6)[0] < 32
    assert after(car, 0.1, 32, closed=False) == (0, 0, 0)


def test_it_tapers_from_80_percent_on_and_becomes_full() -> None:
    assert after(ev(soc=80), 10, 32)[0] == pytest.approx(32, rel=0.01)
    assert after(ev(soc=90), 10, 32)[0] == pytest.approx(16, rel=0.01)
    car = ev(soc=99.9, capacity_wh=1000)
    after(car, 60, 32)
    assert (car.soc, car.asks(32), car.current) == (100, "B", (0, 0, 0))


@given(
    st.floats(0, 100),
    st.floats(1, 1e5),
    st.integers(1, 3),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 80), st.booleans()), max_size=30),
)
def test_what_it_has_drawn_is_what_it_has_stored(soc: float, capacity: float, phases: int, steps: Any) -> None:
    car = ev(soc=soc, capacity_wh=capacity, phases=phases)
    counted = 0.0
    for seconds, duty, closed in steps:
        car.step(seconds, duty, closed, 3)
        counted += sum(car.power()) * seconds / 3600
        assert sum(1 for current in car.current if current) in (0, phases)
        assert max(car.current) <= max(32, duty)
    assert math.isclose(car.energy_wh, counted, abs_tol=1e-9)
    assert math.isclose(car.soc, min(100, soc + 100 * counted / capacity), rel_tol=1e-9)


def test_one_that_sleeps_wakes_by_its_plug_or_its_driver() -> None:
    car = ev(sleeps_after=5)
    after(car, 4, 0)
    assert car.asks(16) == "C"
    after(car, 20, 16)
    assert car.asks(16) == "C"
    after(car, 6, 0)
    assert car.asks(16) == "B"
    after(car, 20, 16)
    assert car.asks(16) == "B"
    car.change({"ready": True})
    assert car.asks(16) == "C"


def test_it_shows_what_it_was_told_and_its_charge_now() -> None:
    usual = {"ready": True, "max_current": 32, "phases": 3, "soc": 40, "capacity_wh": 60000, "max_power": None}
    assert ev().state() == usual
    assert ev(overdraw=1.3).state() == usual | {"overdraw": 1.3}
    car = ev(capacity_wh=1000)
    after(car, 36, 10)
    assert car.state()["soc"] == pytest.approx(40 + 100 * car.energy_wh / 1000)
    car.change({"soc": 80, "max_current": 10})
    assert (car.state()["soc"], car.state()["max_current"]) == (80, 10)


@pytest.mark.parametrize(
    "told",
    [
        {"colour": "red"},
        {"ready": 1},
        {"max_current": "32"},
        {"max_current": -1},
        {"max_current": None},
        {"max_current": True},
        {"phases": 4},
        {"phases": 0},
        {"phases": 3.0},
        {"phases": True},
        {"soc": 101},
        {"soc": -1},
        {"soc": math.nan},
        {"capacity_wh": 0},
        {"max_power": "many"},
        {"max_power": math.inf},
        {"ignores_offer": None},
        {"overdraw": -1},
        {"sleeps_after": False},
        {"ventilation": "yes"},
    ],
)
def test_what_no_ev_can_be_is_refused_and_nothing_changes(told: Any) -> None:
    car = ev()
    before = car.state()
    with pytest.raises(Unusable):
        car.change({"soc": 50, **told})
    assert car.state() == before | ({"soc": 40} if "soc" not in told else {})
