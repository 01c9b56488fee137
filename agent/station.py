"""One station put together: the one place that knows the board, the wires, the Device Model, the store and OCPP."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from agent.board import Board, BoardError, load, read_overlay
from agent.board.wiring import ConnectorWiring, Wiring, wire
from agent.boot import boot_id, boot_reason
from agent.chargepoint import ChargePoint
from agent.chargepoint.diagnosing import Diagnosing
from agent.chargepoint.limits_making import interfaces, limiters, ratings
from agent.charging.notices import Notice
from agent.clock import SystemClock
from agent.computer import Computer
from agent.control import SWEEP, Control, Readings
from agent.diagnostics.rings import LastMessages
from agent.ems.signals import Signals
from agent.events import Events, Trips
from agent.evse.availability import Availability
from agent.evse.connector import Connector
from agent.evse.metering import signing, supported
from agent.evse.records import IdToken, IdTokenInfo, MeterValue, TransactionEvent
from agent.model import (
    AttributeType,
    Component,
    Outcome,
    Problems,
    Value,
    Variable,
)
from agent.model.restoring import restore
from agent.monitors import MonitorDesk
from agent.ocpp.handlers import load as load_handlers
from agent.ocpp.host import BootInfo, ConnectionProfile, ConnectorState
from agent.ocpp.link import CsmsLink
from agent.ocpp.variables import BASIC_AUTH_PASSWORD, QUESTIONS, REPORTING_VALUE_SIZE, Settings, controllers
from agent.ocpp.variables_monitoring import OFFLINE_QUEUING
from agent.onsite import NAME, Onsite, OnsiteError
from agent.onsite_buses import answers
from agent.onsite_model import answers as model_answers
from agent.security.events import SecurityEvents
from agent.security.log import SecurityLog
from agent.store import Change, Store, StoreError
from agent.systemd import feed_watchdog, notify, watchdog_interval
from drivers import Bus, DriverError, open_bus
from drivers.trace import statistics

log = logging.getLogger(__name__)

APPLY_SECONDS = 1.5
"""How long the stored Targets may take to reach their devices before the station boots without them."""

HEAR_SECONDS = 1.0
"""How long the first statuses wait for the first word of the charge controllers."""

LOAD_SECONDS = 2.0
"""How long after the first statuses what the start did not need is imported: BootNotification goes first."""

SETTLE_SECONDS = 5.0
"""How much longer than the longest `max_age` a `Problem` from before a restart may take to show again."""

BACK_OFF = (0.5, 5.0)
"""Seconds before a wire that failed is opened again: the first time, and at most."""

RESET_EXIT = 3
"""Exit code that asks the service manager to start the agent again."""

STOP_SECONDS = 5.0
"""How long the wires and the line to the CSMS may take to be closed before the process ends all the same."""


class CannotStart(Exception):
    """The board or the state directory is of no use; the message says what to do."""


def build_model(board: Board, settings: Mapping[str, str] | None = None, clock: SystemClock | None = None) -> Wiring:
    """The whole Device Model of `board`, controllers included, factory-fresh; `settings` are the unit's own."""
    settings = settings or {}
    wiring = wire(board)
    sockets = any(connector.is_socket for evse in board.evses.values() for connector in evse.connectors.values())
    profile = int(settings.get("security_profile", "1"))
    bays = all(wiring.model.get(Component("BayOccupancySensor", evse=one), "Active") for one in board.evses)
    # What charges is what has a controller: a board of meters alone has no transactions to configure.
    evses = tuple(board.evses) if wiring.connectors else ()
    for variable in controllers(
        clock or SystemClock(),
        settings.get("identity", ""),
        profile,
        sockets=sockets,
        evses=evses,
        measurands=supported(wiring.model, (0, *board.evses)),
        bays=bays,
        signing=signing(wiring.model, (0, *board.evses)),
        message_timeout=int(board.station.message_timeout),
    ):
        wiring.model.add(variable)
    return wiring


class Station:
    """A running station; fulfils `agent.ocpp.host.Host`."""

    def __init__(self, board: Board, store: Store, computer: str) -> None:
        settings = store.settings()
        if "csms_url" not in settings:
            raise StoreError(
                f"{store.directory}: no CSMS is set up; run: station-agent setup --state-dir {store.directory}"
            )
        self.clock = SystemClock()
        self.store = store
        self._settings = settings
        self.computer = computer
        self.boot_reason = boot_reason(settings, computer)
        station = board.station
        self.boot_info = BootInfo(station.model, station.vendor, board.serial, station.firmware)
        wiring = build_model(board, settings, self.clock)
        self.model = wiring.model
        values = Settings(self.model)
        self._password = values.variable(BASIC_AUTH_PASSWORD)
        restore(self.model, store.attributes())
        self.machine = Computer(Path("/"), store.directory, self.clock, restart_cause=self.boot_reason)
        self.machine.join(self.model)

        self.charging: ChargePoint | None = None
        self._signals: Signals | None = None
        self.heard = False
        self.security_log = SecurityLog(store.directory, self.clock)
        self.security = SecurityEvents(self.security_log, self.clock, lambda request: self.link.post(request))
        self.security.watch(self.model)
        self.messages = LastMessages(self.clock)
        self.link = CsmsLink(self, observer=self.messages, security=self.security.record)
        self.events = Events(
            self.model,
            self.clock,
            self.link.post,
            settings,
            queue=self.link.queue,
            later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            online=lambda: self.link.connected and self.link.accepted,
            queuing=lambda: values.integer(OFFLINE_QUEUING),
            transaction=lambda evse: None if self.charging is None else self.charging.transaction_on(evse),
            size=lambda: values.integer(REPORTING_VALUE_SIZE),
        )
        self.problems = Problems(self.model, self.events.problem)
        Trips(self.model, self.problems)
        self.readings = Readings(wiring.readings, self.problems, self.clock)
        for note in board.notes:
            log.warning("%s: %s", board.path, note)
        self._buses = {
            name: open_bus(
                name,
                bus_settings,
                {device: s for device, s in board.devices.items() if s.bus == name},
                board.profiles,
                self.clock.monotonic,
            )
            for name, bus_settings in board.buses.items()
        }
        self._bus_of = {device: self._buses[s.bus] for device, s in board.devices.items()}
        self.control = Control(wiring.targets, self._bus_of, self.problems, store, self.clock)
        for path, question in QUESTIONS.items():
            variable = values.variable(path)
            if variable is not None:
                self.control.before_save[variable] = question
        self.availability = Availability(self.model, lambda *_: self.link.connector_changed())
        self._generation = dict.fromkeys(board.devices, 0)
        self.readings.on_return = self._returned
        if wiring.connectors:
            self._make_charging(board, wiring)
        self.monitoring = MonitorDesk(
            self.model,
            self.clock,
            store,
            fire=self.events.fired,
            hard_wired=board.hard_wired,
            preconfigured=board.preconfigured,
            transactions=lambda evse: self.charging is not None and self.charging.in_transaction(evse),
        )
        self.clock.moved = self.monitoring.clock_moved
        if self.charging is not None:
            self.charging.transactions_changed = self.monitoring.transactions_changed
        self.diagnosing = self._make_diagnosing(board)
        self.diagnostics = self.diagnosing.offered
        self._answers = {
            "limits": self._limits_report,
            **answers(board, self._buses, self.clock),
            **model_answers(self.model, self.clock, self.problems.texts, self.events.recent),
        }
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._next_boot_reason = ""

    def _make_diagnosing(self, board: Board) -> Diagnosing:
        return Diagnosing(
            board,
            self.store,
            self.model,
            self.clock,
            self._settings,
            self.link.post,
            self.messages,
            buses=lambda: statistics(self._buses),
            dated={"events.jsonl": self.events.dated},
            security=self.security_log.dated,
            charging=self.charging,
            places=self.charging.places if self.charging else (),
            reservation_ended=self.reservation_ended,
        )

    # --- Host ---------------------------------------------------------------------------------------------------

    def connection(self) -> ConnectionProfile:
        """Where the CSMS is, as whom, with the password as it is now."""
        settings = self._settings
        password = None if self._password is None else self._password.actual.value
        return ConnectionProfile(
            settings["csms_url"],
            settings["identity"],
            str(password) if password is not None else None,
            settings.get("proxy") or None,
            self._tls,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext | None:
        if not self._settings["csms_url"].lower().startswith("wss:"):
            return None
        trust = self._settings.get("trust") or None
        try:
            context = ssl.create_default_context(cafile=trust)
        except OSError as error:  # ssl.SSLError is one
            # The hardware is looked after all the same. Without any root certificate no CSMS is trusted.
            log.error("trust: %s cannot be used: %s; no CSMS is trusted until `station-agent setup`", trust, error)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def connectors(self) -> list[ConnectorState]:
        return [ConnectorState(*one) for one in self.availability.connectors()]

    async def set_attribute(self, variable: Variable, kind: AttributeType, text: str, seconds: float) -> Outcome:
        return await self.control.set_attribute(variable, kind, text, seconds)

    def request_reset(self, reason: str) -> None:
        """Stop in an orderly way and ask to be started again (B11.FR.03)."""
        self._next_boot_reason = reason
        self.stop(RESET_EXIT)

    # --- charging -------------------------------------------------------------------------------------------------

    def _make_charging(self, board: Board, wiring: Wiring) -> None:
        connectors: dict[int, dict[int, Connector]] = {number: {} for number in board.evses}
        self._outputs: dict[tuple[int, int], ConnectorWiring] = {}
        self._signals = Signals(self.store.directory, self.clock)
        for one in wiring.connectors:
            self._outputs[one.evse, one.connector] = one
            connectors[one.evse][one.connector] = Connector(
                one.evse, one.connector, socket=one.socket, inputs=one.inputs, outputs=frozenset(one.outputs)
            )
        self.charging = ChargePoint(
            self.model,
            connectors,
            types={n: [one.type for one in evse.connectors.values()] for n, evse in board.evses.items()},
            ratings=ratings(board),
            without_storage={number: evse.without_storage for number, evse in board.evses.items()},
            clock=self.clock,
            store=self.store,
            line=self,
            availability=self.availability,
            problems=self.problems,
            request_reset=self.request_reset,
            indicators=wiring.indicators,
            limiters=limiters(board, self.model, self.clock, self._limits_changed, self._signal),
        )
        self._interfaces = interfaces(board, self.charging.limits.externals, self.charging.telemetry, self.clock)
        self.charging.restore(
            power_lost=self._settings.get("boot_id", "") != self.computer,
            resume={number: evse.on_power_loss == "resume" for number, evse in board.evses.items()},
        )

    def _limits_report(self, question: Mapping[str, Any]) -> Any:
        if self.charging is None:
            raise OnsiteError("this board does not charge cars, so nothing limits it")
        return self.charging.limits_report(question)

    def _limits_changed(self) -> None:
        if self.charging is not None:
            self.charging.wake()

    def _signal(self, name: str, what: str, watts: float | None) -> None:
        log.info("control system %s: %s", name, what if watts is None else f"{what}, {watts:g} W")
        if self._signals is not None:
            self._signals.record(name, what, watts)

    def limit_notice(self, notice: Notice) -> None:
        self.link.tell_limit(notice)

    def _returned(self, device: str) -> None:
        self._generation[device] += 1
        self.control.device_returned(device)

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        return await self.link.authorize(token)

    async def keep_event(self, event: TransactionEvent, changes: Sequence[Change]) -> bool:
        return await self.link.transactions.post(event, changes)

    def reservation_ended(self, reservation_id: int, status: str) -> None:
        from agent.ocpp.messages.reservation import ReservationStatusUpdateRequest

        self.link.post(
            ReservationStatusUpdateRequest(
                reservation_id=reservation_id,
                reservation_update_status=status,  # type: ignore[arg-type]
            )
        )

    def meter_values(self, evse: int, value: MeterValue) -> None:
        from agent.ocpp.messages.meter_values import MeterValuesRequest
        from agent.ocpp.transactions import meter_value_to

        self.link.post(MeterValuesRequest(evse_id=evse, meter_value=(meter_value_to(value),)))

    async def write(self, output: tuple[str, str], value: Value) -> None:
        device, point = output
        assert not isinstance(value, datetime)
        await self._bus_of[device].write(device, point, value)

    def outputs(self, connector: Connector) -> Mapping[str, tuple[str, str]]:
        return self._outputs[connector.evse, connector.connector].outputs

    def generation(self, output: tuple[str, str]) -> int:
        return self._generation[output[0]]

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (DriverError,)

    # --- life ---------------------------------------------------------------------------------------------------

    def stop(self, exit_code: int = 0) -> None:
        """End `run` soon, with `exit_code`."""
        self._exit_code = exit_code
        self._stop.set()

    async def run(self) -> int:
        """Be the station until `stop`; returns the exit code."""
        started = {"boot_id": self.computer, "stopped": "0", "next_boot_reason": ""}
        await self._tell_disk({**started, **self.events.reserve(), **self.events.state()})
        self.monitoring.start()
        self.readings.restart()
        jobs: list[Coroutine[Any, Any, None]] = [self._supervise(bus) for bus in self._buses.values()]
        interval = watchdog_interval()
        if interval is not None:
            jobs.append(feed_watchdog(interval))
        tasks = [asyncio.create_task(job) for job in (*jobs, self._sweep())]
        # The Targets are in hardware before the first BootNotification: one bounded attempt for each device.
        await self.control.apply_all(APPLY_SECONDS)
        onsite = Onsite(self.store.directory / NAME, self._answers)
        tasks.append(asyncio.create_task(onsite.run()))
        if self.charging is not None:
            charging = (self.charging.run(self), *self._interfaces)
            tasks += [asyncio.create_task(job) for job in charging]
        tasks += [asyncio.create_task(job) for job in (*self._watches(), self.link.run())]
        notify("READY=1")
        gc.freeze()
        gc.enable()
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        if not done - {stopping}:
            # Before anything is closed: a wire that hangs on its way out shall not cost the reason.
            await self._tell_disk({"stopped": "1", "next_boot_reason": self._next_boot_reason})
        self.security.rest()
        await self.monitoring.rest()
        self.events.flush()
        for task in (stopping, *tasks):
            task.cancel()
        closed, hanging = await asyncio.wait([stopping, *tasks], timeout=STOP_SECONDS)
        if self._signals is not None:
            self._signals.close()
        self.security_log.close()
        for task in hanging:
            log.error("%s did not end in %g s", task.get_coro(), STOP_SECONDS)
        for task in closed - done:
            if not task.cancelled() and task.exception() is not None:
                log.error("%s ended badly", task.get_coro(), exc_info=task.exception())
        for task in done - {stopping}:
            # A part that must never end has ended: the service manager starts the whole agent again.
            task.result()
            raise RuntimeError(f"{task.get_coro()} ended")
        return self._exit_code

    def _watches(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What looks after the station itself."""
        return (self._follow(), self.machine.run(self.problems), self.monitoring.run(), self.diagnosing.run())

    async def _tell_disk(self, settings: Mapping[str, str]) -> None:
        changed = {key: value for key, value in settings.items() if self._settings.get(key) != value}
        if not changed:
            return
        try:
            await self.store.save_settings(changed)
            self._settings.update(changed)
        except StoreError as error:
            # A station with a full disk still charges and reports; what it cannot keep is only why it started.
            log.error("%s", error)

    async def _supervise(self, bus: Bus) -> None:
        """Run one bus for ever: a wire that fails is opened again, alone, with back-off."""
        delay, told = BACK_OFF[0], ""
        while True:
            began = self.clock.monotonic()
            try:
                await bus.run(self.readings.take)
                reason = "ended"
            except DriverError as error:
                reason = str(error)
            except Exception:
                log.exception("bus %s: a mistake in its driver", bus.name)
                reason = "a mistake in its driver"
            if self.clock.monotonic() - began > BACK_OFF[1]:
                delay, told = BACK_OFF[0], ""
            # Once for each reason: a wire that is gone for a week shall not fill the journal.
            log.log(logging.DEBUG if reason == told else logging.WARNING, "bus %s: %s", bus.name, reason)
            told = reason
            for device in (name for name, its_bus in self._bus_of.items() if its_bus is bus):
                self.readings.lost(device, reason)
                self.control.device_returned(device)  # as soon as it can be reached, also if it can only be written
            await asyncio.sleep(delay)
            delay = min(delay * 2, BACK_OFF[1])

    async def _hear(self) -> None:
        """Let the first statuses wait for the charge controllers, so that they are true; not for long."""
        if self.charging is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEAR_SECONDS):
                    await self.charging.heard.wait()
        self.heard = True
        self.link.connector_changed()

    async def _sweep(self) -> None:
        while True:
            self.readings.sweep()
            await asyncio.sleep(SWEEP)

    async def _follow(self) -> None:
        ages = [variable.max_age for variable in self.model.variables() if variable.max_age is not None]
        settled_at = self.clock.monotonic() + max(ages, default=0.0) + SETTLE_SECONDS
        await self._hear()
        self.security.started(self.boot_reason, logged=self._settings.get("security_log") == "1")
        await self._tell_disk({"security_log": "1"})
        await asyncio.sleep(LOAD_SECONDS)
        await asyncio.to_thread(load_handlers)
        gc.freeze()
        while True:
            await asyncio.sleep(1.0)
            await self.control.step()
            self.security.step()
            if self.clock.monotonic() > settled_at:
                settled_at = math.inf
                self.events.settle()
            if self.events.low:
                await self._tell_disk(self.events.reserve())
            await self._tell_disk(self.events.state())


async def _main(board: Board, store: Store, computer: str) -> int:
    station = Station(board, store, computer)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, station.stop)
    return await station.run()


def run(name: str, state_dir: Path, overlay_file: Path | None) -> int:
    """`station-agent run`: be the station until it is stopped; its exit code. Raises CannotStart."""
    try:
        overlay = {} if overlay_file is None else read_overlay(overlay_file)
        computer = str(overlay.pop("boot_id", "")) or boot_id()
        board = load(name, overlay)
        with contextlib.closing(Store(state_dir)) as store:
            return asyncio.run(_main(board, store, computer))
    except (BoardError, StoreError, DriverError) as error:
        raise CannotStart(str(error)) from None
