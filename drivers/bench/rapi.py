"""A pilot controller that speaks RAPI, without its wire: lines, commands, what it tells and what it does by itself.

Written from the protocol's own text and code (firmware/open_evse/rapi_proc.* and J1772EvseController.* of
github.com/OpenEVSE/open_evse), independently of the driver. It differs where the bench's physics do: its relay opens
at once, where the firmware lets a car that is put to sleep go first, and state D is left to whoever enables it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers import Value
from drivers.bench.points import Point

LEAST = 6
"""A; the firmware sets no less."""

COOKIE = 165
"""Acknowledges that signs of life were missed."""

VERSION = "8.2.3 5.2.1"
"""Of the firmware and of RAPI, as `$GV` tells them."""

SLEEPING, DISABLED = 0xFE, 0xFF
NO_DIODE, RELAY_STUCK, RELAY_OPEN = 0x05, 0x08, 0x0E
_LETTERS = {"A": 1, "B": 2, "C": 3, "D": 4}
_CHARGING_ON, _EV_CONNECTED, _SESSION_ENDED, _LOCK_BY_HAND = 0x0040, 0x0100, 0x0200, 0x8000
_TOLD = _EV_CONNECTED
"""Of these flags, the ones whose change alone is told unasked."""

_MISSED, _MISSED_ONCE = 2, 1
"""Signs of life were missed and nobody owned up to it; they were, once."""

_COMMAND = re.compile(r"\$([^$^*\r]+)(?:\^([0-9A-Fa-f]{2}))?")

Answer = tuple[bool, str]
REFUSED: Answer = (False, "")


def line(body: str) -> bytes:
    """`body` with its checksum, as it is sent."""
    check = 0
    for byte in body.encode("ascii"):
        check ^= byte
    return f"{body}^{check:02X}\r".encode("ascii")


@dataclass(frozen=True, slots=True)
class Command:
    """One that arrived: its words, and its sequence id as it was written, "" where it has none."""

    words: tuple[str, ...]
    sequence: str

    def answer(self, answer: Answer) -> bytes:
        """The line that answers it."""
        ok, text = answer
        return line(" ".join(filter(None, ("$OK" if ok else "$NK", text, self.sequence))))


def command_of(raw: bytes) -> Command | None:
    """The command in a line, whose checksum may be left out; None where there is none, or a damaged one."""
    match = _COMMAND.fullmatch(raw[max(0, raw.rfind(b"$")) :].decode("latin-1"))
    if match is None or (match[2] is not None and line(f"${match[1]}")[-3:-1] != match[2].upper().encode()):
        return None
    words = match[1].split()
    sequence = words.pop() if len(words) > 1 and words[-1].startswith(":") else ""
    return Command(tuple(words), sequence) if words else None


class Chip:
    """The controller: `points` are its device's, `most` is what its hardware was set to, in A.

    `wrote(point, value)` is told of what it was commanded. Whoever calls anything here lets the physics follow.
    """

    def __init__(self, points: Mapping[str, Point], wrote: Callable[[str, Value], None], most: int = 32) -> None:
        self._point, self._wrote = points, wrote
        self._most = most
        self._interval, self._fallback = 0, LEAST
        """Of the supervision: s, A. They are kept without a supply, as `_most` is."""
        self.switch_on(0.0)

    # --- time ------------------------------------------------------------------------------------------------------

    def switch_on(self, now: float) -> None:
        """It starts enabled, with all that it may offer, and with a lock that goes by the car."""
        self._current, self._asleep = self._most, False
        self._by_hand, self._bolt = False, False
        self._missed, self._heard_at = 0, now
        self._point["fault"].natural = 0.0
        self._set()

    def step(self, now: float) -> None:
        """Until `now`: it lowers the current when nobody gave a sign of life, and looks after its relay."""
        if self._interval and now - self._heard_at > self._interval:
            self._missed, self._heard_at = _MISSED, now
            if self._fallback < self._current:
                self._set_current(self._fallback)
        self._check_relay()
        self._set()

    def _check_relay(self) -> None:
        """One that does not do what it is told; what it found, it finds until the relay is sound again."""
        relay, fault = self._point["contactor_closed"], self._point["fault"]
        found = 0
        if relay.held is True and not relay.natural:
            found = RELAY_STUCK
        elif relay.held is False and (relay.natural or fault.natural == RELAY_OPEN):
            found = RELAY_OPEN
        fault.natural = float(found)

    def _set(self) -> None:
        """What it does shows in its points. Asleep, it says nothing by the pilot."""
        self._point["offered_current"].natural = 0.0 if self._asleep else float(self._current)
        self._point["enable"].natural = not self._asleep
        if "lock" in self._point:
            self._point["lock"].natural = self._bolt if self._by_hand else self._connected

    # --- what it says ----------------------------------------------------------------------------------------------

    @property
    def boot(self) -> bytes:
        """What it says when it has started."""
        return line(f"$AB 00 {VERSION.partition(' ')[0]}")

    @property
    def told(self) -> bytes:
        """What it says unasked."""
        state, pilot, flags = self._state()
        return line(f"$AT {state:02x} {pilot:02x} {self._capacity} {flags:04x}")

    @property
    def news(self) -> tuple[int, ...]:
        """It is told when this is another than it was."""
        state, pilot, flags = self._state()
        return state, pilot, self._capacity, flags & _TOLD

    @property
    def _capacity(self) -> int:
        """A; held on the bench, what is held."""
        held = self._point["offered_current"].held
        return self._current if held is None else max(0, int(self._point["offered_current"].number))

    @property
    def _connected(self) -> bool:
        """It knows of a car, not of a cable."""
        return self._point["plugged"].true and self._point["pilot"].value != "A"

    def _state(self) -> tuple[int, int, int]:
        """Its own state, the pilot's, and flags."""
        said, fault = self._point["pilot"].value, int(self._point["fault"].number)
        pilot = _LETTERS.get(str(said), 0)
        if fault:
            state = min(max(fault, NO_DIODE), SLEEPING - 1)
            pilot = pilot or (
                2 if self._connected else 1
            )  # the pilot is steady, and still says whether a car is there
        elif said == "F":
            state = DISABLED
        elif said == "E":
            state = NO_DIODE
        else:
            state = SLEEPING if self._asleep else min(pilot, _LETTERS["C"])  # it does not mind ventilation
        flags = _CHARGING_ON * bool(self._point["contactor_closed"].natural)
        flags |= _EV_CONNECTED if self._connected else _SESSION_ENDED
        return state, pilot, flags | _LOCK_BY_HAND * self._by_hand

    # --- what it is told -------------------------------------------------------------------------------------------

    def obey(self, words: tuple[str, ...], now: float) -> Answer:
        """Whether it does what `words` say, and what it answers."""
        answer = self._obey(words, now)
        self._set()
        return answer

    def _obey(self, words: tuple[str, ...], now: float) -> Answer:
        match words:
            case ("GS",):
                state, pilot, flags = self._state()
                return True, f"{state:02x} 0 {pilot:02x} {flags:04x}"
            case ("GE",):
                return True, f"{self._capacity} 0021"
            case ("GC",):
                return True, f"{LEAST} {self._most} {self._capacity} {self._most}"
            case ("GV",):
                return True, VERSION
            case ("GY",):
                return True, self._supervision
            case ("FE",) | ("FS",):
                self._asleep = words[0] == "FS"
                self._wrote("enable", not self._asleep)
                return True, ""
            case ("SC", amperes, "V") if amperes.isdecimal():
                self._wrote("offered_current", float(amperes))
                return self._set_current(int(amperes)), str(self._current)
            case ("SY", *more):
                return self._supervise(tuple(more), now), self._supervision
            case ("G5",) if "lock" in self._point:
                return True, f"{self._point['locked'].true:d} {'M' if self._by_hand else 'A'}"
            case ("S5", what) if "lock" in self._point:
                return self._lock(what), ""
        return REFUSED

    def _set_current(self, wanted: int) -> bool:
        """Whether that is what it offers now; if not, the nearest that it can."""
        self._current = max(LEAST, min(wanted, self._most))
        return self._current == wanted

    def _lock(self, what: str) -> bool:
        if what in ("A", "M"):
            self._by_hand, self._bolt = what == "M", self._point["locked"].true
        elif what in ("0", "1"):
            self._bolt = what == "1"
            self._wrote("lock", self._bolt)
        else:
            return False
        return True

    @property
    def _supervision(self) -> str:
        return f"{self._interval} {self._fallback} {self._missed}"

    def _supervise(self, words: tuple[str, ...], now: float) -> bool:
        if not all(word.isdecimal() for word in words):
            return False
        match [int(word) for word in words]:
            case []:
                self._heard_at = now
                return self._missed != _MISSED
            case [cookie] if cookie == COOKIE:
                if self._missed == _MISSED:  # the current is what it was at the start, not what was offered before
                    self._missed = _MISSED_ONCE
                    self._set_current(self._most)
                return True
            case [interval, current]:
                self._interval, self._fallback = interval, current
                self._missed, self._heard_at = 0, now
                return True
        return False
