"""The durable queue of TransactionEvents (part 2, E04, E11, E13): on disk first, sent in order, gone when answered.

What the EVSE must remember with an event is written in the same commit. A CALLERROR or a time-out is an attempt; a
line that is lost is none.
"""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent.evse.records import IdToken, IdTokenInfo, TransactionEvent
from agent.model import format_date_time, parse_date_time
from agent.ocpp.calls import Call, Result, Unanswered
from agent.ocpp.host import MessageStore
from agent.ocpp.messages.transactions import TransactionEventResponse
from agent.ocpp.rpc import CallResult
from agent.ocpp.transactions import info_of, request_of
from agent.ocpp.variables import Settings
from agent.store import Change, StoreError

log = logging.getLogger(__name__)

ACTION = "TransactionEvent"
CAPACITY = 10_000
"""Events kept at most; every second intermediate Updated then gives way (E04.FR.08)."""

DATING = "dating"
"""The room of events that were dated by a clock that nobody had set yet: the start of the computer, and by how many
seconds that clock was ahead of the monotonic one, which goes on when a process ends."""

ATTEMPTS = ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent")
INTERVAL = ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent")

_TIMESTAMP = re.compile(r'("timestamp":)"([^"]+)"')

Answered = Callable[[str, IdToken | None, IdTokenInfo | None, int | None], None]
"""Takes (transaction id, the token the event named, what the CSMS says of it, its chargingPriority)."""


@dataclass(slots=True)
class _Event:
    payload: str
    facts: dict[str, Any]
    number: int | None = None
    """Its number on disk; None while it is only in memory."""
    attempts: int = 0
    not_before: float = 0.0
    undated: bool = False
    """Whether its time is that of a clock that nobody had set yet."""
    ahead: float = 0.0
    """By how many seconds that clock was ahead of the monotonic one."""
    marked: bool = False
    """Whether `DATING` has an entry of it."""
    gone: bool = False
    """Whether it is to be forgotten, on disk too."""

    @property
    def transaction(self) -> str:
        return str(self.facts["transactionInfo"]["transactionId"])

    @property
    def name(self) -> str:
        """What tells it from every other event."""
        return f"{self.transaction} {self.facts['seqNo']}"

    @property
    def may_go(self) -> bool:
        return bool(self.facts["eventType"] == "Updated")

    def happened_offline(self) -> None:
        if not self.facts.get("offline"):
            self.facts["offline"] = True
            self.payload = json.dumps(self.facts, separators=(",", ":"))

    def date_anew(self, seconds: float) -> None:
        self.payload = _TIMESTAMP.sub(lambda match: f'{match[1]}"{_shifted(match[2], seconds)}"', self.payload)
        self.facts = json.loads(self.payload)


class TransactionQueue:
    """TransactionEvents on their way.

    `boot` tells this start of the computer from others, `ahead` is by how many seconds the wall clock, which nobody
    has set yet, is ahead of the computer's monotonic one.
    """

    def __init__(
        self,
        store: MessageStore,
        settings: Settings,
        wake: Callable[[], None],
        answered: Answered,
        *,
        boot: str = "",
        ahead: float = 0.0,
        capacity: int = CAPACITY,
    ) -> None:
        self._store, self._settings, self._wake, self._answered = store, settings, wake, answered
        self._boot, self._ahead, self._capacity = boot, ahead, capacity
        self._dated = self._offline = self._failing = False
        self._ready = deque(
            _Event(payload, json.loads(payload), number)
            for number, action, payload in store.messages()
            if action == ACTION
        )
        marks = store.kept(DATING)
        for one in self._ready:
            mark = marks.get(one.name)
            if mark is not None:
                start, _, ahead_then = mark.rpartition(" ")
                one.marked, one.undated, one.ahead = True, start == boot, float(ahead_then)
        self._coming: list[_Event] = []  # on their way to the disk
        self._under_way: _Event | None = None
        self._turn = asyncio.Lock()
        self._forgetting: set[asyncio.Task[None]] = set()
        self._left: list[_Event] = []  # answered, and on disk all the same
        self.offline()  # what still waits from before this start

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[_Event]:
        under_way = [] if self._under_way is None else [self._under_way]
        return [*under_way, *self._ready, *self._coming]

    def waits(self, transaction_id: str | None) -> bool:
        """Whether messages wait for an answer: of that transaction, or of any (E14)."""
        return any(transaction_id in (None, one.transaction) for one in self._all())

    async def post(self, event: TransactionEvent, changes: Iterable[Change] = ()) -> bool:
        """Queue `event` and make `changes` in one commit; whether both are on disk.

        Where the disk takes nothing it is sent from memory, and the next commit takes it along.
        """
        payload = request_of(event).to_json()
        queued = _Event(payload, json.loads(payload), undated=not self._dated, ahead=self._ahead)
        if self._offline:
            queued.happened_offline()
        self._coming.append(queued)
        try:
            async with self._turn:
                await self._save(queued, changes)
                self._ready.append(queued)
        finally:
            self._coming.remove(queued)
        self._make_room()
        self._wake()
        return queued.number is not None

    async def _save(self, queued: _Event, changes: Iterable[Change]) -> None:
        """Write what is only in memory, `queued` last. The line may take and answer some of it meanwhile."""
        under_way = [] if self._under_way is None else [self._under_way]
        batch = [one for one in (*under_way, *self._ready, queued) if one.number is None]
        marked = [one for one in batch if one.undated and self._boot]
        marks = [(DATING, one.name, f"{self._boot} {one.ahead:.3f}") for one in marked]
        try:
            numbers = await self._store.keep([*changes, *marks], [(ACTION, one.payload) for one in batch])
        except StoreError as error:
            if not self._failing:  # once, however long it lasts
                log.error("TransactionEvents are only in memory: %s", error)
            self._failing = True
            return
        if self._failing:
            log.warning("TransactionEvents are on disk again")
        self._failing = False
        left, self._left = self._left, []
        for one in left:
            self._forget(one)
        for one in marked:
            one.marked = True
        for one, number in zip(batch, numbers, strict=True):
            one.number = number
            if one.gone:
                self._forget(one)

    def _make_room(self) -> None:
        """E04.FR.07, FR.08: the 1st, 3rd, 5th … intermediate Updated goes; Started and Ended never do."""
        if len(self._ready) <= self._capacity:
            return
        kept: deque[_Event] = deque()
        dropped = 0
        odd: dict[str, bool] = {}
        for one in self._ready:
            goes = False
            if one.may_go and one is not self._ready[-1]:
                goes = odd[one.transaction] = not odd.get(one.transaction, False)
            if goes:
                dropped += 1
                self._forget(one)
            else:
                kept.append(one)
        self._ready = kept
        if dropped:
            log.error("the queue of transaction messages is full: %d intermediate ones were dropped", dropped)

    def _forget(self, one: _Event) -> None:
        one.gone = True
        if one.number is not None:
            task = asyncio.ensure_future(self._remove(one, one.number))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)

    async def _remove(self, one: _Event, number: int) -> None:
        try:
            await self._store.remove_message(number)
            if one.marked:
                await self._store.keep([(DATING, one.name, None)])
        except StoreError as error:
            log.error(
                "a message that was answered stays on disk for now, and is sent again after a restart: %s", error
            )
            self._left.append(one)

    async def settle(self) -> None:
        """Wait until what was answered is gone from the disk."""
        while self._forgetting:
            await asyncio.gather(*self._forgetting)

    # --- time ------------------------------------------------------------------------------------------------

    def clock_moved(self, seconds: float) -> None:
        """The clock was set for the first time in this start: what it dated before is dated anew."""
        if self._dated:
            return
        self._dated = True
        for one in self._all():
            # An earlier process in this start of the computer may have had another wrong time.
            shift = seconds + self._ahead - one.ahead
            if one.undated and abs(shift) >= 1.0:
                one.date_anew(shift)
            one.undated = False

    def offline(self) -> None:
        """The line is gone: what waits, and what comes until `online`, happened offline (E11.FR.07, E04.FR.03)."""
        self._offline = True
        for one in self._all():
            one.happened_offline()

    def online(self) -> None:
        """The CSMS can be reached, and has accepted the station."""
        self._offline = False

    # --- a source of calls -----------------------------------------------------------------------------------

    def next_call(self, now: float) -> Call | None:
        if self._under_way or not self._ready or self._ready[0].not_before > now:
            return None
        event = self._under_way = self._ready.popleft()
        return Call(ACTION, event.payload, self._done)

    def due(self) -> float | None:
        return self._ready[0].not_before if self._ready and not self._under_way else None

    def _done(self, result: Result, now: float) -> None:
        event, self._under_way = self._under_way, None
        if event is None:
            return
        if isinstance(result, CallResult):
            self._forget(event)
            info = priority = None
            if isinstance(result.response, TransactionEventResponse):
                priority = result.response.charging_priority
                if result.response.id_token_info is not None:
                    info = info_of(result.response.id_token_info)
            token = event.facts.get("idToken")
            told = None if token is None else IdToken(token["idToken"], token["type"])
            self._answered(event.transaction, told, info, priority)
            return
        if isinstance(result, Unanswered) and not result.timed_out:
            self._ready.appendleft(event)
            return
        event.attempts += 1
        if event.attempts < self._settings.integer(ATTEMPTS):
            # E13.FR.03: the interval times the number of preceding transmissions.
            event.not_before = now + self._settings.integer(INTERVAL) * event.attempts
            self._ready.appendleft(event)
            return
        log.error(
            "%s %s of %s is given up after %d attempts (E13.FR.04)",
            ACTION,
            event.facts["seqNo"],
            event.transaction,
            event.attempts,
        )
        self._forget(event)


def _shifted(text: str, seconds: float) -> str:
    return format_date_time(parse_date_time(text) + timedelta(seconds=seconds))
