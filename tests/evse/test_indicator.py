"""What a status indicator shows: the table, and the facts that the core of an EVSE gives it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agent.evse
from agent.evse.indicator import SIGNS, facts, fitting
from tests.evse.evse_parts import ANN, Rig

COLORS = {"red": "FF0000", "green": "00FF00", "blue": "0000FF", "cyan": "00FFFF", "yellow": "FFFF00"}
COLORS |= {"magenta": "FF00FF", "white": "FFFFFF"}
FACTS = sorted({fact for one in SIGNS for fact in one.facts})


def test_the_page_of_the_room_has_the_table() -> None:
    page = (Path(agent.evse.__file__).parent / "README.md").read_text(encoding="utf-8")
    lines = page.partition("| shown | while | light |\n| --- | --- | --- |\n")[2].partition("\n\n")[0].splitlines()
    names = {value: name for name, value in COLORS.items()}
    assert lines == [
        f"| {one.name} | {', '.join(one.facts) or 'else'} | {names[one.color]}{', blinking' if one.blinks else ''} |"
        for one in SIGNS
    ]


def test_each_row_can_be_told_from_every_other() -> None:
    assert len({(one.color, one.blinks) for one in SIGNS}) == len(SIGNS)


@given(st.frozensets(st.sampled_from(FACTS)))
def test_there_is_always_something_to_show_and_danger_comes_first(found: frozenset[str]) -> None:
    shown = fitting(found)
    assert set(shown.facts) <= found
    assert (shown.color == "FF0000") == bool(found & {"faulted", "stopped"})


def test_every_row_is_shown_for_its_own_facts() -> None:
    assert [fitting(frozenset(one.facts)) for one in SIGNS] == list(SIGNS)


# --- the facts of an EVSE -----------------------------------------------------------------------------------------


def shown(rig: Rig, connector: int | None = 1, status: str = "Available", **more: bool) -> str:
    evse = rig.evse
    one = None if connector is None else evse.connectors[connector]
    return fitting(facts(evse, one, status, **more)).name


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.run(1)
    return rig


@pytest.mark.parametrize("status", ["Available", "Occupied", "Reserved", "Unavailable", "Faulted"])
def test_without_a_driver_it_is_the_connectors_status(rig: Rig, status: str) -> None:
    assert (shown(rig, 1, status), shown(rig, None, status)) == (status, status)


def test_an_emergency_stop_is_shown_before_all_but_a_fault(rig: Rig) -> None:
    assert shown(rig, 1, "Available", stopped=True) == "Stopped"
    assert shown(rig, 1, "Faulted", stopped=True) == "Faulted"


def test_a_driver_without_a_car_is_waited_for_at_every_connector(rig: Rig) -> None:
    assert rig.evse.authorize(ANN)
    rig.run(1)
    assert {shown(rig, one, "Reserved") for one in (1, 2, None)} == {"Authorized, waiting for a car"}


def test_a_driver_who_has_not_chosen_an_evse_is_waited_for(rig: Rig) -> None:
    assert shown(rig, 1, "Available", awaited=True) == "Authorized, waiting for a car"


def test_a_charge_from_the_plug_to_the_last_kilowatt_hour(rig: Rig) -> None:
    rig.plug()
    assert shown(rig, 1, "Occupied") == "Occupied"  # nobody is authorized
    assert rig.evse.authorize(ANN)
    rig.tick()
    assert shown(rig, 1, "Occupied") == "Preparing"
    rig.run(3)
    assert (shown(rig, 1, "Occupied"), shown(rig, None, "Occupied")) == ("Charging", "Charging")
    rig.plant.pilot = "B"  # the car has enough
    rig.run(5)
    assert shown(rig, 1, "Occupied") == "Suspended by the car"
    rig.limit = 0
    rig.run(5)
    assert shown(rig, 1, "Occupied") == "Suspended by the station"
    rig.stop("token")
    assert shown(rig, 1, "Occupied") == "Occupied"


def test_the_other_connector_of_an_evse_that_charges_is_in_use(rig: Rig) -> None:
    rig.charge()
    assert shown(rig, 2, "Available") == "Occupied"


@pytest.mark.parametrize("role", ["pilot", "contactor_closed", "locked"])
def test_hardware_that_falls_silent_is_not_ready(rig: Rig, role: str) -> None:
    rig.charge()
    rig.plant.broken[role] = None
    rig.run(2)
    assert (shown(rig, 1, "Occupied"), shown(rig, None, "Occupied")) == ("Not ready", "Not ready")


def test_an_evse_with_one_silent_connector_is_there_for_the_other(rig: Rig) -> None:
    rig.plant.broken["pilot"] = None
    rig.run(2)
    assert (shown(rig, 1), shown(rig, 2), shown(rig, None)) == ("Not ready", "Available", "Available")


def test_hardware_that_was_never_heard_is_not_ready() -> None:
    rig = Rig()
    silent = rig.evse.connectors[1]
    silent.pilot = None
    assert shown(rig, 1) == "Not ready"
