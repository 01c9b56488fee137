"""The rules that an intention passes before anything moves: a table of cases, each with its reason code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import (
    Attribute,
    AttributeType,
    Characteristics,
    Component,
    DataType,
    Mutability,
    Refusal,
    Variable,
    check,
    check_value,
    nearest,
    to_text,
)
from tests.model.fan import FAN, controller_variable, fan_speed

ACTUAL, TARGET = AttributeType.ACTUAL, AttributeType.TARGET
MIN_SET, MAX_SET = AttributeType.MIN_SET, AttributeType.MAX_SET

MODES = ("EVConnected", "Authorized", "PowerPathClosed")
whole = controller_variable(DataType.INTEGER, min_limit=-5, max_limit=60)
free = controller_variable(DataType.INTEGER)
part = controller_variable(DataType.DECIMAL, min_limit=0.5, max_limit=1.5)
switch = controller_variable(DataType.BOOLEAN, max_limit=1)
moment = controller_variable(DataType.DATE_TIME, max_limit=5)
name = controller_variable(DataType.STRING, max_limit=5)
option = controller_variable(DataType.OPTION_LIST, MODES)
members = controller_variable(DataType.MEMBER_LIST, MODES, max_limit=22)
sequence = controller_variable(DataType.SEQUENCE_LIST, MODES)
password = Variable(
    Component("SecurityCtrlr"),
    "BasicAuthPassword",
    Characteristics(DataType.STRING),
    Attribute("x", Mutability.WRITE_ONLY),
)
constant = Variable(
    Component("C"), "V", Characteristics(DataType.INTEGER), Attribute(1, Mutability.READ_WRITE, constant=True)
)
fan = fan_speed()

OK = ""
CASES = [
    # mutability comes first
    (fan, ACTUAL, "300", "ReadOnly"),
    (fan, ACTUAL, "fast", "ReadOnly"),
    (constant, ACTUAL, "2", "ReadOnly"),
    (password, ACTUAL, "secret", OK),
    # the format of the data type, before any limit
    (fan, TARGET, "fast", "InvalidValue"),
    (fan, TARGET, "", "InvalidValue"),
    (whole, ACTUAL, "100.5", "InvalidValue"),
    (whole, ACTUAL, "0100", "InvalidValue"),
    (switch, ACTUAL, "1", "InvalidValue"),
    (moment, ACTUAL, "tomorrow", "InvalidValue"),
    (option, ACTUAL, "EVConnected,Authorized", "InvalidValue"),
    (members, ACTUAL, "Authorized,Authorized", "InvalidValue"),
    # minLimit..maxLimit, both ends allowed
    (whole, ACTUAL, "-5", OK),
    (whole, ACTUAL, "-6", "ValueTooLow"),
    (whole, ACTUAL, "60", OK),
    (whole, ACTUAL, "61", "ValueTooHigh"),
    (free, ACTUAL, "2147483647", OK),
    (part, ACTUAL, "0.5", OK),
    (part, ACTUAL, "0.499999", "ValueTooLow"),
    (part, ACTUAL, "1.500001", "ValueTooHigh"),
    # of texts and lists alone, maxLimit is the length
    (name, ACTUAL, "", OK),
    (name, ACTUAL, "fünf!", OK),
    (name, ACTUAL, "sechs!", "TooLargeElement"),
    (members, ACTUAL, "EVConnected,Authorized", OK),
    (members, ACTUAL, "EVConnected,PowerPathClosed", "TooLargeElement"),
    (switch, ACTUAL, "true", OK),
    (moment, ACTUAL, "2026-01-31T12:00:00Z", OK),
    # MinSet..MaxSet bound the Target
    (fan, TARGET, "200", OK),
    (fan, TARGET, "199.999999", "ValueTooLow"),
    (fan, TARGET, "500", OK),
    (fan, TARGET, "500.000001", "ValueTooHigh"),
    (fan, TARGET, "-1", "ValueTooLow"),
    (fan, TARGET, "1001", "ValueTooHigh"),
    # MinSet and MaxSet are bounded by minLimit..maxLimit and by each other
    (fan, MIN_SET, "0", OK),
    (fan, MIN_SET, "-1", "ValueTooLow"),
    (fan, MIN_SET, "500", OK),
    (fan, MIN_SET, "501", "ValueTooHigh"),
    (fan, MAX_SET, "1000", OK),
    (fan, MAX_SET, "1001", "ValueTooHigh"),
    (fan, MAX_SET, "200", OK),
    (fan, MAX_SET, "199", "ValueTooLow"),
    # valuesList
    (option, ACTUAL, "Authorized", OK),
    (option, ACTUAL, "authorized", "InvalidValue"),
    (option, ACTUAL, "", "InvalidValue"),
    (members, ACTUAL, "", OK),
    (members, ACTUAL, "DataSigned", "InvalidValue"),
    (sequence, ACTUAL, "PowerPathClosed,EVConnected", OK),
    (sequence, ACTUAL, "PowerPathClosed, EVConnected", OK),
    (sequence, ACTUAL, "PowerPathClosed,DataSigned", "InvalidValue"),
]


@pytest.mark.requirement("B05.FR.07", "B05.FR.08", "B05.FR.09")
@pytest.mark.parametrize(
    ("variable", "kind", "text", "code"),
    CASES,
    ids=[f"{c[0]}-{c[0].characteristics.data_type}-{c[1]}-{c[2]}" for c in CASES],
)
def test_what_is_asked_of_an_intention(variable: Variable, kind: AttributeType, text: str, code: str) -> None:
    answer = check(variable, kind, text)
    assert (answer.code if isinstance(answer, Refusal) else OK) == code
    assert not isinstance(answer, Refusal) or answer.info


def test_a_refusal_names_the_limit_that_was_passed() -> None:
    refusal = check(fan, TARGET, "600")
    assert refusal == Refusal("ValueTooHigh", "600 is above MaxSet 500")
    assert check(fan, TARGET, "1200") == Refusal("ValueTooHigh", "1200 is above maxLimit 1000")


def test_the_board_and_the_factory_may_set_what_is_read_only_and_nothing_out_of_its_limits() -> None:
    assert check_value(fan, ACTUAL, "300") == 300.0
    answer = check_value(fan, ACTUAL, "1001")
    assert isinstance(answer, Refusal)
    assert answer.code == "ValueTooHigh"


def test_checking_changes_nothing() -> None:
    variable = fan_speed(target=300.0)
    for kind in AttributeType:
        check(variable, kind, "400")
    assert [variable.value(kind) for kind in AttributeType] == [None, 300.0, 200.0, 500.0]


@pytest.mark.requirement("B05.FR.06")
def test_an_attribute_that_is_not_there_is_the_callers_to_answer() -> None:
    with pytest.raises(KeyError):
        check(whole, TARGET, "1")


def test_a_set_limit_without_a_value_bounds_nothing() -> None:
    variable = Variable(
        FAN,
        "FanSpeed",
        Characteristics(DataType.INTEGER, max_limit=1000),
        target=Attribute(None, Mutability.READ_WRITE),
        min_set=Attribute(None, Mutability.READ_WRITE),
        max_set=Attribute(None, Mutability.READ_WRITE),
    )
    assert check(variable, TARGET, "-1") == -1
    assert check(variable, MIN_SET, "900") == 900
    assert check(variable, MAX_SET, "1") == 1
    assert nearest(variable, 12345.0) == 12345.0


NUMBERS = st.floats(-2000, 2000).map(lambda number: round(number, 3))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_min_set_never_passes_max_set_and_a_target_never_passes_either(
    low: float, high: float, target: float
) -> None:
    variable = fan_speed()
    for kind, number in ((MIN_SET, low), (MAX_SET, high), (TARGET, target)):
        value = check(variable, kind, to_text(number))
        if not isinstance(value, Refusal):
            variable.attributes[kind].value = value
    bottom, top, wanted = (variable.value(kind) for kind in (MIN_SET, MAX_SET, TARGET))
    assert isinstance(bottom, float)
    assert isinstance(top, float)
    assert 0 <= bottom <= top <= 1000
    assert wanted is None or (isinstance(wanted, float) and bottom <= wanted <= top)


@given(st.floats(-2000, 2000))
def test_the_nearest_allowed_target_is_allowed_and_none_is_nearer(wanted: float) -> None:
    found = nearest(fan, wanted)
    assert 200 <= found <= 500
    assert all(abs(found - wanted) <= abs(other - wanted) for other in (200.0, 500.0))
    assert found == wanted or not 200 <= wanted <= 500
