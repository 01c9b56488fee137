"""What is wrong with which component, by cause: a component's `Problem` is true while any cause stands."""

from collections.abc import Callable

from agent.model.address import Component, ComponentKey, VariableName
from agent.model.device_model import DeviceModel
from agent.model.variable import Variable

PROBLEM = VariableName("Problem")

Report = Callable[[Variable, str, str], None]
"""Takes (the component's Problem variable, cause, text) after it turned true or false."""


class Problems:
    """The causes that stand. `report` hears each time a `Problem` turns: once, however many causes follow."""

    def __init__(self, model: DeviceModel, report: Report) -> None:
        self._model = model
        self._report = report
        self._causes: dict[ComponentKey, dict[str, str]] = {}

    def open(self, component: Component, cause: str, text: str) -> None:
        """`cause` stands from now on; a cause that stands already only gets its new text."""
        causes = self._causes.setdefault(component.key, {})
        first = not causes
        causes[cause] = text
        if first:
            self._turn(component, True, cause, text)

    def close(self, component: Component, cause: str) -> None:
        """`cause` is gone; the last one that goes turns `Problem` to false."""
        causes = self._causes.get(component.key)
        if causes is None or causes.pop(cause, None) is None:
            return
        if not causes:
            self._turn(component, False, cause, "")

    def texts(self, component: Component) -> dict[str, str]:
        """The causes that stand for `component`, with their texts."""
        return dict(self._causes.get(component.key, {}))

    def _turn(self, component: Component, state: bool, cause: str, text: str) -> None:
        variable = self._model.get(component, PROBLEM)
        if variable is not None:
            variable.update(state)
            self._report(variable, cause, text)
