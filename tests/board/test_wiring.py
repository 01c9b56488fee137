"""From a board to its Device Model: which variables there are, what may be set, and which wire each hangs on."""

from pathlib import Path

import pytest

from agent.board import load
from agent.board.wiring import Wiring, wire
from agent.model import AttributeType, Component, DataType, Mutability, Variable, VariableName
from drivers.modbus_plan import points_of as modbus_points
from drivers.settings import ModbusProfile, ProfileDevice, SysfsSettings
from tests.board.parts import GOOD, changed, written

PHASES = ("L1", "L2", "L3")
METERING = {
    *(f"ACVoltage[{phase}]" for phase in PHASES),
    *(f"ACCurrent[{phase}]" for phase in PHASES),
    "Power",
    "EnergyImportRegister",
    "Problem",
}
TIER = {"Available", "AvailabilityState", "SupplyPhases"}
CONNECTOR = TIER | {"ConnectorType", "Plugged", "Problem"}
PILOT = {"State", "FaultCode", "Problem"}
READER = {"Token", "TokenType", "Problem"}
ACTIVE = {"Active", "Problem"}
BENCH_AC = {
    "ChargingStation": TIER | {"Model", "VendorName", "SerialNumber"},
    "EVSE@1": TIER | {"Power", "AllowReset"},
    "EVSE@2": TIER | {"Power", "AllowReset"},
    "Connector@1,1": CONNECTOR | {"CableCurrent"},
    "Connector@1,2": CONNECTOR,
    "Connector@2,1": CONNECTOR | {"CableCurrent"},
    **{f"CPPWMController@{place}": PILOT for place in ("1,1", "1,2", "2,1")},
    **{f"PowerContactor@{place}": ACTIVE for place in ("1,1", "1,2", "2,1")},
    **{f"ConnectorPlugRetentionLock@{place}": ACTIVE for place in ("1,1", "2,1")},
    **{f"TokenReader{place}": READER for place in ("", "@1", "@2")},
    **{f"UIInput[Stop]@{evse}": {"Operated", "Problem"} for evse in (1, 2)},
    **{f"BayOccupancySensor@{evse}": ACTIVE for evse in (1, 2)},
    "EmergencyStopSensor": ACTIVE,
    "AirCoolingSystem": {"FanSpeed", "Problem"},
    "AirCoolingSystem[2]": {"FanSpeed", "Problem"},
    "RCD@1": {"Tripped", "Problem"},
    "RCD@2": {"Tripped", "Problem"},
    "FiscalMetering@1": METERING,
    "FiscalMetering@2": METERING,
    "ElectricalFeed": {*(f"ACCurrent[{phase}]" for phase in PHASES), "Power", "EnergyImportRegister", "Problem"},
    "TemperatureSensor": {"Temperature", "Problem"},
    "DistributionPanel": {"Fuse[1]", "Fuse[2]", "Fuse[3]"},
    **{f"SmartChargingCtrlr@{evse}": {"EffectiveLimit", "LimitSource"} for evse in (1, 2)},
    **{f"ExternalControlSystem[{name}]": {"State", "Limit", "Problem"} for name in ("modbus", "mqtt")},
    "ExternalControlSystem[relay]": {"State", "Limit", "Problem", "Active"},
}
METER_POINTS = [f"{what}_l{phase}" for what in ("voltage", "current") for phase in (1, 2, 3)]
SOURCES = {
    *(("fan", "rpm"), ("fan-2", "rpm"), ("rcd-1", "tripped"), ("rcd-2", "tripped"), ("cabinet", "temperature")),
    *((meter, point) for meter in ("meter-1", "meter-2") for point in (*METER_POINTS, "power", "energy_import")),
    *(("grid-meter", point) for point in ("power_import", "energy_import", "current_l1", "current_l2", "current_l3")),
    *((reader, point) for reader in ("reader", "reader-1", "reader-2") for point in ("token", "token_type")),
    *(("buttons", point) for point in ("stop_1", "stop_2", "emergency_stop")),
    *(("bays", point) for point in ("occupied_1", "occupied_2")),
    ("signals", "dim"),
    *(
        (f"charger-{place}", point)
        for place in ("1-1", "1-2", "2-1")
        for point in ("pilot", "plugged", "contactor_closed", "fault")
    ),
    *((f"charger-{place}", point) for place in ("1-1", "2-1") for point in ("cable_current", "locked")),
}


@pytest.fixture(scope="module")
def bench_ac() -> Wiring:
    return wire(load("bench-ac"))


def of(folder: Path, text: str) -> Wiring:
    return wire(load(str(written(folder, text))))


def at(wiring: Wiring, component: Component, name: str, instance: str | None = None) -> Variable:
    return wiring.model.find(component, VariableName(name, instance))


def test_bench_ac_has_the_components_and_variables_of_its_contract_and_no_others(bench_ac: Wiring) -> None:
    found: dict[str, set[str]] = {}
    for variable in bench_ac.model.variables():
        found.setdefault(str(variable.component), set()).add(str(variable.name))
    assert found == BENCH_AC


def test_every_measured_variable_of_bench_ac_hangs_on_the_point_of_its_contract(bench_ac: Wiring) -> None:
    assert set(bench_ac.readings) == SOURCES
    shared = {source for source, group in bench_ac.readings.items() if len(group) > 1}
    assert shared == {("meter-1", "power"), ("meter-2", "power")}  # the EVSE's as well
    (binding,) = bench_ac.readings["meter-2", "current_l3"]
    assert str(binding.variable) == "FiscalMetering@2.ACCurrent[L3]"


def test_every_measured_variable_of_bench_ac_is_read_at_least_each_second_and_soon_stale(bench_ac: Wiring) -> None:
    board = load("bench-ac")
    for (device, point), group in bench_ac.readings.items():
        assert all(binding.variable.max_age is not None and binding.variable.max_age <= 3 for binding in group)
        settings = board.devices[device]
        bus = board.buses[settings.bus]
        if isinstance(bus, SysfsSettings):
            assert bus.poll <= 1
        if isinstance(settings, ProfileDevice) and isinstance(board.profiles[settings.profile], ModbusProfile):
            assert modbus_points(board.profiles[settings.profile], settings.poll)[point].period <= 1


@pytest.mark.parametrize("instance", [None, "2"])
def test_the_fans_of_bench_ac_have_the_limits_of_their_contract(bench_ac: Wiring, instance: str | None) -> None:
    fan = at(bench_ac, Component("AirCoolingSystem", instance), "FanSpeed")
    characteristics = fan.characteristics
    assert (characteristics.data_type, characteristics.unit) == (DataType.DECIMAL, "RPM")
    assert (characteristics.min_limit, characteristics.max_limit) == (0, 1000)
    assert {str(kind): attribute.text() for kind, attribute in fan.attributes.items()} == {
        "Actual": "",
        "Target": "",
        "MinSet": "200",
        "MaxSet": "500",
    }


def test_the_fans_of_bench_ac_are_driven_along_a_curve_and_watched(bench_ac: Wiring) -> None:
    assert [(t.device, t.point, t.curve, t.settle, t.tolerance, t.closed_loop) for t in bench_ac.targets] == [
        ("fan", "duty", ((0, 0), (1000, 1)), 10, 0.05, True),
        ("fan-2", "duty", ((0, 0), (1000, 1)), 10, 0.05, True),
    ]


def test_sensors_are_read_only_and_forgotten_targets_and_their_limits_are_set_and_kept(bench_ac: Wiring) -> None:
    fan = at(bench_ac, Component("AirCoolingSystem"), "FanSpeed")
    rights = {kind: (attribute.mutability, attribute.persistent) for kind, attribute in fan.attributes.items()}
    kept = (Mutability.READ_WRITE, True)
    assert rights == {
        AttributeType.ACTUAL: (Mutability.READ_ONLY, False),
        AttributeType.TARGET: kept,
        AttributeType.MIN_SET: kept,
        AttributeType.MAX_SET: kept,
    }
    assert not fan.actual.constant


def test_a_component_that_is_measured_starts_without_a_problem(bench_ac: Wiring) -> None:
    problem = at(bench_ac, Component("RCD", evse=1), "Problem")
    assert (problem.actual.value, problem.characteristics.data_type) == (False, DataType.BOOLEAN)
    assert bench_ac.model.get(Component("DistributionPanel"), "Problem") is None


def test_an_evse_tells_the_most_that_it_can_give_and_its_phases(bench_ac: Wiring) -> None:
    evse = Component("EVSE", evse=2)
    assert at(bench_ac, evse, "Power").characteristics.max_limit == 3 * 230 * 32
    assert at(bench_ac, evse, "SupplyPhases").actual.value == 3
    assert at(bench_ac, Component("Connector", evse=1, connector=2), "ConnectorType").actual.value == "cType2"


def test_availability_has_the_states_of_part_2_and_none_yet(bench_ac: Wiring) -> None:
    for component in (Component("ChargingStation"), Component("EVSE", evse=1), Component("Connector", None, 2, 1)):
        state = at(bench_ac, component, "AvailabilityState")
        assert state.characteristics.values_list == "Available,Occupied,Reserved,Unavailable,Faulted"
        assert state.actual.value is None
        assert at(bench_ac, component, "Available").actual.constant


def test_a_stand_alone_battery_has_no_charging_station_component() -> None:
    wiring = wire(load("bench-battery"))
    names = {component.name for component in wiring.model.components()}
    assert names == {"LocalEnergyStorage", "ElectricalFeed", "AirCoolingSystem"}
    storage = {str(variable.name) for variable in wiring.model.variables(Component("LocalEnergyStorage"))}
    assert storage == {"StateOfCharge", "DCVoltage", "DCCurrent", "Power", "Capacity", "Temperature", "Problem"}


def test_what_a_point_measures_becomes_the_unit_of_the_variable(tmp_path: Path) -> None:
    wiring = of(tmp_path, changed("unit: Celsius", "unit: Fahrenheit"))
    (binding,) = wiring.readings["cabinet", "temperature"]
    assert 212 * binding.factor + binding.offset == pytest.approx(100)
    assert binding.variable.characteristics.unit == "Celsius"


def test_the_other_unit_of_the_standard_can_be_chosen(tmp_path: Path) -> None:
    wiring = of(tmp_path, changed("Power: {actual", "Power: {unit: kW, actual"))
    (binding,) = wiring.readings["meter", "power"]
    assert (binding.factor, binding.variable.characteristics.unit) == (0.001, "kW")


def test_a_name_of_ones_own_takes_the_unit_of_its_point(tmp_path: Path) -> None:
    wiring = of(
        tmp_path,
        changed(
            "      Temperature:",
            "      Warmth: {type: decimal, actual: {from: fan.rpm, max_age: 3s}}\n      Temperature:",
        ),
    )
    warmth = at(wiring, Component("TemperatureSensor"), "Warmth")
    assert warmth.characteristics.unit == "RPM"
    assert [str(binding.variable) for binding in wiring.readings["fan", "rpm"]] == [
        "AirCoolingSystem.FanSpeed",
        "TemperatureSensor.Warmth",
    ]


def test_a_target_without_a_curve_reaches_its_point_in_the_points_unit(tmp_path: Path) -> None:
    text = changed("access: w, unit: Percent", "access: w, unit: kW")
    text = changed(
        "      Temperature:", "      Power: {limits: [0, 2000], target: {to: cabinet.heat}}\n      Temperature:", text
    )
    target = of(tmp_path, text).targets[1]
    assert (target.curve, target.closed_loop) == (((0, 0), (2000, 2)), False)


def test_a_board_may_measure_what_every_evse_only_declares(tmp_path: Path) -> None:
    text = GOOD + "  - {name: evse, evse: 1, variables: {power: {actual: {from: meter.power, max_age: 3s}}}}\n"
    wiring = of(tmp_path, text)
    power = at(wiring, Component("EVSE", evse=1), "Power")
    assert (power.max_age, power.characteristics.max_limit) == (3, 3 * 230 * 32)
    assert power in [binding.variable for binding in wiring.readings["meter", "power"]]


@pytest.mark.parametrize(
    ("access", "mutability"), [("ReadOnly", Mutability.READ_ONLY), ("ReadWrite", Mutability.READ_WRITE)]
)
def test_a_value_is_constant_unless_the_csms_may_set_it(tmp_path: Path, access: str, mutability: Mutability) -> None:
    text = changed("      Tripped:", f"      Manufacturer: {{value: Doepke, access: {access}}}\n      Tripped:")
    actual = at(of(tmp_path, text), Component("RCD", evse=1), "Manufacturer").actual
    settable = mutability is Mutability.READ_WRITE
    assert (actual.value, actual.mutability, actual.constant) == ("Doepke", mutability, not settable)
    assert actual.persistent is settable


def test_an_input_may_be_turned_round(tmp_path: Path) -> None:
    wiring = of(tmp_path, changed("from: rcd.tripped,", "from: rcd.tripped, invert: true,"))
    assert wiring.readings["rcd", "tripped"][0].invert


def test_the_supply_of_a_dc_station_is_what_the_board_says(tmp_path: Path) -> None:
    text = changed("model: AC-22", "model: DC, supply_phases: 3").replace("phases: 3\n", "phases: 0\n")
    wiring = of(tmp_path, text.replace("{phases: 3, max", "{phases: 0, max"))
    assert at(wiring, Component("ChargingStation"), "SupplyPhases").actual.value == 3
    assert at(wiring, Component("EVSE", evse=1), "SupplyPhases").actual.value == 0
