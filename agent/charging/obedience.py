"""Whether a car draws no more than it is offered."""

from collections import deque
from collections.abc import Sequence
from math import isfinite

GRACE = 5.0
"""s that a car has to follow a lower offer (IEC 61851-1)."""


class Obedience:
    """`after`: s that a car may draw more than offered + `tolerance` A, before it counts as disobedient.

    A car that follows each offer within GRACE is obedient, however often the offer falls; so it is never told in less
    than GRACE after a fall. A fall is no excuse for what was already too much before it.
    """

    def __init__(self, *, after: float, tolerance: float) -> None:
        self._after = after
        self._tolerance = tolerance
        self._offered = 0.0
        self._before: deque[tuple[float, float]] = deque()
        """(until when it was valid, A) of higher offers before this one, the highest first."""
        self._over: float | None = None
        """Since when it draws more than is offered now."""
        self._late: float | None = None
        """Since when it draws more than was offered at any time within GRACE."""
        self._blind: float | None = None

    def step(self, offered: float, drawn: Sequence[float] | None, now: float) -> bool:
        """True while the car has been disobedient for too long. `offered` A per phase (0: paused) and `drawn` A of
        each phase at `now` (monotonic s); None where no fresh measure is: that is neither obedience nor the contrary,
        and its time does not count.
        """
        allowed = self._allowed(offered, now)
        if not drawn or not all(map(isfinite, drawn)):
            self._blind = now if self._blind is None else self._blind
            return False
        if self._blind is not None:
            gap, self._blind = now - self._blind, None
            self._over = None if self._over is None else self._over + gap
            self._late = None if self._late is None else self._late + gap
        most = max(drawn) - self._tolerance
        if most <= offered:
            self._over = self._late = None
            return False
        self._over = now if self._over is None else self._over
        if most <= allowed:
            self._late = None
            return False
        self._late = now if self._late is None else self._late
        return now - max(self._over, self._late - GRACE) >= self._after

    def _allowed(self, offered: float, now: float) -> float:
        """The highest offer within GRACE before `now`."""
        if offered < self._offered:
            self._before.append((now, self._offered))
        self._offered = offered
        while self._before and self._before[-1][1] <= offered:
            self._before.pop()
        while self._before and self._before[0][0] <= now - GRACE:
            self._before.popleft()
        return self._before[0][1] if self._before else offered
