"""The state of each connector, EVSE and the station, kept in their `AvailabilityState` (part 2 §2.13, erratum 2.66).

Facts come in from all sides: faults, changes that the CSMS asks for (G03, G04), reservations, cables. Each connector
runs the machine `tables.CONNECTOR` on them; EVSEs and the station follow their connectors. A fault of an EVSE makes
its connectors Faulted, not Unavailable as G03.FR.06 could be read: that is what §3.23 says of Faulted.
"""

import json
from collections.abc import Callable, Iterable

from agent.evse.machine import Machine
from agent.evse.tables import CONNECTOR
from agent.model import Component, DeviceModel, Value, Variable

AVAILABLE = "Available"
OCCUPIED = "Occupied"
RESERVED = "Reserved"
UNAVAILABLE = "Unavailable"
FAULTED = "Faulted"
INOPERATIVE = (UNAVAILABLE, FAULTED)

ACCEPTED = "Accepted"
SCHEDULED = "Scheduled"
REJECTED = "Rejected"

Changed = Callable[[int, int, str], None]
"""Takes (EVSE id, connector id, new state)."""

Place = tuple[int | None, int | None]
"""(EVSE id, connector id); without connector the whole EVSE, without either the whole station."""

STATION: Place = (None, None)


class _Connector:
    """The facts of one connector, and the machine that makes a state of them; guards of its table are attributes."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable
        self.is_plugged = self.is_reserved = self.is_inoperative = self.is_faulted = False
        self._kept = False
        self.machine = Machine(CONNECTOR, self)

    @property
    def is_in_use(self) -> bool:
        """A cable is plugged in, and not while the connector was kept for somebody else (G01.FR.09)."""
        return self.is_plugged and not self._kept

    def learn(self, plugged: bool, reserved: bool, inoperative: bool, faulted: bool) -> None:
        """Take all facts at once, then tell the machine of each that is another."""
        new = (plugged, reserved, inoperative, faulted)
        old = (self.is_plugged, self.is_reserved, self.is_inoperative, self.is_faulted)
        self.is_plugged, self.is_reserved, self.is_inoperative, self.is_faulted = new
        if plugged and not old[0]:
            self._kept = reserved
        elif not plugged or not reserved:
            self._kept = False
        for before, now, (begin, end) in zip(old, new, _EVENTS, strict=True):
            if before != now:
                self.machine.fire(begin if now else end)


_EVENTS = (("plug", "unplug"), ("reserve", "release"), ("inoperative", "operative"), ("fault", "repair"))


class Availability:
    """Follows every `Tripped` of the model and what it is told; `changed` hears of each connector's new state, once.

    `busy` tells whether a transaction runs on an EVSE (None: anywhere); it is asked at each change.
    """

    def __init__(self, model: DeviceModel, changed: Changed) -> None:
        self.busy: Callable[[int | None], bool] = lambda evse: False
        self._model = model
        self._changed = changed
        self._faults: dict[Place, set[str]] = {}
        self._reserved: frozenset[int] = frozenset()
        self._plugged: set[tuple[int, int]] = set()
        self._inoperative: set[Place] = set()
        self._scheduled: dict[Place, bool] = {}
        self._left: set[tuple[int, int]] = set()
        """Connectors whose cable was pulled while a change of availability waited for the transaction's end."""
        self._connectors: dict[tuple[int, int], _Connector] = {}
        for variable in model.variables():
            component = variable.component
            if variable.name.key == ("tripped", ""):
                variable.listen(self._hear)
                self._note((component.evse, component.connector), str(variable), variable.actual.value is True)
            if variable.name.key == ("availabilitystate", "") and component.name == "Connector":
                assert component.evse is not None and component.connector is not None
                self._connectors[component.evse, component.connector] = _Connector(variable)
        self._places = {STATION, *self._connectors, *((evse, None) for evse, _ in self._connectors)}
        self._settle()

    # --- what is -------------------------------------------------------------------------------------------------

    def connectors(self) -> list[tuple[int, int, str]]:
        """Every connector: (EVSE id, connector id, ConnectorStatusEnumType)."""
        return [(*place, one.machine.state) for place, one in self._connectors.items()]

    def status(self, evse: int, connector: int | None = None) -> str:
        """The state of a connector, or of an EVSE. Raises KeyError where there is none.

        An EVSE is Occupied or Reserved as soon as one of its connectors is, and inoperative only with all of them.
        """
        if connector is not None:
            return self._connectors[evse, connector].machine.state
        states = [one.machine.state for (number, _), one in self._connectors.items() if number == evse]
        if not states:
            raise KeyError(evse)
        return _together(states, (OCCUPIED, RESERVED, AVAILABLE))

    def usable(self, evse: int, connector: int | None = None) -> bool:
        """Whether it is Operative: neither Faulted nor Unavailable. Raises KeyError for an unknown place."""
        return self.status(evse, connector) not in INOPERATIVE

    def faulted(self, evse: int) -> bool:
        """Whether the whole EVSE is Faulted. Raises KeyError for an unknown one."""
        return self.status(evse) == FAULTED

    def inoperative(self, evse: int) -> bool:
        """Whether the whole EVSE is Unavailable. Raises KeyError for an unknown one."""
        return self.status(evse) == UNAVAILABLE

    # --- what happens --------------------------------------------------------------------------------------------

    def set_occupied(self, evse: int, connector: int, occupied: bool) -> None:
        """A cable is plugged in, or no more (G01). Raises KeyError for an unknown connector."""
        place = (evse, connector)
        known = self._connectors[place]
        if occupied:
            self._plugged.add(place)
            self._left.discard(place)
        else:
            if known.is_plugged and self._waits(evse, connector):
                self._left.add(place)
            self._plugged.discard(place)
        self._settle()

    def set_reserved(self, evse_ids: frozenset[int]) -> None:
        """Which EVSEs are shown Reserved, with all their connectors (H01.FR.23)."""
        self._reserved = evse_ids
        self._settle()

    def set_fault(self, evse: int | None, connector: int | None, cause: str, faulted: bool) -> None:
        """A fault named `cause` is there, or no more; without connector of the EVSE, without either of the station.

        A place is sound when every cause that was set there is gone. Raises KeyError for an unknown place.
        """
        self._known((evse, connector))
        self._note((evse, connector), cause, faulted)
        self._settle()

    def _hear(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        # None: the protection can no longer be read. What was known last holds; its Problem tells of the rest.
        if new is not None:
            self._note((variable.component.evse, variable.component.connector), str(variable), new is True)
            self._settle()

    def _note(self, place: Place, cause: str, faulted: bool) -> None:
        causes = self._faults.setdefault(place, set())
        if faulted:
            causes.add(cause)
        else:
            causes.discard(cause)

    # --- what the CSMS asks for (G03, G04) -----------------------------------------------------------------------

    def change(self, evse: int | None, connector: int | None, operative: bool) -> str:
        """Make that place Operative or Inoperative; each keeps its own setting (G03 note 1).

        Accepted where it is so now, Scheduled where a transaction must end first (G03.FR.05, G04.FR.06), Rejected
        for a place that does not exist. What was scheduled before for the same place no longer counts. Until the
        transaction ends its EVSE stays as it is; of the station, the other EVSEs change at once, else transactions
        that take turns could put the change off for ever.
        """
        place = (evse, connector)
        if place not in self._places:
            return REJECTED
        self._scheduled.pop(place, None)
        answer = ACCEPTED
        if operative != (place not in self._inoperative):
            if self.busy(evse):
                self._scheduled[place] = operative
                answer = SCHEDULED
            else:
                self._set(place, operative)
        self._settle()
        return answer

    def transaction_ended(self, evse: int | None = None) -> bool:
        """To be called when `busy` no longer tells of it, and after the start: what was scheduled takes effect.

        True where something did, which must be stored. None: on any EVSE, or on none yet.
        """
        ready = [
            (place, operative)
            for place, operative in self._scheduled.items()
            if (evse is None or place[0] in (evse, None)) and not self.busy(place[0])
        ]
        for place, operative in ready:
            del self._scheduled[place]
            self._set(place, operative)
        self._settle()
        return bool(ready)

    def to_json(self) -> str:
        """What must survive a power cut (G03.FR.08, G04.FR.09): what is inoperative, and what is scheduled."""
        return json.dumps(
            {
                "inoperative": sorted(self._inoperative, key=_order),
                "scheduled": [[*place, self._scheduled[place]] for place in sorted(self._scheduled, key=_order)],
            }
        )

    def from_json(self, text: str) -> None:
        """Take up what `to_json` gave; places that the board no longer has are left out.

        Raises ValueError for any other text, which changes nothing.
        """
        try:
            kept = json.loads(text)
            inoperative = {_place(evse, connector) for evse, connector in kept["inoperative"]}
            scheduled = {_place(evse, connector): bool(to) for evse, connector, to in kept["scheduled"]}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no stored availability: {error!r}") from error
        self._inoperative = inoperative & self._places
        self._scheduled = {place: to for place, to in scheduled.items() if place in self._places}
        self._settle()

    def _set(self, place: Place, operative: bool) -> None:
        if operative:
            self._inoperative.discard(place)
        else:
            self._inoperative.add(place)

    def _known(self, place: Place) -> None:
        if place not in self._places:
            raise KeyError(place)

    def _waits(self, evse: int, connector: int) -> bool:
        """Whether this connector is to become inoperative after a transaction."""
        return any(self._scheduled.get(place) is False for place in _above(evse, connector))

    # --- the states ----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        running = {evse: self.busy(evse) for evse, _ in self._connectors} if self._scheduled else {}
        drains = any(running.values())
        for (evse, connector), one in self._connectors.items():
            places = _above(evse, connector)
            waits = self._waits(evse, connector)
            if not waits:
                self._left.discard((evse, connector))
            one.learn(
                plugged=(evse, connector) in self._plugged,
                reserved=evse in self._reserved,
                inoperative=not self._inoperative.isdisjoint(places)
                or (waits and ((evse, connector) in self._left or (drains and not running[evse]))),
                faulted=any(self._faults.get(place) for place in places),
            )
        for place, one in self._connectors.items():
            told, state = one.variable.actual.value, one.machine.state
            if told != state:
                one.variable.update(state)
                if told is not None:
                    self._changed(*place, state)
        evses = {evse: self.status(evse) for evse, _ in self._connectors}
        for evse, state in evses.items():
            self._put(Component("EVSE", evse=evse), state)
        if evses:
            self._put(Component("ChargingStation"), _together(evses.values(), (AVAILABLE, OCCUPIED, RESERVED)))

    def _put(self, component: Component, state: str) -> None:
        variable = self._model.get(component, "AvailabilityState")
        if variable is not None and variable.actual.value != state:
            variable.update(state)


def _together(states: Iterable[str], order: tuple[str, ...]) -> str:
    """The state of the whole: the first of `order` that a part has; without any it is inoperative."""
    parts = set(states)
    found = next((state for state in order if state in parts), None)
    return found or (FAULTED if parts == {FAULTED} else UNAVAILABLE)


def _above(evse: int, connector: int) -> tuple[Place, Place, Place]:
    """The places whose settings and faults count for a connector."""
    return STATION, (evse, None), (evse, connector)


def _place(evse: object, connector: object) -> Place:
    if not all(part is None or type(part) is int for part in (evse, connector)):
        raise ValueError(f"[{evse}, {connector}] is no place")
    return evse, connector  # type: ignore[return-value]


def _order(place: Place) -> tuple[int, int]:
    return place[0] or 0, place[1] or 0
