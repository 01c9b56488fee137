"""A variable: its characteristics, which never change, and its attributes, which do (part 1 §4.3)."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from agent.model.address import Component, VariableName
from agent.model.values import DataType, Value, to_text


class AttributeType(enum.StrEnum):
    """AttributeEnumType (part 2 §3.2)."""

    ACTUAL = "Actual"
    TARGET = "Target"
    MIN_SET = "MinSet"
    MAX_SET = "MaxSet"


class Mutability(enum.StrEnum):
    """MutabilityEnumType (part 2 §3)."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


@dataclass(frozen=True, slots=True)
class Characteristics:
    """VariableCharacteristicsType: limits in `unit`; of a text or list, `max_limit` is the length."""

    data_type: DataType
    unit: str | None = None
    min_limit: float | None = None
    max_limit: float | None = None
    values: tuple[str, ...] = ()
    supports_monitoring: bool = True

    @property
    def values_list(self) -> str | None:
        """The allowed values as they are reported."""
        return ",".join(self.values) if self.values else None


class Attribute:
    """One attribute: `value` (None while unset) and, for measured values, the monotonic `time` it was taken."""

    __slots__ = ("constant", "mutability", "persistent", "source", "time", "value")

    def __init__(
        self,
        value: Value | None = None,
        mutability: Mutability = Mutability.READ_ONLY,
        *,
        persistent: bool = False,
        constant: bool = False,
        source: Callable[[], Value | None] | None = None,
    ) -> None:
        self.value = value
        self.mutability = mutability
        self.persistent = persistent
        self.constant = constant
        self.time: float | None = None
        self.source = source
        """Where the value comes from when it is computed at each reading, such as the time of day."""

    @property
    def current(self) -> Value | None:
        """The value now."""
        return self.value if self.source is None else self.source()

    def text(self) -> str:
        """The value as it is sent; "" while unset (B06.FR.13)."""
        return to_text(self.current)


Listener = Callable[["Variable", Value | None, Value | None], None]
"""Takes (variable, old Actual, new Actual)."""


class Variable:
    """One variable of one component, with its attributes by type; Actual is always among them.

    `max_age` (seconds) is there for measured variables alone: past it the Actual no longer counts.
    `reboot_required` tells that a new value of a controller variable takes effect at the next start.
    """

    __slots__ = (
        "actual",
        "attributes",
        "characteristics",
        "component",
        "listeners",
        "max_age",
        "name",
        "reboot_required",
    )

    def __init__(
        self,
        component: Component,
        name: VariableName | str,
        characteristics: Characteristics,
        actual: Attribute | None = None,
        *,
        target: Attribute | None = None,
        min_set: Attribute | None = None,
        max_set: Attribute | None = None,
        max_age: float | None = None,
        reboot_required: bool = False,
    ) -> None:
        self.component = component
        self.name = VariableName(name) if isinstance(name, str) else name
        self.characteristics = characteristics
        self.actual = actual if actual is not None else Attribute()
        self.attributes = {AttributeType.ACTUAL: self.actual}
        for kind, attribute in (
            (AttributeType.TARGET, target),
            (AttributeType.MIN_SET, min_set),
            (AttributeType.MAX_SET, max_set),
        ):
            if attribute is not None:
                self.attributes[kind] = attribute
        self.max_age = max_age
        self.reboot_required = reboot_required
        self.listeners: tuple[Listener, ...] = ()

    def __str__(self) -> str:
        return f"{self.component}.{self.name}"

    def __repr__(self) -> str:
        return f"<Variable {self} = {self.actual.text()!r}>"

    def value(self, kind: AttributeType) -> Value | None:
        """The value of the attribute `kind`; None where it is unset or not there."""
        attribute = self.attributes.get(kind)
        return None if attribute is None else attribute.current

    def update(self, value: Value | None, time: float | None = None) -> None:
        """Take `value` as the Actual, whatever it is: what was measured is reported (part 1 §4.3).

        This is the hot path of every reading: no check, and no cost for change notification while no one listens.
        """
        actual = self.actual
        actual.time = time
        if self.listeners:
            old = actual.value
            actual.value = value
            # A NaN differs from itself: one that follows another is no change.
            if old != value and (old == old or value == value):
                for listener in self.listeners:
                    listener(self, old, value)
        else:
            actual.value = value

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each change of the Actual; returns what ends that."""
        self.listeners = (*self.listeners, listener)

        def stop() -> None:
            self.listeners = tuple(one for one in self.listeners if one is not listener)

        return stop
