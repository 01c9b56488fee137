"""Events of one moment go together: NotifyEventRequests of many events, in parts where one would be too long (N07).

The first event after some quiet goes at once. What follows within `MOMENT` waits for its end, so that a storm makes a
few messages a second, however many events it has.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.clock import Clock
from agent.events.recent import Record
from agent.monitoring import Kind
from agent.ocpp.messages.base import Request
from agent.ocpp.messages.diagnostics import EventDataType, NotifyEventRequest
from agent.ocpp.outbox import BUILT_IN, MONITOR, Message

MOMENT = 0.2
"""Seconds in which events are of one moment."""

EVENTS = 50
"""Events in one message, at most."""

BYTES = 60_000
"""JSON bytes of the events in one message; one that is longer by itself goes alone."""

WAITING = 1000
"""Events that wait at most, whatever the clock says: then they go."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls back after so many seconds, like `asyncio.AbstractEventLoop.call_later`."""


class Queue(Protocol):
    """`agent.ocpp.outbox.Outbox.post`."""

    def __call__(self, request: Request, /, *, keep: bool, rank: int) -> Message: ...


@dataclass(frozen=True, slots=True)
class Pending:
    """An event on its way into a message; `keep`: onto the disk, until it is answered."""

    data: EventDataType
    record: Record
    keep: bool

    @property
    def rank(self) -> int:
        fired = self.record.fired
        return BUILT_IN if fired.kind is Kind.HARD_WIRED_NOTIFICATION else MONITOR + fired.severity


class Batches:
    """Makes messages of events and gives them to `queue`; without `later` each event goes alone, at once."""

    def __init__(self, clock: Clock, queue: Queue, later: Later | None) -> None:
        self._clock = clock
        self._queue = queue
        self._later = later
        self._waiting: list[Pending] = []
        self._flushed = float("-inf")
        self._timer = False

    def add(self, event: Pending) -> None:
        """Take one; order is kept among those that are kept, and among those that are not."""
        self._waiting.append(event)
        quiet = self._clock.monotonic() - self._flushed
        if self._later is None or (quiet >= MOMENT and not self._timer) or len(self._waiting) >= WAITING:
            self.flush()
        elif not self._timer:
            self._timer = True
            self._later(MOMENT - quiet, self._over)

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._flushed = self._clock.monotonic()
        for keep in (True, False):
            series = [event for event in waiting if event.keep is keep]
            if series:
                self._send(series, keep)

    def _over(self) -> None:
        self._timer = False
        self.flush()

    def _send(self, series: Sequence[Pending], keep: bool) -> None:
        # Where the outbox has no room, all parts of a series count as its most important event.
        rank = min(event.rank for event in series)
        now = self._clock.now()
        parts = list(_parts(series))
        for number, part in enumerate(parts):
            data = tuple(event.data for event in part)
            more = True if number < len(parts) - 1 else None
            request = NotifyEventRequest(generated_at=now, seq_no=number, event_data=data, tbc=more)
            message = self._queue(request, keep=keep, rank=rank)
            for event in part:
                event.record.message = message


def _parts(series: Sequence[Pending]) -> Iterator[list[Pending]]:
    if len(series) == 1:
        yield [series[0]]
        return
    part, room = list[Pending](), BYTES
    for event in series:
        size = len(event.data.to_json().encode()) + 1
        if part and (size > room or len(part) == EVENTS):
            yield part
            part, room = [], BYTES
        part.append(event)
        room -= size
    yield part
