"""Exact decimal arithmetic for numbers that come as text: 1.234 kW is 1234 W, not 1233.9999."""

from decimal import Decimal, InvalidOperation


def decimal_of(text: str) -> Decimal | None:
    """The finite number that `text` is, or None where it is something else."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def scaled(number: Decimal, scale: float, offset: float = 0.0) -> int | float:
    """number × scale + offset, the factors taken as the decimals they were written as; whole results are int."""
    result = number * Decimal(repr(scale)) + Decimal(repr(offset))
    return int(result) if result == result.to_integral_value() else float(result)


def unscaled(value: float, scale: float, offset: float = 0.0) -> int:
    """The whole raw number whose `scaled` is nearest to `value`; halves go to the even one."""
    raw = (Decimal(repr(value)) - Decimal(repr(offset))) / Decimal(repr(scale))
    return int(raw.to_integral_value())
