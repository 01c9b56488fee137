"""Who charges when not all can: by priority, then in turns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent.charging.filling import fits, take


class Asking(Protocol):
    """What counts of a claim here: `agent.charging.sharing.Claim`."""

    @property
    def evse(self) -> int: ...
    @property
    def least(self) -> float: ...
    @property
    def priority(self) -> int: ...
    @property
    def weights(self) -> tuple[float, ...]: ...


One = TypeVar("One", bound=Asking)


@dataclass(slots=True)
class _Turn:
    """Charging or paused, and since when (monotonic s). `new`: never admitted so far."""

    on: bool
    since: float
    new: bool = True


class Turns:
    """A turn lasts `rotate` s at least, unless a limit falls or a higher priority comes (K03.FR.04). Who was paused
    as long as that, or is new, may then have it; the longest waiting first.

    Nobody starves: while somebody waits who could have the room of ended turns, no new turn begins that would outlast
    the ones it waits for.
    """

    def __init__(self, rotate: float) -> None:
        self._rotate = rotate
        self._turns: dict[int, _Turn] = {}
        self._waiting = False

    def admit(self, claims: Sequence[One], capacities: Sequence[float], now: float) -> list[One]:
        """Those whose least fits together, in order of their rank. Who claims no more is forgotten."""
        turns = {claim.evse: self._turns.get(claim.evse) or _Turn(False, now) for claim in claims}
        self._turns = turns
        queue = sorted(claims, key=lambda claim: (-claim.priority, *self._rank(claim.evse, now)))
        room, above = list(capacities), list(capacities)
        admitted: list[One] = []
        peers: list[One] = []
        blocked: set[int] = set()
        priority: int | None = None
        for claim in queue:
            if claim.priority != priority:
                priority, above, peers = claim.priority, list(room), []
            turn = turns[claim.evse]
            if fits(claim.weights, claim.least, room) and (turn.on or not self._touches(claim, blocked)):
                take(claim.weights, claim.least, room)
                admitted.append(claim)
                peers.append(claim)
            elif not turn.on and (turn.new or now >= turn.since + self._rotate):
                begin = self._begin(claim, peers, above, now)
                if begin is not None and begin < now + self._rotate:
                    blocked.update(k for k, weight in enumerate(claim.weights) if weight > 0)
        chosen = {claim.evse for claim in admitted}
        self._waiting = len(admitted) < len(claims)
        for evse, turn in turns.items():
            if turn.on != (evse in chosen):
                turn.on, turn.since, turn.new = evse in chosen, now, False
        return admitted

    def went_on(self, charging: Collection[int], now: float) -> None:
        """Tells who had current before and has it now: the turns of all others begin now at the earliest."""
        for evse, turn in self._turns.items():
            if turn.on and evse not in charging:
                turn.since = now

    def due(self, now: float) -> float | None:
        """When (monotonic s) the next turn or pause is long enough; None while nobody waits."""
        if not self._waiting:
            return None
        ends = [turn.since + self._rotate for turn in self._turns.values()]
        return min((end for end in ends if end > now), default=None)

    def _rank(self, evse: int, now: float) -> tuple[int, float, int]:
        """Turns that go on; then those who may have one; ended turns, the newest first; then short pauses."""
        turn = self._turns[evse]
        long = now >= turn.since + self._rotate
        if turn.on:
            return (2 if long else 0), -turn.since, evse
        return (1 if long or turn.new else 3), turn.since, evse

    @staticmethod
    def _touches(claim: Asking, constraints: Collection[int]) -> bool:
        return any(claim.weights[k] > 0 for k in constraints)

    def _begin(self, claim: One, peers: Sequence[One], above: Sequence[float], now: float) -> float | None:
        """When the turns that are in the way of `claim` have ended; None if it does not fit beside what higher
        priorities have (`above` is the room that they left).
        """
        if not fits(claim.weights, claim.least, above):
            return None
        room = list(above)
        take(claim.weights, claim.least, room)
        ends = {peer.evse: self._end(peer.evse, now) for peer in peers}
        for peer in sorted(peers, key=lambda peer: -ends[peer.evse]):
            if not fits(peer.weights, peer.least, room):
                return ends[peer.evse]
            take(peer.weights, peer.least, room)
        return now

    def _end(self, evse: int, now: float) -> float:
        turn = self._turns[evse]
        return (turn.since if turn.on else now) + self._rotate
