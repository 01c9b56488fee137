"""Control: readings pass unchecked and go stale; Targets are checked, done in hardware, stored, then accepted."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from agent.board.wiring import ReadingBinding, TargetBinding
from agent.control import Control, Readings, along, converted
from agent.model import (
    Attribute,
    AttributeType,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Outcome,
    Problems,
    Variable,
)
from agent.store import StoreError
from drivers import NoAnswer, Quality, Reading, Refused, Sink, Value

FAN = Component("Fan")


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


class ShortBus:
    """The shortest bus there can be: one wire whose far end is `answer`."""

    name = "short"

    def __init__(self) -> None:
        self.writes: list[Value] = []
        self.answer: Callable[[], None] = lambda: None
        self.hang = False

    async def run(self, sink: Sink) -> None:
        await asyncio.Event().wait()

    async def write(self, device: str, point: str, value: Value) -> None:
        if self.hang:
            await asyncio.Event().wait()
        self.answer()
        self.writes.append(value)

    async def read(self, device: str, point: str) -> Reading:
        raise Refused("nothing to read")


class Shelf:
    """Keeps what it is given, or is full."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str] = {}
        self.full = False

    async def save_attributes(self, values: Mapping[tuple[str, str], str]) -> None:
        if self.full:
            raise StoreError("no space left")
        self.values.update(values)


class World:
    """A fan of part 1 §4.3: limits 0..1000, MinSet 200, MaxSet 500, Target; measured by a tacho."""

    def __init__(self) -> None:
        def own(value: float | None) -> Attribute:
            return Attribute(value, Mutability.READ_WRITE, persistent=True)

        self.clock, self.bus, self.shelf, self.model = ManualClock(), ShortBus(), Shelf(), DeviceModel()
        self.speed = self.model.add(
            Variable(
                FAN,
                "FanSpeed",
                Characteristics(DataType.DECIMAL, "RPM", 0, 1000),
                target=own(None),
                min_set=own(200.0),
                max_set=own(500.0),
                max_age=3.0,
            )
        )
        self.problem = self.model.add(
            Variable(FAN, "Problem", Characteristics(DataType.BOOLEAN), Attribute(value=False))
        )
        self.heard: list[tuple[bool, str, str]] = []
        self.problems = Problems(self.model, lambda v, cause, text: self.heard.append((v.actual.value, cause, text)))
        self.readings = Readings({("fan", "rpm"): (ReadingBinding(self.speed),)}, self.problems, self.clock)
        binding = TargetBinding(
            variable=self.speed,
            device="fan",
            point="duty",
            curve=((0.0, 0.0), (1000.0, 1.0)),
            settle=10.0,
            tolerance=0.05,
            closed_loop=True,
        )
        self.control = Control([binding], {"fan": self.bus}, self.problems, self.shelf, self.clock)

    async def set(self, text: str, kind: AttributeType = AttributeType.TARGET, seconds: float = 2.0) -> Outcome:
        return await self.control.set_attribute(self.speed, kind, text, seconds)

    def measure(self, rpm: float) -> None:
        self.readings.take("fan", "rpm", Reading(rpm, "RPM", self.clock.seconds))

    def target(self) -> object:
        return self.speed.value(AttributeType.TARGET)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.requirement("B05.FR.08")
async def test_target_above_max_set_is_rejected_before_the_fan_moves(world: World) -> None:
    assert (await world.set("600")).code == "ValueTooHigh"
    assert world.bus.writes == [] and world.target() is None and world.shelf.values == {}


@pytest.mark.requirement("B05.FR.10")
async def test_target_at_max_set_is_accepted_after_the_hardware_has_it(world: World) -> None:
    assert await world.set("500") == Outcome("Accepted")
    assert world.bus.writes == [0.5]
    assert world.target() == 500.0
    assert world.shelf.values == {("Fan.FanSpeed", "Target"): "500"}


@pytest.mark.parametrize("rpm", [502.0, 1002.0, -3.0])
async def test_what_was_measured_is_reported_as_measured(world: World, rpm: float) -> None:
    world.measure(rpm)
    assert world.speed.actual.value == rpm


@pytest.mark.requirement("B05.FR.09")
async def test_refused_by_the_hardware_means_rejected_and_the_old_target_stays(world: World) -> None:
    await world.set("300")

    def refuse() -> None:
        raise Refused("fan: illegal value")

    world.bus.answer = refuse
    outcome = await world.set("400")
    assert (outcome.status, outcome.code) == ("Rejected", "InternalError")
    assert world.target() == 300.0 and world.problem.actual.value is False


async def test_no_answer_means_rejected_then_the_old_target_is_restored(world: World) -> None:
    await world.set("300")

    def silent() -> None:
        raise NoAnswer("fan: no answer")

    world.bus.answer = silent
    assert (await world.set("400")).status == "Rejected"
    assert world.problem.actual.value is True
    await world.control.step()
    assert world.problem.actual.value is True
    world.bus.answer = lambda: None
    await world.control.step()
    assert world.bus.writes[-1] == 0.3 and world.problem.actual.value is False


async def test_a_hardware_that_hangs_is_rejected_within_the_deadline(world: World) -> None:
    await world.set("300")
    world.bus.hang = True
    outcome = await world.set("400", seconds=0.05)
    assert outcome.status == "Rejected" and "not answer" in outcome.info
    assert world.target() == 300.0 and world.problem.actual.value is True


async def test_a_value_that_cannot_be_stored_is_rejected_and_undone_in_hardware(world: World) -> None:
    await world.set("300")
    world.shelf.full = True
    assert (await world.set("400")).code == "OutOfStorage"
    assert world.target() == 300.0
    await world.control.step()
    assert world.bus.writes == [0.3, 0.4, 0.3]


async def test_a_lower_max_set_moves_the_target_with_it_in_hardware_too(world: World) -> None:
    await world.set("450")
    outcome = await world.set("400", AttributeType.MAX_SET)
    assert outcome == Outcome("Accepted", "NoError", "Target moved to 400")
    assert world.bus.writes == [0.45, 0.4] and world.target() == 400.0
    assert world.shelf.values == {("Fan.FanSpeed", "Target"): "400", ("Fan.FanSpeed", "MaxSet"): "400"}


async def test_min_set_above_max_set_is_rejected(world: World) -> None:
    assert (await world.set("501", AttributeType.MIN_SET)).code == "ValueTooHigh"
    assert (await world.set("199", AttributeType.MAX_SET)).code == "ValueTooLow"


async def test_an_old_reading_is_unset_with_a_problem_and_comes_back_by_itself(world: World) -> None:
    world.measure(450)
    world.readings.take("fan", "rpm", Reading(None, "RPM", 0.0, Quality.BAD, "no answer"))
    world.clock.seconds += 2.9
    world.readings.sweep()
    assert world.speed.actual.value == 450
    world.clock.seconds += 0.2
    world.readings.sweep()
    assert world.speed.actual.text() == "" and world.problem.actual.value is True
    assert world.heard == [(True, "stale FanSpeed", "FanSpeed not read for 3.1 s: no answer")]
    world.measure(455)
    assert world.speed.actual.value == 455 and world.problem.actual.value is False


async def test_a_device_that_never_spoke_is_a_problem_too(world: World) -> None:
    world.clock.seconds += 3.1
    world.readings.sweep()
    assert world.problem.actual.value is True


async def test_a_device_that_returns_is_told_its_target_again(world: World) -> None:
    await world.set("300")
    world.readings.on_return = world.control.device_returned
    world.readings.take("fan", "rpm", Reading(None, "RPM", 0.0, Quality.BAD, "no answer"))
    world.measure(0)
    await world.control.step()
    assert world.bus.writes == [0.3, 0.3]


async def test_an_actual_that_does_not_follow_is_corrected_and_reported(world: World) -> None:
    await world.set("400")
    world.measure(300)
    world.clock.seconds += 5
    await world.control.step()
    assert world.bus.writes == [0.4] and world.problem.actual.value is False
    world.clock.seconds += 6
    await world.control.step()
    assert world.problem.actual.value is True and world.bus.writes[-1] == pytest.approx(0.41)
    for _ in range(100):
        await world.control.step()
    assert world.bus.writes[-1] == pytest.approx(0.65)  # a quarter of the curve above, and no further
    world.measure(395)
    await world.control.step()
    assert world.problem.actual.value is False


async def test_stored_targets_are_applied_in_one_bounded_attempt(world: World) -> None:
    world.speed.attributes[AttributeType.TARGET].value = 450.0

    def silent() -> None:
        world.clock.seconds += 1.0
        raise NoAnswer("fan: no answer")

    world.bus.answer = silent
    await world.control.apply_all(2.0)
    assert world.bus.writes == [] and world.problem.actual.value is True
    world.bus.answer = lambda: None
    await world.control.step()
    assert world.bus.writes == [0.45] and world.problem.actual.value is False


async def test_a_setting_is_stored_and_takes_effect_at_once(world: World) -> None:
    setting = world.model.add(
        Variable(
            Component("OCPPCommCtrlr"),
            "OfflineThreshold",
            Characteristics(DataType.INTEGER, "s", 0),
            Attribute(60, Mutability.READ_WRITE, persistent=True),
        )
    )
    taken: list[str] = []
    world.control.after_save[setting] = taken.append
    assert (await world.control.set_attribute(setting, AttributeType.ACTUAL, "-1", 1)).code == "ValueTooLow"
    assert await world.control.set_attribute(setting, AttributeType.ACTUAL, "90", 1) == Outcome("Accepted")
    assert setting.actual.value == 90 and taken == ["90"]
    assert world.shelf.values == {("OCPPCommCtrlr.OfflineThreshold", "Actual"): "90"}


def test_a_curve_is_held_at_its_ends() -> None:
    curve = ((100.0, 0.2), (200.0, 0.4), (400.0, 1.0))
    assert [along(curve, x) for x in (0, 100, 150, 300, 999)] == pytest.approx([0.2, 0.2, 0.3, 0.7, 1.0])


def test_units_are_converted_without_noise(world: World) -> None:
    assert converted(ReadingBinding(world.speed, factor=1000.0), 1.1) == 1100.0
    assert converted(ReadingBinding(world.speed, factor=0.001), 1234.5) == 1.2345
    assert converted(ReadingBinding(world.problem, invert=True), True) is False


async def test_a_device_with_one_point_that_is_never_had_still_returns(world: World) -> None:
    """As a register that this model of a meter has not got: it must not hide that the device went and came."""
    returned: list[str] = []
    world.readings.on_return = returned.append
    bad = Reading(None, "RPM", 0.0, Quality.BAD, "not supported")
    world.measure(300)
    world.readings.take("fan", "torque", bad)
    world.measure(300)
    assert returned == []
    world.readings.take("fan", "rpm", bad)
    assert returned == []
    world.measure(300)
    world.measure(300)
    assert returned == ["fan"]


async def test_a_device_without_bound_points_returns_too(world: World) -> None:
    returned: list[str] = []
    world.readings.on_return = returned.append
    world.readings.take("pump", "mode", Reading(None, "", 0.0, Quality.BAD, "no answer"))
    world.readings.take("pump", "mode", Reading(1, "", 0.0))
    assert returned == ["pump"]


async def test_the_reason_of_a_lost_bus_is_the_problems_text_and_its_return_is_heard(world: World) -> None:
    returned: list[str] = []
    world.readings.on_return = returned.append
    world.readings.lost("fan", "rs485: no such port")
    world.clock.seconds += 3.1
    world.readings.sweep()
    assert world.heard == [(True, "stale FanSpeed", "FanSpeed not read for 3.1 s: rs485: no such port")]
    world.measure(300)
    assert returned == ["fan"] and world.problem.actual.value is False


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf")])
async def test_what_is_no_number_is_no_reading(world: World, nonsense: float) -> None:
    world.measure(450)
    world.clock.seconds += 3.1
    world.measure(nonsense)
    world.readings.sweep()
    assert world.speed.actual.value is None
    assert world.heard == [(True, "stale FanSpeed", "FanSpeed not read for 3.1 s: not a number")]


async def test_a_drivers_mistake_is_a_problem_of_its_component_and_nobody_elses(world: World) -> None:
    await world.set("300")

    def stumble() -> None:
        world.clock.seconds += 1.0
        raise KeyError("duty")

    world.bus.answer = stumble
    outcome = await world.set("400")
    assert outcome.status == "Rejected" and "a mistake in its driver" in outcome.info
    await world.control.step()
    await world.control.apply_all(0.01)
    assert world.problem.actual.value is True and world.target() == 300.0
    world.bus.answer = lambda: None
    await world.control.step()
    assert world.problem.actual.value is False


async def test_no_correction_drives_hardware_beyond_the_limits(world: World) -> None:
    await world.set("1000", AttributeType.MAX_SET)
    await world.set("1000")
    world.measure(700)
    for _ in range(100):
        world.clock.seconds += 11
        await world.control.step()
    assert max(value for value in world.bus.writes if isinstance(value, float)) == 1.0


async def test_small_corrections_add_up_until_they_are_worth_a_write(world: World) -> None:
    await world.set("200")
    world.measure(189)
    world.clock.seconds += 11
    await world.control.step()
    assert world.bus.writes == [0.2]
    await world.control.step()
    assert world.bus.writes == [0.2, pytest.approx(0.2022)]


async def test_a_disturbance_has_the_declared_time_before_it_is_a_problem(world: World) -> None:
    await world.set("400")
    world.clock.seconds += 60
    world.measure(400)
    await world.control.step()
    world.measure(300)
    world.clock.seconds += 9
    await world.control.step()
    assert world.problem.actual.value is False and world.bus.writes == [0.4]
    world.clock.seconds += 2
    await world.control.step()
    assert world.problem.actual.value is True


async def test_a_fan_that_stands_at_target_zero_may_tremble(world: World) -> None:
    await world.set("0", AttributeType.MIN_SET)
    await world.set("0")
    world.clock.seconds += 60
    world.measure(4)
    await world.control.step()
    assert world.problem.actual.value is False
    world.measure(40)
    world.clock.seconds += 11
    await world.control.step()
    assert world.problem.actual.value is True


async def test_a_setting_that_waited_is_judged_by_the_limits_of_then(world: World) -> None:
    await world.set("300")
    world.bus.hang = True
    first = asyncio.create_task(world.set("250", AttributeType.MAX_SET, seconds=0.2))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(world.set("400", seconds=5))
    await asyncio.sleep(0.01)
    world.speed.attributes[AttributeType.MAX_SET].value = 350.0
    assert (await first).status == "Rejected"
    world.bus.hang = False
    assert (await waiting).code == "ValueTooHigh"


async def test_one_target_that_hangs_does_not_stop_the_retry_of_another(world: World) -> None:
    other, bus = World(), ShortBus()
    other.speed.attributes[AttributeType.TARGET].value = 300.0
    world.speed.attributes[AttributeType.TARGET].value = 300.0
    world.bus.hang = True
    bindings = [
        TargetBinding(one.speed, name, "duty", ((0.0, 0.0), (1000.0, 1.0)), 10.0, 0.05, closed_loop=False)
        for name, one in (("stuck", world), ("free", other))
    ]
    control = Control(bindings, {"stuck": world.bus, "free": bus}, world.problems, world.shelf, world.clock)
    control.device_returned("stuck")
    control.device_returned("free")
    step = asyncio.create_task(control.step())
    await asyncio.sleep(0.01)
    assert bus.writes == [0.3]
    step.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await step


async def test_a_limit_moves_an_integer_target_to_an_integer(world: World) -> None:
    def own(value: int | None) -> Attribute:
        return Attribute(value, Mutability.READ_WRITE, persistent=True)

    steps = world.model.add(
        Variable(
            FAN, "Step", Characteristics(DataType.INTEGER, None, 0, 10), target=own(8), min_set=own(0), max_set=own(9)
        )
    )
    binding = TargetBinding(steps, "fan", "step", None, 10.0, 0.05, closed_loop=False)
    control = Control([binding], {"fan": world.bus}, world.problems, world.shelf, world.clock)
    outcome = await control.set_attribute(steps, AttributeType.MAX_SET, "5", 1.0)
    assert outcome == Outcome("Accepted", "NoError", "Target moved to 5")
    assert repr(steps.value(AttributeType.TARGET)) == "5" and world.bus.writes == [5.0]
    assert world.shelf.values["Fan.Step", "Target"] == "5"
    assert (await control.set_attribute(steps, AttributeType.TARGET, "4.5", 1.0)).code == "InvalidValue"
