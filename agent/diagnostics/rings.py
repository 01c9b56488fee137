"""What the agent remembers for a log while it runs: the last OCPP messages, and the last lines that it logged."""

import json
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

from agent.clock import Clock
from agent.diagnostics.blanking import blanked, without_credentials
from agent.diagnostics.slices import DatedLine
from agent.model import format_date_time

MESSAGES = 200
LINES = 2000

LONGEST_FRAME = 8000
"""Characters of a frame above which only its head is kept."""

LONGEST_LINE = 1000

_HEAD = re.compile(r'\[\s*(\d+)\s*,\s*"([^"]{1,36})"(?:\s*,\s*"(\w{1,40})")?')


class LastMessages:
    """The last `count` frames; an observer of `agent.ocpp.link.CsmsLink`. Secrets are blanked when it is read."""

    def __init__(self, clock: Clock, count: int = MESSAGES) -> None:
        self._clock = clock
        self._ring: deque[tuple[datetime, str, str, int]] = deque(maxlen=count)

    def take(self, direction: str, frame: str) -> None:
        """A frame went "in" or "out"."""
        size = len(frame)
        self._ring.append((self._clock.now(), direction, frame if size <= LONGEST_FRAME else frame[:128], size))

    def __call__(self, direction: str, frame: str) -> None:
        self.take(direction, frame)

    def lines(self) -> Iterator[DatedLine]:
        """One JSON object a line, oldest first; as they were at the call."""
        return (_message(*one) for one in self._ring.copy())


def _message(time: datetime, direction: str, frame: str, size: int) -> DatedLine:
    head = f'{{"time":"{format_date_time(time)}","direction":"{direction}","size":{size}'
    if size == len(frame):
        try:
            return time, f'{head},"frame":{blanked(frame)}}}'
        except (ValueError, RecursionError):
            pass  # no JSON: what it holds cannot be told from a secret, so only its size is told
    found = _HEAD.match(frame)
    told = [] if found is None else [int(found[1]), *(one for one in found.groups()[1:] if one)]
    return time, f'{head},"head":{json.dumps(told)}}}'


class LastLines(logging.Handler):
    """The last `count` lines of the log, for a computer without journal. Attach it to the root logger."""

    def __init__(self, now: Callable[[], datetime], count: int = LINES) -> None:
        super().__init__()
        self._now = now
        self._ring: deque[tuple[datetime, str]] = deque(maxlen=count)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a wrong log call is logging's to tell, in its own way
            self.handleError(record)
            return
        if len(text) > LONGEST_LINE:
            text = text[:LONGEST_LINE] + "…"
        self._ring.append((self._now(), text))

    def lines(self) -> Iterator[DatedLine]:
        """Oldest first; as they were at the call."""
        return (
            (time, f"{format_date_time(time)} {without_credentials(text)}".replace("\n", "\n  "))
            for time, text in self._ring.copy()
        )
