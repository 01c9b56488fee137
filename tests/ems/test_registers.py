"""The register map: the table itself, numbers in and out, and the page for integrators that is made of it."""

import math
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import drivers.bench.ems_modbus as bench
from agent.ems import registers
from agent.ems.registers import BY_ADDRESS, BY_NAME, MAP, BadValue, NoSuchRegister, decode, encode
from agent.ems.telemetry import Telemetry
from tests.ems.modbus_parts import telemetry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "agent/ems/README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S))
CHARGERS = yaml.safe_load(BLOCKS["yaml"])["chargers"]

EVCC = {
    "uint16": "u16",
    "uint16nan": "u16",
    "uint32nan": "u32",
    "int32nan": "i32",
}
"""What evcc's decodings (util/modbus/register.go) are in the map."""


def test_no_register_lies_on_another_and_names_are_unique() -> None:
    taken = [address for one in MAP for address in range(one.address, one.address + one.size)]
    assert len(set(taken)) == len(taken) == sum(one.size for one in MAP)
    assert taken == sorted(taken)
    assert len(BY_NAME) == len(MAP)


def test_the_page_holds_the_map_as_the_command_prints_it() -> None:
    command = [sys.executable, "-m", "agent.ems.registers"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    assert PAGE.partition("<!-- map -->\n")[2].partition("<!-- end of map -->")[0].strip() == printed.strip()


@pytest.mark.parametrize("one", [one for one in MAP if one.type in ("u16", "u32", "i32")], ids=lambda one: one.name)
def test_what_is_not_known_and_what_is_too_much_are_never_mixed_up(one: registers.Register) -> None:
    assert decode(one, encode(one, None)) is None
    assert decode(one, encode(one, math.nan)) is None
    assert decode(one, encode(one, 1e18)) is not None
    assert decode(one, encode(one, -1e18)) in (0, -0x7FFFFFFF)


@given(st.floats(0, 65000))
def test_a_current_is_told_to_the_milliampere(current: float) -> None:
    told = decode(BY_NAME["offered"], encode(BY_NAME["offered"], current))
    assert isinstance(told, float)
    assert abs(told - current) <= 0.0005001


def test_a_text_is_cut_and_filled() -> None:
    assert decode(BY_NAME["source"], encode(BY_NAME["source"], "x" * 99)) == "x" * 32
    assert decode(BY_NAME["source"], encode(BY_NAME["source"], "fuse")) == "fuse"
    assert encode(BY_NAME["source"], None) == [0] * 16


def test_power_into_the_grid_is_negative() -> None:
    assert decode(BY_NAME["power"], encode(BY_NAME["power"], -1500.0)) == -1500


def test_what_is_written_is_read_in_its_unit() -> None:
    assert registers.written(200, [160]) == {"limit_a": 16.0}
    assert registers.written(200, [0xFFFF]) == {"limit_a": None}
    assert registers.written(202, [0xFFFF, 0xFFFF]) == {"limit_w": None}
    assert registers.written(202, [0, 4200]) == {"limit_w": 4200}
    assert registers.written(200, [0xFFFF, 1, 0, 4200, 65535]) == {
        "limit_a": None, "enable": 1, "limit_w": 4200, "heartbeat": 65535,
    }  # fmt: skip
    assert registers.written(205, struct.unpack(">HH", struct.pack(">f", 10.5))) == {"limit_a_float": 10.5}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (199, [1]),
        (100, [65]),
        (0, [1, 2]),
        (202, [0]),
        (203, [0]),
        (205, [0]),
        (206, [0, 0]),
        (213, [9]),
        (204, [1] * 9),
    ],
)
def test_what_cannot_be_written_is_an_address_error(address: int, words: list[int]) -> None:
    with pytest.raises(NoSuchRegister):
        registers.written(address, words)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (200, [10001]),
        (200, [0xFFFE]),
        (201, [2]),
        (201, [0xFFFF]),
        (202, [0x000F, 0x4241]),
        (202, [0xFFFF, 0xFFFE]),
        (200, [100, 1, 0, 4200]),
        (210, [0xFFFF, 0xFFFF]),
        (212, [1441]),
        *(
            (205, list(struct.unpack(">HH", struct.pack(">f", bad))))
            for bad in (math.nan, math.inf, -math.inf, -0.1, 1001)
        ),
    ],
)
def test_a_number_that_is_no_limit_is_a_value_error(address: int, words: list[int]) -> None:
    with pytest.raises(BadValue):
        registers.written(address, words)


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20))
def test_whatever_is_written_is_a_sound_limit_or_refused(address: int, words: list[int]) -> None:
    try:
        values = registers.written(address, words)
    except (NoSuchRegister, BadValue):
        return
    for name, value in values.items():
        assert BY_NAME[name].access == "rw"
        assert value is None or (isinstance(value, int | float) and 0 <= value <= registers.MOST_WATTS)


@pytest.mark.parametrize("scope", [0, 1, 2])
def test_telemetry_names_only_what_is_in_the_map(scope: int) -> None:
    values = registers.telemetry_values(telemetry(), scope)
    assert values.keys() <= BY_NAME.keys()
    for name, value in values.items():
        told = decode(BY_NAME[name], encode(BY_NAME[name], value))
        assert told == value or (isinstance(value, float) and told == pytest.approx(value, abs=0.51)), name


def test_an_unknown_state_of_the_pilot_is_0() -> None:
    assert registers.telemetry_values(telemetry(), 2)["status"] == 0
    assert registers.telemetry_values(Telemetry(None, (None, None, None), None, "", ()), 0)["limit"] is None


def test_the_bench_writes_where_the_map_says() -> None:
    written = {"limit_a": bench.LIMIT_A, "limit_w": bench.LIMIT_W, "heartbeat": bench.HEARTBEAT}
    assert {name: BY_NAME[name].address for name in written} == written
    assert BY_NAME["limit_a"].scale == bench.TENTHS
    assert decode(BY_NAME["limit_a"], [bench.RELEASE]) is None
    assert bench.STATION in registers.STATION_UNITS


# --- evcc


def plugins(entry: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each modbus plugin of an evcc charger, with the field it is for."""
    found = []
    for name, told in entry.items():
        several = [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, dict)]
        found += [(name, one["set"] if one["source"] == "watchdog" else one) for one in several]
    return found


def test_evcc_has_what_its_custom_charger_requires() -> None:
    for charger in CHARGERS:
        assert charger["type"] == "custom"
        assert {"status", "enabled", "enable", "maxcurrent"} <= charger.keys()
        optional = {"maxcurrentmillis", "power", "energy", "currents", "voltages"}
        assert charger.keys() <= {"name", "type", "status", "enabled", "enable", "maxcurrent"} | optional
        assert len(charger["currents"]) == len(charger["voltages"]) == 3
        assert re.fullmatch(r"\d+s", charger["maxcurrentmillis"]["timeout"])
        assert isinstance(charger["maxcurrentmillis"]["initial"], str)


def test_evcc_reads_and_writes_registers_as_they_are_in_the_map() -> None:
    for charger in CHARGERS:
        for name, one in plugins(charger):
            assert one.keys() <= {"source", "uri", "id", "register", "scale"}
            told = one["register"]
            register = BY_ADDRESS[told["address"]]
            assert EVCC[told["decode"]] == register.type, name
            scale = one.get("scale", 1)
            if told["type"] == "holding":
                expected = {"energy": 1000}.get(name, register.scale)
                assert scale == pytest.approx(1 / expected), name
            else:
                # evcc writes one register whatever the encoding is: only 16-bit ones can be written like this.
                assert told["type"] == "writesingle"
                assert (register.access, register.size) == ("rw", 1)
                assert scale == register.scale, name
