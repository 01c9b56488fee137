"""What the CSMS sets operative and inoperative: at once, after a transaction, and over a power cut (G03, G04)."""

from pathlib import Path

import pytest

from agent.model import DeviceModel
from tests.evse.station_parts import World, power_cut, started, state, states, station


@pytest.fixture
def model() -> DeviceModel:
    """EVSE 1 with two connectors, EVSE 2 with one, an RCD each."""
    return station()


@pytest.fixture
def world(model: DeviceModel) -> World:
    return started(model)


# --- what the CSMS asks for (G03, G04) ----------------------------------------------------------------------------


@pytest.mark.requirement("G03.FR.02")
def test_one_connector_can_be_made_inoperative(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    assert availability.change(1, 2, False) == "Accepted"
    assert told == [(1, 2, "Unavailable")] and state(model, 1) == "Available"
    assert not availability.usable(1, 2) and availability.usable(1) and not availability.inoperative(1)


@pytest.mark.requirement("G03.FR.06", "G03.FR.07")
def test_an_evse_takes_its_connectors_along_and_gives_them_back_as_they_are(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    availability.set_occupied(1, 1, True)
    availability.set_fault(1, 2, "lock", True)
    told.clear()
    assert availability.change(1, None, False) == "Accepted"
    assert told == [(1, 1, "Unavailable")], "what is Faulted stays Faulted"
    assert availability.inoperative(1) and state(model, 1) == "Unavailable" and state(model) == "Available"
    assert availability.change(1, None, True) == "Accepted"
    assert told[1:] == [(1, 1, "Occupied")] and availability.status(1, 2) == "Faulted"


@pytest.mark.requirement("G03.FR.07")
def test_a_connector_that_was_set_by_itself_stays_so_when_its_evse_comes_back(world: World) -> None:
    availability, _, _ = world
    availability.change(1, 2, False)
    availability.change(1, None, False)
    availability.change(1, None, True)
    assert states(availability) == ["Available", "Unavailable", "Available"]
    assert availability.change(1, 2, True) == "Accepted"
    assert states(availability) == ["Available", "Available", "Available"]


@pytest.mark.requirement("G04.FR.01", "G04.FR.03", "G04.FR.07", "G04.FR.08")
def test_the_station_takes_everything_along_and_gives_it_back_as_it_is(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    availability.change(2, None, False)
    availability.set_fault(1, 2, "lock", True)
    told.clear()
    assert availability.change(None, None, False) == "Accepted"
    assert told == [(1, 1, "Unavailable")]
    assert state(model) == state(model, 1) == state(model, 2) == "Unavailable"
    assert availability.change(None, None, True) == "Accepted"
    assert states(availability) == ["Available", "Faulted", "Unavailable"] and state(model) == "Available"


@pytest.mark.requirement("G03.FR.03", "G04.FR.04")
@pytest.mark.parametrize("place", [(None, None), (1, None), (1, 2)])
def test_what_is_so_already_is_accepted_even_in_a_transaction(
    world: World, place: tuple[int | None, int | None]
) -> None:
    availability, told, transactions = world
    availability.change(*place, False)
    told.clear()
    transactions.running = {1}
    assert availability.change(*place, False) == "Accepted"
    transactions.running = set()
    availability.change(*place, True)
    transactions.running = {1}
    told.clear()
    assert availability.change(*place, True) == "Accepted" and told == []


@pytest.mark.parametrize("place", [(3, None), (2, 2), (None, 1), (0, None)])
def test_a_place_that_does_not_exist_is_rejected_and_nothing_changes(
    world: World, place: tuple[int | None, int | None]
) -> None:
    availability, told, _ = world
    before = availability.to_json()
    assert availability.change(*place, False) == "Rejected"
    assert told == [] and availability.to_json() == before


@pytest.mark.requirement("G03.FR.05")
@pytest.mark.parametrize("connector", [None, 1])
def test_a_change_waits_for_the_transaction_of_its_evse(world: World, connector: int | None) -> None:
    availability, told, transactions = world
    availability.set_occupied(1, 1, True)
    transactions.running = {1}
    told.clear()
    assert availability.change(1, connector, False) == "Scheduled"
    assert availability.change(1, connector, False) == "Scheduled"
    assert availability.change(2, None, False) == "Accepted", "there is no transaction on EVSE 2"
    assert not availability.transaction_ended(1), "busy still tells of it"
    assert told == [(2, 1, "Unavailable")] and availability.usable(1, 1)
    transactions.running = set()
    assert availability.transaction_ended(1)
    assert availability.status(1, 1) == "Unavailable"
    assert not availability.transaction_ended(1)


@pytest.mark.requirement("G04.FR.06")
def test_the_station_waits_for_the_last_transaction_and_idle_evses_start_no_other(world: World) -> None:
    availability, told, transactions = world
    availability.set_occupied(1, 1, True)
    availability.set_occupied(2, 1, True)
    transactions.running = {1, 2}
    told.clear()
    assert availability.change(None, None, False) == "Scheduled"
    assert told == []
    transactions.running = {2}
    assert not availability.transaction_ended(1), "nothing new to store"
    assert told == [(1, 1, "Unavailable"), (1, 2, "Unavailable")]
    transactions.running = set()
    assert availability.transaction_ended(2)
    assert states(availability) == ["Unavailable"] * 3
    assert availability.change(None, None, True) == "Accepted"
    assert states(availability) == ["Occupied", "Available", "Occupied"]


def test_a_transaction_that_has_no_evse_yet_keeps_every_evse_open(world: World) -> None:
    availability, told, transactions = world
    transactions.running = {None}
    assert availability.change(None, None, False) == "Scheduled" and told == []
    transactions.running = set()
    assert availability.transaction_ended(None)
    assert states(availability) == ["Unavailable"] * 3


def test_a_change_that_waits_is_called_off_by_its_contrary(world: World) -> None:
    availability, told, transactions = world
    transactions.running = {1}
    assert availability.change(None, None, False) == "Scheduled"
    assert availability.change(None, None, True) == "Accepted"
    transactions.running = set()
    assert not availability.transaction_ended(1)
    assert told == [(2, 1, "Unavailable"), (2, 1, "Available")]


def test_a_cable_that_is_pulled_while_a_change_waits_leaves_the_connector_unavailable_at_once(world: World) -> None:
    availability, told, transactions = world
    availability.set_occupied(2, 1, True)
    transactions.running = {2}
    availability.change(2, None, False)
    availability.set_occupied(2, 1, False)
    transactions.running = set()
    availability.transaction_ended(2)
    assert told == [(2, 1, "Occupied"), (2, 1, "Unavailable")]


def test_who_plugs_in_again_in_the_same_transaction_is_occupied_again(world: World) -> None:
    availability, told, transactions = world
    availability.set_occupied(2, 1, True)
    transactions.running = {2}
    availability.change(2, 1, False)
    availability.set_occupied(2, 1, False)
    availability.set_occupied(2, 1, True)
    assert [one for *_, one in told] == ["Occupied", "Unavailable", "Occupied"]
    availability.set_occupied(2, 1, False)
    availability.change(2, 1, True)
    assert availability.status(2, 1) == "Available"
    assert availability.change(2, 1, False) == "Scheduled"
    assert availability.status(2, 1) == "Available", "no cable was pulled since"


# --- over a power cut ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("G01.FR.02", "G03.FR.08", "G04.FR.09", "B01.FR.07", "B11.FR.02")
def test_what_was_set_is_so_again_after_a_start_tier_by_tier(world: World, tmp_path: Path) -> None:
    availability, _, _ = world
    for place in ((None, None), (1, None), (1, 2)):
        availability.change(*place, False)
    again, told, _ = started(station())
    again.from_json(power_cut(tmp_path, availability.to_json()))
    assert told == [(1, 1, "Unavailable"), (1, 2, "Unavailable"), (2, 1, "Unavailable")]
    again.change(None, None, True)
    assert states(again) == ["Unavailable", "Unavailable", "Available"]
    again.change(1, None, True)
    assert states(again) == ["Available", "Unavailable", "Available"]


@pytest.mark.requirement("G03.FR.08", "G04.FR.09")
def test_what_was_scheduled_is_still_to_come_after_a_start(world: World, tmp_path: Path) -> None:
    availability, _, transactions = world
    availability.change(2, None, False)
    transactions.running = {1, 2}
    availability.change(1, 1, False)
    availability.change(2, None, True)
    again, _, resumed = started(station())
    resumed.running = {1}
    again.from_json(power_cut(tmp_path, availability.to_json()))
    assert states(again) == ["Available", "Available", "Unavailable"]
    assert again.transaction_ended(), "the transaction on EVSE 2 did not outlast the power cut"
    assert states(again) == ["Available", "Available", "Available"]
    resumed.running = set()
    assert again.transaction_ended(1)
    assert states(again) == ["Unavailable", "Available", "Available"]


def test_of_places_that_the_board_no_longer_has_nothing_is_left(world: World) -> None:
    availability, _, _ = world
    availability.change(1, 2, False)
    availability.change(2, None, False)
    again, _, _ = started(station({1: ("sType2",)}))
    again.from_json(availability.to_json())
    assert again.to_json() == started(station())[0].to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "{}",
        '{"inoperative": [], "scheduled": [[1, null]]}',
        '{"inoperative": [["1", null]], "scheduled": []}',
        '{"inoperative": [[[], null]], "scheduled": []}',
    ],
)
def test_what_is_no_stored_availability_is_refused_and_changes_nothing(world: World, text: str) -> None:
    availability, told, _ = world
    availability.change(1, None, False)
    before = availability.to_json()
    with pytest.raises(ValueError, match="no stored availability"):
        availability.from_json(text)
    assert availability.to_json() == before and len(told) == 2
