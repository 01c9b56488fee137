"""What single pins do: a digital input, a digital output, a fan's PWM and its tacho; each is one point of a device.

gpiozero calls back in threads of its own. Each input hands over through one slot, so that a storm of edges costs one
pending call and no memory.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from drivers import DriverError, NoAnswer, Quality, Reading, Refused, Value
from drivers.gpio_tacho import NoRhythm, Tachometer
from drivers.settings import InputPin, OutputPin, PwmFan

_DUTY_STEP = 0.01
"""How far a duty that is read back may be off: lgpio's PWM has whole percents, rounded down."""

_LONGEST_UNREST = 1.0
"""Seconds that an input which had very many edges must stand still, at most, before its level counts again."""

_PULLS = {"up": "up", "down": "down", "none": "floating"}

Emit = Callable[[Reading], None]
T = TypeVar("T")


class Part(Protocol):
    """One point on an open pin."""

    def current(self) -> Reading | None:
        """What the pin says now; None while that cannot be said. Raises whatever the pin's library raises."""
        ...

    def write(self, value: Value) -> None:
        """Set the pin and read it back. Raises `Refused` for a value that it cannot take, and `NoAnswer`."""
        ...

    def make_safe(self) -> None:
        """Put the pin where it belongs when the agent ends."""
        ...

    def close(self) -> None:
        """Let the pin go: it becomes an input."""
        ...


class Slot:
    """What a pin's thread saw since the event loop last looked; however much, it wakes the loop once."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None], monotonic: Callable[[], float]
    ) -> None:
        self._loop, self._wake, self._monotonic = loop, wake, monotonic
        self._lock = threading.Lock()
        self._state, self._edges, self._time = False, 0, 0.0

    def edge(self, ticks: float, state: int) -> None:  # noqa: ARG002  # gpiozero's signature
        """For the pin's thread: the pin went to `state`."""
        with self._lock:
            self._edges += 1
            self._state, self._time = bool(state), self._monotonic()
            first = self._edges == 1
        if first:
            self._loop.call_soon_threadsafe(self._wake)

    def take(self) -> tuple[bool, int, float]:
        """For the event loop: the last state, the number of edges since the last call, the time of the last one."""
        with self._lock:
            edges, self._edges = self._edges, 0
            return self._state, edges, self._time


class InputPart:
    """A digital input. With a debounce time, a level counts once no edge has come for that long.

    Each further edge of the same unrest makes it wait that time longer: a contact that bounces is through at once,
    while a pause in noise is not taken for a level.
    """

    def __init__(
        self,
        told: InputPin,
        pin: Any,
        emit: Emit,
        loop: asyncio.AbstractEventLoop,
        monotonic: Callable[[], float],
    ) -> None:
        self._told, self._pin, self._emit, self._loop, self._monotonic = told, pin, emit, loop, monotonic
        self._value: bool | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._unrest = 0
        self._slot = Slot(loop, self._edges_came, monotonic)
        pin.function = "input"
        pin.pull = _PULLS[told.pull]
        pin.edges = "both"
        pin.when_changed = self._slot.edge

    def current(self) -> Reading | None:
        # An input that never settles says nothing, and its reading goes stale.
        return None if self._settling else self._reading(self._pin.state, self._monotonic())

    def write(self, value: Value) -> None:
        raise Refused(f"{self._pin} is an input (tried {value!r})")

    def make_safe(self) -> None:
        """An input is safe as it is."""

    def close(self) -> None:
        self._pin.when_changed = None
        if self._settling:
            self._settling.cancel()

    def _reading(self, state: Any, time: float) -> Reading:
        self._value = bool(state) == (self._told.active == "high")
        return Reading(self._value, "", time)

    def _edges_came(self) -> None:
        state, edges, time = self._slot.take()
        if self._told.debounce:
            if self._settling:
                self._settling.cancel()
            self._unrest += edges
            patience = min(self._told.debounce * self._unrest, max(self._told.debounce, _LONGEST_UNREST))
            self._settling = self._loop.call_later(patience, self._settled)
            return
        before = self._value
        reading = self._reading(state, time)
        if edges > 1 and reading.value == before:
            # There and back before the loop looked: a button's press must not get lost.
            self._emit(Reading(not reading.value, "", time))
        self._emit(reading)

    def _settled(self) -> None:
        self._settling = None
        self._unrest = 0
        self._emit(self._reading(self._pin.state, self._monotonic()))


class OutputPart:
    """A digital output, `safe` from the moment it is opened."""

    def __init__(
        self,
        told: OutputPin,
        factory: Any,
        emit: Emit,
        loop: asyncio.AbstractEventLoop,
        monotonic: Callable[[], float],
    ) -> None:
        from gpiozero import OutputDevice

        self._told, self._emit, self._loop, self._monotonic = told, emit, loop, monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._device = OutputDevice(
            told.output, active_high=told.active == "high", initial_value=told.safe, pin_factory=factory
        )

    def current(self) -> Reading:
        return Reading(bool(self._device.value), "", self._monotonic())

    def write(self, value: Value) -> None:
        if not isinstance(value, bool):
            raise Refused(f"an output is true or false, not {value!r}")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._set(value)
        if self._told.pulse is not None and value != self._told.safe:
            self._timer = self._loop.call_later(self._told.pulse, self._fall_back)

    def make_safe(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._device.value = self._told.safe

    def close(self) -> None:
        self._device.close()

    def _set(self, value: bool) -> None:
        self._device.value = value
        if bool(self._device.value) != value:
            raise NoAnswer(f"GPIO{self._told.output} does not follow: something else holds it")

    def _fall_back(self) -> None:
        self._timer = None
        try:
            asked(lambda: self._set(self._told.safe))
            self._emit(self.current())
        except DriverError as error:
            self._emit(bad("", self._monotonic(), f"did not fall back after its pulse: {error}"))


class DutyPart:
    """The PWM output of a fan."""

    def __init__(self, told: PwmFan, factory: Any, monotonic: Callable[[], float]) -> None:
        from gpiozero import PWMOutputDevice

        self._told, self._monotonic = told, monotonic
        self._device = PWMOutputDevice(
            told.pwm, frequency=told.frequency, initial_value=told.initial_duty, pin_factory=factory
        )

    def current(self) -> Reading:
        return Reading(float(self._device.value), "", self._monotonic())

    def write(self, value: Value) -> None:
        if isinstance(value, bool | str) or not 0 <= value <= 1:
            raise Refused(f"a duty is a number from 0 to 1, not {value!r}")
        self._device.value = value
        back = float(self._device.value)
        if abs(back - value) > _DUTY_STEP:
            raise NoAnswer(f"GPIO{self._told.pwm}: duty {value:g} was set, {back:g} is read back")

    def make_safe(self) -> None:
        self._device.value = self._told.exit_duty

    def close(self) -> None:
        self._device.close()


class TachoPart:
    """The tacho input of a fan; see `drivers.gpio_tacho` for how its speed comes about."""

    def __init__(self, told: PwmFan, pin: Any, monotonic: Callable[[], float]) -> None:
        self._pin, self._monotonic = pin, monotonic
        self._tachometer = Tachometer(told.pulses, monotonic())
        pin.function = "input"
        pin.pull = _PULLS[told.pull]
        pin.edges = "falling"  # the steep one of an open collector; one edge a pulse is enough
        pin.when_changed = self._edge

    def _edge(self, ticks: float, state: int) -> None:  # noqa: ARG002  # gpiozero's signature
        self._tachometer.edge(ticks, self._monotonic())

    def current(self) -> Reading | None:
        now = self._monotonic()
        try:
            rpm = self._tachometer.rpm(now)
        except NoRhythm as error:
            return bad("RPM", now, str(error))
        return None if rpm is None else Reading(rpm, "RPM", now)

    def write(self, value: Value) -> None:
        raise Refused(f"the speed of a fan is read only (tried {value!r}); write its duty")

    def make_safe(self) -> None:
        """An input is safe as it is."""

    def close(self) -> None:
        self._pin.when_changed = None


def asked(call: Callable[[], T]) -> T:
    """The result of `call`; the many unrelated errors of gpiozero and lgpio become `NoAnswer`, `Refused` stays."""
    try:
        return call()
    except (Refused, NoAnswer):
        raise
    except Exception as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


def bad(unit: str, time: float, reason: str) -> Reading:
    """The reading of a point that cannot be read."""
    return Reading(None, unit, time, Quality.BAD, reason)
