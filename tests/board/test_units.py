"""Units: what a point measures becomes what the variable is reported in."""

import pytest

from agent.board.units import conversion


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (1.5, "kW", "W", 1500),
        (1234.567, "kWh", "Wh", 1234567),
        (250, "mA", "A", 0.25),
        (230, "V", "V", 230),
        (2, "h", "s", 7200),
        (212, "Fahrenheit", "Celsius", 100),
        (-40, "Celsius", "Fahrenheit", -40),
        (273.15, "K", "Celsius", 0),
        (0, "Celsius", "K", 273.15),
        (1013, "hPa", "kPa", 101.3),
    ],
)
def test_a_value_becomes_the_same_value_in_another_unit(
    value: float, source: str, target: str, expected: float
) -> None:
    found = conversion(source, target)
    assert found is not None
    factor, offset = found
    assert value * factor + offset == pytest.approx(expected, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize(
    ("source", "target"), [("A", "W"), ("Wh", "W"), ("Celsius", "Percent"), ("", "W"), ("kw", "W")]
)
def test_quantities_that_differ_have_no_conversion(source: str, target: str) -> None:
    assert conversion(source, target) is None
