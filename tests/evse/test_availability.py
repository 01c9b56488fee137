"""The state of connectors, EVSEs and the station: faults, cables and reservations, in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Characteristics, Component, DataType, DeviceModel, Variable
from tests.evse.station_parts import STATES, World, rcd, started, state, states, station


@pytest.fixture
def model() -> DeviceModel:
    """EVSE 1 with two connectors, EVSE 2 with one, an RCD each."""
    return station()


@pytest.fixture
def world(model: DeviceModel) -> World:
    return started(model)


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
