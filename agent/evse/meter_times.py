"""When meter values are due: every so many seconds from a start, or at instants of the wall clock.

An interval of 0 is none. An interval that was changed counts from the change on: nothing is due at once for it.
"""

from collections import deque
from datetime import UTC, datetime, timedelta

from agent.clock import Clock

LATE = 30.0
"""Seconds after an instant of the wall clock in which it is still sampled, with the time at which that is done."""

EXACT = 1.0
"""Seconds after an instant in which a sample counts as taken at it: a meter's registers are hardly younger."""

_REMEMBERED = 1500


class Periodic:
    """Every `interval` seconds from `anchor` (monotonic); what was missed is not made up for."""

    def __init__(self, clock: Clock, anchor: float) -> None:
        self._clock = clock
        self._anchor = anchor
        self._last = clock.monotonic()
        self._interval = 0
        self._known = False

    def due(self, interval: int) -> float | None:
        """The monotonic time of the next one."""
        if interval != self._interval:
            if self._known:
                self._last = self._clock.monotonic()
            self._interval = interval
        self._known = True
        if interval <= 0:
            return None
        return self._anchor + ((self._last - self._anchor) // interval + 1) * interval

    def fire(self, interval: int) -> bool:
        """Whether one is due now; it is then done."""
        due, now = self.due(interval), self._clock.monotonic()
        if due is None or now < due:
            return False
        self._last = now
        return True


class Instants:
    """The instants of the wall clock that are a multiple of an interval after 00:00 UTC.

    None is given twice, however the clock is set back; none is made up for where it is set forward by more than LATE.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._interval = 0
        self._known = False
        self._done: deque[datetime] = deque(maxlen=_REMEMBERED)

    def due(self, interval: int) -> float | None:
        """The monotonic time of the next instant, as the clock goes now."""
        self._take_interval(interval)
        if interval <= 0:
            return None
        now = self._clock.now().astimezone(UTC)
        monotonic = self._clock.monotonic()
        if self._pending(interval, now, monotonic) is not None:
            return monotonic
        instant = _next(_floor(now, interval), interval)
        while instant in self._done:
            instant = _next(instant, interval)
        return monotonic + (instant - now).total_seconds()

    def fire(self, interval: int) -> datetime | None:
        """The instant that is due now, which is then done, as a sample taken for it is to be dated."""
        self._take_interval(interval)
        if interval <= 0:
            return None
        now = self._clock.now().astimezone(UTC)
        instant = self._pending(interval, now, self._clock.monotonic())
        if instant is None:
            return None
        self._done.append(instant)
        return instant if (now - instant).total_seconds() < EXACT else now

    def _take_interval(self, interval: int) -> None:
        if interval != self._interval:
            if self._known:
                self._since = self._clock.monotonic()
            self._interval = interval
        self._known = True

    def _pending(self, interval: int, now: datetime, monotonic: float) -> datetime | None:
        instant = _floor(now, interval)
        late = (now - instant).total_seconds()
        if late > LATE or monotonic - late <= self._since or instant in self._done:
            return None
        return instant


def _floor(now: datetime, interval: int) -> datetime:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(seconds=interval)
    return midnight + (now - midnight) // step * step


def _next(instant: datetime, interval: int) -> datetime:
    """Each day starts anew at midnight, also where the interval does not divide it."""
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return min(instant + timedelta(seconds=interval), midnight)
