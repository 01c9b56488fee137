"""The pieces of a computer's description: variables, and one reading that gives the values of several."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.model import Attribute, Characteristics, Component, DataType, Value, Variable, VariableName
from agent.model.problems import PROBLEM

MAX_AGE = 30.0
"""Seconds after which a value that could not be read anew counts no longer."""

LONGEST = 100
"""Characters of a text that the machine tells of itself; more is cut."""

Values = Mapping[Variable, Value | None]
"""What one reading found; None: not to be read just now. A variable that is not in it has not changed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Variables that are told together. `read` may block, so it is called in a thread; None: they never change."""

    variables: tuple[Variable, ...]
    read: Callable[[], Values] | None = None


def constant(component: Component, name: str, value: Value, instance: str | None = None) -> Variable:
    """A read-only variable that keeps `value` while the process lives."""
    if isinstance(value, str):
        value = value[:LONGEST]
    kind = DataType.BOOLEAN if isinstance(value, bool) else DataType.STRING
    if isinstance(value, float):
        kind = DataType.DECIMAL
    return _variable(component, name, instance, Characteristics(kind, supports_monitoring=False), value)


def size(component: Component, name: str, value: float) -> Variable:
    """A constant in bytes. A decimal: an integer of OCPP ends at 2 GiB (part 2 §2.1.2)."""
    unit = Characteristics(DataType.DECIMAL, "B", supports_monitoring=False)
    return _variable(component, name, None, unit, value)


def gauge(
    component: Component, name: str, kind: DataType, unit: str | None = None, *, instance: str | None = None
) -> Variable:
    """A read-only variable that is measured again and again."""
    found = _variable(component, name, instance, Characteristics(kind, unit), None)
    found.actual.constant = False
    found.max_age = MAX_AGE
    return found


def problem(component: Component) -> Variable:
    """The component's `Problem`, false."""
    return Variable(component, PROBLEM, Characteristics(DataType.BOOLEAN), Attribute(value=False))


def told(component: Component, texts: Iterable[tuple[str, str | None, str | None]]) -> Part:
    """Constants out of (name, instance, text); a text that is None gives no variable."""
    return Part(tuple(constant(component, name, text, one) for name, one, text in texts if text is not None))


def _variable(
    component: Component, name: str, instance: str | None, characteristics: Characteristics, value: Value | None
) -> Variable:
    return Variable(component, VariableName(name, instance), characteristics, Attribute(value, constant=True))
