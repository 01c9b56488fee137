"""The answering side of `station-agent model` and `events`: a small model, events, and a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.cli_terminal import Style
from agent.model import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Problems,
    Variable,
    VariableName,
)
from agent.onsite import NAME, Onsite
from agent.onsite_model import answers

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PLAIN = Style(plain=True, colours=False)
RICH = Style(plain=False, colours=True, width=120)
NUMBER = Characteristics(DataType.DECIMAL, "RPM")
TEXT = Characteristics(DataType.STRING)


class Now:
    """A clock that a test moves."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 100.0)


class Station:
    """The answering side: a small model, and events that a test adds."""

    def __init__(self) -> None:
        self.clock, self.model = Now(), DeviceModel()
        fan = Component("AirCoolingSystem", "left", 1, 2)
        self.speed = self.model.add(
            Variable(
                fan,
                VariableName("FanSpeed", "rear"),
                NUMBER,
                target=Attribute(450.0, Mutability.READ_WRITE),
                min_set=Attribute(0.0, Mutability.READ_WRITE),
                max_set=Attribute(1000.0, Mutability.READ_WRITE),
                max_age=10.0,
            )
        )
        self.model.add(Variable(fan, "Problem", Characteristics(DataType.BOOLEAN), Attribute(False)))
        self.mode = self.model.add(Variable(Component("DisplayCtrlr"), "Mode", TEXT, Attribute("day")))
        for name, mutability in (
            ("BasicAuthPassword", Mutability.WRITE_ONLY),
            ("ApnPassword", Mutability.READ_WRITE),
        ):
            self.model.add(
                Variable(Component("SecurityCtrlr"), name, TEXT, Attribute("hunter2-hunter2-", mutability))
            )
        self.fan = fan
        self.problems = Problems(self.model, lambda *_: None)
        self.events: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        self.answers = answers(self.model, self.clock, self.problems.texts, self.recent)

    def recent(self) -> list[dict[str, Any]]:
        self.asked.set()
        return self.events

    def event(self, number: int, **changes: Any) -> dict[str, Any]:
        found = {
            "id": number, "time": "2026-11-25T12:00:00.000Z", "component": "RCD@1", "variable": "Tripped",
            "value": "true", "trigger": "Alerting", "cleared": None, "severity": 3, "tech_info": None, "cause": None,
            "monitor": None, "state": "waiting", **changes,
        }  # fmt: skip
        self.events.append(found)
        return found


@contextlib.asynccontextmanager
async def answering(folder: Path, asked: dict[str, Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(Onsite(folder / NAME, asked).run())
    while not (folder / NAME).exists():
        assert not task.done()
        await asyncio.sleep(0.005)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
