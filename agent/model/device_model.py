"""The Device Model itself: every component and variable of the station, found by address and walked in order."""

from collections.abc import Iterator

from agent.model.address import Component, ComponentKey, VariableKey, VariableName
from agent.model.variable import Variable


class UnknownComponent(LookupError):
    """No component has that address (B05.FR.04, B06.FR.06)."""


class UnknownVariable(LookupError):
    """The component is there, the variable is not (B05.FR.05, B06.FR.07)."""


class DeviceModel:
    """Components in the order in which they were added, each with its variables.

    Addresses match without regard to case (part 2 §2.1.4); an instance that is left out or empty names the one
    without instance (B06.FR.15).
    """

    def __init__(self) -> None:
        self._components: dict[ComponentKey, Component] = {}
        self._variables: dict[ComponentKey, dict[VariableKey, Variable]] = {}

    def add(self, variable: Variable) -> Variable:
        """Add `variable`, and its component where it is new. Raises ValueError for an address in use."""
        key = variable.component.key
        variables = self._variables.setdefault(key, {})
        if variable.name.key in variables:
            raise ValueError(f"{variable} is there already")
        self._components.setdefault(key, variable.component)
        variables[variable.name.key] = variable
        return variable

    def find(self, component: Component, name: VariableName) -> Variable:
        """The variable at that address. Raises UnknownComponent or UnknownVariable."""
        variables = self._variables.get(component.key)
        if variables is None:
            raise UnknownComponent(str(component))
        variable = variables.get(name.key)
        if variable is None:
            raise UnknownVariable(f"{component}.{name}")
        return variable

    def get(self, component: Component, name: VariableName | str) -> Variable | None:
        """The variable at that address, or None."""
        key = VariableName(name).key if isinstance(name, str) else name.key
        return self._variables.get(component.key, {}).get(key)

    def components(self) -> Iterator[Component]:
        """Every component, in order."""
        return iter(self._components.values())

    def variables(self, component: Component | None = None) -> Iterator[Variable]:
        """The variables of `component` in order, or of all components."""
        if component is not None:
            yield from self._variables.get(component.key, {}).values()
            return
        for variables in self._variables.values():
            yield from variables.values()

    def __len__(self) -> int:
        return sum(len(variables) for variables in self._variables.values())

    def __contains__(self, component: object) -> bool:
        return isinstance(component, Component) and component.key in self._components
