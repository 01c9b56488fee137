"""When the computer's state is a problem of a component: begins, ends, and what lies between."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.computer import MAX_AGE
from agent.computer.kernel import Room
from agent.computer.storage import DISK
from agent.computer.thresholds import DEFAULTS, Watch
from agent.model import Value
from tests.computer.parts import DISK as DEVICE
from tests.computer.parts import GIB, Machine, until, write


class Running:
    """A machine whose computer polls, as fast as it can."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    async def settle(self, seconds: float = 0.0) -> None:
        """See what is there now, then move the clock by `seconds`, in steps of which each is read."""
        await self.machine.fresh()
        steps = int(seconds // 5)
        for _ in range(steps):
            self.machine.clock.seconds += seconds / steps
            await self.machine.fresh()


@pytest.fixture
async def pi(tmp_path: Path) -> AsyncIterator[Running]:
    machine = Machine(tmp_path)
    machine.start(poll=0.005)
    task = asyncio.create_task(machine.computer.run(machine.problems))
    yield Running(machine)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_sound_computer_has_no_problem(pi: Running) -> None:
    await pi.settle(120)
    assert pi.machine.turned == []


async def test_a_full_disk_is_a_problem_until_there_is_room_again(pi: Running) -> None:
    # The total is that of the start; a disk does not grow.
    total = pi.machine.text("Disk.Total")
    assert total == str(32 * GIB)
    pi.machine.kernel.disk = Room(32 * GIB, int(32 * GIB * 0.04), DEVICE)
    await pi.settle()
    assert pi.machine.turned == [("Disk", True, "4 % of the disk with the state directory are free")]
    pi.machine.kernel.disk = Room(32 * GIB, int(32 * GIB * 0.06), DEVICE)
    await pi.settle(60)
    assert pi.machine.text("Disk.Problem") == "true"
    pi.machine.kernel.disk = Room(32 * GIB, int(32 * GIB * 0.08), DEVICE)
    await pi.settle()
    assert pi.machine.turned[1:] == [("Disk", False, "disk")]


async def test_a_moments_need_of_memory_is_none_but_a_lasting_one_is(tmp_path: Path, pi: Running) -> None:
    total = 3885396
    low = {"proc/meminfo": f"MemTotal: {total} kB\nMemAvailable: {total // 20} kB\n"}
    high = {"proc/meminfo": f"MemTotal: {total} kB\nMemAvailable: {total // 2} kB\n"}
    write(tmp_path, low)
    await pi.settle(15)
    write(tmp_path, high)
    await pi.settle(15)
    assert pi.machine.turned == []
    write(tmp_path, low)
    await pi.settle(30)
    assert pi.machine.turned == [("Memory", True, "5 % of the memory are free")]
    write(tmp_path, high)
    await pi.settle()
    assert pi.machine.turned[1:] == [("Memory", False, "memory")]


async def test_a_hot_processor_is_a_problem_until_it_is_well_below(tmp_path: Path, pi: Running) -> None:
    async def at(degrees: int) -> None:
        write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": f"{degrees * 1000}\n"})
        await pi.settle()

    for degrees in (80, 81, 79, 82, 76, 74, 79):
        await at(degrees)
    assert pi.machine.turned == [
        ("Controller", True, "the processor is at 81 Celsius"),
        ("Controller", False, "temperature"),
    ]


async def test_dips_of_the_supply_are_one_problem(tmp_path: Path, pi: Running) -> None:
    async def bits(content: str, seconds: float) -> None:
        write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": f"{content}\n"})
        await pi.settle(seconds)

    for _ in range(3):
        await bits("50005", 5)
        await bits("50000", 40)
    assert pi.machine.turned == [("ELVSupply", True, "the supply's voltage is too low")]
    await bits("50000", 40)
    assert pi.machine.turned[1:] == [("ELVSupply", False, "under-voltage")]


async def test_a_clock_that_nobody_sets_is_a_problem_until_the_csms_does(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    good = machine.clock.wall
    machine.clock.wall = good.replace(year=1970)
    machine.start(poll=0.005)
    task = asyncio.create_task(machine.computer.run(machine.problems))
    running = Running(machine)
    await running.settle(10)
    assert machine.turned == []
    await running.settle(20)
    assert machine.turned == [("ClockCtrlr", True, "the clock was never set")]
    machine.clock.wall = good
    await running.settle()
    assert machine.turned[1:] == [("ClockCtrlr", False, "clock not set")]
    task.cancel()


async def test_a_file_that_hangs_blocks_nobody_and_is_told(tmp_path: Path) -> None:
    """A FIFO without a writer is a file whose opening hangs, like one on a disk that is gone."""
    machine = Machine(tmp_path)
    machine.start(poll=0.005)
    running = Running(machine)
    task = asyncio.create_task(machine.computer.run(machine.problems))
    await running.settle()
    path = tmp_path / "proc/loadavg"
    path.unlink()
    os.mkfifo(path)
    before = threading.active_count()
    machine.clock.seconds += MAX_AGE + 1
    await until(lambda: bool(machine.turned))
    assert machine.turned == [("Controller", True, "the computer's own state not read for 31 s")]
    assert machine.text("Controller.Temperature") == machine.text("Memory.Free") == ""
    assert machine.text("Controller.Model").startswith("Raspberry")  # a constant has no age
    await asyncio.sleep(0.05)  # many polls later there is still the one thread
    assert threading.active_count() <= before + 1
    path.rename(tmp_path / "aside")  # the next reading finds an ordinary file
    write(tmp_path, {"proc/loadavg": "0.50 0.40 0.30 1/2 3\n"})
    (tmp_path / "aside").open("w").close()  # the reader comes back
    await until(lambda: len(machine.turned) == 2)
    assert machine.turned[1][:2] == ("Controller", False)
    await until(lambda: machine.text("Controller.Load[1min]") == "0.5")
    task.cancel()


async def test_one_value_that_cannot_be_read_goes_stale_alone(tmp_path: Path, pi: Running) -> None:
    await pi.settle()
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_text("")
    await pi.settle(MAX_AGE - 5)
    assert pi.machine.text("Controller.Temperature") == "52.582"
    await pi.settle(10)
    assert pi.machine.text("Controller.Temperature") == ""
    assert pi.machine.text("Controller.Uptime") == "86461.27"
    assert pi.machine.turned == []


async def test_a_mistake_in_a_reading_ends_nothing(pi: Running, caplog: pytest.LogCaptureFixture) -> None:
    def mistake(interface: str) -> str | None:
        raise ZeroDivisionError

    await pi.settle()
    pi.machine.kernel.address = mistake  # type: ignore[method-assign]
    pi.machine.clock.seconds += MAX_AGE + 1
    await until(lambda: bool(pi.machine.turned))
    del pi.machine.kernel.address
    await pi.settle()
    assert [state for _, state, _ in pi.machine.turned] == [True, False]
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1


# --- the judgement alone ------------------------------------------------------------------------------------------

FREE = next(one for one in DEFAULTS if one.component is DISK)


@given(st.lists(st.floats(min_value=5.0, max_value=7.0)))
def test_noise_between_the_limits_changes_nothing(noise: list[float]) -> None:
    for stands in (False, True):
        watch = Watch()
        if stands:
            assert watch.step(FREE, 1.0, 0.0)
        texts = [watch.step(FREE, value, 1.0 + at) for at, value in enumerate(noise)]
        assert all(bool(text) is stands for text in texts)


@given(st.sampled_from(DEFAULTS), st.lists(st.one_of(st.none(), st.booleans(), st.floats(0, 100))))
def test_begins_and_ends_alternate_whatever_is_read(threshold, values: list[Value | None]) -> None:  # type: ignore[no-untyped-def]
    watch, stands = Watch(), False
    for at, value in enumerate(values):
        text = watch.step(threshold, value, at * 10.0)
        if text == "":
            assert stands
            stands = False
        elif text is not None:
            stands = True
        elif value is not None:
            assert not stands


def test_no_default_is_bad_and_good_at_once() -> None:
    for threshold in DEFAULTS:
        for value in (True, False, *range(101)):
            assert not (threshold.bad(value) and threshold.good(value))
