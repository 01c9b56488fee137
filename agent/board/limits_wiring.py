"""The variables that tell of limits: per EVSE what holds and why, per external control system how it is."""

from collections.abc import Iterator

from agent.board.limits_spec import ContactEms
from agent.board.spec import Board
from agent.model import Attribute, Characteristics, Component, DataType, Variable
from agent.model.problems import PROBLEM

CONTROLLER = "SmartChargingCtrlr"
EXTERNAL = "ExternalControlSystem"
"""A component of our own for what part 2's appendices have none: the instance is the board's name for it."""

STATES = ("Init", "Active", "Released", "Stale", "Failsafe")


def limit_variables(board: Board) -> Iterator[Variable]:
    """What the station writes of its limits. A control system's `Limit` is what it allows: all that the EVSEs can
    draw while it limits nothing.
    """
    for number, evse in board.evses.items():
        place = Component(CONTROLLER, evse=number)
        yield Variable(place, "EffectiveLimit", Characteristics(DataType.DECIMAL, "A", 0, evse.max_current))
        yield Variable(place, "LimitSource", Characteristics(DataType.STRING))
    for name, one in board.ems.items():
        place = external(name)
        yield Variable(place, "State", Characteristics(DataType.OPTION_LIST, values=STATES))
        yield Variable(place, "Limit", Characteristics(DataType.DECIMAL, "W", 0))
        yield Variable(place, PROBLEM, Characteristics(DataType.BOOLEAN), Attribute(value=False))
        if isinstance(one, ContactEms):
            yield Variable(place, "Active", Characteristics(DataType.BOOLEAN), max_age=one.max_age)


def external(name: str) -> Component:
    """The component of the external control system that the board calls `name`."""
    return Component(EXTERNAL, name)
