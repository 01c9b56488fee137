"""A status indicator in a board file: what is refused, and what the wiring makes of it. And the message timeout."""

from pathlib import Path

import pytest

from agent.board import load
from agent.board.wiring import wire
from agent.clock import SystemClock
from agent.model import DataType, Variable
from agent.ocpp.variables import MESSAGE_TIMEOUT, controllers
from tests.board.parts import CHARGING, MARK, changed, mistakes, place_of_mark, written

LAMPS = "{red: lamps.red, green: lamps.green, blue: lamps.blue}"
BOARD = changed(
    "  cards: {bus: cards",
    "  lamps: {bus: gpio, kind: pins, points: {red: {output: 20}, green: {output: 21}, blue: {output: 22},"
    " more: {output: 23}, seen: {input: 24}}}\n  cards: {bus: cards",
    CHARGING,
)
CABLE = "controller: right}"


def cable(led: str) -> str:
    return changed(CABLE, f"controller: right, status_led: {led}}}", BOARD)


CASES = [
    (
        "two lamps",
        "▲{red: lamps.red, green: lamps.green}",
        "a status_led of red and green",
        "red, green and blue, or",
    ),
    ("none", "▲{}", "a status_led of nothing", "red, green and blue, or color"),
    ("blink alone", "▲{blink: lamps.more}", "a status_led of blink", "red, green and blue, or color"),
    (
        "lamps and a number",
        f"▲{LAMPS[:-1]}, color: right.offered_current}}",
        "red and green and blue and color",
        "or color alone",
    ),
    ("an unknown part", LAMPS.replace("red:", "▲rot:"), "'rot'", "remove it"),
    ("an unknown point", LAMPS.replace("lamps.red", "▲lamps.rot"), "no point 'rot'", "expected one of blue, green"),
    ("an input", LAMPS.replace("lamps.red", "▲lamps.seen"), "red: lamps.seen can only be read", "can be written"),
    (
        "a lamp twice",
        LAMPS.replace("blue: ", "blue: ▲").replace(".blue", ".red"),
        "lamps.red is driven by",
        "its own",
    ),
    ("the lock as a lamp", LAMPS.replace("lamps.red", "▲pins.lock"), "driven by connector 1/1 (lock)", "its own"),
    ("a truth as a colour", "{color: ▲lamps.more}", "color: lamps.more is a boolean", "a number"),
]


@pytest.mark.parametrize(("led", "found", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_mistake_is_told_with_its_place_and_its_remedy(tmp_path: Path, led: str, found: str, expected: str) -> None:
    marked = cable(led)
    told = [one for one in mistakes(tmp_path, marked.replace(MARK, "")) if found in str(one)]
    assert len(told) == 1
    assert (told[0].line, told[0].column) == place_of_mark(marked)
    assert expected in str(told[0]).splitlines()[0]


def test_what_nothing_controls_has_nothing_to_show(tmp_path: Path) -> None:
    text = changed(CABLE, f"status_led: {LAMPS}}}", BOARD)
    assert "a status_led of connector 1/2, which nothing controls" in str(mistakes(tmp_path, text))


def test_the_board_cannot_say_again_what_is_shown(tmp_path: Path) -> None:
    text = cable(LAMPS) + (
        "  - name: ChargingStatusIndicator\n    evse: 1\n    connector: 2\n"
        '    variables: {Model: {value: "3"}, Color: {value: FF0000}}\n'
    )
    (mistake,) = mistakes(tmp_path, text)
    assert "the status_led of connector 1/2" in mistake.found


def test_the_lamps_of_a_connector_and_of_an_evse_are_components_of_their_own_tier(tmp_path: Path) -> None:
    text = changed("    max_current: 16\n", "    max_current: 16\n    status_led: {color: rgb.color}\n", cable(LAMPS))
    text = changed("  meter:", "  rgb: {bus: rs485, unit: 7, profile: rgb}\n  meter:", text)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/rgb.yaml").write_text(
        "schema: 1\nkind: modbus\nvendor: Own\nmodel: L\nsource: me\n"
        "points:\n  color: {at: 0, type: uint32, table: holding, access: w}\n"
    )
    board = load(str(written(tmp_path, text)))
    whole, one = wire(board).indicators
    assert (whole.evse, whole.connector, whole.outputs) == (1, None, {"color": ("rgb", "color")})
    assert (one.evse, one.connector) == (1, 2)
    assert one.outputs == {"red": ("lamps", "red"), "green": ("lamps", "green"), "blue": ("lamps", "blue")}
    assert [str(variable) for variable in (whole.active, whole.color, one.active, one.color)] == [
        "ChargingStatusIndicator@1.Active",
        "ChargingStatusIndicator@1.Color",
        "ChargingStatusIndicator@1,2.Active",
        "ChargingStatusIndicator@1,2.Color",
    ]
    assert (one.active.characteristics.data_type, one.color.characteristics.data_type) == (
        DataType.BOOLEAN,
        DataType.STRING,
    )
    assert one.active.actual.value is None and one.color.actual.value is None
    assert "device lamps: no variable uses it" not in board.notes


def test_a_board_without_lamps_has_no_indicator(tmp_path: Path) -> None:
    wiring = wire(load(str(written(tmp_path, CHARGING))))
    assert wiring.indicators == ()
    assert all(variable.component.name != "ChargingStatusIndicator" for variable in wiring.model.variables())


# --- message_timeout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["500ms", "2500ms", "0s"])
def test_a_message_timeout_is_whole_seconds(tmp_path: Path, text: str) -> None:
    marked = changed("model: AC-11}", f"model: AC-11, message_timeout: ▲{text}}}", CHARGING)
    (mistake,) = mistakes(tmp_path, marked.replace(MARK, ""))
    assert (mistake.line, mistake.column) == place_of_mark(marked)


def test_a_message_timeout_is_what_the_maker_says_else_30_s(tmp_path: Path) -> None:
    text = changed("model: AC-11}", "model: AC-11, message_timeout: 5s}", CHARGING)
    assert load(str(written(tmp_path, text))).station.message_timeout == 5
    assert load(str(written(tmp_path, CHARGING))).station.message_timeout == 30


def test_the_factory_sets_the_message_timeout_and_the_csms_cannot() -> None:
    def timeout(variables: list[Variable]) -> Variable:
        component, name, instance = MESSAGE_TIMEOUT
        return next(
            one
            for one in variables
            if (one.component.name, one.name.name, one.name.instance) == (component, name, instance)
        )

    assert timeout(controllers(SystemClock(), "CS", 1)).actual.value == 30
    told = timeout(controllers(SystemClock(), "CS", 1, message_timeout=5))
    assert (told.actual.value, told.actual.mutability, told.actual.persistent) == (5, "ReadOnly", False)
