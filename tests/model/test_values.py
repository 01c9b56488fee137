"""Texts of the eight data types: what is read, what is printed, what is refused (part 2 §2.1.4, §3.26)."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import DataType, format_date_time, parse, parse_date_time, to_text
from agent.model.values import BadFormat, members

ITEMS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", min_size=1, max_size=12)
LISTS = st.lists(ITEMS, max_size=6, unique=True).map(",".join)
DECIMALS = st.decimals(min_value=-(10**9), max_value=10**9, places=6, allow_nan=False, allow_infinity=False)
MILLISECONDS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000, tzinfo=UTC)
)


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_32_bit_integer_survives_the_way_there_and_back(number: int) -> None:
    assert parse(to_text(number), DataType.INTEGER) == number


@given(st.integers().filter(lambda number: not -(2**31) <= number < 2**31))
def test_an_integer_of_more_than_32_bits_is_refused(number: int) -> None:
    with pytest.raises(BadFormat):
        parse(str(number), DataType.INTEGER)


@given(DECIMALS)
def test_a_decimal_with_six_places_survives_the_way_there_and_back(number: Decimal) -> None:
    value = parse(format(number, "f"), DataType.DECIMAL)
    assert isinstance(value, float)
    assert Decimal(to_text(value)) == number
    assert parse(to_text(value), DataType.DECIMAL) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_reading_is_printed_in_its_full_resolution_and_without_exponent(number: float) -> None:
    text = to_text(number)
    assert float(text) == number
    assert set(text) <= set("-.0123456789")


@given(st.booleans())
def test_a_boolean_survives_the_way_there_and_back(value: bool) -> None:
    assert parse(to_text(value), DataType.BOOLEAN) is value


@given(MILLISECONDS, st.integers(-14 * 60, 14 * 60))
def test_a_time_is_the_same_instant_whatever_its_offset(time: datetime, offset: int) -> None:
    there = time.astimezone(timezone(timedelta(minutes=offset)))
    assert parse(there.isoformat(timespec="milliseconds"), DataType.DATE_TIME) == time
    assert parse(to_text(time), DataType.DATE_TIME) == time


@given(LISTS, st.sampled_from([DataType.SEQUENCE_LIST, DataType.MEMBER_LIST]))
def test_a_list_keeps_its_text_and_its_order(text: str, data_type: DataType) -> None:
    assert to_text(parse(text, data_type)) == text
    assert ",".join(members(text)) == text


@given(ITEMS)
def test_an_option_survives_the_way_there_and_back(text: str) -> None:
    assert to_text(parse(text, DataType.OPTION_LIST)) == text


@given(st.text())
def test_any_text_is_a_string(text: str) -> None:
    assert to_text(parse(text, DataType.STRING)) == text


@given(st.text(max_size=40), st.sampled_from(list(DataType)))
def test_whatever_text_comes_it_is_read_or_refused_with_a_reason(text: str, data_type: DataType) -> None:
    try:
        value = parse(text, data_type)
    except BadFormat as problem:
        assert "expected" in str(problem)
    else:
        assert parse(to_text(value), data_type) == value


REFUSED = [
    (DataType.INTEGER, ["", " 1", "1 ", "1\n", "01", "-01", "+1", "-0", "--1", "1.0", "1e3", "0x10", "١", "1_000"]),
    (DataType.INTEGER, ["2147483648", "-2147483649"]),
    (DataType.DECIMAL, ["", " 1", "1\n", "01", "+1", ".5", "1.", "1,5", "1e3", "NaN", "Infinity", "-", "1.0000001"]),
    (DataType.DECIMAL, ["9" * 400]),
    (DataType.BOOLEAN, ["", "True", "TRUE", "FALSE", "1", "0", "yes", " true", "false\n"]),
    (DataType.DATE_TIME, ["", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-1-31T12:00:00Z"]),
    (
        DataType.DATE_TIME,
        ["2026-02-30T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "0000-01-01T00:00:00Z"],
    ),
    (DataType.DATE_TIME, ["2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+01:60", "2026-01-31T12:00:00+0100"]),
    (DataType.DATE_TIME, ["2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234Z", "0001-01-01T00:00:00+14:00"]),
    (DataType.OPTION_LIST, ["A,B", ","]),
    (DataType.SEQUENCE_LIST, ["A,,B", ",A", "A,", "A,A", "A, A", ","]),
    (DataType.MEMBER_LIST, ["A,,B", ",A", "A,", "A,A", "A, A", ","]),
]


@pytest.mark.requirement("B05.FR.07")
@pytest.mark.parametrize(("data_type", "text"), [(kind, text) for kind, texts in REFUSED for text in texts])
def test_a_text_that_is_no_value_of_the_type_is_refused(data_type: DataType, text: str) -> None:
    with pytest.raises(BadFormat, match="expected"):
        parse(text, data_type)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234", 1234),
        ("-1234", -1234),
        ("0", 0),
    ],
)
def test_the_specifications_own_integers_are_read(text: str, value: int) -> None:
    assert parse(text, DataType.INTEGER) == value


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2019-04-12T23:20:50.52Z", "2019-04-12T23:20:50.520Z"),
        ("2019-12-19T16:39:57+01:00", "2019-12-19T15:39:57.000Z"),
        ("2019-12-19t16:39:57z", "2019-12-19T16:39:57.000Z"),
    ],
)
def test_the_specifications_own_times_are_read_and_printed_in_utc(text: str, utc: str) -> None:
    assert to_text(parse(text, DataType.DATE_TIME)) == utc


def test_a_clock_that_prints_nanoseconds_is_understood_outside_of_variables() -> None:
    time = parse_date_time("2026-01-31T12:00:00.123456789Z")
    assert format_date_time(time) == "2026-01-31T12:00:00.123Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (502.0, "502"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1e22, "10000000000000000000000"),
        (True, "true"),
        (7, "7"),
        ("as it is", "as it is"),
    ],
)
def test_values_are_printed_plainly(value: float | str, text: str) -> None:
    assert to_text(value) == text


@pytest.mark.requirement("B06.FR.13")
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_value_is_printed_as_an_empty_text(value: float | None) -> None:
    assert to_text(value) == ""


def test_blanks_around_the_items_of_a_list_do_not_count() -> None:
    assert members(" EVConnected , Authorized") == ["EVConnected", "Authorized"]
    assert members(" ") == []
