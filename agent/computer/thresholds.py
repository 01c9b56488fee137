"""When a value of the computer is a problem of its component, and when it is none any more. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.computer.machine import CONTROLLER, SUPPLY
from agent.computer.storage import DISK, MEMORY
from agent.computer.timekeeping import CLOCK
from agent.model import Component, Value, VariableName, to_text


@dataclass(frozen=True, slots=True)
class Threshold:
    """`cause` of `component` begins when `variable` was bad for `begins_after` seconds and ends when it was good for
    `ends_after`. What lies between bad and good (hysteresis), or is unknown, changes nothing and begins no new time.

    `text` tells what is wrong, with the value in the place of {}.
    """

    component: Component
    variable: VariableName
    cause: str
    text: str
    bad: Callable[[Value], bool]
    good: Callable[[Value], bool]
    begins_after: float = 0.0
    ends_after: float = 0.0


def below(limit: float) -> Callable[[Value], bool]:
    """Whether a value is a number less than `limit`."""
    return lambda value: isinstance(value, int | float) and value < limit


def above(limit: float) -> Callable[[Value], bool]:
    """Whether a value is a number greater than `limit`."""
    return lambda value: isinstance(value, int | float) and value > limit


def equals(wanted: bool) -> Callable[[Value], bool]:
    """Whether a value is this boolean."""
    return lambda value: value is wanted


DEFAULTS: tuple[Threshold, ...] = (
    Threshold(
        DISK,
        VariableName("Percent", "Free"),
        "disk",
        "{} % of the disk with the state directory are free",
        below(5),
        above(7),
    ),
    Threshold(
        MEMORY,
        VariableName("Percent", "Free"),
        "memory",
        "{} % of the memory are free",
        below(10),
        above(12),
        begins_after=20,  # a moment's need, such as an import, is none
    ),
    Threshold(
        CONTROLLER,
        VariableName("Temperature"),
        "temperature",
        "the processor is at {} Celsius",
        above(80),  # where a Raspberry Pi begins to slow itself down
        below(75),
    ),
    # The dips of a weak supply come and go: one problem, not one for each.
    Threshold(
        SUPPLY,
        VariableName("UnderVoltage"),
        "under-voltage",
        "the supply's voltage is too low",
        equals(True),
        equals(False),
        ends_after=60,
    ),
    Threshold(
        CLOCK,
        VariableName("Set"),
        "clock not set",
        "the clock was never set",
        equals(False),
        equals(True),
        begins_after=20,  # the CSMS may set it (B01.FR.06)
    ),
)


@dataclass(slots=True)
class _State:
    stands: bool = False
    since: float | None = field(default=None)
    """Since when the value is on the other side of what stands; monotonic."""


class Watch:
    """Which causes stand. Handed the values with their times, it tells what began and what ended."""

    def __init__(self, thresholds: Iterable[Threshold] = DEFAULTS) -> None:
        self._states = {threshold: _State() for threshold in thresholds}

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return tuple(self._states)

    def step(self, threshold: Threshold, value: Value | None, now: float) -> str | None:
        """Judge `value`: the text of a cause that stands (new or as it is now), "" when it just ended, else None."""
        state = self._states[threshold]
        if value is None:
            return None
        turns = threshold.good(value) if state.stands else threshold.bad(value)
        if not turns:
            state.since = None
        else:
            state.since = now if state.since is None else state.since
            if now - state.since >= (threshold.ends_after if state.stands else threshold.begins_after):
                state.stands, state.since = not state.stands, None
                if not state.stands:
                    return ""
        return threshold.text.format(to_text(value)) if state.stands else None
