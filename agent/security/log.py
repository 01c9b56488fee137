"""The security log (A04.FR.04): files `security-000001.log`, ... in the state directory, of which the last four stay.

A line is JSON with a check sum. Lines of critical events are synced; a power cut costs at most the line that it tore.
"""

import errno
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from agent.clock import SANE, Clock
from agent.rolling import Segments, checked, unchecked

_log = logging.getLogger(__name__)

SEGMENT = 64 * 1024
"""Bytes after which a new file is begun."""
FILES = 4
MOST_WAITING = 256
"""Lines kept in memory while the disk does not take them; critical ones are the last to go."""
BATCH = 32
"""Lines written at once, so that a file outgrows its size by little."""
RETRY = 30.0
READY = 2.0
"""Seconds that a reader waits for lines that are just being written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `certain`: the clock was set; `times`: how many events it stands for, the last of which it tells."""

    time: datetime
    certain: bool
    type: str
    critical: bool
    tech_info: str = ""
    times: int = 1

    @property
    def source(self) -> str:
        return self.type

    def counting(self, times: int) -> Self:
        return replace(self, times=times)

    def line(self) -> bytes:
        fields: dict[str, str | bool | int] = {
            "time": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "clock": "set" if self.certain else "unset",
            "type": self.type,
            "critical": self.critical,
        }
        if self.tech_info:
            fields["techInfo"] = self.tech_info
        if self.times > 1:
            fields["times"] = self.times
        return checked(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())


def entry_from(line: bytes) -> Entry:
    """Raises ValueError for a line that is torn or damaged."""
    fields = json.loads(unchecked(line))
    return Entry(
        datetime.fromisoformat(fields["time"]),
        fields["clock"] == "set",
        fields["type"],
        fields["critical"],
        fields.get("techInfo", ""),
        fields.get("times", 1),
    )


class SecurityLog:
    """Writes in a thread of its own. A disk that fails is told once, and tried again."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        certain: Callable[[], bool] | None = None,
        retry: float = RETRY,
    ) -> None:
        self._segments, self._retry = Segments(folder, "security", ".log"), retry
        self._folder = folder
        self.certain = certain or (lambda: clock.now() >= SANE)
        """Whether the clock is set."""
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._writing = False
        self._dropped = 0
        self.problem: str | None = None
        """Why lines are not on the disk, None if they are."""
        self.full = False
        """Whether that is because the disk is full."""

    def there(self) -> bool:
        """Whether there is a log on the disk."""
        return bool(self._segments.files())

    def write(self, entry: Entry) -> None:
        """Keep `entry`. Costs no time."""
        with self._changed:
            self._wait(entry)
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._work, name="security log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, timeout: float = 5.0) -> None:
        """Write the rest, unless the disk does not take it in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def dated(self) -> Iterator[tuple[datetime | None, str]]:
        """The log, the oldest first: (time, JSON). What was written while the clock was not set has no time that
        could be compared: None.

        A generator that reads files: for a thread. Raises OSError.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.problem is not None or not (self._waiting or self._writing), READY)
        for path in self._segments.files():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue  # it has rolled away meanwhile
            with file:
                for line in file:
                    try:
                        entry = entry_from(line)
                    except (ValueError, KeyError, TypeError):
                        continue
                    yield entry.time if entry.certain else None, unchecked(line).decode()

    def lines(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[bytes]:
        """As `dated`: ended lines with a time in `since..until`, and those without (N01)."""
        for time, text in self.dated():
            if time is not None and ((since is not None and time < since) or (until is not None and time > until)):
                continue
            yield text.encode() + b"\n"

    def _wait(self, entry: Entry) -> None:
        if len(self._waiting) >= MOST_WAITING:
            least = next((number for number, one in enumerate(self._waiting) if not one.critical), 0)
            del self._waiting[least]
            self._dropped += 1
        self._waiting.append(entry)

    def _work(self) -> None:
        failed = False
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                if failed and not self._closing:
                    self._changed.wait_for(lambda: self._closing, self._retry)
                self._changed.wait_for(lambda: bool(self._waiting) or self._closing)
                if not self._waiting:
                    return
                entries = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                self._writing = True
                closing = self._closing
            try:
                self._append(entries)
            except OSError as error:
                failed = True
                with self._changed:
                    later, self._waiting = list(self._waiting), deque()
                    for entry in (*entries, *later):
                        self._wait(entry)
                self._failed(error)
                if closing:
                    return
                continue
            failed = False
            self._succeeded()

    def _append(self, entries: list[Entry]) -> None:
        files = self._segments.files()
        fresh = bool(files) and files[-1].stat().st_size >= SEGMENT
        begun = self._segments.append(
            (entry.line() for entry in entries), fresh=fresh, sync=any(entry.critical for entry in entries)
        )
        if begun is not None:
            for old in [*files, begun][:-FILES]:
                old.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> None:
        first = self.problem is None
        self.full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        self.problem = f"the security log cannot be written to {self._folder}: {os.strerror(error.errno or 0)}"
        if first:
            _log.error("%s; it is tried again", self.problem)

    def _succeeded(self) -> None:
        if self.problem is not None:
            _log.warning("the security log is written again; %d lines were lost", self._dropped)
            self._dropped = 0
        self.problem, self.full = None, False
