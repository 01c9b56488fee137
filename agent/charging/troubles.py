"""What is wrong with a source of limits, told once and closed again after calm. Pure."""

from collections import deque

CALM = 60.0
"""Seconds without another occurrence after which a trouble is over."""
MOST_CHANGES = 60
"""Changes of one scope within `CALM` s that are still no flapping."""


class Troubles:
    """Open troubles by kind. The words of one stay as they were when it began: nobody can make them a flood."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}

    def note(self, kind: str, text: str, now: float) -> None:
        """It happened, at `now`."""
        known = self._open.get(kind)
        self._open[kind] = (text if known is None or now - known[1] >= CALM else known[0], now)

    def close(self, kind: str) -> None:
        self._open.pop(kind, None)

    def text(self, now: float) -> str | None:
        """All that is open, in the order of their kinds."""
        for kind in [kind for kind, (_, last) in self._open.items() if now - last >= CALM]:
            del self._open[kind]
        return "; ".join(self._open[kind][0] for kind in sorted(self._open)) or None


class Flapping:
    """Counts the changes of one scope."""

    def __init__(self) -> None:
        self._changes: deque[float] = deque(maxlen=MOST_CHANGES)

    def change(self, now: float) -> bool:
        """Another one; returns whether they are too many."""
        too_many = len(self._changes) == MOST_CHANGES and now - self._changes[0] < CALM
        self._changes.append(now)
        return too_many
