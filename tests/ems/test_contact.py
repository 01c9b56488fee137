"""A contact that dims: fail-safe, debounced, read before anything is energised, each signal recorded once."""

from typing import Any

from agent.charging.limits import State
from agent.ems.contact import ContactSource
from agent.model import Characteristics, Component, DataType, Variable

SETTLE = 0.1


class Contact:
    def __init__(self) -> None:
        place = Component("ExternalControlSystem", "relay")
        self.variable = Variable(place, "Active", Characteristics(DataType.BOOLEAN), max_age=3.0)
        self.records: list[tuple[Any, ...]] = []
        self.source = ContactSource(
            "relay",
            self.variable,
            kind="SO",
            limit=4200,
            settle=SETTLE,
            record=lambda *told: self.records.append(told[1:]),
        )
        self.now = 10.0

    def look(self, level: bool | None, after: float = 0.0) -> tuple[State, float | None]:
        self.variable.update(level)
        self.now += after
        (limit,) = self.source.limits(self.now)
        assert (limit.kind, limit.unit, limit.scope) == ("SO", "W", 0)
        return limit.state, limit.value


def test_before_the_contact_was_read_the_station_is_dimmed() -> None:
    contact = Contact()
    assert contact.look(None) == (State.INIT, 4200)
    assert contact.look(None, after=100) == (State.INIT, 4200)
    assert contact.records == []


def test_the_first_level_that_is_read_counts_at_once() -> None:
    assert Contact().look(False) == (State.RELEASED, None)
    assert Contact().look(True) == (State.ACTIVE, 4200)


def test_a_signal_counts_once_it_has_settled_and_a_bounce_never() -> None:
    contact = Contact()
    contact.look(False)
    assert contact.look(True, after=1) == (State.RELEASED, None)
    assert contact.source.due(contact.now) == contact.now + SETTLE
    assert contact.look(False, after=SETTLE / 2) == (State.RELEASED, None)
    assert contact.look(True, after=SETTLE / 2) == (State.RELEASED, None)
    assert contact.look(True, after=SETTLE) == (State.ACTIVE, 4200)
    assert contact.source.due(contact.now) is None


def test_a_level_that_is_no_longer_known_dims_at_once_and_the_next_one_that_is_read_counts() -> None:
    contact = Contact()
    contact.look(False)
    assert contact.look(None, after=1) == (State.STALE, 4200)
    assert contact.look(False, after=1) == (State.RELEASED, None)


def test_each_signal_is_recorded_once() -> None:
    contact = Contact()
    for level in (False, True, None, False):
        contact.look(level, after=1)
        contact.look(level, after=1)
        contact.look(level, after=1)
    assert contact.records == [("released", None), ("given", 4200), ("unknown", 4200), ("released", None)]
