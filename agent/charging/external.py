"""An external control system (an EMS, or the grid operator) as a source of limits, whichever wire it comes by. Pure.

It believes nobody: what is no limit is refused, of several masters the lowest limit holds, who is silent drops out,
and whatever comes costs a bounded amount of memory and of words.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from agent.charging.failsafe import FailsafeMachine, FailsafeSettings, Phase
from agent.charging.keeping import Keeper, Record, nominal, record_from
from agent.charging.limits import Command, Limit, State, Unit
from agent.charging.troubles import Flapping, Troubles
from agent.clock import Clock

MASTERS = 8
MOST_WATTS, MOST_AMPERES = 1_000_000.0, 1000.0
"""More than this is taken as this: it limits nothing that is built."""
SKEW = 60.0
"""Seconds by which a master's clock may differ from ours."""
LONGEST_HOLD = 86_400.0

UNITS: tuple[Unit, Unit] = ("W", "A")


@dataclass(slots=True)
class _Order:
    """What a master wants of one scope, until then (monotonic s)."""

    value: float
    unit: Unit
    until: float | None


@dataclass(slots=True)
class _Master:
    """`spoken`: it said what holds, or was waited for in vain. `stamps`: its newest for each scope."""

    heard: float
    alive: bool = True
    spoken: bool = False
    orders: dict[int, _Order] = field(default_factory=dict)
    stamps: dict[int, datetime] = field(default_factory=dict)


class ExternalSource:
    """A `Source`. `scopes`: those that limits are taken for; `changed` is called when a call changed what `limits`
    tells, not when time did. Only the station has a failsafe limit.

    Where two masters use different units there are two limits of a scope, one in each, the lower first.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: Literal["EMS", "SO"],
        failsafe: FailsafeSettings,
        clock: Clock,
        scopes: Sequence[int],
        changed: Callable[[], None],
    ) -> None:
        self._name, self._kind, self.clock = name, kind, clock
        self._scopes = frozenset(scopes) | {0}
        self._changed = changed
        now = clock.monotonic()
        self._machine = FailsafeMachine(failsafe, now)
        self._masters: dict[str, _Master] = {}
        self._keeper = Keeper()
        self._set_limit: float | None = None
        self._set_hold: float | None = None
        self._troubles = Troubles()
        self._flapping = {scope: Flapping() for scope in self._scopes}
        self._told: tuple[Limit, ...] = ()
        self._stale = False
        """Whether time changed what is told."""
        self._upcoming: float | None = None
        self._tell(now)

    @property
    def name(self) -> str:
        return self._name

    @property
    def failsafe(self) -> FailsafeSettings:
        """As the board has it, or a master has set it."""
        return self._machine.settings

    @property
    def state(self) -> State:
        self._elapse(self.clock.monotonic())
        return self._machine.state

    @property
    def phase(self) -> Phase:
        """More exactly than `state`."""
        self._elapse(self.clock.monotonic())
        return self._machine.phase

    @property
    def problem(self) -> str | None:
        """What is wrong now. The text stays the same while the same things are wrong."""
        now = self.clock.monotonic()
        self._elapse(now)
        found = [self._troubles.text(now)]
        if self._machine.phase is Phase.FAILSAFE:
            found.insert(0, "nobody has said in time what holds: the failsafe limit does")
        elif self._machine.phase is Phase.ALONE and self._machine.heard is not None:
            found.insert(0, "nobody has said for long what holds: nothing is limited")
        return "; ".join(one for one in found if one is not None) or None

    @property
    def version(self) -> int:
        """Rises when `to_json` should be kept: seldom, whatever the masters do."""
        return self._keeper.version

    @property
    def falls(self) -> int:
        """Rises with `version` where that is a stricter limit: to be kept before the power can go."""
        return self._keeper.falls

    def age(self, now: float) -> float | None:
        """Seconds since the last sign of life, None if there was none since the start."""
        heard = self._machine.heard
        return None if heard is None else max(0.0, now - heard)

    def limits(self, now: float) -> Sequence[Limit]:
        self._elapse(now)
        if self._stale:
            self._tell(now)
        self._keeper.elapse(now)
        return self._told

    def due(self, now: float) -> float | None:
        times = (self._upcoming, self._keeper.due())
        return min((max(time, now) for time in times if time is not None), default=None)

    # --- what masters say ------------------------------------------------------------------------------------------

    def heard(self, master: str) -> None:
        """A heartbeat, for all scopes."""
        now = self.clock.monotonic()
        self._elapse(now)
        known = self._admit(master, now)
        if known is not None:
            self._sign(known, now)
        self._finish(now)

    def limit(self, scope: int, command: Command, master: str, *, stamp: datetime | None = None) -> str | None:
        """Take a limit; returns None, or why it is not taken. A refused one is no sign of life."""
        now = self.clock.monotonic()
        self._elapse(now)
        wrong = self._wrong(scope, command)
        if wrong is not None:
            self._troubles.note("refused", f"a limit was refused: {wrong}", now)
            self._machine.garbled()
            return self._finish(now, wrong)
        known, refused = self._word(scope, master, stamp, now)
        if known is None:
            self._machine.garbled()
            return self._finish(now, refused)
        value = min(command.value, MOST_WATTS if command.unit == "W" else MOST_AMPERES)
        lasting = command.duration is None or math.isinf(command.duration)
        order = _Order(value, command.unit, None if lasting else now + (command.duration or 0.0))
        before = known.orders.get(scope)
        if before is None or (before.value, before.unit) != (order.value, order.unit):
            self._count_change(scope, now)
        known.orders[scope] = order
        self._machine.word(now, limited=True)
        return self._finish(now)

    def release(self, scope: int, master: str, *, stamp: datetime | None = None) -> str | None:
        """End this master's limit of `scope`; returns None, or why it is not taken."""
        now = self.clock.monotonic()
        self._elapse(now)
        if scope not in self._scopes:
            return self._finish(now, _no_scope(scope))
        known, refused = self._word(scope, master, stamp, now)
        if known is None:
            self._machine.garbled()
            return self._finish(now, refused)
        if known.orders.pop(scope, None) is not None:
            self._count_change(scope, now)
        self._machine.word(now, limited=self._limited())
        return self._finish(now)

    def configure(self, *, limit: float | None = None, hold: float | None = None) -> str | None:
        """A master sets the failsafe limit (W) or how long it holds at least (s); returns None, or why it may not."""
        now = self.clock.monotonic()
        self._elapse(now)
        if limit is not None and not 0 <= limit < math.inf:
            return self._finish(now, "the failsafe limit is not a number of W from 0")
        if hold is not None and not 0 < hold <= LONGEST_HOLD:
            return self._finish(now, f"the failsafe's duration is not within {LONGEST_HOLD:.0f} s")
        self._configure(limit, hold)
        return self._finish(now)

    # --- over a power cut ------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """What to keep: the failsafe as masters set it, and the limit that held."""
        return self._keeper.record.to_json()

    def restore(self, text: str) -> str | None:
        """Take up what was kept, before anybody is heard; returns why it could not. Then a limit may have held."""
        now, wrong = self.clock.monotonic(), None
        try:
            record = record_from(text)
        except ValueError as error:
            record, wrong = Record(limited=True), f"{self._name}: what was kept cannot be read: {error}"
        self._keeper.restore(record)
        self._configure(record.limit, record.hold)
        if record.limited:
            self._machine.resume(now)
        self._tell(now)
        return wrong

    # --- inside ----------------------------------------------------------------------------------------------------

    def _wrong(self, scope: int, command: Command) -> str | None:
        if scope not in self._scopes:
            return _no_scope(scope)
        if not math.isfinite(command.value):
            return "it is not a number"
        if command.value < 0:
            return "it is negative"
        if command.duration is not None and not command.duration > 0:
            return "its duration is not above 0"
        return None

    def _word(self, scope: int, master: str, stamp: datetime | None, now: float) -> tuple[_Master | None, str]:
        """The master whose word this is, or why it is not taken."""
        refused = None if stamp is None else self._check_stamp(scope, master, stamp, now)
        if refused is not None:
            return None, refused
        known = self._admit(master, now)
        if known is None:
            return None, "there are too many masters"
        if stamp is not None:
            known.stamps[scope] = stamp
            self._troubles.close("skew")
        known.spoken = True
        self._sign(known, now)
        speakers = [name for name, one in self._masters.items() if one.alive and one.spoken]
        if len(speakers) > 1:
            self._troubles.note("masters", f"more than one master says what holds: {', '.join(speakers)}", now)
        return known, ""

    def _check_stamp(self, scope: int, master: str, stamp: datetime, now: float) -> str | None:
        if stamp.tzinfo is None:
            return "its time has no zone"
        ahead = (stamp - self.clock.now()).total_seconds()
        known = self._masters.get(master)
        newest = None if known is None else known.stamps.get(scope)
        if newest is not None and stamp <= newest:
            self._troubles.note("replay", "a message came again, or out of its order", now)
            return "it is no newer than the last one"
        if abs(ahead) > SKEW:
            self._troubles.note("skew", "a master's clock and ours differ, or its messages come late", now)
            return f"its time is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'ago'}"
        return None

    def _admit(self, master: str, now: float) -> _Master | None:
        """A master by its name. One that is long silent makes room for a new one."""
        known = self._masters.get(master)
        if known is not None:
            return known
        if len(self._masters) >= MASTERS:
            gone = [name for name, one in self._masters.items() if not one.alive and not self._replayable(one)]
            if not gone:
                self._troubles.note("crowd", f"there are more than {MASTERS} masters", now)
                return None
            del self._masters[min(gone, key=lambda name: self._masters[name].heard)]
        self._masters[master] = known = _Master(now)
        return known

    def _replayable(self, one: _Master) -> bool:
        """Whether a message of it could be taken again, were it forgotten."""
        return any((self.clock.now() - stamp).total_seconds() <= SKEW for stamp in one.stamps.values())

    def _sign(self, one: _Master, now: float) -> None:
        one.heard, one.alive = now, True
        self._machine.heartbeat(now, speaker=one.spoken)

    def _count_change(self, scope: int, now: float) -> None:
        if self._flapping[scope].change(now):
            self._troubles.note("flapping", "limits change all the time", now)

    def _configure(self, limit: float | None, hold: float | None) -> None:
        if limit is not None:
            self._set_limit = limit = min(limit, MOST_WATTS)
            self._machine.settings = replace(self._machine.settings, limit=limit)
        if hold is not None:
            self._set_hold = hold
            self._machine.settings = replace(self._machine.settings, hold=hold)

    def _limited(self) -> bool:
        return any(one.orders for one in self._masters.values())

    def _next(self) -> float | None:
        """When time does something next."""
        machine = self._machine.due()
        times = [] if machine is None else [machine[0]]
        for one in self._masters.values():
            times += [order.until for order in one.orders.values() if order.until is not None]
            if one.alive:
                times.append(one.heard + self.failsafe.after)
        return min(times, default=None)

    def _elapse(self, now: float) -> None:
        """Let all happen that time does up to `now`, in its order."""
        while (time := self._upcoming) is not None and time <= now:
            self._stale = True
            waited = not self._machine.spoken
            self._machine.elapse(time)
            for one in self._masters.values():
                if time >= one.heard + self.failsafe.after:
                    one.alive = False
                if not (one.alive and self._machine.spoken):
                    one.orders.clear()
                    one.spoken = False
                elif waited:
                    one.spoken = True
                for scope in [scope for scope, order in one.orders.items() if _over(order, time)]:
                    del one.orders[scope]
            if self._machine.spoken:
                self._machine.word(time, limited=self._limited())
            self._upcoming = self._next()

    def _finish(self, now: float, answer: str | None = None) -> str | None:
        if self._tell(now):
            self._changed()
        return answer

    def _tell(self, now: float) -> bool:
        """Make what `limits` tells; returns whether it is something else."""
        before = {(one.scope, one.unit): one for one in self._told}
        told = []
        for limit in self._found():
            known = before.get((limit.scope, limit.unit))
            same = known is not None and (known.state, known.value) == (limit.state, limit.value)
            told.append(replace(limit, changed=known.changed if same and known is not None else now))
        differs = tuple(told) != self._told
        self._told, self._stale = tuple(told), False
        self._upcoming = self._next()
        self._keeper.want(self._record(), now)
        return differs

    def _found(self) -> Iterator[Limit]:
        machine, settings = self._machine, self.failsafe
        if machine.limiting:
            ends = machine.phase is Phase.FAILSAFE and settings.then == "unlimited"
            until = machine.since + settings.hold if ends else None
            value, record = settings.limit, self._keeper.record
            kept = record.value if machine.starting and machine.was_limited else None
            if kept is not None and record.unit == "A":
                yield self._limit(0, machine.state, kept, "A")
            elif kept is not None:
                value = min(value, kept)
            yield self._limit(0, machine.state, value, "W", until)
            if machine.starting and machine.was_limited:
                for scope, amount, unit in self._kept_evses():
                    yield self._limit(scope, machine.state, amount, unit)
            return
        station = False
        for scope in sorted(self._scopes):
            orders = [self._lowest(scope, unit) for unit in UNITS]
            for order in sorted(
                (one for one in orders if one is not None), key=lambda one: nominal(one.value, one.unit)
            ):
                station = station or scope == 0
                yield self._limit(scope, State.ACTIVE, order.value, order.unit, order.until)
            if scope == 0 and not station:
                state = State.RELEASED if machine.phase is Phase.LIMITED else machine.state
                yield self._limit(0, state, None, "W")

    def _limit(self, scope: int, state: State, value: float | None, unit: Unit, until: float | None = None) -> Limit:
        return Limit(self._name, self._kind, scope, state, value, unit, until=until)

    def _lowest(self, scope: int, unit: Unit) -> _Order | None:
        orders = [one.orders[scope] for one in self._masters.values() if scope in one.orders]
        return min((one for one in orders if one.unit == unit), key=lambda one: one.value, default=None)

    def _record(self) -> Record:
        """What should be kept. A limit above the failsafe's says no more than that there was one."""
        phase, kept = self._machine.phase, self._keeper.record
        record = Record(self._set_limit, self._set_hold)
        if self._machine.starting:
            return replace(kept, limit=record.limit, hold=record.hold)
        if phase is Phase.FAILSAFE:
            return replace(record, limited=self._machine.heard is not None or self._machine.was_limited)
        if phase is not Phase.LIMITED:
            return record
        found = [(scope, one) for scope in sorted(self._scopes) if (one := self._worth(scope)) is not None]
        evses = tuple((scope, one.value, one.unit) for scope, one in found if scope)
        record = replace(record, limited=True, evses=evses)
        if not found or found[0][0]:
            return record
        return replace(record, value=found[0][1].value, unit=found[0][1].unit)

    def _worth(self, scope: int) -> _Order | None:
        """The lowest order of a scope, None where the failsafe limit of the station would do."""
        orders = [one for unit in UNITS if (one := self._lowest(scope, unit)) is not None]
        lowest = min(orders, key=lambda one: nominal(one.value, one.unit), default=None)
        enough = lowest is not None and lowest.unit == "W" and lowest.value >= self.failsafe.limit
        return None if enough else lowest

    def _kept_evses(self) -> Sequence[tuple[int, float, Unit]]:
        """The limits of EVSEs that held when the power went."""
        return [one for one in self._keeper.record.evses if one[0] in self._scopes]


def _over(order: _Order, now: float) -> bool:
    return order.until is not None and order.until <= now


def _no_scope(scope: int) -> str:
    return f"there is no scope {scope}"
