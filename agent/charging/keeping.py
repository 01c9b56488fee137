"""What a source of limits keeps over a power cut, and when it is worth a write to the disk. Pure."""

import json
import math
from collections import deque
from dataclasses import dataclass

from agent.charging.limits import Unit

GAP = 5.0
"""Seconds between two writes, so that no master can wear the disk out."""
FALLS = 4
"""Stricter limits that may be written without a gap, for the power may go before it is over; the gaps come after."""
SETTLED = 60.0
"""Seconds that a higher limit must have stood before it replaces a lower one that is kept."""

NOMINAL = 3 * 230.0
"""W per A, to tell the lower of two limits in different units."""


def nominal(value: float, unit: Unit) -> float:
    """In W."""
    return value if unit == "W" else value * NOMINAL


@dataclass(frozen=True, slots=True)
class Record:
    """`limit`, `hold`: the failsafe's, where a master set them. `limited`: whether a limit held; `value`: the
    station's own; `evses`: those of EVSEs, (number, value, unit).
    """

    limit: float | None = None
    hold: float | None = None
    limited: bool = False
    value: float | None = None
    unit: Unit = "W"
    evses: tuple[tuple[int, float, Unit], ...] = ()

    def stricter(self, other: "Record") -> bool:
        """Whether it limits anything to less than `other` does."""
        others = other._heights()
        return any(height < others.get(scope, math.inf) for scope, height in self._heights().items())

    def _heights(self) -> dict[int, float]:
        """In W by scope, as far as the limits go."""
        if not self.limited:
            return {}
        station = 1e12 if self.value is None else nominal(self.value, self.unit)
        return {0: station, **{evse: nominal(value, unit) for evse, value, unit in self.evses}}

    def to_json(self) -> str:
        kept: dict[str, object] = {"limited": self.limited}
        kept |= {} if self.limit is None else {"limit": self.limit}
        kept |= {} if self.hold is None else {"hold": self.hold}
        kept |= {} if self.value is None else {"value": self.value, "unit": self.unit}
        kept |= {"evses": self.evses} if self.evses else {}
        return json.dumps(kept)


def record_from(text: str) -> Record:
    """Raises ValueError."""
    kept = json.loads(text)
    if not isinstance(kept, dict) or not isinstance(kept.get("limited"), bool):
        raise ValueError("expected an object that tells whether a limit held")
    numbers = [_number(kept.get(name)) for name in ("limit", "hold", "value")]
    evses = kept.get("evses", [])
    if not isinstance(evses, list):
        raise ValueError(f"expected the limits of EVSEs, got {evses!r}")
    places = tuple(map(_evse, evses))
    return Record(numbers[0], numbers[1], kept["limited"], numbers[2], _unit(kept.get("unit", "W")), places)


def _evse(told: object) -> tuple[int, float, Unit]:
    if not isinstance(told, list) or len(told) != 3 or type(told[0]) is not int or told[1] is None:
        raise ValueError(f"expected an EVSE with value and unit, got {told!r}")
    return told[0], _number(told[1]) or 0.0, _unit(told[2])


def _unit(told: object) -> Unit:
    if told == "W":
        return "W"
    if told == "A":
        return "A"
    raise ValueError(f"expected W or A, got {told!r}")


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"expected a number from 0, got {value!r}")
    return float(value)


class Keeper:
    """The record as it should be kept. A stricter limit is kept at once, a looser one when it has settled."""

    def __init__(self) -> None:
        self.record = Record()
        self.version = 0
        self.falls = 0
        """How many of the versions had a stricter limit than the one before."""
        self._fell: deque[float] = deque(maxlen=FALLS)
        self._wanted = self.record
        self._changed = -math.inf
        self._written = -math.inf

    def restore(self, record: Record) -> None:
        self.record = self._wanted = record

    def want(self, wanted: Record, now: float) -> None:
        """What holds since `now`."""
        if wanted != self._wanted:
            self._wanted, self._changed = wanted, now
        self.elapse(now)

    def due(self) -> float | None:
        """When the next version is there, if nothing changes before."""
        wanted, record = self._wanted, self.record
        if wanted == record:
            return None
        if (wanted.limit, wanted.hold) != (record.limit, record.hold):
            return self._written
        if wanted.stricter(record):
            full = len(self._fell) == FALLS
            return max(self._written, self._fell[0] + FALLS * GAP) if full else self._written
        return max(self._written + GAP, self._changed + SETTLED)

    def elapse(self, now: float) -> None:
        due = self.due()
        if due is not None and due <= now:
            if self._wanted.stricter(self.record):
                self.falls += 1
                self._fell.append(now)
            self.record, self._written = self._wanted, now
            self.version += 1
