"""The events of the station: what monitors fire, and what it tells by itself without one having been set (N07, N08).

A `Problem` that turns and a protection that trips are told by themselves. Both, and what monitors fire that must
survive being offline, wait on disk for the CSMS's answer; what else monitors fire goes while the CSMS can be reached.
That a connector became Faulted or Unavailable is StatusNotification's to say (G01): it is told here only when a
monitor watches it. Event ids are unique over power cuts: a block is reserved on disk before its first is used.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from agent.clock import Clock
from agent.events.batches import Batches, Later, Pending, Queue
from agent.events.causes import Causes
from agent.events.recent import Recent, Record
from agent.model import Component, DeviceModel, Value, Variable
from agent.model.problems import PROBLEM
from agent.monitoring import Fired, Kind, Trigger
from agent.ocpp.messages.base import ComponentType, EVSEType, Request, VariableType
from agent.ocpp.messages.diagnostics import EventDataType, EventNotificationType, EventTrigger
from agent.ocpp.outbox import DROPPED, Message

log = logging.getLogger(__name__)

BLOCK = 10_000
"""Event ids that one start reserves; 2³¹ of them last for 200,000 starts."""

TRIP_SEVERITY = 1
"""Hardware failure, as of a monitor (part 2 §2.41); no event carries it, who is on site sees it."""

PROBLEM_SEVERITY = 4
"""Error."""

_LAST = 2**31 - 1
"""The greatest event id: an integer of OCPP has 32 bits (part 2 §2.1.2). After it they begin anew."""

_RESERVED = "event_ids_reserved"
_OPEN = "events_open"
_TRIPPED = ("tripped", "")
_CODES = {"powercontactor": ("CPPWMController", "FaultCode")}
"""Component with a Problem → where its connector's controller says which fault it is."""


class Events:
    """Makes events of what happens and gives them to `queue`; `settings` hold what earlier starts reserved.

    Without `queue` all go to `post`, durably. `later` batches them. `queuing` is MonitoringCtrlr's
    OfflineQueuingSeverity, `transaction` the id of the transaction that runs on an EVSE, `size` how long a value
    may be (ReportingValueSize).
    """

    def __init__(
        self,
        model: DeviceModel,
        clock: Clock,
        post: Callable[[Request], object],
        settings: Mapping[str, str],
        *,
        queue: Queue | None = None,
        later: Later | None = None,
        online: Callable[[], bool] = lambda: True,
        queuing: Callable[[], int] = lambda: 9,
        transaction: Callable[[int], str | None] = lambda evse: None,
        size: Callable[[], int] = lambda: 2500,
    ) -> None:
        self._model = model
        self._clock = clock
        self._batches = Batches(clock, queue or _through(post), later)
        self._online = online
        self._queuing = queuing
        self._transaction = transaction
        self._size = size
        self._causes = Causes()
        self._recent = Recent()
        reserved = int(settings.get(_RESERVED, "0"))
        self._next = 1 if reserved > _LAST - BLOCK else reserved + 1
        self._end = self._next
        self._told: dict[str, bool] = dict.fromkeys(json.loads(settings.get(_OPEN, "[]")), True)
        """What the CSMS was told last of a `Problem` or a protection, before a restart too."""
        for variable in model.variables():
            if variable.name.key == _TRIPPED:
                variable.listen(self._tripped)

    # --- what must be known after a restart -------------------------------------------------------------------------

    def state(self) -> dict[str, str]:
        """The setting that keeps, over a restart, what the CSMS was told and not yet told is over."""
        return {_OPEN: json.dumps(sorted(name for name, told in self._told.items() if told))}

    def settle(self) -> None:
        """Every wire had its time since the start: a `Problem` told before it that did not come back is over."""
        known = {str(one): one for one in self._model.variables() if one.name.key in (_TRIPPED, PROBLEM.key)}
        for name, told in list(self._told.items()):
            variable = known.get(name)
            if variable is None:
                del self._told[name]  # the board has no such thing any more
            elif told and variable.name.key == PROBLEM.key and variable.actual.value is False:
                self.problem(variable, "restart", "")

    def reserve(self) -> dict[str, str]:
        """The setting that must be on disk before the first event of a new block."""
        if self._next > _LAST - BLOCK:
            self._next = 1
        self._end = self._next - 1 + BLOCK
        return {_RESERVED: str(self._end)}

    @property
    def low(self) -> bool:
        """Whether it is time to reserve the next block."""
        return self._next > self._end - BLOCK // 2

    # --- what happens -----------------------------------------------------------------------------------------------

    def fired(self, fired: Fired) -> int:
        """Tell the CSMS of it, as far as it is to be told; returns the event's id."""
        id, now, component = self._next, self._clock.monotonic(), fired.component
        self._next = id + 1 if id < _LAST else 1
        cause = fired.cause
        if cause is None:
            cause = self._causes.of(component, fired.variable, fired.actual, now)
        record = Record(id, cause, fired)
        self._recent.add(record)
        keep = fired.kind is Kind.HARD_WIRED_NOTIFICATION or fired.severity <= self._queuing()
        if not keep and not self._online():
            record.state = DROPPED
            return id
        self._causes.note(id, component, fired.variable, fired.actual, now)
        self._batches.add(Pending(self._data(id, cause, fired), record, keep))
        return id

    def problem(self, variable: Variable, cause: str, text: str) -> None:
        """A component's `Problem` turned: for `agent.model.Problems`."""
        if variable.actual.value:
            log.warning("%s: %s", variable.component, text)
        else:
            log.info("%s: no problem any more (%s)", variable.component, cause)
        if self._is_news(variable, bool(variable.actual.value)):
            self._tell(variable, PROBLEM_SEVERITY, text, self._code(variable.component))

    def flush(self) -> None:
        """Send what waits for others of its moment: the station stops."""
        self._batches.flush()

    def dated(self) -> list[tuple[datetime, str]]:
        """The last events for the diagnostics log: (when, JSON), oldest first."""
        return self._recent.dated()

    def recent(self) -> list[dict[str, Any]]:
        """The last 1,000 events, oldest first, as JSON can hold them: `agent.events.recent.Record.shown`."""
        return self._recent.shown()

    def _tripped(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old  # a protection that could not be read for a while is compared with what was told before
        # From unknown to sound is no news: that is every start.
        if new is not None and self._is_news(variable, bool(new)):
            self._tell(variable, TRIP_SEVERITY, "", None)

    def _is_news(self, variable: Variable, state: bool) -> bool:
        name = str(variable)
        if state == self._told.get(name, False):
            return False
        self._told[name] = state
        return True

    def _tell(self, variable: Variable, severity: int, text: str, code: str | None) -> None:
        self.fired(
            Fired(
                None,
                variable.component,
                variable.name,
                Trigger.ALERTING,
                variable.actual.text(),
                None if variable.actual.value else True,
                severity,
                self._clock.now(),
                Kind.HARD_WIRED_NOTIFICATION,
                tech_code=code,
                tech_info=text or None,
            )
        )

    def _code(self, place: Component) -> str | None:
        """The fault code of the controller behind a `Problem`, if it gives one."""
        where = _CODES.get(place.key[0])
        if where is None:
            return None
        variable = self._model.get(Component(where[0], None, place.evse, place.connector), where[1])
        return variable.actual.text() if variable is not None and variable.actual.value else None

    def _data(self, id: int, cause: int | None, fired: Fired) -> EventDataType:
        place, name = fired.component, fired.variable
        evse = None if place.evse is None else EVSEType(id=place.evse, connector_id=place.connector)
        transaction = fired.transaction_id
        if transaction is None and place.evse is not None:
            transaction = self._transaction(place.evse)
        return EventDataType(
            event_id=id,
            timestamp=fired.time,
            trigger=EventTrigger(fired.trigger),
            cause=cause,
            actual_value=fired.actual[: self._size()],
            event_notification_type=EventNotificationType(fired.kind),
            component=ComponentType(name=place.name, instance=place.instance, evse=evse),
            variable=VariableType(name=name.name, instance=name.instance),
            tech_code=(fired.tech_code or "")[:50] or None,
            tech_info=(fired.tech_info or "")[:500] or None,
            cleared=fired.cleared,
            transaction_id=transaction,
            variable_monitoring_id=None if fired.monitor is None else fired.monitor.id,
        )


def _through(post: Callable[[Request], object]) -> Queue:
    """A queue that keeps all it is given, and tells no more of it."""

    def queue(request: Request, /, *, keep: bool, rank: int) -> Message:
        post(request)
        return Message(request.action, "", keep=keep, rank=rank)

    return queue
