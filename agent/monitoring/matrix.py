"""Which type of monitor fits which data type (part 1 §4.4, the table), and which values a monitor may have (N04)."""

import math

from agent.model import Characteristics, DataType, Variable
from agent.monitoring.monitors import MonitorType, SetResult

SHORTEST = 1.0
"""The shortest interval, in s: the table has no lower one, a line and a clock have."""

_NUMBERS = frozenset((DataType.DECIMAL, DataType.INTEGER))
_ALL = frozenset(DataType)
_NO_TIMES = _ALL - {DataType.DATE_TIME}

MATRIX: dict[MonitorType, frozenset[DataType]] = {
    MonitorType.UPPER_THRESHOLD: _NUMBERS,
    MonitorType.LOWER_THRESHOLD: _NUMBERS,
    MonitorType.DELTA: _ALL,
    MonitorType.PERIODIC: _NO_TIMES,
    MonitorType.PERIODIC_CLOCK_ALIGNED: _NO_TIMES,
}


def fits(type: MonitorType, variable: Variable) -> bool:
    """Whether a monitor of `type` can be on `variable` (N04.FR.05).

    An Actual that is computed at each reading changes without anyone hearing of it: only its period can be told.
    """
    characteristics = variable.characteristics
    return (
        characteristics.supports_monitoring
        and characteristics.data_type in MATRIX[type]
        and (type.is_periodic or variable.actual.source is None)
    )


def refusal(type: MonitorType, value: float, severity: int, characteristics: Characteristics) -> SetResult | None:
    """Why a monitor that fits may not have `value` and `severity`; None: it may (N04.FR.06, FR.14)."""
    if not math.isfinite(value):
        return rejected("InvalidValue", "the value is no number")
    if not 0 <= severity <= 9:
        return rejected("ValueOutOfRange", "severity is 0 to 9")
    if type.is_threshold:
        low, high = characteristics.min_limit, characteristics.max_limit
        if low is not None and value < low:
            return rejected("ValueOutOfRange", f"below minLimit {low:g}")
        if high is not None and value > high:
            return rejected("ValueOutOfRange", f"above maxLimit {high:g}")
    elif type is MonitorType.DELTA and value < 0:
        return rejected("ValueOutOfRange", "a delta is not negative")
    elif type.is_periodic and value < SHORTEST:
        return rejected("ValueOutOfRange", f"an interval is at least {SHORTEST:g} s")
    return None


def rejected(reason: str, info: str) -> SetResult:
    return SetResult("Rejected", None, reason, info)
