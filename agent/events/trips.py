"""A protection that trips is a `Problem` of the connectors behind it, before they become Faulted."""

from agent.model import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Problems,
    Value,
    Variable,
)
from agent.model.problems import PROBLEM


class Trips:
    """Follows every `Tripped` of the model. To be made before `Availability`, after `Events`: causes come first.

    A connector without a `Problem` gets one. A protection that can no longer be read is as it was read last.
    """

    def __init__(self, model: DeviceModel, problems: Problems) -> None:
        self._problems = problems
        self._behind: dict[Variable, list[Component]] = {}
        variables = list(model.variables())
        connectors = [
            one.component
            for one in variables
            if one.component.key[0] == "connector" and one.name.key == ("availabilitystate", "")
        ]
        for variable in variables:
            if variable.name.key != ("tripped", ""):
                continue
            place = variable.component
            behind = [
                one
                for one in connectors
                if place.evse in (None, one.evse) and place.connector in (None, one.connector)
            ]
            self._behind[variable] = behind
            for one in behind:
                if model.get(one, PROBLEM) is None:
                    model.add(Variable(one, PROBLEM, Characteristics(DataType.BOOLEAN), Attribute(value=False)))
            variable.listen(self._hear)

    def _hear(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        if new is None:
            return
        for connector in self._behind[variable]:
            if new is True:
                self._problems.open(connector, f"trip {variable}", f"{variable.component} tripped")
            else:
                self._problems.close(connector, f"trip {variable}")
