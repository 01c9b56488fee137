"""What monitors must tell, reckoned the slow way: each moment all of them are asked what the rules say."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

SLOTS = ("UpperThreshold", "LowerThreshold", "Delta", "Periodic")


@dataclass
class Entry:
    type: str
    value: Decimal
    severity: int
    custom: bool
    since: int
    alarm: bool = False
    momentary: int | None = None


@dataclass
class Oracle:
    """One measured variable, `actual`; `entries` by id; what `ask` returns is (id, trigger, actual, cleared)."""

    defaults: dict[int, tuple[str, Decimal, int]]
    actual: int | None = 20
    level: int = 9
    queuing: int = 9
    online: bool = True
    time: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)

    def beyond(self, one: Entry) -> bool | None:
        if self.actual is None:
            return None
        return self.actual > one.value if one.type == "UpperThreshold" else self.actual < one.value

    def free(self, type: str, severity: int, id: int | None = None) -> bool:
        return not any((e.type, e.severity) == (type, severity) for key, e in self.entries.items() if key != id)

    def put(self, id: int, type: str, value: Decimal, severity: int, custom: bool = True) -> None:
        """New, or in the place of another; a threshold that is exceeded in spite of a change is told again."""
        old = self.entries.get(id)
        new = Entry(type, value, severity, custom, self.time, momentary=self.actual)
        if old is not None and old.alarm and "Threshold" in type:
            same = (old.type, old.value) == (type, value)
            told = self.online or severity <= self.queuing
            new.alarm = same or not (self.beyond(new) and told)
        self.entries[id] = new

    def base(self, base: str) -> None:
        for id, one in list(self.entries.items()):
            if one.custom and base != "All" and (base == "HardWiredOnly" or id not in self.defaults):
                del self.entries[id]
            elif one.custom and base == "FactoryDefault":
                self.put(id, *self.defaults[id], custom=False)
            elif id in self.defaults and base == "HardWiredOnly":
                del self.entries[id]
        if base != "HardWiredOnly":
            for id, (type, value, severity) in self.defaults.items():
                if id not in self.entries and self.free(type, severity):
                    self.put(id, type, value, severity, custom=False)

    def reboot(self) -> None:
        self.actual = None
        for one in self.entries.values():
            one.since, one.momentary = self.time, None

    def ask(self, *, ticked: bool = False) -> Counter[tuple[Any, ...]]:
        told: Counter[tuple[Any, ...]] = Counter()
        for id, one in self.entries.items():
            if not self.online and one.severity > self.queuing:
                if one.type == "Delta" and one.momentary is None:
                    one.momentary = self.actual
                continue
            say: tuple[str, bool | None] | None = None
            if one.type == "Periodic":
                age = self.time - one.since
                if ticked and age % int(one.value) == 0:
                    say = ("Periodic", None)
            elif self.actual is None:
                continue
            elif one.type == "Delta":
                if one.momentary is None:
                    one.momentary = self.actual
                elif abs(self.actual - one.momentary) > one.value:
                    one.momentary = self.actual
                    say = ("Delta", None)
            elif self.beyond(one) != one.alarm:
                one.alarm = not one.alarm
                say = ("Alerting", None if one.alarm else True)
            if say is not None and one.severity <= self.level:
                told[(id, say[0], "" if self.actual is None else str(self.actual), say[1])] += 1
        return told
