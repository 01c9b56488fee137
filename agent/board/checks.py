"""What a board file must fulfil beyond the shape of its parts: references that hold, limits that make sense.

Each check notes its mistakes in the document, so that all of them are told at once.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from agent.board.check_connectors import Connectors
from agent.board.check_limits import check_limits
from agent.board.document import Document, Place, suggest
from agent.board.names import TYPES, Resolved, resolve, split
from agent.board.references import Profiles, References, fits
from agent.board.spec import ActualFrom, BoardFile, ComponentSpec, TargetTo, VariableSpec
from agent.board.units import conversion
from agent.model import Component, DataType, parse, to_text
from agent.model.address import ComponentKey, is_identifier
from agent.model.catalogue import UNITS, is_component
from agent.model.values import BadFormat
from drivers import PointInfo
from drivers.modbus_plan import load as bus_load
from drivers.modbus_plan import points_of as modbus_points
from drivers.settings import (
    DeviceSettings,
    EvdevReaderSettings,
    ModbusProfile,
    ModbusRtuSettings,
    ModbusTcpSettings,
    P1Settings,
    PilotUartSettings,
    Pins,
    ProfileDevice,
    PwmFan,
    SerialReaderSettings,
)

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check(
    document: Document, file: BoardFile, devices: Mapping[str, DeviceSettings], profiles: Profiles
) -> list[str]:
    """Note every mistake in `document`; returns notes on what is allowed but worth saying."""
    notes: list[str] = []
    _names(document, file, devices)
    _buses(document, file)
    _devices(document, file, devices, profiles)
    _load(document, file, devices, profiles, notes)
    references = References(document, file, devices, profiles)
    connectors = Connectors(document, file, devices, profiles, references, notes)
    connectors.check()
    _Components(document, file, references, connectors, notes).check()
    limits = check_limits(document, file, references, notes)
    _unused(file, devices, connectors.sources | limits, notes)
    return notes


def _unused(file: BoardFile, devices: Mapping[str, DeviceSettings], wired: Iterable[str], notes: list[str]) -> None:
    variables = [spec for component in file.components for spec in component.variables.values()]
    sources = [spec.actual.source for spec in variables if spec.actual is not None]
    sources += [spec.target.to for spec in variables if spec.target is not None]
    used = {source.partition(".")[0] for source in (*sources, *wired)}
    notes += [f"device {name}: no variable uses it" for name in devices if name not in used]
    on = {device.bus for device in devices.values()}
    notes += [f"bus {name}: no device is on it" for name in file.buses if name not in on]


def _names(document: Document, file: BoardFile, devices: Mapping[str, DeviceSettings]) -> None:
    for part, names in (("buses", file.buses), ("devices", devices)):
        for name in names:
            if _NAME.fullmatch(name) is None:
                expected = "expected a name of letters, digits, - and _: a dot parts device and point"
                document.mistake((part, name), f"found {name!r}", expected, key=True)


_ALONE = {"dsmr-p1": "meter", "serial-reader": "reader", "evdev-reader": "reader", "pilot-uart": "controller"}
"""What is the only device on its bus, by the bus's driver."""

_PORTS = ModbusRtuSettings | P1Settings | SerialReaderSettings | EvdevReaderSettings | PilotUartSettings


def _buses(document: Document, file: BoardFile) -> None:
    """One wire has one owner: no two buses on the same port or the same address."""
    owners: dict[str, str] = {}
    for name, bus in file.buses.items():
        if isinstance(bus, ModbusTcpSettings):
            end, field = f"{bus.host}:{bus.port}", "host"
        elif isinstance(bus, _PORTS):
            end, field = bus.port, "port"
        else:
            continue
        if end in owners:
            found = f"{end} is the end of bus {owners[end]!r} already"
            document.mistake(("buses", name, field), found, f"put the devices on bus {owners[end]!r}")
        owners[end] = name


def _devices(document: Document, file: BoardFile, devices: Mapping[str, DeviceSettings], profiles: Profiles) -> None:
    units: dict[tuple[str, int], str] = {}
    pins: dict[tuple[str, int], str] = {}
    alone: dict[str, str] = {}
    for name, device in devices.items():
        place = ("devices", name)
        what = _ALONE.get(file.buses[device.bus].driver)
        if what is not None:
            if device.bus in alone:
                found = f"a second {what} on bus {device.bus!r}, beside {alone[device.bus]!r}"
                document.mistake(place, found, f"give each {what} a bus of its own", key=True)
            alone[device.bus] = name
        if isinstance(device, ProfileDevice):
            profile = profiles.get(device.profile)
            bus = file.buses[device.bus]
            if profile is not None and not fits(device, file, profiles):
                found = f"profile {device.profile!r} is for {profile.kind}"
                document.mistake((*place, "profile"), found, f"bus {device.bus!r} is {bus.driver}")
            if bus.driver == "dsmr-p1":
                if device.unit is not None:
                    document.mistake(
                        (*place, "unit"), f"unit {device.unit} on a P1 port", "remove it: there is one meter"
                    )
                continue
            if device.unit is None:
                document.mistake(place, "'unit' is missing", "add `unit: …`, the Modbus unit id", key=True)
            elif bus.driver == "modbus-rtu" and not 1 <= device.unit <= 247:
                found = f"unit {device.unit} on a serial line"
                document.mistake(
                    (*place, "unit"), found, "expected 1..247: 0 is for broadcasts, the rest is reserved"
                )
            elif (device.bus, device.unit) in units:
                other = units[device.bus, device.unit]
                found = f"unit {device.unit} on bus {device.bus!r} is {other!r} already"
                document.mistake((*place, "unit"), found, "give each device of a bus its own unit id")
            else:
                units[device.bus, device.unit] = name
            if isinstance(profile, ModbusProfile):
                try:
                    modbus_points(profile, device.poll)
                except ValueError as error:
                    found = f"profile {device.profile!r}: {error}"
                    document.mistake((*place, "profile"), found, "mend the profile")
        for key, pin in _pins(device):
            if (device.bus, pin) in pins:
                found = f"pin {pin} is used by {pins[device.bus, pin]!r} already"
                document.mistake((*place, *key), found, "give each pin to one device")
            pins[device.bus, pin] = name


def _pins(device: DeviceSettings) -> list[tuple[Place, int]]:
    if isinstance(device, PwmFan):
        return [(("pwm",), device.pwm), (("tacho",), device.tacho)]
    if isinstance(device, Pins):
        return [
            (("points", name, field), number)
            for name, pin in device.points.items()
            for field in ("input", "output")
            if (number := getattr(pin, field, None)) is not None
        ]
    return []


def _load(
    document: Document,
    file: BoardFile,
    devices: Mapping[str, DeviceSettings],
    profiles: Profiles,
    notes: list[str],
) -> None:
    for name, bus in file.buses.items():
        if not isinstance(bus, ModbusTcpSettings | ModbusRtuSettings):
            continue
        on_it = {
            device: settings
            for device, settings in devices.items()
            if settings.bus == name and isinstance(settings, ProfileDevice) and settings.profile in profiles
        }
        try:
            share = bus_load(bus, on_it, profiles)
        except ValueError:
            continue  # told with the device
        if share > 1:
            found = f"bus {name!r} would be busy {share:.0%} of the time"
            expected = "expected at most 100%: poll less often, raise the baud rate or split the bus"
            document.mistake(("buses", name), found, expected, key=True)
        elif on_it:
            devices_on_it = "1 device" if len(on_it) == 1 else f"{len(on_it)} devices"
            notes.append(f"bus {name}: {devices_on_it}, busy {share:.0%} of the time")


class _Components:
    """The checks of `components`."""

    def __init__(
        self,
        document: Document,
        file: BoardFile,
        references: References,
        connectors: Connectors,
        notes: list[str],
    ) -> None:
        self._document = document
        self._file = file
        self._references = references
        self._connectors = connectors
        self._notes = notes
        self._seen: set[tuple[object, ...]] = set()
        self._components: set[ComponentKey] = set()
        self._driven = dict(connectors.driven)

    def check(self) -> None:
        for i, component in enumerate(self._file.components):
            place: Place = ("components", i)
            self._component(place, component)
            for key, spec in component.variables.items():
                self._variable((*place, "variables", key), component, key, spec)

    def _wrong(self, place: Place, found: str, expected: str, *, key: bool = False) -> None:
        self._document.mistake(place, found, expected, key=key)

    def _component(self, place: Place, component: ComponentSpec) -> None:
        for field in ("name", "instance"):
            text = getattr(component, field)
            if text is not None and not is_identifier(text):
                expected = "expected letters, digits or *-_=:+|@. (part 2 §2.1.4)"
                self._wrong((*place, field), f"found {text!r}", expected)
        address = Component(component.name, component.instance, component.evse, component.connector)
        if address.key in self._components:
            self._wrong((*place, "name"), f"{address} a second time", "give each component once")
        self._components.add(address.key)
        self._tier(place, component)
        if component.connector is not None and component.evse is None:
            self._wrong((*place, "connector"), "a connector without its EVSE", "add `evse: …`")
        if component.evse is not None:
            evse = self._file.evses.get(component.evse)
            if evse is None:
                self._wrong((*place, "evse"), f"no EVSE {component.evse}", suggest("", self._evse_names()))
            elif component.connector is not None and component.connector not in evse.connectors:
                found = f"EVSE {component.evse} has no connector {component.connector}"
                self._wrong((*place, "connector"), found, f"expected one of {sorted(evse.connectors)}")
        if not is_component(component.name):
            self._notes.append(f"component {component.name}: not a standard name")

    def _tier(self, place: Place, component: ComponentSpec) -> None:
        """Components that have their place in the tree of a charging station (part 1 §6, part 2 §2.13)."""
        name = component.name.casefold()
        where = (*place, "name")
        if name == "chargingstation" and (not self._file.evses or component.evse is not None):
            remedy = (
                "remove `evse`" if self._file.evses else "a board without evses is no charging station (part 1 §6)"
            )
            self._wrong(where, f"found {component.name}", remedy)
        elif name == "evse" and (component.evse is None or component.connector is not None):
            self._wrong(where, f"found {component.name} of no EVSE", "add `evse: …`, and no connector")
        elif name == "connector" and component.connector is None:
            self._wrong(where, f"found {component.name} of no connector", "add `evse: …` and `connector: …`")
        elif name.endswith("ctrlr") and is_component(component.name):
            self._wrong(where, f"found {component.name}", "remove it: controllers are the agent's own")

    def _evse_names(self) -> list[str]:
        return [str(number) for number in self._file.evses] or ["none: this board has no EVSEs"]

    def _variable(self, place: Place, component: ComponentSpec, key: str, spec: VariableSpec) -> None:
        name = split(key)
        if name is None or not is_identifier(name.name) or not is_identifier(name.instance or "x"):
            expected = "expected Name or Name[instance] of letters, digits or *-_=:+|@."
            self._wrong(place, f"found {key!r}", expected, key=True)
            return
        if max(len(name.name), len(name.instance or "")) > 50:
            self._wrong(place, f"{len(key)} characters", "expected at most 50 for name and instance", key=True)
            return
        address = (
            *Component(component.name, component.instance, component.evse, component.connector).key,
            *name.key,
        )
        if address in self._seen:
            self._wrong(place, f"{key} a second time on this component", "give each variable once", key=True)
        self._seen.add(address)
        resolved = resolve(component.name, name, spec.type, spec.unit)
        wired = self._connectors.wired.get(address)
        if wired is not None:
            self._wrong(place, f"{key} is what {wired} measures already", "remove it here", key=True)
        self._type(place, component, spec, resolved)
        self._source(place, key, spec)
        if spec.limits is not None and spec.limits[0] > spec.limits[1]:
            found = f"found [{', '.join(f'{limit:g}' for limit in spec.limits)}]"
            self._wrong((*place, "limits"), found, "expected [lowest, highest]")
        if resolved.data_type is not None:
            if spec.limits is not None and not resolved.data_type.is_number:
                found = f"limits of a {resolved.data_type}"
                self._wrong((*place, "limits"), found, "remove them: only a number has limits")
            if resolved.data_type.is_list and not spec.values:
                self._wrong(place, f"a {resolved.data_type} without values", "add `values: [...]`", key=True)
            if spec.value is not None:
                self._constant(place, spec, resolved.data_type)
        if spec.actual is not None:
            self._actual((*place, "actual"), spec.actual, resolved)
        if spec.target is not None:
            self._target((*place, "target"), spec, spec.target, resolved)

    def _source(self, place: Place, key: str, spec: VariableSpec) -> None:
        """A value has one origin: a constant, a wire, or the CSMS."""
        if spec.value is not None and spec.actual is not None:
            self._wrong((*place, "value"), "a constant beside a measured Actual", "leave one of them out", key=True)
        if spec.access == "ReadWrite" and (spec.actual is not None or spec.target is not None):
            found = f"found {spec.access} for an Actual that is measured"
            self._wrong((*place, "access"), found, "remove it: the CSMS sets the Target")
        if spec.value is None and spec.actual is None and spec.target is None and spec.access != "ReadWrite":
            self._wrong(
                place, f"{key} without a value", "add `actual: {from: …}`, `target: …` or `value: …`", key=True
            )

    def _type(self, place: Place, component: ComponentSpec, spec: VariableSpec, resolved: Resolved) -> None:
        standard = resolved.standard
        if spec.type is not None and resolved.data_type is None:
            self._wrong((*place, "type"), f"found {spec.type!r}", suggest(spec.type, TYPES.values()))
        elif resolved.data_type is None:
            found = f"{resolved.name} is no standard variable"
            self._wrong(place, found, "add `type: …`, one of " + ", ".join(TYPES.values()), key=True)
        elif standard is None:
            self._notes.append(f"{component.name}.{resolved.name}: not a standard name")
        elif standard.data_type is not None and standard.data_type is not resolved.data_type:
            found = f"{resolved.name} as {resolved.data_type}"
            self._wrong((*place, "type"), found, f"the standard says {standard.data_type}: leave `type` out")
        if spec.unit is None:
            return
        if standard is not None and standard.units and spec.unit not in standard.units:
            found = f"{resolved.name} in {spec.unit}"
            self._wrong((*place, "unit"), found, f"the standard says {' or '.join(standard.units)}")
        elif standard is None and spec.unit not in UNITS:
            self._notes.append(f"{component.name}.{resolved.name}: {spec.unit} is not a standard unit")

    def _constant(self, place: Place, spec: VariableSpec, data_type: DataType) -> None:
        try:
            parse(to_text(spec.value), data_type)
        except BadFormat as problem:
            self._wrong((*place, "value"), f"found {spec.value!r}", str(problem))

    def _actual(self, place: Place, actual: ActualFrom, resolved: Resolved) -> None:
        info = self._references.point((*place, "from"), actual.source)
        if info is None:
            return
        if not info.readable:
            self._wrong((*place, "from"), f"{actual.source} can only be written", "read another point")
            return
        self._kind((*place, "from"), actual.source, info, resolved)
        if resolved.standard is not None and resolved.standard.units and resolved.unit not in resolved.standard.units:
            return  # told with the unit
        if resolved.unit is not None and not info.unit and info.kind == "number":
            found = f"{actual.source} has no unit"
            self._wrong((*place, "from"), found, f"{resolved.name} is in {resolved.unit}: give the point its unit")
        elif resolved.unit is not None and info.unit and conversion(info.unit, resolved.unit) is None:
            found = f"{actual.source} is in {info.unit}"
            self._wrong((*place, "from"), found, f"{resolved.name} is in {resolved.unit}, which it cannot become")
        self._references.age(place, actual.source, actual.max_age)

    def _kind(self, place: Place, source: str, info: PointInfo, resolved: Resolved) -> None:
        fitting = {
            "number": (DataType.DECIMAL, DataType.INTEGER),
            "boolean": (DataType.BOOLEAN,),
            "text": (DataType.STRING, DataType.OPTION_LIST),
        }
        if resolved.data_type is not None and resolved.data_type not in fitting[info.kind]:
            self._wrong(place, f"{source} is a {info.kind}", f"{resolved.name} is a {resolved.data_type}")

    def _target(self, place: Place, spec: VariableSpec, target: TargetTo, resolved: Resolved) -> None:
        info = self._references.point((*place, "to"), target.to)
        if info is not None and not info.writable:
            self._wrong((*place, "to"), f"{target.to} can only be read", "write another point")
        if target.to in self._driven:
            found = f"{target.to} is driven by {self._driven[target.to]} already"
            self._wrong((*place, "to"), found, "expected one Target for each point")
        self._driven[target.to] = str(resolved.name)
        if info is not None and target.curve is None:
            self._direct((*place, "to"), spec, target, info, resolved)
        low, high = spec.limits if spec.limits is not None and spec.limits[0] <= spec.limits[1] else (None, None)
        if resolved.data_type is not None and not resolved.data_type.is_number:
            self._wrong(place, f"a Target of a {resolved.data_type}", "expected a decimal or integer", key=True)
        if target.min_set is not None and target.max_set is not None and target.min_set > target.max_set:
            self._wrong((*place, "min_set"), f"min_set {target.min_set:g}", f"expected at most {target.max_set:g}")
        for field in ("min_set", "max_set", "initial"):
            number = getattr(target, field)
            floor, ceiling = low, high
            if field == "initial":
                floor = target.min_set if target.min_set is not None else low
                ceiling = target.max_set if target.max_set is not None else high
            if number is None:
                continue
            if (floor is not None and number < floor) or (ceiling is not None and number > ceiling):
                expected = f"expected {_bound(floor)}..{_bound(ceiling)}"
                self._wrong((*place, field), f"{field} {number:g}", expected)
        curve = target.curve
        if curve is not None and any(a[0] >= b[0] for a, b in pairwise(curve)):
            self._wrong((*place, "curve"), "values that do not rise", "expected [[value, output], …], values rising")
        try:
            fraction = target.fraction
        except ValueError:
            fraction = -1.0
        if not 0 < fraction <= 1:
            self._wrong((*place, "tolerance"), f"found {target.tolerance!r}", "expected a share such as 5%")

    def _direct(
        self, place: Place, spec: VariableSpec, target: TargetTo, info: PointInfo, resolved: Resolved
    ) -> None:
        """Without a curve the value itself goes to the point, in the point's unit."""
        if resolved.unit is None or info.unit == resolved.unit:
            return
        if conversion(resolved.unit, info.unit) is None:
            found = f"{target.to} is in {info.unit or 'no unit'}"
            self._wrong(place, found, f"{resolved.name} is in {resolved.unit}: add `curve: [[value, output], …]`")
        elif spec.limits is None:
            self._wrong(place, f"{target.to} is in {info.unit}", "add `limits: [lowest, highest]` to convert between")


def _bound(number: float | None) -> str:
    return "" if number is None else f"{number:g}"
