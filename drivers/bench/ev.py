"""An EV behind the plug: what it asks of the pilot, what it draws, how full it is. Pure: it is stepped by time."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from drivers.bench.points import finite
from drivers.bench.refusals import Unusable

VOLTAGE = 230.0
"""V per phase at the car."""

LEAST = 6.0
"""A; no duty says less (IEC 61851-1, annex A)."""

RISE, FALL = 8.0, 16.0
"""A/s by which a car's current follows what it may draw."""

TAPER = 80.0
"""% from which on a battery takes less and less, down to nothing when it is full."""

TAIL = 0.05
"""The share that a battery still takes just before it is full: else it never would be."""

Phases = tuple[float, float, float]
NOTHING: Phases = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class EvSettings:
    """What an EV is like: A per phase, phases that it uses, % and Wh of its battery, W in total.

    The ones after `max_power` are oddities. `ignores_offer`: draws what it likes, whatever the duty says.
    `overdraw`: draws so many times what it may. `sleeps_after`: s without an offer after which it asks for nothing
    any more, until it is plugged in anew or told to be ready. `ventilation`: asks for state D instead of C.
    """

    ready: bool = True
    max_current: float = 32.0
    phases: int = 3
    soc: float = 40.0
    capacity_wh: float = 60_000.0
    max_power: float | None = None
    ignores_offer: bool = False
    overdraw: float = 1.0
    sleeps_after: float | None = None
    ventilation: bool = False

    def changed(self, told: Mapping[str, Any]) -> "EvSettings":
        """With what `told` says of it. Raises `Unusable` for a key or a value that no EV can have."""
        for key, value in told.items():
            rule = _RULES.get(key)
            if rule is None:
                raise Unusable(f"{key:.40}: not known of an EV; expected {', '.join(_RULES)}")
            wanted, fits = rule
            if not fits(value):
                raise Unusable(f"{key}: expected {wanted}, found {value!r:.40}")
        fitting: dict[str, Any] = {
            key: float(v) if key in _NUMBERS and v is not None else v for key, v in told.items()
        }
        return replace(self, **fitting)


def _between(low: float, high: float = math.inf) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        number = finite(value)
        return number is not None and low <= number <= high

    return fits


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "ready": ("true or false", _is_flag),
    "max_current": ("a number of A, 0 or more", _between(0)),
    "phases": ("1, 2 or 3", lambda value: type(value) is int and 1 <= value <= 3),
    "soc": ("a number from 0 to 100", _between(0, 100)),
    "capacity_wh": ("a number of Wh, 1 or more", _between(1)),
    "max_power": ("a number of W, 0 or more, or null", _or_none(_between(0))),
    "ignores_offer": ("true or false", _is_flag),
    "overdraw": ("a number, 0 or more", _between(0)),
    "sleeps_after": ("a number of s, 0 or more, or null", _or_none(_between(0))),
    "ventilation": ("true or false", _is_flag),
}
_NUMBERS = {"max_current", "soc", "capacity_wh", "max_power", "overdraw", "sleeps_after"}
_USUAL = ("ready", "max_current", "phases", "soc", "capacity_wh", "max_power")


class Ev:
    """One EV at a cable. `current` is what it draws in A per phase, `energy_wh` what it has drawn in all."""

    def __init__(self, settings: EvSettings) -> None:
        self.settings = settings
        self.soc = settings.soc
        self.current: Phases = NOTHING
        self.energy_wh = 0.0
        self._asleep = False
        self._waited = 0.0

    def change(self, told: Mapping[str, Any]) -> None:
        """It changes its mind. Raises `Unusable`, and nothing is changed."""
        self.settings = self.settings.changed(told)
        if "soc" in told:
            self.soc = self.settings.soc
        if told.get("ready"):
            self.wake()

    def wake(self) -> None:
        """Somebody pulled the plug, or pressed a button."""
        self._asleep, self._waited = False, 0.0

    def asks(self, duty: float) -> str:
        """The pilot's state that it makes, where the duty says so many A (0: there is none): B, C or D."""
        wants = self.settings.ready and not self._asleep and self.soc < 100
        if not wants or not (duty >= LEAST or self.settings.ignores_offer):
            return "B"
        return "D" if self.settings.ventilation else "C"

    def step(self, seconds: float, duty: float, closed: bool, phases: int) -> None:
        """Let `seconds` pass with that duty, behind a contactor that is closed or not, on so many phases."""
        self._doze(seconds, duty)
        if not closed:
            self.current = NOTHING
            return
        used = min(self.settings.phases, phases)
        wanted = self._wanted(duty, used)
        now = self.current[0]
        now = max(wanted, now - FALL * seconds) if wanted < now else min(wanted, now + RISE * seconds)
        self.current = (now, now if used > 1 else 0.0, now if used > 2 else 0.0)
        energy = used * now * VOLTAGE * seconds / 3600
        self.energy_wh += energy
        self.soc = min(100.0, self.soc + 100 * energy / self.settings.capacity_wh)

    def power(self) -> Phases:
        """W per phase."""
        one, two, three = (VOLTAGE * current for current in self.current)
        return (one, two, three)

    def state(self) -> dict[str, Any]:
        """In the form of `GET /bench`: what it was told to be, with its charge as it is now."""
        told = asdict(self.settings) | {"soc": round(self.soc, 6)}
        usual = {field.name: field.default for field in fields(EvSettings)}
        return {key: value for key, value in told.items() if key in _USUAL or value != usual[key]}

    def _wanted(self, duty: float, used: int) -> float:
        """A per phase."""
        if self.asks(duty) == "B":
            return 0.0
        settings = self.settings
        own = settings.max_current
        if settings.max_power is not None:
            own = min(own, settings.max_power / (VOLTAGE * used))
        if self.soc > TAPER:
            own *= max(TAIL, (100 - self.soc) / (100 - TAPER))
        return settings.overdraw * (own if settings.ignores_offer else min(own, duty))

    def _doze(self, seconds: float, duty: float) -> None:
        if duty >= LEAST:
            self._waited = 0.0
            return
        self._waited += seconds
        after = self.settings.sleeps_after
        self._asleep = self._asleep or (after is not None and self._waited >= after)
