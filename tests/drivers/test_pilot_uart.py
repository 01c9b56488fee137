"""The pilot controller's driver, with a controller at the other end of a pseudo-terminal."""

import asyncio
import contextlib
import os
import time
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import DriverError, NoAnswer, Quality, Refused, open_bus
from drivers.rapi import LineReader, command, message_of
from drivers.settings import PilotUart, PilotUartSettings
from tests.drivers.seen import Seen, running, until


def summed(body: str) -> bytes:
    """A line with its checksum, made without the driver's own."""
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"{body}^{check:02X}\r".encode()


class OpenEvse:
    """A controller as its firmware behaves: it starts enabled, forgets a volatile current, clamps what it is set."""

    def __init__(self) -> None:
        self.end, self._held = os.openpty()
        tty.setraw(self._held)
        os.set_blocking(self.end, False)
        self.port = os.ttyname(self._held)
        self.log: list[str] = []
        self.silent = False
        self.mute = False
        self.supervises = True
        self.missed = False
        self.car = 1
        self.fault = 0
        self.most = 32
        self._buffer = b""
        self.start()
        asyncio.get_running_loop().add_reader(self.end, self._readable)

    def start(self) -> None:
        self.current, self.asleep, self.lock, self.armed = self.most, False, "A", (0, 0)

    @property
    def flags(self) -> int:
        closed = self.car == 3 and not self.asleep and not self.fault
        return 0x0200 | (0x0100 if self.car > 1 else 0) | (0x0040 if closed else 0)

    @property
    def state(self) -> int:
        return self.fault or (0xFE if self.asleep else self.car)

    def say(self, body: str) -> None:
        os.write(self.end, summed(body))

    def tell(self) -> None:
        self.say(f"$AT {self.state:02x} {self.car:02x} {self.current} {self.flags:04x}")

    def unplug(self) -> None:
        asyncio.get_running_loop().remove_reader(self.end)
        os.close(self._held)
        os.close(self.end)

    def _readable(self) -> None:
        self._buffer += os.read(self.end, 4096)
        *lines, self._buffer = self._buffer.split(b"\r")
        for line in lines:
            body, _, check = line.decode().rpartition("^")
            assert summed(body) == line + b"\r", f"a wrong checksum: {check}"
            text, _, sequence = body.removeprefix("$").rpartition(" :")
            if self.silent:
                continue
            words = text.split()
            if words[0] not in ("GS", "GE", "G5"):
                self.log.append(text)
            ok, said = self._do(words)
            if self.mute:
                continue
            self.say(" ".join(filter(None, ("$OK" if ok else "$NK", said, f":{sequence}"))))

    def _do(self, words: list[str]) -> tuple[bool, str]:
        match words:
            case ["GS"]:
                return True, f"{self.state:02x} 125 {self.car:02x} {self.flags:04x}"
            case ["GE"]:
                return True, f"{self.current} 0021"
            case ["G5"]:
                return True, f"{int(self.lock == '1')} M"
            case ["S5", value]:
                self.lock = value
            case ["SC", amps, "V"]:
                self.current = max(6, min(int(amps), self.most))
                return self.current == int(amps), str(self.current)
            case ["FE"]:
                self.asleep = False
            case ["FS"]:
                self.asleep = True
            case ["SY", interval, current] if self.supervises:
                self.armed, self.missed = (int(interval), int(current)), False
                return True, f"{interval} {current} 0"
            case ["SY", "165"] if self.supervises:
                self.missed, self.current = False, self.most
            case ["SY"] if self.supervises:
                return not self.missed, f"{self.armed[0]} {self.armed[1]} {2 * self.missed}"
            case _:
                return False, ""
        return True, ""


@pytest.fixture
async def controller():
    controller = OpenEvse()
    yield controller
    with contextlib.suppress(OSError):
        controller.unplug()


def bus_on(controller: OpenEvse, lock: bool = False, **more: object):
    told = {"driver": "pilot-uart", "port": controller.port, "poll": "20ms", "timeout": "2s", **more}
    device = PilotUart.model_validate({"bus": "car", "kind": "pilot-uart", "lock": lock})
    return open_bus("car", PilotUartSettings.model_validate(told), {"car": device}, {}, time.monotonic)


async def test_the_states_of_a_charge_are_read(controller):
    async with running(bus_on(controller)) as seen:
        await seen.value("car", "pilot", "A")
        assert seen.last("car", "plugged").value is False
        controller.car = 3
        await seen.value("car", "pilot", "C")
        await seen.value("car", "contactor_closed", True)
        assert seen.last("car", "plugged").value is True
        assert (seen.last("car", "offered_current").value, seen.last("car", "offered_current").unit) == (32, "A")
        assert seen.last("car", "fault").value == 0
        controller.fault = 6  # residual current
        await seen.value("car", "fault", 6)
        await seen.value("car", "contactor_closed", False)
        controller.fault = 8  # the relay is stuck, whatever it was told
        await seen.value("car", "contactor_closed", True)
        controller.fault, controller.car = 0, 0
        assert "pilot" in (await seen.bad("car", "pilot")).reason
        assert seen.last("car", "plugged").quality is Quality.GOOD


async def test_what_the_controller_tells_unasked_counts_at_once(controller):
    async with running(bus_on(controller, poll="1h")) as seen:
        await seen.value("car", "pilot", "A")
        controller.car = 2
        controller.tell()
        await seen.value("car", "pilot", "B")


async def test_it_is_armed_before_anything_else_and_kept_alive(controller):
    bus = bus_on(controller, watchdog="3s", fallback_current=8)
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        assert controller.log[:2] == ["SY 3 8", "SY"]
        await until(lambda: controller.log.count("SY") >= 2)
        assert not set(controller.log) - {"SY 3 8", "SY"}  # nothing was commanded: what it does, it goes on with


async def test_enable_and_current_belong_together(controller):
    bus = bus_on(controller)
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        await bus.write("car", "enable", False)
        assert controller.asleep
        await seen.value("car", "offered_current", 0)
        await bus.write("car", "enable", True)
        assert controller.asleep  # no current was offered yet
        await bus.write("car", "offered_current", 15.9)
        assert (controller.asleep, controller.current) == (False, 15)
        await seen.value("car", "offered_current", 15)
        await bus.write("car", "offered_current", 0)
        assert controller.asleep
        await bus.write("car", "offered_current", 10)
        assert (controller.asleep, controller.current) == (False, 10)
        await bus.write("car", "enable", False)
        await bus.write("car", "offered_current", 16)
        assert controller.asleep
        await bus.write("car", "enable", True)
        assert (controller.asleep, controller.current) == (False, 16)


async def test_the_controllers_own_lower_limit_is_no_refusal_and_is_told(controller):
    controller.most = 20
    bus = bus_on(controller)
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        await bus.write("car", "offered_current", 32)
        await seen.value("car", "offered_current", 20)


@pytest.mark.parametrize(
    ("point", "value"),
    [
        ("offered_current", 5.9),
        ("offered_current", -1),
        ("offered_current", 81),
        ("offered_current", float("nan")),
        ("offered_current", True),
        ("enable", 1),
        ("pilot", "A"),
        ("lock", True),  # it has none
    ],
)
async def test_a_write_that_makes_no_sense_never_reaches_the_wire(controller, point, value):
    bus = bus_on(controller)
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        with pytest.raises(Refused):
            await bus.write("car", point, value)
    assert not set(controller.log) - {"SY 10 6", "SY"}


async def test_a_lock_is_driven_by_hand_and_told(controller):
    bus = bus_on(controller, lock=True)
    async with running(bus) as seen:
        await seen.value("car", "locked", False)
        assert controller.lock == "M"
        await bus.write("car", "lock", True)
        await seen.value("car", "locked", True)
        await bus.write("car", "lock", False)
        await seen.value("car", "locked", False)


async def test_a_controller_that_started_anew_is_armed_and_gets_no_more_than_was_wanted(controller):
    bus = bus_on(controller, lock=True, poll="1h")
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        await bus.write("car", "offered_current", 10)
        await bus.write("car", "enable", True)
        await bus.write("car", "lock", True)
        controller.start()
        controller.say("$AB 00 8.2.3")
        await until(lambda: controller.current == 10)
        await until(lambda: controller.log[-1] == "SY")
        assert (controller.armed, controller.lock, controller.asleep) == ((10, 6), "1", False)
        await bus.write("car", "enable", False)
        controller.start()
        controller.log.clear()
        controller.say("$AB 00 8.2.3")
        await until(lambda: controller.asleep)
        assert "FE" not in controller.log


async def test_a_stop_that_went_unanswered_is_what_it_comes_back_to(controller):
    bus = bus_on(controller, timeout="50ms")
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        await bus.write("car", "offered_current", 16)
        await bus.write("car", "enable", True)
        controller.silent = True
        assert "no answer" in (await seen.bad("car", "pilot")).reason
        with pytest.raises(NoAnswer):
            await bus.write("car", "enable", False)
        controller.start()
        controller.silent = False
        await seen.value("car", "pilot", "A")
        assert controller.asleep


async def test_a_stop_is_sent_to_one_that_hears_and_is_not_heard(controller):
    bus = bus_on(controller, timeout="50ms")
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        await bus.write("car", "offered_current", 16)
        await bus.write("car", "enable", True)
        controller.mute = True
        assert "no answer" in (await seen.bad("car", "pilot")).reason
        with pytest.raises(NoAnswer):
            await bus.write("car", "enable", False)
        await until(lambda: controller.asleep)
        controller.asleep = False
        await until(lambda: controller.asleep)  # as often as it is tried


async def test_after_signs_of_life_that_came_too_late_it_offers_what_was_wanted_and_never_more(controller):
    bus = bus_on(controller, watchdog="3s")
    async with running(bus) as seen:
        await seen.value("car", "pilot", "A")
        await bus.write("car", "offered_current", 16)
        controller.log.clear()
        controller.missed, controller.current = True, 6
        await until(lambda: controller.current == 16)
        assert not controller.missed
        assert [text for text in controller.log if text != "SY"] == ["SY 3 6", "SC 16 V"]


async def test_a_controller_without_supervision_is_bad_and_can_be_stopped(controller):
    controller.supervises = False
    bus = bus_on(controller)
    async with running(bus) as seen:
        assert "SY 10 6" in (await seen.bad("car", "pilot")).reason
        await bus.write("car", "enable", False)
        assert controller.asleep
        assert not [r for r in seen.all("car", "pilot") if r.quality is Quality.GOOD]


async def test_a_late_answer_is_not_taken_for_another(controller):
    async with running(bus_on(controller)) as seen:
        await seen.value("car", "pilot", "A")
        for sequence in (200, 201, 202):  # of no question that stands
            controller.say(f"$OK 08 0 02 0100 :{sequence:02X}")
        controller.say("$OK 08 0 02 0100")
        os.write(controller.end, b"$OK 08 0 02 0100 :01^00\r")
        seen.forget()
        await seen.value("car", "pilot", "A")
        assert set(seen.values("car", "fault")) == {0}


async def test_an_unplugged_controller_ends_the_bus_and_a_closed_one_does_not_answer(controller):
    bus, seen = bus_on(controller), Seen()
    with pytest.raises(NoAnswer, match="not open"):
        await bus.write("car", "enable", False)
    task = asyncio.create_task(bus.run(seen))
    await seen.value("car", "pilot", "A")
    assert (await bus.read("car", "plugged")).value is False
    controller.unplug()
    with pytest.raises(DriverError, match="unplugged"):
        await task
    assert seen.last("car", "pilot").quality is Quality.BAD
    with pytest.raises(DriverError, match="cannot be opened"):
        await bus.run(seen)


def test_a_port_has_one_controller_and_nothing_else():
    settings = PilotUartSettings.model_validate({"driver": "pilot-uart", "port": "/dev/null"})
    with pytest.raises(DriverError, match="one device"):
        open_bus("car", settings, {}, {}, time.monotonic)


# --- lines ------------------------------------------------------------------------------------------------------


def test_checksums_are_those_that_the_firmware_documents():
    assert message_of(b"$GS^30").word == "GS"
    assert message_of(b"$SK 0^2C").words == ("0",)
    assert message_of(b"$GS^31") is None
    assert command("GS", 0x1F).endswith(b"\r")
    assert message_of(command("SC 16 V", 0x1F)[:-1]).sequence == 0x1F


@given(st.binary(max_size=300))
def test_noise_before_a_line_costs_no_more_than_that_line(noise: bytes):
    reader = LineReader()
    list(reader.feed(noise))
    list(reader.feed(b"\r"))
    assert [message.words for message in reader.feed(summed("$OK 16"))] == [("16",)]


@given(st.integers(0, 7), st.integers(0, 20))
def test_a_flipped_bit_is_never_a_message(bit: int, at: int):
    line = bytearray(summed("$OK 03 125 03 0140 :1F")[:-1])
    line[at] ^= 1 << bit
    message = message_of(bytes(line))
    assert message is None
