"""The Modbus wires of bench-ac, asked by pymodbus's own clients: sound, and with each fault."""

import asyncio
import contextlib
import os
import struct
import time
import tty
from collections.abc import AsyncIterator
from typing import Any

import pytest
import serial
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU

from drivers.bench.rig import Rig

DUTY_450 = 450
FAN, METER_2 = 10, 2


@contextlib.asynccontextmanager
async def tcp_client(rig: Rig, timeout: float = 0.3) -> AsyncIterator[AsyncModbusTcpClient]:
    lan = rig.overlay["buses"]["lan"]
    client = AsyncModbusTcpClient(lan["host"], port=lan["port"], timeout=timeout, retries=0)
    await client.connect()
    try:
        yield client
    finally:
        client.close()


@contextlib.asynccontextmanager
async def rtu_client(rig: Rig, timeout: float = 0.3) -> AsyncIterator[AsyncModbusSerialClient]:
    client = AsyncModbusSerialClient(rig.overlay["buses"]["rs485"]["port"], timeout=timeout, retries=0)
    await client.connect()
    try:
        yield client
    finally:
        client.close()


def floats(answer: Any) -> list[float]:
    assert not answer.isError(), answer
    raw = struct.pack(f">{len(answer.registers)}H", *answer.registers)
    return list(struct.unpack(f">{len(raw) // 4}f", raw))


async def test_a_meter_behind_tcp_shows_its_voltages_and_what_is_held(rig: Rig) -> None:
    rig.world.hold("meter-1", "current_l2", 13.25)
    async with tcp_client(rig) as client:
        volts = floats(await client.read_input_registers(0, count=6, device_id=1))
        amperes = floats(await client.read_input_registers(6, count=6, device_id=1))
    assert all(220 < volt < 240 for volt in volts)
    assert amperes == [0.0, 13.25, 0.0]


async def test_held_current_makes_power_and_power_makes_energy(rig: Rig) -> None:
    rig.world.hold("meter-1", "voltage_l1", 230)
    rig.world.hold("meter-1", "current_l1", 10)
    async with tcp_client(rig) as client:
        assert floats(await client.read_input_registers(0x34, count=2, device_id=1)) == [2300.0]
        rig.world.hold("meter-1", "power", 36_000_000)
        before = floats(await client.read_input_registers(0x48, count=2, device_id=1))[0]
        await asyncio.sleep(0.4)
        after = floats(await client.read_input_registers(0x48, count=2, device_id=1))[0]
    assert after - before > 1.0  # kWh, at 10 kWh a second


async def test_an_energy_register_can_be_held_in_wh_and_stands_in_kwh(rig: Rig) -> None:
    rig.world.hold("meter-1", "energy_import", 123_500)
    async with tcp_client(rig) as client:
        assert floats(await client.read_input_registers(0x48, count=2, device_id=1)) == [123.5]


async def test_two_units_share_the_line(rig: Rig) -> None:
    rig.world.hold("fan", "rpm", 502)
    async with rtu_client(rig) as client:
        assert (await client.read_input_registers(0, count=1, device_id=FAN)).registers == [502]
        volts = floats(await client.read_input_registers(0, count=6, device_id=METER_2))
    assert all(220 < volt < 240 for volt in volts)


async def test_a_written_duty_is_logged_each_time_and_the_fan_follows(rig: Rig) -> None:
    async with rtu_client(rig) as client:
        for _ in range(2):
            answer = await client.write_register(0, DUTY_450, device_id=FAN)
            assert not answer.isError()
        assert (await client.read_holding_registers(0, count=1, device_id=FAN)).registers == [DUTY_450]
        writes = [entry for entry in rig.world.log.since(0) if entry["what"] == "write"]
        assert [(e["device"], e["point"], e["value"]) for e in writes] == [("fan", "duty", 0.45)] * 2
        rig.world.step(60.0)
        assert (await client.read_input_registers(0, count=1, device_id=FAN)).registers == [450]


async def test_a_held_speed_stays_whatever_is_written(rig: Rig) -> None:
    rig.world.hold("fan", "rpm", 1002)
    async with rtu_client(rig) as client:
        await client.write_register(0, DUTY_450, device_id=FAN)
        rig.world.step(60.0)
        assert (await client.read_input_registers(0, count=1, device_id=FAN)).registers == [1002]
        rig.world.release("fan", "rpm")
        assert (await client.read_input_registers(0, count=1, device_id=FAN)).registers == [450]


@pytest.mark.parametrize(("address", "value", "code"), [(1, 5, 2), (0, 1001, 3)])
async def test_a_write_that_cannot_be_is_refused_and_not_logged(
    rig: Rig, address: int, value: int, code: int
) -> None:
    async with rtu_client(rig) as client:
        answer = await client.write_register(address, value, device_id=FAN)
    assert (answer.isError(), answer.exception_code) == (True, code)
    assert [entry for entry in rig.world.log.since(0) if entry["what"] == "write"] == []


async def test_a_register_that_is_not_there_is_an_illegal_address(rig: Rig) -> None:
    async with tcp_client(rig) as client:
        assert (await client.read_input_registers(900, count=2, device_id=1)).exception_code == 2
        assert (await client.read_holding_registers(0, count=2, device_id=1)).exception_code == 2


@pytest.mark.parametrize("fault", ["offline", "garbage", "slow", "exception"])
async def test_a_faulty_tcp_meter_heals_by_itself(rig: Rig, fault: str) -> None:
    rig.world.set_fault("meter-1", fault)
    async with tcp_client(rig) as client:
        if fault == "exception":
            assert (await client.read_input_registers(0, count=2, device_id=1)).exception_code == 4
        else:
            with pytest.raises(ModbusException):
                await client.read_input_registers(0, count=2, device_id=1)
    rig.world.set_fault("meter-1", "none")
    async with tcp_client(rig) as client:
        assert floats(await client.read_input_registers(0, count=2, device_id=1))


@pytest.mark.parametrize("fault", ["offline", "garbage", "exception"])
async def test_a_faulty_device_on_the_line_leaves_the_other_alone(rig: Rig, fault: str) -> None:
    rig.world.set_fault("fan", fault)
    async with rtu_client(rig) as client:
        if fault == "exception":
            assert (await client.read_input_registers(0, count=1, device_id=FAN)).exception_code == 4
        else:
            with pytest.raises(ModbusException):
                await client.read_input_registers(0, count=1, device_id=FAN)
        await asyncio.sleep(0.1)
        assert floats(await client.read_input_registers(0, count=2, device_id=METER_2))


async def test_a_slow_device_does_what_it_is_told_and_says_so_after_the_time_out(rig: Rig) -> None:
    rig.world.set_fault("fan", "slow")
    body = bytes((FAN, 6, 0, 0)) + DUTY_450.to_bytes(2, "big")
    frame = body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
    with serial.Serial(rig.overlay["buses"]["rs485"]["port"], timeout=0) as port:
        sent = time.monotonic()
        port.write(frame)
        heard = b""
        while len(heard) < len(frame):
            await asyncio.sleep(0.01)
            heard += port.read(64)
    assert heard == frame
    assert time.monotonic() - sent > 0.3  # the bus's time-out on this board
    assert [entry["value"] for entry in rig.world.log.since(0) if entry["what"] == "write"] == [0.45]


async def test_half_a_request_does_not_spoil_the_next_one(rig: Rig) -> None:
    fd = os.open(rig.overlay["buses"]["rs485"]["port"], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    os.write(fd, bytes((FAN, 3, 0)))  # an agent that died in the middle of it
    os.close(fd)
    await asyncio.sleep(0.2)
    async with rtu_client(rig) as client:
        assert (await client.read_holding_registers(0, count=1, device_id=FAN)).registers == [0]


async def test_without_power_the_devices_answer_nothing_and_the_fan_has_lost_its_duty(rig: Rig) -> None:
    async with rtu_client(rig) as client:
        await client.write_register(0, DUTY_450, device_id=FAN)
        rig.world.cut_power()
        with pytest.raises(ModbusException):
            await client.read_holding_registers(0, count=1, device_id=FAN)
        rig.world.powered = True
        assert (await client.read_holding_registers(0, count=1, device_id=FAN)).registers == [0]
