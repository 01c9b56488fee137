"""What watches one variable: thresholds and deltas, looked at with each change of the Actual (N07).

An unset Actual is no value: it neither exceeds a threshold nor returns within it, and no number differs from it.
Of what is measured, unset means stale; another text that becomes unset did change, and a delta says so (N07.FR.19).
A monitor that does not count at the moment (offline, no transaction, monitoring disabled) keeps its state and is
looked at when it counts again: the remark of N07.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal

from agent.model import DeviceModel, Value, Variable, VariableName
from agent.monitoring.monitors import Monitor, MonitorType, Trigger

HYSTERESIS = "Hysteresis"

Told = Callable[["Look", Value | None, bool | None], None]
"""Takes what triggered, the value that did it, and cleared."""
Counts = Callable[[Monitor], bool]


class Look:
    """One monitor on one variable. `exceeded` is what must survive a restart (N07.FR.14)."""

    __slots__ = ("counts", "exceeded", "monitor", "tell", "trigger", "variable")

    def __init__(self, monitor: Monitor, variable: Variable, counts: Counts, tell: Told, trigger: Trigger) -> None:
        self.monitor = monitor
        self.variable = variable
        self.counts = counts
        self.tell = tell
        self.trigger = trigger
        self.exceeded = False

    def look(self, value: Value | None) -> None:
        """Compare `value` with what this one waits for. Periodic ones wait for no value."""

    def attach(self, model: DeviceModel) -> None:
        """Begin to watch."""

    def detach(self) -> None:
        """Watch no more: nothing is told any more (N07.FR.12)."""


class Threshold(Look):
    """Fires above its upper edge (below its lower one), once, and is cleared at the other edge or beyond it.

    Without hysteresis both edges are the threshold itself: on it is within (N07.FR.16, FR.17).
    """

    __slots__ = ("_fall", "_rise", "_sign", "_stop")

    def __init__(self, monitor: Monitor, variable: Variable, counts: Counts, tell: Told) -> None:
        super().__init__(monitor, variable, counts, tell, Trigger.ALERTING)
        self._sign = 1 if monitor.type is MonitorType.UPPER_THRESHOLD else -1
        self._stop: Callable[[], None] | None = None
        self._band(monitor.hysteresis)

    def _band(self, percent: Value | None) -> None:
        """The appendix: a dead band around the threshold, as wide as `percent` of it."""
        middle = self._sign * self.monitor.value
        half = 0.0
        if isinstance(percent, int | float) and math.isfinite(percent) and percent > 0:
            half = abs(middle) * percent / 200
        self._rise, self._fall = middle + half, middle - half

    def attach(self, model: DeviceModel) -> None:
        if self.monitor.hysteresis is not None:
            return
        component, name = self.variable.component, self.variable.name
        band = model.get(component, VariableName(HYSTERESIS, name.name)) or model.get(component, HYSTERESIS)
        if band is not None and band is not self.variable:
            self._band(band.actual.current)
            self._stop = band.listen(self._new_band)

    def _new_band(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del variable, old
        self._band(new)
        self.look(self.variable.actual.value)

    def detach(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    def look(self, value: Value | None) -> None:
        if value is None:
            return
        signed: float = value * self._sign  # type: ignore[assignment, operator]  # only numbers have thresholds
        if self.exceeded:
            if signed <= self._fall and math.isfinite(signed) and self.counts(self.monitor):
                self.exceeded = False
                self.tell(self, value, True)
        elif signed > self._rise and math.isfinite(signed) and self.counts(self.monitor):
            self.exceeded = True
            self.tell(self, value, None)


class Delta(Look, ABC):
    """Fires when a number moved by more than the monitor's value since it was set or last fired (N07.FR.18).

    The first value after a restart is the new momentary value (part 1 §4.4); so is a first number after none.
    """

    __slots__ = ("_fresh", "_momentary")

    def __init__(self, monitor: Monitor, variable: Variable, counts: Counts, tell: Told, *, fresh: bool) -> None:
        """`fresh`: the station has just started, and no value yet is no value of before."""
        super().__init__(monitor, variable, counts, tell, Trigger.DELTA)
        self._momentary = variable.actual.value
        self._fresh = fresh and self._momentary is None

    def look(self, value: Value | None) -> None:
        before = self._momentary
        if before is None and self._fresh:
            self._momentary = value
            self._fresh = value is None
        elif self._moved(before, value) and self.counts(self.monitor):
            self._momentary = value
            self.tell(self, value, None)

    @abstractmethod
    def _moved(self, before: Value | None, value: Value | None) -> bool:
        """Whether going from `before` to `value` is to be told."""


class NumberDelta(Delta):
    """A decimal or an integer; what is unset or no finite number is not compared."""

    __slots__ = ()

    def look(self, value: Value | None) -> None:
        if value is None or not math.isfinite(value):  # type: ignore[arg-type]  # a number
            return
        if self._momentary is None:
            self._momentary = value
            return
        super().look(value)

    def _moved(self, before: Value | None, value: Value | None) -> bool:
        delta = self.monitor.value
        if abs(value - before) <= delta:  # type: ignore[operator]  # numbers
            return False
        # 20.3 is not more than 0.3 away from 20, whatever binary fractions say.
        return abs(Decimal(repr(value)) - Decimal(repr(before))) > Decimal(repr(delta))


class ChangeDelta(Delta):
    """Any other data type, dateTime among them: every change, whatever the monitor's value (N07.FR.19, N04.FR.17)."""

    __slots__ = ()

    def _moved(self, before: Value | None, value: Value | None) -> bool:
        # Unset is stale where something is measured, else a value like any other.
        return value != before and (value is not None or self.variable.max_age is None)


class Watched:
    """A variable and all that watches it, behind one listener; none while nothing does."""

    __slots__ = ("_stop", "looks", "variable")

    def __init__(self, variable: Variable) -> None:
        self.variable = variable
        self.looks: tuple[Look, ...] = ()
        self._stop: Callable[[], None] | None = None

    def put(self, look: Look, old: Look | None = None) -> None:
        """Add `look`, in the place of `old`."""
        if old is None:
            self.looks = (*self.looks, look)
        else:
            self.looks = tuple(look if one is old else one for one in self.looks)
        self._listen()

    def remove(self, look: Look) -> None:
        self.looks = tuple(one for one in self.looks if one is not look)
        self._listen()

    def _listen(self) -> None:
        waits = any(not one.monitor.type.is_periodic for one in self.looks)
        if waits and self._stop is None:
            self._stop = self.variable.listen(self._changed)
        elif not waits and self._stop is not None:
            self._stop()
            self._stop = None

    def _changed(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del variable, old
        for one in self.looks:
            one.look(new)


def look_for(monitor: Monitor, variable: Variable, counts: Counts, tell: Told, *, fresh: bool) -> Look:
    """What watches `variable` for `monitor`."""
    if monitor.type.is_threshold:
        return Threshold(monitor, variable, counts, tell)
    if monitor.type.is_periodic:
        return Look(monitor, variable, counts, tell, Trigger.PERIODIC)
    kind = NumberDelta if variable.characteristics.data_type.is_number else ChangeDelta
    return kind(monitor, variable, counts, tell, fresh=fresh)
