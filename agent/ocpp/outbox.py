"""The durable queue: what must reach the CSMS is on disk before it is attempted, and goes after its answer.

Messages are sent in order, one at a time, and again after a time-out or a lost connection, each attempt with a new
message id (part 4 §4.1.4). Their payloads, with seqNo, eventId and time stamps, stay as they were.
"""

import asyncio
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
"""Messages kept at most; a new one then takes the place of the oldest."""

ATTEMPTS = 3
"""How often a message is sent that the CSMS fails to process."""

PAUSE = 10.0
"""Seconds before the second attempt; before the third, twice as long."""

TRANSIENT = (ErrorCode.INTERNAL_ERROR, ErrorCode.GENERIC_ERROR, ErrorCode.SECURITY_ERROR)
"""Errors that can be gone at the next attempt; any other one is about the message itself."""


@dataclass(slots=True)
class _Message:
    action: str
    payload: str
    number: int | None = None
    """Its number on disk; None when it could not be stored."""
    attempts: int = 0
    not_before: float = 0.0


class Outbox:
    """Messages on their way. Create it with `messages()` of the store read; `run` does the writing to disk.

    `wake` is called when there is something new to send.
    """

    def __init__(self, store: MessageStore, wake: Callable[[], None], capacity: int = CAPACITY) -> None:
        self._store = store
        self._wake = wake
        self._capacity = capacity
        self._ready = deque(
            _Message(action, payload, number)
            for number, action, payload in store.messages()
            if action != "TransactionEvent"  # those have their own queue
        )
        self._unsaved: deque[_Message] = deque()
        self._answered: deque[int] = deque()
        self._work = asyncio.Event()
        self._under_way: _Message | None = None
        self._saving: asyncio.Future[list[None]] | None = None

    def __len__(self) -> int:
        return len(self._ready) + len(self._unsaved) + (self._under_way is not None)

    def post(self, request: Request) -> None:
        """Take `request` into the queue; it is attempted once it is on disk."""
        self._unsaved.append(_Message(request.action, request.to_json()))
        self._work.set()

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
            # All of them at once: the store puts writes that arrive together into one commit.
            batch = [self._unsaved.popleft() for _ in range(len(self._unsaved))]
            self._saving = asyncio.gather(*(self._save(message) for message in batch))
            await asyncio.shield(self._saving)
            self._saving = None
            self._ready.extend(batch)
            self._make_room()
            self._wake()
        while self._answered:
            number = self._answered.popleft()
            try:
                await self._store.remove_message(number)
            except StoreError as error:
                log.error("a message that was answered stays on disk, and is sent again after a restart: %s", error)

    async def _save(self, message: _Message) -> None:
        try:
            message.number = await self._store.add_message(message.action, message.payload)
        except StoreError as error:
            # Better sent once from memory than not at all.
            log.error("%s is not on disk: %s", message.action, error)

    def _make_room(self) -> None:
        while len(self._ready) > self._capacity:
            oldest = self._ready.popleft()
            log.error("the outbox is full: a %s was dropped", oldest.action)
            self._forget(oldest)

    def _forget(self, message: _Message) -> None:
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
            self._forget(message)
        elif isinstance(result, Unanswered):
            self._ready.appendleft(message)
        else:
            message.attempts += 1
            if result.code in TRANSIENT and message.attempts < ATTEMPTS:
                message.not_before = now + PAUSE * message.attempts
                self._ready.appendleft(message)
            else:
                log.error("the CSMS refuses %s for good: %s %s", message.action, result.code, result.description)
                self._forget(message)
