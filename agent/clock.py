"""The one owner of time: everything that needs the time is handed a `Clock`.

Wall time is monotonic time plus an offset, so that a correction from the CSMS never moves an interval that is
being measured. The system's own clock is never set.
"""

import time
from collections.abc import Callable
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Protocol

SANE = datetime(2026, 1, 1, tzinfo=UTC)
"""An earlier time than this is that of a clock that nobody has set."""


class Clock(Protocol):
    """What the pure parts of the agent may know of time."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def now(self) -> datetime:
        """The wall time, in UTC."""
        ...


class SystemClock:
    """The computer's monotonic clock, with a wall time that `correct` can move."""

    def __init__(self) -> None:
        self._base = datetime.now(UTC)
        self._started = time.monotonic()
        self.moved: Callable[[], None] = lambda: None
        """Called after each correction."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return self._base + timedelta(seconds=time.monotonic() - self._started)

    def correct(self, utc: datetime) -> float:
        """Take `utc` as the time now (G02.FR.06, B01.FR.06); returns by how many seconds the wall time moved.

        A time so late that no later one could be told is not taken.
        """
        if utc.year >= MAXYEAR:
            return 0.0
        moved = (utc - self.now()).total_seconds()
        self._base += timedelta(seconds=moved)
        self.moved()
        return moved
