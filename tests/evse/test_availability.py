"""The state of connectors, EVSEs and the station: faults, cables, reservations, and what the CSMS asks for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse.availability import Availability
from agent.model import Characteristics, Component, DataType, DeviceModel, Variable
from tests.evse.station_parts import STATES, Told, Transactions, power_cut, rcd, started, state, station

World = tuple[Availability, Told, Transactions]


@pytest.fixture
def model() -> DeviceModel:
    """EVSE 1 with two connectors, EVSE 2 with one, an RCD each."""
    return station()


@pytest.fixture
def world(model: DeviceModel) -> World:
    return started(model)


def states(availability: Availability) -> list[str]:
    """Of the connectors (1, 1), (1, 2) and (2, 1)."""
    return [one for _, _, one in availability.connectors()]


# --- faults -------------------------------------------------------------------------------------------------------


def test_a_sound_station_is_available_everywhere_and_says_nothing(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    assert availability.connectors() == [(1, 1, "Available"), (1, 2, "Available"), (2, 1, "Available")]
    assert state(model, 2) == state(model) == "Available"
    rcd(model, 1).update(False)
    assert told == []


def test_a_tripped_rcd_takes_its_evse_and_no_other(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    rcd(model, 1).update(True)
    assert told == [(1, 1, "Faulted"), (1, 2, "Faulted")]
    assert availability.faulted(1) and not availability.usable(1) and not availability.usable(1, 2)
    assert not availability.faulted(2) and availability.usable(2, 1)
    assert state(model, 1) == "Faulted"
    assert state(model, 2) == state(model) == "Available"
    rcd(model, 1).update(False)
    assert told[2:] == [(1, 1, "Available"), (1, 2, "Available")]


def test_a_station_whose_every_evse_is_faulted_is_faulted(model: DeviceModel, world: World) -> None:
    rcd(model, 1).update(True)
    rcd(model, 2).update(True)
    assert state(model) == "Faulted"
    rcd(model, 2).update(False)
    assert state(model) == "Available"


def test_a_protection_that_can_no_longer_be_read_keeps_what_it_said_last(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    rcd(model, 2).update(True)
    rcd(model, 2).update(None)
    assert availability.status(2, 1) == "Faulted" and len(told) == 1
    rcd(model, 2).update(False)
    assert availability.status(2, 1) == "Available"


def test_of_two_protections_both_must_be_sound(model: DeviceModel) -> None:
    second = model.add(Variable(Component("RCD", "DC", evse=2), "Tripped", Characteristics(DataType.BOOLEAN)))
    availability, _, _ = started(model)
    rcd(model, 2).update(True)
    second.update(True)
    rcd(model, 2).update(False)
    assert availability.status(2, 1) == "Faulted"
    second.update(False)
    assert availability.status(2, 1) == "Available"


def test_a_protection_of_the_whole_station_takes_all_of_it(model: DeviceModel) -> None:
    main = model.add(Variable(Component("RCD"), "Tripped", Characteristics(DataType.BOOLEAN)))
    availability, _, _ = started(model)
    main.update(True)
    assert set(states(availability)) == {"Faulted"}
    assert state(model) == "Faulted"


def test_a_protection_that_has_tripped_before_counts_from_the_start(model: DeviceModel) -> None:
    rcd(model, 1).update(True)
    availability, told, _ = started(model)
    assert states(availability) == ["Faulted", "Faulted", "Available"]
    assert told == []


def test_a_fault_of_one_connector_leaves_the_other_and_the_evse(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    availability.set_fault(1, 2, "contactor", True)
    availability.set_fault(1, 2, "controller 7", True)
    assert told == [(1, 2, "Faulted")] and state(model, 1) == "Available"
    availability.set_fault(1, 2, "contactor", False)
    assert availability.status(1, 2) == "Faulted"
    availability.set_fault(1, 2, "controller 7", False)
    availability.set_fault(1, 2, "never there", False)
    assert told[1:] == [(1, 2, "Available")]


def test_an_evse_whose_every_connector_is_faulted_is_faulted(model: DeviceModel, world: World) -> None:
    availability, _, _ = world
    availability.set_fault(1, 1, "lock", True)
    availability.set_fault(1, 2, "lock", True)
    assert availability.faulted(1) and state(model, 1) == "Faulted"


def test_a_fault_may_take_the_whole_station(model: DeviceModel, world: World) -> None:
    availability, _, _ = world
    availability.set_fault(None, None, "emergency stop", True)
    assert set(states(availability)) == {"Faulted"} and state(model) == "Faulted"
    availability.set_fault(None, None, "emergency stop", False)
    assert set(states(availability)) == {"Available"}


def test_places_that_do_not_exist_are_told_apart_from_sound_ones(world: World) -> None:
    availability, _, _ = world
    for call in (
        lambda: availability.set_fault(3, None, "x", True),
        lambda: availability.set_fault(2, 2, "x", True),
        lambda: availability.set_occupied(2, 2, True),
        lambda: availability.usable(3),
        lambda: availability.usable(2, 2),
    ):
        with pytest.raises(KeyError):
            call()


def test_without_evses_there_is_nothing_to_be_available() -> None:
    model = DeviceModel()
    main = model.add(Variable(Component("RCD"), "Tripped", Characteristics(DataType.BOOLEAN)))
    availability, told, _ = started(model)
    main.update(True)
    assert availability.connectors() == [] == told


# --- cables (G01) -------------------------------------------------------------------------------------------------


def test_a_cable_makes_its_connector_occupied_until_it_is_pulled(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    availability.set_occupied(1, 2, True)
    availability.set_occupied(1, 2, True)
    assert told == [(1, 2, "Occupied")]
    assert state(model, 1) == "Occupied" and state(model) == "Available"
    availability.set_occupied(1, 2, False)
    assert told[1:] == [(1, 2, "Available")]
    assert state(model, 1) == "Available"


def test_of_the_other_connector_of_that_evse_nothing_is_told(world: World) -> None:
    availability, told, _ = world
    availability.set_occupied(1, 2, True)
    assert [change for change in told if change[1] == 1] == [] and availability.status(1, 1) == "Available"


def test_a_station_with_a_car_at_every_evse_is_occupied(model: DeviceModel, world: World) -> None:
    availability, _, _ = world
    availability.set_occupied(1, 1, True)
    availability.set_occupied(2, 1, True)
    assert state(model) == "Occupied"


def test_a_cable_that_came_in_a_fault_shows_when_the_fault_is_gone(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    rcd(model, 2).update(True)
    availability.set_occupied(2, 1, True)
    rcd(model, 2).update(False)
    assert told == [(2, 1, "Faulted"), (2, 1, "Occupied")]


# --- reserved -----------------------------------------------------------------------------------------------------


def test_a_reserved_evse_shows_it_on_all_its_connectors(model: DeviceModel, world: World) -> None:
    availability, told, _ = world
    availability.set_reserved(frozenset({1}))
    assert told == [(1, 1, "Reserved"), (1, 2, "Reserved")] and state(model, 1) == "Reserved"
    availability.set_reserved(frozenset())
    assert told[2:] == [(1, 1, "Available"), (1, 2, "Available")]


@pytest.mark.requirement("G01.FR.09", "G03.FR.09")
def test_a_reserved_connector_stays_reserved_when_a_cable_is_plugged_in(world: World) -> None:
    availability, told, _ = world
    availability.set_reserved(frozenset({2}))
    availability.set_occupied(2, 1, True)
    availability.set_occupied(2, 1, False)
    assert told == [(2, 1, "Reserved")]


def test_with_the_reservation_gone_the_cable_shows(world: World) -> None:
    availability, told, _ = world
    availability.set_reserved(frozenset({2}))
    availability.set_occupied(2, 1, True)
    availability.set_reserved(frozenset())
    assert told == [(2, 1, "Reserved"), (2, 1, "Occupied")]


def test_a_fault_does_not_turn_a_cable_without_the_right_into_a_user(world: World) -> None:
    availability, told, _ = world
    availability.set_reserved(frozenset({2}))
    availability.set_occupied(2, 1, True)
    availability.set_fault(2, 1, "lock", True)
    availability.set_fault(2, 1, "lock", False)
    assert [one for *_, one in told] == ["Reserved", "Faulted", "Reserved"]
    availability.change(2, None, False)
    availability.change(2, None, True)
    assert availability.status(2, 1) == "Reserved"


def test_who_was_there_before_stays_occupied_when_the_evse_becomes_reserved(world: World) -> None:
    availability, told, _ = world
    availability.set_occupied(2, 1, True)
    availability.set_reserved(frozenset({2}))
    availability.set_fault(2, 1, "lock", True)
    availability.set_fault(2, 1, "lock", False)
    availability.set_occupied(2, 1, False)
    assert [one for *_, one in told] == ["Occupied", "Faulted", "Occupied", "Reserved"]


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


# --- any order of anything ----------------------------------------------------------------------------------------

CONNECTORS = [(1, 1), (1, 2), (2, 1)]
PLACES: list[tuple[int | None, int | None]] = [(None, None), (1, None), (2, None), *CONNECTORS]

_STEPS = st.one_of(
    st.tuples(st.just("cable"), st.sampled_from(CONNECTORS), st.booleans()),
    st.tuples(st.just("fault"), st.sampled_from(PLACES), st.booleans()),
    st.tuples(st.just("operative"), st.sampled_from(PLACES), st.booleans()),
    st.tuples(st.just("reserved"), st.sampled_from([(1, None), (2, None)]), st.booleans()),
)


class Rule:
    """What is to come out, as a plain rule of what has happened: the first that holds, from Faulted to Available."""

    def __init__(self) -> None:
        self.on: dict[str, set[tuple[int | None, int | None]]] = {
            kind: set() for kind in ("cable", "fault", "inoperative", "reserved", "kept")
        }

    def take(self, kind: str, place: tuple[int | None, int | None], value: bool) -> None:
        if kind == "operative":
            kind, value = "inoperative", not value
        if kind == "cable" and value and place not in self.on["cable"] and (place[0], None) in self.on["reserved"]:
            self.on["kept"].add(place)
        (self.on[kind].add if value else self.on[kind].discard)(place)
        if not value and kind in ("cable", "reserved"):
            self.on["kept"] -= {one for one in CONNECTORS if one == place or (kind, one[0]) == ("reserved", place[0])}

    def state(self, place: tuple[int, int]) -> str:
        above = {place, (place[0], None), (None, None)}
        for kind, name in (("fault", "Faulted"), ("inoperative", "Unavailable")):
            if self.on[kind] & above:
                return name
        if place in self.on["cable"] - self.on["kept"]:
            return "Occupied"
        return "Reserved" if (place[0], None) in self.on["reserved"] else "Available"


@pytest.mark.requirement("G01.FR.01")
@given(st.lists(_STEPS, max_size=40))
def test_the_machine_of_the_table_follows_the_rule_and_each_change_is_told_once(
    steps: list[tuple[str, tuple[int | None, int | None], bool]],
) -> None:
    model = station()
    availability, told, _ = started(model)
    rule = Rule()
    for kind, place, value in steps:
        before, known = availability.connectors(), len(told)
        rule.take(kind, place, value)
        evse, connector = place
        if kind == "operative":
            assert availability.change(evse, connector, value) == "Accepted"
        elif kind == "fault":
            availability.set_fault(evse, connector, "fault", value)
        elif kind == "reserved":
            availability.set_reserved(frozenset(one for one, _ in rule.on["reserved"] if one is not None))
        else:
            assert evse is not None and connector is not None
            availability.set_occupied(evse, connector, value)
        after = availability.connectors()
        assert after == [(*one, rule.state(one)) for one in CONNECTORS]
        assert told[known:] == [new for old, new in zip(before, after, strict=True) if old != new]
        parts = {one: {new for number, _, new in after if number == one} for one in (1, 2)}
        for one, found in parts.items():
            assert state(model, one) in found and state(model, one) in STATES
            assert availability.usable(one) == bool(found - {"Faulted", "Unavailable"})
        assert (state(model) == "Available") == ("Available" in {state(model, 1), state(model, 2)})


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.booleans(), st.sets(st.sampled_from([1, 2]))), max_size=20))
def test_whatever_was_asked_in_transactions_holds_when_they_are_over_and_over_a_power_cut(
    asked: list[tuple[tuple[int | None, int | None], bool, set[int]]],
) -> None:
    availability, _, transactions = started(station())
    last: dict[tuple[int | None, int | None], bool] = {}
    for place, operative, running in asked:
        transactions.running = set(running)
        availability.transaction_ended()
        last[place] = operative
        answer = availability.change(*place, operative)
        waits = transactions.busy(place[0])
        assert answer == "Accepted" or (answer == "Scheduled" and waits)
    again, _, _ = started(station())
    again.from_json(availability.to_json())
    transactions.running = set()
    for one in (availability, again):
        one.transaction_ended()
        for evse, connector in CONNECTORS:
            above = ((evse, connector), (evse, None), (None, None))
            operative = all(last.get(place, True) for place in above)
            assert one.status(evse, connector) == ("Available" if operative else "Unavailable")
    assert availability.to_json() == again.to_json()
