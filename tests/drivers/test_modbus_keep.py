"""What a Modbus controller is told unasked: its watchdog and fallback when it is reached, and signs of life."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError
from pymodbus.constants import ExcCodes

from drivers import DriverError, NoAnswer, Quality, Refused
from drivers.modbus_plan import load
from drivers.settings import ModbusProfile, ModbusRtuSettings, ProfileDevice
from tests.drivers.modbus_parts import (
    Answer,
    Sunk,
    device,
    framed,
    make_bus,
    profile,
    rtu,
    rtu_server,
    running,
    slave_on_pty,
    tcp,
    tcp_server,
    words_reply,
)

POINTS: dict[str, Any] = {
    "state": {"at": 0, "type": "uint16"},
    "current": {"at": 1, "type": "uint16", "scale": 0.01, "access": "w"},
    "watchdog": {"at": 2, "type": "uint16", "access": "w"},
    "fallback": {"at": 3, "type": "uint16", "access": "w"},
    "beat": {"at": 4, "type": "uint16", "access": "w"},
}
ARM = {"watchdog": 10, "fallback": 0}
WORDS = dict.fromkeys(range(5), 7)


class Writes:
    """The action of a pymodbus device: notes each write as (address, value), and may refuse some of them."""

    def __init__(self, *refused: int) -> None:
        self.log: list[tuple[int, int]] = []
        self.refused = set(refused)

    async def note(
        self, _code: int, _start: int, at: int, _count: int, _now: Any, new: list[Any] | None
    ) -> ExcCodes | None:
        if new is None:
            return None
        if at in self.refused:
            return ExcCodes.ILLEGAL_VALUE
        self.log.append((at, int(new[0])))
        return None

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.log) < count:  # noqa: ASYNC110  # what a test waits for has no event
                await asyncio.sleep(0.005)


# --- names ------------------------------------------------------------------------------------------------------


async def test_a_number_with_a_name_is_read_as_that_name_and_one_without_is_bad() -> None:
    points = {
        "pilot": {"at": 0, "type": "uint16", "names": {1: "A", 2: "B"}},
        "letters": {"at": 1, "type": "uint16", "names": {0x4131: "A", 0x4332: "C", 67: "C"}},
        "unknown": {"at": 2, "type": "int16", "names": {-1: "error"}},
        "none": {"at": 3, "type": "uint16", "names": {1: "A"}, "na": [65535]},
    }
    async with rtu_server(device(1, holding={0: 2, 1: 0x4332, 2: 5, 3: 65535})) as port:
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="1s"), {"d": (1, profile(points))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 4)
            assert (sink.last["d.pilot"].value, sink.last["d.letters"].value) == ("B", "C")
            assert sink.last["d.unknown"].quality is Quality.BAD
            assert sink.last["d.unknown"].reason == "5 has no name"
            assert sink.last["d.none"].reason == "not available"
            assert (await bus.read("d", "pilot")).value == "B"
            with pytest.raises(Refused, match="cannot be written"):
                await bus.write("d", "pilot", "A")


@pytest.mark.parametrize(
    ("point", "complaint"),
    [
        ({"type": "float32", "names": {1: "A"}}, "whole numbers"),
        ({"type": "uint16", "scale": 0.1, "names": {1: "A"}}, "without scale"),
        ({"type": "uint16", "access": "rw", "names": {1: "A"}}, "cannot be written"),
        ({"type": "uint16", "names": {-1: "A"}}, "-1 does not fit"),
        ({"type": "int16", "names": {40000: "A"}}, "40000 does not fit"),
    ],
)
def test_names_that_make_no_sense_are_refused(point: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        profile({"p": {"at": 0, **point}})


# --- arm --------------------------------------------------------------------------------------------------------


async def test_a_device_is_armed_in_order_when_it_is_reached_and_not_again_while_it_answers() -> None:
    writes = Writes()
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        sink = Sunk()
        async with running(make_bus(tcp(port), {"d": (1, profile(POINTS, arm=ARM))}), sink):
            await sink.until(lambda: len(sink.values("d.state")) >= 4)
    assert writes.log == [(2, 10), (3, 0)]


async def test_nothing_else_is_written_before_the_device_is_armed() -> None:
    writes = Writes()
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        bus = make_bus(tcp(port), {"d": (1, profile(POINTS, arm=ARM, poll="1h"))})
        async with running(bus, Sunk()):
            while bus._wire is None:  # noqa: ASYNC110  # the link
                await asyncio.sleep(0)
            await bus.write("d", "current", 16)
    assert writes.log == [(2, 10), (3, 0), (1, 1600)]


async def test_each_run_arms_again() -> None:
    writes = Writes()
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        bus = make_bus(tcp(port), {"d": (1, profile(POINTS, arm=ARM))})
        for run in (1, 2):
            sink = Sunk()
            async with running(bus, sink):
                await sink.until(lambda sink=sink: sink.good("d.state"))
            assert writes.log == [(2, 10), (3, 0)] * run


async def test_what_can_be_read_and_holds_its_value_already_is_not_written() -> None:
    points = POINTS | {
        "mode": {"at": 10, "type": "uint16", "access": "rw"},
        "kept": {"at": 11, "type": "uint16", "access": "rw"},
        "flag": {"at": 0, "table": "coil", "type": "bit", "access": "rw"},
    }
    writes = Writes()
    held = device(1, holding=WORDS | {10: 1, 11: 3}, coils=[True] * 16, action=writes.note)
    async with tcp_server(held) as port:
        sink = Sunk()
        arm = {"mode": 3, "kept": 3, "flag": 1}
        async with running(make_bus(tcp(port), {"d": (1, profile(points, arm=arm))}), sink):
            await sink.until(lambda: sink.good("d.state"))
    assert writes.log == [(10, 3)]


class Controller:
    """A controller on a serial line that can be switched off, and forgets when it is."""

    def __init__(self) -> None:
        self.on = True
        self.writes: list[tuple[int, int]] = []
        self.deaf_to: set[int] = set()

    def __call__(self, unit: int, pdu: bytes) -> Answer:
        at, value = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if not self.on or (pdu[0] == 6 and at in self.deaf_to):
            return []
        if pdu[0] == 6:
            self.writes.append((at, value))
            return [(0, framed(unit, pdu))]
        return [(0, words_reply(unit, pdu[0], [7] * value))]


async def test_a_device_that_was_silent_is_armed_again_before_it_counts_as_there() -> None:
    controller = Controller()
    async with slave_on_pty(controller) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="50ms", quiet="10ms"), {"d": (1, profile(POINTS, arm=ARM))})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.state"))
            assert controller.writes == [(2, 10), (3, 0)]
            controller.on = False
            await sink.until(lambda: sink.bad("d.state"))
            controller.writes.clear()
            controller.on = True
            await sink.until(lambda: sink.good("d.state"))
            assert controller.writes == [(2, 10), (3, 0)]


async def test_a_device_that_does_not_answer_when_armed_is_bad_and_armed_as_soon_as_it_does() -> None:
    controller = Controller()
    controller.deaf_to = {3}
    async with slave_on_pty(controller) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="50ms", quiet="10ms"), {"d": (1, profile(POINTS, arm=ARM))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.log) >= 3)
            assert not sink.values("d.state")
            with pytest.raises(NoAnswer):
                await bus.write("d", "current", 16)
            assert (1, 1600) not in controller.writes
            controller.deaf_to = set()
            await sink.until(lambda: sink.good("d.state"))
            assert controller.writes[-2:] == [(2, 10), (3, 0)]


async def test_a_device_that_refuses_to_be_armed_is_bad_with_the_reason_but_can_still_be_stopped() -> None:
    writes = Writes(2)
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"d": (1, profile(POINTS, arm=ARM))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.log) >= 3)
            assert not sink.values("d.state")
            assert "d.watchdog: ILLEGAL DATA VALUE" in sink.last["d.state"].reason
            await bus.write("d", "current", 0)
            assert writes.log == [(1, 0)]
            writes.refused.clear()
            await sink.until(lambda: sink.good("d.state"))
            assert writes.log == [(1, 0), (2, 10), (3, 0)]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"arm": {"nothing": 1}}, "nothing is no point"),
        ({"arm": {"state": 1}}, "state is no point that can be written"),
        ({"alive": {"point": "state", "every": "1s"}}, "state is no point that can be written"),
    ],
)
def test_a_duty_towards_what_cannot_be_written_is_refused(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        profile(POINTS, **keys)


def test_an_arming_that_does_not_fit_its_register_is_refused_before_the_line_is_opened() -> None:
    with pytest.raises(DriverError, match=r"70000.* does not fit"):
        make_bus(tcp(502), {"d": (1, profile(POINTS, arm={"watchdog": 70000}))})


# --- alive ------------------------------------------------------------------------------------------------------


async def test_signs_of_life_take_turns_and_end_with_the_run() -> None:
    writes = Writes()
    told = profile(POINTS, arm=ARM, alive={"point": "beat", "every": "20ms", "value": [1, 2]})
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        async with running(make_bus(tcp(port), {"d": (1, told)}), Sunk()):
            await writes.until(7)
        seen = list(writes.log)
        await asyncio.sleep(0.1)
        assert writes.log == seen
    assert seen[:7] == [(2, 10), (3, 0), (4, 1), (4, 2), (4, 1), (4, 2), (4, 1)]


async def test_a_sign_of_life_without_a_value_repeats_what_was_last_written() -> None:
    writes = Writes()
    told = profile(POINTS, alive={"point": "current", "every": "20ms"}, poll="10ms")
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"d": (1, told)})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.log) >= 8)
            assert writes.log == []
            await bus.write("d", "current", 16)
            await writes.until(3)
            assert set(writes.log) == {(1, 1600)}
            writes.refused.add(1)
            with pytest.raises(Refused):
                await bus.write("d", "current", 32)
            writes.log.clear()
            writes.refused.clear()
            await writes.until(2)
            assert set(writes.log) == {(1, 1600)}
            await bus.write("d", "current", 0)
            writes.log.clear()
            await writes.until(2)
            assert set(writes.log) == {(1, 0)}


async def test_a_reduction_without_an_answer_is_what_is_repeated() -> None:
    controller = Controller()
    told = profile(POINTS, alive={"point": "current", "every": "50ms"})
    async with slave_on_pty(controller) as (_, port):
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="50ms", quiet="10ms"), {"d": (1, told)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.state"))
            await bus.write("d", "current", 16)
            controller.deaf_to = {1}
            with pytest.raises(NoAnswer):
                await bus.write("d", "current", 6)
            controller.writes.clear()
            controller.deaf_to = set()
            await sink.until(lambda: len(controller.writes) >= 2)
    assert set(controller.writes) == {(1, 600)}


async def test_a_silent_device_gets_no_signs_of_life_and_a_refused_one_is_told_by_bad_readings() -> None:
    writes = Writes(4)
    told = profile(POINTS, alive={"point": "beat", "every": "20ms", "value": 1})
    async with tcp_server(device(1, holding=WORDS, action=writes.note)) as port:
        sink = Sunk()
        async with running(make_bus(tcp(port), {"d": (1, told)}), sink):
            await sink.until(lambda: len(sink.log) >= 2)
            assert not sink.values("d.state")
            assert "d.beat" in sink.last["d.state"].reason
            writes.refused.clear()
            await sink.until(lambda: sink.good("d.state"))
    controller = Controller()
    controller.on = False
    async with slave_on_pty(controller) as (slave, port):
        sink = Sunk()
        async with running(make_bus(rtu(port, timeout="20ms", quiet="10ms"), {"d": (1, told)}), sink):
            await sink.until(lambda: len(sink.log) >= 2)
            assert [pdu[0] for _, _, pdu in slave.requests].count(6) == 1


async def test_writes_go_before_signs_of_life_and_these_before_reads() -> None:
    order: list[int] = []

    async def slow(code: int, _start: int, at: int, _count: int, _now: Any, new: Any) -> None:
        if new is not None or code == 3:
            order.append(at)
            await asyncio.sleep(0.05)

    points = POINTS | {"other": {"at": 20, "type": "uint16", "access": "r"}}
    told = profile(points, alive={"point": "beat", "every": "60ms", "value": 1}, poll="1h")
    async with tcp_server(device(1, holding=WORDS | {20: 0}, action=slow)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port, timeout="2s"), {"d": (1, told)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("d.state") and sink.good("d.other"))
            calls = [bus.write("d", "current", n) for n in (1, 2, 3)] + [bus.read("d", "other") for _ in range(2)]
            order.clear()
            await asyncio.gather(*calls)
    before_reads = order[: order.index(20)]
    assert [at for at in before_reads if at == 1] == [1, 1, 1]
    assert before_reads[-1] == 4


def test_signs_of_life_are_part_of_what_keeps_a_line_busy() -> None:
    settings = ModbusRtuSettings.model_validate({"driver": "modbus-rtu", "port": "x"})
    devices = {"d": ProfileDevice(bus="b", profile="p", unit=1)}
    without: ModbusProfile = profile(POINTS)
    with_it: ModbusProfile = profile(POINTS, alive={"point": "beat", "every": "100ms", "value": 1})
    busier = load(settings, devices, {"p": with_it}) - load(settings, devices, {"p": without})
    assert 0.2 < busier < 0.5  # 16 characters at 9600 baud and the turnaround, ten times a second


async def test_a_limit_is_rounded_down() -> None:
    points = {
        "near": {"at": 0, "type": "uint16", "access": "rw"},
        "limit": {"at": 1, "type": "uint16", "access": "rw", "round": "down"},
    }
    async with tcp_server(device(1, holding={0: 0, 1: 0})) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"d": (1, profile(points))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 2)
            for point, held in (("near", 16), ("limit", 15)):
                await bus.write("d", point, 15.9)
                assert (await bus.read("d", point)).value == held
