"""The inside of a simulated Modbus device, without a wire."""

from drivers.bench.registers import Registers
from tests.drivers.modbus_parts import profile

POINTS = {
    "energy_import": {"at": 0, "type": "uint32", "scale_at": 4, "unit": "Wh"},
    "energy_export": {"at": 2, "type": "uint32", "scale_at": 4, "unit": "Wh"},
    "power": {"at": 5, "type": "int16", "scale_at": 6, "unit": "W"},
}


def words(values: dict[str, float]) -> list[int]:
    registers = Registers(profile(POINTS), lambda name: values[name], lambda *_: True, lambda *_: None)
    answer = registers.answer(bytes((3, 0, 0, 0, 7)))
    return [int.from_bytes(answer[at : at + 2], "big") for at in range(2, 16, 2)]


def test_a_counter_that_stands_at_0_costs_its_neighbour_no_digits() -> None:
    assert words({"energy_import": 12.0, "energy_export": 0.0, "power": 0.0}) == [0, 12, 0, 0, 0, 0, 0]


def test_a_power_too_large_for_its_register_is_told_in_tens() -> None:
    """-32768 stands for "not available" there."""
    told = words({"energy_import": 0.0, "energy_export": 0.0, "power": -32768.0})
    assert told[5:] == [0x10000 - 3277, 1]
