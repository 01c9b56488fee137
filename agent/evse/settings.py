"""The controllers' variables as the EVSE side uses them, read from the Device Model at each use.

A variable that the model lacks counts with the default that the caller names.
"""

from agent.model import Component, DeviceModel, Value
from agent.model.values import members


class EvseSettings:
    """Reads settings such as TxCtrlr.StopTxOnInvalidId."""

    def __init__(self, model: DeviceModel) -> None:
        self._model = model

    def _value(self, component: str, variable: str) -> Value | None:
        found = self._model.get(Component(component), variable)
        return None if found is None else found.actual.current

    def flag(self, component: str, variable: str, default: bool = False) -> bool:
        value = self._value(component, variable)
        return value if isinstance(value, bool) else default

    def integer(self, component: str, variable: str, default: int = 0) -> int:
        value = self._value(component, variable)
        return int(value) if isinstance(value, int | float) else default

    def text(self, component: str, variable: str, default: str = "") -> str:
        value = self._value(component, variable)
        return default if value is None else str(value)

    def members(self, component: str, variable: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The items of a MemberList; `default` where the variable is missing or unset."""
        value = self._value(component, variable)
        return default if value is None else tuple(members(str(value)))
