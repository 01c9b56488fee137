"""Who gets how much of what the station may draw: station limits, shared by the EVSEs with active cars.

First who charges at all (`turns.py`), then how much: equal currents as far as the cars use them, then the rest to
those who could use more. With `by_priority`, higher priorities are filled first.

Currents are A per phase. A limit of the station is a constraint: the sum of weight x current over the EVSEs is at
most its capacity. For a limit in W the weight is phases x voltage, for one in A of a phase 1 where the EVSE uses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from agent.charging.filling import EPSILON, fill, fits, take
from agent.charging.turns import Turns

RETRY = 1.0
"""s until a rise that waits for another car's fall is tried again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an EVSE with an active car asks for, in A per phase; `weights` has one for each constraint.

    Below `least` it is paused. `most` is what all limits of the EVSE itself let it have; below `least` it cannot
    charge. `demand` is what its car seems to use. `priority` is the chargingPriority, 0 if unknown (K03.FR.06).
    `floor` is what the car may draw whatever it is given now, such as just after its offer was lowered: an EVSE that
    may still draw must claim, with `most` 0 if it has nothing to ask for.
    """

    evse: int
    least: float
    most: float
    demand: float
    priority: int
    weights: tuple[float, ...]
    floor: float = 0.0


class Sharing:
    """`rotate`: s that an EVSE charges before it is paused for another one of the same priority."""

    def __init__(self, *, by_priority: bool, rotate: float) -> None:
        self._by_priority = by_priority
        self._turns = Turns(rotate)
        self._last: dict[int, float] = {}
        self._held = False

    def share(self, claims: Sequence[Claim], capacities: Sequence[float], now: float) -> dict[int, float]:
        """A per phase for each EVSE that claims, 0.0: paused. Never between 0 and its least, never above its most.

        Nobody is given more than before while the others may still draw it: what they were given last and their
        floors count until the next call. A capacity that fell is kept by the answer, not at once by the cars.
        `now` is monotonic s. ValueError if a claim has not one weight, finite and not negative, for each capacity;
        NaN elsewhere lets nobody have more.
        """
        for claim in claims:
            if len(claim.weights) != len(capacities):
                raise ValueError(f"EVSE {claim.evse}: expected one weight for each capacity")
            if claim.weights and not (min(claim.weights) >= 0 and sum(claim.weights) < inf):
                raise ValueError(f"EVSE {claim.evse}: expected finite weights that are not negative")
        able = [claim for claim in claims if 0 < claim.least <= claim.most]
        admitted = self._turns.admit(able, capacities, now)
        goals = self._goals(admitted, capacities)
        given = self._within_floors(claims, admitted, goals, capacities)
        self._turns.went_on({evse for evse, amount in given.items() if amount > 0 and self._last.get(evse)}, now)
        self._held = any(given[evse] < goal - EPSILON for evse, goal in goals.items())
        self._last = given
        return given

    def due(self, now: float) -> float | None:
        """When (monotonic s) to share again though nothing else changed; None: not by itself."""
        turn = self._turns.due(now)
        if not self._held:
            return turn
        return now + RETRY if turn is None else min(turn, now + RETRY)

    def _goals(self, admitted: list[Claim], capacities: Sequence[float]) -> dict[int, float]:
        """What the admitted ones get once all cars follow."""
        room = list(capacities)
        for claim in admitted:
            take(claim.weights, claim.least, room)
        ranks = sorted({claim.priority for claim in admitted}, reverse=True) if self._by_priority else [0]
        groups = [[c for c in admitted if not self._by_priority or c.priority == rank] for rank in ranks]
        levels = [[claim.least for claim in group] for group in groups]
        for up_to_demand in (True, False):
            for group, mine in zip(groups, levels, strict=True):
                tops = [min(c.demand, c.most) if up_to_demand else c.most for c in group]
                fill(mine, tops, [claim.weights for claim in group], room)
        pairs = [
            (c.evse, a) for group, mine in zip(groups, levels, strict=True) for c, a in zip(group, mine, strict=True)
        ]
        return dict(pairs)

    def _within_floors(
        self, claims: Sequence[Claim], admitted: list[Claim], goals: dict[int, float], capacities: Sequence[float]
    ) -> dict[int, float]:
        """Falls in full, rises as far as there is room beside what everybody may still draw."""
        given = {claim.evse: min(goals.get(claim.evse, 0.0), self._last.get(claim.evse, 0.0)) for claim in claims}
        risers = [claim for claim in admitted if goals[claim.evse] > given[claim.evse]]
        if not risers:
            return given
        room = list(capacities)
        drawn = {claim.evse: max(claim.floor, self._last.get(claim.evse, 0.0)) for claim in claims}
        for claim in claims:
            take(claim.weights, drawn[claim.evse], room)
        free = []
        for claim in risers:  # first what each needs to charge at all
            begins = max(0.0, claim.least - drawn[claim.evse])
            if fits(claim.weights, begins, room):
                take(claim.weights, begins, room)
                given[claim.evse] = min(goals[claim.evse], max(claim.least, drawn[claim.evse]))
                free.append(claim)
            elif given[claim.evse] < claim.least:
                given[claim.evse] = 0.0
        levels = [given[claim.evse] for claim in free]
        fill(levels, [goals[claim.evse] for claim in free], [claim.weights for claim in free], room)
        given.update((claim.evse, level) for claim, level in zip(free, levels, strict=True))
        return given
