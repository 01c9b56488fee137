"""What the tests of the arbiter share: sources that say what they are told to, and a station whose cars follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.charging.arbiter import Arbiter, Decision
from agent.charging.car import Facts, Rating
from agent.charging.limits import Kind, Limit, State, Unit
from agent.charging.sharing import Sharing
from agent.evse.power import Offer

THREE = Rating(3, 230.0, 6.0, 32.0)
ONE = Rating(1, 230.0, 6.0, 32.0)


class Says:
    """A source that says `said`, whatever the time."""

    def __init__(self, name: str, kind: Kind = "EMS", *said: Limit) -> None:
        self.name, self.kind = name, kind
        self.said = list(said)

    def limits(self, now: float) -> Sequence[Limit]:
        return self.said

    def due(self, now: float) -> float | None:
        return None

    def say(
        self,
        value: float | None,
        unit: Unit = "A",
        *,
        scope: int = 0,
        phases: tuple[float, float, float] | None = None,
        state: State = State.ACTIVE,
    ) -> "Says":
        self.said.append(Limit(self.name, self.kind, scope, state, value, unit, phases))
        return self

    def anew(self, value: float | None, unit: Unit = "A", *, scope: int = 0) -> None:
        self.said.clear()
        self.say(value, unit, scope=scope)


@dataclass
class Plug:
    """A car at an EVSE: on how many phases it charges, how much it takes at most, and what it is offered."""

    active: bool = False
    phases: int = 3
    takes: float = 32.0
    metered: bool = True
    volts: float | None = 230.0
    priority: int = 0
    cable: float | None = None
    lag: float = 0.0
    """Seconds in which it goes on drawing what it drew, after it was offered less."""
    offer: Offer = field(default_factory=Offer)
    draws: float = 0.0
    high: float = 0.0
    fell: float = -1e9
    closings: int = 0
    closed: bool = False

    def facts(self, rating: Rating) -> Facts:
        lines = tuple(self.draws if line < self.phases else 0.0 for line in range(rating.phases))
        return Facts(
            active=self.active,
            powered=self.closed,
            offered=self.offer.current,
            cable=self.cable,
            drawn=lines if self.metered else None,
            voltages=None if self.volts is None else (self.volts,) * rating.phases,
            priority=self.priority,
        )

    def follow(self, current: float, now: float) -> None:
        """The pilot changes, then the car draws what it may."""
        offered = self.offer.step(current if self.active else 0.0, now)
        if offered < self.draws:
            self.fell = now if self.draws > self.high or now - self.fell > self.lag else self.fell
            self.high = max(offered, self.draws)
        self.draws = self.high if self.high > offered and now - self.fell < self.lag else min(offered, self.takes)
        self.high = self.draws
        self.closings += (offered > 0) and not self.closed
        self.closed = offered > 0 or self.draws > 0


class Yard:
    """A station of `ratings`, looked at four times a second."""

    def __init__(
        self,
        sources: Sequence[Says],
        ratings: Mapping[int, Rating] | None = None,
        *,
        by_priority: bool = False,
        rotate: float = 900.0,
        pauses: int = 12,
    ) -> None:
        self.ratings = dict(ratings or {1: THREE, 2: THREE})
        self.arbiter = Arbiter(
            self.ratings, sources, sharing=Sharing(by_priority=by_priority, rotate=rotate), pauses_per_hour=pauses
        )
        self.plugs = {evse: Plug() for evse in self.ratings}
        self.now = 1000.0

    def decide(self) -> dict[int, Decision]:
        facts = {evse: plug.facts(self.ratings[evse]) for evse, plug in self.plugs.items()}
        return dict(self.arbiter.decide(facts, self.now))

    def tick(self, seconds: float = 0.25) -> dict[int, Decision]:
        made = self.decide()
        for evse, plug in self.plugs.items():
            plug.follow(made[evse].current, self.now)
        self.now += seconds
        return made

    def run(self, seconds: float) -> dict[int, Decision]:
        for _ in range(round(seconds * 4) - 1):
            self.tick()
        return self.tick()

    def car(self, evse: int, **more: object) -> None:
        self.plugs[evse] = replace(self.plugs[evse], active=True, **more)  # type: ignore[arg-type]

    @property
    def currents(self) -> list[float]:
        return [round(one.current, 3) for one in self.arbiter.decisions.values()]

    @property
    def reasons(self) -> list[str]:
        return [one.reason for one in self.arbiter.decisions.values()]

    @property
    def offered(self) -> list[float]:
        return [round(one.offer.current, 3) for one in self.plugs.values()]
