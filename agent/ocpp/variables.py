"""The controllers' variables of the blocks this station has, and what the OCPP side reads from them.

The table itself is in `variables_table` and `variables_monitoring` (every station), `variables_charging` and
`variables_smart` (one that charges cars).
"""

import re
from collections.abc import Callable, Mapping, Sequence

from agent.clock import Clock
from agent.model import Component, DeviceModel, Refusal, Value, Variable, VariableName
from agent.model.values import members
from agent.ocpp import variables_charging as charging
from agent.ocpp import variables_monitoring as monitoring
from agent.ocpp import variables_smart as smart
from agent.ocpp.variables_charging import MEASURANDS, TX_START_POINT, TX_STOP_POINT
from agent.ocpp.variables_table import (
    BACK_OFF_MINIMUM,
    BACK_OFF_RANDOM,
    BACK_OFF_REPEATS,
    BASIC_AUTH_PASSWORD,
    BOOLEAN,
    DATE_TIME,
    HEARTBEAT_INTERVAL,
    IDENTITY,
    INTEGER,
    MESSAGE_TIMEOUT,
    NETWORK_PRIORITY,
    OFFLINE_THRESHOLD,
    PING_INTERVAL,
    READ_ONLY,
    REPORTING_VALUE_SIZE,
    SECURITY_PROFILE,
    TABLE,
    TIME_ADJUSTMENT,
    TIME_SOURCE,
    UNLOCK,
    Path,
    Row,
)

__all__ = [
    "BACK_OFF_MINIMUM",
    "BACK_OFF_RANDOM",
    "BACK_OFF_REPEATS",
    "BASIC_AUTH_PASSWORD",
    "DATE_TIME",
    "HEARTBEAT_INTERVAL",
    "IDENTITY",
    "MEASURANDS",
    "MESSAGE_TIMEOUT",
    "NETWORK_PRIORITY",
    "OFFLINE_THRESHOLD",
    "PING_INTERVAL",
    "QUESTIONS",
    "REPORTING_VALUE_SIZE",
    "SECURITY_PROFILE",
    "TABLE",
    "TIME_ADJUSTMENT",
    "TIME_SOURCE",
    "TX_START_POINT",
    "TX_STOP_POINT",
    "UNLOCK",
    "Path",
    "Row",
    "Settings",
    "controllers",
    "password_refusal",
]


def controllers(
    clock: Clock,
    identity: str,
    security_profile: int,
    *,
    sockets: bool = True,
    evses: Sequence[int] = (),
    measurands: Sequence[str] = MEASURANDS,
    bays: bool = True,
    signing: bool = False,
    message_timeout: int | None = None,
) -> list[Variable]:
    """The controllers' variables with their defaults, to be added to the station's Device Model.

    `sockets` tells whether any connector is a socket: without one there is no cable to unlock
    (UnlockOnEVSideDisconnect is then ReadOnly and false). A station without `evses` is no charging station (part 1
    §6) and has no variables of charging; of one with, `variables_charging.rows` explains the rest.
    `message_timeout` (s) is what the factory sets MessageTimeout to, where that is not the table's default.
    """
    variables = {row.path: row.variable() for row in (*TABLE, *monitoring.ROWS)}
    variables[DATE_TIME].actual.source = clock.now
    variables[IDENTITY].update(identity)
    variables[SECURITY_PROFILE].update(security_profile)
    if message_timeout is not None:
        variables[MESSAGE_TIMEOUT].update(message_timeout)
    if not sockets:
        variables[UNLOCK] = Row(UNLOCK, BOOLEAN, READ_ONLY, "false").variable()
    rows: list[Row] = []
    if evses:
        rows += charging.rows(evses, measurands, bays=bays, signing=signing)
        rows += smart.rows(evses)
    return [*variables.values(), *(row.variable() for row in rows)]


# --- what a text must fulfil beyond its characteristics -----------------------------------------------------------

_PASSWORD = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{16,40}")


def password_refusal(text: str) -> Refusal | None:
    """Why `text` may not become the BasicAuthPassword: 16 to 40 characters of a passwordString (A00.FR.205)."""
    if _PASSWORD.fullmatch(text):
        return None
    return Refusal("InvalidValue", "expected 16 to 40 characters out of a-z A-Z 0-9 * - _ = : + | @ .")


def _not_empty(why: str) -> Callable[[str], Refusal | None]:
    def question(text: str) -> Refusal | None:
        return None if members(text) else Refusal("InvalidValue", f"expected at least one item: {why}")

    return question


QUESTIONS: Mapping[Path, Callable[[str], Refusal | None]] = {
    BASIC_AUTH_PASSWORD: password_refusal,
    NETWORK_PRIORITY: _not_empty("without a profile the station could not be reached again"),
    TIME_SOURCE: _not_empty("without a source the station would not know the time"),
    TX_START_POINT: _not_empty("without a point no transaction would ever start"),
    TX_STOP_POINT: _not_empty("without a point no transaction would ever end"),
}
"""Per controller variable: what to ask of a new text before it is stored (`Control.before_save`)."""


# --- reading ------------------------------------------------------------------------------------------------------

_DEFAULTS = {
    row.path: int(row.default or 0)
    for row in (*TABLE, *monitoring.ROWS, *charging.rows(()))
    if row.data_type is INTEGER
}


class Settings:
    """The controllers' variables as the OCPP side uses them, read from the model at each use.

    A variable that the model lacks counts with the table's default.
    """

    def __init__(self, model: DeviceModel) -> None:
        self._model = model

    def variable(self, path: Path) -> Variable | None:
        """The variable at `path`, if the model has it."""
        component, name, instance = path
        return self._model.get(Component(component), VariableName(name, instance))

    def _value(self, path: Path) -> Value | None:
        variable = self.variable(path)
        return None if variable is None else variable.actual.current

    def integer(self, path: Path) -> int:
        value = self._value(path)
        return int(value) if isinstance(value, int | float) else _DEFAULTS[path]

    def items_limit(self, action: str) -> int:
        """How many elements a request of the CSMS may have."""
        return self._limit("ItemsPerMessage", action)

    def bytes_limit(self, action: str) -> int:
        """How many bytes a request of the CSMS may have."""
        return self._limit("BytesPerMessage", action)

    def _limit(self, name: str, action: str) -> int:
        component, instance = monitoring.LIMITS.get(action, ("DeviceDataCtrlr", action))
        return self.integer((component, name, instance))

    @property
    def heartbeats_set_the_clock(self) -> bool:
        """Whether the CSMS's time is a time source (B01.FR.06, G02.FR.06)."""
        value = self._value(TIME_SOURCE)
        return value is None or "Heartbeat" in members(str(value))
