"""The stream of NotifyMonitoringReport messages of one report of monitors (N02), built like that of variables."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from agent.model import Component, VariableName, to_text
from agent.monitoring import Monitor
from agent.ocpp.reports import BYTES, ITEMS, component_json, messages, quoted


def monitor_json(monitor: Monitor) -> str:
    """VariableMonitoringType."""
    return (
        f'{{"id":{monitor.id},"transaction":{"true" if monitor.transaction else "false"},'
        f'"value":{to_text(float(monitor.value))},"type":"{monitor.type}","severity":{monitor.severity}}}'
    )


def variable_json(name: VariableName) -> str:
    """VariableType."""
    instance = f',"instance":{quoted(name.instance)}' if name.instance else ""
    return f'{{"name":{quoted(name.name)}{instance}}}'


def payloads(
    monitors: Iterable[Monitor],
    request_id: int,
    generated_at: datetime,
    max_items: int = ITEMS,
    max_bytes: int = BYTES,
) -> Iterator[str]:
    """The NotifyMonitoringReport payloads for `monitors`, those of one variable, which follow each other, in one
    item: seqNo from 0, tbc until the last (N02.FR.04, FR.09).
    """
    return messages("monitor", _items(monitors), request_id, generated_at, max_items, max_bytes)


def _items(monitors: Iterable[Monitor]) -> Iterator[str]:
    """MonitoringDataType of each variable."""
    component: Component | None = None
    variable: VariableName | None = None
    component_text = variable_text = ""
    group: list[str] = []
    for monitor in monitors:
        same = component is not None and monitor.component.key == component.key
        if not same or variable is None or monitor.variable.key != variable.key:
            if group:
                yield f'{component_text}{variable_text},"variableMonitoring":[{",".join(group)}]}}'
                group.clear()
            if not same:
                component = monitor.component
                component_text = f'{{"component":{component_json(component)},"variable":'
            variable = monitor.variable
            variable_text = variable_json(variable)
        group.append(monitor_json(monitor))
    if group:
        yield f'{component_text}{variable_text},"variableMonitoring":[{",".join(group)}]}}'
