"""The monitors that are active, by id and by variable, and what watches for each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.clock import Clock
from agent.model import DeviceModel, Variable
from agent.monitoring.matrix import fits, refusal
from agent.monitoring.monitors import Kind, Monitor, MonitorType
from agent.monitoring.periods import Periods
from agent.monitoring.watch import Counts, Look, Told, Watched, look_for


class Active:
    """Puts monitors to work and takes them off; `customs` is how many of them the CSMS set."""

    def __init__(self, model: DeviceModel, clock: Clock, counts: Counts, tell: Told) -> None:
        self._model = model
        self._counts = counts
        self._tell = tell
        self._looks: dict[int, Look] = {}
        self._watched: dict[Variable, Watched] = {}
        self.periods = Periods(clock)
        self.customs = 0

    def __len__(self) -> int:
        return len(self._looks)

    def __contains__(self, id: object) -> bool:
        return id in self._looks

    def __iter__(self) -> Iterator[Look]:
        """All of them as they are now: they may come and go meanwhile."""
        return iter(list(self._looks.values()))

    def get(self, id: int) -> Look | None:
        return self._looks.get(id)

    def on(self, variable: Variable) -> tuple[Look, ...]:
        """Those on `variable`."""
        watched = self._watched.get(variable)
        return () if watched is None else watched.looks

    def taken(self, variable: Variable, type: MonitorType, severity: int, id: int | None = None) -> bool:
        """Whether another monitor than `id` has that type and severity there (N04.FR.10)."""
        return any(
            one.monitor.type is type and one.monitor.severity == severity and one.monitor.id != id
            for one in self.on(variable)
        )

    def install(self, monitor: Monitor, variable: Variable, old: Look | None = None, *, fresh: bool = False) -> Look:
        """Put `monitor` to work, in the place of `old`. `fresh`: the station has just started."""
        look = look_for(monitor, variable, self._counts, self._tell, fresh=fresh)
        if old is not None:
            self._forget(old)
        self._looks[monitor.id] = look
        self.customs += monitor.kind is Kind.CUSTOM_MONITOR
        look.attach(self._model)
        watched = self._watched.get(variable)
        if watched is None:
            watched = self._watched[variable] = Watched(variable)
        watched.put(look, old)
        if monitor.type.is_periodic:
            self.periods.put(look)
        return look

    def remove(self, look: Look) -> None:
        """Take it off without a word (N07.FR.12)."""
        self._forget(look)
        watched = self._watched[look.variable]
        watched.remove(look)
        if not watched.looks:
            del self._watched[look.variable]

    def _forget(self, look: Look) -> None:
        look.detach()
        del self._looks[look.monitor.id]
        self.customs -= look.monitor.kind is Kind.CUSTOM_MONITOR
        if look.monitor.type.is_periodic:
            self.periods.remove(look)


def declared(monitors: Sequence[Monitor], kind: Kind) -> dict[int, Monitor]:
    """What a board declares, by id."""
    return {one.id: replace(one, kind=kind) for one in monitors}


def check(model: DeviceModel, monitors: Sequence[Monitor]) -> None:
    """Raises ValueError for a declared monitor that no variable can have, or an id or slot declared twice."""
    ids: set[int] = set()
    slots: set[tuple[Variable, MonitorType, int]] = set()
    for one in monitors:
        variable = model.get(one.component, one.variable)
        place = f"monitor {one.id}: {one.component}.{one.variable}"
        if variable is None:
            raise ValueError(f"{place} is not there")
        if not fits(one.type, variable):
            raise ValueError(f"{place} can have no {one.type}")
        refused = refusal(one.type, one.value, one.severity, variable.characteristics)
        if refused is not None:
            raise ValueError(f"{place}: {refused.info}")
        slot = (variable, one.type, one.severity)
        if one.id < 1 or one.id in ids or slot in slots:
            raise ValueError(f"{place}: its id, or its type with that severity, is declared twice")
        ids.add(one.id)
        slots.add(slot)
