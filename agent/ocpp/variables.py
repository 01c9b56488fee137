"""The controllers' variables of the blocks this station has, as one table, and what the OCPP side reads from them.

Sources: part 2, "Referenced Components and Variables" §2.1 and §2.2; part 4 §8; erratum 2.57.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.clock import Clock
from agent.model import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Refusal,
    Value,
    Variable,
    VariableName,
    parse,
)
from agent.model.values import members

STRING, INTEGER, BOOLEAN = DataType.STRING, DataType.INTEGER, DataType.BOOLEAN
READ_ONLY, READ_WRITE, WRITE_ONLY = Mutability.READ_ONLY, Mutability.READ_WRITE, Mutability.WRITE_ONLY

Path = tuple[str, str, str | None]
"""(component, variable, variable instance)."""

HEARTBEAT_INTERVAL: Path = ("OCPPCommCtrlr", "HeartbeatInterval", None)
MESSAGE_TIMEOUT: Path = ("OCPPCommCtrlr", "MessageTimeout", "Default")
OFFLINE_THRESHOLD: Path = ("OCPPCommCtrlr", "OfflineThreshold", None)
PING_INTERVAL: Path = ("OCPPCommCtrlr", "WebSocketPingInterval", None)
BACK_OFF_MINIMUM: Path = ("OCPPCommCtrlr", "RetryBackOffWaitMinimum", None)
BACK_OFF_RANDOM: Path = ("OCPPCommCtrlr", "RetryBackOffRandomRange", None)
BACK_OFF_REPEATS: Path = ("OCPPCommCtrlr", "RetryBackOffRepeatTimes", None)
REPORTING_VALUE_SIZE: Path = ("DeviceDataCtrlr", "ReportingValueSize", None)
TIME_SOURCE: Path = ("ClockCtrlr", "TimeSource", None)
DATE_TIME: Path = ("ClockCtrlr", "DateTime", None)
IDENTITY: Path = ("SecurityCtrlr", "Identity", None)
SECURITY_PROFILE: Path = ("SecurityCtrlr", "SecurityProfile", None)
BASIC_AUTH_PASSWORD: Path = ("SecurityCtrlr", "BasicAuthPassword", None)
NETWORK_PRIORITY: Path = ("OCPPCommCtrlr", "NetworkConfigurationPriority", None)
UNLOCK: Path = ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", None)


@dataclass(frozen=True, slots=True)
class Row:
    """One variable of the table; `default` is None while unset, `max_limit` of a text is its length."""

    path: Path
    data_type: DataType
    mutability: Mutability
    default: str | None = None
    unit: str | None = None
    min_limit: int | None = None
    max_limit: int | None = None
    values: tuple[str, ...] = ()


def _comm(
    name: str, default: str, mutability: Mutability = READ_WRITE, instance: str | None = None, **more: int | str
) -> Row:
    return Row(("OCPPCommCtrlr", name, instance), INTEGER, mutability, default, **more)  # type: ignore[arg-type]


def _data(name: str, default: str, instance: str | None = None, max_limit: int | None = None) -> Row:
    return Row(("DeviceDataCtrlr", name, instance), INTEGER, READ_ONLY, default, max_limit=max_limit)


_DAY = 86_400

TABLE: tuple[Row, ...] = (
    # part 2 §2.1, General
    _comm("ActiveNetworkProfile", "1", READ_ONLY),  # erratum 2.57: required
    _comm("MessageTimeout", "30", READ_ONLY, "Default", unit="s", min_limit=1),
    Row(
        ("OCPPCommCtrlr", "FileTransferProtocols", None),
        DataType.MEMBER_LIST,
        READ_ONLY,
        "",  # none yet: no block that transfers files is here
        values=("FTP", "FTPS", "HTTP", "HTTPS", "SFTP"),
    ),
    _comm("HeartbeatInterval", "300", unit="s", min_limit=1),
    Row(NETWORK_PRIORITY, DataType.SEQUENCE_LIST, READ_WRITE, "1", values=("1",)),
    _comm("NetworkProfileConnectionAttempts", "3", min_limit=1),
    _comm("OfflineThreshold", "60", unit="s", min_limit=0),
    _comm("MessageAttempts", "3", instance="TransactionEvent", min_limit=1),
    _comm("MessageAttemptInterval", "30", instance="TransactionEvent", unit="s", min_limit=0),
    Row(UNLOCK, BOOLEAN, READ_WRITE, "true"),
    _comm("ResetRetries", "1", min_limit=0),
    _data("ItemsPerMessage", "100", "GetReport"),
    _data("ItemsPerMessage", "100", "GetVariables"),
    _data("BytesPerMessage", "131072", "GetReport"),
    _data("BytesPerMessage", "131072", "GetVariables"),
    _data("ReportingValueSize", "2500", max_limit=2500),
    _data("ItemsPerMessage", "100", "SetVariables"),
    _data("BytesPerMessage", "131072", "SetVariables"),
    Row(DATE_TIME, DataType.DATE_TIME, READ_ONLY),
    Row(TIME_SOURCE, DataType.SEQUENCE_LIST, READ_WRITE, "Heartbeat", values=("Heartbeat", "RealTimeClock")),
    # part 2 §2.2, Security
    Row(BASIC_AUTH_PASSWORD, STRING, WRITE_ONLY, max_limit=40),
    Row(IDENTITY, STRING, READ_ONLY, max_limit=48),
    Row(("SecurityCtrlr", "OrganizationName", None), STRING, READ_WRITE, "", max_limit=64),
    Row(("SecurityCtrlr", "CertificateEntries", None), INTEGER, READ_ONLY, "0", max_limit=16),
    Row(SECURITY_PROFILE, INTEGER, READ_ONLY),
    # part 4 §8
    _comm("RetryBackOffRepeatTimes", "5", min_limit=0, max_limit=16),
    _comm("RetryBackOffRandomRange", "4", unit="s", min_limit=0, max_limit=_DAY),
    _comm("RetryBackOffWaitMinimum", "2", unit="s", min_limit=0, max_limit=_DAY),
    _comm("WebSocketPingInterval", "20", unit="s", min_limit=0, max_limit=_DAY),
)


def controllers(clock: Clock, identity: str, security_profile: int, *, sockets: bool = True) -> list[Variable]:
    """The controllers' variables with their defaults, to be added to the station's Device Model.

    `sockets` tells whether any connector is a socket: without one there is no cable to unlock
    (UnlockOnEVSideDisconnect is then ReadOnly and false).
    """
    variables = {row.path: _variable(row) for row in TABLE}
    variables[DATE_TIME].actual.source = clock.now
    variables[IDENTITY].update(identity)
    variables[SECURITY_PROFILE].update(security_profile)
    if not sockets:
        variables[UNLOCK] = _variable(Row(UNLOCK, BOOLEAN, READ_ONLY, "false"))
    return list(variables.values())


def _variable(row: Row) -> Variable:
    component, name, instance = row.path
    characteristics = Characteristics(row.data_type, row.unit, row.min_limit, row.max_limit, row.values)
    value = None if row.default is None else parse(row.default, row.data_type)
    attribute = Attribute(value, row.mutability, persistent=row.mutability is not READ_ONLY)
    return Variable(Component(component), VariableName(name, instance), characteristics, attribute)


# --- what a text must fulfil beyond its characteristics -----------------------------------------------------------

_PASSWORD = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{16,40}")


def password_refusal(text: str) -> Refusal | None:
    """Why `text` may not become the BasicAuthPassword: 16 to 40 characters of a passwordString (A00.FR.205)."""
    if _PASSWORD.fullmatch(text):
        return None
    return Refusal("InvalidValue", "expected 16 to 40 characters out of a-z A-Z 0-9 * - _ = : + | @ .")


def _not_empty(text: str) -> Refusal | None:
    return None if members(text) else Refusal("InvalidValue", "expected at least one item")


QUESTIONS: Mapping[Path, Callable[[str], Refusal | None]] = {
    BASIC_AUTH_PASSWORD: password_refusal,
    NETWORK_PRIORITY: _not_empty,  # a station without any profile could never be reached again
    TIME_SOURCE: _not_empty,
}
"""Per controller variable: what to ask of a new text before it is stored (`Control.before_save`)."""


# --- reading ------------------------------------------------------------------------------------------------------

_DEFAULTS = {row.path: 0 if row.default is None else int(row.default) for row in TABLE if row.data_type is INTEGER}


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
        return self.integer(("DeviceDataCtrlr", "ItemsPerMessage", action))

    def bytes_limit(self, action: str) -> int:
        """How many bytes a request of the CSMS may have."""
        return self.integer(("DeviceDataCtrlr", "BytesPerMessage", action))

    @property
    def heartbeats_set_the_clock(self) -> bool:
        """Whether the CSMS's time is a time source (B01.FR.06, G02.FR.06)."""
        value = self._value(TIME_SOURCE)
        return value is None or "Heartbeat" in members(str(value))
