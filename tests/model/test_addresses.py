"""Addresses: names match without regard to case; an address survives being printed and read (part 1 §4.1, §4.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import (
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    UnknownComponent,
    UnknownVariable,
    Variable,
    VariableName,
    parse_place,
)
from agent.model.address import is_identifier

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
NAMES = st.text(LETTERS + "*-_=:+|", min_size=1, max_size=50)
INSTANCES = st.none() | st.text(LETTERS + "*-_=:+|@.", min_size=1, max_size=50)
PLACES = st.sampled_from([(None, None), (1, None), (1, 1), (12, 3)])


@st.composite
def components(draw: st.DrawFn) -> Component:
    return Component(draw(NAMES), draw(INSTANCES), *draw(PLACES))


VARIABLE_NAMES = st.builds(VariableName, NAMES, INSTANCES)


def whole_number(component: Component, name: VariableName | str) -> Variable:
    return Variable(component, name, Characteristics(DataType.INTEGER))


@given(components(), VARIABLE_NAMES)
def test_a_place_survives_being_printed_and_read(component: Component, name: VariableName) -> None:
    read_component, read_name = parse_place(f"{component}.{name}")
    assert (str(read_component), str(read_name)) == (str(component), str(name))
    assert (read_component, read_name) == (component, name)


@given(components(), VARIABLE_NAMES)
def test_a_variable_is_found_whatever_the_case_of_its_names(component: Component, name: VariableName) -> None:
    model = DeviceModel()
    variable = model.add(whole_number(component, name))
    shouted = Component(
        component.name.upper(), component.instance and component.instance.upper(), component.evse, component.connector
    )
    whispered = VariableName(name.name.lower(), name.instance and name.instance.lower())
    assert model.find(shouted, whispered) is variable
    assert shouted in model
    assert shouted == component
    assert hash(shouted) == hash(component)
    assert whispered == name


@given(components(), components())
def test_components_are_the_same_only_where_name_instance_and_tier_are(one: Component, other: Component) -> None:
    parts = [(c.name.lower(), (c.instance or "").lower(), c.evse, c.connector) for c in (one, other)]
    assert (one == other) is (parts[0] == parts[1])


def test_names_keep_the_case_in_which_they_were_declared() -> None:
    model = DeviceModel()
    model.add(whole_number(Component("AirCoolingSystem"), "FanSpeed"))
    assert str(model.find(Component("aircoolingsystem"), VariableName("fanspeed"))) == "AirCoolingSystem.FanSpeed"


@pytest.mark.requirement("B06.FR.14", "B06.FR.15")
def test_an_instance_left_out_or_empty_names_the_one_without_instance() -> None:
    model = DeviceModel()
    plain = model.add(whole_number(Component("Fan"), "Speed"))
    second = model.add(whole_number(Component("Fan", "2"), "Speed"))
    only_l1 = model.add(whole_number(Component("Meter"), VariableName("Voltage", "L1")))
    model.add(whole_number(Component("Relay", "K1"), "Closed"))
    assert model.find(Component("Fan", ""), VariableName("Speed", "")) is plain
    assert model.find(Component("Fan", "2"), VariableName("Speed")) is second
    assert model.find(Component("Meter"), VariableName("Voltage", "L1")) is only_l1
    with pytest.raises(UnknownVariable):
        model.find(Component("Meter"), VariableName("Voltage"))
    with pytest.raises(UnknownComponent):
        model.find(Component("Relay"), VariableName("Closed"))


@pytest.mark.requirement("B05.FR.04", "B06.FR.06")
@pytest.mark.parametrize("component", [Component("Pump"), Component("Fan", "2"), Component("Fan", None, 1)])
def test_a_component_that_is_not_there_is_unknown(component: Component) -> None:
    model = DeviceModel()
    model.add(whole_number(Component("Fan"), "Speed"))
    with pytest.raises(UnknownComponent):
        model.find(component, VariableName("Speed"))
    assert model.get(component, "Speed") is None
    assert component not in model


@pytest.mark.requirement("B05.FR.05", "B06.FR.07")
@pytest.mark.parametrize("name", [VariableName("Colour"), VariableName("Speed", "2")])
def test_a_variable_that_its_component_does_not_have_is_unknown(name: VariableName) -> None:
    model = DeviceModel()
    model.add(whole_number(Component("Fan"), "Speed"))
    with pytest.raises(UnknownVariable):
        model.find(Component("Fan"), name)


def test_an_address_is_given_once_whatever_its_case() -> None:
    model = DeviceModel()
    model.add(whole_number(Component("Fan"), "Speed"))
    with pytest.raises(ValueError, match="there already"):
        model.add(whole_number(Component("FAN"), "SPEED"))
    assert len(model) == 1


def test_components_and_variables_are_walked_in_the_order_of_their_declaration() -> None:
    model = DeviceModel()
    for component, name in [("B", "b"), ("A", "z"), ("B", "a"), ("A", "y")]:
        model.add(whole_number(Component(component), name))
    assert [str(component) for component in model.components()] == ["B", "A"]
    assert [str(variable) for variable in model.variables()] == ["B.b", "B.a", "A.z", "A.y"]
    assert [str(variable) for variable in model.variables(Component("a"))] == ["A.z", "A.y"]
    assert list(model.variables(Component("C"))) == []


@pytest.mark.parametrize("text", ["", "Fan", "Fan.", ".Speed", "Fan@.Speed", "Fan@x.Speed", "Fan@1,.Speed", "A.B.C"])
def test_a_text_that_is_no_place_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected Component"):
        parse_place(text)


def test_an_identifier_has_only_the_characters_of_part_2() -> None:
    assert is_identifier("aZ09*-_=:+|@.")
    assert not any(is_identifier(text) for text in ["", "a b", "a,b", "ä", "a\n", "a/b", "a[1]"])
