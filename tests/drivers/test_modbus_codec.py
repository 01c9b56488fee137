"""Registers to values and back."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.modbus_codec import Codec, shortest_float32, sunssf
from drivers.settings import ModbusPoint, ModbusProfile

WHOLE = {"int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64}


def codec(kind: str, word_order: str = "big", **more: Any) -> Codec:
    return Codec(ModbusPoint.model_validate({"at": 0, "type": kind, **more}), word_order)


def limits(kind: str) -> tuple[int, int]:
    bits = WHOLE[kind]
    return (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@given(st.data(), st.sampled_from(sorted(WHOLE)), st.sampled_from(["big", "little"]))
def test_whole_numbers_survive_the_way_to_the_registers_and_back(data: st.DataObject, kind: str, order: str) -> None:
    number = data.draw(st.integers(*limits(kind)))
    point = codec(kind, order)
    assert point.decode(point.encode(number)) == number


@given(
    st.data(), st.sampled_from(["int16", "uint16", "int32", "uint32"]), st.sampled_from([0.1, 0.01, 0.001, 0.5, 2.0])
)
def test_scaled_numbers_survive_the_way_back_and_have_no_digits_too_many(
    data: st.DataObject, kind: str, scale: float
) -> None:
    raw = data.draw(st.integers(*limits(kind)))
    point = codec(kind, scale=scale)
    words = struct.pack(">" + {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I"}[kind], raw)
    value = point.decode(words)
    assert isinstance(value, int | float)
    assert point.encode(value) == words
    assert len(repr(value).lstrip("-").replace(".", "")) <= len(str(abs(raw))) + 3 + (kind[-2:] == "32")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(["big", "little"]))
def test_floats_survive_the_way_to_the_registers_and_back(number: float, order: str) -> None:
    point = codec("float32", order)
    words = struct.pack(">f", number)
    value = point.decode(words if order == "big" else words[2:] + words[:2])
    assert isinstance(value, float)
    assert struct.pack(">f", value) == words


@given(st.decimals(-99999, 99999, places=1))
def test_a_float32_reads_as_the_decimal_that_was_meant(number: Any) -> None:
    assert codec("float32").decode(struct.pack(">f", float(number))) == float(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float64_survives(number: float) -> None:
    point = codec("float64")
    assert point.decode(point.encode(number)) == number


@pytest.mark.parametrize(
    ("point", "words", "value"),
    [
        (codec("uint16", scale=0.1), b"\x08\xfd", "230.1"),
        (codec("int16", scale=0.1), b"\xff\xff", "-0.1"),
        (codec("int16", scale=0.1, offset=-50), b"\x02\x9a", "16.6"),
        (codec("uint16", scale=0.001), b"\x01\xc9", "0.457"),
        (codec("uint32", scale=1000), b"\x00\x00\x30\x39", "12345000"),
        (codec("uint64", scale=0.001), b"\xff" * 7 + b"\xfe", "1.844674407370955e+16"),
        (codec("uint64"), b"\xff" * 7 + b"\xfe", "18446744073709551614"),
        (codec("int32", "little", scale=0.1), b"\xff\xfe\xff\xff", "-0.2"),
        (codec("int64", "little"), b"\x00\x04\x00\x03\x00\x02\x00\x01", str(0x0001000200030004)),
        (codec("float32"), struct.pack(">f", 230.1), "230.1"),
        (codec("float32", scale=1000), struct.pack(">f", 1.001), "1001.0"),
        (codec("float32"), struct.pack(">f", 3.4028234663852886e38), "3.4028235e+38"),
        (codec("string", length=3), b"B23\0xx", "'B23'"),
        (codec("string", length=2), b"ab  ", "'ab'"),
        (codec("bit", bit=3), b"\x00\x08", "True"),
        (codec("bit", bit=3), b"\xff\xf7", "False"),
    ],
)
def test_values_print_as_an_engineer_would_write_them(point: Codec, words: bytes, value: str) -> None:
    assert repr(point.decode(words)) == value


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (codec("int16", na=[0x8000]), b"\x80\x00"),
        (codec("int16", na=[-32768]), b"\x80\x00"),
        (codec("uint32", "little", na=[0xFFFFFFFF]), b"\xff\xff\xff\xff"),
        (codec("uint64", na=[2**64 - 1]), b"\xff" * 8),
        (codec("float32"), struct.pack(">f", math.nan)),
        (codec("float32"), struct.pack(">f", math.inf)),
        (codec("float64"), struct.pack(">d", -math.inf)),
        (codec("float32", na=[0x7F7FFFFF]), b"\x7f\x7f\xff\xff"),
    ],
)
def test_what_is_not_available_has_no_value(point: Codec, words: bytes) -> None:
    assert point.decode(words) is None


def test_a_sunspec_scale_factor_moves_the_point() -> None:
    point = codec("int16", scale_at=1)
    assert repr(point.decode(b"\x08\xfd", sunssf(b"\xff\xff") or 0)) == "230.1"
    assert repr(point.decode(b"\x08\xfd", sunssf(b"\x00\x02") or 0)) == "230100"
    assert point.encode(230.1, -1) == b"\x08\xfd"
    assert sunssf(b"\x80\x00") is None
    assert sunssf(b"\x00\x0b") is None


@pytest.mark.parametrize(
    ("point", "value", "words"),
    [
        (codec("uint16", scale=0.001), 0.4567, b"\x01\xc9"),
        (codec("uint16", scale=0.001), 1, b"\x03\xe8"),
        (codec("int16", scale=0.1, offset=-50), 16.6, b"\x02\x9a"),
        (codec("uint32", "little"), 0x00010002, b"\x00\x02\x00\x01"),
        (codec("float32", "little"), 230.1, struct.pack(">f", 230.1)[2:] + struct.pack(">f", 230.1)[:2]),
        (codec("string", length=2), "abc", b"abc\0"),
    ],
)
def test_a_written_value_is_rounded_to_what_the_registers_can_say(point: Codec, value: Any, words: bytes) -> None:
    assert point.encode(value) == words


@pytest.mark.parametrize(
    ("point", "value"),
    [
        (codec("uint16"), -1),
        (codec("uint16"), 65536),
        (codec("int16", scale=0.001), 33),
        (codec("float32"), 1e39),
        (codec("uint16"), math.nan),
        (codec("uint16"), True),
        (codec("uint16"), "1"),
        (codec("string", length=1), "abc"),
        (codec("string", length=2), "ä"),
        (codec("string", length=1), 1),
        (codec("bit", bit=0), True),
    ],
)
def test_what_does_not_fit_is_not_written(point: Codec, value: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|fit|bit"):
        point.encode(value)


def test_the_shortest_float_is_never_longer_than_nine_digits() -> None:
    assert shortest_float32(struct.pack(">f", 0.1)) == "0.1"
    assert shortest_float32(struct.pack(">f", 16777217.0)) == "16777216"


@pytest.mark.parametrize(
    ("point", "complaint"),
    [
        ({"type": "string"}, "length is needed"),
        ({"type": "uint16", "length": 2}, "length is needed"),
        ({"type": "uint16", "bit": 2}, "bit is only for"),
        ({"type": "uint16", "scale": 0}, "scale of 0"),
        ({"type": "float32", "scale_at": 4}, "whole numbers"),
        ({"type": "bit"}, "needs bit"),
        ({"type": "uint16", "table": "coil"}, "are of type bit"),
        ({"type": "uint16", "table": "input", "access": "rw"}, "cannot be written"),
    ],
)
def test_a_register_map_that_makes_no_sense_is_refused(point: dict[str, Any], complaint: str) -> None:
    head = {"schema": 1, "kind": "modbus", "vendor": "v", "model": "m", "source": "s"}
    with pytest.raises(ValidationError, match=complaint):
        ModbusProfile.model_validate({**head, "points": {"p": {"at": 0, **point}}})
