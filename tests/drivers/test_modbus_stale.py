"""Modbus RTU has no transaction id: what a slave says late, wrongly or for nothing must never become a value."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import pytest

from drivers import NoAnswer
from tests.drivers.modbus_parts import (
    Answer,
    Sunk,
    framed,
    make_bus,
    profile,
    rtu,
    running,
    slave_on_pty,
    words_reply,
)

# two blocks of one shape, far apart: an answer to the one fits the other
TWO = profile(
    {
        "first": {"at": 100, "type": "uint16", "access": "rw"},
        "second": {"at": 500, "type": "uint16", "access": "rw"},
    },
    poll="20ms",
)
TRUTH = {"first": 100, "second": 500}


def right(unit: int, pdu: bytes) -> bytes:
    """Each register holds its own address."""
    at, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    return words_reply(unit, pdu[0], range(at, at + count)) if pdu[0] in (3, 4) else framed(unit, pdu)


def wrong_first(fault: Callable[[int, bytes], Answer], every: int = 3) -> Callable[[int, bytes], Answer]:
    """A slave whose first answer, and then each `every`-th, is `fault`."""
    count = 0

    def answer(unit: int, pdu: bytes) -> Answer:
        nonlocal count
        count += 1
        return fault(unit, pdu) if count % every == 1 else [(0, right(unit, pdu))]

    return answer


FAULTS: dict[str, Callable[[int, bytes], Answer]] = {
    "late, while the line is kept quiet": lambda unit, pdu: [(0.25, right(unit, pdu))],
    "late, for another register": lambda unit, pdu: [(0.25, words_reply(unit, 3, [999]))],
    "missing": lambda unit, pdu: [],
    "noise": lambda unit, pdu: [(0, b"\x00\xff\x5a" * 9)],
    "noise that begins as an answer": lambda unit, pdu: [(0, bytes([unit, 3, 250, 1, 2]))],
    "cut off": lambda unit, pdu: [(0, right(unit, pdu)[:4])],
    "cut off, the rest late": lambda unit, pdu: [(0, right(unit, pdu)[:4]), (0.25, right(unit, pdu)[4:])],
    "of another unit": lambda unit, pdu: [(0, words_reply(unit + 1, 3, [999]))],
    "of another function": lambda unit, pdu: [(0, words_reply(unit, 4, [999]))],
    "with too many registers": lambda unit, pdu: [(0, words_reply(unit, 3, [999, 998]))],
    "with too few registers": lambda unit, pdu: [(0, framed(unit, b"\x03\x00"))],
    "with a wrong checksum": lambda unit, pdu: [(0, right(unit, pdu)[:-1] + b"\x00")],
    "a refusal of another function": lambda unit, pdu: [(0, framed(unit, b"\x86\x02"))],
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_that_is_wrong_makes_bad_readings_and_no_value(fault: str) -> None:
    async with slave_on_pty(wrong_first(FAULTS[fault])) as (_, port):
        sink = Sunk()
        async with running(make_bus(rtu(port), {"d": (1, TWO)}), sink):
            await sink.until(lambda: sink.bad("d.first") and sink.bad("d.second"))
            await sink.until(lambda: sink.good("d.first") and sink.good("d.second"))
    for name, value in TRUTH.items():
        assert set(sink.values(f"d.{name}")) == {value}


HARMLESS: dict[str, Callable[[int, bytes], Answer]] = {
    "twice": lambda unit, pdu: [(0, right(unit, pdu) * 2)],
    "after noise": lambda unit, pdu: [(0, b"\x00" + right(unit, pdu))],
    "after another unit's": lambda unit, pdu: [(0, words_reply(unit + 1, 3, [999]) + right(unit, pdu))],
    "in pieces": lambda unit, pdu: [(0, right(unit, pdu)[:3]), (0.03, right(unit, pdu)[3:])],
}


@pytest.mark.parametrize("quirk", HARMLESS)
async def test_a_right_answer_is_found_among_other_bytes(quirk: str) -> None:
    async with slave_on_pty(wrong_first(HARMLESS[quirk], every=2)) as (_, port):
        sink = Sunk()
        async with running(make_bus(rtu(port), {"d": (1, TWO)}), sink):
            await sink.until(lambda: len(sink.log) >= 12)
    assert not any(reading.value is None for _, _, reading in sink.log)
    for name, value in TRUTH.items():
        assert set(sink.values(f"d.{name}")) == {value}


async def test_a_late_acknowledgment_does_not_count_for_the_next_write() -> None:
    writes = 0

    def answer(unit: int, pdu: bytes) -> Answer:
        nonlocal writes
        if pdu[0] != 6:
            return [(0, right(unit, pdu))]
        writes += 1
        return [(0.25, framed(unit, pdu))] if writes == 1 else []

    async with slave_on_pty(answer) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port), {"d": (1, TWO)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.first"))
            for _ in range(2):
                with pytest.raises(NoAnswer, match="no answer"):
                    await bus.write("d", "first", 1)


async def test_a_reader_that_gives_up_early_leaves_no_answer_behind_for_the_next() -> None:
    def answer(unit: int, pdu: bytes) -> Answer:
        return [(0.1, right(unit, pdu))]

    async with slave_on_pty(answer) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port), {"d": (1, profile(TWO_POINTS, poll="1h"))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 2)
            for _ in range(3):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bus.read("d", "first"), 0.03)
                assert (await bus.read("d", "second")).value == 500


TWO_POINTS = {"first": {"at": 100, "type": "uint16"}, "second": {"at": 500, "type": "uint16"}}


async def test_after_a_failure_and_after_opening_the_line_is_kept_quiet() -> None:
    async with slave_on_pty(lambda unit, pdu: []) as (slave, port):
        sink = Sunk()
        opened = time.monotonic()
        async with running(make_bus(rtu(port), {"d": (1, TWO)}), sink):
            await sink.until(lambda: len(sink.log) >= 4)
    first, second = (at for at, _, _ in slave.requests[:2])
    assert first - opened >= 0.2
    assert second - first >= 0.25  # 0.15 + 0.2, less what the slave saw the first one late


async def test_what_was_said_before_the_line_was_opened_is_no_answer() -> None:
    async with slave_on_pty(lambda unit, pdu: [(0, right(unit, pdu))]) as (slave, port):
        slave.say(words_reply(1, 3, [999]))
        sink = Sunk()
        bus = make_bus(rtu(port, quiet="50ms"), {"d": (1, TWO)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.first") and sink.good("d.second"))
            slave.say(words_reply(1, 3, [999]))  # and nobody asked for this one either
            await sink.until(lambda: len(sink.log) > 20)
    assert set(sink.values("d.first")) <= {100}
    assert set(sink.values("d.second")) <= {500}


async def test_noise_on_an_idle_line_does_not_keep_a_write_from_going_out() -> None:
    async with slave_on_pty(lambda unit, pdu: [(0, right(unit, pdu))]) as (slave, port):
        sink = Sunk()
        bus = make_bus(
            rtu(port), {"d": (1, profile({**TWO_POINTS, "w": {"at": 1, "type": "uint16", "access": "w"}}))}
        )

        async def babble() -> None:
            while True:
                slave.say(b"\x00")
                await asyncio.sleep(0.005)

        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.first"))
            noise = asyncio.create_task(babble())
            with contextlib.suppress(NoAnswer):
                await bus.write("d", "w", 1)
            noise.cancel()
        assert any(pdu[0] == 6 for _, _, pdu in slave.requests)
