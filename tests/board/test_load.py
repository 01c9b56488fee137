"""Loading a board: packaged or one's own, what is allowed in it, and how all its mistakes are told at once."""

import json
from pathlib import Path

import jsonschema
import pytest

import boards
from agent.board import BoardError, load, schema
from agent.board.document import Document
from drivers.settings import GpioSettings, ModbusRtuSettings, ModbusTcpSettings, Pins, SysfsSettings
from tests.board.parts import GOOD, changed, mistakes, written

PACKAGED = sorted(path.stem for path in boards.FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_board_loads_by_its_name(name: str) -> None:
    board = load(name)
    assert (board.name, board.path) == (name, boards.FOLDER / f"{name}.yaml")


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_boards_have_standard_names_alone(name: str) -> None:
    assert [note for note in load(name).notes if "standard" in note] == []


def test_a_board_that_is_not_there_is_told_with_the_likeliest_name() -> None:
    with pytest.raises(BoardError, match="did you mean 'bench-ac'"):
        load("bench_ac")


def test_a_file_in_another_encoding_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_bytes("station: {vendor: Müller}".encode("latin-1"))
    with pytest.raises(BoardError, match=r"board.yaml:1:1: .*not UTF-8"):
        load(str(path))


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- list\n", "a text\n", "a: &a [*a]\n", "? {a: b}\n: c\n"])
def test_a_file_that_is_no_board_at_all_is_told_and_breaks_nothing(tmp_path: Path, text: str) -> None:
    assert mistakes(tmp_path, text)


def test_all_mistakes_of_a_file_are_told_in_one_go_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = changed("model: AC-22", "modell: AC-22")
    text = changed("bus: rs485, unit: 2", "bus: rs485, unti: 2", text)
    text = changed("chip", "chip", changed("tacho: 24", "tacho: 24, chip: x", text))
    told = mistakes(tmp_path, text)
    assert [mistake.line for mistake in told] == [1, 17, 19]


def test_mistakes_of_sense_are_told_in_one_go_too(tmp_path: Path) -> None:
    text = changed("from: fan.rpm", "from: fan.rmp")
    text = changed("evse: 1\n    variables", "evse: 7\n    variables", text)
    text = changed("cType2", "cType9", text)
    assert [mistake.line for mistake in mistakes(tmp_path, text)] == [8, 37, 40]


def test_the_faulty_line_is_shown_with_a_caret_below_the_place(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, changed("from: fan.rpm", "from: fan.rmp"))
    assert str(mistake).splitlines() == [
        f"{tmp_path}/board.yaml:37:24: device 'fan' has no point 'rmp'; did you mean 'rpm'?",
        "            actual: {from: fan.rmp, max_age: 3s}",
        "                           ^",
    ]


def test_a_mistake_in_a_device_profile_is_told_in_the_profiles_file(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/own.yaml").write_text(
        "schema: 1\nkind: modbus\nvendor: Own\nmodel: M\nsource: me\n"
        "points:\n  power: {at: 99999, type: float23, unti: W}\n"
    )
    told = mistakes(tmp_path, changed("profile: eastron-sdm630", "profile: own"))
    assert {mistake.file.name for mistake in told} == {"own.yaml"}
    texts = [str(mistake).splitlines()[0].partition("own.yaml:")[2] for mistake in told]
    assert texts[0] == "7:15: found 99999; expected at most 65535"
    assert texts[1].startswith("7:28: found 'float23'; expected one of 'int16', ")
    assert texts[2] == "7:37: unknown key 'unti'; did you mean 'unit'?"


def test_a_profile_beside_the_board_file_comes_before_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    packaged = (boards.FOLDER / "profiles/eastron-sdm630.yaml").read_text()
    (tmp_path / "profiles/eastron-sdm630.yaml").write_text(packaged.replace("vendor: Eastron", "vendor: Own"))
    assert load(str(written(tmp_path, GOOD))).profiles["eastron-sdm630"].vendor == "Own"


def test_an_overlay_moves_the_ends_of_the_wires_and_leaves_the_rest() -> None:
    overlay = {
        "buses": {
            "rs485": {"port": "/dev/pts/5"},
            "lan": {"host": "127.0.0.1", "port": 1502},
            "pins": {"factory": "link", "socket": "/run/pins"},
            "kernel": {"root": "/tmp/kernel"},
        }
    }
    board, plain = load("bench-ac", overlay), load("bench-ac")
    rs485, lan, pins, kernel = (board.buses[name] for name in ("rs485", "lan", "pins", "kernel"))
    assert isinstance(rs485, ModbusRtuSettings) and rs485.port == "/dev/pts/5"
    assert isinstance(plain.buses["rs485"], ModbusRtuSettings) and rs485.baudrate == plain.buses["rs485"].baudrate
    assert isinstance(lan, ModbusTcpSettings) and (lan.host, lan.port) == ("127.0.0.1", 1502)
    assert isinstance(pins, GpioSettings) and (pins.factory, pins.socket) == ("link", "/run/pins")
    assert isinstance(kernel, SysfsSettings) and kernel.root == "/tmp/kernel"
    assert board.devices == plain.devices


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"buses": {"rs458": {"port": "x"}}}, "bus 'rs458' in the overlay; did you mean 'rs485'?"),
        ({"devices": {}}, "'devices' in the overlay"),
        ({"buses": {"rs485": {"prot": "x"}}}, "unknown key 'prot'; did you mean 'port'?"),
        ({"buses": {"pins": {"factory": "link"}}}, "socket is needed"),
    ],
)
def test_an_overlay_that_fits_nothing_is_a_mistake(overlay: dict[str, object], words: str) -> None:
    with pytest.raises(BoardError, match=r"bench-ac\.yaml") as told:
        load("bench-ac", overlay)
    assert words in str(told.value)


def test_words_that_yaml_takes_for_truths_or_numbers_stay_the_names_they_are(tmp_path: Path) -> None:
    text = changed("model: AC-22", "model: on, serial: 12:30")
    text = changed(
        "  cabinet:\n", "  no: {bus: kernel, kind: files, points: {yes: {file: t}, 8: {file: u}}}\n  cabinet:\n", text
    )
    board = load(str(written(tmp_path, text)))
    assert (board.station.model, board.serial) == ("on", "12:30")
    assert list(getattr(board.devices["no"], "points")) == ["yes", "8"]  # noqa: B009


def test_a_number_with_a_leading_zero_is_no_octal_number(tmp_path: Path) -> None:
    assert getattr(load(str(written(tmp_path, changed("unit: 2", "unit: 010")))).devices["fan"], "unit") == 10  # noqa: B009


def test_off_is_false_where_a_truth_is_asked_for(tmp_path: Path) -> None:
    rcd = load(str(written(tmp_path, changed("{output: 6}", "{output: 6, safe: off}")))).devices["rcd"]
    assert isinstance(rcd, Pins)


def test_a_name_of_ones_own_is_allowed_and_noted(tmp_path: Path) -> None:
    text = changed("      Temperature:", "      Warmth: {type: decimal, value: 3}\n      Temperature:")
    board = load(str(written(tmp_path, changed("name: TemperatureSensor", "name: Toaster", text))))
    assert "component Toaster: not a standard name" in board.notes
    assert "Toaster.Warmth: not a standard name" in board.notes


@pytest.mark.parametrize("held", ["10000000abcd1234\0", "10000000abcd1234\n"])
def test_the_serial_number_can_come_from_a_file_of_the_computer(tmp_path: Path, held: str) -> None:
    (tmp_path / "serial").write_text(held)
    text = changed("model: AC-22", f"model: AC-22, serial: 'from:{tmp_path}/serial'")
    assert load(str(written(tmp_path, text))).serial == "10000000abcd1234"


@pytest.mark.parametrize("held", [None, "", "x" * 26])
def test_a_serial_number_that_cannot_be_had_is_noted_and_stops_nothing(tmp_path: Path, held: str | None) -> None:
    if held is not None:
        (tmp_path / "serial").write_text(held)
    text = changed("model: AC-22", f"model: AC-22, serial: 'from:{tmp_path}/serial'")
    board = load(str(written(tmp_path, text)))
    assert board.serial is None
    assert [note for note in board.notes if note.startswith("station.serial: none, ")]


def test_a_board_without_evses_is_no_charging_station_and_may_not_claim_to_be_one(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("evses:")] + GOOD[GOOD.index("buses:") : GOOD.index("components:")]
    assert load(str(written(tmp_path, text))).evses == {}
    text += "components: [{name: ChargingStation, variables: {Available: {value: true}}}]\n"
    (mistake,) = mistakes(tmp_path, text)
    assert "part 1 §6" in mistake.expected


def test_the_schema_of_a_board_file_is_json_and_describes_what_is_in_one() -> None:
    told = json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(told)
    parts = {"station", "evses", "buses", "devices", "components", "limits", "ems", "monitors"}
    assert set(told["properties"]) == parts
    assert told["additionalProperties"] is False
    assert "from" in told["$defs"]["ActualFrom"]["properties"]


@pytest.mark.parametrize("name", PACKAGED)
def test_an_editor_finds_no_fault_with_a_packaged_board(name: str) -> None:
    jsonschema.validate(Document(boards.FOLDER / f"{name}.yaml").data, schema())


def test_an_editor_finds_fault_with_a_duration_without_unit() -> None:
    data = Document(boards.FOLDER / "bench-ac.yaml").data
    data["buses"]["kernel"]["poll"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


def test_what_nothing_uses_is_noted(tmp_path: Path) -> None:
    text = changed("  kernel: {", "  spare: {driver: gpio, chip: 3}\n  kernel: {")
    notes = load(str(written(tmp_path, text))).notes
    assert "device feed: no variable uses it" in notes
    assert "bus spare: no device is on it" in notes
