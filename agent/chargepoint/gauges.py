"""What the guards of limits look at: the meter at the grid connection, the cabinet's temperature, the contacts."""

from agent.model import Component, DeviceModel, Variable, VariableName

LINES = ("L1", "L2", "L3")


class GridMeter:
    """The currents at the grid connection (`ElectricalFeed.ACCurrent[L1]`…), told once for each reading."""

    def __init__(self, model: DeviceModel) -> None:
        feed = Component("ElectricalFeed")
        found = (model.get(feed, VariableName("ACCurrent", line)) for line in LINES)
        self._lines: tuple[Variable | None, ...] = tuple(found)
        self._seen: tuple[float | None, ...] = (None, None, None)

    def read(self) -> tuple[float | None, float | None, float | None] | None:
        """A of L1, L2, L3, None for one that is not known; None where nothing was read since the last call."""
        times = tuple(None if one is None else one.actual.time for one in self._lines)
        values = [None if one is None else one.actual.value for one in self._lines]
        if times == self._seen and all(value is not None for value in values):
            return None
        self._seen = times
        one, two, three = (float(value) if isinstance(value, int | float) else None for value in values)
        return one, two, three


def reading(model: DeviceModel, component: str, name: str) -> float | None:
    """The Actual of a variable that is a number; None where it is not known, or there is none."""
    variable = model.get(Component(component), name)
    value = None if variable is None else variable.actual.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
