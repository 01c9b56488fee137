"""The Modbus bus against real servers: devices and links that fail, lie and come back."""

import asyncio
import time
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from drivers import DriverError, NoAnswer, Quality
from drivers.modbus import ModbusBus
from tests.drivers.modbus_parts import (
    Answer,
    Sunk,
    device,
    framed,
    load_profile,
    make_bus,
    only_unit_1,
    profile,
    rtu,
    running,
    slave_on_pty,
    tcp,
    tcp_server,
    words_reply,
)

ONE = profile({"a": {"at": 0, "type": "uint16", "access": "rw"}})
HOUR = {"poll": "1h"}


async def test_a_device_that_is_silent_alone_goes_bad_alone_and_comes_back_by_itself() -> None:
    async with slave_on_pty(only_unit_1) as (_, port):
        two = profile({"a": {"at": 0, "type": "uint16"}, "b": {"at": 0, "type": "uint16", "table": "input"}})
        sink = Sunk()
        async with running(make_bus(rtu(port, quiet="50ms"), {"here": (1, ONE), "gone": (2, two)}), sink):
            await sink.until(lambda: sink.bad("gone.a") and sink.bad("gone.b"))
            count = len(sink.values("here.a"))
            await sink.until(lambda: len(sink.values("here.a")) > count + 5)
            assert "no answer" in sink.last["gone.a"].reason
            assert sink.last["gone.a"].value is None
        assert not any(r.quality is Quality.BAD for d, _, r in sink.log if d == "here")


async def test_many_silent_devices_leave_the_line_to_the_one_that_answers() -> None:
    async with slave_on_pty(only_unit_1) as (slave, port):
        devices = {f"gone-{unit}": (unit, ONE) for unit in range(2, 8)}
        sink = Sunk()
        bus = make_bus(
            rtu(port, timeout="50ms", quiet="20ms", parity="E", baudrate=19200), {"here": (1, ONE), **devices}
        )
        async with running(bus, sink):
            await sink.until(lambda: len(sink.values("here.a")) >= 40)
    silent = sum(1 for _, unit, _ in slave.requests if unit != 1)
    assert len(devices) <= silent < len(slave.requests) / 2


async def test_a_device_that_returns_is_read_again_within_seconds() -> None:
    silent = False

    def answer(unit: int, pdu: bytes) -> Answer:
        return [] if silent else [(0, words_reply(unit, pdu[0], [42]))]

    async with slave_on_pty(answer) as (_, port):
        sink = Sunk()
        async with running(make_bus(rtu(port), {"d": (1, ONE)}), sink):
            await sink.until(lambda: sink.good("d.a"))
            silent = True
            await sink.until(lambda: sink.bad("d.a"))
            failures = len(sink.log)
            await sink.until(lambda: len(sink.log) >= failures + 3)  # far enough for the longest pause
            silent = False
            back = time.monotonic()
            await sink.until(lambda: sink.good("d.a"))
            assert sink.last["d.a"].time - back < 6


@pytest.mark.parametrize("code", [4, 6, 11])
async def test_a_device_that_answers_with_a_failure_goes_bad_with_its_name(code: int) -> None:
    async def fail(*_: Any) -> ExcCodes:
        return ExcCodes(code)

    async with tcp_server(device(1, holding={0: 7}, action=fail)) as port:
        sink = Sunk()
        async with running(make_bus(tcp(port), {"d": (1, ONE)}), sink):
            await sink.until(lambda: sink.bad("d.a"))
    assert f"exception {code}" in sink.last["d.a"].reason


async def test_a_register_the_device_has_not_got_leaves_the_others_readable() -> None:
    points = {f"p{n}": {"at": n, "type": "uint16"} for n in range(8)}

    async def no_fifth(code: int, start: int, at: int, count: int, *_: Any) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_ADDRESS if at <= 5 < at + count else None

    async with tcp_server(device(1, holding={n: n for n in range(8)}, action=no_fifth)) as port:
        sink = Sunk()
        async with running(make_bus(tcp(port), {"d": (1, profile(points))}), sink):
            await sink.until(lambda: len(sink.last) == 8)
            await sink.until(lambda: len(sink.values("d.p7")) > 3)
    assert {name: r.value for name, r in sink.last.items() if r.quality is Quality.GOOD} == {
        f"d.p{n}": n for n in range(8) if n != 5
    }
    assert "not supported: ILLEGAL DATA ADDRESS" in sink.last["d.p5"].reason
    assert sum(1 for _, point, _ in sink.log if point == "p5") == 1


async def test_a_register_refused_while_the_device_was_starting_is_asked_for_again_later() -> None:
    starting = True
    later = 0.0

    async def refuse(code: int, start: int, at: int, count: int, *_: Any) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_ADDRESS if starting and at <= 1 < at + count else None

    points = {f"p{n}": {"at": n, "type": "uint16"} for n in range(3)}
    async with tcp_server(device(1, holding={n: n for n in range(3)}, action=refuse)) as port:
        sink = Sunk()
        devices = {"d": (1, profile(points))}
        async with running(make_bus(tcp(port), devices, lambda: time.monotonic() + later), sink):
            await sink.until(lambda: sink.bad("d.p1") and sink.good("d.p0") and sink.good("d.p2"))
            starting = False
            later = 61.0
            await sink.until(lambda: sink.good("d.p1"))
    assert sink.last["d.p1"].value == 1


async def test_a_device_that_refuses_everything_is_tried_again_soon_and_not_without_end() -> None:
    refusing = True
    asked = 0

    async def refuse(*_: Any) -> ExcCodes | None:
        nonlocal asked
        asked += 1
        return ExcCodes.ILLEGAL_ADDRESS if refusing else None

    points = {f"p{n}": {"at": n, "type": "uint16"} for n in range(4)}
    async with tcp_server(device(1, holding={n: n for n in range(4)}, action=refuse)) as port:
        sink = Sunk()
        async with running(make_bus(tcp(port), {"d": (1, profile(points))}), sink):
            await sink.until(lambda: len(sink.last) == 4 and all(sink.bad(f"d.p{n}") for n in range(4)))
            await asyncio.sleep(0.5)
            assert asked < 40
            refusing = False
            await sink.until(lambda: all(sink.good(f"d.p{n}") for n in range(4)))


async def test_a_link_that_cannot_be_made_makes_all_points_bad_and_ends_the_run() -> None:
    async with tcp_server(device(1)) as port:
        pass
    sink = Sunk()
    with pytest.raises(DriverError, match=f"no connection to 127.0.0.1:{port}"):
        await make_bus(tcp(port), {"d": (1, ONE)}).run(sink)
    assert sink.bad("d.a")


async def test_a_link_that_breaks_ends_the_run_and_the_next_run_reads_again() -> None:
    sink = Sunk()
    async with tcp_server(device(1, holding={0: 7})) as port:
        bus = make_bus(tcp(port), {"d": (1, ONE)})
        task = asyncio.create_task(bus.run(sink))
        await sink.until(lambda: sink.good("d.a"))
    with pytest.raises(DriverError, match="bus: "):
        await task
    assert sink.bad("d.a")
    async with tcp_server(device(1, holding={0: 8}), port=port), running(bus, sink):
        await sink.until(lambda: sink.good("d.a"))
    assert sink.last["d.a"].value == 8


async def test_a_tcp_connection_that_has_gone_deaf_is_made_anew() -> None:
    connections = 0

    async def deaf_at_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            deaf = connections == 1
            while request := await reader.read(260):
                if not deaf:
                    writer.write(request[:4] + b"\0\5" + request[6:8] + b"\2\0\7")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(deaf_at_first, "127.0.0.1", 0)
    async with server:
        sink = Sunk()
        port = server.sockets[0].getsockname()[1]
        async with running(make_bus(tcp(port, timeout="100ms"), {"d": (1, ONE)}), sink):
            await sink.until(lambda: sink.good("d.a"))
    assert connections == 2
    assert sink.last["d.a"].value == 7


async def test_a_late_answer_on_tcp_is_told_by_its_transaction_id() -> None:
    late: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.read(260):
                if not late:
                    late.append(request[:4] + b"\0\5" + request[6:8] + b"\2\3\xe7")
                else:
                    writer.write(late[0] + request[:4] + b"\0\5" + request[6:8] + b"\2\0\7")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        sink = Sunk()
        port = server.sockets[0].getsockname()[1]
        async with running(make_bus(tcp(port, timeout="100ms"), {"d": (1, ONE)}), sink):
            await sink.until(lambda: sink.bad("d.a"))
            await sink.until(lambda: len(sink.values("d.a")) > 3)
    assert set(sink.values("d.a")) == {7}


async def test_noise_on_tcp_is_bad_and_never_a_value() -> None:
    noise = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.read(260):
                writer.write(b"\x5a" * 300 if noise else request[:4] + b"\0\5" + request[6:8] + b"\2\0\7")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        sink = Sunk()
        port = server.sockets[0].getsockname()[1]
        async with running(make_bus(tcp(port, timeout="100ms"), {"d": (1, ONE)}), sink):
            await sink.until(lambda: sink.bad("d.a"))
            assert "something else" in sink.last["d.a"].reason
            noise = False
            await sink.until(lambda: sink.good("d.a"))
    assert set(sink.values("d.a")) == {7}


async def test_a_serial_port_that_goes_away_ends_the_run() -> None:
    sink = Sunk()
    async with slave_on_pty(lambda unit, pdu: [(0, words_reply(unit, pdu[0], [42]))]) as (_, port):
        task = asyncio.create_task(make_bus(rtu(port), {"d": (1, ONE)}).run(sink))
        await sink.until(lambda: sink.good("d.a"))
    with pytest.raises(DriverError, match="gone"):
        await task
    assert sink.bad("d.a")


async def test_a_serial_port_that_is_not_there_is_said_so() -> None:
    with pytest.raises(DriverError, match="cannot open /dev/does-not-exist"):
        await make_bus(rtu("/dev/does-not-exist"), {"d": (1, ONE)}).run(Sunk())


async def test_a_pending_write_ends_when_the_run_ends() -> None:
    async with slave_on_pty(lambda unit, pdu: [] if pdu[0] == 6 else [(0, words_reply(unit, pdu[0], [1]))]) as (
        _,
        port,
    ):
        sink = Sunk()
        bus: ModbusBus = make_bus(rtu(port, timeout="10s"), {"d": (1, ONE)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.a"))
            under_way = asyncio.create_task(bus.write("d", "a", 1))
            queued = asyncio.create_task(bus.write("d", "a", 2))
            await asyncio.sleep(0.05)
        for task in (under_way, queued):
            with pytest.raises(NoAnswer, match="bus"):
                await task


async def test_an_echo_that_differs_is_no_acknowledgment() -> None:
    def answer(unit: int, pdu: bytes) -> Answer:
        if pdu[0] == 6:
            return [(0, framed(unit, pdu[:-1] + bytes([pdu[-1] ^ 1])))]
        return [(0, words_reply(unit, pdu[0], [1]))]

    async with slave_on_pty(answer) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port), {"d": (1, ONE)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.a"))
            with pytest.raises(NoAnswer, match="something else"):
                await bus.write("d", "a", 0x0102)


def test_a_device_that_cannot_be_on_the_bus_is_refused_at_once() -> None:
    with pytest.raises(DriverError, match="needs a unit"):
        make_bus(rtu("/dev/ttyS0"), {"d": (0, ONE)})
    with pytest.raises(DriverError, match="max_block"):
        make_bus(tcp(502), {"d": (1, profile({"a": {"at": 0, "type": "uint64"}}, max_block=2))})
    make_bus(tcp(502), {"d": (0, load_profile("eastron-sdm630"))})
