"""A limit that flaps is as low as its lowest: more is worth an offer once it has stood for a moment. Pure."""

from collections import deque
from math import inf

SECONDS = 0.3
"""For which more must be allowed before it counts: several periods of whatever is told at 50 Hz."""


class Steady:
    """The lowest of what an EVSE was allowed within SECONDS, A per phase."""

    def __init__(self) -> None:
        self._amps = inf
        self._before: deque[tuple[float, float]] = deque()
        """(until when it counts, A) of what was allowed before and is lower, the lowest first."""

    def step(self, amps: float, now: float) -> float:
        """What counts of `amps`, allowed from `now` (monotonic s) on."""
        if amps > self._amps:
            self._before.append((now + SECONDS, self._amps))
        self._amps = amps
        while self._before and self._before[-1][1] >= amps:
            self._before.pop()
        while self._before and self._before[0][0] <= now:
            self._before.popleft()
        return self._before[0][1] if self._before else amps

    def due(self) -> float | None:
        """When more counts though nothing else changed."""
        return self._before[0][0] if self._before else None
