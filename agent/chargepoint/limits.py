"""Limits at work: who imposes them, what they make of each plug, who is told, and what is kept of them.

The shell around `agent.charging`: it gathers what is known of the EVSEs, lets the arbiter decide, and tells the
Device Model and the CSMS. What only the CSMS asks for (block K's requests) is in `smart_charging`.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from agent.chargepoint.gauges import GridMeter, reading
from agent.charging.arbiter import Arbiter
from agent.charging.car import Facts, Rating
from agent.charging.derating import ThermalDerating
from agent.charging.external import ExternalSource
from agent.charging.fuse import FuseGuard
from agent.charging.limits import Limit, Source, State
from agent.charging.notices import Budget, Notice, Notices
from agent.charging.obedience import Obedience
from agent.charging.sharing import Sharing
from agent.charging.steady import Steady
from agent.clock import Clock
from agent.evse.evse import Evse
from agent.evse.metering import Meter
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel, Problems, Variable
from agent.store import Change, Store, StoreError

log = logging.getLogger(__name__)

CONTROLLER = "SmartChargingCtrlr"
ROOM = "ems"

RATES = (10.0, 6.0)
"""ChargingRateChanged of one EVSE: so many at once, and one more each so many seconds."""

KEEP_SECONDS = 10.0
"""Seconds between two commits of what control systems said: a flood of limits is no flood of writes."""

FALLS = (4.0, 30.0)
"""Stricter limits that are committed before that: so many at once, and one more each so many seconds."""


class Always:
    """The board's own limit for all EVSEs together, A per phase."""

    name = "board"

    def __init__(self, current: float) -> None:
        self._limit = (Limit(self.name, "Board", 0, State.ACTIVE, current),)

    def limits(self, now: float) -> Sequence[Limit]:  # noqa: ARG002  # at any time
        return self._limit

    def due(self, now: float) -> float | None:  # noqa: ARG002
        return None


class Gate:
    """A control system that counts only while ExternalControlSignalsEnabled says so; but what the grid operator asks
    for by law is not the CSMS's to switch off.
    """

    def __init__(self, source: Source, enabled: Callable[[], bool]) -> None:
        self._source, self._enabled = source, enabled

    @property
    def name(self) -> str:
        return self._source.name

    def limits(self, now: float) -> Sequence[Limit]:
        return [one for one in self._source.limits(now) if one.kind == "SO" or self._enabled()]

    def due(self, now: float) -> float | None:
        return self._source.due(now)


class Told(Protocol):
    """Where messages about limits go."""

    def limit_notice(self, notice: Notice) -> None:
        """Tell the CSMS of an external limit, or that it is gone (K11, K13)."""
        ...


@dataclass(frozen=True)
class Limiters:
    """Who limits a station besides the CSMS, and how strictly. `sources` are all of them; of these, `externals` can
    be told to limit, and `systems` has the component of every control system, by name.
    """

    sources: Sequence[Source] = ()
    externals: Mapping[str, ExternalSource] = field(default_factory=dict)
    systems: Mapping[str, Component] = field(default_factory=dict)
    fuse: FuseGuard | None = None
    connection: float | None = None
    """A per phase that the station can have at best: what its wiring and the fuse before it carry."""
    thermal: ThermalDerating | None = None
    sensor: str = ""
    """The component whose Temperature `thermal` follows."""
    record: Callable[[str, str, float | None], None] | None = None
    """Takes what the grid operator says through one of `externals`: (name, "given" or "released", W)."""
    station: float | None = None
    """A per phase for all EVSEs together; None for no such limit."""
    by_priority: bool = False
    rotate: float = 900.0
    pauses_per_hour: int = 12
    obey: float = 10.0
    tolerance: float = 2.0


class Limits:
    """All limits of one station."""

    def __init__(
        self,
        model: DeviceModel,
        clock: Clock,
        store: Store,
        *,
        ratings: Mapping[int, Rating],
        limiters: Limiters,
        csms: Source,
        told: Told,
        problems: Problems,
        background: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._model, self._clock, self._store, self._told = model, clock, store, told
        self._problems, self._background = problems, background
        self._settings = EvseSettings(model)
        self.externals, self._systems = dict(limiters.externals), dict(limiters.systems)
        self._fuse, self._thermal, self._sensor = limiters.fuse, limiters.thermal, limiters.sensor
        sources: list[Source] = [csms, *(self._gate(one) for one in limiters.sources)]
        sources += [one for one in (limiters.fuse, limiters.thermal) if one is not None]
        if limiters.station is not None:
            sources.append(Always(limiters.station))
        sharing = Sharing(by_priority=limiters.by_priority, rotate=limiters.rotate)
        self.arbiter = Arbiter(ratings, sources, sharing=sharing, pauses_per_hour=limiters.pauses_per_hour)
        self.ratings = dict(ratings)
        self._grid = GridMeter(model) if limiters.fuse is not None else None
        watts = {evse: one.phases * one.voltage for evse, one in ratings.items()}
        self._notices = Notices({0: max(watts.values(), default=0.0), **watts})
        self._watcher = partial(Obedience, after=limiters.obey, tolerance=limiters.tolerance)
        self._obedience = {evse: self._watcher() for evse in ratings}
        self._steady = {evse: Steady() for evse in ratings}
        self._allowed: dict[int, float] = dict.fromkeys(ratings, 0.0)
        """What each EVSE may offer: what was decided, as far as it does not flap."""
        self._rates: dict[int, float | None] = dict.fromkeys(ratings)
        """A that the CSMS was told last of each EVSE's transaction, None before anything was offered."""
        self._budgets = {evse: Budget(*RATES) for evse in ratings}
        self._evses: Mapping[int, Evse] = {}
        self._meters: Mapping[int, Meter] = {}
        self._asking: set[int] = set()
        self._kept: dict[str, int] = {}
        self._falls: dict[str, int] = {}
        self._early = Budget(*FALLS)
        self._keep_after = 0.0
        self._keeping = False
        self._most = float(sum(one.watts for one in ratings.values()))
        self._shown: dict[Variable, object] = {}
        self._record = limiters.record
        self._recorded: dict[str, float | None] = {}

    def _obeys(self) -> bool:
        return self._settings.flag(CONTROLLER, "ExternalControlSignalsEnabled", True)

    def _gate(self, source: Source) -> Source:
        return Gate(source, self._obeys) if source.name in self._systems else source

    def external_limits(self) -> Sequence[Limit]:
        """What external control systems impose now."""
        return [one for one in self.arbiter.limits if one.kind in ("EMS", "SO")]

    def attach(self, evses: Mapping[int, Evse], meters: Mapping[int, Meter]) -> None:
        """The EVSEs whose currents these are."""
        self._evses, self._meters = evses, meters

    def restore(self) -> None:
        """Take up what control systems had said before this start. Raises StoreError."""
        for name, text in self._store.kept(ROOM).items():
            source = self.externals.get(name)
            wrong = None if source is None else source.restore(text)
            if wrong is not None:
                log.error("%s", wrong)

    # --- the EVSEs -------------------------------------------------------------------------------------------------

    def current(self, evse: int) -> float:
        """A per phase that `evse` may offer now; it is asked for one whose car may charge."""
        if evse not in self._asking:
            self._asking.add(evse)
            self._decide()
        return self._allowed[evse]

    def step(self, *, online: bool) -> None:
        """Look at everything once, before the EVSEs are looked at."""
        now = self._clock.monotonic()
        self._asking = {number for number, evse in self._evses.items() if evse.ready}
        self._guard(now)
        self._decide()
        self._supervise(now)
        self._tell_problems()
        significance = self._significance()
        for notice in self._notices.step(self.arbiter.limits, online=online, significance=significance, now=now):
            self._told.limit_notice(notice)
        self._tell_rates(significance)
        self._keep(now)

    def due(self) -> float | None:
        """The monotonic time at which to `step` again, if nothing changes before."""
        times = (self.arbiter.due(), self._notices.due(), *(one.due() for one in self._steady.values()))
        return min((one for one in times if one is not None), default=None)

    def _decide(self) -> None:
        facts = {number: self._facts(number, evse) for number, evse in self._evses.items()}
        now = self._clock.monotonic()
        for number, decision in self.arbiter.decide(facts, now).items():
            self._allowed[number] = self._steady[number].step(decision.current, now)
            place = Component(CONTROLLER, evse=number)
            self._show(place, "EffectiveLimit", round(decision.current, 3))
            self._show(place, "LimitSource", decision.reason)
        per_source: dict[str, list[Limit]] = {name: [] for name in self._systems}
        for limit in self.arbiter.limits:
            if limit.source in per_source:
                per_source[limit.source].append(limit)
        for name, limits in per_source.items():
            self._show(self._systems[name], "State", str(_state(limits)))
            watts = min((self.watts(one) for one in limits if one.value is not None), default=None)
            self._show(self._systems[name], "Limit", round(self._most if watts is None else watts, 3))
            if self._record is not None and name in self.externals and any(one.kind == "SO" for one in limits):
                if watts != self._recorded.get(name):
                    self._record(name, "released" if watts is None else "given", watts)
                self._recorded[name] = watts

    def watts(self, limit: Limit) -> float:
        """What `limit` is in W, reckoned with the nominal voltage and all phases of its scope."""
        if limit.value is None or limit.unit == "W":
            return limit.value or 0.0
        scope = list(self.ratings.values()) if limit.scope == 0 else [self.ratings[limit.scope]]
        return limit.value * max(one.phases * one.voltage for one in scope)

    def _facts(self, number: int, evse: Evse) -> Facts:
        active, meter = evse.active, self._meters[number]
        return Facts(
            active=number in self._asking,
            powered=any(one.powered or one.command.enable for one in evse.connectors.values()),
            offered=0.0 if active is None else active.command.offered,
            cable=None if active is None else active.cable_current,
            drawn=meter.currents(),
            voltages=meter.voltages(),
            priority=0 if evse.auth is None else evse.auth.priority,
        )

    def _show(self, place: Component, name: str, value: object) -> None:
        variable = self._model.get(place, name)
        if variable is not None and (variable not in self._shown or self._shown[variable] != value):
            self._shown[variable] = value
            variable.update(value)  # type: ignore[arg-type]

    # --- guards ----------------------------------------------------------------------------------------------------

    def _guard(self, now: float) -> None:
        if self._fuse is not None and self._grid is not None:
            self._fuse.measured(self._grid.read() or (None, None, None), self.drawn(), now)
        if self._thermal is not None:
            self._thermal.measured(reading(self._model, self._sensor, "Temperature"), now)

    def drawn(self) -> tuple[float, float, float]:
        """A of L1, L2, L3 that all EVSEs draw: as measured, else as much as is offered."""
        total = [0.0, 0.0, 0.0]
        for number, evse in self._evses.items():
            currents = self._meters[number].currents()
            if currents is None:
                powered = any(one.powered for one in evse.connectors.values())
                offered = 0.0 if evse.active is None or not powered else evse.active.command.offered
                currents = (offered,) * self.ratings[number].phases
            for line, current in enumerate(currents[:3]):
                total[line] += current
        return (total[0], total[1], total[2])

    def _supervise(self, now: float) -> None:
        """A car that draws more than it is offered, for longer than the board allows, is cut off until it is gone."""
        for number, evse in self._evses.items():
            active = evse.active
            if active is None or not evse.connected:
                self._obedience[number] = self._watcher()  # the next car has no past
            elif evse.cut is None:
                drawn = self._meters[number].currents() if active.powered else None
                offered = active.command.offered
                if self._obedience[number].step(offered, drawn, now) and drawn is not None:
                    evse.cut = f"the car draws {max(drawn):.1f} A and is offered {offered:.1f} A: it is cut off"
                    log.warning("EVSE %d: %s", number, evse.cut)
            for connector in evse.connectors:
                place = Component("CPPWMController", None, number, connector)
                if evse.cut is not None and active is not None and connector == active.connector:
                    self._problems.open(place, "obedience", evse.cut)
                else:
                    self._problems.close(place, "obedience")

    def _tell_problems(self) -> None:
        for name, source in self.externals.items():
            text = source.problem
            if text is not None:
                self._problems.open(self._systems[name], "control", text)
            else:
                self._problems.close(self._systems[name], "control")

    # --- who is told -----------------------------------------------------------------------------------------------

    def _significance(self) -> float:
        variable = self._model.get(Component(CONTROLLER), "LimitChangeSignificance")
        value = None if variable is None else variable.actual.value
        return float(value) if isinstance(value, int | float) else 0.0

    def _tell_rates(self, significance: float) -> None:
        """ChargingRateChanged: what a transaction's car is offered changed significantly (K11.FR.04, K13.FR.03)."""
        for number, evse in self._evses.items():
            if evse.tx is None or evse.auth is None or evse.active is None:
                self._rates[number] = None
                continue
            rate, before = evse.active.command.offered, self._rates[number]
            if before is None:
                if rate > 0:
                    self._rates[number] = rate
            elif (
                (evse.ready or rate > 0)
                and abs(rate - before) > before * significance / 100
                and self._budgets[number].take(self._clock.monotonic())
            ):
                self._rates[number] = rate
                evse.rate_changed()

    # --- keeping ---------------------------------------------------------------------------------------------------

    def _keep(self, now: float) -> None:
        if self._keeping:
            return
        changed = [name for name, one in self.externals.items() if one.version != self._kept.get(name, 0)]
        fell = any(self.externals[name].falls != self._falls.get(name, 0) for name in changed)
        if not changed or (now < self._keep_after and not (fell and self._early.take(now))):
            return
        changes: list[Change] = []
        for name in changed:
            self._kept[name], self._falls[name] = self.externals[name].version, self.externals[name].falls
            changes.append((ROOM, name, self.externals[name].to_json()))
        self._keeping, self._keep_after = True, now + KEEP_SECONDS
        self._background(self._write(changes))

    async def _write(self, changes: Sequence[Change]) -> None:
        try:
            await self._store.keep(changes)
        except StoreError as error:
            log.error("what a control system said is not kept: %s", error)
            self._kept.clear()
        finally:
            self._keeping = False


def _state(limits: Sequence[Limit]) -> State:
    """How a control system is, of what it says for all scopes: the gravest."""
    for state in (State.FAILSAFE, State.STALE, State.INIT, State.ACTIVE):
        if any(one.state is state for one in limits):
            return state
    return State.RELEASED
