"""Reservations: for whom an EVSE is kept, and when one ends (H03, H04)."""

import pytest

from tests.evse.auth_parts import card, group
from tests.evse.reservation_parts import ALICE, BOB, EVE, FAMILY, HOUR, THREE, World
from tests.evse.station_parts import rcd


@pytest.fixture
def world() -> World:
    """EVSE 1 with an sType2 and a cCCS2, EVSE 2 with an sType2."""
    return World()


# --- H03


@pytest.mark.requirement("H03.FR.01", "H03.FR.09", "H03.FR.10")
def test_the_token_of_the_reservation_uses_it_up(world: World) -> None:
    world.reserve(7, ALICE, 2)
    assert world.reservations.blocks(2, EVE) and world.reservations.claim(2, EVE) is None
    assert not world.reservations.blocks(2, ALICE) and world.reservations.claim(2, ALICE) == 7
    assert world.told == [(2, 1, "Reserved"), (2, 1, "Available")]
    assert world.reservations.claim(2, ALICE) is None and world.reservations.due() is None


@pytest.mark.requirement("H03.FR.10", "G01.FR.09", "G03.FR.09")
def test_with_the_cable_there_first_the_connector_becomes_occupied(world: World) -> None:
    world.reserve(7, ALICE, 2)
    world.plug(2)
    world.transactions.running = {2}  # TxStartPoint EVConnected
    assert world.reservations.step() == [] and world.told == [(2, 1, "Reserved")]
    assert world.reservations.claim(2, ALICE) == 7
    assert world.told[1:] == [(2, 1, "Occupied")]


def test_a_transaction_of_a_car_without_the_right_leaves_the_evse_kept(world: World) -> None:
    world.plug(1)
    world.reserve(7, ALICE)
    world.plug(2)
    world.transactions.running = {2}  # TxStartPoint EVConnected
    assert world.reservations.step() == [] and world.states() == ["Occupied", "Reserved"]
    assert world.reservations.blocks(2, EVE) and world.reservations.claim(2, ALICE) == 7
    assert world.availability.status(2) == "Occupied"


def test_a_token_is_the_same_in_whatever_case_but_not_of_another_type(world: World) -> None:
    world.reserve(7, card("ABCDEF"), 2)
    assert world.reservations.blocks(2, card("ABCDEF", "ISO15693"))
    assert world.reservations.claim(2, card("abcdef")) == 7


@pytest.mark.requirement("H03.FR.02")
def test_a_type_may_be_used_on_any_evse_that_has_it() -> None:
    world = World(THREE)
    world.reserve(7, ALICE, None, "cCCS2")
    assert world.reservations.claim(2, ALICE) is None, "EVSE 2 has none"
    assert world.reservations.claim(3, ALICE) == 7


@pytest.mark.requirement("H03.FR.03")
def test_any_may_be_used_anywhere_even_where_the_connector_is_not_reserved(world: World) -> None:
    world.reserve(7, ALICE)
    world.plug(1)
    assert world.states() == ["Occupied", "Reserved"]
    assert world.reservations.claim(1, ALICE) == 7
    assert world.reservations.step() == [] and world.states() == ["Occupied", "Available"]


@pytest.mark.requirement("H03.FR.04", "H03.FR.05", "H03.FR.06")
@pytest.mark.parametrize(("evse", "kind"), [(1, None), (None, "cCCS2"), (None, None)])
def test_the_group_opens_it_as_well(world: World, evse: int | None, kind: str | None) -> None:
    world.plug(2)
    world.reserve(7, ALICE, evse, kind, family=FAMILY)
    assert world.reservations.blocks(1, BOB) and world.reservations.blocks(1, BOB, group("OTHERS"))
    assert not world.reservations.blocks(1, BOB, FAMILY)
    assert world.reservations.claim(1, BOB, FAMILY) == 7


def test_a_reservation_without_group_opens_to_no_group(world: World) -> None:
    world.reserve(7, ALICE, 1)
    assert world.reservations.blocks(1, BOB, FAMILY) and not world.reservations.blocks(1, ALICE, FAMILY)


def test_a_token_that_comes_before_its_evse_is_known_claims_the_most_special(world: World) -> None:
    world.reserve(7, ALICE)
    world.reserve(8, ALICE, 2)
    found = world.reservations.match(None, ALICE)
    assert found is not None and (found.id, found.evse) == (8, 2)
    assert world.reservations.claim(None, ALICE) == 8 and world.availability.status(2) == "Available"
    assert world.reservations.claim(None, ALICE) == 7 and world.reservations.claim(None, ALICE) is None


def test_the_reservation_of_another_evse_is_not_used_up(world: World) -> None:
    world.reserve(7, ALICE, 2)
    assert world.reservations.claim(1, ALICE) is None and world.states() == ["Available", "Reserved"]


def test_one_who_comes_does_not_make_the_evse_of_the_other_flicker(world: World) -> None:
    world.reserve(7, ALICE)
    world.reserve(8, BOB)
    world.told.clear()
    assert world.reservations.claim(1, ALICE) == 7
    world.transactions.running = {1}
    assert world.reservations.step() == []
    assert world.told == [(1, 1, "Available"), (1, 2, "Available")] and world.reservations.blocks(2, EVE)


def test_of_two_who_have_one_evse_left_the_first_to_come_gets_it(world: World) -> None:
    world.reserve(7, ALICE)
    world.reserve(8, BOB)
    world.availability.set_occupied(1, 1, True)
    world.availability.set_reserved(frozenset({2}))  # as if EVSE 1 had not been kept
    assert not world.reservations.blocks(2, BOB) and world.reservations.blocks(2, EVE)


def test_a_car_on_a_reserved_evse_does_not_hide_that_another_has_become_free(world: World) -> None:
    world.reserve(7, ALICE)
    world.plug(1)
    world.plug(2)
    assert world.states() == ["Occupied", "Reserved"], "EVE's car stands at 2, and may not charge"
    world.plug(1, False)
    assert world.states() == ["Reserved", "Occupied"]
    assert not world.reservations.blocks(2, EVE) and world.reservations.blocks(1, EVE)


# --- H04


@pytest.mark.requirement("H04.FR.02")
def test_what_expires_is_told_once_and_frees_its_evse(world: World) -> None:
    world.reserve(7, ALICE, 1)
    world.reserve(8, BOB, 2, expiry=2 * HOUR)
    assert world.reservations.due() == 3600
    world.clock.move(3599)
    assert world.reservations.step() == [] and world.reservations.blocks(1, EVE)
    world.clock.move(1)
    assert not world.reservations.blocks(1, EVE) and world.reservations.claim(1, ALICE) is None
    assert world.reservations.due() == world.clock.monotonic()
    assert world.reservations.step() == [(7, "Expired")] and world.reservations.step() == []
    assert world.states() == ["Available", "Reserved"] and world.reservations.due() == 7200


def test_a_clock_that_is_put_right_counts(world: World) -> None:
    world.reserve(7, ALICE, 1)
    before = world.clock.monotonic
    world.clock.move(7200)  # the wall time alone would move
    world.clock.monotonic = lambda: before() - 7200  # type: ignore[method-assign]
    assert world.reservations.due() == 0 and world.reservations.step() == [(7, "Expired")]


# --- faults and changes of availability


def test_a_fault_removes_the_reservation_of_its_evse(world: World) -> None:
    world.reserve(7, ALICE, 1)
    world.reserve(8, BOB, 2)
    rcd(world.model, 1).update(True)
    assert world.reservations.step() == [(7, "Removed")] and world.reservations.step() == []
    rcd(world.model, 1).update(False)
    assert world.states() == ["Available", "Reserved"] and not world.reservations.cancel(7)


def test_what_becomes_unavailable_loses_its_reservation(world: World) -> None:
    world.reserve(7, ALICE, 1)
    assert world.availability.change(1, None, False) == "Accepted"
    assert world.reservations.step() == [(7, "Removed")] and world.availability.inoperative(1)
    world.reserve(8, BOB, 2)
    world.availability.change(None, None, False)
    assert world.reservations.step() == [(8, "Removed")]


def test_a_faulted_connector_removes_what_needs_it(world: World) -> None:
    world.reserve(7, ALICE, 1, "cCCS2")
    world.availability.set_fault(1, 1, "lock", True)
    assert world.reservations.step() == []
    world.availability.set_fault(1, 2, "lock", True)
    assert world.reservations.step() == [(7, "Removed")]


def test_of_reservations_for_any_those_go_that_no_evse_is_left_for_the_latest_first(world: World) -> None:
    world.reserve(7, ALICE)
    rcd(world.model, 1).update(True)
    assert world.reservations.step() == [] and world.states() == ["Faulted", "Reserved"]
    rcd(world.model, 1).update(False)
    world.reserve(8, BOB)
    world.reserve(7, ALICE, expiry=2 * HOUR)
    rcd(world.model, 1).update(True)
    assert world.reservations.step() == [(7, "Removed")], "renewed, so the latest"
    assert world.reservations.blocks(2, ALICE) and not world.reservations.blocks(2, BOB)


def test_what_expires_in_a_fault_is_expired(world: World) -> None:
    world.reserve(7, ALICE, 1)
    rcd(world.model, 1).update(True)
    world.clock.move(3600)
    assert world.reservations.step() == [(7, "Expired")]
