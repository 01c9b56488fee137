"""The state of connectors, EVSEs and the station, as far as the hardware alone decides it."""

import pytest

from agent.board import load
from agent.evse.availability import Availability
from agent.model import Characteristics, Component, DataType, DeviceModel, Variable
from agent.station import build_model

Told = list[tuple[int, int, str]]


@pytest.fixture
def model() -> DeviceModel:
    """bench-ac: EVSE 1 with two connectors, EVSE 2 with one, an RCD each."""
    return build_model(load("bench-ac")).model


def rcd(model: DeviceModel, evse: int) -> Variable:
    found = model.get(Component("RCD", evse=evse), "Tripped")
    assert found is not None
    return found


def state(model: DeviceModel, component: Component) -> object:
    found = model.get(component, "AvailabilityState")
    assert found is not None
    return found.actual.value


def started(model: DeviceModel) -> tuple[Availability, Told]:
    told: Told = []
    return Availability(model, lambda *change: told.append(change)), told


def test_a_sound_station_is_available_everywhere_and_says_nothing(model: DeviceModel) -> None:
    availability, told = started(model)
    assert availability.connectors() == [(1, 1, "Available"), (1, 2, "Available"), (2, 1, "Available")]
    assert state(model, Component("EVSE", evse=2)) == state(model, Component("ChargingStation")) == "Available"
    rcd(model, 1).update(False)
    assert told == []


def test_a_tripped_rcd_takes_its_evse_and_no_other(model: DeviceModel) -> None:
    _, told = started(model)
    rcd(model, 1).update(True)
    assert told == [(1, 1, "Faulted"), (1, 2, "Faulted")]
    assert state(model, Component("EVSE", evse=1)) == "Faulted"
    assert state(model, Component("EVSE", evse=2)) == state(model, Component("ChargingStation")) == "Available"
    rcd(model, 1).update(False)
    assert told[2:] == [(1, 1, "Available"), (1, 2, "Available")]


def test_a_station_whose_every_evse_is_faulted_is_faulted(model: DeviceModel) -> None:
    started(model)
    rcd(model, 1).update(True)
    rcd(model, 2).update(True)
    assert state(model, Component("ChargingStation")) == "Faulted"
    rcd(model, 2).update(False)
    assert state(model, Component("ChargingStation")) == "Available"


def test_a_protection_that_can_no_longer_be_read_keeps_what_it_said_last(model: DeviceModel) -> None:
    availability, told = started(model)
    rcd(model, 2).update(True)
    rcd(model, 2).update(None)
    assert availability.connectors()[2] == (2, 1, "Faulted") and len(told) == 1
    rcd(model, 2).update(False)
    assert availability.connectors()[2] == (2, 1, "Available")


def test_of_two_protections_both_must_be_sound(model: DeviceModel) -> None:
    second = model.add(Variable(Component("RCD", "DC", evse=2), "Tripped", Characteristics(DataType.BOOLEAN)))
    availability, _ = started(model)
    rcd(model, 2).update(True)
    second.update(True)
    rcd(model, 2).update(False)
    assert availability.connectors()[2] == (2, 1, "Faulted")
    second.update(False)
    assert availability.connectors()[2] == (2, 1, "Available")


def test_a_protection_of_the_whole_station_takes_all_of_it(model: DeviceModel) -> None:
    main = model.add(Variable(Component("RCD"), "Tripped", Characteristics(DataType.BOOLEAN)))
    availability, _ = started(model)
    main.update(True)
    assert {one for _, _, one in availability.connectors()} == {"Faulted"}
    assert state(model, Component("ChargingStation")) == "Faulted"


def test_a_protection_that_has_tripped_before_counts_from_the_start(model: DeviceModel) -> None:
    rcd(model, 1).update(True)
    availability, told = started(model)
    assert availability.connectors() == [(1, 1, "Faulted"), (1, 2, "Faulted"), (2, 1, "Available")]
    assert told == []


def test_without_evses_there_is_nothing_to_be_available() -> None:
    model = build_model(load("bench-battery")).model
    main = model.add(Variable(Component("RCD"), "Tripped", Characteristics(DataType.BOOLEAN)))
    availability, told = started(model)
    main.update(True)
    assert availability.connectors() == [] == told
