"""What passes on a wire, and how its devices answer: kept while the agent runs, cheap while nobody asks.

A bus puts the bytes where they pass into the ring of its `BusTrace`, and counts per device; whoever asks pays for the
rest (decoding is in `drivers.trace_decode`). Everything happens in the event loop's thread.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from drivers import DriverError

DEPTH = 2000
"""Records that a wire keeps."""

MOST_BYTES = 256 << 10
"""Bytes that a wire keeps, in all of its records."""

BOUNDS = tuple(0.0005 * 2 ** (step / 2) for step in range(31))
"""Upper bounds in s of the response times' buckets: half an octave each, 0.5 ms to 16 s; one more is for the rest."""

LONGEST_TEXT = 200

IN, OUT = "in", "out"

Record = tuple[float, str, bytes]
"""Monotonic time, direction as the agent sees it, bytes."""


class Counters:
    """How one device answers. Where nobody asks it (P1, readers, pins), `requests` stays 0."""

    __slots__ = ("_now", "answers", "buckets", "errors", "last_at", "last_error", "longest", "requests")

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.requests = 0
        self.answers = 0
        self.errors: dict[str, int] = {}
        """By `DriverError.kind`: timeout, garbage, exception, refused, lost."""
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.longest = 0.0
        self.last_error = ""
        self.last_at: datetime | None = None

    def asked(self) -> None:
        self.requests += 1

    def answered(self, seconds: float | None = None) -> None:
        """`seconds` after it was asked; None where nobody did."""
        self.answers += 1
        if seconds is not None:
            self.buckets[bisect_left(BOUNDS, seconds)] += 1
            if seconds > self.longest:
                self.longest = seconds

    def failed(self, kind: str, text: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.last_error, self.last_at = text[:LONGEST_TEXT], self._now()

    def quantile(self, share: float) -> float | None:
        """Seconds in which `share` of the answers came, as exact as the buckets are; None before the first."""
        wanted, seen = share * sum(self.buckets), 0
        for number, count in enumerate(self.buckets):
            seen += count
            if count and seen >= wanted:
                return min(self.longest, BOUNDS[number]) if number < len(BOUNDS) else self.longest
        return None

    def statistics(self) -> dict[str, Any]:
        """What JSON can hold: times in s; the histogram has [upper bound | null, count] of the buckets in use."""
        timed = any(self.buckets)
        return {
            "requests": self.requests,
            "answers": self.answers,
            "errors": dict(self.errors),
            "response": {
                "p50": self.quantile(0.5),
                "p95": self.quantile(0.95),
                "max": self.longest if timed else None,
            },
            "histogram": [
                [round(BOUNDS[number], 6) if number < len(BOUNDS) else None, count]
                for number, count in enumerate(self.buckets)
                if count
            ],
            "last_error": self.last_error or None,
            "last_error_at": None if self.last_at is None else self.last_at.isoformat(timespec="milliseconds"),
        }


class BusTrace:
    """One wire: its latest records, and the counters of its devices."""

    def __init__(
        self,
        driver: str,
        devices: Iterable[str],
        monotonic: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.driver = driver
        self.devices = {device: Counters(now) for device in devices}
        self.monotonic, self.now = monotonic, now
        self.count = 0
        """Records ever made; the number of the next one."""
        self.bytes_in = 0
        self.bytes_out = 0
        self._ring: deque[Record] = deque()
        self._held = 0

    def heard(self, data: bytes) -> None:
        """Bytes that came from the wire."""
        self.bytes_in += len(data)
        self._keep((self.monotonic(), IN, data))

    def sent(self, data: bytes) -> None:
        """Bytes that are given to the wire."""
        self.bytes_out += len(data)
        self._keep((self.monotonic(), OUT, data))

    def _keep(self, record: Record) -> None:
        ring = self._ring
        ring.append(record)
        self.count += 1
        self._held += len(record[2])
        while len(ring) > DEPTH or self._held > MOST_BYTES:
            self._held -= len(ring.popleft()[2])

    def failed(self, error: DriverError) -> None:
        """Something that hits every device on the wire."""
        for counters in self.devices.values():
            counters.failed(error.kind, str(error))

    def since(self, number: int, most: int = DEPTH) -> tuple[int, list[Record]]:
        """(number of the first, records): from `number` on, or from the oldest that is left; `most` at most."""
        oldest = self.count - len(self._ring)
        first = min(max(number, oldest), self.count)
        skip = first - oldest
        return first, [record for at, record in enumerate(self._ring) if skip <= at < skip + most]

    def statistics(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "driver": self.driver,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "devices": {device: counters.statistics() for device, counters in self.devices.items()},
        }


def trace_of(bus: object) -> BusTrace | None:
    """The trace of a bus, None for one that keeps none."""
    found = getattr(bus, "trace", None)
    return found if isinstance(found, BusTrace) else None


def statistics(buses: Mapping[str, object]) -> dict[str, Any]:
    """What JSON can hold: {bus: {"driver", "bytes_in", "bytes_out", "devices": {device: counters}}}."""
    traces = {name: trace_of(bus) for name, bus in buses.items()}
    return {name: trace.statistics() for name, trace in traces.items() if trace is not None}
