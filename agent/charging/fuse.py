"""The fuse of the grid connection: what the building leaves of it is what all EVSEs may have. Pure."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from agent.charging.limits import Limit, State

Phases = tuple[float, float, float]
Measured = tuple[float | None, float | None, float | None]

LAG = 2.0
"""Seconds by which the meter of the grid and those of the EVSEs may tell of different times."""
OBEYED = 0.5
"""A above the limit that still mean that it was followed."""


@dataclass(frozen=True, slots=True)
class FuseSettings:
    """A per phase: the fuse's `rating`, of which `margin` is left free; `safe_current` for all EVSEs while the meter
    was not heard for `max_age` s. The limit grows by `rise` A/s at most, to what was free for `window` s.
    """

    rating: float
    margin: float = 0.0
    safe_current: float = 0.0
    window: float = 3.0
    rise: float = 2.0
    max_age: float = 5.0


class _Line:
    """One phase. The building's share is what the grid's meter tells less the EVSEs' own current. The two are not
    measured at the same moment, so an overload counts at once, and anything else when it has lasted for the window.
    """

    def __init__(self, settings: FuseSettings) -> None:
        self._settings = settings
        self._own: deque[tuple[float, float]] = deque()
        self._worst: deque[tuple[float, float]] = deque()
        self._best: deque[tuple[float, float]] = deque()
        self._limit = settings.safe_current
        self._lowered = -math.inf
        self._followed: float | None = -math.inf
        self.measured: float | None = None
        """When it was last, in monotonic s."""

    def stale(self, now: float) -> bool:
        return self.measured is None or now - self.measured >= self._settings.max_age

    def limit(self, now: float) -> float:
        return self._settings.safe_current if self.stale(now) else self._limit

    def measure(self, grid: float | None, own: float, now: float) -> None:
        settings = self._settings
        stale = self.stale(now)
        if stale:
            self._limit = settings.safe_current
            self._worst.clear()
            self._best.clear()
        _note(self._own, own, now, LAG)
        if grid is None or not math.isfinite(grid):
            return
        left = settings.rating - settings.margin - grid
        _note(self._worst, left + min(amps for _, amps in self._own), now, settings.window)
        _note(self._best, left + self._drawn(own, now), now, settings.window)
        most = self._best[-1][1] if left < 0 else max(amps for _, amps in self._best)
        if self._limit > max(0.0, most):
            self._limit = max(0.0, most)
            self._lowered, self._followed = now, None
        elif self.measured is None:
            self._limit = max(0.0, self._worst[-1][1])  # nothing is on its way up yet: no reason to be slow
        elif not stale:
            step = settings.rise * max(0.0, now - self.measured)
            free = min(amps for _, amps in self._worst)
            self._limit = max(self._limit, min(free, self._limit + step))
        self.measured = now

    def _drawn(self, own: float, now: float) -> float:
        """What the EVSEs may have drawn when the grid was measured: after the limit fell and they followed, the meter
        may still tell of the time before. Their own current would then be counted as the building's.
        """
        if self._followed is None and own <= self._limit + OBEYED:
            self._followed = now
        if self._followed is not None and now - self._followed > LAG:
            return own
        return max((amps for time, amps in self._own if time >= self._lowered), default=own)


class FuseGuard:
    """A `Source` of one limit, that of the station, each phase by itself. It falls at once and grows slowly."""

    def __init__(self, settings: FuseSettings, *, name: str = "fuse") -> None:
        self._settings, self._name = settings, name
        self._lines = tuple(_Line(settings) for _ in range(3))
        self._told: Limit | None = None

    @property
    def name(self) -> str:
        return self._name

    def measured(self, grid: Measured, own: Phases, now: float) -> None:
        """What the meter at the grid connection tells, in A per phase (imported is positive, None: not measured), and
        what all EVSEs draw, by the same phases. To be called each time that either is new.
        """
        for line, amps, drawn in zip(self._lines, grid, own, strict=True):
            line.measure(amps, drawn if math.isfinite(drawn) else 0.0, now)

    def limits(self, now: float) -> Sequence[Limit]:
        first, second, third = (line.limit(now) for line in self._lines)
        if all(line.measured is None for line in self._lines):
            state = State.INIT
        else:
            state = State.STALE if any(line.stale(now) for line in self._lines) else State.ACTIVE
        phases, told = (first, second, third), self._told
        if told is None or (told.phases, told.state) != (phases, state):
            self._told = told = Limit(self._name, "Fuse", 0, state, min(phases), phases=phases, changed=now)
        return (told,)

    def due(self, now: float) -> float | None:
        """When the meter will be too old."""
        ends = [line.measured + self._settings.max_age for line in self._lines if line.measured is not None]
        return min((end for end in ends if end > now), default=None)


def _note(values: deque[tuple[float, float]], value: float, now: float, keep: float) -> None:
    """Add one, and forget those older than `keep` s."""
    values.append((now, value))
    while values[0][0] < now - keep:
        values.popleft()
