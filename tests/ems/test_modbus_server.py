"""The Modbus interface over real sockets: limits, silence, who may, and what a flood or a mistake costs."""

import asyncio
import logging
import math
import re
import socket
import struct
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from agent.charging.limits import State
from agent.ems.modbus_connection import plain
from agent.ems.registers import BY_NAME, MAGIC, decode
from tests.ems.modbus_parts import FAILSAFE, answers, client, one, serving, until
from tests.ems.test_registers import BLOCKS, CHARGERS, plugins

QUICK = replace(FAILSAFE, after=0.4)


async def value(one: AsyncModbusTcpClient, name: str, unit: int = 255) -> Any:
    register = BY_NAME[name]
    answer = await one.read_holding_registers(register.address, count=register.size, device_id=unit)
    assert not answer.isError(), answer
    return decode(register, answer.registers)


async def write(one: AsyncModbusTcpClient, address: int, *words: int, unit: int = 255) -> int:
    """The exception code, 0 for none."""
    answer = await one.write_registers(address, list(words), device_id=unit)
    return answer.exception_code if answer.isError() else 0


async def test_a_limit_for_the_station_and_one_for_an_evse_are_taken_and_released() -> None:
    async with serving() as rig, client(rig) as ems:
        assert await write(ems, 202, 0, 4200) == 0
        assert (rig.limits()[0].value, rig.limits()[0].unit) == (4200, "W")
        answer = await ems.write_register(200, 105, device_id=2)
        assert not answer.isError()
        assert (rig.limits()[2].value, rig.limits()[2].unit) == (10.5, "A")
        assert await value(ems, "limit_w") == 4200
        assert await value(ems, "limit_a") is None
        assert await value(ems, "limit_a", 2) == 10.5
        assert await value(ems, "state") == 1
        assert await write(ems, 202, 0xFFFF, 0xFFFF) == 0
        assert rig.value(0) is None
        assert rig.value(2) == 10.5
        assert await write(ems, 200, 0xFFFF, unit=2) == 0
        assert rig.value(2) is None
        assert rig.source.state is State.RELEASED


async def test_telemetry_is_read_by_unit_with_both_functions() -> None:
    async with serving() as rig, client(rig) as ems:
        assert await value(ems, "magic") == MAGIC
        assert (await value(ems, "version"), await value(ems, "evses")) == (1, 2)
        assert [await value(ems, "scope", unit) for unit in (0, 255, 1, 2)] == [0, 0, 1, 2]
        assert chr(await value(ems, "status", 1)) == "C"
        assert await value(ems, "status", 2) == 0
        assert await value(ems, "current_l3", 1) == 15.91
        assert await value(ems, "voltage_l1", 1) == 230.1
        assert await value(ems, "voltage_l1", 2) is None
        assert await value(ems, "token", 1) == "04A1B2C3D4E5F6"
        assert await value(ems, "source") == "modbus"
        block = await ems.read_input_registers(100, count=62, device_id=1)
        assert len(block.registers) == 62
        assert block.registers[0] == ord("C")
        assert decode(BY_NAME["power"], block.registers[22:24]) == 10950


async def test_a_silent_master_leads_to_the_failsafe_and_a_limit_leads_out_of_it() -> None:
    async with serving(failsafe=QUICK) as rig, client(rig) as ems:
        assert await write(ems, 202, 0, 9000) == 0
        assert (await value(ems, "failsafe_in")) is not None
        await until(lambda: rig.limits()[0].state is State.FAILSAFE)
        assert rig.value(0) == 4200
        assert await value(ems, "state") == 4  # reading is no sign of life
        assert await value(ems, "failsafe_in") is None
        assert await write(ems, 204, 1) == 0
        assert await write(ems, 202, 0, 8000) == 0
        assert (rig.limits()[0].state, rig.value(0)) == (State.ACTIVE, 8000)


async def test_heartbeats_keep_a_limit_alive() -> None:
    async with serving(failsafe=QUICK) as rig, client(rig) as ems:
        await write(ems, 202, 0, 9000)
        started = time.monotonic()
        while time.monotonic() < started + 1.2:
            assert await write(ems, 204, 7) == 0
            await asyncio.sleep(0.05)
        assert (rig.limits()[0].state, rig.value(0)) == (State.ACTIVE, 9000)


async def test_enable_pauses_without_forgetting_the_limit() -> None:
    async with serving() as rig, client(rig) as ems:
        assert await write(ems, 200, 120, unit=1) == 0
        assert await write(ems, 201, 0, unit=1) == 0
        assert rig.value(1) == 0
        assert await value(ems, "enable", 1) == 0
        assert await write(ems, 200, 140, unit=1) == 0
        assert rig.value(1) == 0
        assert await write(ems, 201, 1, unit=1) == 0
        assert rig.value(1) == 14


async def test_what_one_request_writes_is_one_act() -> None:
    async with serving() as rig, client(rig) as ems:
        await write(ems, 200, 100, 0)
        rig.seen.clear()
        assert await write(ems, 200, 0xFFFF, 1, 0, 4200, 1) == 0
        assert {seen[0] for seen in rig.seen if 0 in seen} <= {4200}
        assert (rig.value(0), rig.limits()[0].unit) == (4200, "W")


FLOATS = [(205, *struct.unpack(">HH", struct.pack(">f", bad))) for bad in (math.nan, math.inf, -math.inf, -1.0, 1e9)]


async def test_a_bad_request_is_refused_by_its_exception_and_changes_nothing() -> None:
    async with serving() as rig, client(rig) as ems:
        await write(ems, 202, 0, 5000)
        before = rig.limits()
        assert [await write(ems, *words) for words in FLOATS] == [3] * len(FLOATS)
        assert await write(ems, 200, 20000) == 3
        assert await write(ems, 201, 5) == 3
        assert await write(ems, 200, 60, 1, 0, 4200) == 3
        assert await write(ems, 202, 0) == 2
        assert await write(ems, 100, 65) == 2
        assert await write(ems, 213, 5) == 2
        assert await write(ems, 4000, 5) == 2
        assert await write(ems, 204, 1, 0, 0, 7) == 2  # the heartbeat and a limit, and then nothing
        assert await write(ems, 200, 60, unit=3) == 11
        assert rig.limits() == before
        for address, count, code in ((8, 1, 2), (7, 2, 2), (99, 2, 2), (5000, 1, 2)):
            answer = await ems.read_holding_registers(address, count=count, device_id=255)
            assert answer.exception_code == code
        assert (await ems.read_coils(0, count=1, device_id=255)).exception_code == 1


async def test_contradicting_lengths_are_refused_and_noise_ends_the_connection() -> None:
    async with serving() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
        for pdu in (
            b"\x10\x00\xc8\x00\x02\x02\x00\x01",
            b"\x10\x00\xc8\x00\x00\x00",
            b"\x06\x00\xc8",
            b"\x03\x00\x00\x00\x7e",
        ):
            writer.write(struct.pack(">HHHB", 9, 0, 1 + len(pdu), 255) + pdu)
            assert await answers(reader, 1) == [(9, bytes((pdu[0] | 0x80, 3)))]
        writer.write(b"GET / HTTP/1.1\r\nHost: station\r\n\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert rig.value(1) is None


async def test_requests_that_arrive_together_or_in_pieces_are_all_answered_in_order() -> None:
    async with serving() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
        read = struct.pack(">HHHBBHH", 3, 0, 6, 255, 3, 200, 1)
        data = one(200, 100, transaction=1) + one(200, 20001, transaction=2) + read + one(204, 1, transaction=4)
        for byte in data[:20]:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(data[20:])
        got = await answers(reader, 4)
        assert [transaction for transaction, _ in got] == [1, 2, 3, 4]
        assert got[1][1] == b"\x86\x03"
        assert got[2][1] == b"\x03\x02\x00\x64"
        writer.close()


async def test_a_lower_limit_in_the_midst_of_a_burst_is_not_lost_and_the_last_one_counts() -> None:
    async with serving() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
        burst = [320, 160, 60, 200, 250]
        writer.write(b"".join(one(200, tenths, transaction=n) for n, tenths in enumerate(burst)))
        assert [transaction for transaction, _ in await answers(reader, 5)] == [0, 1, 2, 3, 4]
        await until(lambda: rig.value(0) == 25)
        assert [seen[0] for seen in rig.seen if seen.get(0) in (6, 25)] == sorted(
            seen[0] for seen in rig.seen if seen.get(0) in (6, 25)
        )
        assert 6 in [seen.get(0) for seen in rig.seen]
        assert 32 not in [seen.get(0) for seen in rig.seen]
        writer.close()


async def test_a_flood_of_writes_costs_few_acts_and_nobody_waits() -> None:
    async with serving() as rig, client(rig) as other:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
        seconds, sent = 2.0, 0
        acts: list[int] = []
        limit = rig.source.limit
        rig.source.limit = lambda *told, **more: (acts.append(1), limit(*told, **more))[1]  # type: ignore[method-assign]

        async def fetch() -> None:
            while await reader.read(65536):
                pass

        fetching = asyncio.create_task(fetch())
        started, turns = time.monotonic(), 0
        while time.monotonic() < started + seconds:
            writer.write(b"".join(one(200, 60 + (sent + n) % 260) for n in range(20)))
            sent += 20
            turns += 1
            if turns % 20 == 0:
                assert await value(other, "magic") == MAGIC
            await asyncio.sleep(0.01)
        writer.write(one(200, 77))
        await writer.drain()
        await until(lambda: rig.value(0) == 7.7)
        assert sent > 1000
        # Two acts in 20 ms at the most, whatever came.
        assert len(acts) <= (time.monotonic() - started) / 0.02 + 2
        assert await value(other, "limit_a") == 7.7
        writer.close()
        await fetching


async def test_a_client_that_fetches_no_answers_is_not_listened_to_for_ever() -> None:
    async with serving() as rig, client(rig) as other:
        quiet = socket.create_connection(("127.0.0.1", rig.server.port))
        quiet.setblocking(False)
        request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 100, 62) * 200
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                while True:
                    await loop.sock_sendall(quiet, request)
        assert await value(other, "magic") == MAGIC
        quiet.close()


async def test_two_connections_of_one_address_are_one_master() -> None:
    async with serving() as rig, client(rig) as first, client(rig) as second:
        assert await write(first, 202, 0, 9000) == 0
        assert await write(second, 202, 0, 8000) == 0
        assert rig.value(0) == 8000


async def test_of_two_masters_the_lower_limit_holds_and_each_reads_and_releases_its_own() -> None:
    async with serving(allow=("127.0.0.0/8",)) as rig, client(rig) as first, client(rig, "127.0.0.9") as second:
        assert await write(first, 202, 0, 6000) == 0
        assert await write(second, 202, 0, 11000) == 0
        assert rig.value(0) == 6000
        assert [await value(one, "limit_w") for one in (first, second)] == [6000, 11000]
        assert await write(second, 201, 0) == 0
        assert rig.value(0) == 0
        assert (await value(first, "enable"), await value(second, "enable")) == (1, 0)
        assert await write(second, 201, 1) == 0
        assert await write(first, 202, 0xFFFF, 0xFFFF) == 0
        assert rig.value(0) == 11000


async def test_an_address_that_is_not_on_the_list_is_closed_at_once_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(allow=("127.0.0.1",)) as rig:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port, local_addr=("127.0.0.7", 0))
            writer.write(one(200, 60))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
        assert rig.seen == []
        assert sum("127.0.0.7" in record.getMessage() for record in caplog.records) == 1
        async with client(rig) as ems:
            assert await value(ems, "magic") == MAGIC


async def test_a_connection_too_many_is_closed_and_the_others_live() -> None:
    async with serving(most=2) as rig, client(rig) as first, client(rig) as second:
        assert await value(first, "magic") == await value(second, "magic") == MAGIC
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert await value(first, "magic") == MAGIC
        second.close()
        async with client(rig) as third:
            assert await value(third, "magic") == MAGIC


async def test_an_idle_connection_is_closed() -> None:
    async with serving(idle=0.3) as rig:
        reader, _ = await asyncio.open_connection("127.0.0.1", rig.server.port)
        async with asyncio.timeout(20):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)


async def test_a_port_in_use_is_told_and_taken_when_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    caplog.set_level(logging.ERROR)

    async def free() -> None:
        await until(lambda: any("cannot listen" in record.getMessage() for record in caplog.records))
        taken.close()

    freeing = asyncio.create_task(free())
    async with serving(port=port) as rig, client(rig) as ems:
        assert rig.server.port == port
        assert await value(ems, "magic") == MAGIC
    await freeing
    assert len([record for record in caplog.records if "cannot listen" in record.getMessage()]) == 1


async def test_a_client_comes_back_after_a_restart_of_the_server() -> None:
    async with serving() as rig, client(rig) as ems:
        port = rig.server.port
        assert port is not None
        assert await value(ems, "magic") == MAGIC
    async with serving(port=port) as rig, client(rig) as ems:
        assert await write(ems, 200, 90) == 0
        assert rig.value(0) == 9


async def test_the_failsafe_is_configured_and_not_worn_out() -> None:
    async with serving() as rig, client(rig) as ems:
        assert await write(ems, 210, 0, 3500) == 0
        assert await write(ems, 212, 180) == 0
        assert (await value(ems, "failsafe_limit"), await value(ems, "failsafe_hold")) == (3500, 180)
        assert await value(ems, "failsafe_after") == 120
        assert [await write(ems, 210, 0, 3500) for _ in range(20)] == [0] * 20
        codes = [await write(ems, 210, 0, 3000 + n) for n in range(20)]
        assert codes[:8] == [0] * 8
        assert set(codes[8:]) == {6}


async def test_evccs_configuration_works_as_evcc_reads_and_writes() -> None:
    async with serving() as rig, client(rig) as evcc:

        async def ask(told: dict[str, Any]) -> float:
            register = told["register"]
            count = 2 if "32" in register["decode"] else 1
            answer = await evcc.read_holding_registers(register["address"], count=count, device_id=told["id"])
            data = struct.pack(f">{count}H", *answer.registers)
            signed = register["decode"].startswith("int")
            return int.from_bytes(data, "big", signed=signed) * told.get("scale", 1)

        async def put(told: dict[str, Any], number: float) -> None:
            raw = int(number * told.get("scale", 1)) & 0xFFFF
            answer = await evcc.write_register(told["register"]["address"], raw, device_id=told["id"])
            assert not answer.isError()

        (charger,) = CHARGERS
        told = dict(plugins(charger))
        currents = [one for name, one in plugins(charger) if name == "currents"]
        assert chr(int(await ask(told["status"]))) == "C"
        assert await ask(told["power"]) == 10950
        assert await ask(told["energy"]) == pytest.approx(123.457)
        assert [await ask(one) for one in currents] == pytest.approx([15.9, 15.8, 15.91])
        await put(told["maxcurrentmillis"], 10.5)
        await put(told["enable"], 1)
        assert rig.value(1) == 10.5
        await put(told["maxcurrent"], 13)
        assert rig.value(1) == 13
        await put(told["enable"], 0)
        assert (rig.value(1), await ask(told["enabled"])) == (0, 0)


async def test_the_pages_python_example_works() -> None:
    code = re.sub(r"asyncio\.sleep\(1\)", "asyncio.sleep(0.05)", BLOCKS["python"])
    names: dict[str, Any] = {}
    exec(compile(code, "README", "exec"), names)
    async with serving() as rig:
        dimming = asyncio.create_task(names["dim"]("127.0.0.1", rig.server.port, 4200, 5))
        await until(lambda: rig.value(0) == 4200 and rig.limits()[0].state is State.ACTIVE)
        await dimming
        assert rig.value(0) is None


def test_the_interface_brings_no_http_server_along() -> None:
    command = "import sys, agent.ems.modbus_server; print([m for m in sys.modules if m in ('pymodbus', 'aiohttp')])"
    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_an_address_is_compared_as_the_list_has_it() -> None:
    assert plain("::ffff:192.168.1.10") == plain("192.168.1.10") == "192.168.1.10"
    assert plain("fe80::1%eth0") == "fe80::1"
