"""When periodic monitors trigger: on elapsed time (N08.FR.06), or on the wall clock through its jumps (N08.FR.07)."""

import heapq
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from agent.clock import Clock
from agent.monitoring.monitors import MonitorType
from agent.monitoring.watch import Look

DAY = 86_400.0
LATE = 60.0
"""Seconds by which a boundary may be past and still be told, and by which the clock may go back without telling one
again; half the interval where that is less."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def boundaries(now: datetime, interval: float) -> tuple[datetime, datetime]:
    """The last boundary not after `now`, and the next: counted from 00:00 UTC of the day (part 2 §N08).

    What does not divide the day begins anew at midnight; more than a day is counted from the epoch.
    """
    start = _EPOCH if interval > DAY else now.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(seconds=interval)
    last = start + (now - start) // step * step
    following = last + step
    if interval <= DAY:
        following = min(following, start + timedelta(days=1))
    return last, following


class _Aligned:
    """All monitors with one interval share its boundaries; `last` is the one told last, or passed in silence."""

    __slots__ = ("interval", "last", "looks", "told")

    def __init__(self, interval: float, now: datetime) -> None:
        self.interval = interval
        self.last = boundaries(now, interval)[0]
        self.told = False
        self.looks: dict[Look, datetime] = {}
        """With the wall time of their setting: a boundary at or before it is not theirs."""

    @property
    def late(self) -> timedelta:
        return timedelta(seconds=min(LATE, self.interval / 2))

    def is_ahead(self, now: datetime) -> bool:
        """Whether the clock went back so far that boundaries already told come again."""
        return now < (self.last - self.late if self.told else self.last)


class Periods:
    """All periodic monitors. `due` asks to be called again, `step` tells whose time has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: list[tuple[float, int, Look]] = []
        self._order = itertools.count()
        self._elapsed: dict[Look, int] = {}
        """The one entry of the queue that counts for each."""
        self._aligned: dict[float, _Aligned] = {}

    def put(self, look: Look) -> None:
        """Count from now on."""
        interval = look.monitor.value
        if look.monitor.type is MonitorType.PERIODIC:
            self._push(look, self._clock.monotonic() + interval)
            return
        now = self._clock.now()
        group = self._aligned.get(interval)
        if group is None:
            group = self._aligned[interval] = _Aligned(interval, now)
        group.looks[look] = now

    def remove(self, look: Look) -> None:
        if self._elapsed.pop(look, None) is not None:
            if len(self._queue) > 2 * len(self._elapsed) + 16:
                self._queue = [one for one in self._queue if self._elapsed.get(one[2]) == one[1]]
                heapq.heapify(self._queue)
            return
        interval = look.monitor.value
        group = self._aligned.get(interval)
        if group is not None:
            group.looks.pop(look, None)
            if not group.looks:
                del self._aligned[interval]

    def _push(self, look: Look, at: float) -> None:
        order = next(self._order)
        self._elapsed[look] = order
        heapq.heappush(self._queue, (at, order, look))

    def due(self) -> float | None:
        """The monotonic time at which `step` has something to do; None: nothing. A jump of the clock moves it."""
        while self._queue and self._elapsed.get(self._queue[0][2]) != self._queue[0][1]:
            heapq.heappop(self._queue)
        times = [self._queue[0][0]] if self._queue else []
        if self._aligned:
            now, monotonic = self._clock.now(), self._clock.monotonic()
            for group in self._aligned.values():
                following = boundaries(now if group.is_ahead(now) else max(now, group.last), group.interval)[1]
                times.append(monotonic + (following - now).total_seconds())
        return min(times, default=None)

    def step(self) -> Iterator[Look]:
        """Those whose time has come, each once however late it is. What else passed meanwhile is not made up."""
        monotonic = self._clock.monotonic()
        while self._queue and self._queue[0][0] <= monotonic:
            at, order, look = heapq.heappop(self._queue)
            if self._elapsed.get(look) == order:
                following = at + look.monitor.value
                self._push(look, following if following > monotonic else monotonic + look.monitor.value)
                yield look
        if self._aligned:
            now = self._clock.now()
            for group in list(self._aligned.values()):
                yield from self._passed(group, now)

    def _passed(self, group: _Aligned, now: datetime) -> Iterator[Look]:
        last = boundaries(now, group.interval)[0]
        if last > group.last:
            group.last, group.told = last, False
            if now - last <= group.late:
                for look, since in list(group.looks.items()):
                    if since < last and look in group.looks:
                        group.told = True
                        yield look
            for look in group.looks:
                group.looks[look] = min(group.looks[look], last)
        elif group.is_ahead(now):
            group.last, group.told = last, False
            for look in group.looks:
                group.looks[look] = min(group.looks[look], now)
