"""The record of every signal of the grid operator, kept for two years: the proof that the station was dimmed.

Files `signals-000001.csv`, ... in the state directory, only ever appended to, each line synced and with a check sum:
a power cut costs at most the line that it tore. A line that was written while the clock was not set can still be
dated by another one of the same boot. Signals are rare; a contact that chatters is told in few lines that count.
"""

import csv
import io
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, TextIO

from agent.clock import SANE, Clock
from agent.rolling import Segments, Thrift, checked, unchecked

_log = logging.getLogger(__name__)

KEEP = timedelta(days=731)
SEGMENT = 256 * 1024
"""Bytes after which a new file is begun,"""
SPAN = timedelta(days=92)
"""or this long after its first line."""
MOST_SEGMENTS = 64
BURST, REFILL = 60, 600.0
"""Lines of one source at once; after those, one in so many seconds."""
MOST_WAITING = 256
"""Lines kept in memory while the disk does not take them."""
RETRY = 30.0


@dataclass(frozen=True, slots=True)
class Signal:
    """One line. `certain`: the clock was set; `times`: how many signals it stands for, the last of which it tells."""

    time: datetime
    certain: bool
    boot: str
    uptime: float
    source: str
    what: str
    watts: float | None
    times: int = 1

    def line(self) -> bytes:
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow((
            self.time.astimezone(UTC).isoformat(timespec="milliseconds"),
            "set" if self.certain else "unset",
            self.boot,
            f"{self.uptime:.3f}",
            self.source,
            self.what,
            "" if self.watts is None else f"{self.watts:g}",
            self.times,
        ))  # fmt: skip
        text = out.getvalue().replace("\n", " ").replace("\r", " ").encode()
        return checked(text)

    def counting(self, times: int) -> Self:
        return replace(self, times=times)


def signal_from(line: bytes) -> Signal:
    """Raises ValueError for a line that is torn or damaged."""
    time, clock, boot, uptime, source, what, watts, times = next(csv.reader([unchecked(line).decode()]))
    return Signal(
        datetime.fromisoformat(time),
        clock == "set",
        boot,
        float(uptime),
        source,
        what,
        float(watts) if watts else None,
        int(times),
    )


class Signals:
    """Writes in a thread of its own. `certain` tells whether the clock is set; by default: it is not absurdly early.

    A disk that fails is told once, and tried again; meanwhile `MOST_WAITING` lines are kept in memory.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        certain: Callable[[], bool] | None = None,
        thrift: Thrift[Signal] | None = None,
        retry: float = RETRY,
    ) -> None:
        self._folder, self._clock, self._retry = folder, clock, retry
        self._segments = _segments(folder)
        self._certain = certain or (lambda: clock.now() >= SANE)
        self._thrift = thrift or Thrift(BURST, REFILL)
        self._boot = _boot()
        self._waiting: deque[Signal] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._dropped = 0
        self._told = False
        self.problem: str | None = None
        """Why signals are not on the disk, None if they are."""

    def record(self, source: str, what: str, watts: float | None) -> None:
        """Note that `source` was given `what`: `watts` hold from now on, None for no limit. Costs no time."""
        now = self._clock.monotonic()
        signal = Signal(self._clock.now(), self._certain(), self._boot, now, source, what, watts)
        with self._changed:
            given = self._thrift.give(signal, now)
            if given is not None:
                self._wait(given)
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._work, name="signals", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write the rest, unless the disk does not take it in time."""
        with self._changed:
            self._closing = True
            for signal in self._thrift.rest():
                self._wait(signal)
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _wait(self, signal: Signal) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(signal)

    def _work(self) -> None:
        failed = False
        while True:
            with self._changed:
                if failed and not self._closing:
                    self._changed.wait(self._retry)
                while not self._waiting and not self._closing:
                    now = self._clock.monotonic()
                    for signal in self._thrift.ripe(now):
                        self._wait(signal)
                    due = self._thrift.due()
                    if not self._waiting:
                        self._changed.wait(None if due is None else max(0.05, due - now))
                lines, closing = list(self._waiting), self._closing
                self._waiting.clear()
            try:
                if lines:
                    self._append(lines)
            except OSError as error:
                failed = True
                with self._changed:
                    later, self._waiting = list(self._waiting), deque()
                    for signal in (*lines, *later):
                        self._wait(signal)
                self._tell(f"signals of the grid operator cannot be written to {self._folder}: {error.strerror}")
                if closing:
                    return
                continue
            failed = False
            self._tell(None)
            if closing and not self._waiting:
                return

    def _tell(self, problem: str | None) -> None:
        self.problem = problem
        if problem is not None and not self._told:
            _log.error("%s; it is tried again", problem)
        elif problem is None and self._told:
            _log.warning("signals are written again; %d were lost", self._dropped)
            self._dropped = 0
        self._told = problem is not None

    def _append(self, lines: list[Signal]) -> None:
        files = self._segments.files()
        fresh = bool(files) and self._full(files[-1], lines[0])
        begun = self._segments.append((signal.line() for signal in lines), fresh=fresh)
        if begun is not None:
            self._forget([*files, begun], lines[-1])

    def _full(self, segment: Path, next_one: Signal) -> bool:
        if segment.stat().st_size >= SEGMENT:
            return True
        first = next((one for one in _read(segment) if one is not None and one.certain), None)
        return first is not None and next_one.certain and next_one.time - first.time > SPAN

    def _forget(self, segments: list[Path], now: Signal) -> None:
        """Delete what is older than two years, and what is too much; only seldom, when a file is begun."""
        while len(segments) > MOST_SEGMENTS:
            _log.warning("there are more signals than are kept: %s goes", segments[0].name)
            segments.pop(0).unlink()
        for segment in segments[:-1]:
            times = [one.time for one in _read(segment) if one is not None and one.certain]
            if not now.certain or not times or now.time - max(times) <= KEEP:
                break
            segment.unlink()


@dataclass(frozen=True, slots=True)
class Exported:
    """How many lines there were, and how many could not be read."""

    lines: int
    damaged: int


def export(folder: Path, out: TextIO, since: datetime | None = None) -> Exported:
    """Write all signals as CSV, the oldest first. `clock` says how good the time is: `set`, `reckoned` (from another
    line of the same boot) or `unset`, the time that the clock showed.

    Raises OSError where a file cannot be read.
    """
    found, damaged = list[Signal](), 0
    for segment in _segments(folder).files():
        for signal in _read(segment):
            if signal is None:
                damaged += 1
            else:
                found.append(signal)
    anchors = {one.boot: one for one in found if one.certain and one.boot}
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("time", "clock", "source", "signal", "watts", "times"))
    lines = 0
    for signal in found:
        time, clock = signal.time, "set" if signal.certain else "unset"
        anchor = anchors.get(signal.boot)
        if not signal.certain and anchor is not None:
            time, clock = anchor.time - timedelta(seconds=anchor.uptime - signal.uptime), "reckoned"
        if since is not None and clock != "unset" and time < since:
            continue
        watts = "" if signal.watts is None else f"{signal.watts:g}"
        stamp = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        writer.writerow((stamp, clock, signal.source, signal.what, watts, signal.times))
        lines += 1
    return Exported(lines, damaged)


def _segments(folder: Path) -> Segments:
    return Segments(folder, "signals", ".csv")


def _read(segment: Path) -> Iterator[Signal | None]:
    """Line by line; None for one that is damaged."""
    with segment.open("rb") as file:
        for line in file:
            if line == b"\n":
                continue
            try:
                yield signal_from(line)
            except (ValueError, StopIteration):
                yield None


def _boot() -> str:
    """What tells this boot of the computer from all others; "" where the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
