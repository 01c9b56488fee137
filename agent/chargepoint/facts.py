"""What an EVSE's core asks of the rest of the station at each moment, read from the Device Model."""

from collections.abc import Callable

from agent.evse.evse import Evse
from agent.evse.power_path import Protections
from agent.model import Component, DeviceModel


def offered(evse: Evse) -> Callable[[], float | None]:
    return lambda: None if evse.active is None else evse.active.command.offered


def bay(model: DeviceModel, number: int) -> Callable[[], bool]:
    sensor = model.get(Component("BayOccupancySensor", evse=number), "Active")
    return lambda: sensor is not None and sensor.actual.value is True


def protections(model: DeviceModel, number: int) -> Callable[[], Protections]:
    """What stands against energy on an EVSE: its RCDs and the station's, and the emergency stop."""
    rcds, stops = [], []
    for variable in model.variables():
        component = variable.component
        if component.evse not in (None, number):
            continue
        if variable.name.key == ("tripped", ""):
            rcds.append(variable)
        elif component.name == "EmergencyStopSensor" and variable.name.key == ("active", ""):
            stops.append(variable)

    def look() -> Protections:
        if any(one.actual.value is True for one in stops):
            return Protections("emergency")
        if any(one.actual.value is True for one in rcds):
            return Protections("ground fault")
        return Protections(unknown=any(one.actual.value is None for one in (*rcds, *stops)))

    return look
