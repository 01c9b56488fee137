"""What a card reader types: the kernel's input events (linux/input.h) to the bytes of lines. Pure, no I/O.

The keys mean what they mean on a US keyboard, which is what readers pretend to be.
"""

import struct
from collections.abc import Iterator

EVENT = struct.Struct("@llHHi")
"""struct input_event: seconds, microseconds, type, code, value; as long as this computer's `long` makes it."""

EV_SYN, EV_KEY = 0, 1
SYN_REPORT, SYN_DROPPED = 0, 3
DOWN, UP = 1, 0  # 2 is a key that repeats because it is held: one character all the same

_SHIFTS = frozenset({42, 54})
_SILENT = frozenset({29, 97, 56, 100, 58, 69, 70, 125, 126})
"""Control, Alt, Caps Lock, Num Lock, Scroll Lock, Meta: some readers press them between cards."""
_ENDS = frozenset({28, 96, 15})
"""Enter, the number pad's, and Tab."""

_PLAIN = {
    **{2 + n: char for n, char in enumerate("1234567890-=")},
    **{16 + n: char for n, char in enumerate("qwertyuiop[]")},
    **{30 + n: char for n, char in enumerate("asdfghjkl;'`")},
    43: "\\",
    **{44 + n: char for n, char in enumerate("zxcvbnm,./")},
    57: " ",
    **{71 + n: char for n, char in enumerate("789-456+1230.")},
    55: "*",
    98: "/",
}
_SHIFTED = str.maketrans("1234567890-=[];'`\\,./", '!@#$%^&*()_+{}:"~|<>?')
_NUMBER_PAD = range(71, 84)


class KeyReader:
    """Bytes of an event device in, bytes as a serial reader would say them out. `dropped` tells of lost events."""

    def __init__(self) -> None:
        self._buffer = b""
        self._shifts: set[int] = set()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Take `data`; yields typed bytes, a CR for Enter, and None where the kernel lost events."""
        self._buffer += data
        whole = len(self._buffer) - len(self._buffer) % EVENT.size
        events, self._buffer = self._buffer[:whole], self._buffer[whole:]
        for _, _, kind, code, value in EVENT.iter_unpack(events):
            if kind == EV_SYN:
                if code == SYN_DROPPED:
                    self._skipping = True
                    self._shifts.clear()
                    yield None
                elif code == SYN_REPORT:
                    self._skipping = False
            elif kind == EV_KEY and not self._skipping:
                yield from self._key(code, value)

    def _key(self, code: int, value: int) -> Iterator[bytes]:
        if code in _SHIFTS:
            if value == UP:
                self._shifts.discard(code)
            else:
                self._shifts.add(code)
        elif value == DOWN and code not in _SILENT:
            if code in _ENDS:
                yield b"\r"
                return
            char = _PLAIN.get(code)
            if char is None:
                yield b"\xff"  # no text: whoever reads the line drops it
            elif self._shifts and code not in _NUMBER_PAD:
                yield (char.upper() if char.isalpha() else char.translate(_SHIFTED)).encode()
            else:
                yield char.encode()
