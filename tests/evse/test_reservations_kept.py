"""Reservations: what a power cut leaves of them, and that any order of events keeps the promise."""

from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse.records import IdToken
from agent.evse.reservations import Reservation, Reservations
from tests.evse.auth_parts import START, card
from tests.evse.reservation_parts import ALICE, BOB, FAMILY, HOUR, STRANGER, THREE, World
from tests.evse.station_parts import TWO, power_cut, rcd


@pytest.fixture
def world() -> World:
    """EVSE 1 with an sType2 and a cCCS2, EVSE 2 with an sType2."""
    return World()


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
