"""Points grouped into few requests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_plan import Block, blocks_of, load, points_of
from drivers.settings import ModbusRtuSettings, ModbusTcpSettings, ProfileDevice
from tests.drivers.modbus_parts import load_profile, profile


def plan(points: dict[str, dict[str, Any]], max_block: int = 60, max_gap: int = 8) -> list[Block]:
    made = profile(points, max_block=max_block, max_gap=max_gap)
    return blocks_of(points_of(made).values(), made.max_block, made.max_gap)


def shape(blocks: list[Block]) -> list[tuple[str, int, int]]:
    return [(block.table, block.start, block.count) for block in blocks]


def test_neighbours_are_read_in_one_request_over_a_small_gap() -> None:
    points = {"a": {"at": 0, "type": "float32"}, "b": {"at": 10, "type": "uint16"}}
    assert shape(plan(points, max_gap=8)) == [("holding", 0, 11)]
    assert shape(plan(points, max_gap=7)) == [("holding", 0, 2), ("holding", 10, 1)]


def test_a_request_never_asks_for_more_than_the_device_allows() -> None:
    points = {f"p{n}": {"at": 2 * n, "type": "float32"} for n in range(40)}
    assert shape(plan(points, max_block=60)) == [("holding", 0, 60), ("holding", 60, 20)]


def test_tables_and_periods_are_read_apart() -> None:
    points = {
        "a": {"at": 0, "type": "uint16"},
        "b": {"at": 1, "type": "uint16", "poll": "10s"},
        "c": {"at": 2, "type": "uint16", "table": "input"},
    }
    assert shape(plan(points)) == [("holding", 0, 1), ("holding", 1, 1), ("input", 2, 1)]
    assert [block.period for block in plan(points)] == [0.05, 10.0, 0.05]


def test_a_scale_factor_is_read_with_its_point_in_one_request() -> None:
    points = {
        "a": {"at": 10, "type": "int16", "scale_at": 30},
        "b": {"at": 20, "type": "int16", "scale_at": 31},
        "c": {"at": 36, "type": "uint16"},
    }
    assert shape(plan(points, max_block=25)) == [("holding", 10, 22), ("holding", 36, 1)]
    with pytest.raises(ValueError, match="max_block"):
        plan({"a": {"at": 10, "type": "int16", "scale_at": 80}})


def test_a_value_that_needs_two_registers_cannot_be_written_as_one() -> None:
    with pytest.raises(ValueError, match="single"):
        plan({"a": {"at": 0, "type": "uint32", "access": "rw", "write": "single"}})


@given(
    st.dictionaries(st.integers(0, 300), st.sampled_from(["uint16", "float32", "uint64"]), min_size=1, max_size=40),
    st.integers(4, 125),
    st.integers(0, 20),
)
def test_every_point_is_in_exactly_one_block_that_holds_it(
    kinds: dict[int, str], max_block: int, max_gap: int
) -> None:
    blocks = plan({f"p{at}": {"at": at, "type": kind} for at, kind in kinds.items()}, max_block, max_gap)
    seen = [point.at for block in blocks for point in block.points]
    assert sorted(seen) == sorted(kinds)
    for block in blocks:
        assert block.count <= max_block
        for point in block.points:
            assert block.start <= point.start and point.end <= block.start + block.count


def test_halves_hold_the_same_points_and_nothing_else() -> None:
    (block,) = plan({f"p{n}": {"at": 3 * n, "type": "uint16"} for n in range(5)})
    left, right = block.halves()
    assert shape([left, right]) == [("holding", 0, 4), ("holding", 6, 7)]
    assert left.points + right.points == block.points


def test_the_load_of_a_bus_tells_what_is_impossible() -> None:
    profiles = {"eastron-sdm630": load_profile("eastron-sdm630")}
    meters = {f"m{n}": ProfileDevice(bus="b", profile="eastron-sdm630", unit=n + 1) for n in range(8)}
    slow = ModbusRtuSettings(driver="modbus-rtu", port="/dev/ttyS0")
    fast = ModbusRtuSettings(driver="modbus-rtu", port="/dev/ttyS0", baudrate=115200)
    tcp = ModbusTcpSettings(driver="modbus-tcp", host="meter")
    assert load(slow, meters, profiles) > 1.0
    assert 0.1 < load(fast, meters, profiles) < 0.5
    assert load(tcp, meters, profiles) < 0.3
