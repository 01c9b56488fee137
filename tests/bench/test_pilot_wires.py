"""The pilot controller of bench-uart on its line: by the real driver, and by a line that a test writes itself."""

import asyncio
import contextlib
import os
import time
import tty
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import boards
from agent.board import load
from drivers import Bus, NoAnswer, Quality, Reading, Refused, open_bus
from drivers.bench.charger import Charger
from drivers.bench.ev import EvSettings
from drivers.bench.rapi import line
from drivers.bench.rig import Rig
from tests.bench.parts import until


def socketed(folder: Path) -> str:
    """bench-uart with a socket and a lock instead of a cable."""
    text = (boards.FOLDER / "bench-uart.yaml").read_text()
    file = folder / "socketed.yaml"
    file.write_text(text.replace("cType2", "sType2").replace("kind: pilot-uart}", "kind: pilot-uart, lock: true}"))
    return str(file)


class Side:
    """The agent's end of the line: its driver with the newest readings, or nobody."""

    def __init__(self, rig: Rig, board: str) -> None:
        self.rig, self.readings = rig, dict[str, Reading]()
        self.world, self.charger = rig.world, rig.world.places.connector(1, 1)
        self._board = load(board, rig.overlay)
        self.port = self._board.buses["pilot"].port  # type: ignore[union-attr]
        self.bus: Bus
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """The agent starts: it knows nothing."""
        told = {"charger": self._board.devices["charger"]}
        self.readings.clear()
        self.bus = open_bus("pilot", self._board.buses["pilot"], told, self._board.profiles, time.monotonic)
        self._task = asyncio.create_task(self.bus.run(self._sink))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _sink(self, device: str, point: str, reading: Reading) -> None:
        assert device == "charger"
        self.readings[point] = reading

    async def write(self, **values: float | bool) -> None:
        for point, value in values.items():
            await self.bus.write("charger", point, value)

    async def reads(self, **values: object) -> None:
        def all_so() -> bool:
            got = {point: self.readings.get(point) for point in values}
            good = {point: one.value for point, one in got.items() if one and one.quality is Quality.GOOD}
            return good == values

        await until(all_so, f"{values}")

    async def bad(self, point: str) -> str:
        await until(lambda: point in self.readings and self.readings[point].quality is Quality.BAD, f"bad {point}")
        return self.readings[point].reason

    def written(self) -> list[tuple[str, object]]:
        entries = self.world.log.since(0)
        return [(one["point"], one["value"]) for one in entries if one["what"] == "write"]


@contextlib.asynccontextmanager
async def side_of(board: str, folder: Path) -> AsyncIterator[Side]:
    rig = Rig(load(board), folder)
    await rig.start()
    side = Side(rig, board)
    try:
        yield side
    finally:
        await side.close()
        await rig.stop()


@pytest.fixture
async def silent(tmp_path: Path) -> AsyncIterator[Side]:
    """The wires of bench-uart, with nobody at the agent's end."""
    async with side_of("bench-uart", tmp_path) as side:
        yield side


@pytest.fixture
async def side(silent: Side) -> Side:
    silent.open()
    await silent.reads(pilot="A")
    return silent


@pytest.fixture
async def charging(side: Side) -> Charger:
    """A car that draws 10 A."""
    side.charger.plug(EvSettings())
    await side.write(offered_current=10, enable=True)
    await until(lambda: side.charger.state()["current_a"] == [10, 10, 10], "10 A")
    return side.charger


# --- by the driver ----------------------------------------------------------------------------------------------


async def test_a_car_is_charged_over_the_line(side: Side) -> None:
    await side.write(enable=False)
    await side.reads(plugged=False, contactor_closed=False, fault=0, offered_current=0)
    side.charger.plug(EvSettings())
    await side.reads(pilot="B", plugged=True)
    assert side.charger.state()["offered_a"] == 0, "asleep it offers nothing"
    await side.write(offered_current=12.9, enable=True)
    await side.reads(pilot="C", contactor_closed=True, offered_current=12)
    await until(lambda: side.charger.state()["current_a"] == [12, 12, 12], "12 A")
    await side.write(offered_current=20)
    await side.reads(offered_current=16)  # what an installer set it to
    await side.write(enable=False)
    assert side.charger.state()["contactor"] is False
    await side.reads(pilot="B", contactor_closed=False, offered_current=0)
    side.charger.unplug("ev")
    await side.reads(pilot="A", plugged=False)
    assert side.written() == [
        ("enable", False), ("offered_current", 12), ("enable", True), ("offered_current", 20), ("enable", False),
    ]  # fmt: skip


async def test_a_plug_that_is_pulled_under_load_opens_the_contactor_without_the_agent(
    side: Side, charging: Charger
) -> None:
    await side.close()
    charging.unplug("ev")
    side.world.touched(None)
    assert (charging.state()["contactor"], charging.state()["pilot"]) == (False, "A")


async def test_the_agents_death_lowers_the_current_and_its_return_lifts_it_no_higher_than_wanted(
    side: Side, charging: Charger
) -> None:
    await asyncio.sleep(6)  # longer than the watchdog
    assert charging.state()["offered_a"] == 10, "signs of life come often enough"
    await side.close()
    await until(lambda: charging.state()["offered_a"] == 6, "the fallback")
    assert charging.state()["contactor"], "supervision ends no charge"
    since = side.world.log.next
    side.open()
    await side.reads(pilot="C", offered_current=6, contactor_closed=True)
    await side.write(offered_current=12)
    await side.reads(offered_current=12)
    offers = [one["value"] for one in side.world.log.since(since) if one["what"] == "offered"]
    assert offers == [12]


@pytest.mark.parametrize("fault", ["offline", "garbage", "slow"])
async def test_a_line_that_fails_costs_the_readings_and_the_offer_falls_by_itself(
    side: Side, charging: Charger, fault: str
) -> None:
    side.world.set_fault("charger", fault)
    assert "no answer" in await side.bad("pilot")
    with pytest.raises(NoAnswer):
        await side.write(enable=False)
    # Late is not deaf: what stops was heard.
    assert charging.state()["contactor"] is (fault != "slow")
    if fault != "slow":
        await until(lambda: charging.state()["offered_a"] == 6, "the fallback")
    side.world.set_fault("charger", "none")
    await side.reads(pilot="B", contactor_closed=False)
    assert charging.state()["offered_a"] == 0, "what was wanted last"


async def test_a_controller_that_refuses_everything_is_bad_and_changes_nothing(side: Side, charging: Charger) -> None:
    side.world.set_fault("charger", "exception")
    assert "refused" in await side.bad("pilot")
    with pytest.raises(Refused):
        await side.write(offered_current=0)
    assert charging.state()["offered_a"] in (10, 6)
    side.world.set_fault("charger", "none")
    await side.reads(pilot="B", contactor_closed=False)


async def test_without_a_supply_it_is_silent_and_starts_with_no_more_than_was_wanted(
    side: Side, charging: Charger
) -> None:
    side.world.cut_power()
    assert "no answer" in await side.bad("pilot")
    assert charging.state()["contactor"] is False
    with pytest.raises(NoAnswer):
        await side.write(enable=False)
    side.world.switch_on()
    await until(lambda: charging.state()["contactor"] or side.readings["pilot"].quality is Quality.GOOD)
    await side.reads(pilot="B", contactor_closed=False)


async def test_a_supply_that_was_gone_for_a_moment_is_a_start(side: Side, charging: Charger) -> None:
    side.world.cut_power()
    side.world.switch_on()
    await until(lambda: charging.state()["offered_a"] == 10, "what was wanted")
    await side.reads(pilot="C", offered_current=10)


async def test_a_relay_that_is_stuck_is_found(side: Side, charging: Charger) -> None:
    side.world.hold("charger", "contactor_closed", True)
    await side.reads(pilot="C", fault=0)  # closed is what it should be
    await side.write(enable=False)
    await side.reads(fault=8, contactor_closed=True)
    side.world.release("charger", "contactor_closed")
    await side.reads(fault=0, contactor_closed=False, pilot="B")


async def test_a_relay_that_does_not_close_is_found(side: Side, charging: Charger) -> None:
    side.world.hold("charger", "contactor_closed", False)
    await side.reads(fault=0x0E, contactor_closed=False)
    assert charging.state()["power_w"] == 0
    side.world.release("charger", "contactor_closed")
    await side.reads(fault=0, contactor_closed=True)


async def test_what_is_held_is_what_the_line_says(side: Side, charging: Charger) -> None:
    side.world.hold("charger", "fault", 6)
    await side.reads(fault=6, contactor_closed=False, plugged=True)
    side.world.release("charger", "fault")
    await side.reads(fault=0, contactor_closed=True)
    for letter, fault in (("F", 0), ("E", 5), ("D", 0)):
        side.world.hold("charger", "pilot", letter)
        await side.reads(pilot=letter, fault=fault)
    side.world.hold("charger", "pilot", "Z")
    await side.bad("pilot")


async def test_a_lock_is_driven_and_told(tmp_path: Path) -> None:
    async with side_of(socketed(tmp_path), tmp_path) as side:
        side.open()
        await side.reads(pilot="A", locked=False)
        side.charger.plug(EvSettings())
        await side.write(lock=True)
        await side.reads(locked=True)
        await side.write(lock=False)
        await side.reads(locked=False)
        side.charger.jammed = True
        await side.write(lock=True)
        await asyncio.sleep(1)
        await side.reads(locked=False, plugged=True)


# --- by hand ----------------------------------------------------------------------------------------------------


class Hand:
    """A line that a test speaks on."""

    def __init__(self, port: str) -> None:
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        self._heard = b""

    async def hears(self, wanted: bytes) -> bytes:
        """The first line that begins so; those before it are forgotten."""

        def came() -> bytes | None:
            with contextlib.suppress(BlockingIOError):
                self._heard += os.read(self.fd, 4096)
            *lines, rest = self._heard.split(b"\r")
            for at, one in enumerate(lines):
                if one.startswith(wanted):
                    self._heard = b"\r".join([*lines[at + 1 :], rest])
                    return one
            return None

        found = await until(came, f"{wanted!r}")
        assert found is not None
        return found

    async def asks(self, raw: bytes, answered: bytes) -> bytes:
        """The answer to `raw`, which begins so."""
        os.write(self.fd, raw)
        return await self.hears(answered)


@pytest.fixture
async def hand(silent: Side) -> AsyncIterator[Hand]:
    hand = Hand(silent.port)
    await hand.hears(b"$AT 01 01 16 0200^")
    yield hand
    os.close(hand.fd)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"$GS :1F^5D\r", b"$OK 01 0 01 0200 :1F^"),
        (b"$GS^30\r", b"$OK 01 0 01 0200^"),
        (b"$GS\r", b"$OK 01 0 01 0200^"),  # a checksum may be left out
        (b"\x00\xffnoise$GS :1F^5D\r", b"$OK 01 0 01 0200 :1F^"),
        (b"$GS^31\r", b"$NK^21"),
        (b"$XY :05\r", b"$NK :05^"),
        (b"$SC 33 V\r", b"$NK 16^"),
        (b"$SC 5 V\r", b"$NK 6^"),
        (b"$SC 12 V\r", b"$OK 12^"),
        (b"$SC -1 V\r", b"$NK^21"),
        (b"$SY\r", b"$OK 0 6 0^"),
        (b"$SY 5 8\r", b"$OK 5 8 0^"),
        (b"$SY 164\r", b"$NK 0 6 0^"),
        (b"$S5 1\r", b"$NK^21"),  # it has no lock
        (b"$" + b"G" * 300 + b"\r", b"$NK^21"),
    ],
)
async def test_a_command_gets_the_answer_that_the_protocol_has_for_it(
    hand: Hand, asked: bytes, answered: bytes
) -> None:
    answer = await hand.asks(asked, answered)
    assert line(answer[:-3].decode())[:-1] == answer


async def test_it_tells_what_changes_unasked(silent: Side, hand: Hand) -> None:
    silent.charger.plug(EvSettings(ready=False))
    await hand.hears(b"$AT 02 02 16 0100^")
    silent.charger.change({"ready": True})
    await hand.hears(b"$AT 03 03 16 0140^")
    await hand.asks(b"$FS\r", b"$OK^")
    await hand.hears(b"$AT fe 02 16 0100^")


async def test_missed_signs_of_life_are_refused_until_somebody_owns_up_and_that_offers_the_most(
    silent: Side, hand: Hand
) -> None:
    silent.charger.plug(EvSettings())
    await hand.asks(b"$SC 10 V\r", b"$OK 10^")
    await hand.asks(b"$SY 1 6\r", b"$OK 1 6 0^")
    await hand.hears(b"$AT 03 03 6 0140^")
    assert silent.charger.state()["offered_a"] == 6
    await hand.asks(b"$SY\r", b"$NK 1 6 2^")
    await hand.asks(b"$SY 165\r", b"$OK 1 6 1^")
    assert silent.charger.state()["offered_a"] == 16
