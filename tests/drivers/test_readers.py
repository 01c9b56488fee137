"""Card readers, with the reader at the other end of a pseudo-terminal, or of a pipe for one that types."""

import asyncio
import contextlib
import logging
import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import DriverError, NoAnswer, Quality, Refused, open_bus
from drivers.reader_keys import EVENT
from drivers.settings import EvdevReaderSettings, Reader, SerialReaderSettings
from tests.drivers.seen import Seen, running, until


class CardReader:
    """The far end of a serial reader's cable."""

    def __init__(self) -> None:
        self.end, self._held = os.openpty()
        tty.setraw(self._held)
        self.port = os.ttyname(self._held)

    def say(self, data: bytes) -> None:
        os.write(self.end, data)

    def unplug(self) -> None:
        os.close(self._held)
        os.close(self.end)
        self.end = -1


@pytest.fixture
def reader() -> Iterator[CardReader]:
    reader = CardReader()
    yield reader
    if reader.end >= 0:
        reader.unplug()


def serial_bus(port: str, **more: object):
    settings = SerialReaderSettings.model_validate({"driver": "serial-reader", "port": port})
    device = Reader.model_validate({"bus": "cards", "kind": "reader", "hold": "200ms", **more})
    return open_bus("cards", settings, {"reader": device}, {}, time.monotonic)


@contextlib.asynccontextmanager
async def listening(bus):
    """Opening a port drops what waits in it, so that the reader may speak only after that."""
    async with running(bus) as seen:
        await until(lambda: bool(seen.all("reader", "token")))
        yield seen


def changes(seen: Seen) -> list[object]:
    """The tokens told, each once however often it was told again."""
    told = seen.values("reader", "token")
    return [value for n, value in enumerate(told) if n == 0 or told[n - 1] != value]


async def test_a_line_is_a_token_for_as_long_as_the_card_is_held(reader):
    async with listening(serial_bus(reader.port)) as seen:
        assert changes(seen) == [""]
        reader.say(b"04A1B2C3D4\r\n")
        await seen.value("reader", "token", "04A1B2C3D4")
        assert seen.last("reader", "token_type").value == "ISO14443"
        await seen.value("reader", "token", "")
        assert changes(seen) == ["", "04A1B2C3D4", ""]


async def test_the_type_is_told_before_the_token_that_it_is_of(reader):
    told: list[tuple[str, object]] = []
    bus = serial_bus(reader.port, hold="1h")
    task = asyncio.create_task(bus.run(lambda _, point, reading: told.append((point, reading.value))))
    await until(lambda: bool(told))
    reader.say(b"KeyCode:4711\n")
    await until(lambda: ("token", "4711") in told)
    task.cancel()
    at = told.index(("token", "4711"))
    assert told[at - 1] == ("token_type", "KeyCode")


async def test_a_reader_that_repeats_itself_tells_one_swipe(reader):
    async with listening(serial_bus(reader.port, hold="1h")) as seen:
        for _ in range(5):
            reader.say(b"\x0204A1\r\n\x03")
        reader.say(b"END\r")
        await seen.value("reader", "token", "END")
        assert changes(seen) == ["", "04A1", "", "END"]


async def test_another_card_within_the_hold_is_another_swipe_and_the_first_is_gone_in_between(reader):
    async with listening(serial_bus(reader.port, hold="1h")) as seen:
        reader.say(b"04A1\r\n04B2\r\n")
        await seen.value("reader", "token", "04B2")
        assert changes(seen) == ["", "04A1", "", "04B2"]


async def test_what_is_on_the_reader_is_told_again_before_it_can_go_stale(reader):
    async with listening(serial_bus(reader.port)) as seen:
        await until(lambda: len(seen.all("reader", "token")) >= 3)
        times = [reading.time for reading in seen.all("reader", "token")]
        assert times == sorted(set(times))
        assert set(seen.values("reader", "token")) == {""}
        assert set(seen.values("reader", "token_type")) == {"ISO14443"}
        seen.forget()
        reader.say(b"04A1\r")
        await until(lambda: "04A1" in seen.values("reader", "token"))


async def test_garbage_is_dropped_told_once_and_never_repeated_in_the_log(reader, caplog):
    caplog.set_level(logging.WARNING)
    async with listening(serial_bus(reader.port, hold="1h")) as seen:
        reader.say(b"\xfe\xfd\xfc\r\n" * 4)
        reader.say(b"4" * 1000 + b"\r\n")
        reader.say(b"NoAuthorization:1\r\n")
        reader.say(b"04A1\r\n")
        await seen.value("reader", "token", "04A1")
        assert changes(seen) == ["", "04A1"]
        assert len(caplog.records) == 1
        assert "no text" in caplog.text
        reader.say(b"\xff\r04B2\r")  # after a good line it is another burst
        await seen.value("reader", "token", "04B2")
        assert len(caplog.records) == 2


async def test_a_board_may_say_how_its_readers_lines_look(reader):
    pattern = r"CARD=(?P<token>[0-9A-F]+)(?:,T=(?P<type>\w+))?"
    async with listening(serial_bus(reader.port, pattern=pattern, token_type="Local", hold="1h")) as seen:
        reader.say(b"04A1\r\nCARD=0815\r\n")
        await seen.value("reader", "token", "0815")
        assert seen.last("reader", "token_type").value == "Local"
        reader.say(b"CARD=0816,T=ISO15693\r\n")
        await seen.value("reader", "token", "0816")
        assert seen.last("reader", "token_type").value == "ISO15693"
        assert changes(seen) == ["", "0815", "", "0816"]


async def test_a_token_that_is_too_long_for_ocpp_is_passed_on_as_it_is(reader):
    async with listening(serial_bus(reader.port)) as seen:
        reader.say(b"9" * 200 + b"\r")
        await seen.value("reader", "token", "9" * 200)


async def test_an_unplugged_reader_ends_the_bus_with_bad_readings(reader):
    seen, bus = Seen(), serial_bus(reader.port)
    task = asyncio.create_task(bus.run(seen))
    await until(lambda: bool(seen.all("reader", "token")))
    reader.unplug()
    with pytest.raises(DriverError, match="unplugged"):
        await task
    assert {seen.last("reader", point).quality for point in ("token", "token_type")} == {Quality.BAD}


async def test_a_reader_that_comes_back_begins_without_a_card(tmp_path):
    port = tmp_path / "ttyUSB1"
    first, second = CardReader(), CardReader()
    port.symlink_to(first.port)
    bus = serial_bus(str(port), hold="1h")
    task = asyncio.create_task(bus.run(seen := Seen()))
    await until(lambda: bool(seen.all("reader", "token")))
    first.say(b"04A1\r")
    await seen.value("reader", "token", "04A1")
    first.unplug()
    with pytest.raises(DriverError):
        await task
    port.unlink()
    with pytest.raises(DriverError, match="cannot be opened"):
        await bus.run(Seen())
    port.symlink_to(second.port)
    async with listening(bus) as again:
        assert changes(again) == [""]
    second.unplug()


async def test_a_port_that_another_program_holds_is_refused(reader):
    async with listening(serial_bus(reader.port)):
        with pytest.raises(DriverError, match="lock"):
            await serial_bus(reader.port).run(Seen())


async def test_a_reader_can_be_asked_and_not_written(reader):
    bus = serial_bus(reader.port, hold="1h")
    with pytest.raises(NoAnswer, match="not open"):
        await bus.read("reader", "token")
    async with listening(bus) as seen:
        assert (await bus.read("reader", "token")).value == ""
        reader.say(b"04A1\r")
        await seen.value("reader", "token", "04A1")
        assert (await bus.read("reader", "token")).value == "04A1"
        with pytest.raises(Refused):
            await bus.read("reader", "nonsense")
        with pytest.raises(Refused):
            await bus.write("reader", "token", "04A1")


def test_a_port_has_one_reader_and_nothing_else():
    settings = SerialReaderSettings.model_validate({"driver": "serial-reader", "port": "/dev/null"})
    device = Reader.model_validate({"bus": "cards", "kind": "reader"})
    with pytest.raises(DriverError, match="one device"):
        open_bus("cards", settings, {"a": device, "b": device}, {}, time.monotonic)
    with pytest.raises(DriverError, match="one device"):
        open_bus("cards", settings, {}, {}, time.monotonic)


# --- a reader that types ----------------------------------------------------------------------------------------

CODES = {char: 2 + n for n, char in enumerate("1234567890")} | {"a": 30, "b": 48, "c": 46, "d": 32, ";": 39}
SHIFT, ENTER, CAPS = 42, 28, 58


def event(kind: int, code: int, value: int) -> bytes:
    return EVENT.pack(1_700_000_000, 123_456, kind, code, value)


def key(code: int) -> bytes:
    """What the kernel says of one key that a reader strikes: its scan code, down, report, the same for up."""
    down = event(4, 4, 0x70000 + code) + event(1, code, 1) + event(0, 0, 0)
    return down + event(4, 4, 0x70000 + code) + event(1, code, 0) + event(0, 0, 0)


def typed(text: str) -> bytes:
    """A reader's strokes: capitals and the colon with Shift held for each."""
    data = b""
    for char in text:
        plain = ";" if char == ":" else char.lower()
        struck = key(CODES[plain])
        data += event(1, SHIFT, 1) + struck + event(1, SHIFT, 0) if plain != char else struck
    return data + key(ENTER)


@pytest.fixture
def keyboard(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A pipe in place of an event device: its path, and the end that the kernel would write to."""
    path = tmp_path / "event3"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)
    yield str(path), end
    with contextlib.suppress(OSError):
        os.close(end)


def keyboard_bus(port: str, **more: object):
    settings = EvdevReaderSettings.model_validate({"driver": "evdev-reader", "port": port})
    device = Reader.model_validate({"bus": "cards", "kind": "reader", "hold": "1h", **more})
    return open_bus("cards", settings, {"reader": device}, {}, time.monotonic)


async def test_what_a_reader_types_is_a_token_in_the_same_shape(keyboard):
    port, end = keyboard
    async with listening(keyboard_bus(port)) as seen:
        os.write(end, typed("04A1b2"))
        await seen.value("reader", "token", "04A1b2")
        os.write(end, key(CAPS) + typed("ACCA:12"))
        await seen.value("reader", "token", "ACCA:12")
        assert seen.last("reader", "token_type").value == "ISO14443"
        assert changes(seen) == ["", "04A1b2", "", "ACCA:12"]


async def test_events_may_arrive_in_any_pieces(keyboard):
    port, end = keyboard
    async with listening(keyboard_bus(port)) as seen:
        for byte in typed("4711"):
            os.write(end, bytes([byte]))
            await asyncio.sleep(0)
        await seen.value("reader", "token", "4711")


async def test_a_held_key_is_one_character_and_the_number_pad_has_digits(keyboard):
    port, end = keyboard
    async with listening(keyboard_bus(port)) as seen:
        held = event(1, 5, 1) + event(1, 5, 2) * 3 + event(1, 5, 0)  # a 4, repeated by the kernel
        os.write(end, held + key(71) + key(79) + key(96))  # 7, 1 and Enter of the number pad
        await seen.value("reader", "token", "471")


async def test_a_line_of_which_the_kernel_lost_keys_is_no_token(keyboard, caplog):
    port, end = keyboard
    async with listening(keyboard_bus(port)) as seen:
        lost = event(0, 3, 0) + key(CODES["2"])[:48] + event(0, 0, 0)
        os.write(end, typed("04A1")[: -len(key(ENTER))] + lost + typed("B2") + typed("0815"))
        await seen.value("reader", "token", "0815")
        assert changes(seen) == ["", "0815"]
    assert "no room" in caplog.text


async def test_a_key_that_is_no_character_makes_no_token(keyboard):
    port, end = keyboard
    async with listening(keyboard_bus(port)) as seen:
        os.write(end, key(CODES["1"]) + key(59) + typed("2") + typed("0815"))  # F1 in between
        await seen.value("reader", "token", "0815")
        assert changes(seen) == ["", "0815"]


async def test_a_keyboard_that_goes_away_ends_the_bus(tmp_path):
    path = tmp_path / "event3"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)
    seen = Seen()
    task = asyncio.create_task(keyboard_bus(str(path)).run(seen))
    await until(lambda: bool(seen.all("reader", "token")))
    os.close(end)
    with pytest.raises(DriverError, match="unplugged"):
        await task
    assert seen.last("reader", "token").quality is Quality.BAD


@pytest.mark.parametrize(("name", "complaint"), [("absent", "cannot be opened"), ("file", "is no reader")])
async def test_what_is_no_event_device_is_said_so(tmp_path, name, complaint):
    (tmp_path / "file").write_text("4711\n")
    with pytest.raises(DriverError, match=complaint):
        await keyboard_bus(str(tmp_path / name)).run(Seen())
