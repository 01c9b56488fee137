"""What a source of limits keeps over a power cut, and when it is worth a write to the disk. Pure."""

import json
import math
from dataclasses import dataclass

from agent.charging.limits import Unit

GAP = 5.0
"""Seconds between two writes, so that no master can wear the disk out."""
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
    station's own.
    """

    limit: float | None = None
    hold: float | None = None
    limited: bool = False
    value: float | None = None
    unit: Unit = "W"

    def strictness(self) -> float:
        """In W, as far as the limit goes; the lower, the stricter."""
        if not self.limited:
            return math.inf
        return 1e12 if self.value is None else nominal(self.value, self.unit)

    def to_json(self) -> str:
        kept: dict[str, object] = {"limited": self.limited}
        kept |= {} if self.limit is None else {"limit": self.limit}
        kept |= {} if self.hold is None else {"hold": self.hold}
        kept |= {} if self.value is None else {"value": self.value, "unit": self.unit}
        return json.dumps(kept)


def record_from(text: str) -> Record:
    """Raises ValueError."""
    kept = json.loads(text)
    if not isinstance(kept, dict) or not isinstance(kept.get("limited"), bool):
        raise ValueError("expected an object that tells whether a limit held")
    numbers = [_number(kept.get(name)) for name in ("limit", "hold", "value")]
    unit = kept.get("unit", "W")
    if unit not in ("W", "A"):
        raise ValueError(f"expected W or A, got {unit!r}")
    return Record(numbers[0], numbers[1], kept["limited"], numbers[2], unit)


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
        soon = self._written + GAP
        return soon if wanted.strictness() < record.strictness() else max(soon, self._changed + SETTLED)

    def elapse(self, now: float) -> None:
        due = self.due()
        if due is not None and due <= now:
            self.record, self._written = self._wanted, now
            self.version += 1
