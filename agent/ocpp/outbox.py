"""The durable queue: what must reach the CSMS is on disk before it is attempted, and goes after its answer.

Messages are sent in order, one at a time, and again after a time-out or a lost connection, each attempt with a new
message id (part 4 §4.1.4). Their payloads, with seqNo, eventId and time stamps, stay as they were. Messages that are
not worth a write to the disk wait in the same order, in memory.

There is room for so many. A message that finds none takes the place of the one that can best be missed: events of
monitors go first, those of the greatest severity number before the others, then the station's own events, then the
rest, and a SecurityEventNotification only where there is nothing else; of equal ones the oldest.
"""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.ocpp.calls import Call, Result, Unanswered
from agent.ocpp.host import MessageStore
from agent.ocpp.messages import Request
from agent.ocpp.rpc import CallResult, ErrorCode
from agent.store import StoreError

log = logging.getLogger(__name__)

CAPACITY = 5000
"""Messages kept at most."""

SLACK = 100
"""Messages more than that may wait for a disk that is slow, before room is made without it."""

SECURITY, OTHER, BUILT_IN, MONITOR = -1, 0, 1, 2
"""Ranks: how well a message can be missed. Of a monitor's events: MONITOR + severity."""

QUEUED, SENT, REFUSED, DROPPED = STATES = ("queued", "sent", "refused", "dropped")
"""What becomes of a message; SENT is with its answer."""

ATTEMPTS = 3
"""How often a message is sent that the CSMS fails to process."""

PAUSE = 10.0
"""Seconds before the second attempt; before the third, twice as long."""

TRANSIENT = (ErrorCode.INTERNAL_ERROR, ErrorCode.GENERIC_ERROR, ErrorCode.SECURITY_ERROR)
"""Errors that can be gone at the next attempt; any other one is about the message itself."""


@dataclass(slots=True, eq=False)
class Message:
    """A message on its way; `state` is of `STATES`."""

    action: str
    payload: str
    number: int | None = None
    """Its number on disk; None when it is not, or could not be, stored."""
    attempts: int = 0
    not_before: float = 0.0
    keep: bool = True
    """Whether it is to be on disk."""
    rank: int = OTHER
    state: str = QUEUED


class Outbox:
    """Messages on their way. Create it with `messages()` of the store read; `run` does the writing to disk.

    `wake` is called when there is something new to send.
    """

    def __init__(self, store: MessageStore, wake: Callable[[], None], capacity: int = CAPACITY) -> None:
        self._store = store
        self._wake = wake
        self._capacity = capacity
        self._ready = deque(
            Message(action, payload, number, rank=_rank(action, payload))
            for number, action, payload in store.messages()
            if action != "TransactionEvent"  # those have their own queue
        )
        self._unsaved: deque[Message] = deque()
        self._answered: deque[int] = deque()
        self._work = asyncio.Event()
        self._under_way: Message | None = None
        self._saving: asyncio.Future[list[None]] | None = None
        self._writing = 0
        self._failing = False
        self.dropped = 0
        """How many found no room since the start."""
        self._log_at = 1

    def __len__(self) -> int:
        return len(self._ready) + len(self._unsaved) + self._writing + (self._under_way is not None)

    def post(self, request: Request, *, keep: bool = True, rank: int | None = None) -> Message:
        """Take `request` into the queue; if it is to be kept, it is attempted once it is on disk."""
        action, payload = request.action, request.to_json()
        message = Message(action, payload, keep=keep, rank=_rank(action, payload) if rank is None else rank)
        self._unsaved.append(message)
        if len(self._unsaved) + len(self._ready) > self._capacity + SLACK:
            self._make_room()
        self._work.set()
        return message

    async def run(self) -> None:
        """Keep the disk up to date, until cancelled; what was posted before that is written first."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                await self._write()
        finally:
            if self._saving is not None:
                await self._saving
            await self._write()

    async def _write(self) -> None:
        while self._unsaved:
            self._make_room()
            # All of them at once: the store puts writes that arrive together into one commit.
            batch = [self._unsaved.popleft() for _ in range(len(self._unsaved))]
            self._writing = len(batch)
            self._saving = asyncio.gather(*(self._save(message) for message in batch if message.keep))
            await asyncio.shield(self._saving)
            self._saving = None
            self._ready.extend(batch)
            self._writing = 0
            self._make_room()
            self._wake()
        if self._answered:
            numbers = [self._answered.popleft() for _ in range(len(self._answered))]
            self._saving = asyncio.gather(*(self._remove(number) for number in numbers))
            await asyncio.shield(self._saving)
            self._saving = None

    async def _save(self, message: Message) -> None:
        try:
            message.number = await self._store.add_message(message.action, message.payload)
            self._failing = False
        except StoreError as error:
            # Better sent once from memory than not at all. Said once, however long it lasts.
            if not self._failing:
                log.error("%s is not on disk, nor what follows until the disk takes it: %s", message.action, error)
            self._failing = True

    async def _remove(self, number: int) -> None:
        try:
            await self._store.remove_message(number)
        except StoreError as error:
            log.error("a message that was answered stays on disk, and is sent again after a restart: %s", error)

    def _make_room(self) -> None:
        excess = len(self._ready) + len(self._unsaved) - self._capacity
        if excess <= 0:
            return
        waiting = [*self._ready, *self._unsaved]
        given_up = heapq.nsmallest(excess, range(len(waiting)), key=lambda place: (-waiting[place].rank, place))
        for place in given_up:
            self._forget(waiting[place], DROPPED)
        self._ready = deque(message for message in self._ready if message.state is not DROPPED)
        self._unsaved = deque(message for message in self._unsaved if message.state is not DROPPED)
        self.dropped += excess
        if self.dropped >= self._log_at:
            # Each time twice as many: a storm must not fill the journal too.
            self._log_at = self.dropped * 2
            log.error("the outbox is full: %d messages dropped since the start", self.dropped)

    def _forget(self, message: Message, state: str) -> None:
        message.state = state
        if message.number is not None:
            self._answered.append(message.number)
            self._work.set()

    # --- a source of calls -------------------------------------------------------------------------------------

    def next_call(self, now: float) -> Call | None:
        if self._under_way or not self._ready or self._ready[0].not_before > now:
            return None
        message = self._under_way = self._ready.popleft()
        return Call(message.action, message.payload, self._done)

    def due(self) -> float | None:
        return self._ready[0].not_before if self._ready and not self._under_way else None

    def _done(self, result: Result, now: float) -> None:
        message, self._under_way = self._under_way, None
        if message is None:
            return
        if isinstance(result, CallResult):
            self._forget(message, SENT)
        elif isinstance(result, Unanswered):
            self._ready.appendleft(message)
        else:
            message.attempts += 1
            if result.code in TRANSIENT and message.attempts < ATTEMPTS:
                message.not_before = now + PAUSE * message.attempts
                self._ready.appendleft(message)
            else:
                log.error("the CSMS refuses %s for good: %s %s", message.action, result.code, result.description)
                self._forget(message, REFUSED)


def _rank(action: str, payload: str) -> int:
    """How well a message can be missed, as far as it says itself; a monitor's severity is not told."""
    if action == "SecurityEventNotification":
        return SECURITY
    if action != "NotifyEvent":
        return OTHER
    return BUILT_IN if '"eventNotificationType":"HardWiredNotification"' in payload else MONITOR
