"""The time that a log is asked for, and lines that know when they were written."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

DatedLine = tuple[datetime | None, str]
"""A line and when it was written; None for one that belongs to any time, such as the head of a table."""


@dataclass(frozen=True, slots=True)
class Slice:
    """From `oldest` to `latest`, both included; None is open."""

    oldest: datetime | None = None
    latest: datetime | None = None

    def holds(self, time: datetime | None) -> bool:
        """Whether what happened at `time` is asked for."""
        if time is None:
            return True
        return (self.oldest is None or time >= self.oldest) and (self.latest is None or time <= self.latest)

    def of(self, lines: Iterable[DatedLine]) -> Iterator[str]:
        """The lines that are asked for."""
        return (line for time, line in lines if self.holds(time))
