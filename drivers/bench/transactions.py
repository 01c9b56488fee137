"""What a CSMS makes of TransactionEvents: repeats folded, put in order, and held against what makes one complete."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Payload = dict[str, Any]


@dataclass
class Transaction:
    """One transaction: its TransactionEventRequests by seqNo, each once, however often and in whichever order."""

    id: str
    events: list[Payload] = field(default_factory=list)
    repeats: int = 0
    """How many came that were there already."""
    contradictions: list[int] = field(default_factory=list)
    """The seqNos that were told twice, and not the same (`offline` apart)."""

    @property
    def kinds(self) -> list[str]:
        """The eventType of each event, in order."""
        return [event["eventType"] for event in self.events]

    @property
    def ended(self) -> bool:
        """Whether its end has come."""
        return "Ended" in self.kinds

    def problems(self, dropped: bool = False) -> list[str]:
        """What is wrong with a transaction that should be over, in words; empty when it is complete (part 2 §1.3.2).

        `dropped` allows for gaps in seqNo, as E04.FR.08 and E13.FR.04 may leave.
        """
        found = [f"seqNo {number} was told twice, and not the same" for number in self.contradictions]
        for kind, place in (("Started", 0), ("Ended", -1)):
            count = self.kinds.count(kind)
            if count != 1:
                found.append(f"{count} times {kind}")
            elif self.kinds[place] != kind:
                found.append(f"{kind} is not where it belongs: {self.kinds}")
        numbers = [event["seqNo"] for event in self.events]
        missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if numbers else []
        if missing and not dropped:
            found.append(f"seqNo {', '.join(map(str, missing))} never came")
        return [f"transaction {self.id}: {text}" for text in found]


def fold(payloads: Iterable[Payload]) -> dict[str, Transaction]:
    """The transactions in `payloads` of TransactionEventRequests, by id, in the order of their first message."""
    found: dict[str, Transaction] = {}
    seen: dict[tuple[str, int], Payload] = {}
    for payload in payloads:
        number = payload["transactionInfo"]["transactionId"]
        transaction = found.setdefault(number, Transaction(number))
        first = seen.setdefault((number, payload["seqNo"]), payload)
        if first is payload:
            transaction.events.append(payload)
            transaction.events.sort(key=lambda event: event["seqNo"])
            continue
        transaction.repeats += 1
        if {**first, "offline": None} != {**payload, "offline": None}:
            transaction.contradictions.append(payload["seqNo"])
    return found
