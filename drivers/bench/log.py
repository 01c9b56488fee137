"""What the bench saw happen, numbered, each entry with a monotonic and a wall time."""

import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

KEPT = 20_000
"""Entries kept; older ones are forgotten, their numbers are not used again."""


class Log:
    """Entries in the form of `GET /bench/log`."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.next = 1
        """The number that the next entry gets."""

    def add(self, what: str, **about: Any) -> None:
        """Note that `what` (write, fault, power, network, …) happened now, with what it was about."""
        self._entries.append(
            {"n": self.next, "t": round(time.monotonic(), 6), "at": wall_time(), "what": what, **about}
        )
        self.next += 1

    def since(self, number: int) -> list[dict[str, Any]]:
        """The entries from `number` on."""
        return [entry for entry in self._entries if entry["n"] >= number]


def wall_time() -> str:
    """Now, as OCPP writes it, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
