"""Reports of the Device Model (B07, B08): which variables, and their stream of NotifyReport messages.

A report is a generator over the model: each message is built when the one before it was answered, so ten thousand
variables take no more memory than one message does. The JSON is put together by hand, because that is an order of
magnitude faster than objects that are validated; the tests hold every message against the official schema.
"""

import json.encoder
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from agent.model import AttributeType, Component, DeviceModel, Mutability, Variable, format_date_time, to_text
from agent.ocpp.calls import Call, Result, Unanswered

if TYPE_CHECKING:
    from agent.ocpp.messages.provisioning import ComponentCriterion, ComponentVariableType, ReportBase

_Item = TypeVar("_Item")

ITEMS = 100
"""Variables in one NotifyReport at most."""

BYTES = 60_000
"""Size of one NotifyReport's payload at most, unless a single variable is larger."""

WAITING = 3
"""Reports accepted while another one is running; one more is refused (B07.FR.13, B08.FR.16)."""

quoted: Callable[[str], str] = json.encoder.encode_basestring_ascii
"""A text as JSON; ASCII, so that its length is its size."""


# --- which variables ----------------------------------------------------------------------------------------------


def select_base(model: DeviceModel, base: "ReportBase") -> Iterator[Variable]:
    """The variables of a base report (B07.FR.07-09)."""
    return _BASES[base](model)


def _settable(model: DeviceModel) -> Iterator[Variable]:
    for variable in model.variables():
        if any(
            attribute.mutability is not Mutability.READ_ONLY and not attribute.constant
            for attribute in variable.attributes.values()
        ):
            yield variable


_PLACES = frozenset(("chargingstation", "evse", "connector"))
_CONDITIONS = frozenset(("problem", "tripped", "overload", "fallback"))


def _summary(model: DeviceModel) -> Iterator[Variable]:
    """Availability, and what is wrong: the conditions that are true, with the component's measurements."""
    for component in model.components():
        place = component.key[0] in _PLACES
        abnormal = any(_is_condition(variable) for variable in model.variables(component))
        if not place and not abnormal:
            continue
        for variable in model.variables(component):
            if (
                (place and variable.name.key[0] == "availabilitystate")
                or _is_condition(variable)
                or (abnormal and variable.max_age is not None)
            ):
                yield variable


def _is_condition(variable: Variable) -> bool:
    return variable.name.key[0] in _CONDITIONS and variable.actual.current is True


_BASES: dict[str, Callable[[DeviceModel], Iterator[Variable]]] = {
    "ConfigurationInventory": _settable,
    "FullInventory": DeviceModel.variables,
    "SummaryInventory": _summary,
}


@dataclass(frozen=True, slots=True)
class _Selector:
    """One componentVariable: None stands for all of them (B08.FR.20-25)."""

    instance: str | None
    evse: int | None
    connector: int | None
    variable: str | None
    variable_instance: str | None

    def takes_component(self, component: Component) -> bool:
        _, instance, evse, connector = component.key
        return (
            (self.instance is None or self.instance == instance)
            and (self.evse is None or self.evse == evse)
            and (self.connector is None or self.connector == connector)
        )

    def takes_variable(self, variable: Variable) -> bool:
        name, instance = variable.name.key
        return (self.variable is None or self.variable == name) and (
            self.variable_instance is None or self.variable_instance == instance
        )


def _selectors(wanted: "Iterable[ComponentVariableType]") -> dict[str, list[_Selector]]:
    by_name: dict[str, list[_Selector]] = {}
    for one in wanted:
        component, variable = one.component, one.variable
        evse = component.evse
        selector = _Selector(
            component.instance.casefold() if component.instance else None,
            evse.id if evse else None,
            evse.connector_id if evse else None,
            variable.name.casefold() if variable else None,
            variable.instance.casefold() if variable and variable.instance else None,
        )
        by_name.setdefault(component.name.casefold(), []).append(selector)
    return by_name


_IF_ABSENT: dict[str, bool] = {
    "Active": True,
    "Available": True,
    "Enabled": True,
    "Problem": False,
}
"""Whether a component without the criterion's variable meets it (B08.FR.07-10)."""


def _meets(model: DeviceModel, component: Component, criteria: "Iterable[ComponentCriterion]") -> bool:
    """Whether `component` meets at least one of `criteria` (B08.FR.13)."""
    for criterion in criteria:
        variable = model.get(component, criterion.value)
        if _IF_ABSENT[criterion] if variable is None else variable.actual.current is True:
            return True
    return False


def select(
    model: DeviceModel,
    criteria: "Iterable[ComponentCriterion] | None",
    wanted: "Iterable[ComponentVariableType] | None",
) -> Iterator[Variable]:
    """The variables of a custom report, each once, in the model's order (B08.FR.05, FR.11, FR.20-25)."""
    by_name = None if wanted is None else _selectors(wanted)
    for component in model.components():
        selectors = None
        if by_name is not None:
            selectors = [one for one in by_name.get(component.key[0], ()) if one.takes_component(component)]
            if not selectors:
                continue
        if criteria is not None and not _meets(model, component, criteria):
            continue
        for variable in model.variables(component):
            if selectors is None or any(one.takes_variable(variable) for one in selectors):
                yield variable


# --- their JSON ---------------------------------------------------------------------------------------------------

_ATTRIBUTE_HEADS: dict[tuple[AttributeType, Mutability, bool, bool], str] = {
    (kind, mutability, persistent, constant): f'{{"type":"{kind}","mutability":"{mutability}"'
    + (',"persistent":true' if persistent else "")
    + (',"constant":true' if constant else "")
    for kind in AttributeType
    for mutability in Mutability
    for persistent in (False, True)
    for constant in (False, True)
}


def component_json(component: Component) -> str:
    """ComponentType."""
    text = f'{{"name":{quoted(component.name)}'
    if component.instance:
        text += f',"instance":{quoted(component.instance)}'
    if component.evse is not None:
        text += f',"evse":{{"id":{component.evse}'
        text += "}" if component.connector is None else f',"connectorId":{component.connector}}}'
    return text + "}"


def variable_json(variable: Variable, component: str, value_size: int) -> str:
    """ReportDataType: every attribute, also the unset ones (B07.FR.11); no value of what is WriteOnly (erratum 2.10).

    `component` is the variable's component as JSON, `value_size` what a value is cut to.
    """
    name = variable.name
    instance = f',"instance":{quoted(name.instance)}' if name.instance else ""
    attributes = []
    for kind, attribute in variable.attributes.items():
        mutability = attribute.mutability
        head = _ATTRIBUTE_HEADS[kind, mutability, attribute.persistent, attribute.constant]
        if mutability is Mutability.WRITE_ONLY:
            attributes.append(head + "}")
        else:
            attributes.append(f'{head},"value":{quoted(attribute.text()[:value_size])}}}')
    characteristics = variable.characteristics
    more = "" if characteristics.unit is None else f',"unit":{quoted(characteristics.unit)}'
    if characteristics.min_limit is not None and math.isfinite(characteristics.min_limit):
        more += f',"minLimit":{to_text(float(characteristics.min_limit))}'
    if characteristics.max_limit is not None and math.isfinite(characteristics.max_limit):
        more += f',"maxLimit":{to_text(float(characteristics.max_limit))}'
    if characteristics.values:
        more += f',"valuesList":{quoted(",".join(characteristics.values))}'
    return (
        f'{{"component":{component},"variable":{{"name":{quoted(name.name)}{instance}}},'
        f'"variableAttribute":[{",".join(attributes)}],'
        f'"variableCharacteristics":{{"dataType":"{characteristics.data_type}",'
        f'"supportsMonitoring":{"true" if characteristics.supports_monitoring else "false"}{more}}}}}'
    )


def payloads(
    variables: Iterable[Variable],
    request_id: int,
    generated_at: datetime,
    value_size: int,
    max_items: int = ITEMS,
    max_bytes: int = BYTES,
) -> Iterator[str]:
    """The NotifyReport payloads for `variables`: seqNo from 0, tbc until the last (B07.FR.04, FR.10)."""
    items = _items(variables, value_size)
    return messages("reportData", items, request_id, generated_at, max_items, max_bytes)


def _items(variables: Iterable[Variable], value_size: int) -> Iterator[str]:
    """ReportDataType of each variable."""
    component: Component | None = None
    component_text = ""
    for variable in variables:
        if variable.component is not component:
            component = variable.component
            component_text = component_json(component)
        yield variable_json(variable, component_text, value_size)


def messages(
    field: str, items: Iterable[str], request_id: int, generated_at: datetime, max_items: int, max_bytes: int
) -> Iterator[str]:
    """The payloads of a report with `items`, which are JSON, in `field`: seqNo from 0, tbc until the last. None where
    there are no items.
    """
    head = f'{{"requestId":{request_id},"generatedAt":"{format_date_time(generated_at)}","seqNo":'
    room = max_bytes - len(head) - 50
    sequence = size = 0
    group: list[str] = []
    for item in items:
        if group and (len(group) == max_items or size + len(item) >= room):
            yield f'{head}{sequence},"tbc":true,"{field}":[{",".join(group)}]}}'
            sequence += 1
            size = 0
            group.clear()
        group.append(item)
        size += len(item) + 1
    if group:
        yield f'{head}{sequence},"tbc":false,"{field}":[{",".join(group)}]}}'


# --- one after the other ------------------------------------------------------------------------------------------


class Reports:
    """The reports that were asked for: one is running, up to `WAITING` wait. They end with the connection."""

    def __init__(self) -> None:
        self._streams: deque[tuple[str, Iterator[str]]] = deque()
        self._under_way = False

    @property
    def full(self) -> bool:
        """Whether no further report can be taken for the time being."""
        return len(self._streams) > WAITING

    def add(self, stream: Iterator[str], action: str = "NotifyReport") -> None:
        """Send the payloads of `stream` as CALLs of `action` when the reports before it are done."""
        self._streams.append((action, stream))

    def clear(self) -> None:
        """Give up every report: the connection that asked for them is gone."""
        self._streams.clear()

    def next_call(self, _now: float) -> Call | None:
        while self._streams and not self._under_way:
            action, stream = self._streams[0]
            payload = next(stream, None)
            if payload is not None:
                self._under_way = True
                return Call(action, payload, self._done)
            self._streams.popleft()
        return None

    def due(self) -> float | None:
        return 0.0 if self._streams and not self._under_way else None

    def _done(self, result: Result, _now: float) -> None:
        self._under_way = False
        if isinstance(result, Unanswered) and self._streams:
            # Without the part that was lost the rest is no report.
            self._streams.popleft()


def peek(items: Iterator[_Item]) -> Iterator[_Item] | None:
    """`items`, or None if there are none: an empty report is not sent (B08.FR.15)."""
    first = next(items, None)
    return None if first is None else chain((first,), items)
