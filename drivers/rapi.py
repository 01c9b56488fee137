"""RAPI, what OpenEVSE's controllers speak over a serial line: lines, checksums, states. Pure, no I/O.

    $GS :1F^5D CR                      a command, a sequence id of its own, XOR of all characters before "^"
    $OK 03 125 03 0140 :1F^.. CR       its answer; $NK where it will not
    $AT 03 03 16 0140^.. CR            told unasked, when the state changes; $AB after it has started

From firmware/open_evse/rapi_proc.h of github.com/OpenEVSE/open_evse (RAPI 3 and newer: sequence ids, checksums in
answers) and the numbers in its J1772EvseController.h.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor

from drivers import NoAnswer

MAX_LENGTH = 128
"""Characters of a line; the longest that is documented has about 70."""
SEQUENCES = 255
"""Sequence ids are 1 to this; 0 is for "none"."""
MIN_CURRENT = 6
"""A; below this the pilot has no duty to say it with (IEC 61851-1)."""
MAX_CURRENT = 80
"""A; the most that a duty can say (IEC 61851-1)."""

SLEEPING, DISABLED = 0xFE, 0xFF
DIODE_FAILED, RELAY_STUCK = 0x05, 0x08
_FAULTS = range(0x05, SLEEPING)
_PILOTS = {1: "A", 2: "B", 3: "C", 4: "D"}
_RELAY_CLOSED, _CONNECTED = 0x0040, 0x0100

_LINE = re.compile(rb"\$([\x20-\x5d\x5f-\x7e]+)\^([0-9A-Fa-f]{2})")


class BadAnswer(NoAnswer):
    """An answer that says something else than its command asks for."""


@dataclass(frozen=True, slots=True)
class Message:
    """A line that its checksum vouches for: OK, NK, AT..., what follows it, and the sequence id of its command."""

    word: str
    words: tuple[str, ...]
    sequence: int | None


@dataclass(frozen=True, slots=True)
class State:
    """What the controller says of itself: `pilot` A to F, None where it knows none; `fault` 0 for none."""

    pilot: str | None
    plugged: bool
    contactor_closed: bool
    fault: int
    steady: bool
    """No duty on the pilot: it sleeps or is disabled."""


def command(text: str, sequence: int) -> bytes:
    body = f"${text} :{sequence:02X}".encode("ascii")
    return body + b"^%02X\r" % reduce(xor, body)


class LineReader:
    """Bytes in, messages out; what is damaged is dropped. Keeps at most `MAX_LENGTH` bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        self._buffer += data
        *lines, rest = re.split(rb"[\r\n]", self._buffer)
        self._buffer = bytearray(rest[-MAX_LENGTH:])
        for line in lines:
            message = message_of(line)
            if message is not None:
                yield message


def message_of(line: bytes) -> Message | None:
    """The message in a line; what stands before its last "$" was cut short. None for a damaged one."""
    match = _LINE.fullmatch(line[max(0, line.rfind(b"$")) :])
    if match is None or reduce(xor, b"$" + match[1]) != int(match[2], 16):
        return None
    words = match[1].decode("ascii").split()
    sequence = None
    if words and re.fullmatch(r":[0-9A-Fa-f]{2}", words[-1]):
        sequence = int(words.pop()[1:], 16)
    return Message(words[0], tuple(words[1:]), sequence) if words else None


def state_of(evse: str, pilot: str, flags: str) -> State:
    """From three hexadecimal words of $GS or $AT. Raises `BadAnswer`."""
    try:
        state, at, bits = int(evse, 16), int(pilot, 16), int(flags, 16)
    except ValueError:
        raise BadAnswer(f"no state: {evse} {pilot} {flags}") from None
    letter = _PILOTS.get(at)
    if state == DISABLED:
        letter = "F"
    elif state == DIODE_FAILED:
        letter = "E"
    return State(
        pilot=letter,
        plugged=bool(bits & _CONNECTED),
        # the flag is what the relay was told; the controller's own check knows when it did not obey
        contactor_closed=bool(bits & _RELAY_CLOSED) or state == RELAY_STUCK,
        fault=state if state in _FAULTS else 0,
        steady=state in (SLEEPING, DISABLED),
    )


def amperes(words: tuple[str, ...]) -> int:
    """The first word as a whole number of A. Raises `BadAnswer`."""
    if not words or not words[0].isdecimal():
        raise BadAnswer(f"no current: {' '.join(words)!r}")
    return int(words[0])
