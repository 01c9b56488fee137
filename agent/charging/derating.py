"""Less current when the cabinet is hot. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.charging.limits import Limit, State

BACKLASH = 1.0
"""K by which it must cool down before the limit grows again."""


@dataclass(frozen=True, slots=True)
class ThermalSettings:
    """`curve` of (°C, A per phase of each EVSE), rising and falling: straight between its points, no limit below the
    first, the last one's beyond it. `safe_current` (A) holds while nothing was measured for `max_age` s.
    """

    curve: tuple[tuple[float, float], ...]
    safe_current: float = 6.0
    max_age: float = 30.0


class ThermalDerating:
    """A `Source` of one limit for each of `evses`."""

    def __init__(self, settings: ThermalSettings, evses: Sequence[int], *, name: str = "thermal") -> None:
        self._settings, self._name, self._evses = settings, name, tuple(evses)
        self._felt = -math.inf
        self._at: float | None = None
        self._told: tuple[Limit, ...] = ()

    @property
    def name(self) -> str:
        return self._name

    def measured(self, temperature: float | None, now: float) -> None:
        """°C; None: not measured."""
        if temperature is None or not math.isfinite(temperature):
            return
        felt = -math.inf if self._stale(now) else self._felt
        self._felt = max(temperature, min(felt, temperature + BACKLASH))
        self._at = now

    def limits(self, now: float) -> Sequence[Limit]:
        value: float | None
        if self._stale(now):
            state, value = State.INIT if self._at is None else State.STALE, self._settings.safe_current
        else:
            value = self._current()
            state = State.RELEASED if value is None else State.ACTIVE
        if not self._told or (self._told[0].state, self._told[0].value) != (state, value):
            self._told = tuple(Limit(self._name, "Thermal", evse, state, value, changed=now) for evse in self._evses)
        return self._told

    def due(self, now: float) -> float | None:
        """When the temperature will be too old."""
        end = None if self._at is None else self._at + self._settings.max_age
        return end if end is not None and end > now else None

    def _stale(self, now: float) -> bool:
        return self._at is None or now - self._at >= self._settings.max_age

    def _current(self) -> float | None:
        """A at the temperature that counts, in full tenths."""
        curve, felt = self._settings.curve, self._felt
        if felt < curve[0][0]:
            return None
        for (cold, more), (hot, less) in pairwise(curve):
            if felt < hot:
                return math.floor((more + (less - more) * (felt - cold) / (hot - cold)) * 10 + 1e-6) / 10
        return curve[-1][1]
