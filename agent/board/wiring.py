"""What a board file means: its Device Model, and which point of which device each variable hangs on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.board.limits_spec import ContactEms
from agent.board.limits_wiring import external, limit_variables
from agent.board.names import resolve, split
from agent.board.spec import MEASURED, ROLES, ActualFrom, Board, Connector, StatusLed, TargetTo, VariableSpec
from agent.board.units import conversion
from agent.model import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Variable,
    VariableName,
    parse,
    to_text,
)
from agent.model.address import ComponentKey, VariableKey
from agent.model.problems import PROBLEM
from agent.monitoring.watch import HYSTERESIS
from drivers import PointInfo
from drivers.settings import points_of

INDICATOR = "ChargingStatusIndicator"

_Key = tuple[ComponentKey, VariableKey]
_Readings = dict[tuple[str, str], list["ReadingBinding"]]


@dataclass(frozen=True, slots=True)
class ReadingBinding:
    """A point's reading on its way to `variable`: value × `factor` + `offset`, a boolean turned by `invert`."""

    variable: Variable
    factor: float = 1.0
    offset: float = 0.0
    invert: bool = False


@dataclass(frozen=True, slots=True)
class TargetBinding:
    """The Target of `variable` on its way to `point` of `device`.

    `curve` leads from the variable's value to the point's, piecewise linear; `settle` (seconds) and `tolerance`
    (a fraction of the Target) say when the Actual counts as having followed; `closed_loop` whether it is watched.
    """

    variable: Variable
    device: str
    point: str
    curve: tuple[tuple[float, float], ...] | None
    settle: float
    tolerance: float
    closed_loop: bool


@dataclass(frozen=True, slots=True)
class ConnectorWiring:
    """The hardware of one connector: what is measured of it, and where its commands go.

    `inputs` has the variable of each role that is read, `outputs` the (device, point) of each that is written
    (`agent.board.spec.ROLES`).
    """

    evse: int
    connector: int
    socket: bool
    inputs: Mapping[str, Variable]
    outputs: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class IndicatorWiring:
    """A status indicator of a connector, or of an EVSE (`connector` None): where it is driven, and what it shows.

    `outputs` has the (device, point) of each part (`agent.board.spec.LED_PARTS`).
    """

    evse: int
    connector: int | None
    active: Variable
    color: Variable
    outputs: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wiring:
    """The Device Model of the hardware, and how it hangs on the wires."""

    model: DeviceModel
    readings: dict[tuple[str, str], tuple[ReadingBinding, ...]]
    targets: tuple[TargetBinding, ...]
    connectors: tuple[ConnectorWiring, ...] = ()
    """The connectors that have a controller."""
    indicators: tuple[IndicatorWiring, ...] = ()


def wire(board: Board) -> Wiring:
    """The Device Model of `board` as it comes from the factory, without controllers; no I/O."""
    readings: _Readings = {}
    targets: list[TargetBinding] = []
    # What part 2 asks of every station comes first; a board may measure what that only declares.
    variables = {(variable.component.key, variable.name.key): variable for variable in _infrastructure(board)}
    for spec in board.components:
        component = Component(spec.name, spec.instance, spec.evse, spec.connector)
        for key, one in spec.variables.items():
            variable = _variable(board, component, key, one, variables)
            variables[component.key, variable.name.key] = variable
            if one.actual is not None:
                device, _, point = one.actual.source.partition(".")
                readings.setdefault((device, point), []).append(_reading(board, variable, one.actual))
            if one.target is not None:
                targets.append(_target(board, variable, one, one.target))
        if any(one.actual is not None or one.target is not None for one in spec.variables.values()):
            problem = Variable(component, PROBLEM, Characteristics(DataType.BOOLEAN), Attribute(value=False))
            variables.setdefault((component.key, PROBLEM.key), problem)
    _evse_power(board, variables, readings)
    connectors = tuple(_connectors(board, variables, readings))
    indicators = tuple(_indicators(board, variables))
    if connectors:
        _limits(board, variables, readings)
    _bands(board, variables)
    model = DeviceModel()
    for variable in variables.values():
        model.add(variable)
    by_source = {source: tuple(group) for source, group in readings.items()}
    return Wiring(model, by_source, tuple(targets), connectors, indicators)


def _bands(board: Board, variables: dict[_Key, Variable]) -> None:
    """The dead bands that the board declares for monitors join `variables`: custom monitors there have them too."""
    for one in board.monitors:
        monitor = one.monitor()
        if one.hysteresis is None or (monitor.component.key, monitor.variable.key) not in variables:
            continue
        name = VariableName(HYSTERESIS, monitor.variable.name)
        characteristics = Characteristics(DataType.DECIMAL, "Percent", supports_monitoring=False)
        band = Variable(monitor.component, name, characteristics, Attribute(one.hysteresis, constant=True))
        variables.setdefault((monitor.component.key, name.key), band)


def _limits(board: Board, variables: dict[_Key, Variable], readings: _Readings) -> None:
    """What tells of limits joins `variables`; a contact of a control system is read like any other point."""
    for variable in limit_variables(board):
        variables.setdefault((variable.component.key, variable.name.key), variable)
    for name, one in board.ems.items():
        if isinstance(one, ContactEms):
            device, _, point = one.signal.partition(".")
            active = variables[external(name).key, VariableName("Active").key]
            readings.setdefault((device, point), []).append(ReadingBinding(active))


def points_of_connector(board: Board, connector: Connector) -> dict[str, str]:
    """Role → DEVICE.POINT of one connector: what `hardware` says, else the controller's point of that name."""
    controller = connector.controller
    return connector.points(() if controller is None else points_of(board.devices[controller], board.profiles))


def _evse_power(board: Board, variables: Mapping[_Key, Variable], readings: _Readings) -> None:
    """What an EVSE gives is what its own meter measures, where the board says nothing else of it."""
    for number in board.evses:
        meter = variables.get((Component("FiscalMetering", evse=number).key, VariableName("Power").key))
        power = variables[Component("EVSE", evse=number).key, VariableName("Power").key]
        said = power.max_age is not None or power.actual.value is not None
        if meter is None or meter.max_age is None or said:
            continue
        power.max_age = meter.max_age
        for (device, point), group in readings.items():
            for binding in tuple(group):
                if binding.variable is meter:
                    factor, offset = _conversion(_point(board, f"{device}.{point}").unit, power.characteristics.unit)
                    group.append(ReadingBinding(power, factor, offset, binding.invert))


def _connectors(board: Board, variables: dict[_Key, Variable], readings: _Readings) -> Iterator[ConnectorWiring]:
    """Bind each connector's hardware; what it measures joins `variables` and `readings`."""
    for number, evse in board.evses.items():
        for one, connector in evse.connectors.items():
            points = points_of_connector(board, connector)
            if not points:
                continue
            inputs: dict[str, Variable] = {}
            outputs: dict[str, tuple[str, str]] = {}
            for role, source in points.items():
                device, _, point = source.partition(".")
                if ROLES[role].written:
                    outputs[role] = (device, point)
                    continue
                component, name, data_type = MEASURED[role]
                place = Component(component, None, number, one)
                characteristics = Characteristics(data_type, ROLES[role].unit or None)
                inputs[role] = variable = Variable(place, name, characteristics, max_age=connector.max_age)
                variables[place.key, variable.name.key] = variable
                factor, offset = _conversion(_point(board, source).unit, ROLES[role].unit)
                readings.setdefault((device, point), []).append(ReadingBinding(variable, factor, offset))
                problem = Variable(place, PROBLEM, Characteristics(DataType.BOOLEAN), Attribute(value=False))
                variables.setdefault((place.key, PROBLEM.key), problem)
            yield ConnectorWiring(number, one, connector.is_socket, inputs, outputs)


def _indicators(board: Board, variables: dict[_Key, Variable]) -> Iterator[IndicatorWiring]:
    """Bind each status indicator; what it shows joins `variables`, unset until it is shown."""
    for number, evse in board.evses.items():
        leds: list[tuple[int | None, StatusLed | None]] = [(None, evse.status_led)]
        leds += [(one, connector.status_led) for one, connector in evse.connectors.items()]
        for one, led in leds:
            if led is None:
                continue
            place = Component(INDICATOR, None, number, one)
            active = Variable(place, "Active", Characteristics(DataType.BOOLEAN))
            color = Variable(place, "Color", Characteristics(DataType.STRING))
            problem = Variable(place, PROBLEM, Characteristics(DataType.BOOLEAN), Attribute(value=False))
            variables[place.key, active.name.key] = active
            variables[place.key, color.name.key] = color
            variables.setdefault((place.key, PROBLEM.key), problem)
            outputs: dict[str, tuple[str, str]] = {}
            for part, source in led.points().items():
                device, _, point = source.partition(".")
                outputs[part] = (device, point)
            yield IndicatorWiring(number, one, active, color, outputs)


def _variable(
    board: Board, component: Component, key: str, spec: VariableSpec, declared: Mapping[_Key, Variable]
) -> Variable:
    name = split(key)
    assert name is not None  # the board was checked
    resolved = resolve(component.name, name, spec.type, spec.unit)
    assert resolved.data_type is not None  # the same
    low, high = spec.limits if spec.limits is not None else (None, None)
    if spec.limits is None and (component.key, name.key) in declared:
        characteristics = declared[component.key, name.key].characteristics
        low, high = characteristics.min_limit, characteristics.max_limit
    unit = resolved.unit
    if unit is None and spec.actual is not None:
        unit = _point(board, spec.actual.source).unit or None
    settable = spec.access == "ReadWrite"
    constant = spec.value is not None and not settable
    value = None if spec.value is None else parse(to_text(spec.value), resolved.data_type)
    target = spec.target
    return Variable(
        component,
        name,
        Characteristics(
            resolved.data_type,
            unit,
            low,
            high,
            spec.values,
            supports_monitoring=not constant if spec.monitoring is None else spec.monitoring,
        ),
        Attribute(
            value,
            Mutability.READ_WRITE if settable else Mutability.READ_ONLY,
            persistent=settable,
            constant=constant,
        ),
        max_age=None if spec.actual is None else spec.actual.max_age,
        target=None if target is None else _settable(resolved.data_type, target.initial),
        min_set=None if target is None or target.min_set is None else _settable(resolved.data_type, target.min_set),
        max_set=None if target is None or target.max_set is None else _settable(resolved.data_type, target.max_set),
    )


def _settable(data_type: DataType, number: float | None) -> Attribute:
    value = None if number is None else parse(to_text(number), data_type)
    return Attribute(value, Mutability.READ_WRITE, persistent=True)


def _point(board: Board, source: str) -> PointInfo:
    device, _, point = source.partition(".")
    return points_of(board.devices[device], board.profiles)[point]


def _reading(board: Board, variable: Variable, actual: ActualFrom) -> ReadingBinding:
    factor, offset = _conversion(_point(board, actual.source).unit, variable.characteristics.unit)
    return ReadingBinding(variable, factor, offset, actual.invert)


def _target(board: Board, variable: Variable, spec: VariableSpec, target: TargetTo) -> TargetBinding:
    device, _, point = target.to.partition(".")
    curve = target.curve
    if curve is None and spec.limits is not None:
        # The value itself goes to the point, in the point's unit.
        factor, offset = _conversion(variable.characteristics.unit, _point(board, target.to).unit)
        if (factor, offset) != (1.0, 0.0):
            low, high = spec.limits
            curve = ((low, low * factor + offset), (high, high * factor + offset))
    return TargetBinding(
        variable, device, point, curve, target.settle, target.fraction, closed_loop=spec.actual is not None
    )


def _conversion(source: str | None, target: str | None) -> tuple[float, float]:
    """Between units of a board that was checked; (1, 0) where one side has none."""
    found = conversion(source, target) if source and target else None
    return (1.0, 0.0) if found is None else found


STATES = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
"""ConnectorStatusEnumType, the values of AvailabilityState (part 2 §2.13.2)."""


def _infrastructure(board: Board) -> Iterator[Variable]:
    """What part 2 §2.13 (erratum 2.66) asks of a charging station; nothing without EVSEs (part 1 §6)."""
    if not board.evses:
        return
    station = Component("ChargingStation")
    supply = board.station.supply_phases
    yield from _tier(station, max(int(evse.phases) for evse in board.evses.values()) if supply is None else supply)
    yield _constant(station, "Model", DataType.STRING, board.station.model)
    yield _constant(station, "VendorName", DataType.STRING, board.station.vendor)
    if board.serial is not None:
        yield _constant(station, "SerialNumber", DataType.STRING, board.serial)
    for number, evse in board.evses.items():
        component = Component("EVSE", evse=number)
        yield from _tier(component, evse.phases)
        yield Variable(component, "Power", Characteristics(DataType.DECIMAL, "W", 0, evse.max_power))
        yield _constant(component, "AllowReset", DataType.BOOLEAN, False)
        for one, connector in evse.connectors.items():
            place = Component("Connector", evse=number, connector=one)
            yield from _tier(place, evse.phases)
            yield _constant(place, "ConnectorType", DataType.STRING, connector.type)


def _tier(component: Component, phases: int) -> Iterator[Variable]:
    yield _constant(component, "Available", DataType.BOOLEAN, True)
    yield Variable(component, "AvailabilityState", Characteristics(DataType.OPTION_LIST, values=STATES))
    yield _constant(component, "SupplyPhases", DataType.INTEGER, phases)


def _constant(component: Component, name: str, data_type: DataType, value: bool | int | str) -> Variable:
    characteristics = Characteristics(data_type, supports_monitoring=False)
    return Variable(component, name, characteristics, Attribute(value, constant=True))
