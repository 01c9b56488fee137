"""The station's monitors at work: what the CSMS asks of them is on disk before it is answered (block N).

The rules are in `agent.monitoring`. Here are the clock's turns, the disk, and the variables of MonitoringCtrlr.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from agent.clock import Clock
from agent.model import Component, DeviceModel, Value, Variable, VariableName
from agent.monitoring import Change, Fired, Monitor, MonitorRequest, Monitors, SetResult
from agent.monitoring.active import check
from agent.monitoring.matrix import rejected
from agent.monitoring.places import Place
from agent.ocpp.variables_monitoring import BASE, ENABLED, LEVEL, OFFLINE_QUEUING
from agent.store import Change as Kept
from agent.store import StoreError

log = logging.getLogger(__name__)

ROOM = "monitors"

PAUSE = 1.0
"""Seconds between two writes of which thresholds are exceeded: the first is at once."""

RETRY = 60.0
"""Seconds until a write that failed is tried again."""

LONGEST = 60.0
"""Seconds after which periods are looked at, whatever they said: the clock may have been moved."""

Answer = TypeVar("Answer")


class Keeper(Protocol):
    """Where monitors are kept; `agent.store.Store` is one."""

    def kept(self, room: str) -> dict[str, str]: ...

    async def keep(self, changes: Iterable[Kept], messages: Sequence[tuple[str, str]] = ()) -> list[int]: ...


class MonitorDesk:
    """Fulfils `agent.ocpp.host_monitoring.Monitoring`; `run` tells of periods and keeps what is exceeded.

    Made when the Device Model is complete; nothing is watched before `start`. While a request is being written, what
    triggers waits for its commit: the CSMS hears of no monitor that then could not be kept. A declared monitor that
    no variable can have is left out: a board cannot know what every computer has. Raises StoreError where the disk
    cannot be read, ValueError where an id or place is declared twice.
    """

    def __init__(
        self,
        model: DeviceModel,
        clock: Clock,
        store: Keeper,
        *,
        fire: Callable[[Fired], object],
        hard_wired: Sequence[Monitor] = (),
        preconfigured: Sequence[Monitor] = (),
        transactions: Callable[[int | None], bool] = lambda evse: False,
    ) -> None:
        self._model = model
        self._clock = clock
        self._store = store
        self._fire = fire
        self._hard_wired, self._preconfigured = _usable(model, hard_wired), _usable(model, preconfigured)
        self._transactions = transactions
        self._online = False
        self._kept = store.kept(ROOM)
        self._unsaved: dict[str, str | None] = {}
        self._save_at = 0.0
        self._failing = False
        self._fired: list[Fired] | None = None
        self._changes: dict[str, str | None] | None = None
        """What waits for the request that is being written; None while none is."""
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self.monitors = self._made()
        for path, turn in ((ENABLED, self._enabled), (OFFLINE_QUEUING, self._queuing)):
            variable = self._variable(path)
            if variable is not None:
                variable.listen(turn)

    def start(self) -> None:
        """Take back what was kept, and begin to watch: once, when events can be told."""
        self._restore()
        self._show()

    # --- what the CSMS asks -----------------------------------------------------------------------------------------

    async def set(self, requests: Sequence[MonitorRequest]) -> list[SetResult]:
        """N04: one result per request, in order. Those that cannot be stored are Rejected, together."""
        results: list[SetResult] = []
        try:
            await self._carry_out(lambda: results.extend(self.monitors.set(one) for one in requests))
        except StoreError as error:
            log.error("monitors: %s", error)
            lost = rejected("InternalError", "it cannot be stored")
            return [lost if one.accepted else one for one in results]
        return results

    async def clear(self, ids: Sequence[int]) -> list[str]:
        """N06: Accepted, NotFound or Rejected per id, in order."""
        results: list[str] = []
        try:
            await self._carry_out(lambda: results.extend(self.monitors.clear(one) for one in ids))
        except StoreError as error:
            log.error("monitors: %s", error)
            return ["Rejected" if one == "Accepted" else one for one in results]
        return results

    async def set_base(self, base: str) -> bool:
        """N03. Raises StoreError."""
        return await self._carry_out(lambda: self.monitors.set_base(base))

    async def set_level(self, level: int) -> bool:
        """N05: False for a severity that is none. Raises StoreError."""
        return await self._carry_out(lambda: self.monitors.set_level(level))

    def report(self, criteria: frozenset[str] = frozenset(), places: Sequence[Place] = ()) -> Iterator[Monitor]:
        """N02: the active monitors that match, those of one variable in a row."""
        return self.monitors.report(criteria, places)

    async def _carry_out(self, work: Callable[[], Answer]) -> Answer:
        """Do `work` and commit what it changed; as it was before where that fails. Raises StoreError."""
        async with self._lock:
            fired: list[Fired] = []
            changes: dict[str, str | None] = {}
            self._fired, self._changes = fired, changes
            later = changes
            try:
                answer = work()
                ours = {one.monitor.id for one in fired if one.monitor is not None} | set(map(_id, changes))
                later = self._changes = {}
                try:
                    if changes:
                        await self._save(changes)
                except StoreError:
                    waited, fired[:] = fired[:], []
                    self._unsaved.update({key: text for key, text in later.items() if _id(key) not in ours})
                    later.clear()
                    self._start_over()
                    fired[:0] = [one for one in waited if self._stands(one, ours)]
                    raise
                except asyncio.CancelledError:
                    # The commit goes on; whether it succeeds nobody hears. Written again, it is so in any case.
                    self._unsaved.update(changes)
                    raise
            finally:
                self._fired = self._changes = None
                self._changed(list(later.items()))
                self._show()
                for one in fired:
                    self._fire(one)
                self._wake.set()
            return answer

    def _stands(self, fired: Fired, ours: Container[int | None]) -> bool:
        """Whether that is to be told though the request failed whose monitors are `ours`."""
        id = None if fired.monitor is None else fired.monitor.id
        return id is None or (id not in ours and self.monitors.get(id) is not None)

    # --- what happens in the station --------------------------------------------------------------------------------

    def online(self, online: bool) -> None:
        """The CSMS can be reached and has accepted the station, or no more."""
        self._online = online
        self.monitors.online(online)

    def transactions_changed(self) -> None:
        """A transaction started or ended."""
        self.monitors.transactions_changed()

    def clock_moved(self) -> None:
        """The wall time was corrected: clock-aligned periods are looked at at once."""
        self._wake.set()

    async def run(self) -> None:
        """Tell of periods as their time comes, and keep what changed without a request."""
        while True:
            self._wake.clear()
            self.monitors.step()
            await self._keep_up()
            wait = self._next() - self._clock.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.0)):
                    await self._wake.wait()

    async def rest(self) -> None:
        """Before the station stops: keep what was not kept yet."""
        self._save_at = 0.0
        await self._keep_up()

    def _next(self) -> float:
        times = [self._clock.monotonic() + LONGEST]
        due = self.monitors.due()
        if due is not None:
            times.append(due)
        if self._unsaved:
            times.append(self._save_at)
        return min(times)

    async def _keep_up(self) -> None:
        if not self._unsaved or self._clock.monotonic() < self._save_at:
            return
        pause = PAUSE
        async with self._lock:
            try:
                await self._save({})
            except StoreError as error:
                if not self._failing:
                    log.error("monitors: %s", error)
                self._failing, pause = True, RETRY
            else:
                self._failing = False
        self._save_at = self._clock.monotonic() + pause

    # --- the rules and the disk -------------------------------------------------------------------------------------

    async def _save(self, changes: Mapping[str, str | None]) -> None:
        """Write `changes` and what was not written yet, in one commit. Raises StoreError."""
        before, self._unsaved = self._unsaved, {}
        rows = {**before, **changes}
        try:
            await self._store.keep([(ROOM, key, text) for key, text in rows.items()])
        except BaseException:
            self._unsaved = {**before, **self._unsaved}
            raise
        _put(self._kept, rows)

    def _changed(self, changes: Sequence[Change]) -> None:
        if self._changes is not None:
            self._changes.update(changes)
        elif changes:
            if not self._unsaved:
                self._wake.set()
            self._unsaved.update(changes)

    def _told(self, fired: Fired) -> None:
        if self._fired is not None:
            self._fired.append(fired)
        else:
            self._fire(fired)

    def _start_over(self) -> None:
        """As it was before the request: what is kept says so. Deltas and periods begin anew."""
        self.monitors.close()
        self.monitors = self._made()
        self._restore()

    def _made(self) -> Monitors:
        monitors = Monitors(
            self._model,
            self._clock,
            hard_wired=self._hard_wired,
            preconfigured=self._preconfigured,
            fire=self._told,
            change=self._changed,
            transactions=self._transactions,
        )
        enabled, queuing = self._value(ENABLED), self._value(OFFLINE_QUEUING)
        monitors.enable(enabled is not False)
        if isinstance(queuing, int):
            monitors.queue_up_to(queuing)
        monitors.online(self._online)
        return monitors

    def _restore(self) -> None:
        room = dict(self._kept)
        _put(room, self._unsaved)
        for trouble in self.monitors.restore(room):
            log.warning("%s", trouble)

    # --- MonitoringCtrlr --------------------------------------------------------------------------------------------

    def _variable(self, path: tuple[str, str, str | None]) -> Variable | None:
        component, name, instance = path
        return self._model.get(Component(component), VariableName(name, instance))

    def _value(self, path: tuple[str, str, str | None]) -> Value | None:
        variable = self._variable(path)
        return None if variable is None else variable.actual.current

    def _enabled(self, _variable: Variable, _old: Value | None, new: Value | None) -> None:
        self.monitors.enable(new is not False)

    def _queuing(self, _variable: Variable, _old: Value | None, new: Value | None) -> None:
        if isinstance(new, int):
            self.monitors.queue_up_to(new)

    def _show(self) -> None:
        for paths, value in ((BASE, self.monitors.base), (LEVEL, self.monitors.level)):
            for path in paths:
                variable = self._variable(path)
                if variable is not None and variable.actual.value != value:
                    variable.update(value)


def _usable(model: DeviceModel, monitors: Sequence[Monitor]) -> tuple[Monitor, ...]:
    usable = []
    for one in monitors:
        try:
            check(model, [one])
        except ValueError as error:
            log.warning("%s: it is left out", error)
        else:
            usable.append(one)
    return tuple(usable)


def _id(key: str) -> int | None:
    """The monitor that a key of the room is about; None: it is about none."""
    number = key.partition("/")[2]
    return int(number) if number else None


def _put(room: dict[str, str], changes: Mapping[str, str | None]) -> None:
    for key, text in changes.items():
        if text is None:
            room.pop(key, None)
        else:
            room[key] = text
