"""The bytes of a wire in words for an engineer, and without what nobody may read: card numbers. Pure."""

import re
import struct
from collections.abc import Callable

from drivers.modbus_exceptions import exception_text
from drivers.rapi import message_of
from drivers.trace import IN

_READS = {1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers"}
_WRITES = {5: "coil", 6: "register", 15: "coils", 16: "registers"}

_TYPES = rb"(?:Central|DirectPayment|eMAID|EVCCID|ISO14443|ISO15693|KeyCode|Local|MacAddress|NoAuthorization|VIN):"
_TYPED = re.compile(rb"([\x02\r\n\x03]|^)(" + _TYPES + rb")")
_DIGIT, _UPPER, _LOWER = re.compile(rb"[0-9]"), re.compile(rb"[A-Z]"), re.compile(rb"[a-z]")

_EVENT = struct.Struct("@llHHi")  # struct input_event of linux/input.h
_DIGIT_KEYS, _LETTER_KEYS = range(2, 12), frozenset((*range(16, 26), *range(30, 39), *range(44, 51)))


def decode(driver: str, data: bytes, direction: str = IN) -> str:
    """What `data` says on a wire of `driver`, one line or several; in hexadecimal digits where that is not known."""
    decoder = _DECODERS.get(driver)
    return decoder(data, direction) if decoder is not None else data.hex(" ")


def masked(driver: str, data: bytes) -> bytes:
    """`data` without card numbers, of the same length and form, so that it can be kept and replayed."""
    if driver == "serial-reader":
        return _without_digits(data)
    if driver == "evdev-reader":
        return _without_keys(data)
    return data


def unit_of(driver: str, frame: bytes) -> int | None:
    """Whom a Modbus request is for; None on other wires, or where it is too short to say."""
    at = {"modbus-rtu": 0, "modbus-tcp": 6}.get(driver)
    return frame[at] if at is not None and len(frame) > at else None


# --- Modbus -------------------------------------------------------------------------------------------------------


def crc16(data: bytes) -> bytes:
    """The checksum of an RTU frame, low byte first (Modbus over Serial Line V1.02, §6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def _rtu(data: bytes, direction: str) -> str:
    if len(data) < 4 or crc16(data[:-2]) != data[-2:]:
        return f"no valid frame, {len(data)} bytes: {data.hex(' ')}"
    return f"unit {data[0]} {_pdu(data[1:-2], direction)}"


def _tcp(data: bytes, direction: str) -> str:
    lines = []
    while data:
        if len(data) < 8:
            lines.append(f"no valid frame, {len(data)} bytes: {data.hex(' ')}")
            break
        transaction, protocol, length, unit = struct.unpack(">HHHB", data[:7])
        if protocol or length < 2 or len(data) < 6 + length:
            lines.append(f"no valid frame, {len(data)} bytes: {data.hex(' ')}")
            break
        lines.append(f"#{transaction} unit {unit} {_pdu(data[7 : 6 + length], direction)}")
        data = data[6 + length :]
    return "\n".join(lines)


def _pdu(pdu: bytes, direction: str) -> str:
    code = pdu[0]
    if code & 0x80 and len(pdu) == 2:
        return f"refuses function {code & 0x7F}: {exception_text(pdu[1])}"
    if code in _READS:
        if direction != IN and len(pdu) == 5:
            start, count = struct.unpack(">HH", pdu[1:])
            return f"read {_READS[code]} {start}" + (f"..{start + count - 1}" if count > 1 else "")
        if direction == IN and len(pdu) >= 2 and pdu[1] == len(pdu) - 2:
            return f"{_READS[code]}: {pdu[2:].hex(' ', -2) if code > 2 else pdu[2:].hex(' ')}"
    if code in (5, 6) and len(pdu) == 5:
        at, value = struct.unpack(">HH", pdu[1:])
        said = str(value) if code == 6 else {0: "off", 0xFF00: "on"}.get(value, f"{value:04x}")
        return f"{'wrote' if direction == IN else 'write'} {_WRITES[code]} {at} = {said}"
    if code in (15, 16) and len(pdu) >= 5:
        at, count = struct.unpack(">HH", pdu[1:5])
        places = f"{_WRITES[code]} {at}" + (f"..{at + count - 1}" if count > 1 else "")
        if direction == IN and len(pdu) == 5:
            return f"wrote {places}"
        if len(pdu) > 6:
            return f"write {places} = {pdu[6:].hex(' ', -2) if code == 16 else pdu[6:].hex(' ')}"
    return f"function {code}: {pdu[1:].hex(' ')}"


# --- lines --------------------------------------------------------------------------------------------------------


def _lines(data: bytes, direction: str) -> str:  # noqa: ARG001 - all decoders are called alike
    return "\n".join(_shown(line) for line in re.split(rb"[\r\n]+", data) if line)


def _rapi(data: bytes, direction: str) -> str:  # noqa: ARG001
    lines = []
    for line in re.split(rb"[\r\n]+", data):
        if not line:
            continue
        message = message_of(line)
        if message is None:
            lines.append(f"damaged: {_shown(line)}")
        else:
            number = "" if message.sequence is None else f"#{message.sequence} "
            lines.append(f"{number}${' '.join((message.word, *message.words))}")
    return "\n".join(lines)


def _reader(data: bytes, direction: str) -> str:
    return _lines(_without_digits(data), direction)


def _keyboard(data: bytes, direction: str) -> str:  # noqa: ARG001
    return f"{len(data) // _EVENT.size} key events"


def _shown(line: bytes) -> str:
    """Printable, on every terminal."""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in line)


def _without_digits(data: bytes) -> bytes:
    kept = [match.span(2) for match in _TYPED.finditer(data)]
    out, at = b"", 0
    for begin, end in (*kept, (len(data), len(data))):
        blank = _LOWER.sub(b"a", _UPPER.sub(b"A", _DIGIT.sub(b"0", data[at:begin])))
        out, at = out + blank + data[begin:end], end
    return out


def _without_keys(data: bytes) -> bytes:
    if len(data) % _EVENT.size:
        return b""  # torn: what is a key in it cannot be told
    out = b""
    for at in range(0, len(data), _EVENT.size):
        seconds, micros, kind, code, value = _EVENT.unpack_from(data, at)
        if kind == 1:
            code = 11 if code in _DIGIT_KEYS else 30 if code in _LETTER_KEYS else code
        elif kind == 4:
            value = 0  # a scan code says which key it was
        out += _EVENT.pack(seconds, micros, kind, code, value)
    return out


_DECODERS: dict[str, Callable[[bytes, str], str]] = {
    "modbus-rtu": _rtu,
    "modbus-tcp": _tcp,
    "dsmr-p1": _lines,
    "pilot-uart": _rapi,
    "serial-reader": _reader,
    "evdev-reader": _keyboard,
    "gpio": _lines,
    "sysfs": _lines,
}
