"""Addresses in the Device Model: which component, which variable (part 1 §4.1, §4.2, §7)."""

import re
from dataclasses import dataclass, field

ComponentKey = tuple[str, str, int, int]
VariableKey = tuple[str, str]

_IDENTIFIER = re.compile(r"[A-Za-z0-9*\-_=:+|@.]+")
_PLACE = re.compile(
    r"(?P<component>[^\[\]@.]+)(\[(?P<component_instance>[^\]]*)\])?(@(?P<evse>\d+)(,(?P<connector>\d+))?)?"
    r"\.(?P<variable>[^\[\]@.]+)(\[(?P<instance>[^\]]*)\])?"
)


def is_identifier(text: str) -> bool:
    """Whether `text` holds only the characters of an identifierString (part 2 §2.1.4)."""
    return _IDENTIFIER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Component:
    """A component: `name`, `instance`, and its tier (`evse` and `connector` are None on the station's)."""

    name: str = field(compare=False)
    instance: str | None = field(default=None, compare=False)
    evse: int | None = field(default=None, compare=False)
    connector: int | None = field(default=None, compare=False)
    key: ComponentKey = field(init=False, repr=False)
    """What two addresses of the same component share: names match without regard to case (part 2 §2.1.4)."""

    def __post_init__(self) -> None:
        key = (self.name.casefold(), (self.instance or "").casefold(), self.evse or 0, self.connector or 0)
        object.__setattr__(self, "key", key)

    def __str__(self) -> str:
        instance = f"[{self.instance}]" if self.instance else ""
        place = "" if self.evse is None else f"@{self.evse}"
        if self.connector is not None:
            place += f",{self.connector}"
        return f"{self.name}{instance}{place}"


@dataclass(frozen=True, slots=True)
class VariableName:
    """A variable of some component: `name` and `instance`."""

    name: str = field(compare=False)
    instance: str | None = field(default=None, compare=False)
    key: VariableKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.name.casefold(), (self.instance or "").casefold()))

    def __str__(self) -> str:
        return f"{self.name}[{self.instance}]" if self.instance else self.name


def parse_place(text: str) -> tuple[Component, VariableName]:
    """Read `Component[instance]@evse,connector.Variable[instance]`. Raises ValueError with what was expected."""
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: expected Component[instance]@evse,connector.Variable[instance]")
    evse, connector = match["evse"], match["connector"]
    component = Component(
        match["component"],
        match["component_instance"] or None,
        None if evse is None else int(evse),
        None if connector is None else int(connector),
    )
    return component, VariableName(match["variable"], match["instance"] or None)
