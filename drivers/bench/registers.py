"""The inside of a simulated Modbus device: a request's PDU in, the answer's PDU out, by the device's profile.

Written against the Modbus Application Protocol V1.1b3 and independent of the driver's own codec, so that a mistake in
one of them shows. A register holds what fits into it: a quantity beyond its range stands at the end of the range.
"""

import itertools
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from drivers import Value
from drivers.settings import ModbusPoint, ModbusProfile

ILLEGAL_FUNCTION = 1
ILLEGAL_DATA_ADDRESS = 2
ILLEGAL_DATA_VALUE = 3
SERVER_DEVICE_FAILURE = 4
GATEWAY_TARGET_FAILED = 11

_TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_FORMATS = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
_POWERS = {"A": -2, "V": -1, "Hz": -2}
"""The power of ten that a SunSpec device uses for a unit, as long as the values fit; else 0."""

_LARGEST_FLOAT32 = 3.4028234e38


class ModbusException(Exception):
    """The device answers with exception `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass(frozen=True)
class Cell:
    """Where one point lies."""

    name: str
    point: ModbusPoint
    table: str
    at: int
    size: int
    swapped: bool


def words_of(raw: bytes) -> list[int]:
    """Two bytes a register."""
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


def whole_range(kind: str) -> tuple[int, int]:
    """The least and the greatest number of an integer type."""
    bits = 8 * struct.calcsize(_FORMATS[kind])
    return (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def encode(point: ModbusPoint, value: Value, swapped: bool = False, power: int = 0) -> list[int]:
    """The registers that hold `value`, which is in the point's unit."""
    if point.type == "string":
        length = 2 * (point.length or 1)
        if point.coding == "der":
            return words_of(bytes.fromhex(str(value))[:length].ljust(length, b"\0"))
        return words_of(str(value).encode("ascii", "replace")[:length].ljust(length, b"\0"))
    if point.names is not None and isinstance(value, str):
        value = next((raw for raw, name in point.names.items() if name == value), 0)
    assert not isinstance(value, str)
    if point.type == "bit":
        return [int(bool(value)) << (point.bit or 0)]
    raw = (float(value) - point.offset) / (point.scale * 10.0**power)
    if point.type == "float32":
        packed = struct.pack(">f", max(-_LARGEST_FLOAT32, min(_LARGEST_FLOAT32, raw)))
    elif point.type == "float64":
        packed = struct.pack(">d", raw)
    else:
        low, high = whole_range(point.type)
        packed = struct.pack(_FORMATS[point.type], max(low, min(high, round(raw))))
    words = words_of(packed)
    return words[::-1] if swapped else words


def decode(point: ModbusPoint, words: list[int], swapped: bool = False, power: int = 0) -> Value:
    """What `words` mean, in the point's unit."""
    packed = b"".join(word.to_bytes(2, "big") for word in (words[::-1] if swapped else words))
    if point.type == "string":
        return packed.rstrip(b"\0").decode("ascii", "replace")
    if point.type == "bit":
        return bool(words[0] >> (point.bit or 0) & 1)
    (raw,) = struct.unpack(_FORMATS[point.type], packed)
    # Rounded, because 450 × 0.001 is 0.45000000000000001 to a float.
    return round(float(raw) * point.scale * 10.0**power + point.offset, 9)


class Registers:
    """The tables of one device; one that signs has its own say in what it signs (`drivers.bench.ocmf`).

    `read(name)` gives a point's value; `check(name, value)` says whether the device takes a write, and
    `write(name, value)` is called for each point of a write that it takes.
    """

    def __init__(
        self,
        profile: ModbusProfile,
        read: Callable[[str], Value],
        check: Callable[[str, Value], bool],
        write: Callable[[str, Value], None],
    ) -> None:
        self._profile, self._check = profile, check
        self._read, self._write = read, write
        if profile.snapshot is not None:
            self._read, self._write = _signing(profile, read, write)
        self._cells = [self._cell(name, point) for name, point in profile.points.items()]
        self._powers = {(c.table, c.point.scale_at) for c in self._cells if c.point.scale_at is not None}
        self._fixed = self._identity()
        self._readable = {table: self._addresses(table) for table in _TABLES.values()}

    def answer(self, pdu: bytes) -> bytes:
        """The answer to a request, which may be an exception."""
        code = pdu[0] if pdu else 0
        try:
            handler = _HANDLERS.get(code)
            if handler is None:
                raise ModbusException(ILLEGAL_FUNCTION)
            return bytes((code,)) + handler(self, code, pdu[1:])
        except ModbusException as exception:
            return bytes((code | 0x80, exception.code))
        except struct.error:
            return bytes((code | 0x80, ILLEGAL_DATA_VALUE))

    # --- layout --------------------------------------------------------------------------------------------------

    def _cell(self, name: str, point: ModbusPoint) -> Cell:
        table = point.table or self._profile.table
        size = len(encode(point, "" if point.type == "string" else 0))
        order = point.word_order or self._profile.word_order
        return Cell(name, point, table, point.at, size, order == "little" and point.type != "string")

    def _identity(self) -> dict[tuple[str, int], int]:
        """The registers that tell what the device is."""
        identity = self._profile.identity
        if identity is None:
            return {}
        point = ModbusPoint(at=identity.at, type=identity.type, length=identity.length)
        words = encode(point, identity.equals[0], self._profile.word_order == "little" and identity.length is None)
        return {(identity.table, identity.at + offset): word for offset, word in enumerate(words)}

    def _addresses(self, table: str) -> set[int]:
        """What may be read: every register of a point, and the gaps that the profile reads over."""
        known = {cell.at + i for cell in self._cells if cell.table == table for i in range(cell.size)}
        known |= {at for where, at in self._powers if where == table and at is not None}
        known |= {at for where, at in self._fixed if where == table}
        readable = set(known)
        ordered = sorted(known)
        for before, after in itertools.pairwise(ordered):
            if after - before - 1 <= self._profile.max_gap:
                readable.update(range(before, after))
        return readable

    # --- reading ---------------------------------------------------------------------------------------------------

    def _read_words(self, code: int, data: bytes) -> bytes:
        start, count = struct.unpack(">HH", data)
        words = self._words(_TABLES[code], start, count, min(125, self._profile.max_block))
        return bytes((2 * count,)) + b"".join(word.to_bytes(2, "big") for word in words)

    def _read_bits(self, code: int, data: bytes) -> bytes:
        start, count = struct.unpack(">HH", data)
        bits = self._words(_TABLES[code], start, count, 2000)
        packed = sum(bit << i for i, bit in enumerate(bits)).to_bytes((count + 7) // 8, "little")
        return bytes((len(packed),)) + packed

    def _words(self, table: str, start: int, count: int, limit: int) -> list[int]:
        if not 1 <= count <= limit:
            raise ModbusException(ILLEGAL_DATA_VALUE)
        wanted = range(start, start + count)
        if not self._readable[table].issuperset(wanted):
            raise ModbusException(ILLEGAL_DATA_ADDRESS)
        found = dict.fromkeys(wanted, 0)
        for cell in self._cells:
            if cell.table == table and cell.at < wanted.stop and cell.at + cell.size > start:
                words = encode(cell.point, self._read(cell.name), cell.swapped, self._power(cell))
                for at, word in enumerate(words, cell.at):
                    if at in found:
                        found[at] |= word
        for where, at in self._powers:
            if where == table and at is not None and at in found:
                found[at] = self._power_at(table, at) & 0xFFFF
        for (where, at), word in self._fixed.items():
            if where == table and at in found:
                found[at] = word
        return list(found.values())

    def _power(self, cell: Cell) -> int:
        at = cell.point.scale_at
        return 0 if at is None else self._power_at(cell.table, at)

    def _power_at(self, table: str, at: int) -> int:
        """The power of ten in the register `at`: small enough to be exact, large enough for every value to fit."""
        cells = [cell for cell in self._cells if cell.table == table and cell.point.scale_at == at]
        power = max(_POWERS.get(cell.point.unit, 0) for cell in cells)
        while power < 10 and not all(self._fits(cell, power) for cell in cells):
            power += 1
        return power

    def _fits(self, cell: Cell, power: int) -> bool:
        value = self._read(cell.name)
        low, high = whole_range(cell.point.type)
        if isinstance(value, str):
            return True
        # The least number of a signed type stands for "not available"; 0 is what a new counter has.
        least = low + 1 if low else low
        return least <= round(float(value) / (cell.point.scale * 10.0**power)) <= high

    # --- writing ---------------------------------------------------------------------------------------------------

    def _write_coil(self, code: int, data: bytes) -> bytes:  # noqa: ARG002
        at, state = struct.unpack(">HH", data)
        if state not in (0x0000, 0xFF00):
            raise ModbusException(ILLEGAL_DATA_VALUE)
        self._take("coil", at, [int(state == 0xFF00)])
        return data

    def _write_word(self, code: int, data: bytes) -> bytes:  # noqa: ARG002
        at, word = struct.unpack(">HH", data)
        self._take("holding", at, [word])
        return data

    def _write_coils(self, code: int, data: bytes) -> bytes:  # noqa: ARG002
        at, count, length = struct.unpack(">HHB", data[:5])
        if not 1 <= count <= 1968 or length != (count + 7) // 8 or len(data) != 5 + length:
            raise ModbusException(ILLEGAL_DATA_VALUE)
        bits = int.from_bytes(data[5:], "little")
        self._take("coil", at, [bits >> i & 1 for i in range(count)])
        return data[:4]

    def _write_words(self, code: int, data: bytes) -> bytes:  # noqa: ARG002
        at, count, length = struct.unpack(">HHB", data[:5])
        if not 1 <= count <= 123 or length != 2 * count or len(data) != 5 + length:
            raise ModbusException(ILLEGAL_DATA_VALUE)
        self._take("holding", at, words_of(data[5:]))
        return data[:4]

    def _take(self, table: str, start: int, words: list[int]) -> None:
        """Take a write as a whole, or refuse it as a whole."""
        new = dict(enumerate(words, start))
        touched = [
            cell
            for cell in self._cells
            if cell.table == table and "w" in cell.point.access and not new.keys().isdisjoint(_span(cell))
        ]
        if not new.keys() <= {at for cell in touched for at in _span(cell)}:
            raise ModbusException(ILLEGAL_DATA_ADDRESS)
        taken: list[tuple[str, Value]] = []
        for cell in touched:
            old = encode(cell.point, self._read(cell.name), cell.swapped, self._power(cell))
            now = [new.get(at, word) for at, word in zip(_span(cell), old, strict=True)]
            value = decode(cell.point, now, cell.swapped, self._power(cell))
            if not self._check(cell.name, value):
                raise ModbusException(ILLEGAL_DATA_VALUE)
            taken.append((cell.name, value))
        for name, value in taken:
            self._write(name, value)


def _signing(
    profile: ModbusProfile, read: Callable[[str], Value], write: Callable[[str, Value], None]
) -> tuple[Callable[[str], Value], Callable[[str, Value], None]]:
    """`read` and `write` of a device that signs; its triggers are nobody's else's business, and not logged."""
    from drivers.bench.ocmf import Signer  # needs what no other device needs

    signer = Signer(profile, read)

    def read_or_signed(name: str) -> Value:
        value = signer.value(name)
        return read(name) if value is None else value

    def write_or_trigger(name: str, value: Value) -> None:
        if not signer.takes(name, value):
            write(name, value)

    return read_or_signed, write_or_trigger


def _span(cell: Cell) -> Iterable[int]:
    return range(cell.at, cell.at + cell.size)


_HANDLERS: dict[int, Callable[[Registers, int, bytes], bytes]] = {
    1: Registers._read_bits,
    2: Registers._read_bits,
    3: Registers._read_words,
    4: Registers._read_words,
    5: Registers._write_coil,
    6: Registers._write_word,
    15: Registers._write_coils,
    16: Registers._write_words,
}
