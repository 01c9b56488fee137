"""The charge controller of one connector as the physical thing: pilot, contactor, lock, proximity and its watchdog.

What the agent commands and what it measures are points, by the roles of `agent.board.spec.ROLES`; what it does by
itself, whatever the agent says, is here: it opens the contactor the moment the car goes or says so, and falls back
when nobody gives a sign of life. Pure: it is stepped by time.
"""

from collections.abc import Callable, Mapping
from typing import Any

from drivers import PointInfo, Value
from drivers.bench.ev import NOTHING, Ev, EvSettings, Phases
from drivers.bench.points import Point
from drivers.bench.refusals import InTheWay, NoSuchPlace

MOTION = 0.4
"""Seconds that the bolt of a plug retention lock takes."""

CABLE = 32.0
"""A that a cable carries, where nobody says otherwise."""

CHARGING = ("C", "D")
WITH_CAR = ("B", "C", "D")

_REST: dict[str, Value] = {
    "pilot": "A",
    "plugged": False,
    "cable_current": 0.0,
    "contactor_closed": False,
    "locked": False,
    "fault": 0.0,
    "offered_current": 0.0,
    "enable": True,
    "lock": False,
    "watchdog": 0.0,
    "fallback_current": 0.0,
}
"""What a role is that the board has no point for: without `enable` the contactor goes by the pilot alone."""

Note = Callable[[str, Value], None]


class Charger:
    """One connector: its hardware, the cable and the car.

    `points` are those of its roles, `note(what, value)` is told of what changes: lock, contactor, offered, pilot.
    A `ventilated` one may charge a car that asks for ventilation.
    """

    def __init__(
        self,
        points: Mapping[str, Point],
        note: Note,
        *,
        socket: bool = True,
        phases: int = 3,
        ventilated: bool = True,
    ) -> None:
        self.socket = socket
        self.ev: Ev | None = None
        self.duty = 0.0
        """A that the pilot says to the car now; 0 when there is no duty."""
        self.cable = False
        """Whether a plug is in the socket; of a fixed cable, whether it is in a car."""
        self.jammed = False
        """Whether the lock moves no longer, whatever it is told."""
        self._point = {role: points.get(role) or Point(PointInfo(role), rest) for role, rest in _REST.items()}
        self._has_lock = socket and "lock" in points
        self._carries = CABLE
        self._phases, self._ventilated = phases, ventilated
        self._parked: Ev | None = None
        """The car whose end of the cable was pulled."""
        self._bolt = 0.0
        """Seconds for which the bolt has been moving."""
        self._heard = False
        self._heard_at: float | None = None
        self._note = note
        self._told: dict[str, Value] = {}
        self._powered = False

    # --- whoever stands at the bench -------------------------------------------------------------------------------

    def plug(self, settings: EvSettings | None, carries: float | None = None) -> None:
        """A cable that carries so many A goes in, or its other end back into the car. Raises `InTheWay`."""
        if self.ev is not None:
            raise InTheWay("a car is plugged in already")
        if self.cable and carries is not None:
            raise InTheWay("the cable is in already; it carries what it does")
        if not self.cable:
            self._carries = CABLE if carries is None else carries
        if settings is not None or self._parked is None:
            self.ev = Ev(settings or EvSettings())
        else:
            self.ev = self._parked
            self.ev.wake()
        self.cable, self._parked = True, None

    def unplug(self, side: str) -> None:
        """The cable comes out at the side `station` or `ev`; a fixed cable always at the car. Raises `InTheWay`."""
        if not self.cable:
            raise InTheWay("nothing is plugged in")
        if side == "ev" and self.ev is None:
            raise InTheWay("the cable is in no car")
        if side == "station" and self.socket and self._point["locked"].true:
            raise InTheWay("the plug is locked")
        if self.ev is not None:
            self.ev.current = NOTHING
        self._parked = self.ev if side == "ev" else None
        self.ev = None
        self.cable = self.socket and side == "ev"

    def change(self, told: Mapping[str, Any]) -> None:
        """The EV changes its mind. Raises `InTheWay`, `Unusable`."""
        if self.ev is None:
            raise InTheWay("no car is plugged in")
        self.ev.change(told)

    def need_lock(self) -> None:
        """Raises `NoSuchPlace` where there is nothing that could jam."""
        if not self._has_lock:
            raise NoSuchPlace("this connector has no lock")

    # --- the agent and time ----------------------------------------------------------------------------------------

    def heard(self) -> None:
        """The agent gave its sign of life."""
        self._heard = True

    def step(self, seconds: float, now: float, powered: bool) -> None:
        """Let `seconds` pass until `now` (monotonic), with or without a supply."""
        self._powered = powered
        self._watch(now)
        self._point["plugged"].natural = self.cable
        self._point["cable_current"].natural = self._carries if self.cable or not self.socket else 0.0
        self._move_bolt(seconds)
        self._set_pilot()
        state = self._point["pilot"].value
        may = state == "C" or (state == "D" and self._ventilated)
        self._point["contactor_closed"].natural = (
            powered and may and self._point["enable"].true and self.duty > 0 and self._sound()
        )
        if self.ev is not None:
            self.ev.step(seconds, self.duty, powered and self._point["contactor_closed"].true, self._phases)
        self._tell()

    def power(self) -> Phases:
        """What flows through the contactor, in W per phase."""
        return NOTHING if self.ev is None else self.ev.power()

    def state(self) -> dict[str, Any]:
        """In the form of `GET /bench`."""
        return {
            "plugged": self._point["plugged"].true,
            "ev": None if self.ev is None else self.ev.state(),
            "pilot": self._point["pilot"].value,
            "locked": self._point["locked"].true,
            "jammed": self.jammed,
            "contactor": self._point["contactor_closed"].true,
            "offered_a": round(self.duty, 6),
            "current_a": [round(current, 6) for current in (NOTHING if self.ev is None else self.ev.current)],
            "power_w": round(sum(self.power()), 6),
        }

    def _sound(self) -> bool:
        return not self._point["fault"].number

    def _watch(self, now: float) -> None:
        """Past the watchdog's time the offer falls, and does not rise by itself when a sign of life comes again."""
        limit = self._point["watchdog"].number
        if not self._powered or not limit:
            self._heard_at = None
            return
        if self._heard or self._heard_at is None:
            self._heard, self._heard_at = False, now
        elif now - self._heard_at >= limit:
            offered = self._point["offered_current"]
            offered.natural = min(_number(offered.natural), self._point["fallback_current"].number)

    def _move_bolt(self, seconds: float) -> None:
        """Without a plug there is nothing to lock; without a supply a spring opens it."""
        locked = self._point["locked"]
        wanted = self._has_lock and self.cable and self._powered and self._point["lock"].true
        if self.jammed or wanted == bool(locked.natural):
            self._bolt = 0.0
            return
        self._bolt += seconds
        if self._bolt >= MOTION or not self._powered:
            locked.natural, self._bolt = wanted, 0.0

    def _set_pilot(self) -> None:
        """E is a pilot without a voltage, as when the supply is gone; F says that the station cannot charge."""
        pilot, offered = self._point["pilot"], max(0.0, self._point["offered_current"].number)
        if not self._powered:
            pilot.natural = "E"
        elif not self._sound():
            pilot.natural = "F"
        else:
            pilot.natural = "A" if self.ev is None else self.ev.asks(offered)
        self.duty = offered if self._powered and pilot.value in WITH_CAR else 0.0

    def _tell(self) -> None:
        now: dict[str, Value] = {
            "pilot": self._point["pilot"].value,
            "contactor": self._point["contactor_closed"].true,
            "offered": round(self.duty, 6),
            "lock": self._point["locked"].true,
        }
        for what, value in now.items():
            if self._told.get(what, value) != value:
                self._note(what, value)
        self._told = now


def _number(value: Value) -> float:
    return 0.0 if isinstance(value, str) else float(value)
