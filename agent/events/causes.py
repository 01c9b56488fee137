"""Which event is behind another one (N07.FR.05): a literal table, a place, and little time between them."""

from collections.abc import Mapping

from agent.model import Component, VariableName

WITHIN = 2.0
"""Seconds between an event and what it caused, at most."""

_What = tuple[str, str]
"""Component and variable, in lower case; component "" is any."""

_TRIP: _What = ("", "tripped")
_STOP: _What = ("emergencystopsensor", "active")
_CONTACTOR: _What = ("powercontactor", "problem")
_CONNECTOR: _What = ("connector", "problem")
_EVSE: _What = ("evse", "problem")
_HARDWARE = (_CONNECTOR, _EVSE, _CONTACTOR, _TRIP, _STOP)

CAUSES: Mapping[_What, tuple[_What, ...]] = {
    _CONTACTOR: (_TRIP, _STOP),
    _CONNECTOR: (_TRIP, _STOP, _CONTACTOR),
    _EVSE: (_TRIP, _STOP, _CONTACTOR),
    ("connector", "availabilitystate"): _HARDWARE,
    ("evse", "availabilitystate"): (("connector", "availabilitystate"), *_HARDWARE),
    ("chargingstation", "availabilitystate"): (
        ("evse", "availabilitystate"),
        ("connector", "availabilitystate"),
        *_HARDWARE,
    ),
}
"""What can be behind an event, the nearest cause first."""

_AS_CAUSE = frozenset(what for several in CAUSES.values() for what in several)
_AMISS = ("true", "faulted", "unavailable")


class Causes:
    """Remembers the last event of each variable that can be a cause, as long as the model is wide."""

    def __init__(self) -> None:
        self._last: dict[_What, dict[tuple[object, bool], tuple[float, int, int, Component]]] = {}
        self._order = 0

    def note(self, event_id: int, component: Component, variable: VariableName, actual: str, now: float) -> None:
        """That event was told at monotonic time `now`."""
        name = variable.key[0]
        self._order += 1
        seen = (now, self._order, event_id, component)
        for what in ((component.key[0], name), ("", name)):
            if what in _AS_CAUSE:
                self._last.setdefault(what, {})[component.key, _amiss(actual)] = seen

    def of(self, component: Component, variable: VariableName, actual: str, now: float) -> int | None:
        """The id of the event that caused this one: the nearest, then the latest, both good or both bad news."""
        amiss = _amiss(actual)
        for what in CAUSES.get((component.key[0], variable.key[0]), ()):
            fitting = [
                (time, order, event_id)
                for (_, bad), (time, order, event_id, place) in self._last.get(what, {}).items()
                if bad == amiss and now - time <= WITHIN and _together(place, component)
            ]
            if fitting:
                return max(fitting)[2]
        return None


def _amiss(actual: str) -> bool:
    return actual.casefold() in _AMISS


def _together(one: Component, other: Component) -> bool:
    """Whether one of two places lies in the other: the station, an EVSE, a connector."""
    if None in (one.evse, other.evse):
        return True
    return one.evse == other.evse and (None in (one.connector, other.connector) or one.connector == other.connector)
