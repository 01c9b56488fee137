"""A clock to be moved by hand, and an external control system on it."""

from datetime import UTC, datetime, timedelta

from agent.charging.external import ExternalSource
from agent.charging.failsafe import FailsafeSettings
from agent.charging.limits import Command, Limit, Unit

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SETTINGS = FailsafeSettings(limit=4200, after=10, hold=600)


class ManualClock:
    """Monotonic time from 1000 s, wall time from START; `correct` moves the wall time alone."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.wall = START

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return self.wall

    def move(self, seconds: float) -> None:
        self.time += seconds
        self.wall += timedelta(seconds=seconds)

    def correct(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


class Ems:
    """A source for a station with EVSEs 1 and 2; `changes` counts its calls."""

    def __init__(self, settings: FailsafeSettings = SETTINGS, kept: str | None = None) -> None:
        self.clock = ManualClock()
        self.changes = 0
        self.source = ExternalSource(
            "modbus", kind="EMS", failsafe=settings, clock=self.clock, scopes=(0, 1, 2), changed=self._changed
        )
        if kept is not None:
            assert self.source.restore(kept) is None

    def _changed(self) -> None:
        self.changes += 1

    def limit(
        self,
        value: float,
        unit: Unit = "W",
        *,
        scope: int = 0,
        master: str = "ems",
        duration: float | None = None,
        stamp: datetime | None = None,
    ) -> str | None:
        return self.source.limit(scope, Command(value, unit, duration), master, stamp=stamp)

    def beat(self, seconds: float, master: str = "ems") -> None:
        """Heartbeats each second for `seconds`."""
        for _ in range(round(seconds)):
            self.clock.move(1)
            self.source.heard(master)

    def told(self) -> list[Limit]:
        return list(self.source.limits(self.clock.monotonic()))

    def values(self) -> dict[tuple[int, Unit], float]:
        """What limits, by scope and unit."""
        return {(one.scope, one.unit): one.value for one in self.told() if one.value is not None}
