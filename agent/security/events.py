"""Security events as they happen (A04): each to the log, a critical one also to the CSMS, repeats in few words."""

import logging
from collections.abc import Callable

from agent.clock import Clock
from agent.model import DeviceModel, Value, Variable
from agent.model.problems import PROBLEM
from agent.ocpp.messages.base import Request
from agent.rolling import Thrift
from agent.security.log import Entry, SecurityLog
from agent.security.table import EVENT_TYPES

log = logging.getLogger(__name__)

BURST, REFILL = 20, 600.0
"""Events of one type at once; after those, one in so many seconds, which tells how many it stands for."""

MOST_TECH_INFO = 255
"""Characters of techInfo (part 2, SecurityEventNotificationRequest)."""


class SecurityEvents:
    """Where everybody in the station records security events; in the event loop only.

    `post` is the durable outbox (A04.FR.02). Somebody calls `step` now and then, and `rest` before the end.
    """

    def __init__(
        self,
        security_log: SecurityLog,
        clock: Clock,
        post: Callable[[Request], None],
        *,
        burst: int = BURST,
        refill: float = REFILL,
    ) -> None:
        self._log, self._clock, self._post = security_log, clock, post
        self._thrift = Thrift[Entry](burst, refill)
        self._told_full = False

    def record(self, type: str, tech_info: str = "") -> None:
        """A security event happened: `type` of `EVENT_TYPES` (else ValueError). `tech_info` holds no secrets."""
        known = EVENT_TYPES.get(type)
        if known is None:
            raise ValueError(f"{type} is no security event")
        # A lone surrogate, from a message that was not valid, can be neither logged nor sent.
        info = tech_info.encode(errors="replace").decode()[:MOST_TECH_INFO]
        entry = Entry(self._clock.now(), self._log.certain(), type, known.critical, info)
        self._tell(self._thrift.give(entry, self._clock.monotonic()))

    def started(self, reason: str, *, logged: bool = False) -> None:
        """The station has started, for `reason` (BootReasonEnumType); `logged`: earlier starts have kept a log."""
        if logged and not self._log.there():
            self.record("SecurityLogWasCleared", "its files were gone at the start")
        self.record("StartupOfTheDevice" if reason == "PowerUp" else "ResetOrReboot", reason)

    def watch(self, model: DeviceModel) -> None:
        """Record what shows in the Device Model: keys that are changed, a case that is opened, too
        little memory or disk.

        To be called when what was stored is restored: that is no change.
        """
        for variable in model.variables():
            place = variable.component.name.casefold()
            if place == "securityctrlr":
                variable.listen(self._reconfigured)
            elif place == "caseaccesssensor" and variable.name.key in (("active", ""), ("tripped", "")):
                variable.listen(self._opened)
            elif place in ("disk", "memory") and variable.name.key == PROBLEM.key:
                variable.listen(self._exhausted)

    def step(self) -> None:
        """Tell what was held back and may be told by now, and of a disk that is full."""
        for entry in self._thrift.ripe(self._clock.monotonic()):
            self._tell(entry)
        if self._log.full and not self._told_full:
            self.record("MemoryExhaustion", "the disk is full: the security log cannot be written")
        self._told_full = self._log.full

    def rest(self) -> None:
        """Tell all that was held back: it is the end."""
        for entry in self._thrift.rest():
            self._tell(entry)

    def _tell(self, entry: Entry | None) -> None:
        if entry is None:
            return
        log.log(logging.WARNING if entry.critical else logging.INFO, "security: %s %s", entry.type, entry.tech_info)
        self._log.write(entry)
        if entry.critical:
            from agent.ocpp.messages.security import SecurityEventNotificationRequest

            info = entry.tech_info
            if entry.times > 1:
                info = f"{entry.times} times, at last: {info}"[:MOST_TECH_INFO]
            self._post(
                SecurityEventNotificationRequest(type=entry.type, timestamp=entry.time, tech_info=info or None)
            )

    def _reconfigured(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old, new  # its name, never its value: it may be a password (A01.FR.12)
        self.record("ReconfigurationOfSecurityParameters", str(variable))

    def _opened(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        if new is True:
            self.record("TamperDetectionActivated", str(variable))

    def _exhausted(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        if new is True:
            self.record("MemoryExhaustion", f"{variable.component} is getting full")
