"""One connector's hardware as the station sees it: the car at the pilot, the plug, the lock, the contactor.

What was measured comes from the Device Model, where it goes stale; here it is debounced, and compared with what was
commanded. Nothing here moves anything: `agent.evse.evse` decides, `agent.chargepoint` commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.evse.power import MIN_CURRENT
from agent.model import Variable

DEBOUNCE = 0.2
"""Seconds for which the pilot must say the same before it counts as another car's word."""

MOVE_SECONDS = 3.0
"""How long a lock or a contactor may take until its feedback says what was commanded."""

WITH_CAR = ("B", "C", "D")
ASKING = ("C", "D")
"""Pilot states in which the car asks for energy; in D it wants ventilation as well."""


@dataclass(slots=True)
class Command:
    """What the hardware of one connector is to do."""

    enable: bool = False
    offered: float = 0.0
    lock: bool = False


class Supervised:
    """A command and its feedback: `stuck` once they have differed for longer than the hardware may take."""

    def __init__(self) -> None:
        self._differs_since: float | None = None
        self.stuck = False

    def step(self, commanded: bool, feedback: bool | None, now: float) -> None:
        """Compare; without feedback nothing can be said, and what was said stands."""
        if feedback is None:
            self._differs_since = None
        elif feedback == commanded:
            self._differs_since = None
            self.stuck = False
        elif self._differs_since is None:
            self._differs_since = now
        elif now - self._differs_since >= MOVE_SECONDS:
            self.stuck = True

    @property
    def due(self) -> float | None:
        return None if self._differs_since is None or self.stuck else self._differs_since + MOVE_SECONDS


class Connector:
    """One connector. `inputs` maps roles to their variables, `outputs` are the roles that can be commanded."""

    def __init__(
        self, evse: int, connector: int, *, socket: bool, inputs: Mapping[str, Variable], outputs: frozenset[str]
    ) -> None:
        self.evse, self.connector, self.socket = evse, connector, socket
        self._inputs, self._outputs = inputs, outputs
        self.command = Command()
        self.contactor = Supervised()
        self.retention = Supervised()
        self._never_closed = False
        self._seen: str | None = None
        self._seen_since = 0.0
        self.pilot: str | None = None
        """The pilot's state, debounced; the last one that was known while the controller is silent. None at first."""

    def _value(self, role: str) -> object:
        variable = self._inputs.get(role)
        return None if variable is None else variable.actual.value

    def step(self, now: float) -> None:
        """Look at the hardware."""
        state = self._value("pilot")
        if isinstance(state, str) and state:
            letter = state[:1].upper()
            if letter != self._seen:
                self._seen, self._seen_since = letter, now
            if self.pilot is None or now - self._seen_since >= DEBOUNCE:
                self.pilot = letter
        self.retention.step(self.command.lock, self.locked, now)
        # A contactor closes only for a car that asks: an open one is stuck only then.
        closed, asked = self.closed, self.command.enable and self.command.offered > 0 and self.raw in ASKING
        if closed is not None and (closed or asked or not self.command.enable):
            self.contactor.step(self.command.enable, closed, now)
        else:
            self.contactor.step(self.command.enable, None, now)

        if self.contactor.stuck and self.command.enable:
            self._never_closed = True  # until this car is gone: trying again and again would only wear it
        elif self.raw == "A":
            self._never_closed = False

    def due(self) -> float | None:
        """The monotonic time at which to look again, if nothing changes before."""
        times = [self.retention.due, self.contactor.due]
        if self._seen != self.pilot:
            times.append(self._seen_since + DEBOUNCE)
        return min((time for time in times if time is not None), default=None)

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def raw(self) -> str | None:
        """The pilot as it reads now, not debounced; None while the controller is silent."""
        state = self._value("pilot")
        return state[:1].upper() if isinstance(state, str) and state else None

    @property
    def fresh(self) -> bool:
        """Whether everything that safety hangs on is known: the pilot, and the feedback that there should be."""
        needed = ("pilot", "contactor_closed", "fault", *(("locked",) if self.has_lock else ()))
        return all(role not in self._inputs or self._inputs[role].actual.value is not None for role in needed)

    @property
    def connected(self) -> bool:
        """Whether a car is connected."""
        return self.pilot in WITH_CAR

    @property
    def asks(self) -> bool:
        """Whether the car asks for energy at this moment."""
        return self.raw in ASKING

    @property
    def still(self) -> bool:
        """Whether the pilot says no other than what was debounced, as to whether there is a car."""
        return self.raw is None or (self.raw in WITH_CAR) == self.connected

    @property
    def plugged(self) -> bool:
        """Whether a cable is in the connector (or, of a fixed cable, in a car)."""
        plugged = self._value("plugged")
        return self.connected if plugged is None or not self.socket else bool(plugged) or self.connected

    @property
    def closed(self) -> bool | None:
        """Whether the contactor is closed, by its feedback; None where that is not known."""
        closed = self._value("contactor_closed")
        return None if closed is None else bool(closed)

    @property
    def closed_at(self) -> float | None:
        """The monotonic time of the contactor's last feedback; None without any."""
        variable = self._inputs.get("contactor_closed")
        return None if variable is None else variable.actual.time

    @property
    def powered(self) -> bool:
        """Whether energy can flow, as far as that is known."""
        closed = self.closed
        return self.command.enable and self.asks if closed is None else closed

    @property
    def has_lock(self) -> bool:
        return self.socket and "lock" in self._outputs

    @property
    def locked(self) -> bool | None:
        """Whether the plug is locked, by feedback; without feedback what was commanded; None while silent."""
        if not self.has_lock:
            return False
        if "locked" not in self._inputs:
            return self.command.lock
        locked = self._value("locked")
        return None if locked is None else bool(locked)

    @property
    def cable_current(self) -> float | None:
        """A that the cable allows; None where nothing limits it."""
        current = self._value("cable_current")
        return float(current) if isinstance(current, int | float) and current >= MIN_CURRENT else None

    @property
    def fault(self) -> str | None:
        """What is wrong with the hardware, in words; None for nothing."""
        code = self._value("fault")
        if isinstance(code, int | float) and code != 0:
            return f"the controller reports error {code:g}"
        if self.raw in ("E", "F"):
            return f"the pilot is in state {self.raw}"
        if self._never_closed:
            return "the contactor does not close"
        return "the contactor does not open: welded" if self.contactor.stuck else None
