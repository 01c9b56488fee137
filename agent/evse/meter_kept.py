"""What metering holds in memory and over a power cut: intermediate values within bounds, samples as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from agent.clock import Clock
from agent.evse.meter_reading import Taken
from agent.evse.records import Sample, SignedValue
from agent.model import format_date_time, parse_date_time

LIMIT = 300
"""How heavy the intermediate values of one kind may be (`weight`); some 50 kB as a message."""


def weight(taken: Taken) -> int:
    """One for each sample, more for a signed one: what it takes in a message, in about 160 characters."""
    return sum(1 if one.signed is None else 2 + len(one.signed.data) // 160 for one in taken.samples)


class Intermediate:
    """Values between begin and end of a transaction, evenly spaced over it however long it is.

    Where they become too heavy the 1st, 3rd, 5th… are dropped (E06.FR.13), and of the new ones from then on as many:
    otherwise the oldest part would thin out with each dropping.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: list[Taken] = []
        self._weight = 0
        self._every = 1
        self._seen = 0

    def __iter__(self) -> Iterator[Taken]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, taken: Taken) -> None:
        self._seen += 1
        if self._seen % self._every:
            return
        self._kept.append(taken)
        self._weight += weight(taken)
        while self._weight > self._limit and len(self._kept) > 1:
            self._kept = self._kept[1::2]
            self._weight = sum(map(weight, self._kept))
            self._every *= 2


def taken_to_json(taken: Taken, clock: Clock) -> dict[str, Any]:
    """As JSON's own types, without what is absent; the time as the clock has it now."""
    samples = [
        {key: one for key, one in asdict(sample).items() if one not in (None, "", 0) or key == "value"}
        for sample in taken.samples
    ]
    return {"at": format_date_time(taken.value(clock).timestamp), "samples": samples}


def taken_from_json(data: Any) -> Taken:
    """Raises KeyError, TypeError or ValueError."""
    samples = tuple(
        Sample(**{**fields, "signed": SignedValue(**fields["signed"]) if "signed" in fields else None})
        for fields in data["samples"]
    )
    at: datetime = parse_date_time(data["at"])
    return Taken(at, None, samples)
