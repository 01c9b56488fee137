"""A potential-free contact that dims the station: §14a EnWG's control box, a ripple control receiver.

The contact is wired normally closed, so that an open one, a broken wire or a dead relay is the signal. A level that
is not known (not read yet, or too long ago) limits as the signal does: it is read before anything is energised.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from agent.charging.limits import Limit, State
from agent.model import Variable

Record = Callable[[str, str, float | None], None]
"""Takes (contact, "given", "released" or "unknown", the W that hold from now on, None for no limit)."""


class ContactSource:
    """Limits the station to `limit` W while the contact is open. `active` is the Device Model's variable of its level
    (true: the signal is given), `settle` the s for which a new level must last before it counts.
    """

    def __init__(
        self, name: str, active: Variable, *, kind: Literal["EMS", "SO"], limit: float, settle: float, record: Record
    ) -> None:
        self.name = name
        self._active, self._kind, self._watts, self._settle, self._record = active, kind, limit, settle, record
        self._state = State.INIT
        self._seen: bool | None = None
        self._since = 0.0
        self._changed = 0.0

    def limits(self, now: float) -> Sequence[Limit]:
        """What the contact says at `now`; a new level counts once it has settled, an unknown one at once."""
        value = self._active.actual.value
        level = value if isinstance(value, bool) else None
        if level != self._seen:
            self._seen, self._since = level, now
        state = self._state
        if level is None:
            state = State.INIT if self._state is State.INIT else State.STALE
        elif now >= self._since + self._settle or self._state in (State.INIT, State.STALE):
            state = State.ACTIVE if level else State.RELEASED
        if state is not self._state:
            self._state, self._changed = state, now
            told = {State.ACTIVE: "given", State.RELEASED: "released"}.get(state, "unknown")
            self._record(self.name, told, None if state is State.RELEASED else self._watts)
        watts = None if state is State.RELEASED else self._watts
        return (Limit(self.name, self._kind, 0, state, watts, "W", changed=self._changed),)

    def due(self, now: float) -> float | None:
        """When a new level has settled."""
        ripe = self._since + self._settle
        return ripe if ripe > now else None
