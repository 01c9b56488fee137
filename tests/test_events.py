"""Built-in events: what makes one and what does not, and that no two ever share an id."""

import pytest

from agent.events import BLOCK, Events
from agent.model import Attribute, Characteristics, Component, DataType, DeviceModel, Problems, Variable
from agent.ocpp.messages.base import Request
from agent.ocpp.messages.diagnostics import EventDataType, NotifyEventRequest
from tests.ocpp.parts import FakeClock

RCD = Component("RCD", evse=2)
LAST = 2**31 - 1


class World:
    """An RCD with its Problem, and what is told of it; `disk` is what survives a start."""

    def __init__(self, disk: dict[str, str] | None = None) -> None:
        self.disk = {} if disk is None else disk
        self.model, self.clock = DeviceModel(), FakeClock()
        boolean = Characteristics(DataType.BOOLEAN)
        self.tripped = self.model.add(Variable(RCD, "Tripped", boolean))
        self.problem = self.model.add(Variable(RCD, "Problem", boolean, Attribute(value=False)))
        self.posted: list[Request] = []
        self.events = Events(self.model, self.clock, self.posted.append, self.disk)
        self.problems = Problems(self.model, self.events.problem)
        self.disk |= self.events.reserve()

    @property
    def told(self) -> list[EventDataType]:
        data = []
        for request in self.posted:
            assert isinstance(request, NotifyEventRequest)
            data += request.event_data
        return data

    def texts(self) -> list[tuple[str, str, bool | None]]:
        return [(event.variable.name, event.actual_value, event.cleared) for event in self.told]


@pytest.fixture
def world() -> World:
    return World()


def test_a_problem_is_told_when_it_turns_and_not_for_each_of_its_causes(world: World) -> None:
    world.problems.open(RCD, "stale", "not read for 3.1 s")
    world.problems.open(RCD, "write", "no answer")
    world.problems.close(RCD, "stale")
    world.problems.close(RCD, "write")
    world.problems.close(RCD, "write")
    assert world.texts() == [("Problem", "true", None), ("Problem", "false", True)]
    assert world.told[0].tech_info == "not read for 3.1 s"


def test_an_event_says_where_and_when(world: World) -> None:
    world.tripped.update(True)
    (event,) = world.told
    evse = event.component.evse
    assert event.component.name == "RCD" and evse is not None and (evse.id, evse.connector_id) == (2, None)
    assert event.timestamp == world.clock.now()


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([False], []),
        ([None, False, None, False], []),
        ([True], ["true"]),
        ([False, True, False], ["true", "false"]),
        ([True, None], ["true"]),
        ([True, None, True], ["true"]),
        ([True, None, False], ["true", "false"]),
        ([False, None, True], ["true"]),
    ],
)
def test_a_protection_is_told_when_it_differs_from_what_was_told(
    world: World, readings: list[bool | None], expected: list[str]
) -> None:
    for reading in readings:
        world.tripped.update(reading)
    assert [event.actual_value for event in world.told] == expected


def test_a_text_of_any_length_fits_into_an_event(world: World) -> None:
    world.problems.open(RCD, "stale", "x" * 5000)
    assert len(world.told[0].tech_info or "") == 500


def test_no_two_events_share_an_id_also_over_starts() -> None:
    disk: dict[str, str] = {}
    ids: list[int] = []
    for _ in range(3):
        world = World(disk)
        for state in (True, False) * 50:
            world.tripped.update(state)
        ids += [event.event_id for event in world.told]
    assert len(set(ids)) == len(ids) == 300 and min(ids) > 0


def test_a_block_is_reserved_long_before_the_last_one_ends(world: World) -> None:
    for state in (True, False) * (BLOCK // 4):
        assert not world.events.low
        world.tripped.update(state)
    world.tripped.update(True)
    assert world.events.low
    assert int(world.events.reserve()["event_ids_reserved"]) >= BLOCK // 2 + BLOCK
    assert not world.events.low


def test_after_the_greatest_id_they_begin_anew() -> None:
    """An integer of OCPP has 32 bits: a station that starts for the 200,000th time still has events to tell."""
    world = World({"event_ids_reserved": str(LAST - 10)})
    world.tripped.update(True)
    assert world.told[0].event_id == 1
    world = World({"event_ids_reserved": str(LAST - BLOCK)})
    for state in (True, False) * (BLOCK // 2):
        world.tripped.update(state)
        if world.events.low:
            world.events.reserve()
    assert max(event.event_id for event in world.told) <= LAST


def test_what_was_told_before_a_restart_is_told_to_be_over() -> None:
    first = World()
    first.tripped.update(True)
    first.problems.open(RCD, "stale Tripped", "no answer")
    second = World({**first.disk, **first.events.state()})
    second.tripped.update(False)
    second.events.settle()
    assert [(str(e.variable.name), e.actual_value, e.cleared) for e in second.told] == [
        ("Tripped", "false", True),
        ("Problem", "false", True),
    ]
    assert second.events.state() == World().events.state()


def test_what_still_stands_after_a_restart_is_not_told_twice() -> None:
    first = World()
    first.tripped.update(True)
    first.problems.open(RCD, "stale Tripped", "no answer")
    second = World({**first.disk, **first.events.state()})
    second.tripped.update(True)
    second.problems.open(RCD, "stale Tripped", "no answer")
    second.events.settle()
    assert second.told == []
    second.problems.close(RCD, "stale Tripped")
    assert [e.actual_value for e in second.told] == ["false"]


def test_what_was_told_of_a_part_that_the_board_no_longer_has_is_forgotten(world: World) -> None:
    told = {"events_open": '["RCD@9.Problem"]'}
    later = World({**world.disk, **told})
    assert later.events.state() == told
    later.events.settle()
    assert later.told == [] and later.events.state() == world.events.state()
