"""The session with the CSMS as one state machine: booting, what may be sent when, time-outs, back-off, being offline.

Pure: it is handed frames and the monotonic time, and returns frames; `agent.ocpp.link` owns the socket. One session
lives as long as the process; connections come and go beneath it.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.ocpp.authorization import Questions
from agent.ocpp.availability import Heartbeats, Statuses
from agent.ocpp.calls import Call, Result, Source, Unanswered
from agent.ocpp.handling import Reply
from agent.ocpp.host import Host, Security, nobody
from agent.ocpp.host_monitoring import monitoring_of
from agent.ocpp.messages import Request
from agent.ocpp.messages.boot import (
    BootNotificationRequest,
    BootNotificationResponse,
    BootReason,
    ChargingStationType,
    RegistrationStatus,
)
from agent.ocpp.outbox import Outbox
from agent.ocpp.reports import Reports
from agent.ocpp.rpc import Answer, CallFailed, CallReceived, CallResult, ErrorCode, Ignored, Rpc
from agent.ocpp.transaction_queue import TransactionQueue
from agent.ocpp.variables import (
    BACK_OFF_MINIMUM,
    BACK_OFF_RANDOM,
    BACK_OFF_REPEATS,
    HEARTBEAT_INTERVAL,
    MESSAGE_TIMEOUT,
    OFFLINE_THRESHOLD,
    TIME_ADJUSTMENT,
    Settings,
)

if TYPE_CHECKING:
    from agent.ocpp.messages.remote_control import TriggerMessageRequest

log = logging.getLogger(__name__)

Random = Callable[[], float]
"""A number from 0 to 1, such as `random.random`."""

BOOT_INTERVAL = 30.0
"""Seconds until the next BootNotification where the CSMS named no interval (B02.FR.07, B03.FR.05)."""

BOOT_JITTER = 10.0
"""Seconds at most that are added to it, so that a fleet does not come at once."""

MAX_TRIGGERED = 32
"""Messages asked for with TriggerMessage that may wait; more are Rejected."""


class Kind(StrEnum):
    """Where outgoing messages come from."""

    BOOT = "boot"
    TRIGGERED = "triggered"
    STATUS = "status"
    HEARTBEAT = "heartbeat"
    AUTHORIZE = "authorize"
    TRANSACTION = "transaction"
    OUTBOX = "outbox"
    REPORT = "report"


SENDABLE: Mapping[RegistrationStatus | None, tuple[Kind, ...]] = {
    None: (Kind.BOOT,),  # B01.FR.08
    RegistrationStatus.PENDING: (Kind.BOOT, Kind.TRIGGERED, Kind.REPORT),  # B02.FR.02
    RegistrationStatus.REJECTED: (Kind.BOOT,),  # B03.FR.02
    RegistrationStatus.ACCEPTED: (
        Kind.AUTHORIZE,  # somebody stands there and waits
        Kind.TRIGGERED,
        Kind.STATUS,
        Kind.HEARTBEAT,
        Kind.TRANSACTION,
        Kind.OUTBOX,
        Kind.REPORT,
    ),
}
"""What may be sent in which state of registration, first things first; None is before any answer."""

BULK = (Kind.OUTBOX, Kind.REPORT)
"""Kinds that can have many messages at once: they take turns. TransactionEvents do not: they come before both."""


class BackOff:
    """How long to wait before connecting again (part 4 §5.3, erratum 4.12)."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait now; twice as long the next time, up to RetryBackOffRepeatTimes times."""
        doublings = min(self._failures, self._settings.integer(BACK_OFF_REPEATS))
        self._failures += 1
        wait = self._settings.integer(BACK_OFF_MINIMUM) * 2.0**doublings
        return wait + self._random() * self._settings.integer(BACK_OFF_RANDOM)

    def reset(self) -> None:
        """A connection was made."""
        self._failures = 0


class Boot:
    """When to send BootNotification, and what came of it (B01-B03)."""

    def __init__(self, host: Host, random: Random, answered: Callable[[BootNotificationResponse], None]) -> None:
        self._host = host
        self._random = random
        self._answered = answered
        self._at: float | None = 0.0
        self._reason = BootReason(host.boot_reason)
        self._triggered = False
        self.status: RegistrationStatus | None = None

    def opened(self, now: float) -> None:
        """There is a connection. Who was never answered has waited long enough while connecting."""
        if self.status is None:
            self._at = now

    def trigger(self) -> None:
        """Send one now, because the CSMS asks for it."""
        self._triggered = True
        self._at = 0.0

    def next_call(self, now: float) -> Call | None:
        if self._at is None or now < self._at:
            return None
        self._at = None
        info = self._host.boot_info
        station = ChargingStationType(
            model=info.model,
            vendor_name=info.vendor,
            serial_number=info.serial,
            firmware_version=info.firmware,
        )
        reason = BootReason.TRIGGERED if self._triggered else self._reason
        self._triggered = False
        return Call.of(BootNotificationRequest(charging_station=station, reason=reason), self._done)

    def due(self) -> float | None:
        return self._at

    def _done(self, result: Result, now: float) -> None:
        interval = 0
        if isinstance(result, CallResult) and isinstance(result.response, BootNotificationResponse):
            self.status = result.response.status
            interval = result.response.interval
            log.info("BootNotification: %s, interval %d s", self.status, interval)
            self._answered(result.response)
        elif isinstance(result, CallFailed):
            log.warning("BootNotification: %s %s", result.code, result.description)
        self._triggered = False  # one that was asked for meanwhile has just been sent (F06.FR.10)
        if self.status is RegistrationStatus.ACCEPTED:
            self._at = None
        else:
            # B02.FR.04, FR.07, FR.08; B03.FR.05, FR.06; and B01's error handling when there was no answer.
            self._at = now + (interval if interval > 0 else BOOT_INTERVAL + self._random() * BOOT_JITTER)


class Triggered:
    """The messages that the CSMS asked for with TriggerMessage (F06)."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[float], Call | None]] = deque()

    @property
    def full(self) -> bool:
        return len(self._waiting) >= MAX_TRIGGERED

    def add(self, make: Callable[[float], Call | None]) -> None:
        """Send what `make` returns then: only current information (F06.FR.09)."""
        self._waiting.append(make)

    def next_call(self, now: float) -> Call | None:
        while self._waiting:
            call = self._waiting.popleft()(now)
            if call is not None:
                return call
        return None

    def due(self) -> float | None:
        return 0.0 if self._waiting else None


class Session:
    """What is sent when. `poll` gives the next CALL, `receive` takes what comes, `reply` answers the CSMS's CALLs."""

    def __init__(
        self,
        host: Host,
        settings: Settings,
        outbox: Outbox,
        random: Random,
        transactions: TransactionQueue,
        security: Security = nobody,
    ) -> None:
        now = host.clock.monotonic()
        self.questions = Questions()
        self._transactions = transactions
        self._clock_set = self._online = False
        self._host = host
        self._settings = settings
        self._security = security
        self.boot = Boot(host, random, self._booted)
        self.reports = Reports()
        self.statuses = Statuses(host)
        self._heartbeats = Heartbeats(settings, self._take_time, now)
        self._triggered = Triggered()
        self._sources: dict[Kind, Source] = {
            Kind.BOOT: self.boot,
            Kind.TRIGGERED: self._triggered,
            Kind.STATUS: self.statuses,
            Kind.HEARTBEAT: self._heartbeats,
            Kind.AUTHORIZE: self.questions,
            Kind.TRANSACTION: transactions,
            Kind.OUTBOX: outbox,
            Kind.REPORT: self.reports,
        }
        self._rpc: Rpc | None = None
        self._call: Call | None = None
        self._last: Kind | None = None
        self._offline_since = now
        self.unanswered = 0
        """How many CALLs in a row got no answer in time on this connection."""

    @property
    def connected(self) -> bool:
        return self._rpc is not None

    @property
    def accepted(self) -> bool:
        """Whether the CSMS accepted the BootNotification since the start; being offline does not change that."""
        return self.boot.status is RegistrationStatus.ACCEPTED

    # --- the connection ------------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """A connection stands. After an offline period the CSMS is told what it may have missed (B04).

        A station that was accepted before sends no BootNotification (part 4 §5.3).
        """
        self._rpc = Rpc(self._settings.integer(MESSAGE_TIMEOUT))
        self.unanswered = 0
        self.boot.opened(now)
        self._heartbeats.sent(now)
        if self.accepted:
            if now - self._offline_since > self._settings.integer(OFFLINE_THRESHOLD):
                self.statuses.tell_all()  # B04.FR.01; those that changed wait anyway (B04.FR.02)
            self._heartbeats.soon()
            self._tell_online(True)

    def closed(self, now: float) -> None:
        """The connection is gone."""
        self._finish(Unanswered("the connection was lost"), now)
        self.reports.clear()
        self.questions.clear("the connection was lost")
        self._tell_online(False)
        self._rpc = None
        self._offline_since = now

    # --- what goes out ---------------------------------------------------------------------------------------------

    def poll(self, now: float) -> str | None:
        """The next CALL's frame, if one may be sent now; there is one outstanding at a time (part 4 §4.1.1)."""
        rpc = self._rpc
        if rpc is None:
            return None
        expired = rpc.expired(now)
        if expired is not None:
            if self._last is not Kind.TRANSACTION:
                self.unanswered += 1  # how often a TransactionEvent is sent again, and when, is E13's to say
            log.warning("%s: no answer in time", expired.action)
            self._finish(Unanswered("no answer in time", timed_out=True), now)
        if self._call is not None:
            return None
        for kind in self._order():
            call = self._sources[kind].next_call(now)
            if call is not None:
                self._call, self._last = call, kind
                self._heartbeats.sent(now)
                rpc.message_timeout = self._settings.integer(MESSAGE_TIMEOUT)
                return rpc.call_json(call.action, call.payload, now)
        return None

    def due(self) -> float | None:
        """The monotonic time at which to poll again, if nothing else happens before."""
        if self._rpc is None:
            return None
        if self._call is not None:
            return self._rpc.deadline
        times = [self._sources[kind].due() for kind in SENDABLE[self.boot.status]]
        return min((time for time in times if time is not None), default=None)

    def _order(self) -> list[Kind]:
        """What may be sent; of two that have much to send, the one that had its turn comes last."""
        had_turn = self._last if self._last in BULK else None
        return sorted(SENDABLE[self.boot.status], key=lambda kind: kind is had_turn)

    def reply(self, call: CallReceived, reply: Reply, now: float) -> str:
        """The frame that answers `call`. Raises UnknownMessageId for a CALL of another connection."""
        self._heartbeats.sent(now)
        return self._connection.reply(call.message_id, reply.response)

    def reply_error(self, call: CallReceived, code: ErrorCode, description: str) -> str:
        """The frame that refuses `call`. Raises UnknownMessageId for a CALL of another connection."""
        return self._connection.reply_error(call.message_id, code, description)

    @property
    def _connection(self) -> Rpc:
        if self._rpc is None:
            raise RuntimeError("there is no connection")
        return self._rpc

    # --- what comes in ---------------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes, now: float) -> CallReceived | str | None:
        """A frame from the CSMS: a CALL to handle, a frame to send at once, or None."""
        event = self._connection.receive(frame)
        rejected = self.boot.status is RegistrationStatus.REJECTED
        match event:
            case CallReceived() if rejected:
                # B03.FR.08
                return self.reply_error(event, ErrorCode.SECURITY_ERROR, "BootNotification was rejected")
            case CallReceived():
                return event
            case CallResult() | CallFailed():
                self.unanswered = 0
                self._finish(event, now)
            case Answer() if rejected:
                kind, message_id, *_ = json.loads(event.text)
                error = [kind, message_id, ErrorCode.SECURITY_ERROR, "BootNotification was rejected", {}]
                return json.dumps(error, separators=(",", ":"))
            case Answer():
                log.warning("refused a frame: %s %s", event.code, event.description)
                if event.code is not ErrorCode.NOT_SUPPORTED:
                    self._security("InvalidMessages", f"{event.code}: {event.description}")
                return event.text
            case Ignored():
                log.info("ignored a frame: %s", event.reason)
        return None

    def _finish(self, result: Result, now: float) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.done(result, now)

    def _booted(self, response: BootNotificationResponse) -> None:
        self._take_time(response.current_time)  # B01.FR.06
        if response.status is not RegistrationStatus.ACCEPTED:
            return
        interval = self._settings.variable(HEARTBEAT_INTERVAL)
        if interval is not None and response.interval > 0:
            interval.update(response.interval)  # B01.FR.04, G02.FR.01
        self.statuses.tell_all()  # B01.FR.05
        self._tell_online(True)

    def _tell_online(self, online: bool) -> None:
        """The CSMS can be asked and told, or no more."""
        if online == self._online:
            return
        self._online = online
        if online:
            self._transactions.online()
        else:
            self._transactions.offline()
        if self._host.charging is not None:
            self._host.charging.online(online)
        monitoring = monitoring_of(self._host)
        if monitoring is not None:
            monitoring.online(online)

    def _take_time(self, utc: datetime) -> None:
        if self._settings.heartbeats_set_the_clock:
            moved = self._host.clock.correct(utc)
            if not self._clock_set:
                self._clock_set = True
                self._transactions.clock_moved(moved)
            if abs(moved) >= 1.0:
                log.info("the clock was moved by %+.1f s to the CSMS's time", moved)
            if abs(moved) > self._settings.integer(TIME_ADJUSTMENT):
                self._security("SettingSystemTime", f"moved by {moved:+.1f} s to the CSMS's time")

    # --- TriggerMessage --------------------------------------------------------------------------------------------

    def may_trigger(self, request: "TriggerMessageRequest") -> bool:
        """Whether the message can be sent: BootNotification only until it was accepted (F06.FR.17)."""
        if request.requested_message.value == "BootNotification":
            return not self.accepted
        return not self._triggered.full

    def trigger(self, request: "TriggerMessageRequest") -> None:
        """Send the message as soon as the line is free (F06.FR.10)."""
        match request.requested_message.value:
            case "BootNotification":
                self.boot.trigger()
            case "Heartbeat":
                self._triggered.add(self._heartbeats.call)
            case "StatusNotification" if request.evse and request.evse.connector_id is not None:
                place = (request.evse.id, request.evse.connector_id)
                self._triggered.add(lambda _now: self.statuses.call(place))

    def send(self, request: Request) -> None:
        """Send `request` as soon as the line is free, once."""
        self._triggered.add(lambda _now: Call.of(request, _heard))

    def transaction_messages(self, transaction_id: str | None) -> bool:
        """Whether TransactionEvents wait for an answer: of that transaction, or of any (E14)."""
        return self._transactions.waits(transaction_id)


def _heard(result: Result, _now: float) -> None:
    if not isinstance(result, CallResult):
        log.warning("a message that was asked for got no answer")
