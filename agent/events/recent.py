"""The last events, as who is on site asks for them (`station-agent events`)."""

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.model import format_date_time
from agent.monitoring import Fired
from agent.ocpp.outbox import Message

KEPT = 1000
"""Events that are remembered."""

WAITING = "waiting"
"""Soon in a message; then it is what becomes of that: one of `agent.ocpp.outbox.STATES`."""


@dataclass(slots=True, eq=False)
class Record:
    """An event with its id, and what became of it."""

    id: int
    cause: int | None
    fired: Fired
    state: str = WAITING
    message: Message | None = None

    def shown(self) -> dict[str, Any]:
        """It, as JSON can hold it."""
        fired = self.fired
        return {
            "id": self.id,
            "time": format_date_time(fired.time),
            "component": str(fired.component),
            "variable": str(fired.variable),
            "value": fired.actual,
            "trigger": str(fired.trigger),
            "cleared": fired.cleared,
            "severity": fired.severity,
            "tech_code": fired.tech_code,
            "tech_info": fired.tech_info,
            "cause": self.cause,
            "kind": str(fired.kind),
            "monitor": None if fired.monitor is None else fired.monitor.id,
            "transaction": fired.transaction_id,
            "state": self.state if self.message is None else self.message.state,
        }


class Recent:
    """A ring of the last events."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=KEPT)

    def add(self, record: Record) -> None:
        self._records.append(record)

    def shown(self) -> list[dict[str, Any]]:
        """All of them, oldest first."""
        return [record.shown() for record in list(self._records)]

    def dated(self) -> list[tuple[datetime, str]]:
        """(when, JSON) of each, oldest first; also from another thread."""
        return [(record.fired.time, json.dumps(record.shown())) for record in list(self._records)]
