"""The P1 driver, with a meter at the other end of a pseudo-terminal."""

import asyncio
import contextlib
import os
import time
import tty
from pathlib import Path

import pytest
import yaml

from drivers import DriverError, NoAnswer, Quality, Refused, open_bus
from drivers.settings import P1Profile, P1Settings, ProfileDevice
from tests.drivers.seen import Seen, running, until
from tests.drivers.telegrams import DSMR5, telegram

PROFILE = P1Profile.model_validate(
    yaml.safe_load((Path(__file__).parents[2] / "boards/profiles/dsmr-p1.yaml").read_text())
)


class Meter:
    """The far end of the cable."""

    def __init__(self) -> None:
        self.end, self._held = os.openpty()
        tty.setraw(self._held)
        self.port = os.ttyname(self._held)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.end, data) :]

    def unplug(self) -> None:
        os.close(self._held)
        os.close(self.end)
        self.end = -1

    def close(self) -> None:
        if self.end >= 0:
            self.unplug()


@pytest.fixture
def meter():
    meter = Meter()
    yield meter
    meter.close()


def bus_on(port: str, timeout: str = "20s", profile: P1Profile = PROFILE):
    settings = P1Settings.model_validate({"driver": "dsmr-p1", "port": port, "timeout": timeout})
    devices = {"grid": ProfileDevice(bus="p1", profile="meter")}
    return open_bus("p1", settings, devices, {"meter": profile}, time.monotonic)


async def opened(bus) -> None:
    await until(lambda: bus._open)


@contextlib.asynccontextmanager
async def listening(bus):
    """Opening a port drops what waits in it, so that the meter may speak only after that."""
    async with running(bus) as seen:
        await opened(bus)
        yield seen


async def test_a_telegram_becomes_readings_in_standard_units_and_exact(meter):
    async with listening(bus_on(meter.port)) as seen:
        meter.send(telegram("01.234", ("000100.001", "000200.002"), "005"))
        power = await seen.value("grid", "power_import", 1234)
        assert (power.unit, power.quality) == ("W", Quality.GOOD)
        assert seen.last("grid", "energy_import").value == 300_003
        assert seen.last("grid", "voltage_l1").value == 230.1
        assert seen.last("grid", "current_l1").value == 5


async def test_currents_with_decimals_are_kept(meter):
    async with listening(bus_on(meter.port)) as seen:
        meter.send(DSMR5)
        await seen.value("grid", "current_l3", 0.86)


async def test_a_line_that_the_meter_does_not_send_is_bad_and_the_others_are_not(meter):
    async with listening(bus_on(meter.port)) as seen:
        meter.send(telegram())
        bad = await seen.bad("grid", "current_l2")
        assert "1-0:51.7.0" in bad.reason
        assert seen.last("grid", "power_import").quality is Quality.GOOD


async def test_one_damaged_telegram_is_dropped_and_three_in_a_row_turn_the_readings_bad(meter):
    damaged = telegram().replace(b"01.234", b"91.234")
    async with listening(bus_on(meter.port)) as seen:
        meter.send(damaged + damaged + telegram("00.500"))
        await seen.value("grid", "power_import", 500)
        assert seen.values("grid", "power_import") == [500]
        meter.send(damaged * 3)
        bad = await seen.bad("grid", "power_import")
        assert "bad CRC" in bad.reason
        assert 91_234 not in seen.values("grid", "power_import")
        meter.send(telegram("00.600"))
        await seen.value("grid", "power_import", 600)


async def test_a_silent_meter_turns_the_readings_bad_and_comes_back_by_itself(meter):
    async with listening(bus_on(meter.port, timeout="100ms")) as seen:
        bad = await seen.bad("grid", "power_import")
        assert "no telegram" in bad.reason
        meter.send(telegram("00.700"))
        await until(lambda: 700 in seen.values("grid", "power_import"))


async def test_an_unplugged_port_ends_the_bus_with_bad_readings():
    meter = Meter()
    seen, bus = Seen(), bus_on(meter.port)
    task = asyncio.create_task(bus.run(seen))
    await opened(bus)
    meter.unplug()
    with pytest.raises(DriverError, match="unplugged"):
        await task
    assert seen.last("grid", "power_import").quality is Quality.BAD


async def test_the_bus_runs_again_after_it_was_unplugged(tmp_path):
    port = tmp_path / "ttyUSB0"
    meter = Meter()
    port.symlink_to(meter.port)
    bus, seen = bus_on(str(port)), Seen()
    task = asyncio.create_task(bus.run(seen))
    await opened(bus)
    meter.unplug()
    with pytest.raises(DriverError):
        await task
    port.unlink()
    with pytest.raises(DriverError, match="cannot be opened"):
        await bus.run(seen)
    meter = Meter()
    port.symlink_to(meter.port)
    async with listening(bus) as again:
        meter.send(telegram("00.800"))
        await again.value("grid", "power_import", 800)
    meter.close()


async def test_a_port_that_another_program_holds_is_refused(meter):
    first, second = bus_on(meter.port), bus_on(meter.port)
    async with listening(first):
        with pytest.raises(DriverError, match="lock"):
            await second.run(Seen())


async def test_read_waits_for_the_next_telegram(meter):
    bus = bus_on(meter.port)
    async with listening(bus):
        reading = asyncio.create_task(bus.read("grid", "power_import"))
        await until(lambda: bool(bus._waiting))
        meter.send(telegram("00.900"))
        assert (await reading).value == 900


async def test_read_gives_up_when_no_telegram_comes(meter):
    bus = bus_on(meter.port, timeout="50ms")
    async with listening(bus):
        with pytest.raises(NoAnswer, match="no telegram"):
            await bus.read("grid", "power_import")


async def test_read_of_a_closed_port_is_no_answer_and_of_an_unknown_point_refused(meter):
    bus = bus_on(meter.port)
    with pytest.raises(NoAnswer, match="not open"):
        await bus.read("grid", "power_import")
    with pytest.raises(Refused, match="no such point"):
        await bus.read("grid", "nonsense")


async def test_a_write_is_refused(meter):
    with pytest.raises(Refused):
        await bus_on(meter.port).write("grid", "power_import", 1)


async def test_a_text_point_is_read_as_text(meter):
    profile = P1Profile.model_validate(
        {
            "schema": 1,
            "kind": "p1",
            "vendor": "v",
            "model": "m",
            "source": "s",
            "points": {"serial": {"obis": "0-0:96.1.1", "text": True}, "absent": {"obis": "0-0:9.9.9", "text": True}},
        }
    )
    async with listening(bus_on(meter.port, profile=profile)) as seen:
        meter.send(DSMR5)
        await seen.value("grid", "serial", "4B384547303034303436333935353037")
        assert seen.last("grid", "absent").quality is Quality.BAD


def test_a_text_point_cannot_be_a_sum():
    with pytest.raises(ValueError, match="texts cannot be summed"):
        P1Profile.model_validate(
            {
                "schema": 1,
                "kind": "p1",
                "vendor": "v",
                "model": "m",
                "source": "s",
                "points": {"x": {"obis": ["0-0:96.1.1", "0-0:96.1.2"], "text": True}},
            }
        )


def test_a_device_without_a_p1_profile_is_refused_by_name():
    settings = P1Settings.model_validate({"driver": "dsmr-p1", "port": "/dev/null"})
    with pytest.raises(DriverError, match="grid"):
        open_bus("p1", settings, {"grid": ProfileDevice(bus="p1", profile="gone")}, {}, time.monotonic)
