"""The installed profiles: which are refused and why, what is found, cleared, and kept over a restart."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.book import Book, Change
from agent.charging.profiles import EXTERNAL, STATION_MAX, TX, TX_DEFAULT, Period, Profile
from tests.charging.profile_parts import at, book, books, placed, profile

RUNNING = {1: "tx-1", 2: None}


def reason(made: Book, evse: int, one: Profile, **more: Any) -> str:
    """The reason code, or nothing."""
    refused = made.check(evse, one, transactions=RUNNING, **more)
    assert refused is None or refused.info
    return "" if refused is None else refused.reason_code


def keep(store: dict[str, str], changes: list[Change]) -> None:
    for key, text in changes:
        if text is None:
            del store[key]
        else:
            store[key] = text


def tx(id: int = 1, **changed: Any) -> Profile:
    return profile(id, TX, **({"transaction": "tx-1"} | changed))


# --- K01: refused --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.22", "K02.FR.07", "K01.FR.05")
def test_the_csms_sets_no_external_constraints() -> None:
    made = book()
    assert reason(made, 0, profile(1, EXTERNAL)) == "InvalidProfile"
    assert reason(made, 0, profile(7), external={7}) == "InvalidProfile", "it would replace one"
    assert reason(made, 0, profile(7)) == ""


@pytest.mark.requirement("K01.FR.28", "K01.FR.16", "K04.FR.03", "K01.FR.38")
def test_each_purpose_has_its_evses() -> None:
    made = book()
    assert reason(made, 3, profile()) == "UnknownEvse"
    assert reason(made, -1, profile()) == "UnknownEvse"
    assert reason(made, 1, profile(1, STATION_MAX)) == "InvalidProfile"
    assert reason(made, 0, profile(1, STATION_MAX)) == ""
    assert reason(made, 0, profile(1, STATION_MAX, kind="Relative")) == "InvalidProfile"
    assert reason(made, 0, tx()) == "InvalidProfile"
    assert reason(made, 0, profile()) == reason(made, 2, profile()) == ""


@pytest.mark.requirement("K01.FR.03", "K01.FR.04", "K01.FR.09", "K01.FR.33")
def test_a_txprofile_needs_the_transaction_of_its_evse() -> None:
    made = book()
    assert reason(made, 1, tx()) == ""
    assert reason(made, 1, tx(transaction=None)) == "MissingParam"
    assert reason(made, 1, tx(transaction="tx-9")) == "TxNotFound"
    assert reason(made, 2, tx()) == "TxNotFound"
    assert reason(made, 1, profile(1, TX_DEFAULT, transaction="tx-1")) == "InvalidProfile"


@pytest.mark.requirement("K01.FR.26", "K01.FR.31", "K01.FR.34", "K01.FR.35", "K01.FR.40", "K01.FR.41")
def test_what_nobody_could_follow_is_refused() -> None:
    made = book(units=("A",))
    assert reason(made, 1, profile(unit="W")) == "UnsupportedRateUnit"
    assert reason(made, 1, profile(start=None)) == "InvalidSchedule"
    assert reason(made, 1, replace(profile(), kind="Relative")) == "InvalidSchedule"
    assert reason(made, 1, profile(1, TX_DEFAULT, (5, 6.0))) == "InvalidSchedule"
    assert reason(made, 1, profile(1, TX_DEFAULT, (0, 6.0), (9, 6.0), (9, 8.0))) == "InvalidSchedule"
    assert reason(made, 1, profile(1, TX_DEFAULT, (0, -6.0))) == "InvalidSchedule"
    assert reason(made, 1, replace(profile(), schedules=profile().schedules * 2)) == "InvalidProfile"


def test_what_is_too_much_is_refused() -> None:
    made = book(max_stack=2, max_periods=3, max_profiles=2)
    assert reason(made, 1, profile(stack=2)) == ""
    assert reason(made, 1, profile(stack=3)) == reason(made, 1, profile(stack=-1)) == "InvalidStackLevel"
    many = tuple((second, 6.0) for second in range(4))
    assert reason(made, 1, profile(1, TX_DEFAULT, *many[:3])) == ""
    assert reason(made, 1, profile(1, TX_DEFAULT, *many)) == "TooManyElements"
    made.install(1, profile(1))
    made.install(2, profile(2))
    assert reason(made, 1, profile(3, stack=1)) == "TooManyElements"
    assert reason(made, 1, profile(2, stack=1)) == "", "it takes the place of one"


@pytest.mark.requirement("K01.FR.43", "K01.FR.45")
def test_fewer_phases_than_an_evse_uses_are_refused_where_it_cannot_switch_and_more_are_not() -> None:
    def phases(number: int | None, phase: int | None = None) -> Profile:
        return profile(periods=(Period(0, 16.0, number, phase),))

    mixed = book({1: 3, 2: 1})
    assert [reason(mixed, 1, phases(one)) for one in (None, 3)] == ["", ""]
    assert [reason(mixed, 1, phases(one)) for one in (1, 2, 0, 4)] == ["InvalidSchedule"] * 4
    assert [reason(mixed, 2, phases(one)) for one in (None, 1, 2, 3)] == [""] * 4
    assert reason(mixed, 0, phases(1)) == "InvalidSchedule", "it would be for EVSE 1 too"
    switching = book({1: 3, 2: 3}, phase_switching=True)
    assert [reason(switching, 0, phases(one)) for one in (1, 2, 3)] == ["", "", ""]


@pytest.mark.requirement("K01.FR.19", "K01.FR.20", "K01.FR.48")
def test_a_phase_to_use_is_taken_where_it_will_be_used() -> None:
    def phase(one: int, number: int | None = 1) -> Profile:
        return profile(periods=(Period(0, 16.0, number, one),))

    assert reason(book(), 1, phase(1)) == "InvalidSchedule"
    switching = book(phase_switching=True)
    assert [reason(switching, 1, phase(one)) for one in (1, 2)] == ["", "InvalidSchedule"]
    assert reason(switching, 1, phase(1, 3)) == reason(switching, 1, phase(1, None)) == "InvalidSchedule"
    assert reason(book(phase_switching=True, usable=(1, 2, 3)), 1, phase(2)) == ""
    single = book({1: 1})
    assert [reason(single, 1, phase(one)) for one in (1, 2)] == ["", "InvalidSchedule"]


# --- K01: duplicates -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.06", "K01.FR.05")
def test_one_stack_level_of_one_purpose_and_evse_belongs_to_one_profile_at_a_time() -> None:
    made = book()
    made.install(1, profile(1, valid_to=at(100)))
    made.install(0, profile(2, STATION_MAX))
    assert reason(made, 1, profile(3, valid_from=at(99))) == "DuplicateProfile"
    assert reason(made, 1, profile(3, valid_from=at(100))) == ""
    assert reason(made, 1, profile(3, stack=1)) == reason(made, 2, profile(3)) == ""
    assert reason(made, 1, profile(1)) == "", "the same id replaces"
    assert reason(made, 0, profile(3, STATION_MAX)) == "DuplicateProfile"
    assert reason(made, 0, profile(3, STATION_MAX, stack=1)) == ""


@pytest.mark.requirement("K01.FR.39")
def test_one_stack_level_of_a_transaction_belongs_to_one_profile() -> None:
    made = book()
    made.install(1, tx(1, valid_to=at(100)))
    assert reason(made, 1, tx(2, valid_from=at(200))) == "DuplicateProfile"
    assert reason(made, 1, tx(2, stack=1)) == reason(made, 1, tx(1)) == ""
    assert reason(made, 1, profile(2)) == "", "another purpose"


@pytest.mark.requirement("K01.FR.14", "K01.FR.15", "K01.FR.52", "K01.FR.53")
def test_a_default_for_all_evses_and_one_for_an_evse_cannot_share_a_stack_level() -> None:
    made = book()
    made.install(1, profile(1))
    assert reason(made, 0, profile(2)) == "DuplicateProfile"
    assert reason(made, 0, profile(2, stack=1)) == reason(made, 0, profile(1)) == ""
    made.install(0, profile(2, stack=1))
    assert reason(made, 2, profile(3, stack=1)) == "DuplicateProfile"
    assert reason(made, 2, profile(3)) == reason(made, 2, profile(2, stack=1)) == ""


# --- K05 -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K05.FR.02", "K05.FR.05", "F01.FR.09", "F01.FR.11", "F01.FR.26")
def test_a_start_brings_a_txprofile_without_transaction() -> None:
    made = book(max_profiles=1)
    good = tx(transaction=None, kind="Relative")
    assert made.check_start(1, good) is None and made.check_start(None, good) is None
    bad = {
        "InvalidProfile": [tx(), profile(), profile(1, EXTERNAL)],
        "InvalidSchedule": [tx(transaction=None, start=None)],
        "InvalidStackLevel": [replace(good, stack=10)],
    }
    for code, ones in bad.items():
        for one in ones:
            refused = made.check_start(1, one)
            assert refused is not None and refused.reason_code == code
    unknown = made.check_start(3, good)
    assert unknown is not None and unknown.reason_code == "UnknownEvse"
    made.install(0, profile(9))
    full = made.check_start(1, good)
    assert full is not None and full.reason_code == "TooManyElements"


# --- K01, K09, K10 -------------------------------------------------------------------------------------------------


@pytest.fixture
def filled() -> Book:
    made = book()
    made.install(0, profile(1, STATION_MAX))
    made.install(0, profile(2, stack=1))
    made.install(1, profile(3))
    made.install(2, profile(4))
    made.install(1, tx(5))
    return made


def ids(found: list[tuple[int, Profile]]) -> list[int]:
    return [one.id for _, one in found]


@pytest.mark.requirement("K01.FR.05")
def test_the_same_id_replaces_whatever_it_was(filled: Book) -> None:
    before = filled.version
    filled.install(2, profile(1, TX_DEFAULT, stack=4))
    assert filled.version > before and filled.count == 5
    assert filled.find(ids=[1]) == [(2, profile(1, TX_DEFAULT, stack=4))]
    assert filled.find(purpose=STATION_MAX) == []


@pytest.mark.requirement("K09.FR.03", "K09.FR.04", "K09.FR.05", "K09.FR.06")
def test_profiles_are_found_by_all_that_is_asked(filled: Book) -> None:
    assert ids(filled.find()) == [1, 2, 3, 4, 5]
    assert ids(filled.find(evse=0)) == [1, 2]
    assert ids(filled.find(evse=1)) == [3, 5], "a default of EVSE 0 is not copied"
    assert ids(filled.find(evse=1, purpose=TX_DEFAULT, stack=0)) == [3]
    assert ids(filled.find(ids=[4, 5, 77])) == [4, 5] and ids(filled.find(ids=[4, 5], evse=2)) == [4]
    assert filled.find(stack=7) == []


@pytest.mark.requirement("K10.FR.01", "K10.FR.03", "K10.FR.04")
def test_profiles_are_cleared_by_id_or_by_all_that_is_asked(filled: Book) -> None:
    assert filled.clear(id=99) == []
    assert filled.clear(id=4, evse=1, stack=9) == [("4", None)], "an id is enough"
    assert filled.clear(evse=1, purpose=TX_DEFAULT) == [("3", None)]
    before = filled.version
    assert filled.clear(evse=1, purpose=TX_DEFAULT) == [] and filled.version == before
    assert filled.clear(stack=0) == [("1", None), ("5", None)]
    assert ids(filled.find()) == [2] and filled.clear() == [("2", None)]


@pytest.mark.requirement("K10.FR.08", "K10.FR.09", "K10.FR.06")
def test_external_constraints_are_never_cleared(filled: Book) -> None:
    assert filled.clear(purpose=EXTERNAL) == [] and filled.count == 5


@pytest.mark.requirement("K02.FR.05")
def test_txprofiles_end_with_their_transaction(filled: Book) -> None:
    filled.install(2, tx(6, transaction="tx-2"))
    assert filled.ended("tx-9") == []
    assert filled.ended("tx-1") == [("5", None)]
    assert filled.keep_only({"tx-2"}) == []
    assert filled.keep_only(set()) == [("6", None)]
    assert ids(filled.find()) == [1, 2, 3, 4]


# --- over a restart ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.27")
@given(told=st.lists(placed, max_size=12), cleared=st.lists(st.integers(1, 30), max_size=4), gone=st.booleans())
def test_what_was_kept_is_what_is_installed(told: Any, cleared: list[int], gone: bool) -> None:
    made, store = book(phase_switching=True), dict[str, str]()
    for evse, one in told:
        if made.check(evse, one, transactions={1: "tx-1", 2: "tx-2"}) is None:
            keep(store, made.install(evse, one))
    for id in cleared:
        keep(store, made.clear(id=id))
    if gone:
        keep(store, made.ended("tx-1"))
    again = book(phase_switching=True)
    assert again.restore(store) == []
    assert sorted(again.find(), key=lambda one: one[1].id) == sorted(made.find(), key=lambda one: one[1].id)


@pytest.mark.requirement("K01.FR.27")
def test_what_cannot_be_read_is_told_and_left_out() -> None:
    made, store = book(), dict[str, str]()
    for evse, one in ((1, profile(1)), (2, profile(2)), (0, profile(3, STATION_MAX))):
        keep(store, made.install(evse, one))
    broken = {
        "4": "",
        "5": "[]",
        "6": '{"evse":1}',
        "7": '{"evse":"1","profile":{}}',
        "8": store["1"],
        "9": "[" * 10**5,
    }
    smaller = book({1: 3})
    lost = smaller.restore(store | broken)
    assert ids(smaller.find()) == [1, 3]
    assert [one.split(":")[0].split()[-1] for one in lost] == ["2", "4", "5", "6", "7", "8", "9"]


def test_a_profile_that_would_be_refused_by_now_still_holds() -> None:
    store: dict[str, str] = {}
    keep(store, book().install(1, profile(1, unit="W", stack=9)))
    strict = book(units=("A",), max_stack=1, max_profiles=0)
    assert strict.restore(store) == [] and strict.count == 1


@given(made=books())
def test_no_two_profiles_of_one_purpose_and_level_hold_at_one_evse_at_a_time(made: Book) -> None:
    """What the checks are for: whoever leads is never a matter of order."""
    for evse, one in made.find():
        assert made.check(evse, one, transactions={1: "tx-1", 2: "tx-2"}) is None
