"""The monitors of one station: set, cleared, reported, evaluated, and kept over a restart (N02 to N08)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from agent.clock import Clock
from agent.model import DeviceModel, Mutability, UnknownComponent, UnknownVariable, Value, Variable, to_text
from agent.monitoring import kept as keeping
from agent.monitoring.active import Active, check, declared
from agent.monitoring.kept import BASES, LEVELS
from agent.monitoring.matrix import fits, refusal, rejected
from agent.monitoring.monitors import Change, Fired, Kind, Monitor, MonitorRequest, MonitorType, SetResult
from agent.monitoring.places import CRITERIA, Place, variables
from agent.monitoring.watch import Look

__all__ = ["BASES", "Monitors"]

FIRST_CUSTOM = 1000
"""The first id of a custom monitor: a board that gains a monitor with a lower one moves nobody."""

MOST = 20_000
"""Custom monitors at most."""


class Monitors:
    """Every monitor of the station. Nothing is watched before `restore`: called once, with {} the first time.

    `fire` is told what the CSMS is to hear, `change` what is to be kept: within the call that caused it and, where
    one thing causes both, in that order. `transactions` tells whether a transaction runs on an EVSE (None: on any).
    """

    def __init__(
        self,
        model: DeviceModel,
        clock: Clock,
        *,
        hard_wired: Sequence[Monitor] = (),
        preconfigured: Sequence[Monitor] = (),
        fire: Callable[[Fired], None],
        change: Callable[[Sequence[Change]], None],
        transactions: Callable[[int | None], bool] = lambda evse: False,
        most: int = MOST,
    ) -> None:
        """Raises ValueError for a declared monitor that no variable can have, or an id or place declared twice."""
        self._model = model
        self._clock = clock
        self._fire = fire
        self._change = change
        self.transactions = transactions
        self._most = most
        self._hard_wired = declared(hard_wired, Kind.HARD_WIRED_MONITOR)
        self._preconfigured = declared(preconfigured, Kind.PRECONFIGURED_MONITOR)
        check(model, [*hard_wired, *preconfigured])
        self._active = Active(model, clock, self._counts, self._told)
        self._cleared: set[int] = set()
        self._next = FIRST_CUSTOM
        self._base, self._level = BASES[0], LEVELS[-1]
        self._online, self._enabled, self._queuing = False, True, LEVELS[-1]

    def __len__(self) -> int:
        return len(self._active)

    def close(self) -> None:
        """Watch nothing any more; it is not to be used again."""
        for look in self._active:
            self._active.remove(look)

    def get(self, id: int) -> Monitor | None:
        """The active monitor with that id."""
        look = self._active.get(id)
        return None if look is None else look.monitor

    # --- N04, N06 ---------------------------------------------------------------------------------------------------

    def set(self, request: MonitorRequest) -> SetResult:
        """Set or replace one monitor. What it has to tell at once is told before this returns (N07.FR.11)."""
        try:
            variable = self._model.find(request.component, request.variable)
        except UnknownComponent:
            return SetResult("UnknownComponent")
        except UnknownVariable:
            return SetResult("UnknownVariable")
        old = None
        if request.id is not None:
            old = self._active.get(request.id)
            if old is None:
                return rejected("NotFound", f"there is no monitor {request.id}")
            if old.variable is not variable:
                return rejected("InvalidValue", f"monitor {request.id} is on another variable")
            if old.monitor.kind is Kind.HARD_WIRED_MONITOR:
                return rejected("UnsupportedRequest", f"monitor {request.id} is hard-wired")
        if not fits(request.type, variable):
            return SetResult("UnsupportedMonitorType")
        refused = refusal(request.type, request.value, request.severity, variable.characteristics)
        if refused is not None:
            return refused
        if self._active.taken(variable, request.type, request.severity, request.id):
            return SetResult("Duplicate")
        if self._active.customs >= self._most and (old is None or old.monitor.kind is not Kind.CUSTOM_MONITOR):
            return rejected("TooManyElements", f"{self._most} monitors are set")
        monitor = self._custom(request, variable, None if old is None else old.monitor)
        self._change([(keeping.monitor_key(monitor.id), keeping.to_text(monitor)), (keeping.NEXT, str(self._next))])
        self._replace(old, monitor, variable)
        return SetResult("Accepted", monitor.id)

    def _custom(self, request: MonitorRequest, variable: Variable, old: Monitor | None) -> Monitor:
        if old is None:
            id, band = self._next, None
            self._next += 1
        else:
            id, band = old.id, old.hysteresis
        return Monitor(
            id,
            variable.component,
            variable.name,
            request.type,
            float(request.value),
            request.severity,
            Kind.CUSTOM_MONITOR,
            request.transaction,
            band,
        )

    def clear(self, id: int) -> str:
        """Remove one monitor: Accepted, NotFound or Rejected (N06.FR.01 to FR.03)."""
        look = self._active.get(id)
        if look is None:
            return "NotFound"
        if look.monitor.kind is Kind.HARD_WIRED_MONITOR:
            return "Rejected"
        changes = self._remove(look)
        if id in self._preconfigured:
            self._cleared.add(id)
            changes.append((keeping.cleared_key(id), ""))
        self._change(changes)
        return "Accepted"

    # --- N03, N05 ---------------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return self._base

    @property
    def level(self) -> int:
        return self._level

    def set_base(self, base: str) -> bool:
        """Activate a set of monitors (N03.FR.03 to FR.05); False: there is no such set."""
        if base not in BASES:
            return False
        self._base = base
        changes: list[Change] = [(keeping.BASE, base)]
        again: list[Look] = []
        for look in self._active:
            kind = look.monitor.kind
            custom = kind is Kind.CUSTOM_MONITOR and base != "All"
            if custom and base == "FactoryDefault" and look.monitor.id in self._preconfigured:
                changes.append((keeping.monitor_key(look.monitor.id), None))
                again.append(look)
            elif custom or (kind is Kind.PRECONFIGURED_MONITOR and base == "HardWiredOnly"):
                changes += self._remove(look)
        self._change(changes)
        for look in again:
            self._replace(look, self._preconfigured[look.monitor.id], look.variable)
        if base != "HardWiredOnly":
            self._activate()
        return True

    def _activate(self) -> None:
        """Put every preconfigured monitor to work, but those that a custom one overrules."""
        missing = [monitor for id, monitor in self._preconfigured.items() if id not in self._active]
        before = self._cleared
        self._cleared = set()
        new = [monitor for monitor in missing if not self._occupied(monitor)]
        changes: list[Change] = [(keeping.cleared_key(id), None) for id in before - self._cleared]
        changes += [(keeping.cleared_key(id), "") for id in self._cleared - before]
        if changes:
            self._change(changes)
        for monitor in new:
            self._replace(None, monitor, self._model.find(monitor.component, monitor.variable))

    def _occupied(self, monitor: Monitor) -> bool:
        """Whether a custom monitor stands where a preconfigured one would: that one overrules it (N03.FR.03)."""
        variable = self._model.find(monitor.component, monitor.variable)
        if not self._active.taken(variable, monitor.type, monitor.severity, monitor.id):
            return False
        self._cleared.add(monitor.id)
        return True

    def set_level(self, severity: int) -> bool:
        """Tell only of monitors up to that severity number (N05.FR.03); False: it is none (N05.FR.02)."""
        if severity not in LEVELS:
            return False
        self._level = severity
        self._change([(keeping.LEVEL, str(severity))])
        return True

    # --- N02 --------------------------------------------------------------------------------------------------------

    def report(self, criteria: frozenset[str] = frozenset(), places: Sequence[Place] = ()) -> Iterator[Monitor]:
        """The active monitors that match, variable by variable in the model's order (N02.FR.05 to FR.21).

        `criteria` are of CRITERIA, none for all; `places` leave out what stands for all. Walks as it is asked, so
        monitors may come and go meanwhile.
        """
        types = frozenset[MonitorType]().union(*(CRITERIA[one] for one in criteria)) or frozenset(MonitorType)
        for variable in variables(self._model, places):
            yield from (one.monitor for one in self._active.on(variable) if one.monitor.type in types)

    # --- what counts at the moment ----------------------------------------------------------------------------------

    def online(self, online: bool) -> None:
        """The CSMS can or cannot be reached; it cannot at first. What waited for it is looked at (N07's remark)."""
        self._online = online
        self._revisit()

    def queue_up_to(self, severity: int) -> None:
        """OfflineQueuingSeverity: monitors of a greater severity number wait while offline (N07.FR.04)."""
        self._queuing = severity
        self._revisit()

    def enable(self, enabled: bool) -> None:
        """MonitoringCtrlr.Enabled."""
        self._enabled = enabled
        self._revisit()

    def transactions_changed(self) -> None:
        """A transaction started or ended: monitors that count only during one are looked at."""
        for look in self._active:
            if look.monitor.transaction:
                look.look(look.variable.actual.value)

    def _revisit(self) -> None:
        for look in self._active:
            look.look(look.variable.actual.value)

    def _counts(self, monitor: Monitor) -> bool:
        return (
            self._enabled
            and (self._online or monitor.severity <= self._queuing)
            and (not monitor.transaction or self.transactions(monitor.component.evse))
        )

    # --- N07, N08 ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """The monotonic time at which `step` has something to do; None: only after another change here."""
        return self._active.periods.due()

    def step(self) -> None:
        """Fire the periodic monitors whose time has come; also after each correction of the clock."""
        for look in self._active.periods.step():
            if self._counts(look.monitor):
                self._told(look, look.variable.actual.current, None)

    def _told(self, look: Look, value: Value | None, cleared: bool | None) -> None:
        monitor, variable = look.monitor, look.variable
        if monitor.severity <= self._level:
            hidden = variable.actual.mutability is Mutability.WRITE_ONLY
            self._fire(
                Fired(
                    monitor,
                    variable.component,
                    variable.name,
                    look.trigger,
                    "" if hidden else to_text(value),
                    cleared,
                    monitor.severity,
                    self._clock.now(),
                    monitor.kind,
                )
            )
        if monitor.type.is_threshold:
            self._change([(keeping.exceeded_key(monitor.id), "1" if look.exceeded else None)])

    def _remove(self, look: Look) -> list[Change]:
        """Take a monitor off; what is not to be kept any more."""
        self._active.remove(look)
        id = look.monitor.id
        changes: list[Change] = []
        if look.monitor.kind is Kind.CUSTOM_MONITOR:
            changes.append((keeping.monitor_key(id), None))
        if look.exceeded:
            changes.append((keeping.exceeded_key(id), None))
        return changes

    def _replace(self, old: Look | None, monitor: Monitor, variable: Variable) -> None:
        """Install `monitor`, in the place of `old`, and look at what it says of the present value (N07.FR.11)."""
        look = self._active.install(monitor, variable, old)
        value = variable.actual.value
        if old is None or not old.exceeded:
            look.look(value)
        elif not monitor.type.is_threshold:
            self._change([(keeping.exceeded_key(monitor.id), None)])
        elif (monitor.type, monitor.value) == (old.monitor.type, old.monitor.value):
            look.exceeded = True
            look.look(value)
        else:
            # Beyond the new threshold too: that is said. Else the old one is cleared, as soon as that can be known.
            look.look(value)
            if not look.exceeded:
                look.exceeded = True
                look.look(value)

    # --- over a restart ---------------------------------------------------------------------------------------------

    def restore(self, room: Mapping[str, str]) -> list[str]:
        """Take back what `change` gave to keep and begin to watch; tells what could not be taken (N07.FR.13, FR.14).

        A custom monitor goes when its variable is gone or cannot have it any more (N04's remark), and gets another id
        when the board by now gives its own to somebody else (N04.FR.19).
        """
        found = keeping.read(room)
        troubles = list(found.bad.values())
        changes: list[Change] = [(key, None) for key in found.bad]
        self._base, self._level = found.base, found.level
        self._next = max(found.next, FIRST_CUSTOM, *(one + 1 for one in self._hard_wired), 0)
        self._next = max(self._next, *(one + 1 for one in (*self._preconfigured, *found.monitors)), 0)
        for monitor in self._hard_wired.values():
            self._active.install(monitor, self._model.find(monitor.component, monitor.variable), fresh=True)
        for id, monitor in found.monitors.items():
            troubles += self._take_back(id, monitor, found, changes)
        self._restore_preconfigured(found, changes)
        for id in found.exceeded:
            look = self._active.get(id)
            if look is not None and look.monitor.type.is_threshold:
                look.exceeded = True
            else:
                changes.append((keeping.exceeded_key(id), None))
        if changes:
            self._change(changes)
        self._revisit()
        return troubles

    def _take_back(self, id: int, monitor: Monitor, found: keeping.Kept, changes: list[Change]) -> list[str]:
        variable = self._model.get(monitor.component, monitor.variable)
        if (
            variable is None
            or not fits(monitor.type, variable)
            or self._active.taken(variable, monitor.type, monitor.severity)
        ):
            changes.append((keeping.monitor_key(id), None))
            place = f"{monitor.component}.{monitor.variable}"
            return [f"monitor {id}: {place} can have no {monitor.type} of severity {monitor.severity} any more"]
        original = self._preconfigured.get(id)
        other = original is not None and (original.component, original.variable) != (
            variable.component,
            variable.name,
        )
        if id in self._hard_wired or other:
            monitor = replace(monitor, id=self._next)
            self._next += 1
            changes += [
                (keeping.monitor_key(id), None),
                (keeping.monitor_key(monitor.id), keeping.to_text(monitor)),
                (keeping.NEXT, str(self._next)),
            ]
            if id in found.exceeded:
                found.exceeded.remove(id)
                found.exceeded.add(monitor.id)
                changes += [(keeping.exceeded_key(id), None), (keeping.exceeded_key(monitor.id), "1")]
            self._active.install(monitor, variable, fresh=True)
            return [f"monitor {id} on {monitor.component}.{monitor.variable} is {monitor.id} now"]
        self._active.install(monitor, variable, fresh=True)
        return []

    def _restore_preconfigured(self, found: keeping.Kept, changes: list[Change]) -> None:
        self._cleared = found.cleared & self._preconfigured.keys()
        changes += [(keeping.cleared_key(id), None) for id in found.cleared - self._cleared]
        if self._base == "HardWiredOnly":
            return
        for id, monitor in self._preconfigured.items():
            if id in self._cleared or id in self._active:
                continue
            if self._occupied(monitor):
                changes.append((keeping.cleared_key(id), ""))
            else:
                self._active.install(monitor, self._model.find(monitor.component, monitor.variable), fresh=True)
