"""What must survive of the EVSEs goes to the disk here, in the order in which it happened.

An event and what must be found again after it are one commit. What cannot be written is told to the EVSE, which then
decides as the board declares.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.evse.evse import Evse
from agent.evse.records import TransactionEvent
from agent.model import Component, Problems
from agent.store import Change, Store, StoreError

log = logging.getLogger(__name__)

ROOM = "transaction"


class Events(Protocol):
    """The queue of TransactionEvents."""

    async def keep_event(self, event: TransactionEvent, changes: Sequence[Change]) -> bool:
        """Queue a TransactionEvent with `changes` in one commit; whether both are on disk."""
        ...


class Keeping:
    """Keeps what `evses` have to be kept; `kept` is called after each commit, or after one that failed."""

    def __init__(
        self, evses: Sequence[Evse], *, store: Store, events: Events, problems: Problems, kept: Callable[[], None]
    ) -> None:
        self._evses, self._store, self._events = evses, store, events
        self._problems, self._done = problems, kept
        self._now = asyncio.Event()
        self.quiet = asyncio.Event()
        """Nothing waits for the disk."""
        self.quiet.set()
        self._waiting: list[tuple[Evse, TransactionEvent | None, str, int]] = []
        self._taken: dict[int, int] = {}
        self._behind = False

    def collect(self, evse: Evse) -> None:
        """Put what the EVSE has to be kept in line for the disk."""
        if evse.version == self._taken.get(evse.id, 0):
            return
        last = self._taken[evse.id] = evse.version
        work: list[tuple[Evse, TransactionEvent | None, str, int]] = []
        work += [(evse, event, text, 0) for event, text in evse.take()]
        now = evse.to_json()
        if work and work[-1][2] == now:
            work[-1] = (*work[-1][:3], last)
        else:
            work.append((evse, None, now, last))  # what changed after the last event
        self._waiting += work
        if self._waiting:
            self.quiet.clear()
            self._now.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._now.wait()
            self._now.clear()
            while self._waiting:
                evse, event, text, version = self._waiting.pop(0)
                changes: list[Change] = [(ROOM, str(evse.id), text or None)]
                if self._behind:
                    # The last commit failed: its messages go along with this one, and so must what belongs to them.
                    changes += [(ROOM, str(one.id), one.to_json() or None) for one in self._evses if one is not evse]
                if event is not None:
                    durable = await self._events.keep_event(event, changes)
                else:
                    durable = await self.write(changes)
                evse.kept(version, durable)
                self._behind = not durable
                self._tell(durable)
                self._done()
            self.quiet.set()

    async def write(self, changes: Sequence[Change]) -> bool:
        """Keep `changes`; whether they are on disk."""
        try:
            await self._store.keep(changes)
        except StoreError as error:
            log.error("%s", error)
            return False
        return True

    def _tell(self, durable: bool) -> None:
        controller = Component("TxCtrlr")
        if durable:
            self._problems.close(controller, "storage")
        else:
            self._problems.open(controller, "storage", "transactions cannot be written to the disk")
