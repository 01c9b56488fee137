"""Reservations: which can be had, for whom an EVSE is kept, when one ends, and what a power cut leaves."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse.records import IdToken
from agent.evse.reservations import Reservation, Reservations
from agent.model import Component, Value
from tests.evse.auth_parts import START, Clock, card, group
from tests.evse.station_parts import TWO, find, power_cut, rcd, started, state, station

ALICE, BOB, EVE, STRANGER = card(1), card(2), card(3), card(99)
FAMILY = group("FAMILY")
HOUR = timedelta(hours=1)
THREE: Mapping[int, Sequence[str]] = {1: ("sType2", "cCCS2"), 2: ("sType2",), 3: ("cCCS2",)}


class World:
    """A station with its reservations, which can lose its power."""

    def __init__(self, evses: Mapping[int, Sequence[str]] = TWO, clock: Clock | None = None) -> None:
        self.evses = evses
        self.clock = clock or Clock()
        self.model = station(evses)
        self.availability, self.told, self.transactions = started(self.model)
        self.reservations = Reservations(self.model, self.clock, self.availability, evses)

    def reserve(
        self,
        number: int,
        token: IdToken,
        evse: int | None = None,
        kind: str | None = None,
        *,
        family: IdToken | None = None,
        expiry: timedelta = HOUR,
    ) -> str:
        return self.reservations.reserve(Reservation(number, self.clock.now() + expiry, token, family, evse, kind))

    def set(self, name: str, value: Value | None) -> None:
        find(self.model, Component("ReservationCtrlr"), name).update(value)

    def plug(self, evse: int, on: bool = True, connector: int = 1) -> None:
        self.availability.set_occupied(evse, connector, on)
        assert self.reservations.step() == []

    def states(self) -> list[str]:
        """Of the EVSEs; their connectors agree as far as no cable is there."""
        return [self.availability.status(evse) for evse in self.evses]

    def restarted(self, folder: Path, away: float) -> "World":
        """The station after a power cut of `away` seconds."""
        again = World(self.evses, self.clock)
        text = power_cut(folder, self.reservations.to_json())
        self.clock.move(away)
        again.reservations.from_json(text)
        return again


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


# --- over a power cut


@pytest.mark.requirement("B01.FR.13", "B11.FR.05")
def test_after_a_start_it_is_reserved_again_for_the_same(world: World, tmp_path: Path) -> None:
    token = IdToken("AB", "ISO14443", (("account-7", "billing"),))
    world.reserve(7, token, 1, "cCCS2", family=FAMILY)
    again = world.restarted(tmp_path, 60)
    assert again.states() == ["Reserved", "Available"] and again.reservations.step() == []
    assert again.reservations.match(1, token) == Reservation(7, START + HOUR, token, FAMILY, 1, "cCCS2")
    assert again.reservations.to_json() == world.reservations.to_json()
    again.plug(1)
    assert again.availability.status(1, 1) == "Reserved"


def test_what_expired_in_a_power_cut_is_told_after_it(world: World, tmp_path: Path) -> None:
    world.reserve(7, ALICE, 1)
    world.reserve(8, BOB, 2, expiry=2 * HOUR)
    again = world.restarted(tmp_path, 3600)
    assert again.states() == ["Available", "Reserved"]
    assert again.reservations.step() == [(7, "Expired")]


def test_a_fault_that_came_in_a_power_cut_removes_too(world: World, tmp_path: Path) -> None:
    world.reserve(7, ALICE, 1)
    again = World()
    rcd(again.model, 1).update(True)
    late = Reservations(again.model, again.clock, again.availability, TWO)
    late.from_json(power_cut(tmp_path, world.reservations.to_json()))
    assert late.step() == [(7, "Removed")]


def test_what_the_board_no_longer_has_is_left_out(world: World) -> None:
    world.reserve(7, ALICE, 2)
    world.reserve(8, BOB, None, "cCCS2")
    again = World({1: ("sType2",)})
    again.reservations.from_json(world.reservations.to_json())
    assert again.reservations.to_json() == "[]" and again.reservations.step() == []


GOOD = (
    '{"id": 1, "expiry": "2026-01-01T01:00:00+00:00", "token": ["A", "Local", []],'
    ' "group": null, "evse": 1, "connector_type": null}'
)


@pytest.mark.parametrize("text", ["", "7", '{"id": 1}', "[7]", GOOD])
def test_what_are_no_stored_reservations_is_refused(world: World, text: str) -> None:
    with pytest.raises(ValueError, match="no stored reservations"):
        world.reservations.from_json(text)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("+00:00", ""),
        ("2026", "soon"),
        ('"A"', "5"),
        ('"id": 1', '"id": "1"'),
        ('"evse": 1', '"evse": "1"'),
        ('"Local", []', '"Local"'),
        ('"connector_type": null', '"connector_type": 5'),
    ],
)
def test_one_wrong_part_of_stored_reservations_changes_nothing(world: World, part: str, wrong: str) -> None:
    world.reserve(7, ALICE, 1)
    before = world.reservations.to_json()
    assert part in GOOD
    with pytest.raises(ValueError, match="no stored reservations"):
        world.reservations.from_json(f"[{GOOD}, {GOOD.replace(part, wrong)}]")
    assert world.reservations.to_json() == before and world.states() == ["Reserved", "Available"]


def test_the_text_that_the_others_are_broken_from_is_good(world: World) -> None:
    world.reservations.from_json(f"[{GOOD}]")
    assert world.states() == ["Reserved", "Available"]


# --- any order of anything

_KINDS = st.sampled_from([None, "sType2", "cCCS2"])
_EVSES = st.sampled_from([1, 2, 3])
_STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 4), st.none() | _EVSES, _KINDS, st.integers(1, 9)),
    st.tuples(st.just("cancel"), st.integers(1, 4)),
    st.tuples(st.just("cable"), _EVSES, st.booleans()),
    st.tuples(st.just("fault"), _EVSES, st.booleans()),
    st.tuples(st.just("come"), _EVSES, st.integers(1, 5)),
    st.tuples(st.just("wait"), st.integers(1, 4)),
    st.tuples(st.just("power cut")),
)


def best(pool: Sequence[Reservation], free: Sequence[int]) -> int:
    """How many of `pool` can be served, by trying every way: each has a connector type or none."""
    for number in range(min(len(pool), len(free)), 0, -1):
        for some in combinations(pool, number):
            for order in permutations(free, number):
                fits = zip(some, order, strict=True)
                if all(one.connector_type is None or one.connector_type in THREE[evse] for one, evse in fits):
                    return number
    return 0


@pytest.mark.requirement("H01.FR.07", "H01.FR.09")
@given(st.lists(_STEPS, max_size=25))
def test_who_was_accepted_finds_an_evse_until_it_is_told_that_there_is_none(steps: list[tuple[object, ...]]) -> None:
    """Against every way to serve them: what is accepted, refused, blocked, shown and told, in any order of events."""
    world = World(THREE)
    held: dict[int, Reservation] = {}
    for step in steps:
        match step:
            case "reserve", int(number), evse, kind, int(hours):
                new = Reservation(number, world.clock.now() + hours * HOUR, card(number), None, evse, kind)
                before = dict(held)
                if world.reservations.reserve(new) == "Accepted":
                    held.pop(number, None)
                    held[number] = new
                else:
                    assert held == before
            case "cancel", int(number):
                assert world.reservations.cancel(number) == (held.pop(number, None) is not None)
            case "cable", int(evse), bool(on):
                world.availability.set_occupied(evse, 1, on)
            case "fault", int(evse), bool(on):
                rcd(world.model, evse).update(on)
            case "come", int(evse), int(number):
                suits = number in held and world.reservations.match(evse, card(number)) is not None
                blocked = world.reservations.blocks(evse, card(number))
                assert (world.reservations.claim(evse, card(number)) == number) == (suits and not blocked)
                if suits and not blocked:
                    del held[number]
            case "wait", int(hours):
                world.clock.move(hours * 3600)
            case _:
                plugged = [evse for evse in THREE if world.availability.status(evse) == "Occupied"]
                faulted = [evse for evse in THREE if world.availability.faulted(evse)]
                text = world.reservations.to_json()
                world = World(THREE, world.clock)
                for evse in faulted:
                    rcd(world.model, evse).update(True)
                for evse in plugged:
                    world.availability.set_occupied(evse, 1, True)
                world.reservations.from_json(text)
        for number, why in world.reservations.step():
            one = held.pop(number)
            assert (why == "Expired") == (one.expiry <= world.clock.now())
        assert all(one.expiry > world.clock.now() for one in held.values())
        named = {one.evse for one in held.values()}
        pool = [one for one in held.values() if one.evse is None]
        free = [
            evse
            for evse in THREE
            if evse not in named and world.availability.status(evse) in ("Available", "Reserved")
        ]
        served = best(pool, free)
        shown = {evse for evse in free if best(pool, [one for one in free if one != evse]) < served}
        assert world.reservations.reserved_evses() == shown | (named - {None})
        for evse in THREE:
            assert world.reservations.blocks(evse, STRANGER) == (evse in shown | named)
            assert (world.availability.status(evse) == "Reserved") == (evse in shown | named)
        assert served == len(pool), "each of them has an EVSE of its own"
