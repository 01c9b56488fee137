"""Which monitors a GetMonitoringReport asks for (N02.FR.05 to FR.21)."""

from collections.abc import Iterator, Sequence

from agent.model import Component, DeviceModel, Variable, VariableName
from agent.monitoring.monitors import MonitorType

Place = tuple[Component, VariableName | None]
"""What a componentVariable names: an instance, EVSE, connector or variable that is left out stands for all."""

CRITERIA: dict[str, frozenset[MonitorType]] = {
    "ThresholdMonitoring": frozenset((MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD)),
    "DeltaMonitoring": frozenset((MonitorType.DELTA,)),
    "PeriodicMonitoring": frozenset((MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED)),
}
"""MonitoringCriterionEnumType (part 2 §3.57; N02.FR.12 to FR.14)."""


def variables(model: DeviceModel, places: Sequence[Place]) -> Iterator[Variable]:
    """The variables at `places` in the model's order, each once; all of them without any (N02.FR.11)."""
    if not places:
        yield from model.variables()
        return
    by_name: dict[str, list[Place]] = {}
    for place in places:
        by_name.setdefault(place[0].key[0], []).append(place)
    for component in model.components():
        names = [
            variable for wanted, variable in by_name.get(component.key[0], ()) if _takes_component(wanted, component)
        ]
        if names:
            for variable in model.variables(component):
                if any(_takes_variable(name, variable.name) for name in names):
                    yield variable


def _takes_component(wanted: Component, component: Component) -> bool:
    return (
        (not wanted.instance or wanted.key[1] == component.key[1])
        and (wanted.evse is None or wanted.key[2] == component.key[2])
        and (wanted.connector is None or wanted.key[3] == component.key[3])
    )


def _takes_variable(wanted: VariableName | None, name: VariableName) -> bool:
    return wanted is None or (wanted.key[0] == name.key[0] and (not wanted.instance or wanted.key[1] == name.key[1]))
