"""Built-in events: what the station tells the CSMS by itself, without a monitor having been set (N07).

A `Problem` that turns and a protection that trips each make one NotifyEventRequest, which waits on disk for its
answer. Event ids are unique over power cuts: a block of them is reserved on disk before the first is used.
"""

import json
import logging
from collections.abc import Callable, Mapping

from agent.clock import Clock
from agent.model import DeviceModel, Value, Variable
from agent.model.problems import PROBLEM
from agent.ocpp.messages.base import ComponentType, EVSEType, Request, VariableType
from agent.ocpp.messages.diagnostics import EventDataType, EventNotificationType, EventTrigger, NotifyEventRequest

log = logging.getLogger(__name__)

BLOCK = 10_000
"""Event ids that one start reserves; 2³¹ of them last for 200,000 starts."""

_LAST = 2**31 - 1
"""The greatest event id: an integer of OCPP has 32 bits (part 2 §2.1.2). After it they begin anew."""

_RESERVED = "event_ids_reserved"
_OPEN = "events_open"


class BuiltInEvents:
    """Makes events out of changes and gives them to `post`; `settings` hold what earlier starts reserved."""

    def __init__(
        self, model: DeviceModel, clock: Clock, post: Callable[[Request], None], settings: Mapping[str, str]
    ) -> None:
        self._clock = clock
        self._post = post
        reserved = int(settings.get(_RESERVED, "0"))
        self._next = 1 if reserved > _LAST - BLOCK else reserved + 1
        self._end = self._next
        known = set(json.loads(settings.get(_OPEN, "[]")))
        self._told: dict[Variable, bool] = {}
        """What the CSMS was told last of a `Problem` or a protection, before a restart too."""
        for variable in model.variables():
            if variable.name.key in (("tripped", ""), PROBLEM.key) and str(variable) in known:
                self._told[variable] = True
            if variable.name.key == ("tripped", ""):
                variable.listen(self._tripped)

    def state(self) -> dict[str, str]:
        """The setting that keeps, over a restart, what the CSMS was told and not yet told is over."""
        return {_OPEN: json.dumps(sorted(str(variable) for variable, told in self._told.items() if told))}

    def settle(self) -> None:
        """Every wire had its time since the start: a `Problem` told before it that did not come back is over."""
        for variable, told in list(self._told.items()):
            if told and variable.name.key == PROBLEM.key and variable.actual.value is False:
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

    def problem(self, variable: Variable, cause: str, text: str) -> None:
        """A component's `Problem` turned: for `agent.model.Problems`."""
        if variable.actual.value:
            log.warning("%s: %s", variable.component, text)
        else:
            log.info("%s: no problem any more (%s)", variable.component, cause)
        state = bool(variable.actual.value)
        if state != self._told.get(variable, False):
            self._told[variable] = state
            self._send(variable, text)

    def _tripped(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old  # a protection that could not be read for a while is compared with what was told before
        # From unknown to sound is no news: that is every start.
        if new is None or bool(new) == self._told.get(variable, False):
            return
        self._told[variable] = bool(new)
        self._send(variable, "")

    def _send(self, variable: Variable, text: str) -> None:
        component, name = variable.component, variable.name
        evse = None if component.evse is None else EVSEType(id=component.evse, connector_id=component.connector)
        now = self._clock.now()
        event = EventDataType(
            event_id=self._next,
            timestamp=now,
            trigger=EventTrigger.ALERTING,
            actual_value=variable.actual.text(),
            event_notification_type=EventNotificationType.HARD_WIRED_NOTIFICATION,
            component=ComponentType(name=component.name, instance=component.instance, evse=evse),
            variable=VariableType(name=name.name, instance=name.instance),
            tech_info=text[:500] or None,
            cleared=None if variable.actual.value else True,
        )
        self._next += 1
        self._post(NotifyEventRequest(generated_at=now, seq_no=0, event_data=(event,)))
