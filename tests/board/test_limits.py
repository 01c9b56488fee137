"""`limits` and `ems` of a board file: what is wrong is told with its place and its remedy."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import boards
from agent.board import BoardError, load
from agent.board.limits_spec import ContactEms, ModbusEms
from agent.board.wiring import wire
from agent.model import Component

BENCH = Path(boards.__file__).parent / "bench-ac.yaml"


def board(tmp_path: Path, **changes: Any) -> Path:
    """bench-ac with `changes` of its parts `limits` and `ems`."""
    data = yaml.safe_load(BENCH.read_text())
    data.update(changes)
    file = tmp_path / "board.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def mistakes(tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(BoardError) as caught:
        load(str(board(tmp_path, **changes)))
    return str(caught.value)


def test_the_bench_board_has_a_modbus_ems_a_broker_and_a_contact() -> None:
    loaded = load("bench-ac")
    modbus, relay = loaded.ems["modbus"], loaded.ems["relay"]
    assert isinstance(modbus, ModbusEms)
    assert (modbus.failsafe.limit, modbus.failsafe.after) == (4200, 10)
    assert isinstance(relay, ContactEms)
    assert (relay.limit, relay.source) == (4200, "SO")
    assert loaded.limits.fuse is not None
    assert loaded.limits.fuse.rating == 63


def test_the_contact_is_a_variable_that_is_measured() -> None:
    wiring = wire(load("bench-ac"))
    active = wiring.model.get(Component("ExternalControlSystem", "relay"), "Active")
    assert active is not None
    assert active.max_age == 3.0
    assert [one.variable for one in wiring.readings["signals", "dim"]] == [active]


def test_a_board_without_limits_has_none(tmp_path: Path) -> None:
    data = yaml.safe_load(BENCH.read_text())
    del data["limits"], data["ems"], data["devices"]["signals"]
    file = tmp_path / "board.yaml"
    file.write_text(yaml.safe_dump(data))
    loaded = load(str(file))
    assert loaded.ems == {}
    assert loaded.limits.fuse is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ems": {"relay": {"kind": "contact", "from": "signals.dime"}}}, "has no point 'dime'; did you mean 'dim'"),
        ({"ems": {"relay": {"kind": "contact", "from": "fan.duty"}}}, "fan.duty is none; expected an input"),
        ({"ems": {"relay": {"kind": "contact", "from": "signals.dim", "limit": -1}}}, "expected at least 0.0"),
        ({"ems": {"box": {"kind": "modbus-tcp", "listen": "everywhere"}}}, "expected an address of this computer"),
        ({"ems": {"box": {"kind": "modbus-tcp", "allow": ["10.0.0.300"]}}}, "expected an address or a network"),
        ({"ems": {"box": {"kind": "modbus-tcp", "allow": []}}}, "nobody may connect"),
        ({"ems": {"box": {"kind": "knx"}}}, "knx"),
        ({"ems": {"one": {"kind": "modbus-tcp"}, "two": {"kind": "modbus-tcp"}}}, "is that of 'one' already"),
        ({"ems": {"box": {"kind": "mqtt", "host": "h", "password_file": "p"}}}, "a password without a username"),
        ({"ems": {"box": {"kind": "mqtt", "host": "h", "failsafe": {"afer": 3}}}}, "did you mean 'after'"),
        ({"limits": {"fuse": {"rating": 0}}}, "rating"),
        ({"limits": {"fuse": {"rating": 16, "margin": 16}}}, "a margin smaller than the rating"),
        (
            {"limits": {"thermal": {"from": "Thermometer", "curve": [[60, 32], [75, 6]]}}},
            "that measures a Temperature",
        ),
        ({"limits": {"thermal": {"curve": [[75, 32], [60, 6]]}}}, "rising temperatures"),
        ({"limits": {"fuze": {}}}, "did you mean 'fuse'"),
    ],
)
def test_a_mistake_is_told_with_line_and_remedy(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    text = mistakes(tmp_path, **changes)
    assert told in text
    assert re.search(r"board\.yaml:\d+:\d+", text)


def test_a_broker_without_tls_is_said_unless_it_is_on_this_computer(tmp_path: Path) -> None:
    def notes(host: str) -> str:
        return "".join(load(str(board(tmp_path, ems={"b": {"kind": "mqtt", "host": host, "tls": False}}))).notes)

    assert "in the clear" in notes("broker.local")
    assert "in the clear" not in notes("127.0.0.1")


def test_a_fuse_needs_the_meter_that_it_is_guarded_by(tmp_path: Path) -> None:
    data = yaml.safe_load(BENCH.read_text())
    components = [one for one in data["components"] if one["name"] != "ElectricalFeed"]
    assert "nothing measures ElectricalFeed.ACCurrent[L1]" in mistakes(tmp_path, components=components)


def test_an_overlay_moves_an_interface_and_nothing_that_is_not_there() -> None:
    moved = load("bench-ac", {"ems": {"modbus": {"port": 15021}}}).ems["modbus"]
    assert isinstance(moved, ModbusEms)
    assert moved.port == 15021
    with pytest.raises(BoardError, match="control system 'modbsu' in the overlay; did you mean 'modbus'"):
        load("bench-ac", {"ems": {"modbsu": {"port": 1}}})
