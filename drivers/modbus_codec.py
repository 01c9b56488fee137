"""Between the registers of a Modbus device and values: types, word order, scale, "not available". Pure."""

import math
import struct
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from drivers import Value
from drivers.settings import ModbusIdentity, ModbusPoint, RegisterType

FORMATS: dict[str, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}

SUNSSF_LIMIT = 10
"""A SunSpec scale factor outside ±10 is not implemented (0x8000) or nonsense."""


def registers_of(kind: RegisterType, length: int | None) -> int:
    """How many registers a value takes."""
    if kind == "string":
        return length or 1
    return struct.calcsize(FORMATS[kind]) // 2 if kind in FORMATS else 1


def shortest_float32(raw: bytes) -> str:
    """The shortest decimal that is this float32 (4 bytes, big-endian) and no other: 230.1, not 230.10000610351562."""
    (number,) = struct.unpack(">f", raw)
    for digits in (6, 7, 8):
        text = f"{number:.{digits}g}"
        try:
            if struct.pack(">f", float(text)) == raw:
                return text
        except OverflowError:  # rounded up past the largest float32
            continue
    return f"{number:.9g}"


class Codec:
    """One point's registers ↔ its value in its unit. `size` is in registers (in bits for coils and inputs)."""

    def __init__(self, point: ModbusPoint | ModbusIdentity, word_order: str = "big") -> None:
        self.kind = point.type
        self.size = registers_of(point.type, point.length)
        self._swap = word_order == "little" and self.size > 1 and point.type != "string"
        scale, offset = Decimal(1), Decimal(0)
        na: tuple[int, ...] = ()
        self._bit: int | None = None
        self.coding = point.coding if isinstance(point, ModbusPoint) else "ascii"
        self._rounding = ROUND_HALF_EVEN
        if isinstance(point, ModbusPoint):
            scale, offset = Decimal(repr(point.scale)), Decimal(repr(point.offset))
            self._bit, na = point.bit, point.na
            if point.round == "down":
                self._rounding = ROUND_FLOOR
        self._scale, self._offset = scale, offset
        # value = (raw × up + add) / down, in whole numbers: one division, correctly rounded
        places = max(0, -_exponent(scale), -_exponent(offset))
        self._down = 10**places
        self._up, self._add = int(scale * self._down), int(offset * self._down)
        mask = (1 << (16 * self.size)) - 1
        self._na = frozenset(value & mask for value in na)

    # --- registers → value ---------------------------------------------------------------------------------

    def decode(self, raw: bytes, exponent: int = 0) -> Value | None:
        """The value in `raw` (2 bytes a register, big-endian); `exponent` comes from the register `scale_at`."""
        if self.coding == "der":
            return der_digits(raw)
        if self.kind == "string":
            return raw.split(b"\0", 1)[0].decode("ascii", "replace").strip()
        if self._swap:
            raw = self._swapped(raw)
        if self._na and int.from_bytes(raw, "big") in self._na:
            return None
        if self.kind == "bit":
            return bool(int.from_bytes(raw, "big") >> (self._bit or 0) & 1)
        if self.kind == "float32" or self.kind == "float64":
            return self._decode_float(raw)
        number = int.from_bytes(raw, "big", signed=self.kind[0] == "i")
        up, add, down = self._up, self._add, self._down
        if exponent > 0:
            up *= 10**exponent
        elif exponent < 0:
            shift = 10**-exponent
            add, down = add * shift, down * shift
        total = number * up + add
        return total if down == 1 else total / down

    def _decode_float(self, raw: bytes) -> float | None:
        if self.kind == "float32":
            text = shortest_float32(raw)
            number = float(text)
        else:
            (number,) = struct.unpack(">d", raw)
            text = repr(number)
        if not math.isfinite(number):
            return None
        if self._up == self._down and not self._add:
            return number
        return float(Decimal(text) * self._scale + self._offset)

    # --- value → registers ---------------------------------------------------------------------------------

    def encode(self, value: Value, exponent: int = 0) -> bytes:
        """The registers that hold `value`: the nearest that the scale can express, or the next below if it says so.

        Raises ValueError for a value of the wrong kind or outside what the registers can hold.
        """
        if self.kind == "string":
            return self._encode_text(value)
        if self.kind == "bit":
            raise ValueError("a bit is written with its neighbours, or as a coil")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"expected a number, not {value!r}")
        number = (Decimal(repr(value)) - self._offset) / (self._scale.scaleb(exponent))
        try:
            if self.kind in ("float32", "float64"):
                raw = struct.pack(">" + FORMATS[self.kind], float(number))
            else:
                whole = int(number.to_integral_value(self._rounding))
                raw = struct.pack(">" + FORMATS[self.kind], whole)
        except (struct.error, OverflowError):
            raise ValueError(f"{value} does not fit into {self.kind}") from None
        return self._swapped(raw) if self._swap else raw

    def _encode_text(self, value: Value) -> bytes:
        if not isinstance(value, str):
            raise ValueError(f"expected a text, not {value!r}")
        try:
            raw = value.encode("ascii")
        except UnicodeEncodeError:
            raise ValueError("expected a text in ASCII") from None
        if len(raw) > 2 * self.size:
            raise ValueError(f"expected at most {2 * self.size} characters")
        return raw.ljust(2 * self.size, b"\0")

    @staticmethod
    def _swapped(raw: bytes) -> bytes:
        return b"".join(raw[i : i + 2] for i in range(len(raw) - 2, -1, -2))


def sunssf(raw: bytes) -> int | None:
    """The power of ten in a SunSpec scale factor register; None if the device does not implement it."""
    exponent = int.from_bytes(raw, "big", signed=True)
    return exponent if abs(exponent) <= SUNSSF_LIMIT else None


def der_digits(raw: bytes) -> str | None:
    """The ASN.1 sequence at the start of `raw` as hexadecimal digits; None where there is none, or not all of it."""
    if len(raw) < 2 or raw[0] != 0x30:
        return None
    start, length = 2, raw[1]
    if length > 0x80:  # the number of bytes that tell the length
        start += length - 0x80
        length = int.from_bytes(raw[2:start], "big")
    end = start + length
    return raw[:end].hex() if start < end <= len(raw) else None


def _exponent(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
