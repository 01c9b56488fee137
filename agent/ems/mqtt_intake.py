"""From messages to the source of limits: what came since the last look is put together, so a flood costs little.

Of several limits of a master for a scope the last one counts, but the lowest of them is not passed over: it holds
until the next look.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from agent.charging.external import SKEW
from agent.charging.keeping import nominal
from agent.charging.limits import Command
from agent.clock import Clock
from agent.ems.mqtt_payloads import MASTER, Unreadable, Wish, heartbeat, scope_of, wish

if TYPE_CHECKING:
    from agent.charging.external import ExternalSource

MOST = 64
"""Masters, or pairs of scope and master, that are kept apart; what comes on top of them is not taken."""


@dataclass(slots=True)
class _Burst:
    lowest: Wish
    last: Wish


class Intake:
    """`take` each message, then `act`. `ttl` is for limits without one; `tell` hears shortly what is not taken."""

    def __init__(self, source: "ExternalSource", *, ttl: float, clock: Clock, tell: Callable[[str], None]) -> None:
        self._source, self._ttl, self._clock, self._tell = source, ttl, clock, tell
        self._bursts: dict[tuple[int, str], _Burst] = {}
        self._beats: dict[str, None] = {}
        self._wrong: tuple[int, Command, str] | None = None
        self._newest: dict[tuple[int, str], datetime] = {}

    def take(self, below: str, payload: bytes, *, retained: bool) -> bool:
        """A message; `below` is its topic below the prefix. Returns whether there is something to act on."""
        try:
            if below == "heartbeat":
                return self._beat(payload, retained)
            scope = scope_of(below)
            if scope is None:
                self._tell("a message on a topic that is not known")
                return False
            if not payload:  # somebody deletes a retained message
                return False
            return self._limit(scope, payload, retained)
        except Unreadable as error:
            self._tell(f"a message on {below}: {error}")
            if retained or below == "heartbeat":
                return False
            # The source shall know, and show, that somebody said something that could not be understood.
            self._wrong = (scope_of(below) or 0, Command(math.nan, "W"), MASTER)
            return True

    def act(self) -> bool:
        """Tell the source; returns whether to act again soon."""
        beats, self._beats = self._beats, {}
        for master in beats:
            self._source.heard(master)
        wrong, self._wrong = self._wrong, None
        if wrong is not None:
            self._refused(self._source.limit(*wrong))
        bursts, self._bursts = self._bursts, {}
        for (scope, master), burst in bursts.items():
            lower = _height(burst.lowest) < _height(burst.last)
            self._say(scope, burst.lowest if lower else burst.last)
            if lower:
                self._bursts[scope, master] = _Burst(burst.last, burst.last)
        return bool(self._bursts)

    def _beat(self, payload: bytes, retained: bool) -> bool:
        master, stamp = heartbeat(payload)
        if retained:
            self._tell("a retained heartbeat")
        elif stamp is not None and abs((self._clock.now() - stamp).total_seconds()) > SKEW:
            self._tell("a heartbeat whose time is not now")
        elif master in self._beats or len(self._beats) < MOST:
            self._beats[master] = None
            return True
        return False

    def _limit(self, scope: int, payload: bytes, retained: bool) -> bool:
        said, now = wish(payload), self._clock.now()
        key = (scope, said.master)
        if retained and said.stamp is None:
            self._tell("a retained limit without a time: nobody knows how old it is")
            return False
        if retained and said.stale(now, self._ttl):
            self._tell("a retained limit that is too old")
            return False
        newest = self._newest.get(key)
        if retained and newest is not None and said.stamp is not None and said.stamp <= newest:
            return False  # the broker sends it again with each new connection
        if said.stale(now, self._ttl):
            self._tell("a limit that is too old")
            self._wrong = (scope, said.command(now, self._ttl), said.master)
            return True
        if retained and said.age(now) > SKEW:
            # It was checked here how old it is; the source would take it for a late message.
            self._remember(key, said.stamp)
            said = replace(said, stamp=None, ttl=said.command(now, self._ttl).duration)
        burst = self._bursts.get(key)
        if burst is not None:
            burst.last = said
            if _height(said) <= _height(burst.lowest):
                burst.lowest = said
        elif len(self._bursts) < MOST:
            self._bursts[key] = _Burst(said, said)
        else:
            self._tell("a limit: there are too many masters at once")
        return True

    def _say(self, scope: int, said: Wish) -> None:
        source, now = self._source, self._clock.now()
        if said.value is None:
            why = source.release(scope, said.master, stamp=said.stamp)
        else:
            why = source.limit(scope, said.command(now, self._ttl), said.master, stamp=said.stamp)
        if why is None:
            self._remember((scope, said.master), said.stamp)
        self._refused(why)

    def _refused(self, why: str | None) -> None:
        if why is not None:
            self._tell(f"a limit: {why}")

    def _remember(self, key: tuple[int, str], stamp: datetime | None) -> None:
        if stamp is None:
            return
        self._newest.pop(key, None)
        self._newest[key] = stamp
        if len(self._newest) > MOST:
            del self._newest[next(iter(self._newest))]


def _height(said: Wish) -> float:
    return math.inf if said.value is None else nominal(said.value, said.unit)
