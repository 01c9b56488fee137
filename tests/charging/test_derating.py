"""Derating by temperature."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.derating import BACKLASH, ThermalDerating, ThermalSettings
from agent.charging.limits import State

CURVE = ((60.0, 32.0), (70.0, 16.0), (80.0, 6.0))
SETTINGS = ThermalSettings(CURVE, safe_current=10)


def value(temperatures: list[float]) -> float | None:
    """What holds for EVSE 1 after them, a second apart."""
    thermal = ThermalDerating(SETTINGS, (1,))
    for now, temperature in enumerate(temperatures):
        thermal.measured(temperature, now)
    return thermal.limits(len(temperatures) - 1)[0].value


@pytest.mark.parametrize(
    ("temperature", "amps"),
    [(-40, None), (59.9, None), (60, 32), (65, 24), (70, 16), (71, 15), (79.99, 6.0), (80, 6), (500, 6)],
)
def test_straight_between_the_points(temperature: float, amps: float | None) -> None:
    assert value([temperature]) == amps


def test_it_falls_at_once_and_grows_when_it_is_a_kelvin_cooler() -> None:
    assert value([65, 70]) == 16
    assert value([70, 69.2]) == 16
    assert value([70, 68]) == 17.6
    assert value([60, 59.5]) == 32
    assert value([60, 58.9]) is None


@given(st.lists(st.floats(-50, 150), min_size=1, max_size=30))
def test_never_more_than_the_curve_and_never_less_than_a_kelvin_above(temperatures: list[float]) -> None:
    last = temperatures[-1]
    held, cool, warm = (math.inf if one is None else one for one in (value(temperatures), value([last]),
                                                                     value([last + BACKLASH])))  # fmt: skip
    assert warm <= held <= cool


@given(st.floats(55, 85), st.lists(st.floats(0, BACKLASH - 1e-6), max_size=30))
def test_noise_within_a_kelvin_is_no_change(hottest: float, noise: list[float]) -> None:
    assert value([hottest, *(hottest - one for one in noise)]) == value([hottest])


def test_each_evse_has_its_limit() -> None:
    thermal = ThermalDerating(SETTINGS, (1, 2))
    assert [(one.scope, one.state, one.value) for one in thermal.limits(0)] == [
        (1, State.INIT, 10),
        (2, State.INIT, 10),
    ]
    thermal.measured(20, 1)
    assert [(one.state, one.value) for one in thermal.limits(1)] == [(State.RELEASED, None)] * 2
    thermal.measured(65, 2)
    assert [(one.kind, one.state, one.value, one.changed) for one in thermal.limits(3)] == [
        ("Thermal", State.ACTIVE, 24, 3)
    ] * 2
    assert thermal.limits(4)[0].changed == 3


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
def test_a_sensor_that_is_not_heard_means_the_safe_current(nothing: float | None) -> None:
    thermal = ThermalDerating(SETTINGS, (1,))
    thermal.measured(20, 0)
    thermal.measured(nothing, 29)
    assert thermal.due(29) == 30
    assert thermal.limits(29.9)[0].state is State.RELEASED
    assert [(one.state, one.value) for one in thermal.limits(30)] == [(State.STALE, 10)]
    assert thermal.due(30) is None
    thermal.measured(20, 31)
    assert thermal.limits(31)[0].value is None
