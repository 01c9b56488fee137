"""Modbus requests as bytes, each with what only its answer looks like. Pure."""

import struct
from dataclasses import dataclass

from drivers.modbus_plan import Block, Point

READ_CODES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


@dataclass(frozen=True, slots=True)
class Request:
    """`pdu` for `unit`; its answer begins with `head` and has `length` bytes, counted from the function code on."""

    unit: int
    pdu: bytes
    head: bytes
    length: int


def read_request(unit: int, block: Block) -> Request:
    """Function codes 1 to 4; the data of the answer begin at its third byte."""
    code = READ_CODES[block.table]
    pdu = struct.pack(">BHH", code, block.start, block.count)
    return Request(unit, pdu, bytes((code, block.reply_bytes)), 2 + block.reply_bytes)


def write_coil(unit: int, point: Point, value: bool) -> Request:
    """Function code 5, or 15 for a device that wants that."""
    if point.multiple:
        pdu = struct.pack(">BHHBB", 15, point.at, 1, 1, value)
        return Request(unit, pdu, pdu[:5], 5)
    pdu = struct.pack(">BHH", 5, point.at, 0xFF00 if value else 0)
    return Request(unit, pdu, pdu, 5)


def write_registers(unit: int, point: Point, raw: bytes) -> Request:
    """Function code 6, or 16 for more than one register and for a device that wants that."""
    if point.multiple:
        pdu = struct.pack(">BHHB", 16, point.at, len(raw) // 2, len(raw)) + raw
        return Request(unit, pdu, pdu[:5], 5)
    pdu = struct.pack(">BH", 6, point.at) + raw
    return Request(unit, pdu, pdu, 5)
