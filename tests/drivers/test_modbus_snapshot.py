"""Snapshots over a real wire: a meter is told to sign, asked until it has, and read; nothing else waits for it."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers import Refused, Value
from drivers.bench.registers import Registers
from drivers.modbus_codec import der_digits
from drivers.modbus_plan import load, points_of
from drivers.modbus_snapshot import NotReady, Taken, taker
from drivers.settings import ModbusProfile, ModbusRtuSettings, ProfileDevice
from tests.bench.signed_parts import verified
from tests.drivers.modbus_parts import (
    Answer,
    Sunk,
    framed,
    load_profile,
    make_bus,
    profile,
    rtu,
    running,
    slave_on_pty,
    words_reply,
)

FAST = {"every": 0.3, "within": 1.0}


def bsm(**snapshot: float) -> ModbusProfile:
    found = load_profile("bauer-bsm-ws36a")
    assert found.snapshot is not None
    return found.model_copy(update={"snapshot": found.snapshot.model_copy(update={**FAST, **snapshot})})


class Meter:
    """A BSM-WS36A on our end of a line, as the bench makes it. `held` overrides what its points are."""

    def __init__(self, settings: ModbusProfile) -> None:
        self.held: dict[str, Value] = {}
        self.requests: list[bytes] = []
        self.wh = 1234567.0
        self.registers = Registers(settings, self._value, lambda *_: True, lambda *_: None)
        self.silent = False

    def _value(self, name: str) -> Value:
        return self.held.get(name, self.wh if name == "energy_import" else 0.0)

    def answer(self, unit: int, pdu: bytes) -> Answer:
        self.requests.append(pdu)
        return [] if self.silent else [(0, framed(unit, self.registers.answer(pdu)))]


@contextlib.asynccontextmanager
async def signing(settings: ModbusProfile) -> AsyncIterator[tuple[Meter, Sunk, Any]]:
    meter = Meter(settings)
    async with slave_on_pty(meter.answer) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="1s", quiet="10ms", baudrate=19200), {"meter": (42, settings)})
        async with running(bus, sink):
            yield meter, sink, bus


async def test_a_meter_is_told_to_sign_and_what_it_signed_is_read_whole() -> None:
    async with signing(bsm()) as (meter, sink, _):
        await sink.until(lambda: sink.good("meter.signed_reading") and sink.good("meter.public_key"))
        key = str(sink.last["meter.public_key"].value)
        first = str(sink.last["meter.signed_reading"].value)
        assert verified(first, key)["RD"][0]["XV"] == 1234.567
        assert sink.last["meter.signed_energy_import"].value == 1234567
        meter.wh += 1000
        await sink.until(lambda: 1235567 in sink.values("meter.signed_energy_import"))
        second = str(sink.last["meter.signed_reading"].value)
        assert verified(second, key)["RD"][0]["XV"] == 1235.567
        with pytest.raises(InvalidSignature):
            verified(second.replace("1235.567", "1235.568"), key)


async def test_the_meter_reads_as_its_maker_documents() -> None:
    """Words of the maker's own examples, at the addresses that its list of registers gives."""
    words = {40093: 1601, 40094: 1590, 40095: 1620, 40096: 0xFFFE, 40098: 2301, 40099: 2312, 40100: 2293}
    words |= {40105: 0xFFFF, 40106: 4998, 40107: 0xFFFE, 40108: 1105, 40109: 0xFF9C, 40110: 367, 40111: 0x8000}
    words |= {40112: 1, 40128: 0, 40129: 5, 40136: 0, 40137: 0x2710, 40144: 1, 40524: 0, 41794: 0}
    words |= {40527: 0, 40528: 0x2710, 40529: 1}
    key = bytes.fromhex(KEY) + b"\0"
    text = b"OCMF|{}|{}"
    for at, raw in ((40451, key), (41795, text)):
        words |= {at + i: int.from_bytes(raw[2 * i : 2 * i + 2], "big") for i in range(len(raw) // 2)}

    def answer(unit: int, pdu: bytes) -> Answer:
        if pdu[0] == 16:
            return [(0, framed(unit, pdu[:5]))]
        _, at, count = struct.unpack(">BHH", pdu)
        return [(0, words_reply(unit, 3, [words.get(at + i, 0) for i in range(count)]))]

    async with slave_on_pty(answer) as (_, port):
        sink = Sunk()
        async with running(make_bus(rtu(port, timeout="1s", quiet="10ms"), {"m": (42, bsm())}), sink):
            await sink.until(lambda: len(sink.last) == len(bsm().points) - 2)
    good = {point: reading.value for _, point, reading in sink.log if reading.value is not None}
    assert good == {
        "current_l1": 16.01,
        "current_l2": 15.9,
        "current_l3": 16.2,
        "voltage_l1": 230.1,
        "voltage_l2": 231.2,
        "voltage_l3": 229.3,
        "frequency": 49.98,
        "power": 11050,
        "power_l1": -1000,
        "power_l2": 3670,
        "energy_export": 50,
        "energy_import": 100000,
        "public_key": KEY,
        "signed_reading": "OCMF|{}|{}",
        "signed_energy_import": 100000,
    }


async def test_the_trigger_is_one_write_of_several_registers_and_every_request_is_short_enough() -> None:
    async with signing(bsm()) as (meter, sink, _):
        await sink.until(lambda: sink.good("meter.signed_reading"))
    triggers = [pdu for pdu in meter.requests if pdu[0] == 16]
    assert set(triggers) == {bytes.fromhex("10 9e4c 0001 02 0002")}
    assert {pdu[0] for pdu in meter.requests} == {3, 16}
    assert max(int.from_bytes(pdu[3:5], "big") for pdu in meter.requests) <= 125


async def test_a_reading_is_as_old_as_its_trigger_and_other_points_come_meanwhile() -> None:
    """Signing takes the meter 0.2 s here."""
    settings = bsm()
    settings = settings.model_copy(update={"poll": 0.05})
    async with signing(settings) as (_, sink, _bus):
        await sink.until(lambda: sink.good("meter.signed_reading"))
        signed = sink.last["meter.signed_reading"].time
        between = [r for _, p, r in sink.log if p == "power" and signed < r.time]
        assert time.monotonic() - signed >= 0.2
        assert between
        assert sink.last["meter.signed_energy_import"].time == signed


@pytest.mark.parametrize(("state", "why"), [(2, "snapshot_state is 2 after"), (3, "snapshot_state is 3")])
async def test_a_meter_that_does_not_sign_is_bad_there_alone_and_comes_back(state: int, why: str) -> None:
    async with signing(bsm()) as (meter, sink, _):
        meter.held["snapshot_state"] = state
        await sink.until(lambda: sink.bad("meter.signed_reading"))
        assert why in sink.last["meter.signed_reading"].reason
        assert sink.bad("meter.signed_energy_import") and sink.good("meter.power")
        meter.held.clear()
        await sink.until(lambda: sink.good("meter.signed_reading"))


async def test_what_was_signed_counts_once_its_ocmf_is_ready_too() -> None:
    async with signing(bsm()) as (meter, sink, _):
        meter.held["ocmf_state"] = 5
        await sink.until(lambda: sink.bad("meter.signed_reading"))
        assert sink.last["meter.signed_reading"].reason == "ocmf_state is 5"
        assert sink.values("meter.signed_reading") == []


async def test_a_silent_meter_is_silent_as_a_whole_and_signs_when_it_is_back() -> None:
    async with signing(bsm()) as (meter, sink, _):
        await sink.until(lambda: sink.good("meter.signed_reading"))
        meter.silent = True
        await sink.until(lambda: sink.bad("meter.signed_reading") and sink.bad("meter.power"))
        meter.silent = False
        await sink.until(lambda: sink.good("meter.signed_reading"))


async def test_nobody_else_triggers_or_reads_a_snapshot() -> None:
    async with signing(bsm()) as (_, sink, bus):
        await sink.until(lambda: sink.good("meter.power"))
        for call in (bus.read("meter", "signed_reading"), bus.write("meter", "snapshot_state", 2)):
            with pytest.raises(Refused, match="go by themselves"):
                await call


async def test_a_device_that_refuses_the_trigger_keeps_its_other_points() -> None:
    settings = profile(
        {
            "state": {"at": 900, "type": "uint16", "access": "rw"},
            "signed": {"at": 901, "type": "string", "length": 4},
            "power": {"at": 0, "type": "uint16"},
        },
        snapshot={"states": ["state"], "trigger": 1, "pending": [1], "valid": [2], "points": ["signed"]}
        | {"every": "200ms", "within": "1s"},
    )

    def answer(unit: int, pdu: bytes) -> Answer:
        refused = framed(unit, bytes((pdu[0] | 0x80, 2)))
        return [(0, framed(unit, bytes.fromhex("03020007")) if pdu[0] == 3 else refused)]

    async with slave_on_pty(answer) as (_, port):
        sink = Sunk()
        async with running(make_bus(rtu(port, timeout="1s", quiet="10ms"), {"d": (1, settings)}), sink):
            await sink.until(lambda: sink.bad("d.signed") and sink.good("d.power"))
            await asyncio.sleep(0.5)
            assert not sink.bad("d.power")


# --- without a wire -----------------------------------------------------------------------------------------------


def words(text: bytes, registers: int) -> bytes:
    return text.ljust(2 * registers, b"\0")


@given(text=st.binary(min_size=1, max_size=992).filter(lambda raw: b"\0" not in raw), block=st.integers(2, 125))
def test_a_text_comes_whole_in_pieces_of_any_size(text: bytes, block: int) -> None:
    settings = bsm().model_copy(update={"max_block": block})
    points = points_of(bsm())
    snapshot = settings.snapshot
    assert snapshot is not None
    one = taker(42, snapshot.model_copy(update={"points": ("signed_reading",)}), points, block)
    assert one is not None
    memory = words(text, 496)
    one.answered(b"", 10.0)
    taken: Taken | None = None
    for _ in range(2):
        taken = one.answered(b"\x03\x02\x00\x00", 10.0)
    while taken is None:
        _, at, count = struct.unpack(">BHH", one.request().pdu)
        assert count <= block
        taken = one.answered(b"\x03\x00" + memory[2 * (at - 41795) : 2 * (at - 41795 + count)], 11.0)
    assert taken.time == 10.0
    assert [value for _, value in taken.values] == [text.decode("ascii", "replace").strip()]
    assert one.due == 11.0


def test_a_device_that_is_never_ready_is_given_up_in_time() -> None:
    settings = bsm()
    one = taker(42, settings.snapshot, points_of(settings), settings.max_block)
    assert one is not None
    one.answered(b"", 10.0)
    assert one.answered(b"\x03\x02\x00\x02", 10.5) is None and one.due == pytest.approx(10.7)
    with pytest.raises(NotReady, match="is 2 after 1"):
        one.answered(b"\x03\x02\x00\x02", 11.1)
    assert one.due == 11.1 and one.request().pdu[0] == 16


KEY = "3059301306072a8648ce3d020106082a8648ce3d030107034200" + "04" + "ab" * 64


@pytest.mark.parametrize(
    ("raw", "digits"),
    [
        (bytes.fromhex(KEY) + b"\0" * 5, KEY),
        (bytes.fromhex("3081 02 0500 ffff"), "3081020500"),
        (bytes.fromhex("3059 3013"), None),
        (b"\0" * 96, None),
        (b"", None),
        (b"\x30\x00", None),
    ],
)
def test_a_public_key_tells_its_own_length(raw: bytes, digits: str | None) -> None:
    assert der_digits(raw) == digits


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_none(raw: bytes) -> None:
    digits = der_digits(raw)
    assert digits is None or raw.startswith(bytes.fromhex(digits))


def test_a_snapshot_counts_in_the_share_of_the_line() -> None:
    settings = ModbusRtuSettings.model_validate({"driver": "modbus-rtu", "port": "x", "baudrate": 19200})
    devices = {"meter": ProfileDevice(bus="b", profile="p", unit=42)}
    alone = bsm().model_copy(
        update={"snapshot": None, "points": {k: bsm().points[k] for k in ("power", "public_key")}}
    )
    with_it = alone.model_copy(update={"snapshot": bsm(every=5.0).snapshot, "points": bsm().points})
    assert 0.1 < load(settings, devices, {"p": with_it}) - load(settings, devices, {"p": alone}) < 0.5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"states": ["power"]}, "power is no point that can be written"),
        ({"states": ["nothing"]}, "nothing is no point that can be read"),
        ({"points": ["state"]}, "a state is none of the points"),
        ({"states": ["state", "text"]}, "text is no whole number"),
        ({"every": "0s"}, "greater than 0"),
    ],
)
def test_a_snapshot_that_cannot_work_is_no_profile(change: dict[str, Any], why: str) -> None:
    points = {
        "state": {"at": 0, "type": "uint16", "access": "rw"},
        "power": {"at": 1, "type": "uint16"},
        "text": {"at": 2, "type": "string", "length": 4},
    }
    sound = {"states": ["state"], "trigger": 2, "pending": [2], "valid": [0], "points": ["text"]}
    sound |= {"every": "5s", "within": "15s"}
    profile(points, snapshot=sound)
    with pytest.raises(ValidationError, match=why):
        profile(points, snapshot={**sound, **change})


def test_only_a_text_that_is_read_has_a_coding() -> None:
    with pytest.raises(ValidationError, match="coding is only for a string"):
        profile({"key": {"at": 0, "type": "uint16", "coding": "der"}})
