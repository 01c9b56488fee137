"""The sysfs driver on a tree of real files, and on a pipe that hangs."""

import asyncio
import os
import threading
import time

import pytest

from drivers import DriverError, NoAnswer, Quality, Refused, open_bus
from drivers.settings import PwmFan, Sysfs, SysfsSettings
from tests.drivers.seen import PATIENCE, running, until


@pytest.fixture
def tree(tmp_path):
    """Two hwmon chips, the one that a test asks for not being the first, and a 1-wire sensor."""
    for number, name in enumerate(["cpu_thermal", "pwmfan"]):
        chip = tmp_path / f"sys/class/hwmon/hwmon{number}"
        chip.mkdir(parents=True)
        (chip / "name").write_text(f"{name}\n")
        (chip / "temp1_input").write_text(f"{41_000 + number}\n")
        (chip / "pwm1").write_text("127\n")
    sensor = tmp_path / "sys/bus/w1/devices/28-3c01d607a1b2"
    sensor.mkdir(parents=True)
    (sensor / "temperature").write_text("23437\n")
    return tmp_path


W1 = {"file": "/sys/bus/w1/devices/28-3c01d607a1b2/temperature", "scale": 0.001, "unit": "Celsius"}


def bus_on(tree, timeout: str = "10s", name: str = "kernel", **points):
    settings = SysfsSettings.model_validate(
        {"driver": "sysfs", "root": str(tree), "poll": "20ms", "timeout": timeout}
    )
    device = Sysfs.model_validate({"bus": "kernel", "kind": "files", "points": points})
    return open_bus(name, settings, {"cabinet": device}, {}, time.monotonic)


async def test_a_sensor_is_read_exactly_and_again_and_again(tree):
    file = tree / W1["file"].lstrip("/")
    async with running(bus_on(tree, temperature=W1)) as seen:
        reading = await seen.value("cabinet", "temperature", 23.437)
        assert (reading.unit, reading.quality) == ("Celsius", Quality.GOOD)
        file.write_text("-1500\n")
        await seen.value("cabinet", "temperature", -1.5)


async def test_a_chip_is_found_by_its_name_and_not_by_its_number(tree):
    bus = bus_on(tree, temperature={"file": "temp1_input", "hwmon": "pwmfan"})
    assert (await bus.read("cabinet", "temperature")).value == 41_001
    (tree / "sys/class/hwmon/hwmon1").rename(tree / "sys/class/hwmon/hwmon7")
    assert (await bus.read("cabinet", "temperature")).value == 41_001


async def test_two_chips_of_one_name_are_an_error_that_names_both(tree):
    (tree / "sys/class/hwmon/hwmon0/name").write_text("pwmfan\n")
    bus = bus_on(tree, temperature={"file": "temp1_input", "hwmon": "pwmfan"})
    with pytest.raises(NoAnswer, match=r"there are 2.*hwmon0.*hwmon1"):
        await bus.read("cabinet", "temperature")


async def test_a_star_stands_for_the_serial_number_of_the_only_sensor(tree):
    bus = bus_on(tree, temperature={**W1, "file": "sys/bus/w1/devices/28-*/temperature"})
    assert (await bus.read("cabinet", "temperature")).value == 23.437


async def test_a_missing_file_is_bad_and_recovers_by_itself(tree):
    file = tree / W1["file"].lstrip("/")
    async with running(bus_on(tree, temperature=W1)) as seen:
        await seen.value("cabinet", "temperature", 23.437)
        file.unlink()
        bad = await seen.bad("cabinet", "temperature")
        assert bad.reason.endswith("temperature: no such file")
        file.write_text("24000\n")
        await seen.value("cabinet", "temperature", 24)


@pytest.mark.parametrize("text", ["", "garbage", "NaN", "Infinity", "12 34"])
async def test_what_is_no_number_is_bad(tree, text):
    (tree / W1["file"].lstrip("/")).write_text(text)
    with pytest.raises(NoAnswer, match="not a number"):
        await bus_on(tree, temperature=W1).read("cabinet", "temperature")


async def test_the_power_on_value_of_a_sensor_is_no_measurement(tree):
    (tree / W1["file"].lstrip("/")).write_text("85000\n")
    with pytest.raises(NoAnswer, match="no measurement"):
        await bus_on(tree, temperature={**W1, "reject": [85000, -127000]}).read("cabinet", "temperature")


async def test_a_file_that_hangs_turns_bad_alone_and_never_takes_a_second_thread(tree):
    hanging = tree / W1["file"].lstrip("/")
    hanging.unlink()
    os.mkfifo(hanging)
    other = {"file": "temp1_input", "hwmon": "cpu_thermal"}
    bus = bus_on(tree, "1s", "hangs", temperature=W1, other=other)
    try:
        async with running(bus) as seen:
            bad = await seen.bad("cabinet", "temperature")
            assert "hangs" in bad.reason
            seen.forget()
            await until(lambda: len(seen.all("cabinet", "other")) > 5)
            assert {reading.value for reading in seen.all("cabinet", "other")} == {41_000}
            assert "still hangs" in seen.last("cabinet", "temperature").reason
            threads = [thread for thread in threading.enumerate() if thread.name == "sysfs-hangs"]
            assert len(threads) == 2  # the one that hangs, and the one that works
            release(hanging)
            hanging.unlink()
            hanging.write_text("25500\n")
            await seen.value("cabinet", "temperature", 25.5)
    finally:
        if hanging.is_fifo():
            release(hanging)


def release(pipe) -> None:
    """Let a reader that waits for a writer go, empty-handed."""
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


async def test_a_slow_file_does_not_hold_up_the_event_loop(tree):
    slow = tree / W1["file"].lstrip("/")
    slow.unlink()
    os.mkfifo(slow)
    reading = asyncio.create_task(bus_on(tree, f"{PATIENCE:g}s", temperature=W1).read("cabinet", "temperature"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not reading.done()
    # Opening for both ways never blocks, and lets the reader go on.
    with os.fdopen(os.open(slow, os.O_RDWR), "wb", buffering=0) as far_end:
        far_end.write(b"20000\n")
        assert (await reading).value == 20


PWM = {"file": "pwm1", "hwmon": "pwmfan", "scale": 1 / 256, "access": "rw"}


async def test_a_write_puts_the_nearest_whole_number_into_the_file(tree):
    bus = bus_on(tree, duty={**PWM, "scale": 0.0039215686})
    await bus.write("cabinet", "duty", 0.45)
    assert (tree / "sys/class/hwmon/hwmon1/pwm1").read_text() == "115\n"
    assert (await bus.read("cabinet", "duty")).value == pytest.approx(0.45, abs=0.002)


async def test_a_write_never_makes_a_file(tree):
    (tree / "sys/class/hwmon/hwmon1/pwm1").unlink()
    with pytest.raises(NoAnswer, match="no such file"):
        await bus_on(tree, duty=PWM).write("cabinet", "duty", 0.5)
    assert not (tree / "sys/class/hwmon/hwmon1/pwm1").exists()


async def test_a_write_that_the_kernel_does_not_take_is_refused(tree):
    file = tree / "sys/class/hwmon/hwmon1/pwm1"
    file.unlink()
    file.mkdir()
    with pytest.raises(Refused, match="directory"):
        await bus_on(tree, duty=PWM).write("cabinet", "duty", 0.5)


@pytest.mark.parametrize("value", [True, "high", float("nan"), float("inf")])
async def test_a_write_of_what_is_no_number_is_refused(tree, value):
    with pytest.raises(Refused, match="number"):
        await bus_on(tree, duty=PWM).write("cabinet", "duty", value)


async def test_access_is_kept(tree):
    bus = bus_on(tree, temperature=W1, duty={**PWM, "access": "w"})
    with pytest.raises(Refused, match="read only"):
        await bus.write("cabinet", "temperature", 1.0)
    with pytest.raises(Refused, match="not readable"):
        await bus.read("cabinet", "duty")
    with pytest.raises(Refused, match="no such point"):
        await bus.read("cabinet", "nonsense")


async def test_a_point_that_cannot_be_read_is_not_polled(tree):
    async with running(bus_on(tree, temperature=W1, duty={**PWM, "access": "w"})) as seen:
        await until(lambda: len(seen.all("cabinet", "temperature")) > 3)
        assert seen.all("cabinet", "duty") == []


def test_a_scale_of_zero_is_a_mistake():
    with pytest.raises(ValueError, match="scale"):
        Sysfs.model_validate({"bus": "k", "kind": "files", "points": {"x": {"file": "x", "scale": 0}}})


def test_a_device_that_has_no_files_is_refused_by_name():
    settings = SysfsSettings(driver="sysfs")
    fan = PwmFan(bus="kernel", kind="pwm-fan", pwm=18, tacho=24)
    with pytest.raises(DriverError, match="fan"):
        open_bus("kernel", settings, {"fan": fan}, {}, time.monotonic)
