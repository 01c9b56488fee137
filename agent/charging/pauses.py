"""How often an EVSE may be paused and resumed because of limits: a contactor has only so many operations."""

from collections import deque

HOUR = 3600.0


class Pauses:
    """At most `per_hour` pauses in any hour. A pause is never refused, for a limit must be kept; it is the resuming
    that waits until there is a pause left for what may come after it.
    """

    def __init__(self, per_hour: int) -> None:
        if per_hour < 1:
            raise ValueError("at least one pause an hour")
        self._times: deque[float] = deque(maxlen=per_hour)

    def paused(self, now: float) -> None:
        """Tells that the EVSE is paused at `now` (monotonic s)."""
        self._times.append(now)

    def may_resume(self, now: float) -> bool:
        return self.due(now) is None

    def due(self, now: float) -> float | None:
        """When (monotonic s) it may be resumed; None: now."""
        if len(self._times) < (self._times.maxlen or 0):
            return None
        free = self._times[0] + HOUR
        return free if free > now else None
