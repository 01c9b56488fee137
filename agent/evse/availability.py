"""The state of each connector, EVSE and the station, kept in their `AvailabilityState` (part 2 §2.13, erratum 2.66).

So far it follows the hardware alone: an EVSE whose protection has tripped is Faulted with all its connectors, one
whose protection is sound is Available. Cables and transactions will speak here too.
"""

from collections.abc import Callable

from agent.model import Component, DeviceModel, Value, Variable

AVAILABLE = "Available"
FAULTED = "Faulted"

Changed = Callable[[int, int, str], None]
"""Takes (EVSE id, connector id, new state)."""


class Availability:
    """Follows every `Tripped` of the model; `changed` hears of each connector whose state is another."""

    def __init__(self, model: DeviceModel, changed: Changed) -> None:
        self._model = model
        self._changed = changed
        self._tripped: dict[int | None, set[Variable]] = {}
        self._connectors: dict[tuple[int, int], Variable] = {}
        for variable in model.variables():
            component = variable.component
            if variable.name.key == ("tripped", ""):
                variable.listen(self._hear)
                if variable.actual.value is True:
                    self._tripped.setdefault(component.evse, set()).add(variable)
            if variable.name.key == ("availabilitystate", "") and component.name == "Connector":
                assert component.evse is not None and component.connector is not None
                self._connectors[component.evse, component.connector] = variable
        self._settle()

    def connectors(self) -> list[tuple[int, int, str]]:
        """Every connector: (EVSE id, connector id, ConnectorStatusEnumType)."""
        return [(*place, str(variable.actual.value)) for place, variable in self._connectors.items()]

    def _hear(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        tripped = self._tripped.setdefault(variable.component.evse, set())
        if new is True:
            tripped.add(variable)
        elif new is False:
            tripped.discard(variable)
        # None: the protection can no longer be read. What was known last holds; its Problem tells of the rest.
        self._settle()

    def _settle(self) -> None:
        whole = bool(self._tripped.get(None))
        faulted = {evse for evse, tripped in self._tripped.items() if tripped}
        for (evse, connector), variable in self._connectors.items():
            state = FAULTED if whole or evse in faulted else AVAILABLE
            if variable.actual.value != state:
                first = variable.actual.value is None
                variable.update(state)
                if not first:
                    self._changed(evse, connector, state)
        evses = {evse for evse, _ in self._connectors}
        for evse in evses:
            self._put(Component("EVSE", evse=evse), FAULTED if whole or evse in faulted else AVAILABLE)
        if evses:
            self._put(Component("ChargingStation"), FAULTED if whole or evses <= faulted else AVAILABLE)

    def _put(self, component: Component, state: str) -> None:
        variable = self._model.get(component, "AvailabilityState")
        if variable is not None and variable.actual.value != state:
            variable.update(state)
