"""The standard names of the Device Model (part 2, appendices): what a component or variable of a name has to be."""

from dataclasses import dataclass

from agent.model import catalogue_data as data
from agent.model.values import DataType


@dataclass(frozen=True, slots=True)
class Standard:
    """What the appendices say of a variable: its type (None: they do not say), the units it may have, the usual one
    first (none: it has no unit), and whether a station that has the component has to have this variable of it.
    """

    data_type: DataType | None
    units: tuple[str, ...]
    required: bool


UNITS: frozenset[str] = frozenset(data.UNITS)
"""The standardized units of measure; another one is allowed where none is prescribed."""

_Rows = dict[str, dict[str, data.Row]]


def _index(rows: tuple[data.Row, ...]) -> _Rows:
    """The rows by name of the variable, then by instance (empty: none)."""
    index: _Rows = {}
    for row in rows:
        index.setdefault(row[0].casefold(), {})[row[1].casefold()] = row
    return index


_COMPONENTS = frozenset(name.casefold() for name in data.COMPONENTS)
_SPECIFIC = {component.casefold(): _index(rows) for component, rows in data.SPECIFIC.items()}
_GENERAL = _index(data.GENERAL)


def lookup(component: str, variable: str, instance: str | None = None) -> Standard | None:
    """What `variable` of `component` has to be, or None if the name is not standard; case does not count.

    What the appendices say of this very component goes first, then what they say of the variable on any component.
    An instance that they do not list has the type and the units of the variable and is never required.
    """
    name = variable.casefold()
    instances = _SPECIFIC.get(component.casefold(), {}).get(name) or _GENERAL.get(name)
    if instances is None:
        return None
    exact = instances.get((instance or "").casefold())
    _, _, data_type, units, required = exact or instances.get("") or next(iter(instances.values()))
    return Standard(DataType(data_type) if data_type else None, units, required and exact is not None)


def is_component(name: str) -> bool:
    """Whether `name` is a standard component's; case does not count."""
    return name.casefold() in _COMPONENTS


def component_names() -> tuple[str, ...]:
    """The standard components, as the appendices spell them."""
    return data.COMPONENTS


def variable_names(component: str | None = None) -> tuple[str, ...]:
    """The standard variables of `component`, its own before those that any may have; without one, all there are."""
    if component is None:
        own = [_SPECIFIC[name.casefold()] for name in data.SPECIFIC]
    else:
        own = [_SPECIFIC.get(component.casefold(), {})]
    spelled: dict[str, str] = {}
    for rows in (*own, _GENERAL):
        for name, instances in rows.items():
            spelled.setdefault(name, next(iter(instances.values()))[0])
    return tuple(spelled.values())
