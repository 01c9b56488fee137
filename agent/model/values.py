"""The eight data types of a variable: their texts read and printed as part 2 §2.1.4 and DataEnumType say."""

import enum
import math
import re
from datetime import UTC, datetime
from decimal import Decimal

Value = bool | int | float | str | datetime

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,9}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?")
_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_BOOLEANS = {"true": True, "false": False}


class DataType(enum.StrEnum):
    """DataEnumType (part 2 §3.26)."""

    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"

    @property
    def is_number(self) -> bool:
        return self in (DataType.DECIMAL, DataType.INTEGER)

    @property
    def is_text(self) -> bool:
        """Whether maxLimit bounds the length of the text (part 2 §2.51)."""
        return self is DataType.STRING or self.is_list

    @property
    def is_list(self) -> bool:
        """Whether values come from a valuesList."""
        return self in (DataType.OPTION_LIST, DataType.SEQUENCE_LIST, DataType.MEMBER_LIST)


class BadFormat(ValueError):
    """A text that is no value of its data type; the message says what was expected (B05.FR.07)."""


def members(text: str) -> list[str]:
    """The items of a comma separated list; blanks around an item do not count."""
    return [item.strip() for item in text.split(",")] if text.strip() else []


def parse(text: str, data_type: DataType) -> Value:
    """The value that `text` stands for; lists stay text, their items checked for repeats. Raises BadFormat."""
    match data_type:
        case DataType.INTEGER:
            if _INTEGER.fullmatch(text) is None or not -(2**31) <= int(text) < 2**31:
                raise BadFormat("expected a 32 bit integer without leading zeros or plus sign, such as -12")
            return int(text)
        case DataType.DECIMAL:
            if _DECIMAL.fullmatch(text) is None:
                raise BadFormat("expected a decimal with at most six decimal places, such as 12.5")
            number = float(text)
            if not math.isfinite(number):
                raise BadFormat("expected a decimal that a double can hold")
            return number
        case DataType.BOOLEAN:
            if text not in _BOOLEANS:
                raise BadFormat("expected true or false")
            return _BOOLEANS[text]
        case DataType.DATE_TIME:
            time = parse_date_time(text)
            if re.search(r"\.\d{4}", text) is not None:
                raise BadFormat("expected a time with at most three decimal places, such as 2026-01-31T12:00:00.123Z")
            return time
        case DataType.OPTION_LIST:
            if "," in text:
                raise BadFormat("expected one option, not a list")
        case DataType.SEQUENCE_LIST | DataType.MEMBER_LIST:
            items = members(text)
            if "" in items or len(set(items)) != len(items):
                raise BadFormat("expected a comma separated list without empty or repeated items")
        case DataType.STRING:
            pass
    return text


def parse_date_time(text: str) -> datetime:
    """An RFC 3339 time (part 2 §2.1.4), in UTC. Raises BadFormat.

    More than three decimals are read: a CSMS whose clock prints microseconds is still understood. `parse` refuses
    them in a variable's value.
    """
    if _DATE_TIME.fullmatch(text) is None:
        raise BadFormat("expected an RFC 3339 time, such as 2026-01-31T12:00:00Z")
    # Python keeps microseconds; the specification asks for no more than milliseconds.
    shortened = re.sub(r"(\.\d{1,6})\d*", r"\1", text.upper())
    try:
        return datetime.fromisoformat(shortened).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadFormat("expected a time that exists, such as 2026-01-31T12:00:00Z") from None


def format_date_time(value: datetime) -> str:
    """RFC 3339 in UTC with three decimals and Z (part 2 §2.1.4)."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_text(value: Value | None) -> str:
    """How `value` is sent: "" for none (B06.FR.13), no exponents, the full resolution of the source."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        text = repr(value)
        if "e" in text:
            text = format(Decimal(text), "f")
        return text.removesuffix(".0") if text != "-0.0" else "0"
    if isinstance(value, int):
        return str(value)
    return format_date_time(value)
