"""A connector's hardware in a board file: what is refused, what is noted, and what the wiring makes of it."""

from pathlib import Path

import pytest

from agent.board import load
from agent.board.wiring import Wiring, wire
from agent.model import Component, DataType, Variable, VariableName
from tests.board.parts import CHARGING, GOOD, MARK, changed, mistakes, place_of_mark, written

CASES = [
    ("an unknown controller", "controller: left", "controller: ▲lift", "no device 'lift'", "did you mean 'left'?"),
    ("no text for a controller", "controller: left", "controller: ▲3", "found 3", 'in quotes: "3"'),
    (
        "a meter as controller",
        "controller: right",
        "controller: ▲meter",
        "without pilot and offered_current",
        "pilot:",
    ),
    ("a reader as controller", "controller: right", "controller: ▲cards", "and enable", "`hardware: {pilot:"),
    (
        "hardware without a pilot",
        "controller: right",
        "hardware: ▲{enable: pins.enable}",
        "connector 1/2 without pilot and offered_current",
        "DEVICE.POINT",
    ),
    ("an unknown role", "contactor_closed:", "▲contactor_close:", "'contactor_close'", "'contactor_closed'?"),
    ("an unknown point", "pins.feedback", "▲pins.feedbak", "no point 'feedbak'", "did you mean 'feedback'?"),
    ("a device of no such name", "pins.feedback", "▲pin.feedback", "no device 'pin'", "did you mean 'pins'?"),
    ("no point at all", "pins.feedback", "▲feedback", "found 'feedback'", "DEVICE.POINT"),
    ("an output that is an input", "lock: pins.lock", "lock: ▲pins.stop", "pins.stop can only be read", "written"),
    (
        "an input that is an output",
        "pins.feedback",
        "▲left.enable",
        "left.enable can only be written",
        "can be read",
    ),
    ("a number for a truth", "pins.feedback", "▲left.cable_current", "left.cable_current is a number", "a boolean"),
    (
        "a truth for a text",
        "lock: pins.lock",
        "lock: pins.lock\n          pilot: ▲pins.stop",
        "pins.stop is a boolean",
        "expected a text",
    ),
    (
        "volts for amperes",
        "lock: pins.lock",
        "lock: pins.lock\n          cable_current: ▲meter.voltage_l1",
        "meter.voltage_l1 is in V",
        "a point in A",
    ),
    (
        "an output in no unit",
        "lock: pins.lock",
        "lock: pins.lock\n          offered_current: ▲left.alive",
        "left.alive is in no unit",
        "a point in A",
    ),
    (
        "an output of two connectors",
        "controller: right",
        "controller: right, hardware: {enable: ▲left.enable}",
        "left.enable is driven by connector 1/1 (enable) already",
        "of its own",
    ),
    (
        "an output of two roles",
        "lock: pins.lock",
        "lock: ▲pins.lock\n          enable: pins.lock",
        "pins.lock is driven by connector 1/1",
        "of its own",
    ),
    (
        "an output of a connector and of a Target",
        "Model: {value: K-40}",
        "Power: {limits: [0, 1], target: {to: ▲right.offered_current, curve: [[0, 0], [1, 1]]}}",
        "right.offered_current is driven by connector 1/2 (offered_current) already",
        "one Target",
    ),
    (
        "a contactor that may close at the start",
        "controller: right",
        "controller: right, hardware: {enable: ▲pins.enable}",
        "pins.enable is true at start",
        "remove `safe: true`",
    ),
    ("an age below the poll period", "hardware:", "max_age: ▲400ms\n        hardware:", "max_age 0.4s", "0.5s"),
    ("an age below a UART's poll", "controller: right", "controller: right, max_age: ▲300ms", "0.3s", "0.5s"),
    ("less than a pilot can offer", "max_current: 16", "max_current: 16\n    min_current: ▲5", "5", "at least 6 A"),
    ("more than a pilot can offer", "max_current: 16", "max_current: ▲100", "100", "at most 80 A: a pilot"),
    ("an end that is none", "phases: 3", "phases: 3\n    on_power_loss: ▲stop", "'stop'", "'resume', 'end'"),
    (
        "what the connector measures already",
        "Model: {value: K-40}",
        "▲Active: {actual: {from: pins.feedback, max_age: 3s}}",
        "connector 1/1 (contactor_closed: pins.feedback) measures already",
        "remove it here",
    ),
    (
        "a constant for what the connector measures",
        "Model: {value: K-40}",
        "▲active: {value: true}",
        "connector 1/1 (contactor_closed",
        "remove it here",
    ),
    # --- what is a wire of its own
    (
        "a port twice",
        "driver: serial-reader, port: /dev/ttyUSB1",
        "driver: serial-reader, port: ▲/dev/ttyUSB0",
        "",
        "",
    ),
    (
        "a second reader on one port",
        "  pins:\n    bus",
        "  ▲more: {bus: cards, kind: reader}\n  pins:\n    bus",
        "a second reader on bus 'cards', beside 'cards'",
        "a bus of its own",
    ),
    (
        "a second controller on one port",
        "  pins:\n    bus",
        "  ▲more: {bus: pilot, kind: pilot-uart}\n  pins:\n    bus",
        "a second controller on bus 'pilot', beside 'right'",
        "a bus of its own",
    ),
    ("another kind on a reader's port", "bus: cards, kind: reader", "bus: cards, kind: ▲pins", "'pins'", "of reader"),
    ("an unknown key of a reader", "kind: reader}", "kind: reader, ▲type: Local}", "'type'", "token_type"),
    # --- components that the agent asks for its decisions
    ("a number as a stop button", "from: pins.stop", "from: ▲meter.power", "number", "Operated is a boolean"),
    ("a text as a stop button", "from: pins.stop", "from: ▲cards.token", "text", "Operated is a boolean"),
    (
        "a stop button of another type",
        "Operated: {actual: {from: pins.stop",
        "Operated: {type: ▲string, actual: {from: cards.token",
        "Operated as string",
        "the standard says boolean",
    ),
    ("a truth as a token", "from: cards.token", "from: ▲pins.stop", "boolean", "Token is a string"),
    (
        "a number as an occupied bay",
        "name: UIInput\n    instance: Stop\n    evse: 1\n    variables:\n      Operated: {actual: {from: pins.stop",
        "name: BayOccupancySensor\n    evse: 1\n    variables:\n      Active: {actual: {from: ▲meter.power",
        "number",
        "Active is a boolean",
    ),
    (
        "a text as an emergency stop",
        "name: UIInput\n    instance: Stop\n    evse: 1\n    variables:\n      Operated: {actual: {from: pins.stop",
        "name: EmergencyStopSensor\n    variables:\n      Active: {actual: {from: ▲cards.token",
        "text",
        "Active is a boolean",
    ),
]


@pytest.mark.parametrize(("old", "new", "found", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_mistake_is_told_with_its_place_and_its_remedy(
    tmp_path: Path, old: str, new: str, found: str, expected: str
) -> None:
    marked = changed(old, new, CHARGING)
    if "at start" in found:
        marked = changed("enable: {output: 9}", "enable: {output: 9, safe: true}", marked)
    (mistake,) = mistakes(tmp_path, marked.replace(MARK, ""))
    assert (mistake.line, mistake.column) == place_of_mark(marked)
    first = str(mistake).splitlines()[0]
    assert found in first and expected in first


def test_a_controller_that_has_mistakes_of_its_own_is_told_once(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, changed("unit: 1, ", "unti: 1, unit: 1, ", CHARGING))
    assert "'unti'" in mistake.found


def test_two_connectors_have_no_controller_in_common(tmp_path: Path) -> None:
    told = mistakes(tmp_path, changed("controller: right", "controller: left", CHARGING))
    assert {mistake.found.partition(":")[0] for mistake in told} == {"offered_current", "enable"}
    assert all("connector 1/1" in mistake.found for mistake in told)


def test_a_board_that_charges_has_nothing_worth_saying_but_its_load(tmp_path: Path) -> None:
    notes = load(str(written(tmp_path, CHARGING))).notes
    assert [note for note in notes if "busy" not in note] == []


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (
            "type: cType2, controller: right",
            "type: sType2, controller: right",
            "connector 1/2: a socket without `lock`: anybody can pull its cable",
        ),
        (
            "type: cType2, controller: right",
            "type: cType2, controller: right, hardware: {lock: pins.lamp}",
            "connector 1/2: `lock` without `locked`: a lock that fails goes unseen",
        ),
        (
            "profile: iec61851-controller",
            "profile: phoenix-contact-ev-cc-ac1",
            "connector 1/1: phoenix-contact-ev-cc-ac1 knows no sign of life: it may go on charging without the agent",
        ),
        (
            "      EnergyImportRegister:",
            "      EnergyExportRegister:",
            "EVSE 1: no FiscalMetering.EnergyImportRegister, so its transactions have no energy",
        ),
        (", controller: right", "", "connector 1/2: nothing controls it, so it cannot charge"),
        (", controller: right", "", "device right: no variable uses it"),
    ],
)
def test_what_is_allowed_but_worth_saying_is_noted(tmp_path: Path, old: str, new: str, note: str) -> None:
    assert note in load(str(written(tmp_path, changed(old, new, CHARGING)))).notes


def test_a_contactor_without_feedback_is_noted(tmp_path: Path) -> None:
    profile = "phoenix-contact-ev-cc-ac1"
    text = changed("          contactor_closed: pins.feedback\n", "", CHARGING)
    notes = load(str(written(tmp_path, changed("iec61851-controller", profile, text)))).notes
    assert "connector 1/1: no `contactor_closed`: a welded contactor goes unseen" in notes


# --- what the wiring makes of it ----------------------------------------------------------------------------------


@pytest.fixture
def wiring(tmp_path: Path) -> Wiring:
    return wire(load(str(written(tmp_path, CHARGING))))


def at(wiring: Wiring, component: str, name: str, connector: int | None = None) -> Variable:
    return wiring.model.find(Component(component, None, 1, connector), VariableName(name))


def test_a_connectors_hardware_is_its_controllers_points_and_what_the_board_says_besides(wiring: Wiring) -> None:
    socket, cable = wiring.connectors
    assert (socket.evse, socket.connector, socket.socket) == (1, 1, True)
    assert (cable.evse, cable.connector, cable.socket) == (1, 2, False)
    assert {role: str(variable) for role, variable in socket.inputs.items()} == {
        "pilot": "CPPWMController@1,1.State",
        "plugged": "Connector@1,1.Plugged",
        "cable_current": "Connector@1,1.CableCurrent",
        "contactor_closed": "PowerContactor@1,1.Active",
        "locked": "ConnectorPlugRetentionLock@1,1.Active",
        "fault": "CPPWMController@1,1.FaultCode",
    }
    assert socket.outputs == {
        "offered_current": ("left", "offered_current"),
        "enable": ("left", "enable"),
        "lock": ("pins", "lock"),
    }
    assert set(cable.inputs) == {"pilot", "plugged", "contactor_closed", "fault"}
    assert set(cable.outputs) == {"offered_current", "enable"}
    assert [binding.variable for binding in wiring.readings["pins", "feedback"]] == [
        socket.inputs["contactor_closed"]
    ]
    assert ("left", "contactor_closed") not in wiring.readings


def test_a_fixed_cable_has_nothing_to_lock_whatever_its_controller_has(tmp_path: Path) -> None:
    (_, cable) = wire(
        load(str(written(tmp_path, changed("kind: pilot-uart}", "kind: pilot-uart, lock: true}", CHARGING))))
    ).connectors
    assert "lock" not in cable.outputs and "locked" not in cable.inputs


def test_what_a_connector_measures_goes_stale_and_has_a_problem(tmp_path: Path) -> None:
    text = changed("        hardware:", "        max_age: 1500ms\n        hardware:", CHARGING)
    wiring = wire(load(str(written(tmp_path, text))))
    socket, cable = wiring.connectors
    assert {variable.max_age for variable in socket.inputs.values()} == {1.5}
    assert {variable.max_age for variable in cable.inputs.values()} == {3.0}
    for component in ("CPPWMController", "PowerContactor", "Connector", "ConnectorPlugRetentionLock"):
        assert at(wiring, component, "Problem", 1).actual.value is False
    assert at(wiring, "CPPWMController", "FaultCode", 1).characteristics.data_type is DataType.INTEGER


def test_a_board_may_say_more_of_what_the_wiring_makes(wiring: Wiring) -> None:
    assert at(wiring, "PowerContactor", "Model", 1).actual.value == "K-40"
    assert at(wiring, "PowerContactor", "Active", 1).max_age == 3.0


def test_what_is_measured_in_another_unit_becomes_amperes(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/own.yaml").write_text(
        "schema: 1\nkind: modbus\nvendor: Own\nmodel: M\nsource: me\n"
        "points:\n  cable: {at: 0, type: uint16, unit: mA}\n"
    )
    text = changed("lock: pins.lock", "lock: pins.lock\n          cable_current: own.cable", CHARGING)
    text = changed("  meter:", "  own: {bus: rs485, unit: 3, profile: own}\n  meter:", text)
    (binding,) = wire(load(str(written(tmp_path, text)))).readings["own", "cable"]
    assert binding.factor == 0.001 and binding.variable.characteristics.unit == "A"


def test_a_board_without_controllers_has_no_connectors_to_drive(tmp_path: Path) -> None:
    assert wire(load(str(written(tmp_path, GOOD)))).connectors == ()


def test_an_evse_gives_what_its_meter_measures(wiring: Wiring) -> None:
    power = at(wiring, "EVSE", "Power")
    assert (power.max_age, power.characteristics.unit) == (4.0, "W")
    assert power.characteristics.max_limit == 3 * 230 * 16
    bound = {str(one.variable): one.factor for one in wiring.readings["meter", "power"]}
    assert bound == {"FiscalMetering@1.Power": 0.001, "EVSE@1.Power": 1.0}


def test_a_board_that_says_itself_what_an_evse_gives_is_believed(tmp_path: Path) -> None:
    own = "  - {name: EVSE, evse: 1, variables: {Power: {actual: {from: meter.power_l1, max_age: 3s}}}}\n"
    wiring = wire(load(str(written(tmp_path, CHARGING + own))))
    (binding,) = wiring.readings["meter", "power"]
    assert str(binding.variable) == "FiscalMetering@1.Power"
    assert at(wiring, "EVSE", "Power").max_age == 3.0


def test_a_meter_that_is_not_the_evses_own_says_nothing_of_it(tmp_path: Path) -> None:
    text = changed(
        "name: FiscalMetering\n    evse: 1", "name: FiscalMetering\n    evse: 1\n    connector: 1", CHARGING
    )
    assert at(wire(load(str(written(tmp_path, text)))), "EVSE", "Power").max_age is None
