"""What one variable of a board file is once the catalogue of standard names has filled in what was left out."""

import re
from dataclasses import dataclass

from agent.model import DataType, VariableName
from agent.model.catalogue import Standard, lookup

_KEY = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<instance>[^\[\]]+)\])?")

TYPES = {str(data_type).casefold(): data_type for data_type in DataType}


@dataclass(frozen=True, slots=True)
class Resolved:
    """Name, data type and unit; `standard` is None for a name that the catalogue does not have."""

    name: VariableName
    data_type: DataType | None
    unit: str | None
    standard: Standard | None


def split(key: str) -> VariableName | None:
    """`Name` or `Name[instance]`; None for anything else."""
    match = _KEY.fullmatch(key)
    return None if match is None else VariableName(match["name"], match["instance"])


def resolve(component: str, name: VariableName, data_type: str | None, unit: str | None) -> Resolved:
    """Type and unit as the board says, else as the catalogue says (its first unit); None where neither does."""
    standard = lookup(component, name.name, name.instance)
    if data_type is not None:
        found = TYPES.get(data_type.casefold())
    else:
        found = None if standard is None else standard.data_type
    if unit is None and standard is not None and standard.units:
        unit = standard.units[0]
    return Resolved(name, found, unit, standard)
