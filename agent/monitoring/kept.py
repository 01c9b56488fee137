"""What of the monitors survives a restart, as texts of one room of the store (N04's remark, N07.FR.13, FR.14).

base            All, FactoryDefault or HardWiredOnly
level           the monitoring level
next            the id of the next custom monitor: none is given twice
monitor/ID      a custom monitor, as JSON
cleared/ID      a preconfigured monitor that is not active though the base has it
exceeded/ID     the threshold was exceeded, and the CSMS heard so
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.model import Component, VariableName
from agent.monitoring.monitors import Kind, Monitor, MonitorType

BASE, LEVEL, NEXT = "base", "level", "next"
BASES = ("All", "FactoryDefault", "HardWiredOnly")
LEVELS = range(10)


def monitor_key(id: int) -> str:
    return f"monitor/{id}"


def cleared_key(id: int) -> str:
    return f"cleared/{id}"


def exceeded_key(id: int) -> str:
    return f"exceeded/{id}"


def to_text(monitor: Monitor) -> str:
    component, variable = monitor.component, monitor.variable
    plain = {
        "component": [component.name, component.instance, component.evse, component.connector],
        "variable": [variable.name, variable.instance],
        "type": monitor.type.value,
        "value": monitor.value,
        "severity": monitor.severity,
        "transaction": monitor.transaction,
        "hysteresis": monitor.hysteresis,
    }
    return json.dumps(plain, separators=(",", ":"))


def from_text(id: int, text: str) -> Monitor:
    """The custom monitor that `to_text` wrote. Raises ValueError, TypeError or LookupError for anything else."""
    plain = json.loads(text)
    name, instance, evse, connector = plain["component"]
    variable, variable_instance = plain["variable"]
    value, band, severity = float(plain["value"]), plain["hysteresis"], int(plain["severity"])
    if not math.isfinite(value) or severity not in LEVELS:
        raise ValueError("no such value or severity")
    return Monitor(
        id,
        Component(str(name), instance, evse, connector),
        VariableName(str(variable), variable_instance),
        MonitorType(plain["type"]),
        value,
        severity,
        Kind.CUSTOM_MONITOR,
        plain["transaction"] is True,
        None if band is None else float(band),
    )


@dataclass(slots=True)
class Kept:
    """The room as it was found; `bad` are the keys that mean nothing, with why."""

    base: str = BASES[0]
    level: int = LEVELS[-1]
    next: int = 1
    monitors: dict[int, Monitor] = field(default_factory=dict)
    cleared: set[int] = field(default_factory=set)
    exceeded: set[int] = field(default_factory=set)
    bad: dict[str, str] = field(default_factory=dict)


def read(room: Mapping[str, str]) -> Kept:
    """What was kept. A text that cannot be read is left out, the rest holds."""
    kept = Kept()
    for key, text in room.items():
        try:
            _take(kept, key, text)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            kept.bad[key] = f"{key} cannot be read: {error}"
    return kept


def _take(kept: Kept, key: str, text: str) -> None:
    head, _, id = key.partition("/")
    match head:
        case "base":
            kept.base = BASES[BASES.index(text)]
        case "level":
            kept.level = LEVELS[LEVELS.index(int(text))]
        case "next":
            kept.next = int(text)
        case "monitor":
            kept.monitors[int(id)] = from_text(int(id), text)
        case "cleared":
            kept.cleared.add(int(id))
        case "exceeded":
            kept.exceeded.add(int(id))
        case _:
            raise ValueError("no such key")
