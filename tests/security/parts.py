"""What the tests of security events share: a clock to move, and waiting."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.security.log import SecurityLog

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Hands:
    """A clock that stands still until it is told to go on."""

    def __init__(self, start: datetime = NOW) -> None:
        self.time, self.start = 100.0, start

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.time - 100)


def read(log: SecurityLog, since: datetime | None = None, until: datetime | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.lines(since, until)]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
