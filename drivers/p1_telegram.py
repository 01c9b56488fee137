"""Telegrams of a smart meter's P1 port, cut out of a stream of bytes and checked; no I/O.

The form is that of the DSMR P1 companion standard, versions 4 and 5:

    /ISK5\\2M550E-1013 CR LF CR LF      identification, after three letters and a digit
    1-0:1.7.0(01.193*kW) CR LF         one OBIS code a line, values in brackets
    !EF2F CR LF                        CRC16 (polynomial x16+x15+x2+1, reflected, start 0) from "/" to "!"

Telegrams of DSMR 2.2 and 3 end with a bare "!". They are refused: a line that lost four characters looks the same,
and a wrong number is worse than none.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from drivers.decimals import decimal_of

MAX_LENGTH = 16_384
"""Bytes kept while no end has come; the longest telegrams seen in the field (Belgium) have about 4,500."""

_START = re.compile(rb"(?:\A|(?<=\n))/[A-Za-z]{3}\d[^\r\n]*\r?\n")
_END = re.compile(rb"(?:\A|(?<=\n))!([^\r\n]*)\r?\n")
_CRC = re.compile(rb"[0-9A-Fa-f]{4}")
_LINE = re.compile(r"(\d+-\d+:\d+\.\d+\.\d+)(?:\.255)?((?:\([^()]*\))+)")
_GROUP = re.compile(r"\(([^()]*)\)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Telegram:
    """What one telegram says: the meter's identification, and the brackets behind each OBIS code."""

    identification: str
    lines: Mapping[str, tuple[str, ...]]

    def number(self, obis: str) -> Decimal | None:
        """The number in the last bracket of `obis`, without its unit; None where there is no such line or number."""
        groups = self.lines.get(obis)
        if groups is None:
            return None
        text = groups[-1].partition("*")[0]
        return decimal_of(text) if _NUMBER.fullmatch(text) else None

    def text(self, obis: str) -> str | None:
        """What is in the last bracket of `obis`, as it stands; None where there is no such line."""
        groups = self.lines.get(obis)
        return None if groups is None else groups[-1]


@dataclass(frozen=True, slots=True)
class BadTelegram:
    """Bytes that pretended to be a telegram and were dropped; `reason` says why."""

    reason: str


class TelegramReader:
    """Bytes in, telegrams out. Keeps at most `MAX_LENGTH` bytes, and what is cut or changed never comes out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Telegram | BadTelegram]:
        """Take `data` as it came from the wire; yields each telegram that it completes, good or bad, in order."""
        self._buffer += data
        while (end := _END.search(self._buffer)) is not None:
            block, crc = bytes(self._buffer[: end.start() + 1]), bytes(end[1])
            del self._buffer[: end.end()]
            yield from self._cut(block, crc)
        if len(self._buffer) > MAX_LENGTH:
            self._buffer.clear()
            yield BadTelegram(f"{MAX_LENGTH} bytes without an end")

    def _cut(self, block: bytes, crc: bytes) -> Iterator[Telegram | BadTelegram]:
        """`block` ends with "!". A start inside it ends what stood before, so that one loss costs one telegram."""
        starts = [match.start() for match in _START.finditer(block)]
        if not starts:
            return  # the port was opened in the middle of a telegram; lasting nonsense shows as silence
        for _ in starts[:-1]:
            yield BadTelegram("cut short by the next telegram")
        yield _check(block[starts[-1] :], crc)


def crc16(data: bytes) -> int:
    """CRC16 as DSMR P1 and Modbus have the polynomial (0xA001, reflected), starting at 0."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value


_CRC_TABLE = tuple(_table_entry(n) for n in range(256))


def _check(body: bytes, crc: bytes) -> Telegram | BadTelegram:
    if crc == b"":
        return BadTelegram("no CRC: telegrams of DSMR 2.2 and 3 are not supported")
    if _CRC.fullmatch(crc) is None:
        return BadTelegram("the end of the telegram is damaged")
    if int(crc, 16) != crc16(body):
        return BadTelegram(f"bad CRC: {crc.decode()} received, {crc16(body):04X} computed")
    lines = body.decode("latin-1").splitlines()
    matches = (_LINE.fullmatch(line) for line in lines[1:])
    return Telegram(lines[0][1:], {m[1]: tuple(_GROUP.findall(m[2])) for m in matches if m})
