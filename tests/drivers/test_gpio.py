"""The GPIO driver on the pins of a bench: gpiozero, threads and a Unix socket are the real ones."""

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import pytest

from drivers import DriverError, NoAnswer, Quality, Refused, open_bus
from drivers.gpio_link import LinkServer
from drivers.gpio_parts import Slot
from drivers.settings import GpioSettings, Pins, PwmFan, Sysfs
from tests.drivers.seen import Seen, running, until


class Wiring(LinkServer):
    """A bench that writes down what the agent does to its outputs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, self._output, self._released)
        self.outputs: dict[int, list[float | None]] = {}

    def _output(self, pin: int, value: float) -> None:
        self.outputs.setdefault(pin, []).append(value)

    def _released(self, pin: int) -> None:
        self.outputs[pin].append(None)


@pytest.fixture
async def bench(tmp_path):
    wiring = Wiring(tmp_path / "pins")
    await wiring.start()
    yield wiring
    await wiring.close()


def bus_on(bench, *, fan: dict | None = None, **points):
    settings = GpioSettings.model_validate({"driver": "gpio", "factory": "link", "socket": bench.path})
    devices = {}
    if fan is not None:
        devices["fan"] = PwmFan.model_validate({"bus": "pins", "kind": "pwm-fan", **fan})
    if points:
        devices["rcd"] = Pins.model_validate({"bus": "pins", "kind": "pins", "points": points})
    return open_bus("pins", settings, devices, {}, time.monotonic)


FAN = {"pwm": 18, "tacho": 24}


# --- inputs -------------------------------------------------------------------------------------------------------


async def test_the_first_reading_is_the_level_that_the_bench_had_before(bench):
    bench.set_level(5, 1)
    async with running(bus_on(bench, tripped={"input": 5}, test={"input": 6})) as seen:
        await seen.until("rcd", "test", lambda _: True)
        assert seen.values("rcd", "tripped")[0] is True
        assert seen.values("rcd", "test")[0] is False


async def test_an_edge_is_seen_at_once_and_the_level_again_and_again(bench):
    async with running(bus_on(bench, tripped={"input": 5})) as seen:
        await seen.value("rcd", "tripped", False)
        bench.set_level(5, 1)
        await seen.value("rcd", "tripped", True)
        count = len(seen.all("rcd", "tripped"))
        await until(lambda: len(seen.all("rcd", "tripped")) >= count + 3)
        times = [reading.time for reading in seen.all("rcd", "tripped")]
        assert times == sorted(times)


async def test_an_active_low_input_is_true_when_its_level_is_low(bench):
    bench.set_level(5, 0)
    async with running(bus_on(bench, tripped={"input": 5, "active": "low"})) as seen:
        await seen.value("rcd", "tripped", True)
        bench.set_level(5, 1)
        await seen.value("rcd", "tripped", False)


async def test_the_pull_decides_where_nothing_drives_the_pin_and_gives_way_where_something_does(bench):
    bench.set_level(7, 0)
    points = {
        "up": {"input": 5, "pull": "up"},
        "down": {"input": 6, "pull": "down"},
        "driven": {"input": 7, "pull": "up"},
    }
    async with running(bus_on(bench, **points)) as seen:
        await seen.until("rcd", "driven", lambda _: True)
        assert [seen.values("rcd", point)[0] for point in points] == [True, False, False]
        bench.set_level(7, None)
        await seen.value("rcd", "driven", True)


async def test_a_pulse_shorter_than_the_event_loop_is_not_lost(bench):
    async with running(bus_on(bench, pressed={"input": 5})) as seen:
        await seen.value("rcd", "pressed", False)
        seen.forget()
        bench.set_level(5, 1)
        bench.set_level(5, 0)
        await until(lambda: True in seen.values("rcd", "pressed"))
        await seen.value("rcd", "pressed", False)


async def test_a_bouncing_input_counts_once_it_stands_still(bench):
    async with running(bus_on(bench, tripped={"input": 5, "debounce": "400ms"})) as seen:
        await seen.value("rcd", "tripped", False)
        for _ in range(6):
            bench.set_level(5, 1)
            await asyncio.sleep(0.005)
            bench.set_level(5, 0)
        bench.set_level(5, 1)
        await seen.value("rcd", "tripped", True)
        values = seen.values("rcd", "tripped")
        assert values == sorted(values)


async def test_noise_on_an_input_is_no_level(bench):
    async with running(bus_on(bench, tripped={"input": 5, "debounce": "5ms"})) as seen:
        await seen.value("rcd", "tripped", False)
        seen.forget()
        bench.set_noise(5, 333)
        await asyncio.sleep(1.5)
        assert True not in seen.values("rcd", "tripped")
        bench.set_noise(5, 0)
        bench.set_level(5, 1)
        await seen.value("rcd", "tripped", True)


async def test_an_input_cannot_be_written(bench):
    bus = bus_on(bench, tripped={"input": 5})
    async with running(bus) as seen:
        await seen.value("rcd", "tripped", False)
        with pytest.raises(Refused, match="input"):
            await bus.write("rcd", "tripped", True)


async def test_a_storm_of_edges_leaves_one_call_pending():
    woken = []
    loop = asyncio.get_running_loop()
    slot = Slot(loop, lambda: woken.append(slot.take()), time.monotonic)

    def storm() -> None:
        for edge in range(10_000):
            slot.edge(0.0, edge % 2)

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # the loop stands still meanwhile, and nothing is taken
    assert woken == []
    await asyncio.sleep(0)
    assert [(state, edges) for state, edges, _ in woken] == [(True, 40_000)]


# --- outputs ------------------------------------------------------------------------------------------------------


async def test_an_output_is_safe_from_the_first_moment_and_again_at_the_end(bench):
    bus = bus_on(bench, a={"output": 20}, b={"output": 21, "active": "low"}, c={"output": 22, "safe": True})
    async with running(bus) as seen:
        await seen.value("rcd", "c", True)
        await until(lambda: len(bench.outputs) == 3)
        assert bench.outputs == {20: [0], 21: [1], 22: [1]}
        await bus.write("rcd", "a", True)
        await bus.write("rcd", "b", True)
        await bus.write("rcd", "c", False)
        await seen.value("rcd", "a", True)
    await until(lambda: all(written[-1] is None for written in bench.outputs.values()))
    assert bench.outputs == {20: [0, 1, 0, None], 21: [1, 0, 1, None], 22: [1, 0, 1, None]}


async def test_an_output_reads_back_what_was_written(bench):
    bus = bus_on(bench, lock={"output": 20})
    async with running(bus) as seen:
        await seen.value("rcd", "lock", False)
        await bus.write("rcd", "lock", True)
        assert (await bus.read("rcd", "lock")).value is True
        assert seen.last("rcd", "lock").value is True


async def test_a_pulse_ends_by_itself(bench):
    bus = bus_on(bench, test={"output": 20, "pulse": "50ms"})
    async with running(bus) as seen:
        await seen.value("rcd", "test", False)
        await bus.write("rcd", "test", True)
        assert seen.last("rcd", "test").value is True
        await until(lambda: bench.outputs.get(20) == [0, 1, 0])
        await seen.value("rcd", "test", False)


async def test_an_output_takes_nothing_but_true_and_false(bench):
    bus = bus_on(bench, lock={"output": 20})
    async with running(bus) as seen:
        await seen.value("rcd", "lock", False)
        with pytest.raises(Refused, match="true or false"):
            await bus.write("rcd", "lock", 1)
        assert bench.outputs == {20: [0]}


# --- fans ---------------------------------------------------------------------------------------------------------


async def test_a_duty_reaches_the_pin_and_is_read_back(bench):
    bus = bus_on(bench, fan={**FAN, "initial_duty": 0.2, "exit_duty": 0.3})
    async with running(bus) as seen:
        await seen.value("fan", "duty", 0.2)
        await bus.write("fan", "duty", 0.45)
        await bus.write("fan", "duty", 0.45)
        assert (await bus.read("fan", "duty")).value == 0.45
    await until(lambda: bench.outputs[18][-1] is None)
    assert bench.outputs[18] == [0.2, 0.45, 0.45, 0.3, None]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "0.5"])
async def test_a_duty_outside_zero_to_one_is_refused_before_the_fan_moves(bench, value):
    bus = bus_on(bench, fan=FAN)
    async with running(bus) as seen:
        await seen.value("fan", "duty", 0)
        with pytest.raises(Refused, match="from 0 to 1"):
            await bus.write("fan", "duty", value)
        assert bench.outputs == {18: [0]}


async def test_the_speed_of_a_fan_comes_from_the_edges_of_its_tacho(bench):
    async with running(bus_on(bench, fan=FAN)) as seen:
        bench.set_tacho(24, 502 * 2 / 60)
        reading = await seen.until("fan", "rpm", lambda reading: abs(reading.value - 502) <= 1)
        assert (reading.unit, reading.quality) == ("RPM", Quality.GOOD)
        bench.set_tacho(24, 1000 * 2 / 60)
        await seen.until("fan", "rpm", lambda reading: abs(reading.value - 1000) <= 2)
        bench.set_tacho(24, 0)
        await seen.value("fan", "rpm", 0)


async def test_a_fan_that_never_turned_reads_zero_and_not_before_two_seconds(bench):
    bus = bus_on(bench, fan=FAN)
    async with running(bus) as seen:
        await seen.value("fan", "duty", 0)
        with pytest.raises(NoAnswer, match="not known yet"):
            await bus.read("fan", "rpm")
        await seen.value("fan", "rpm", 0)
        with pytest.raises(Refused, match="read only"):
            await bus.write("fan", "rpm", 500)


# --- the link -----------------------------------------------------------------------------------------------------


async def test_a_bench_that_goes_away_ends_the_bus_with_bad_readings_and_it_runs_again(bench):
    bench.set_level(5, 1)
    bus, seen = bus_on(bench, tripped={"input": 5}, lock={"output": 20}), Seen()
    task = asyncio.create_task(bus.run(seen))
    await seen.value("rcd", "tripped", True)
    await bench.close()
    with pytest.raises(DriverError, match="hung up"):
        await task
    assert {seen.last("rcd", point).quality for point in ("tripped", "lock")} == {Quality.BAD}
    with pytest.raises(NoAnswer, match="not open"):
        await bus.write("rcd", "lock", True)
    bench.set_level(5, 0)
    await bench.start()
    async with running(bus) as again:
        await again.value("rcd", "tripped", False)
        assert True not in again.values("rcd", "tripped")


async def test_without_a_bench_the_pins_cannot_be_opened(tmp_path):
    settings = GpioSettings.model_validate({"driver": "gpio", "factory": "link", "socket": str(tmp_path / "none")})
    device = Pins.model_validate({"bus": "pins", "kind": "pins", "points": {"x": {"input": 5}}})
    with pytest.raises(DriverError, match="no bench answers"):
        await open_bus("pins", settings, {"rcd": device}, {}, time.monotonic).run(Seen())


async def test_an_agent_that_dies_lets_its_outputs_go_and_a_new_one_takes_over(bench):
    reader, writer = await asyncio.open_unix_connection(bench.path)
    writer.write(b'{"hello":{"inputs":[5],"outputs":[20]}}\n{"pin":20,"function":"output"}\n{"pin":20,"value":1}\n')
    assert await reader.readline() == b'{"pin":5,"level":null}\n'
    assert await reader.readline() == b'{"ready":true}\n'
    await until(lambda: bench.outputs == {20: [1]})
    writer.transport.abort()
    await until(lambda: bench.outputs == {20: [1, None]})
    async with running(bus_on(bench, lock={"output": 20})) as seen:
        await seen.value("rcd", "lock", False)
        await until(lambda: bench.outputs == {20: [1, None, 0]})


async def test_nonsense_on_the_link_ends_the_bus(tmp_path):
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"pin":5,"level":1}\n{"ready":true}\nnonsense\n')
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    class Path:
        path = str(tmp_path / "pins")

    server = await asyncio.start_unix_server(nonsense, Path.path)
    with pytest.raises(DriverError, match="bench's pins"):
        await bus_on(Path, tripped={"input": 5}).run(Seen())
    server.close()


async def test_a_run_that_is_cancelled_while_it_opens_leaves_no_pin_behind(tmp_path):
    released = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await asyncio.sleep(0.1)
        writer.write(b'{"ready":true}\n')
        with contextlib.suppress(OSError):
            while await reader.readline():
                pass
        writer.close()
        released.set()

    class Path:
        path = str(tmp_path / "pins")

    server = await asyncio.start_unix_server(slow, Path.path)
    task = asyncio.create_task(bus_on(Path, lock={"output": 20}).run(Seen()))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20):
        await released.wait()
    server.close()


# --- settings -----------------------------------------------------------------------------------------------------


async def test_real_pins_that_cannot_be_had_are_an_error_and_never_other_pins():
    settings = GpioSettings.model_validate({"driver": "gpio", "chip": 255})
    device = Pins.model_validate({"bus": "pins", "kind": "pins", "points": {"x": {"input": 5}}})
    here = Path.cwd()
    with pytest.raises(DriverError, match="pins"):
        await open_bus("pins", settings, {"rcd": device}, {}, time.monotonic).run(Seen())
    assert Path.cwd() == here


async def test_a_pin_that_the_computer_does_not_have_is_named(bench):
    with pytest.raises(DriverError, match="40"):
        await bus_on(bench, x={"input": 40}).run(Seen())


def test_a_pin_that_two_points_want_is_named_with_both(bench):
    with pytest.raises(DriverError, match=r"GPIO18 is used by fan\.duty and by rcd\.x"):
        bus_on(bench, fan=FAN, x={"output": 18})


async def test_an_unknown_point_is_refused(bench):
    with pytest.raises(Refused, match="no such point"):
        await bus_on(bench, x={"input": 5}).read("rcd", "y")


def test_a_device_that_has_no_pins_is_refused_by_name():
    settings = GpioSettings.model_validate({"driver": "gpio"})
    with pytest.raises(DriverError, match="cabinet"):
        open_bus("pins", settings, {"cabinet": Sysfs(bus="pins", kind="files", points={})}, {}, time.monotonic)
