"""State machines as tables: how they run, what is wrong with a bad one, how they are drawn; and those there are."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse import diagrams, tables
from agent.evse.machine import Machine, Row, draw, faults, states

DOOR = (
    Row("Shut", "push", "locked", ("ring",), "Shut"),
    Row("Shut", "push", "", ("creak", "ring"), "Open"),
    Row("Open", "pull", "", (), "Shut"),
)


class Door:
    """Has a lock, and makes noises."""

    def __init__(self) -> None:
        self.lock, self.heard = False, list[str]()

    def locked(self) -> bool:
        return self.lock

    def ring(self) -> None:
        self.heard.append("ring")

    def creak(self) -> None:
        self.heard.append("creak")


def test_the_first_row_whose_guard_holds_is_taken_and_its_actions_run_in_order() -> None:
    door = Door()
    machine = Machine(DOOR, door)
    door.lock = True
    assert machine.fire("push") and machine.state == "Shut" and door.heard == ["ring"]
    door.lock = False
    assert machine.fire("push") and machine.state == "Open" and door.heard == ["ring", "creak", "ring"]


def test_an_event_that_no_row_takes_changes_nothing() -> None:
    machine = Machine(DOOR, Door())
    assert not machine.fire("pull") and machine.state == "Shut"


def test_a_machine_can_start_in_the_middle() -> None:
    machine = Machine(DOOR, Door(), "Open")
    assert machine.fire("pull") and machine.state == "Shut"


def test_a_guard_may_be_an_attribute() -> None:
    door = Door()
    machine = Machine((Row("Shut", "push", "lock", (), "Open"),), door)
    assert not machine.fire("push")
    door.lock = True
    assert machine.fire("push")


def test_an_action_may_fire_the_next_event() -> None:
    class Swing(Door):
        def creak(self) -> None:
            super().creak()
            machine.fire("pull")

    machine = Machine(DOOR, Swing())
    assert machine.fire("push") and machine.state == "Shut"


def test_misuse_is_told_at_once() -> None:
    with pytest.raises(AttributeError, match="'locked'"):
        Machine(DOOR, object())
    with pytest.raises(ValueError, match="'Ajar'"):
        Machine(DOOR, Door(), "Ajar")
    with pytest.raises(ValueError, match="'kick'"):
        Machine(DOOR, Door()).fire("kick")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ((), "the table is empty"),
        ((*DOOR, Row("Shut", "push", "wet", (), "Open")), "Shut --push [wet]--> Open: never taken, a row without"),
        ((DOOR[0], *DOOR), "Shut --push [locked]--> Shut: never taken, a row with the same guard"),
        ((*DOOR, Row("Stuck", "push", "", (), "Open")), "Stuck: no way leads there"),
        ((*DOOR, Row("Open", "lift off", "", (), "Shut")), "Open --lift off--> Shut: 'lift off' is no plain name"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_in_words(table: tuple[Row, ...], fault: str) -> None:
    found = faults(table)
    assert len(found) == 1 and found[0].startswith(fault)


def test_a_sound_table_has_no_faults() -> None:
    assert faults(DOOR) == [] and states(DOOR) == ["Shut", "Open"]


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_ROWS = st.builds(Row, _NAMES, _NAMES, st.sampled_from(["", "yes", "no"]), st.just(()), _NAMES)


class Owner:
    """Guards whose answers are drawn anew for each event."""

    yes = no = False


@given(st.lists(_ROWS, min_size=1, max_size=12), st.lists(st.tuples(_NAMES, st.booleans(), st.booleans())))
def test_a_machine_does_what_its_rows_say_and_never_leaves_what_can_be_reached(
    table: list[Row], events: list[tuple[str, bool, bool]]
) -> None:
    owner = Owner()
    machine = Machine(table, owner)
    lost = {fault.partition(":")[0] for fault in faults(table) if fault.endswith("no way leads there")}
    for event, yes, no in events:
        owner.yes, owner.no = yes, no
        if event not in {row.event for row in table}:
            continue
        before = machine.state
        fits = [
            row.target
            for row in table
            if (row.state, row.event) == (before, event) and (not row.guard or getattr(owner, row.guard))
        ]
        assert machine.fire(event) == bool(fits)
        assert machine.state == (fits[0] if fits else before)
        assert machine.state not in lost


def test_a_table_is_drawn_with_an_arrow_for_each_row() -> None:
    assert draw(DOOR) == (
        "stateDiagram-v2\n"
        "    [*] --> Shut\n"
        "    Shut --> Shut: push [locked] / ring\n"
        "    Shut --> Open: push / creak, ring\n"
        "    Open --> Shut: pull\n"
    )


# --- the tables there are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", diagrams.found())
def test_every_table_is_deterministic_and_every_state_can_be_reached(name: str) -> None:
    assert faults(diagrams.found()[name]) == []


@pytest.mark.requirement("G01.FR.01")
def test_a_connector_has_the_states_of_part_2_and_no_other() -> None:
    assert set(states(tables.CONNECTOR)) == {"Available", "Occupied", "Reserved", "Unavailable", "Faulted"}


def test_the_diagrams_of_the_page_are_those_of_the_tables() -> None:
    page = diagrams.PAGE.read_text(encoding="utf-8")
    assert diagrams.filled(page) == page, "run: python -m agent.evse.diagrams"


def test_a_page_without_a_place_for_a_table_or_with_one_for_none_is_refused() -> None:
    with pytest.raises(ValueError, match="CONNECTOR"):
        diagrams.filled("nothing here")
    page = diagrams.PAGE.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="BICYCLE"):
        diagrams.filled(page + "\n<!-- diagram BICYCLE -->\n<!-- end -->\n")


def test_the_command_writes_what_the_tables_say(tmp_path: Path) -> None:
    page = diagrams.PAGE.read_text(encoding="utf-8")
    stale = tmp_path / "README.md"
    stale.write_text(page.replace("[*] --> Available", "[*] --> Nowhere"), encoding="utf-8")
    command = [sys.executable, "-m", "agent.evse.diagrams", str(stale)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=60)
    assert stale.read_text(encoding="utf-8") == page
