"""Units of measure: how a value in one becomes a value in another (names as in part 2's appendix)."""

from fractions import Fraction

_SCALES: tuple[dict[str, str], ...] = (
    {"W": "1", "mW": "0.001", "kW": "1000", "MW": "1000000"},
    {"Wh": "1", "kWh": "1000", "MWh": "1000000"},
    {"VA": "1", "kVA": "1000"},
    {"VAh": "1", "kVAh": "1000"},
    {"var": "1", "kvar": "1000"},
    {"varh": "1", "kvarh": "1000"},
    {"A": "1", "mA": "0.001", "kA": "1000"},
    {"V": "1", "mV": "0.001", "kV": "1000"},
    {"s": "1", "ms": "0.001", "min": "60", "h": "3600"},
    {"Hz": "1", "kHz": "1000"},
    {"Ohm": "1", "mOhm": "0.001", "kOhm": "1000", "MOhm": "1000000"},
    {"m": "1", "mm": "0.001", "cm": "0.01", "km": "1000"},
    {"kPa": "1", "Pa": "0.001", "hPa": "0.1", "bar": "100", "mbar": "0.1"},
    {"B": "1", "kB": "1000", "MB": "1000000", "GB": "1000000000"},
    {"Percent": "1", "RH": "1"},
)
"""Units of one quantity, each with what one of it is in the quantity's first unit."""

_TEMPERATURES: dict[str, tuple[Fraction, Fraction]] = {
    "K": (Fraction(1), Fraction(0)),
    "Celsius": (Fraction(1), Fraction("273.15")),
    "Fahrenheit": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
}
"""(factor, offset) to kelvin."""


def conversion(source: str, target: str) -> tuple[float, float] | None:
    """(factor, offset) that lead from `source` to `target`: value × factor + offset; None where none do."""
    if source == target:
        return 1.0, 0.0
    if source in _TEMPERATURES and target in _TEMPERATURES:
        (factor, offset), (other, shift) = _TEMPERATURES[source], _TEMPERATURES[target]
        return float(factor / other), float((offset - shift) / other)
    for scales in _SCALES:
        if source in scales and target in scales:
            return float(Fraction(scales[source]) / Fraction(scales[target])), 0.0
    return None
