"""Reservations: which can be had, which are refused, and which are called off (H01, H02)."""

from datetime import timedelta

import pytest

from tests.evse.reservation_parts import ALICE, BOB, EVE, HOUR, THREE, World
from tests.evse.station_parts import rcd, state


@pytest.fixture
def world() -> World:
    """EVSE 1 with an sType2 and a cCCS2, EVSE 2 with an sType2."""
    return World()


# --- H01: one EVSE


@pytest.mark.requirement("H01.FR.03")
def test_a_free_evse_can_be_reserved_and_all_its_connectors_show_it(world: World) -> None:
    assert world.reserve(7, ALICE, 1) == "Accepted"
    assert world.told == [(1, 1, "Reserved"), (1, 2, "Reserved")]
    assert world.reservations.reserved_evses() == {1} and state(world.model, 1) == "Reserved"


@pytest.mark.requirement("H01.FR.11")
def test_an_evse_that_is_reserved_or_occupied_is_occupied(world: World) -> None:
    world.reserve(7, ALICE, 1)
    assert world.reserve(8, BOB, 1) == "Occupied"
    world.plug(2)
    assert world.reserve(9, BOB, 2) == "Occupied"
    assert world.reserve(10, BOB) == "Occupied", "no EVSE is left"
    assert world.reserve(11, BOB, None, "cCCS2") == "Occupied"


def test_an_evse_with_a_transaction_but_no_cable_yet_is_occupied(world: World) -> None:
    world.transactions.running = {2}
    assert world.reserve(7, ALICE, 2) == "Occupied"


@pytest.mark.requirement("H01.FR.12")
def test_a_faulted_target_is_faulted(world: World) -> None:
    rcd(world.model, 1).update(True)
    assert world.reserve(7, ALICE, 1) == "Faulted"
    assert world.reserve(7, ALICE, None, "cCCS2") == "Faulted"
    assert world.reserve(7, ALICE) == "Accepted", "EVSE 2 is sound"
    rcd(world.model, 2).update(True)
    assert world.reserve(8, ALICE) == "Faulted"


def test_the_connector_that_is_asked_for_counts_not_its_neighbour(world: World) -> None:
    world.availability.set_fault(1, 2, "lock", True)
    assert world.reserve(7, ALICE, 1, "cCCS2") == "Faulted"
    assert world.reserve(7, ALICE, 1, "sType2") == "Accepted"


@pytest.mark.requirement("H01.FR.14")
def test_an_unavailable_target_is_unavailable(world: World) -> None:
    world.availability.change(1, None, False)
    assert world.reserve(7, ALICE, 1) == "Unavailable"
    rcd(world.model, 2).update(True)
    assert world.reserve(7, ALICE) == "Unavailable", "one Unavailable, one Faulted"


@pytest.mark.requirement("H01.FR.01")
def test_without_reservations_each_is_rejected(world: World) -> None:
    world.set("Enabled", False)
    assert world.reserve(7, ALICE, 1) == "Rejected" and world.told == []


@pytest.mark.requirement("H01.FR.19")
@pytest.mark.parametrize("value", [False, None])
def test_without_evse_only_where_the_station_says_so(world: World, value: bool | None) -> None:
    world.set("NonEvseSpecific", value)
    assert world.reserve(7, ALICE) == world.reserve(7, ALICE, None, "sType2") == "Rejected"
    assert world.reserve(7, ALICE, 1) == "Accepted"


@pytest.mark.parametrize(("evse", "kind"), [(3, None), (0, None), (2, "cCCS2"), (None, "Pan"), (1, "")])
def test_what_the_station_does_not_have_is_rejected(world: World, evse: int | None, kind: str | None) -> None:
    assert world.reserve(7, ALICE, evse, kind) == "Rejected" and world.reservations.reserved_evses() == frozenset()


@pytest.mark.parametrize("expiry", [timedelta(0), -HOUR])
def test_what_has_expired_already_is_rejected(world: World, expiry: timedelta) -> None:
    assert world.reserve(7, ALICE, 1, expiry=expiry) == "Rejected" and world.reservations.due() is None


@pytest.mark.requirement("H01.FR.02")
def test_the_same_id_replaces(world: World) -> None:
    world.reserve(7, ALICE, 1)
    assert world.reserve(7, BOB, 2) == "Accepted"
    assert world.states() == ["Available", "Reserved"]
    assert not world.reservations.blocks(2, BOB) and world.reservations.blocks(2, ALICE)
    assert world.reserve(7, BOB, 2, expiry=2 * HOUR) == "Accepted", "its own EVSE is no obstacle"
    assert world.reservations.due() == 2 * HOUR.total_seconds()
    assert world.told.count((2, 1, "Reserved")) == 1


def test_what_is_refused_leaves_the_reservation_that_it_was_to_replace(world: World) -> None:
    world.reserve(7, ALICE, 1)
    world.plug(2)
    assert world.reserve(7, ALICE, 2) == "Occupied"
    assert world.states() == ["Reserved", "Occupied"] and not world.reservations.blocks(1, ALICE)


# --- H01: any EVSE, any with a connector of that type


@pytest.mark.requirement("H01.FR.04", "H01.FR.18", "H01.FR.07")
def test_one_evse_is_kept_for_who_reserved_any(world: World) -> None:
    assert world.reserve(7, ALICE) == "Accepted"
    assert world.states() == ["Available", "Available"]
    assert not world.reservations.blocks(1, EVE) and not world.reservations.blocks(2, EVE)
    world.plug(1)
    assert world.states() == ["Occupied", "Reserved"]
    assert not world.reservations.blocks(1, EVE), "EVE got here first"
    assert world.reservations.blocks(2, EVE) and not world.reservations.blocks(2, ALICE)
    world.plug(1, False)
    assert world.states() == ["Available", "Available"]


def test_an_authorized_driver_without_a_cable_takes_an_evse_too(world: World) -> None:
    world.reserve(7, ALICE)
    world.transactions.running = {1}
    assert world.reservations.step() == [] and world.states() == ["Available", "Reserved"]
    assert world.reservations.blocks(2, EVE)


def test_with_as_many_reservations_as_evses_all_of_them_are_reserved(world: World) -> None:
    world.reserve(7, ALICE)
    assert world.reserve(8, BOB) == "Accepted"
    assert world.states() == ["Reserved", "Reserved"]
    assert world.reserve(9, EVE) == world.reserve(9, EVE, 1) == "Occupied"


@pytest.mark.requirement("H01.FR.06", "H01.FR.09")
def test_a_connector_of_the_type_is_kept(world: World) -> None:
    assert world.reserve(7, ALICE, None, "cCCS2") == "Accepted"
    assert world.told == [(1, 1, "Reserved"), (1, 2, "Reserved")]
    assert world.reservations.blocks(1, EVE) and not world.reservations.blocks(2, EVE)


def test_kinds_of_reservations_share_the_evses_as_well_as_can_be() -> None:
    world = World(THREE)
    assert world.reserve(1, ALICE) == world.reserve(2, BOB, None, "cCCS2") == "Accepted"
    assert world.states() == ["Available"] * 3, "whichever one goes, two are left that suit both"
    world.plug(3)
    assert world.states() == ["Reserved", "Reserved", "Occupied"]
    assert world.reservations.blocks(1, ALICE), "BOB could go nowhere else"
    assert not world.reservations.blocks(2, ALICE) and not world.reservations.blocks(1, BOB)
    assert world.reservations.claim(1, ALICE) is None and world.reservations.claim(2, ALICE) == 1


def test_an_evse_that_others_could_need_is_not_given_away_by_name() -> None:
    world = World(THREE)
    world.reserve(1, ALICE, None, "cCCS2")
    world.reserve(2, BOB, None, "cCCS2")
    assert world.states() == ["Reserved", "Available", "Reserved"]
    assert world.reserve(3, EVE, 1) == "Occupied" and world.reserve(3, EVE, 2) == "Accepted"


# --- H02


@pytest.mark.requirement("H02.FR.01")
def test_what_was_not_reserved_cannot_be_cancelled(world: World) -> None:
    world.reserve(7, ALICE, 1)
    assert not world.reservations.cancel(8) and world.states() == ["Reserved", "Available"]


@pytest.mark.requirement("H02.FR.02", "H02.FR.03")
def test_a_cancelled_evse_is_anybodys(world: World) -> None:
    world.reserve(7, ALICE, 1)
    assert world.reservations.cancel(7) and not world.reservations.cancel(7)
    assert world.told[2:] == [(1, 1, "Available"), (1, 2, "Available")]
    assert not world.reservations.blocks(1, EVE) and world.reservations.step() == []


@pytest.mark.requirement("H02.FR.05")
def test_with_one_of_any_cancelled_all_but_what_is_reserved_by_name_are_free() -> None:
    world = World(THREE)
    world.reserve(1, ALICE, 3)
    world.reserve(2, ALICE)
    world.reserve(3, BOB)
    assert world.states() == ["Reserved"] * 3
    world.reservations.cancel(2)
    assert world.states() == ["Available", "Available", "Reserved"]
    assert [world.reservations.blocks(evse, EVE) for evse in THREE] == [False, False, True]
