"""Between the wires and the Device Model: readings become Actuals, Targets become writes.

Readings pass unchecked; each measured variable goes stale past its `max_age` and comes back with the first good
reading. A Target is checked, handed to the hardware, acknowledged by it and stored before it is accepted.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Protocol

from agent.board.wiring import ReadingBinding, TargetBinding
from agent.clock import Clock
from agent.model import AttributeType, Outcome, Problems, Refusal, Value, Variable, check, nearest, to_text
from agent.model.values import DataType
from agent.store import StoreError
from drivers import Bus, DriverError, NoAnswer, Quality, Reading, Refused

log = logging.getLogger(__name__)

SWEEP = 0.25
"""Seconds between two looks at the age of every measured Actual."""

STEP_SECONDS = 5.0
"""How long one hand-over by `Control.step` may take: a device that hangs does not stop the others for longer."""


class Keeper(Protocol):
    """Where accepted values are kept; `agent.store.Store` is one."""

    async def save_attributes(self, values: Mapping[tuple[str, str], str]) -> None: ...


class Readings:
    """Readings on their way into the Device Model. `take` is a driver's `Sink`."""

    def __init__(
        self, bindings: Mapping[tuple[str, str], tuple[ReadingBinding, ...]], problems: Problems, clock: Clock
    ) -> None:
        self._bindings = bindings
        self._problems = problems
        self._clock = clock
        self._measured = [(b.variable, source) for source, group in bindings.items() for b in group]
        self._started = clock.monotonic()
        self._stale: set[Variable] = set()
        self._failures: dict[tuple[str, str], str] = {}
        """Why the last reading of a point was BAD."""
        self._good: dict[str, set[str]] = {}
        """The points of each device whose last reading was GOOD."""
        self._silent: dict[str, str] = {}
        """The devices of which nothing good is heard any more, and why."""
        self.on_return: Callable[[str], None] = lambda device: None
        """Called with a device's name when it answers again after nothing good had been heard of it."""

    def take(self, device: str, point: str, reading: Reading) -> None:
        """Put `reading` into every variable that is bound to the point, whatever its value (part 1 §4.3)."""
        value = reading.value
        if reading.quality is not Quality.GOOD or value is None:
            self._failed(device, point, reading.reason)
            return
        if isinstance(value, float) and not math.isfinite(value):
            self._failed(device, point, "not a number")
            return
        for binding in self._bindings.get((device, point), ()):
            variable = binding.variable
            variable.update(converted(binding, value), reading.time)
            if self._stale and variable in self._stale:
                self._stale.discard(variable)
                self._problems.close(variable.component, f"stale {variable.name}")
        good = self._good.get(device)
        if good is None or point not in good:
            self._heard(device, point)

    def _failed(self, device: str, point: str, reason: str) -> None:
        self._failures[device, point] = reason
        good = self._good.setdefault(device, set())
        good.discard(point)
        # A point that alone is not to be had, such as a register of another model, is no device that went away.
        if not good and device not in self._silent:
            self._silent[device] = reason
            log.warning("%s: %s", device, reason)

    def _heard(self, device: str, point: str) -> None:
        self._good.setdefault(device, set()).add(point)
        self._failures.pop((device, point), None)
        if self._silent.pop(device, None) is not None:
            log.info("%s: answers again", device)
            self.on_return(device)

    def lost(self, device: str, reason: str) -> None:
        """The bus of `device` is gone: whatever is heard of it next is a return."""
        self._good.pop(device, None)
        self._silent[device] = reason

    def _why(self, source: tuple[str, str]) -> str | None:
        return self._failures.get(source) or self._silent.get(source[0])

    def restart(self) -> None:
        """Count the age of what was never read from now on: the wires are opened now."""
        self._started = self._clock.monotonic()

    def sweep(self) -> None:
        """Unset every Actual that is older than its `max_age`, and raise its component's `Problem`."""
        now = self._clock.monotonic()
        fresh = [
            (variable, source, variable.max_age, now - (variable.actual.time or self._started))
            for variable, source in self._measured
            if variable.max_age is not None and variable not in self._stale
        ]
        # A device that is gone is gone as a whole: what it tells in several requests goes stale together.
        gone: dict[str, float] = {}
        for _, source, max_age, age in fresh:
            if age > max_age and self._why(source):
                gone[source[0]] = max(max_age, gone.get(source[0], 0.0))
        stale = [
            (variable, source, age)
            for variable, source, max_age, age in fresh
            if age > max_age or (self._why(source) and max_age <= gone.get(source[0], 0.0))
        ]
        for variable, _, _ in stale:
            self._stale.add(variable)
            variable.update(None)
        for variable, source, age in stale:
            reason = self._why(source) or "nothing heard"
            text = f"{variable.name} not read for {age:.1f} s: {reason}"
            self._problems.open(variable.component, f"stale {variable.name}", text)


def converted(binding: ReadingBinding, value: Value) -> Value:
    """`value` of a point in the unit and type of the bound variable."""
    if isinstance(value, bool):
        return value != binding.invert
    if isinstance(value, str):
        return value
    if binding.factor != 1.0 or binding.offset != 0.0:
        # Binary floats: 15 digits keep the source's resolution and drop the noise of the conversion.
        value = float(f"{float(value) * binding.factor + binding.offset:.15g}")  # type: ignore[arg-type]
    if binding.variable.characteristics.data_type is DataType.INTEGER and isinstance(value, float):
        return round(value)
    return value


class _Loop:
    """One Target on its way to its actuator, and the watch over whether the Actual follows it."""

    def __init__(self, binding: TargetBinding) -> None:
        self.binding = binding
        self.lock = asyncio.Lock()
        self.since = 0.0
        """When the Target last changed or the hardware got it again, or the Actual was last at it; monotonic."""
        self.correction = 0.0
        """What the closed loop adds to the Target, in the variable's unit."""
        self.pending = False
        """The hardware may not have the Target: it is to be handed over again."""
        self.written: float | None = None

    @property
    def target(self) -> float | None:
        value = self.binding.variable.value(AttributeType.TARGET)
        return float(value) if isinstance(value, int | float) else None


def along(curve: tuple[tuple[float, float], ...] | None, value: float) -> float:
    """`value` along a piecewise linear `curve` of (value, output), held at its ends; `value` itself without one."""
    if curve is None:
        return value
    if value <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return curve[-1][1]


class Control:
    """Targets on their way to the hardware. `buses` maps device names to the bus they are on."""

    def __init__(
        self,
        targets: Iterable[TargetBinding],
        buses: Mapping[str, Bus],
        problems: Problems,
        store: Keeper,
        clock: Clock,
    ) -> None:
        self._loops = {binding.variable: _Loop(binding) for binding in targets}
        self._buses = buses
        self._problems = problems
        self._store = store
        self._clock = clock
        self.before_save: dict[Variable, Callable[[str], Refusal | None]] = {}
        """Per controller variable: a last question before its new text is stored, such as whether it can be used."""
        self.after_save: dict[Variable, Callable[[str], None]] = {}
        """Per controller variable: what takes a new text into use."""

    # --- intentions from the CSMS ------------------------------------------------------------------------------

    async def set_attribute(self, variable: Variable, kind: AttributeType, text: str, seconds: float) -> Outcome:
        """Set an attribute as B05 asks, within `seconds`: checked, done in hardware, stored, then Accepted."""
        value = check(variable, kind, text)
        if isinstance(value, Refusal):
            return Outcome("Rejected", value.code, value.info)
        loop = self._loops.get(variable)
        if loop is None:
            return await self._set_plain(variable, kind, text, value)
        deadline = self._clock.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                await loop.lock.acquire()
        except TimeoutError:
            return Outcome("Rejected", "InternalError", f"{variable}: another setting is still under way")
        try:
            value = check(variable, kind, text)  # again: a setting that was under way may have moved the limits
            if isinstance(value, Refusal):
                return Outcome("Rejected", value.code, value.info)
            return await self._set_physical(loop, kind, value, deadline)
        finally:
            loop.lock.release()

    async def _set_plain(self, variable: Variable, kind: AttributeType, text: str, value: Value) -> Outcome:
        question = self.before_save.get(variable)
        refusal = question(text) if question is not None else None
        if refusal is not None:
            return Outcome("Rejected", refusal.code, refusal.info)
        problem = await self._save({(variable, kind): value})
        if problem is not None:
            return problem
        if kind is AttributeType.ACTUAL:
            variable.update(value)
        else:
            variable.attributes[kind].value = value
        if variable in self.after_save:
            self.after_save[variable](text)
        return Outcome("RebootRequired") if variable.reboot_required else Outcome("Accepted")

    async def _set_physical(self, loop: _Loop, kind: AttributeType, value: Value, deadline: float) -> Outcome:
        variable = loop.binding.variable
        attribute = variable.attributes[kind]
        changes: dict[AttributeType, Value] = {kind: value}
        old_value, old_target = attribute.value, loop.target
        new_target: float | None = None
        if kind is AttributeType.TARGET:
            new_target = float(value)  # type: ignore[arg-type]
        elif old_target is not None:
            # A limit that leaves the Target outside moves the Target, in hardware too.
            attribute.value = value
            moved = nearest(variable, old_target)
            attribute.value = old_value
            if moved != old_target:
                new_target = changes[AttributeType.TARGET] = moved
        if new_target is not None:
            refusal = await self._hand_over_by(loop, new_target, deadline)
            if refusal is not None:
                return refusal
        problem = await self._save({(variable, kind_): value_ for kind_, value_ in changes.items()})
        if problem is not None:
            if new_target is not None:
                self._restore_later(loop, "the old Target is to be restored: the new one could not be stored")
            return problem
        for kind_, value_ in changes.items():
            variable.attributes[kind_].value = _typed(variable, value_)
        if new_target is not None:
            loop.since = self._clock.monotonic()
            self._problems.close(variable.component, f"target {variable.name}")
            if kind is not AttributeType.TARGET:
                return Outcome("Accepted", "NoError", f"Target moved to {to_text(new_target)}")
        return Outcome("Accepted")

    async def _hand_over_by(self, loop: _Loop, target: float, deadline: float) -> Outcome | None:
        """Hand `target` to the hardware before `deadline`; None when it is there, else the answer to the CSMS."""
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                await self._hand_over(loop, target)
        except Refused as error:
            return Outcome("Rejected", "InternalError", str(error)[:500])
        except (DriverError, TimeoutError) as error:
            # It may have happened: the old Target is restored, and Problem stands until that is confirmed.
            reason = str(error) or "not in time"
            self._restore_later(loop, f"no answer to Target {to_text(target)}: {reason}")
            return Outcome("Rejected", "InternalError", f"the hardware did not answer: {reason}"[:500])
        return None

    async def _save(self, values: Mapping[tuple[Variable, AttributeType], Value]) -> Outcome | None:
        try:
            await self._store.save_attributes(
                {
                    (str(variable), str(kind)): to_text(value)
                    for (variable, kind), value in values.items()
                    if variable.attributes[kind].persistent
                }
            )
        except StoreError as error:
            log.error("%s", error)
            return Outcome("Rejected", "OutOfStorage", str(error)[:500])
        return None

    # --- the hardware ----------------------------------------------------------------------------------------------

    async def _hand_over(self, loop: _Loop, target: float, correction: float = 0.0) -> None:
        """Write the output for `target`; returns when the device acknowledged. Raises DriverError."""
        binding = loop.binding
        output = along(binding.curve, _within_limits(binding.variable, target + correction))
        try:
            await self._buses[binding.device].write(binding.device, binding.point, output)
        except DriverError:
            raise
        except Exception as error:
            # One driver's mistake is one component's problem, not the end of the station.
            log.exception("%s.%s: a mistake in its driver", binding.device, binding.point)
            raise NoAnswer(f"{binding.device}.{binding.point}: a mistake in its driver: {error}") from error
        loop.written = output
        loop.correction = correction
        loop.pending = False
        self._problems.close(binding.variable.component, f"write {binding.variable.name}")

    def _restore_later(self, loop: _Loop, text: str) -> None:
        loop.pending = True
        self._problems.open(loop.binding.variable.component, f"write {loop.binding.variable.name}", text)

    async def apply_all(self, seconds: float) -> None:
        """Hand every stored Target to its hardware: one bounded attempt per device, all devices at once.

        A device that does not take it in time has a `Problem` and gets its Target when it answers again.
        """
        loops = [loop for loop in self._loops.values() if loop.target is not None]
        for loop in loops:
            loop.pending = True
            loop.since = self._clock.monotonic()
        await asyncio.gather(*(self._apply(loop, seconds) for loop in loops))

    async def _apply(self, loop: _Loop, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        text = "the bus is not open"
        while (left := deadline - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._again(loop)
                return
            except Refused as error:
                text = str(error)
                break
            except DriverError as error:
                text = str(error)
            except TimeoutError:
                text = "no answer in time"
            await asyncio.sleep(min(0.05, max(0.0, deadline - self._clock.monotonic())))
        self._restore_later(loop, f"the stored Target could not be applied: {text}")

    async def _again(self, loop: _Loop) -> None:
        async with loop.lock:
            target = loop.target
            if target is None:
                # There was no Target before the write that was not answered: nothing can be restored.
                loop.pending = False
                self._problems.close(loop.binding.variable.component, f"write {loop.binding.variable.name}")
            else:
                await self._hand_over(loop, target, loop.correction)
                loop.since = self._clock.monotonic()  # from here on the Actual has its time to follow

    def device_returned(self, device: str) -> None:
        """A device that answers again may have lost what it was told: hand its Targets over again."""
        for loop in self._loops.values():
            if loop.binding.device == device and loop.target is not None:
                loop.pending = True

    async def step(self) -> None:
        """Retry what is pending and close the loops, all at once; called about once a second."""
        # One that is being set just now is that setting's own.
        await asyncio.gather(*(self._step(loop) for loop in self._loops.values() if not loop.lock.locked()))

    async def _step(self, loop: _Loop) -> None:
        try:
            async with asyncio.timeout(STEP_SECONDS):
                if loop.pending:
                    await self._again(loop)
                elif loop.binding.closed_loop:
                    await self._follow(loop)
        except (DriverError, TimeoutError) as error:
            self._restore_later(loop, f"Target could not be handed over: {str(error) or 'no answer in time'}")

    async def _follow(self, loop: _Loop) -> None:
        """Keep the Actual at the Target (part 1 §4.3), and raise `Problem` when it cannot be in time."""
        binding = loop.binding
        variable = binding.variable
        target, actual = loop.target, variable.actual.value
        if target is None or not isinstance(actual, int | float):
            return
        error = target - actual
        low, high = variable.characteristics.min_limit, variable.characteristics.max_limit
        # A Target near zero is judged as a tenth of the range is: a share of nothing no sensor can keep to.
        floor = 0.0 if low is None or high is None else (high - low) / 10
        allowed = max(max(abs(target), floor) * binding.tolerance, 1e-9)
        now = self._clock.monotonic()
        if abs(error) <= allowed:
            loop.since = now  # what disturbs it later has the whole time again
            self._problems.close(variable.component, f"target {variable.name}")
            return
        if now - loop.since < binding.settle:
            return
        self._problems.open(
            variable.component,
            f"target {variable.name}",
            f"{variable.name} is {to_text(actual)}, not at its Target {to_text(target)} after {binding.settle:g} s",
        )
        # An integral step each second, of a tenth of the error and never beyond a quarter of the curve: slow enough
        # for a fan's inertia, and a sensor that lies cannot drive the output far.
        span = abs(binding.curve[-1][0] - binding.curve[0][0]) if binding.curve else abs(target)
        # It adds up also while it is too small to be written.
        correction = loop.correction = max(-span / 4, min(span / 4, loop.correction + error / 10))
        output = along(binding.curve, _within_limits(variable, target + correction))
        if loop.written is None or abs(output - loop.written) > 0.002 * max(1.0, abs(loop.written)):
            async with loop.lock:
                if loop.target == target:
                    await self._hand_over(loop, target, correction)


def _within_limits(variable: Variable, value: float) -> float:
    """`value`, or the one of minLimit and maxLimit that it is beyond: no correction drives hardware past them."""
    low, high = variable.characteristics.min_limit, variable.characteristics.max_limit
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else value


def _typed(variable: Variable, value: Value) -> Value:
    """A Target that was moved to a limit, in the variable's own type."""
    if variable.characteristics.data_type is DataType.INTEGER and isinstance(value, float):
        return round(value)
    return value
