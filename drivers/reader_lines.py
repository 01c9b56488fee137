"""What a card reader says: bytes to lines, lines to tokens, and how long a card counts as there. Pure, no I/O."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

TYPES = ("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress")
"""IdTokenEnumType (part 2), without NoAuthorization: a reader that spoke has read something."""

MAX_LENGTH = 255
"""Bytes of a line; more without an end is no line."""
STALL = 5.0
"""Seconds between two bytes of a line after which the first part belongs to nothing: half a card number and the one
of the next card must not become a third."""

_PARTS = re.compile(rb"([\r\n\x02\x03])")
_PRINTABLE = re.compile(rb"[\x20-\x7e]+")
_TYPES = {name.casefold(): name for name in (*TYPES, "NoAuthorization")}


@dataclass(frozen=True, slots=True)
class Token:
    """A token as a reader told it: its text, of any length, and one of `TYPES`."""

    token: str
    type: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no line, or a line that is no token; `reason` says why it was dropped."""

    reason: str


class LineReader:
    """Bytes in, lines out. A line ends with CR, LF or ETX and begins anew at STX; what is kept is bounded."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._overlong = False
        self._fed = -math.inf

    def feed(self, data: bytes, time: float) -> Iterator[str | Garbage]:
        """Take `data` as it came at `time` (monotonic seconds); yields what it completes, good or bad, in order."""
        if time - self._fed > STALL:
            if self._buffer:
                yield Garbage(f"a line that stopped for {STALL:g} s")
            self._buffer.clear()
            self._overlong = False
        self._fed = time
        for part in _PARTS.split(data):
            if part == b"\x02":
                if self._buffer:
                    yield Garbage("a line cut short by the next one")
                self._buffer.clear()
                self._overlong = False
            elif part in (b"\r", b"\n", b"\x03"):
                line = bytes(self._buffer).strip()
                self._buffer.clear()
                if self._overlong:
                    self._overlong = False
                elif line:
                    yield line.decode("ascii") if _PRINTABLE.fullmatch(line) else Garbage("bytes that are no text")
            elif not self._overlong:
                self._buffer += part
                if len(self._buffer) > MAX_LENGTH:
                    self._buffer.clear()
                    self._overlong = True
                    yield Garbage(f"more than {MAX_LENGTH} bytes without a line's end")

    def broken(self) -> None:
        """What was being said got lost in part: drop it up to its end."""
        self._buffer.clear()
        self._overlong = True


def token_of(line: str, pattern: re.Pattern[str] | None, token_type: str) -> Token | Garbage:
    """The token in `line`: as a whole, as `TYPE:TOKEN`, or as `pattern` finds it in the groups token and type.

    `token_type` is for a line that tells none.
    """
    if pattern is None:
        head, colon, tail = line.partition(":")
        said = head.strip().casefold()
        if not colon or said not in _TYPES:  # a MAC address has colons too
            return Token(line, token_type)
        text, kind = tail.strip(), said
    else:
        match = pattern.fullmatch(line)
        if match is None:
            return Garbage("a line that does not match the pattern")
        groups = match.groupdict()
        text, kind = (groups["token"] or "").strip(), (groups.get("type") or token_type).casefold()
    known = _TYPES.get(kind)
    if known is None or known == "NoAuthorization":
        return Garbage(f"a token of type {kind!r}")
    return Token(text, known) if text else Garbage("a line without a token")


class Presence:
    """Which card is on the reader: there from its line until `hold` seconds after its last one."""

    def __init__(self, hold: float, token_type: str) -> None:
        self.hold = hold
        self.until = 0.0
        """When the card that is there counts as gone."""
        self._card: Token | None = None
        self._type = token_type

    @property
    def there(self) -> bool:
        return self._card is not None

    def state(self) -> list[tuple[str, str]]:
        """(point, value) for both points; the type first, so that it is known when the token arrives."""
        return [("token_type", self._type), ("token", self._card.token if self._card else "")]

    def swipe(self, card: Token, time: float) -> list[tuple[str, str]]:
        """`card` was read at `time`: what to tell. A card that is there already only stays longer."""
        self.until = time + self.hold
        if card == self._card:
            return []
        gone = [("token", "")] if self._card is not None else []
        self._card, self._type = card, card.type
        return [*gone, *self.state()]

    def expire(self, time: float) -> list[tuple[str, str]]:
        """What to tell at `time` of a card whose `hold` is over."""
        if self._card is None or time < self.until:
            return []
        self._card = None
        return [("token", "")]
