"""Every mistake in a board file is named with its line, its column, what was found, and what to do about it."""

from pathlib import Path

import pytest

from agent.board import load
from tests.board.parts import GOOD, MARK, changed, mistakes, place_of_mark, written

CASES = [
    # --- the text itself
    ("a tab", "station: {", "station:\n▲\t{", "not YAML", "key: value"),
    ("an open bracket", "limits: [0, 1000]", "limits: [0, 1000\n", "not YAML", "line 36"),
    (
        "a key twice",
        "  pins: {driver: gpio}",
        "  pins: {driver: gpio}\n  ▲pins: {driver: gpio}",
        "second time",
        "once",
    ),
    ("a list as a key", "  pins: {", "  ? ▲[1, 2]\n  : x\n  pins: {", "a mapping or list", "a name"),
    # --- keys and types
    ("an unknown section", "devices:\n", "▲device: {}\ndevices:\n", "'device'", "did you mean 'devices'?"),
    ("an unknown key", "baudrate: 19200", "▲baud_rate: 19200", "'baud_rate'", "did you mean 'baudrate'?"),
    ("an unknown key of a device", "pwm: 18", "▲pmw: 18, pwm: 18", "'pmw'", "did you mean 'pwm'?"),
    ("an unknown key of a target", "min_set: 200", "▲minset: 200", "'minset'", "did you mean 'min_set'?"),
    ("a key of another part", "{input: 5}", "{input: 5, ▲chip: 1}", "'chip'", "debounce"),
    ("a missing key", "vendor: Acme, ", "", "'vendor' is missing", "vendor: …"),
    ("a number for a text", "model: AC-22", "model: ▲22", "22", 'in quotes: "22"'),
    ("a truth for a text", "model: AC-22", "model: ▲true", "true", 'in quotes: "true"'),
    ("a text for a number", "phases: 3\n", "phases: ▲three\n", "'three'", "one of 0, 1, 3"),
    ("a text for a whole number", "pwm: 18", "pwm: ▲GPIO18", "'GPIO18'", "whole number"),
    ("a number that is too high", "baudrate: 19200", "baudrate: ▲99000000", "99000000", "at most 4000000"),
    ("a list for a mapping", "  pins: {driver: gpio}", "  pins: ▲[gpio]", "a list", "a mapping"),
    ("nothing for a mapping", "station: {vendor: Acme, model: AC-22}", "▲station:", "nothing", "a mapping"),
    ("a model name that is too long", "model: AC-22", f"model: ▲{'A' * 21}", "A" * 21, "at most 20 characters"),
    (
        "a serial number that is too long",
        "model: AC-22",
        f"model: AC-22, serial: ▲{'S' * 26}",
        "S" * 26,
        "at most 25 characters",
    ),
    # --- what YAML makes of plain words
    ("a sexagesimal time", "poll: 500ms", "poll: ▲1:30", "'1:30'", "a duration such as 500ms"),
    ("a duration without unit", "{file: t,", "{file: t, ▲poll: 5,", "'poll'", "file"),
    ("a plain number as a duration", "from: fan.rpm, max_age: 3s", "from: fan.rpm, max_age: ▲3", "3", "3s"),
    # --- what hangs together
    ("an unknown driver", "driver: sysfs", "driver: ▲sysf", "'sysf'", "did you mean 'sysfs'?"),
    ("a bus without a driver", "kernel: {driver: sysfs, ", "▲kernel: {", "'driver' is missing", "modbus-rtu"),
    ("an unknown bus", "meter: {bus: rs485", "meter: {bus: ▲rs458", "'rs458'", "did you mean 'rs485'?"),
    (
        "an unknown profile",
        "profile: eastron-sdm630",
        "profile: ▲eastron-sdm360",
        "'eastron-sdm360'",
        "'eastron-sdm630'?",
    ),
    ("an unknown device", "from: fan.rpm", "from: ▲fann.rpm", "'fann'", "did you mean 'fan'?"),
    ("an unknown point", "from: fan.rpm", "from: ▲fan.rmp", "'rmp'", "did you mean 'rpm'?"),
    ("no point at all", "from: fan.rpm", "from: ▲fan", "'fan'", "DEVICE.POINT"),
    ("a meter's profile on a P1 port", "profile: dsmr-p1", "profile: ▲eastron-sdm230", "modbus", "p1"),
    ("a P1 profile on RS-485", "profile: eastron-sdm630", "profile: ▲dsmr-p1", "p1", "modbus-rtu"),
    ("files on pins", "bus: kernel\n    kind: files", "bus: pins\n    kind: ▲files", "'files'", "pwm-fan, pins"),
    ("no kind on pins", "kind: pwm-fan, ", "", "'kind' is missing", "pwm-fan, pins"),
    ("no unit on Modbus", "unit: 1, profile", "profile", "'unit' is missing", "Modbus unit"),
    ("the broadcast address", "unit: 1, profile", "unit: ▲0, profile", "unit 0", "1..247"),
    ("a unit on P1", "{bus: p1, ", "{bus: p1, unit: ▲3, ", "unit 3", "remove"),
    ("a unit twice", "unit: 2", "unit: ▲1", "unit 1", "'meter'"),
    (
        "two meters on one P1 port",
        "  blower:",
        "  ▲feed-2: {bus: p1, profile: dsmr-p1}\n  blower:",
        "'feed'",
        "bus of its own",
    ),
    ("a pin twice", "test: {output: 6}", "test: {output: ▲18}", "pin 18", "'blower'"),
    ("a port twice", "port: /dev/ttyUSB0", "port: ▲/dev/ttyAMA0", "/dev/ttyAMA0", "'rs485'"),
    (
        "a dot in a name",
        "  cabinet:",
        "  ▲cabi.net: {bus: kernel, kind: files, points: {}}\n  cabinet:",
        "'cabi.net'",
        "letters",
    ),
    (
        "a bus that cannot keep up",
        "  rs485: {driver: modbus-rtu, port: /dev/ttyAMA0, baudrate: 19200}",
        "  ▲rs485: {driver: modbus-rtu, port: /dev/ttyAMA0, baudrate: 300}",
        "busy",
        "at most 100",
    ),
    # --- numbering (part 1 §7)
    (
        "a gap between EVSEs",
        "  2: {phases",
        "  ▲3: {phases",
        "EVSE 3",
        "EVSE 2: ids are 1..2 without gaps (part 1 §7.1)",
    ),
    ("an EVSE 0", "  2: {phases", "  ▲0: {phases", "EVSE 0", "§7.1"),
    ("a gap between connectors", "      2: {type: cType2}", "      ▲3: {type: cType2}", "connector 3", "§7.2"),
    ("no connectors", "connectors: {1: {type: sType2}}", "connectors: ▲{}", "without connectors", "§7.2"),
    ("an EVSE with a name", "  2: {phases", "  ▲left: {phases", "'left'", "whole number"),
    ("an unknown connector type", "{type: cType2}", "{type: ▲cTyp2}", "'cTyp2'", "did you mean 'cType2'?"),
    ("no such EVSE", "evse: 1\n    connector: 1", "evse: ▲3", "no EVSE 3", "1, 2"),
    ("no such connector", "connector: 1\n", "connector: ▲3\n", "no connector 3", "1, 2"),
    ("a connector of no EVSE", "    evse: 1\n    connector: 1\n", "    connector: ▲1\n", "connector", "evse: …"),
    # --- variables
    ("a point that cannot be written", "to: fan.duty", "to: ▲fan.rpm", "fan.rpm", "only be read"),
    (
        "a point that cannot be read",
        "from: cabinet.temperature",
        "from: ▲cabinet.heat",
        "cabinet.heat",
        "only be written",
    ),
    ("amperes as watts", "from: meter.power", "from: ▲meter.current_l2", "A", "W"),
    (
        "a unit that is none of the variable's",
        "limits: [0, 1000]",
        "limits: [0, 1000]\n        unit: ▲Hz",
        "Hz",
        "RPM",
    ),
    ("a point without a unit", "from: fan.rpm", "from: ▲fan.duty", "no unit", "RPM"),
    ("a truth as a number", "from: fan.rpm", "from: ▲rcd.tripped", "boolean", "decimal"),
    ("a number as a truth", "from: rcd.tripped", "from: ▲fan.rpm", "number", "boolean"),
    ("the wrong type", "limits: [0, 1000]", "limits: [0, 1000]\n        type: ▲integer", "integer", "decimal"),
    (
        "a type that is none",
        "limits: [0, 1000]",
        "limits: [0, 1000]\n        type: ▲decimel",
        "'decimel'",
        "'decimal'?",
    ),
    ("no type for a name of one's own", "      Temperature:", "      ▲Warmth:", "Warmth", "type: …"),
    ("limits the wrong way round", "limits: [0, 1000]", "limits: ▲[1000, 0]", "[1000, 0]", "[lowest, highest]"),
    ("one limit", "limits: [0, 1000]", "limits: ▲[1000]", "1 items", "more"),
    ("limits of a truth", "Tripped: {", "Tripped: {limits: ▲[0, 1], ", "boolean", "number"),
    ("min_set above max_set", "min_set: 200", "min_set: ▲600", "min_set 600", "at most 500"),
    ("max_set above the limits", "max_set: 500", "max_set: ▲1500", "max_set 1500", "0..1000"),
    ("an initial Target outside", "max_set: 500", "max_set: 500, initial: ▲600", "initial 600", "200..500"),
    ("a curve that turns back", "[[0, 0], [1000, 1]]", "▲[[0, 0], [0, 1]]", "do not rise", "rising"),
    ("a tolerance that is none", "max_set: 500", "max_set: 500, tolerance: ▲few", "'few'", "5%"),
    (
        "a Target for a truth",
        "from: rcd.tripped, max_age: 3s}",
        "from: rcd.tripped, max_age: 3s}, ▲target: {to: rcd.test}",
        "boolean",
        "decimal or integer",
    ),
    ("an age below the poll period", "from: fan.rpm, max_age: 3s", "from: fan.rpm, max_age: ▲100ms", "0.1s", "0.5s"),
    ("a measured constant", "Tripped: {", "Tripped: {▲value: false, ", "constant", "leave one"),
    (
        "a constant of the wrong type",
        "Tripped: {actual: {from: rcd.tripped, max_age: 3s}}",
        "Tripped: {value: ▲maybe}",
        "'maybe'",
        "true or false",
    ),
    (
        "a variable of nothing",
        "Tripped: {actual: {from: rcd.tripped, max_age: 3s}}",
        "▲Tripped: {}",
        "Tripped",
        "actual",
    ),
    ("a measured Actual that is to be set", "Tripped: {", "Tripped: {access: ▲ReadWrite, ", "ReadWrite", "measured"),
    (
        "a list without values",
        "      Tripped:",
        "      ▲Modus: {type: OptionList, value: a}\n      Tripped:",
        "OptionList",
        "values",
    ),
    (
        "a variable in two cases",
        "      Power:",
        "      ▲accurrent[l1]: {value: 1}\n      Power:",
        "second time",
        "once",
    ),
    (
        "a component twice",
        "  - name: TemperatureSensor",
        "  - name: ▲rcd\n    evse: 1\n    variables: {}\n  - name: TemperatureSensor",
        "rcd",
        "once",
    ),
    ("a blank in a name", "name: TemperatureSensor", "name: ▲Temperature Sensor", "'Temperature Sensor'", "§2.1.4"),
    ("a name that is too long", "name: TemperatureSensor", f"name: ▲{'T' * 51}", "T" * 51, "at most 50 characters"),
    (
        "a variable's name that is too long",
        "      Temperature:",
        f"      ▲{'T' * 51}:",
        "51 characters",
        "at most 50",
    ),
    ("a bracket too many", '"ACCurrent[L1]"', '▲"ACCurrent[L1]]"', "ACCurrent[L1]]", "Name[instance]"),
    (
        "two Targets for one point",
        "      Tripped:",
        "      Percent: {limits: [0, 100], target: {to: ▲fan.duty, curve: [[0, 0], [100, 1]]}}\n      Tripped:",
        "fan.duty",
        "one Target",
    ),
    ("a controller", "name: TemperatureSensor", "name: ▲TxCtrlr", "TxCtrlr", "the agent's own"),
    ("an EVSE on the station's tier", "name: TemperatureSensor", "name: ▲EVSE", "EVSE", "evse: …"),
]


@pytest.mark.parametrize(("old", "new", "found", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_mistake_is_told_with_its_place_and_its_remedy(
    tmp_path: Path, old: str, new: str, found: str, expected: str
) -> None:
    marked = changed(old, new)
    told = mistakes(tmp_path, marked.replace(MARK, ""))
    (mistake,) = told
    if MARK in marked:
        assert (mistake.line, mistake.column) == place_of_mark(marked)
    assert str(mistake).startswith(f"{tmp_path}/board.yaml:{mistake.line}:{mistake.column}: ")
    first = str(mistake).splitlines()[0]
    assert found in first
    assert expected in first


def test_the_board_that_the_broken_ones_come_from_has_no_mistake(tmp_path: Path) -> None:
    assert load(str(written(tmp_path, GOOD))).name == "board"
