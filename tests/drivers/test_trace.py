"""What a wire keeps of what passes on it, what it counts, and the bytes in words."""

import asyncio
import os
import time
import tty
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Garbled, NoAnswer, open_bus
from drivers.modbus import ModbusBus
from drivers.rapi import command
from drivers.settings import Reader, SerialReaderSettings
from drivers.trace import BOUNDS, DEPTH, IN, MOST_BYTES, OUT, BusTrace, statistics, trace_of
from drivers.trace_decode import crc16, decode, masked, unit_of
from tests.drivers.modbus_parts import Sunk, device, make_bus, profile, running, tcp, tcp_server

NOW = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)


def trace(*devices: str) -> BusTrace:
    return BusTrace("modbus-tcp", devices, lambda: 1.0, lambda: NOW)


def rtu(body: str) -> bytes:
    data = bytes.fromhex(body)
    return data + crc16(data)


# --- the ring -----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, MOST_BYTES // 3), min_size=1, max_size=60), st.integers(0, 70))
def test_the_ring_is_bounded_and_numbers_its_records(sizes: list[int], since: int) -> None:
    kept = trace()
    for size in sizes:
        kept.heard(bytes(size))
    first, records = kept.since(0)
    assert sum(len(data) for _, _, data in records) <= MOST_BYTES
    assert [len(data) for _, _, data in records] == sizes[first:]
    later, rest = kept.since(since)
    assert later == min(max(since, first), len(sizes))
    assert rest == records[later - first :]


def test_many_small_records_are_bounded_too() -> None:
    kept = trace()
    for _ in range(DEPTH + 5):
        kept.sent(b"x")
    first, records = kept.since(0)
    assert (first, len(records), kept.count) == (5, DEPTH, DEPTH + 5)
    assert kept.since(5, 10) == (5, records[:10])


# --- counters -----------------------------------------------------------------------------------------------------


def test_counters_say_how_a_device_answers() -> None:
    kept = trace("meter")
    counters = kept.devices["meter"]
    for milliseconds in (*[10] * 90, *[100] * 9, 20_000):
        counters.asked()
        counters.answered(milliseconds / 1000)
    counters.asked()
    counters.failed("timeout", "no answer within 1 s")
    told = kept.statistics()["devices"]["meter"]
    assert (told["requests"], told["answers"], told["errors"]) == (101, 100, {"timeout": 1})
    assert told["response"]["max"] == 20.0
    assert 0.010 <= told["response"]["p50"] < 0.015
    assert 0.100 <= told["response"]["p95"] < 0.150
    assert [count for _, count in told["histogram"]] == [90, 9, 1]
    assert told["histogram"][-1][0] is None
    assert (told["last_error"], told["last_error_at"]) == ("no answer within 1 s", "2026-11-25T14:00:00.000+00:00")


@given(st.lists(st.floats(0, 60), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_as_exact_as_its_bucket(times: list[float], share: float) -> None:
    counters = trace("meter").devices["meter"]
    for seconds in times:
        counters.answered(seconds)
    found = counters.quantile(share)
    assert found is not None
    assert found <= max(times)
    assert sum(seconds <= found for seconds in times) >= share * len(times) - 1e-9


def test_nothing_is_known_before_the_first_answer() -> None:
    told = trace("meter").statistics()["devices"]["meter"]
    assert told["response"] == {"p50": None, "p95": None, "max": None}
    assert told["histogram"] == []
    assert told["last_error"] is None
    assert BOUNDS[-1] > 16


def test_a_bus_without_a_trace_has_no_statistics() -> None:
    assert trace_of(object()) is None
    assert statistics({"bus": object()}) == {}


# --- real wires ---------------------------------------------------------------------------------------------------


async def test_a_modbus_bus_keeps_frames_and_counts() -> None:
    told = profile({"volts": {"at": 0, "type": "uint16"}, "lost": {"at": 500, "type": "uint16"}})
    async with tcp_server(device(1, holding={0: 230})) as port:
        bus = make_bus(tcp(port), {"meter": (1, told), "gone": (9, told)})
        sunk = Sunk()
        async with running(bus, sunk):
            await sunk.until(lambda: len(sunk.values("meter.volts")) >= 2 and sunk.bad("gone.volts"))
    assert isinstance(bus, ModbusBus)
    found = statistics({"bus": bus})["bus"]
    meter, gone = found["devices"]["meter"], found["devices"]["gone"]
    assert meter["answers"] >= 2
    assert meter["errors"]["exception"] >= 1
    assert meter["response"]["max"] > 0
    assert gone["answers"] == 0
    assert sum(gone["errors"].values()) == gone["requests"] >= 1
    texts = [decode("modbus-tcp", data, way) for _, way, data in bus.trace.since(0)[1]]
    assert any(text.endswith("unit 1 holding registers: 00e6") for text in texts)
    assert any("unit 1 refuses function 3: ILLEGAL DATA ADDRESS (exception 2)" in text for text in texts)
    assert found["bytes_out"] > 0


async def test_a_reader_counts_cards_and_what_is_none() -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    settings = SerialReaderSettings.model_validate({"driver": "serial-reader", "port": os.ttyname(theirs)})
    bus = open_bus("door", settings, {"reader": Reader(bus="door", kind="reader")}, {}, time.monotonic)
    sunk = Sunk()
    task = asyncio.create_task(bus.run(sunk))
    try:
        await sunk.until(lambda: sunk.good("reader.token"))
        os.write(ours, b"04A1B2C3\r\n")
        await sunk.until(lambda: "04A1B2C3" in sunk.values("reader.token"))
        os.write(ours, bytes((0x80, 0xFF)) + b"\r\n")
        trace = trace_of(bus)
        assert trace is not None
        async with asyncio.timeout(20):
            while not trace.devices["reader"].errors:
                assert not task.done()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait({task})
        os.close(ours)
        os.close(theirs)
    assert trace.devices["reader"].answers == 1
    assert trace.devices["reader"].errors == {"garbage": 1}
    assert b"04A1B2C3" in b"".join(data for _, _, data in trace.since(0)[1])


def test_kinds_of_errors() -> None:
    assert (NoAnswer.kind, Garbled.kind) == ("timeout", "garbage")
    assert issubclass(Garbled, NoAnswer)


# --- in words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "way", "said"),
    [
        ("01 04 0000 0012", OUT, "unit 1 read input registers 0..17"),
        ("01 03 000a 0001", OUT, "unit 1 read holding registers 10"),
        ("01 04 04 43660000", IN, "unit 1 input registers: 4366 0000"),
        ("0a 06 0005 0190", OUT, "unit 10 write register 5 = 400"),
        ("0a 06 0005 0190", IN, "unit 10 wrote register 5 = 400"),
        ("0a 05 0001 ff00", OUT, "unit 10 write coil 1 = on"),
        ("0a 10 0005 0002 04 00010002", OUT, "unit 10 write registers 5..6 = 0001 0002"),
        ("0a 10 0005 0002", IN, "unit 10 wrote registers 5..6"),
        ("02 84 0b", IN, "unit 2 refuses function 4: GATEWAY TARGET DEVICE FAILED TO RESPOND (exception 11)"),
        ("02 2b 0e01", OUT, "unit 2 function 43: 0e 01"),
    ],
)
def test_modbus_in_words(body: str, way: str, said: str) -> None:
    assert decode("modbus-rtu", rtu(body), way) == said
    unit, pdu = bytes.fromhex(body)[:1], bytes.fromhex(body)[1:]
    framed = b"\0\7\0\0" + (1 + len(pdu)).to_bytes(2, "big") + unit + pdu
    assert decode("modbus-tcp", framed, way) == f"#7 {said}"
    assert unit_of("modbus-rtu", rtu(body)) == unit_of("modbus-tcp", framed) == unit[0]


def test_what_is_no_frame_is_shown_as_it_is() -> None:
    assert decode("modbus-rtu", b"\1\2\3\4\5") == "no valid frame, 5 bytes: 01 02 03 04 05"
    assert decode("modbus-tcp", b"\xff\xfe") == "no valid frame, 2 bytes: ff fe"
    assert decode("of tomorrow", b"\1\2") == "01 02"


def test_lines_in_words() -> None:
    assert decode("dsmr-p1", b"/X\r\n\r\n1-0:1.7.0(01.193*kW)\r\n\x1b!") == "/X\n1-0:1.7.0(01.193*kW)\n\\x1b!"
    assert decode("pilot-uart", command("GS", 31)) == "#31 $GS"
    assert decode("pilot-uart", b"$OK 03^00\r") == "damaged: $OK 03^00"
    assert decode("gpio", b"rcd.tripped = True\n") == "rcd.tripped = True"


def test_card_numbers_are_masked_and_keep_their_form() -> None:
    line = b"ISO14443:04A1b2C3\r\nDEADBEEF99\r\n\x80\xff"
    assert masked("serial-reader", line) == b"ISO14443:00A0a0A0\r\nAAAAAAAA00\r\n\x80\xff"
    assert decode("serial-reader", line) == "ISO14443:00A0a0A0\nAAAAAAAA00\n\\x80\\xff"
    assert masked("dsmr-p1", b"1-0:1.7.0(01.193*kW)") == b"1-0:1.7.0(01.193*kW)"


def test_keys_are_masked() -> None:
    from drivers.bench.readers import typed
    from drivers.reader_keys import KeyReader

    found = list(KeyReader().feed(masked("evdev-reader", typed("04A1"))))
    assert b"".join(part for part in found if part) == b"00A0\r"
    assert masked("evdev-reader", typed("7")[:-1]) == b""


@given(st.sampled_from(["modbus-rtu", "modbus-tcp", "dsmr-p1", "pilot-uart", "serial-reader", "evdev-reader", "x"]),
       st.binary(max_size=300), st.sampled_from([IN, OUT]))  # fmt: skip
def test_everything_can_be_shown(driver: str, data: bytes, way: str) -> None:
    assert all(char.isprintable() or char == "\n" for char in decode(driver, data, way))


@given(st.binary(max_size=300), st.sampled_from([IN, OUT]))
def test_every_frame_can_be_shown(body: bytes, way: str) -> None:
    if len(body) >= 2:
        decode("modbus-rtu", body + crc16(body), way)
