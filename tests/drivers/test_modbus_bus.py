"""The Modbus bus against real servers: polls, reads, writes and what comes first."""

import asyncio
import contextlib
import time
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from drivers import NoAnswer, Refused
from tests.drivers.modbus_parts import (
    Sunk,
    device,
    make_bus,
    only_unit_1,
    profile,
    rtu,
    running,
    slave_on_pty,
    tcp,
    tcp_server,
)

ONE = profile({"a": {"at": 0, "type": "uint16", "access": "rw"}})
HOUR = {"poll": "1h"}


async def test_each_reading_carries_the_time_its_answer_arrived() -> None:
    async with tcp_server(device(1, holding={0: 7})) as port:
        sink = Sunk()
        before = time.monotonic()
        async with running(make_bus(tcp(port), {"d": (1, ONE)}), sink):
            await sink.until(lambda: len(sink.log) >= 3)
        times = [reading.time for _, _, reading in sink.log]
        assert before < times[0] < times[1] < times[2] < time.monotonic()


async def test_polls_keep_to_their_own_grid_and_never_pile_up() -> None:
    asked: list[float] = []

    async def slow_once(*_: Any) -> None:
        asked.append(time.monotonic())
        if len(asked) == 2:
            await asyncio.sleep(0.25)

    async with tcp_server(device(1, holding={0: 7}, action=slow_once)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port, timeout="2s"), {"d": (1, profile({"a": {"at": 0, "type": "uint16"}}, poll="100ms"))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.log) >= 6)
    assert asked[2] - asked[1] > 0.2  # stretched by the slow answer, and not made up for by a burst:
    assert len(asked) <= (asked[-1] - asked[0]) / 0.1 + 2


async def test_points_have_periods_of_their_own() -> None:
    points = {"fast": {"at": 0, "type": "uint16", "poll": "20ms"}, "slow": {"at": 1, "type": "uint16", **HOUR}}
    async with tcp_server(device(1, holding={0: 1, 1: 2})) as port:
        sink = Sunk()
        async with running(make_bus(tcp(port), {"d": (1, profile(points))}), sink):
            await sink.until(lambda: len(sink.values("d.fast")) >= 5)
    assert sink.values("d.slow") == [2]


@pytest.mark.parametrize("write", ["single", "multiple"])
async def test_registers_and_coils_are_written_with_the_function_code_the_profile_names(write: str) -> None:
    codes: list[int] = []

    async def note(code: int, *_: Any) -> None:
        if code > 4 and code not in codes:
            codes.append(code)

    points = {
        "word": {"at": 0, "type": "int16", "scale": 0.1, "access": "rw", "write": write},
        "coil": {"at": 3, "type": "bit", "table": "coil", "access": "rw", "write": write},
    }
    async with tcp_server(device(1, holding={0: 0}, action=note)) as port:
        bus = make_bus(tcp(port), {"d": (1, profile(points, **HOUR))})
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 2)
            await bus.write("d", "word", -12.3)
            await bus.write("d", "coil", True)
            assert (await bus.read("d", "word")).value == -12.3
            assert (await bus.read("d", "coil")).value is True
    assert codes == ([6, 5] if write == "single" else [16, 15])


async def test_long_values_bits_of_registers_and_scaled_by_reference_are_written_too() -> None:
    points = {
        "float": {"at": 0, "type": "float32", "access": "rw"},
        "flag": {"at": 2, "type": "bit", "bit": 4, "access": "rw"},
        "limit": {"at": 3, "type": "int16", "scale_at": 4, "access": "rw", "unit": "W"},
        "name": {"at": 5, "type": "string", "length": 4, "access": "rw"},
    }
    words = {0: 0, 1: 0, 2: 0b1010_0000, 3: 0, 4: 2, 5: 0, 6: 0, 7: 0, 8: 0}
    async with tcp_server(device(1, holding=words)) as port:
        bus = make_bus(tcp(port), {"d": (1, profile(points, **HOUR))})
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 4)
            for point, value in {"float": 230.1, "flag": True, "limit": 4200, "name": "EVSE-1"}.items():
                await bus.write("d", point, value)
                assert (await bus.read("d", point)).value == value
            await bus.write("d", "flag", False)
            assert (await bus.read("d", "flag")).value is False


async def test_a_refused_write_says_which_exception() -> None:
    async def refuse(code: int, start: int, at: int, count: int, now: list[int], new: Any) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_VALUE if new is not None else None

    async with tcp_server(device(1, holding={0: 7}, action=refuse)) as port:
        bus = make_bus(tcp(port), {"d": (1, ONE)})
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.a"))
            with pytest.raises(Refused, match=r"d\.a: ILLEGAL DATA VALUE"):
                await bus.write("d", "a", 9)
            assert (await bus.read("d", "a")).value == 7


async def test_a_write_that_the_device_may_still_carry_out_counts_as_unanswered() -> None:
    async def later(code: int, start: int, at: int, count: int, now: list[int], new: Any) -> ExcCodes | None:
        return ExcCodes.GATEWAY_NO_RESPONSE if new is not None else None

    async with tcp_server(device(1, holding={0: 7}, action=later)) as port:
        bus = make_bus(tcp(port), {"d": (1, ONE)})
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.a"))
            with pytest.raises(NoAnswer, match="GATEWAY TARGET"):
                await bus.write("d", "a", 9)


async def test_a_write_into_silence_or_without_a_link_is_not_answered() -> None:
    async with slave_on_pty(only_unit_1) as (_, port):
        bus = make_bus(rtu(port, timeout="100ms"), {"d": (1, ONE), "gone": (2, ONE)})
        with pytest.raises(NoAnswer, match="not connected"):
            await bus.write("d", "a", 9)
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.a"))
            with pytest.raises(NoAnswer, match=r"gone: no answer within 0\.1 s"):
                await bus.write("gone", "a", 9)
        with pytest.raises(NoAnswer, match="not connected"):
            await bus.read("d", "a")


@pytest.mark.parametrize(
    ("point", "value", "complaint"),
    [
        ("a", 70000, "does not fit"),
        ("a", "fast", "expected a number"),
        ("b", 1, "cannot be written"),
        ("c", True, "there is no point"),
        ("coil", 1, "expected true or false"),
    ],
)
async def test_a_write_that_makes_no_sense_never_reaches_the_wire(point: str, value: Any, complaint: str) -> None:
    points = {
        "a": {"at": 0, "type": "uint16", "access": "rw"},
        "b": {"at": 1, "type": "uint16"},
        "coil": {"at": 0, "type": "bit", "table": "coil", "access": "rw"},
    }
    codes: set[int] = set()

    async def note(code: int, *_: Any) -> None:
        codes.add(code)

    async with tcp_server(device(1, holding={0: 7, 1: 8}, action=note)) as port:
        bus = make_bus(tcp(port), {"d": (1, profile(points))})
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 3)
            with pytest.raises(Refused, match=complaint):
                await bus.write("d", point, value)
    assert codes <= {1, 3}


async def test_writes_go_before_reads_and_both_before_polls() -> None:
    free, asked = asyncio.Event(), asyncio.Event()
    codes: list[tuple[int, int]] = []

    async def hold(code: int, start: int, at: int, count: int, now: list[int], new: Any) -> None:
        if (code, at) not in codes:
            codes.append((code, at))
        asked.set()
        await free.wait()

    points = {f"p{n}": {"at": 100 * n, "type": "uint16", "access": "rw"} for n in range(6)}
    words = {100 * n + i: 0 for n in range(6) for i in range(2)}
    async with tcp_server(device(1, holding=words, action=hold)) as port:
        bus = make_bus(tcp(port, timeout="5s"), {"d": (1, profile(points, **HOUR))})
        sink = Sunk()
        async with running(bus, sink):
            await asked.wait()  # the first of six polls is on the wire
            read = asyncio.create_task(bus.read("d", "p5"))
            writes = [asyncio.create_task(bus.write("d", f"p{n}", 1)) for n in (3, 4)]
            await asyncio.sleep(0)
            free.set()
            await asyncio.gather(read, *writes)
            await sink.until(lambda: len(sink.last) == 6)
    assert codes == [(3, 0), (6, 300), (6, 400), (3, 500), (3, 100), (3, 200), (3, 300), (3, 400)]


async def test_a_caller_that_leaves_disturbs_nobody() -> None:
    free, held = asyncio.Event(), asyncio.Event()

    async def hold_write(code: int, *_: Any) -> None:
        if code == 6:
            held.set()
            await free.wait()

    points = {"a": {"at": 0, "type": "uint16", "access": "rw"}, "b": {"at": 1, "type": "uint16", "access": "rw"}}
    async with tcp_server(device(1, holding={0: 7, 1: 8}, action=hold_write)) as port:
        bus = make_bus(tcp(port, timeout="5s"), {"d": (1, profile(points))})
        sink = Sunk()
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 2)
            leaver = asyncio.create_task(bus.write("d", "a", 9))
            queued = asyncio.create_task(bus.write("d", "b", 9))
            stayer = asyncio.create_task(bus.read("d", "b"))
            await held.wait()
            leaver.cancel()
            queued.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaver
            free.set()
            assert (await stayer).value == 8  # what was only queued is not sent any more
            assert (await bus.read("d", "a")).value == 9  # what was under way was carried out
