"""The EVSEs at work: what the hardware says goes to the cores in `agent.evse`, what they decide goes to the hardware.

The thin shell around the pure rooms: it wakes them, writes their commands to the buses, keeps what must survive,
asks the CSMS for authorization. An unplugged car's contactor opens without waiting for the disk or the CSMS.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from agent.board.wiring import IndicatorWiring
from agent.chargepoint.desk import END_SECONDS, UNLOCK_SECONDS, Desk
from agent.chargepoint.facts import bay, offered, protections
from agent.chargepoint.hands import Buses, Hands
from agent.chargepoint.keeping import ROOM, Events, Keeping
from agent.chargepoint.lamps import Lamp
from agent.chargepoint.limits import Limiters, Limits, Told
from agent.chargepoint.limits_report import report
from agent.chargepoint.smart_charging import SmartCharging
from agent.chargepoint.telemetry import telemetry
from agent.charging.car import Rating
from agent.clock import Clock
from agent.ems.telemetry import Telemetry
from agent.evse.authorization import Authorizer
from agent.evse.availability import Availability
from agent.evse.connector import Connector
from agent.evse.evse import Evse
from agent.evse.metering import Aligned, Meter
from agent.evse.records import IdToken, IdTokenInfo, MeterValue
from agent.evse.reservations import Reservation, Reservations
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel, Problems
from agent.ocpp.host import RemoteStart, StartAnswer
from agent.store import Store

log = logging.getLogger(__name__)

TICK = 0.25
"""Seconds after which every EVSE is looked at, whether or not anything changed."""


class Line(Events, Told, Protocol):
    """The line to the CSMS, as far as EVSEs need it."""

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        """Ask the CSMS (C01). Raises NotAnswered."""
        ...

    def reservation_ended(self, reservation_id: int, status: str) -> None: ...

    def meter_values(self, evse: int, value: MeterValue) -> None: ...


class ChargePoint:
    """All EVSEs of one station; fulfils `agent.ocpp.host.Charging`."""

    def __init__(
        self,
        model: DeviceModel,
        connectors: Mapping[int, Mapping[int, Connector]],
        *,
        types: Mapping[int, Sequence[str]],
        ratings: Mapping[int, Rating],
        without_storage: Mapping[int, str],
        clock: Clock,
        store: Store,
        line: Line,
        availability: Availability,
        problems: Problems,
        request_reset: Callable[[str], None],
        indicators: Sequence[IndicatorWiring] = (),
        limiters: Limiters | None = None,
    ) -> None:
        self._model, self._clock, self._store, self._line = model, clock, store, line
        self._problems, self._request_reset = problems, request_reset
        self.availability = availability
        self._settings = EvseSettings(model)
        self.authorizer = Authorizer(model, clock, store)
        self.reservations = Reservations(model, clock, availability, types)
        self._wake = asyncio.Event()
        limiters = limiters or Limiters()
        self.smart_charging = SmartCharging(
            model,
            clock,
            store,
            ratings=ratings,
            station=limiters.connection,
            wake=self._wake.set,
            background=self._background,
        )
        self.limits = Limits(
            model,
            clock,
            store,
            ratings=ratings,
            limiters=limiters,
            csms=self.smart_charging,
            told=line,
            problems=problems,
            background=self._background,
        )
        self.smart_charging.external = self.limits
        self._meters = {number: Meter(model, number, clock) for number in (0, *connectors)}
        self.evses = {
            number: Evse(
                number,
                group,
                settings=self._settings,
                meter=self._meters[number],
                clock=clock,
                new_id=lambda: str(uuid.uuid4()),
                protections=protections(model, number),
                limit=lambda connector: self.limits.current(connector.evse),
                bay=bay(model, number),
                charge_without_storage=without_storage[number] == "charge",
            )
            for number, group in connectors.items()
        }
        self._floating = Evse(
            0, {}, settings=self._settings, meter=self._meters[0], clock=clock, new_id=lambda: str(uuid.uuid4())
        )
        for number, evse in self.evses.items():
            self._meters[number].offered = offered(evse)
        self.smart_charging.attach(self.evses)
        self.limits.attach(self.evses, self._meters)
        self._all = [*self.evses.values(), self._floating]
        self._aligned = Aligned(model, self._meters, clock, lambda number: self.evses[number].tx is not None)
        availability.busy = self._busy
        self._idle = asyncio.Event()
        self.heard = asyncio.Event()
        """Every connector's hardware has been heard since the start, and the connectors' states follow from it."""
        self._keeping = Keeping(self._all, store=store, events=line, problems=problems, kept=self._wake.set)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._online = False
        self._running: set[str] = set()
        self.transactions_changed: Callable[[], None] = lambda: None
        """Called when a transaction began or ended."""
        self._desk = Desk(
            model,
            self.evses,
            self._floating,
            line=line,
            authorizer=self.authorizer,
            availability=availability,
            reservations=self.reservations,
            wake=self._wake.set,
            background=self._background,
            keep=self._keep_room,
        )
        self._lamps = [
            Lamp(one, self.evses[one.evse], availability, protections(model, one.evse), self._awaits, problems)
            for one in indicators
        ]
        for variable in model.variables():
            if variable.max_age is not None and variable.component.name in _WATCHED:
                variable.listen(lambda *_: self._wake.set())

    # --- life ------------------------------------------------------------------------------------------------------

    def restore(self, *, power_lost: bool, resume: Mapping[int, bool]) -> None:
        """Take up what was going on before this start. Raises StoreError."""
        rooms = self._store.kept("evse")
        if "availability" in rooms:
            self._restored("availability", lambda: self.availability.from_json(rooms["availability"]))
        if "reservations" in rooms:
            self._restored("reservations", lambda: self.reservations.from_json(rooms["reservations"]))
        for key, text in self._store.kept(ROOM).items():
            evse = next((one for one in self._all if str(one.id) == key), None)
            if evse is None:
                log.error("EVSE %s of a kept transaction is not on this board", key)
                continue
            take_up = partial(evse.restore, text, power_lost=power_lost, resume=resume.get(evse.id, True))
            self._restored(f"EVSE {key}", take_up)
        self.limits.restore()
        self.smart_charging.restore()

    def _restored(self, what: str, take_up: Callable[[], None]) -> None:
        try:
            take_up()
        except (ValueError, KeyError, TypeError) as error:
            log.error("%s: what was kept cannot be read: %s", what, error)

    async def run(self, buses: Buses) -> None:
        """Look after the EVSEs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeping.run())
            hands = [
                Hands(connector, buses, self._problems)
                for evse in self.evses.values()
                for connector in evse.connectors.values()
            ]
            for one in hands:
                group.create_task(one.run(self._clock))
            for lamp in self._lamps:
                group.create_task(lamp.run(buses, self._clock))
            while True:
                self.step()
                for one in hands:
                    one.look()
                for lamp in self._lamps:
                    lamp.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await self._wake.wait()
                self._wake.clear()

    def _pause(self) -> float:
        """Seconds until the EVSEs are to be looked at again, if nothing changes before."""
        times = [*(evse.due() for evse in self._all), self.limits.due()]
        due = min((time for time in times if time is not None), default=None)
        return TICK if due is None else min(TICK, max(0.01, due - self._clock.monotonic()))

    def step(self) -> None:
        """Look at every EVSE once."""
        self.smart_charging.step()
        self.limits.step(online=self._online)
        for evse in self._all:
            evse.online = self._online
            busy = evse.busy
            evse.step()
            if busy and not evse.busy:
                self._session_over(evse.id)
        self._adopt_floating()
        self._facts()
        if all(evse.known for evse in self.evses.values()):
            self.heard.set()
        for evse in self._all:
            self._keeping.collect(evse)
        running = {evse.tx.id for evse in self._all if evse.tx is not None}
        if running != self._running:
            self._running = running
            self.transactions_changed()
        for reservation_id, status in self.reservations.step():
            self._line.reservation_ended(reservation_id, status)
            self._background(self._keep_room())
        for number, value in self._aligned.step():
            self._line.meter_values(number, value)
        for meter in self._meters.values():
            meter.look()

    def _awaits(self, evse: Evse) -> bool:
        """Whether the driver who was authorized before an EVSE was chosen may charge at this one."""
        auth = self._floating.auth
        if auth is None or (auth.evse_ids and evse.id not in auth.evse_ids):
            return False
        return evse.open_to(auth.token) and self._desk.open_to(evse, auth.token, auth.group)

    def _adopt_floating(self) -> None:
        for evse in self.evses.values():
            if evse.connected and self._awaits(evse):
                evse.take_over(self._floating)
                self._keeping.collect(self._floating)
                evse.step()
                return

    def _facts(self) -> None:
        """What the connectors' states follow from."""
        for number, evse in self.evses.items():
            for one, connector in evse.connectors.items():
                if connector.pilot is not None:
                    self.availability.set_occupied(number, one, connector.plugged)
                fault = connector.fault
                self.availability.set_fault(number, one, "hardware", fault is not None)
                contactor = Component("PowerContactor", None, number, one)
                if fault is None:
                    self._problems.close(contactor, "hardware")
                else:
                    self._problems.open(contactor, "hardware", fault)
                lock = Component("ConnectorPlugRetentionLock", None, number, one)
                if connector.retention.stuck or (evse.lock_failed and connector is evse.active):
                    moves = "lock" if connector.command.lock or evse.lock_failed else "unlock"
                    self._problems.open(lock, "lock", f"the plug does not {moves}")
                else:
                    self._problems.close(lock, "lock")

    def _session_over(self, number: int) -> None:
        self._idle.set()
        if self.availability.transaction_ended(number or None):
            self._background(self._keep_room())

    def _busy(self, number: int | None) -> bool:
        return any(evse.busy for evse in self._all if number is None or evse.id == number)

    async def _keep_room(self) -> bool:
        return await self._keeping.write(
            [
                ("evse", "availability", self.availability.to_json()),
                ("evse", "reservations", self.reservations.to_json()),
            ]
        )

    def _background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a driver's wish failed", exc_info=task.exception())
        self._wake.set()

    # --- the CSMS: agent.ocpp.host.Charging ------------------------------------------------------------------------

    def online(self, online: bool) -> None:
        self._online = self._desk.online = online
        for evse in self._all:
            evse.online = online

    @property
    def places(self) -> Sequence[Evse]:
        """The EVSEs, and the place of a driver who was authorized before one was chosen."""
        return self._all

    def telemetry(self) -> Telemetry:
        """What control systems may read."""
        return telemetry(self.evses, self._meters, self.limits.ratings, self.limits.arbiter)

    def limits_report(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What `station-agent limits` shows; there is nothing that `question` could add."""
        del question
        return report(self.limits, self.smart_charging, self.evses, self._clock)

    def in_transaction(self, evse: int | None) -> bool:
        """Whether a transaction runs on that EVSE (None: on any)."""
        return any(one.tx is not None and evse in (None, one.id) for one in self._all)

    def transaction_on(self, evse: int) -> str | None:
        """The id of the transaction that runs there."""
        found = self.evses.get(evse)
        return None if found is None or found.tx is None else found.tx.id

    def wake(self) -> None:
        """Something that limits changed: look at the EVSEs now."""
        self._wake.set()

    def request_start(self, request: RemoteStart) -> StartAnswer:
        answer = self._desk.request_start(request)
        refused = self.smart_charging.remote_start(request) if answer.status == "Accepted" else None
        if refused is not None:
            return StartAnswer("Rejected", refused.reason_code, refused.info)  # K05.FR.05
        return answer

    def request_stop(self, transaction_id: str) -> StartAnswer:
        evse = self._of(transaction_id)
        if evse is None:
            return StartAnswer("Rejected", "TxNotFound")

        def stop() -> None:
            if evse.tx is not None and evse.tx.id == transaction_id:
                evse.end_authorization("remote")
                self._wake.set()

        return StartAnswer("Accepted", then=stop)

    def _of(self, transaction_id: str) -> Evse | None:
        return next((one for one in self._all if one.tx is not None and one.tx.id == transaction_id), None)

    def ongoing(self, transaction_id: str) -> bool:
        return self._of(transaction_id) is not None

    async def unlock(self, evse: int, connector: int) -> str:
        found = self.evses.get(evse)
        if found is None or connector not in found.connectors:
            return "UnknownConnector"
        one = found.connectors[connector]
        if found.auth is not None and found.tx is not None and found.active is one:
            return "OngoingAuthorizedTransaction"
        if not one.has_lock:
            return "UnlockFailed"
        found.unlock(UNLOCK_SECONDS)
        self._wake.set()
        for _ in range(int(UNLOCK_SECONDS / 0.1)):
            await asyncio.sleep(0.1)
            if one.locked is False and not one.retention.stuck:
                return "Unlocked"
        return "UnlockFailed"

    async def change_availability(self, evse: int | None, connector: int | None, operative: bool) -> str:
        before = self.availability.to_json()
        status = self.availability.change(evse, connector, operative)
        if status != "Rejected" and not await self._keep_room():
            self.availability.from_json(before)
            return "Rejected"
        self._wake.set()
        return status

    async def reserve(self, reservation: Reservation) -> str:
        before = self.reservations.to_json()
        status = self.reservations.reserve(reservation)
        if status == "Accepted" and not await self._keep_room():
            self.reservations.from_json(before)
            return "Rejected"
        self._wake.set()
        return status

    async def cancel_reservation(self, reservation_id: int) -> bool:
        before = self.reservations.to_json()
        known = self.reservations.cancel(reservation_id)
        if known and not await self._keep_room():
            self.reservations.from_json(before)
            return False
        self._wake.set()
        return known

    async def clear_cache(self) -> bool:
        return await self.authorizer.clear_cache()

    async def list_version(self) -> int:
        return await self.authorizer.list_version()

    async def send_list(
        self, version: int, *, full: bool, entries: Sequence[tuple[IdToken, IdTokenInfo | None]], size: int
    ) -> str:
        return await self.authorizer.send_list(version, full=full, entries=entries, size=size)

    def transaction_answered(
        self, transaction_id: str, token: IdToken | None, info: IdTokenInfo | None, priority: int | None
    ) -> None:
        found = self._of(transaction_id)
        if priority is not None and found is not None and found.auth is not None:
            found.auth.priority = priority  # K03.FR.05: of this transaction, whatever the token's is
        if info is None:
            return
        if token is not None:
            self._background(self.authorizer.answered(token, info))
        evse = self._of(transaction_id)
        if evse is not None and not info.accepted:
            auth = evse.auth
            if auth is not None and (token is None or token.same(auth.token)):
                evse.refused(transaction_id)
        elif evse is not None and evse.auth is not None and info.group is not None and evse.auth.group is None:
            evse.auth.group = info.group
        self._wake.set()

    def trigger_transactions(self, evse: int | None) -> bool:
        found = [one for one in self._all if evse in (None, one.id) and one.trigger()]
        self._wake.set()
        return bool(found)

    def trigger_meter_values(self, evse: int | None) -> Sequence[tuple[int, MeterValue]]:
        return self._aligned.trigger(evse)

    def may_reset(self, evse: int | None, on_idle: bool) -> str:
        if evse is not None:
            return "Rejected"
        return "Scheduled" if on_idle and self._busy(None) else "Accepted"

    def reset(self, evse: int | None, on_idle: bool) -> None:
        del evse
        self._background(self._reset(on_idle))

    async def _reset(self, on_idle: bool) -> None:
        self._desk.closed = not on_idle
        reason = "ScheduledReset" if on_idle and self._busy(None) else "RemoteReset"
        if on_idle:
            while self._busy(None):
                self._idle.clear()
                await self._idle.wait()
            self._desk.closed = True
        else:
            for one in self._all:
                if one.busy:
                    one.end_authorization("reset")
            for _ in range(int(END_SECONDS / 0.1)):
                if not self._busy(None):
                    break
                await asyncio.sleep(0.1)
        self._wake.set()
        await asyncio.sleep(0.05)
        await self._keeping.quiet.wait()
        self._request_reset(reason)


_WATCHED = (
    "CPPWMController",
    "Connector",
    "PowerContactor",
    "ConnectorPlugRetentionLock",
    "RCD",
    "EmergencyStopSensor",
    "BayOccupancySensor",
)
"""Components whose changes are looked at at once."""
