"""What a silent control system means: one state machine for all of them, with the semantics of EEBUS LPC. Pure.

Two kinds of signs are told apart: a heartbeat (there is a master) and a word (a limit, or its release). Only a word
makes a limit; a master that is there but says nothing for `WORD` s limits nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from agent.charging.limits import State

WORD = 120.0
"""Seconds for which a master that is heard (again) is waited for to say what holds."""

Fallback = Literal["failsafe", "unlimited"]


@dataclass(frozen=True, slots=True)
class FailsafeSettings:
    """What holds without a master: `limit` in W of the whole station once it was silent for `after` s. After `hold` s
    of that, `then`; `start`: from the start until a master is heard. If none is ever heard, `then` holds after
    `after` s.
    """

    limit: float = 4200.0
    after: float = 120.0
    hold: float = 7200.0
    then: Fallback = "failsafe"
    start: Fallback = "failsafe"


class Phase(StrEnum):
    """Where the machine is. The first three have had no word since the start."""

    INIT = "Init"
    """Nobody was heard since the start."""
    KEPT = "Kept"
    """The same, but a limit held when the power went: the lower of that and the failsafe limit holds."""
    GREETED = "Greeted"
    """A master was heard, its word is waited for; what held from the start still does."""
    LIMITED = "Limited"
    UNLIMITED = "Unlimited"
    FAILSAFE = "Failsafe"
    ALONE = "Alone"
    """No master came (back): no limit. Only where the settings' `then` is unlimited."""


class Happening(StrEnum):
    """What moves the machine."""

    HEARTBEAT = "Heartbeat"
    LIMIT = "Limit"
    RELEASE = "Release"
    """Also the end of the last limit's duration."""
    SILENCE = "Silence"
    """Nobody who had a word was heard for `after` s."""
    NOBODY = "Nobody"
    """Nobody was ever heard for `after` s, and that means no limit."""
    HELD = "Held"
    """The failsafe has held for `hold` s, and no limit follows it."""
    WORDLESS = "Wordless"
    """A master is heard but has said nothing for `WORD` s."""


P, H = Phase, Happening
TABLE: Mapping[tuple[Phase, Happening], Phase] = {
    (P.INIT, H.HEARTBEAT): P.GREETED,
    (P.INIT, H.LIMIT): P.LIMITED,
    (P.INIT, H.RELEASE): P.UNLIMITED,
    (P.INIT, H.SILENCE): P.FAILSAFE,
    (P.INIT, H.NOBODY): P.ALONE,
    (P.KEPT, H.HEARTBEAT): P.GREETED,
    (P.KEPT, H.LIMIT): P.LIMITED,
    (P.KEPT, H.RELEASE): P.UNLIMITED,
    (P.KEPT, H.SILENCE): P.FAILSAFE,
    (P.GREETED, H.LIMIT): P.LIMITED,
    (P.GREETED, H.RELEASE): P.UNLIMITED,
    (P.GREETED, H.SILENCE): P.FAILSAFE,
    (P.GREETED, H.WORDLESS): P.UNLIMITED,
    (P.LIMITED, H.RELEASE): P.UNLIMITED,
    (P.LIMITED, H.SILENCE): P.FAILSAFE,
    (P.UNLIMITED, H.LIMIT): P.LIMITED,
    (P.UNLIMITED, H.SILENCE): P.FAILSAFE,
    (P.FAILSAFE, H.LIMIT): P.LIMITED,
    (P.FAILSAFE, H.RELEASE): P.UNLIMITED,
    (P.FAILSAFE, H.WORDLESS): P.UNLIMITED,
    (P.FAILSAFE, H.HELD): P.ALONE,
    (P.ALONE, H.LIMIT): P.LIMITED,
    (P.ALONE, H.RELEASE): P.UNLIMITED,
    (P.ALONE, H.WORDLESS): P.UNLIMITED,
}
"""Everything else changes nothing."""

STATES: Mapping[Phase, State] = {
    P.INIT: State.INIT,
    P.KEPT: State.INIT,
    P.GREETED: State.INIT,
    P.LIMITED: State.ACTIVE,
    P.UNLIMITED: State.RELEASED,
    P.FAILSAFE: State.FAILSAFE,
}

_STARTING = (P.INIT, P.KEPT, P.GREETED)
_SPOKEN = (P.LIMITED, P.UNLIMITED)


class FailsafeMachine:
    """Times are monotonic s. The owner lets time pass with `due` and `elapse` before it tells what happened."""

    def __init__(self, settings: FailsafeSettings, now: float) -> None:
        self.settings = settings
        self.phase = Phase.INIT
        self.since = now
        """When `phase` began."""
        self.heard: float | None = None
        """The last sign of life of anybody."""
        self.was_limited = False
        """Whether it began with a limit from before the power went."""
        self._greeted: float | None = None
        self._speaker = now
        self._garbled = False

    @property
    def state(self) -> State:
        if self.phase is Phase.ALONE:
            return State.INIT if self.heard is None else State.FAILSAFE
        return STATES[self.phase]

    @property
    def starting(self) -> bool:
        """Whether there was no word and no silence yet since the start."""
        return self.phase in _STARTING

    @property
    def spoken(self) -> bool:
        """Whether what masters say holds."""
        return self.phase in _SPOKEN

    @property
    def limiting(self) -> bool:
        """Whether the failsafe limit holds."""
        if self.phase in _STARTING:
            return self.was_limited or self.settings.start == "failsafe"
        return self.phase is Phase.FAILSAFE

    def resume(self, now: float) -> None:
        """A limit held when the power went."""
        self.phase, self.since, self.was_limited = Phase.KEPT, now, True

    def heartbeat(self, now: float, *, speaker: bool) -> None:
        """A sign of life; `speaker`: of a master whose word counts."""
        if self._greeted is None or self.heard is None or now - self.heard >= self.settings.after:
            self._greeted = now
        self.heard = now
        if speaker:
            self._speaker = now
        self.happen(Happening.HEARTBEAT, now)

    def word(self, now: float, *, limited: bool) -> None:
        """A master said something, or a limit ended; `limited`: whether any limit holds now."""
        self._garbled = False
        self.happen(Happening.LIMIT if limited else Happening.RELEASE, now)

    def garbled(self) -> None:
        """A master said something that could not be taken: that is not the same as saying nothing."""
        self._garbled = True

    def happen(self, what: Happening, now: float) -> None:
        """Look it up in the table."""
        phase = TABLE.get((self.phase, what), self.phase)
        if phase is self.phase:
            return
        self.phase, self.since = phase, now
        if what is Happening.WORDLESS and self.heard is not None:
            self._speaker = self.heard
        elif phase is Phase.FAILSAFE:
            # Who is heard without a word has as long as one who comes back.
            alive = self.heard is not None and now - self.heard < self.settings.after
            self._greeted = now if alive else None

    def due(self) -> tuple[float, Happening] | None:
        """What happens next by itself, and when."""
        settings, times = self.settings, list[tuple[float, Happening]]()
        endless = settings.then == "failsafe"
        if self.phase is Phase.INIT:
            times.append((self.since + settings.after, Happening.SILENCE if endless else Happening.NOBODY))
        elif self.phase is Phase.KEPT:
            times.append((self.since + settings.after, Happening.SILENCE))
        elif self.phase is Phase.GREETED and self.heard is not None:
            times.append((self.heard + settings.after, Happening.SILENCE))
        elif self.phase in _SPOKEN:
            times.append((self._speaker + settings.after, Happening.SILENCE))
        elif self.phase is Phase.FAILSAFE and not endless:
            times.append((self.since + settings.hold, Happening.HELD))
        waiting = self.phase not in _SPOKEN and not self._garbled
        if waiting and self._greeted is not None and self.heard is not None:
            patience = self._greeted + WORD
            if patience < self.heard + settings.after:
                times.append((max(patience, self.since), Happening.WORDLESS))
        return min(times, default=None)

    def elapse(self, now: float) -> bool:
        """Let the next thing happen if it is time; returns whether it was."""
        next_one = self.due()
        if next_one is None or next_one[0] > now:
            return False
        self.happen(next_one[1], next_one[0])
        return True
