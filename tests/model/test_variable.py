"""Variables: the fan of part 1 §4.3, what a reading does, and who is told of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import (
    Attribute,
    AttributeType,
    Characteristics,
    Component,
    DataType,
    Refusal,
    Value,
    Variable,
    check,
)
from tests.model.fan import fan_speed

TARGET = AttributeType.TARGET


@pytest.mark.requirement("B05.FR.08")
def test_target_600_of_a_fan_that_may_be_set_to_500_is_too_high() -> None:
    answer = check(fan_speed(), TARGET, "600")
    assert isinstance(answer, Refusal)
    assert answer.code == "ValueTooHigh"


def test_target_500_is_taken() -> None:
    assert check(fan_speed(), TARGET, "500") == 500.0


@pytest.mark.parametrize("measured", [502.0, 1002.0, -3.0])
def test_what_the_fan_is_measured_to_do_is_reported_whatever_its_limits(measured: float) -> None:
    fan = fan_speed(target=500.0)
    fan.update(measured, 12.5)
    assert fan.actual.value == measured
    assert fan.actual.time == 12.5
    assert float(fan.actual.text()) == measured
    assert fan.value(TARGET) == 500.0


@given(st.floats() | st.integers() | st.booleans() | st.text() | st.none())
def test_no_reading_is_refused(value: Value | None) -> None:
    fan = fan_speed()
    fan.update(value, 1.0)
    assert fan.actual.value is value
    assert isinstance(fan.actual.text(), str)


def test_only_actual_is_there_by_default_and_it_is_unset() -> None:
    variable = Variable(Component("Fan"), "FanSpeed", Characteristics(DataType.DECIMAL))
    assert list(variable.attributes) == [AttributeType.ACTUAL]
    assert variable.actual.text() == ""
    assert variable.value(TARGET) is None


def test_attributes_are_listed_in_the_order_of_the_specification() -> None:
    assert list(fan_speed().attributes) == ["Actual", "Target", "MinSet", "MaxSet"]


@pytest.mark.requirement("B06.FR.13")
def test_an_unset_target_reads_as_an_empty_text() -> None:
    assert fan_speed().attributes[TARGET].text() == ""


def test_a_computed_value_is_asked_for_at_each_reading() -> None:
    numbers = iter([1, 2, 3])
    variable = Variable(
        Component("ClockCtrlr"), "Ticks", Characteristics(DataType.INTEGER), Attribute(source=lambda: next(numbers))
    )
    assert [variable.actual.text(), variable.value(AttributeType.ACTUAL), variable.actual.current] == ["1", 2, 3]


class Heard:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.changes: list[tuple[Value | None, Value | None]] = []

    def __call__(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        assert variable.actual.value is new
        self.changes.append((old, new))


def test_a_listener_hears_each_change_and_no_repeat() -> None:
    fan, heard = fan_speed(), Heard()
    fan.listen(heard)
    for value in (300.0, 300.0, 301.0, None, None, 302.0):
        fan.update(value)
    assert heard.changes == [(None, 300.0), (300.0, 301.0), (301.0, None), (None, 302.0)]


def test_a_repeat_is_as_fresh_as_a_change() -> None:
    fan = fan_speed()
    fan.listen(Heard())
    fan.update(300.0, 1.0)
    fan.update(300.0, 2.0)
    assert fan.actual.time == 2.0


def test_a_listener_that_stopped_hears_nothing_and_the_others_go_on() -> None:
    fan, gone, staying = fan_speed(), Heard(), Heard()
    stop = fan.listen(gone)
    fan.listen(staying)
    stop()
    stop()
    fan.update(300.0)
    assert (gone.changes, staying.changes) == ([], [(None, 300.0)])


def test_a_listener_may_stop_while_it_is_told() -> None:
    fan, after = fan_speed(), Heard()
    once = Heard()

    def stop_at_once(variable: Variable, old: Value | None, new: Value | None) -> None:
        once(variable, old, new)
        stop()

    stop = fan.listen(stop_at_once)
    fan.listen(after)
    fan.update(1.0)
    fan.update(2.0)
    assert once.changes == [(None, 1.0)]
    assert after.changes == [(None, 1.0), (1.0, 2.0)]


def test_a_sensor_that_goes_on_saying_nan_is_no_change_each_time() -> None:
    fan, heard = fan_speed(), Heard()
    fan.listen(heard)
    fan.update(math.nan)
    fan.update(math.nan)
    fan.update(1.0)
    assert len(heard.changes) == 2
