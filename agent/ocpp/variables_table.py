"""What a row of the table of controllers' variables is, and the rows that every station has.

Sources: part 2, "Referenced Components and Variables" §2.1 and §2.2; part 4 §8; erratum 2.57. What charging adds is
in `variables_charging`.
"""

from dataclasses import dataclass

from agent.model import Attribute, Characteristics, Component, DataType, Mutability, Variable, VariableName, parse

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
TIME_ADJUSTMENT: Path = ("ClockCtrlr", "TimeAdjustmentReportingThreshold", None)
IDENTITY: Path = ("SecurityCtrlr", "Identity", None)
SECURITY_PROFILE: Path = ("SecurityCtrlr", "SecurityProfile", None)
BASIC_AUTH_PASSWORD: Path = ("SecurityCtrlr", "BasicAuthPassword", None)
NETWORK_PRIORITY: Path = ("OCPPCommCtrlr", "NetworkConfigurationPriority", None)
UNLOCK: Path = ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", None)

DAY = 86_400


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
    evse: int | None = None

    def variable(self) -> Variable:
        """The variable as it leaves the factory."""
        component, name, instance = self.path
        characteristics = Characteristics(self.data_type, self.unit, self.min_limit, self.max_limit, self.values)
        value = None if self.default is None else parse(self.default, self.data_type)
        attribute = Attribute(value, self.mutability, persistent=self.mutability is not READ_ONLY)
        return Variable(
            Component(component, evse=self.evse), VariableName(name, instance), characteristics, attribute
        )


def _comm(
    name: str, default: str, mutability: Mutability = READ_WRITE, instance: str | None = None, **more: int | str
) -> Row:
    return Row(("OCPPCommCtrlr", name, instance), INTEGER, mutability, default, **more)  # type: ignore[arg-type]


def _data(name: str, default: str, instance: str | None = None, max_limit: int | None = None) -> Row:
    return Row(("DeviceDataCtrlr", name, instance), INTEGER, READ_ONLY, default, max_limit=max_limit)


TABLE: tuple[Row, ...] = (
    # part 2 §2.1, General
    _comm("ActiveNetworkProfile", "1", READ_ONLY),  # erratum 2.57: required
    _comm("MessageTimeout", "30", READ_ONLY, "Default", unit="s", min_limit=1),
    Row(
        ("OCPPCommCtrlr", "FileTransferProtocols", None),
        DataType.MEMBER_LIST,
        READ_ONLY,
        "HTTP,HTTPS",
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
    Row(TIME_ADJUSTMENT, INTEGER, READ_WRITE, "20", unit="s", min_limit=0),
    # part 2 §2.2, Security
    Row(BASIC_AUTH_PASSWORD, STRING, WRITE_ONLY, max_limit=40),
    Row(IDENTITY, STRING, READ_ONLY, max_limit=48),
    Row(("SecurityCtrlr", "OrganizationName", None), STRING, READ_WRITE, "", max_limit=64),
    Row(("SecurityCtrlr", "CertificateEntries", None), INTEGER, READ_ONLY, "0", max_limit=16),
    Row(SECURITY_PROFILE, INTEGER, READ_ONLY),
    # part 4 §8
    _comm("RetryBackOffRepeatTimes", "5", min_limit=0, max_limit=16),
    _comm("RetryBackOffRandomRange", "4", unit="s", min_limit=0, max_limit=DAY),
    _comm("RetryBackOffWaitMinimum", "2", unit="s", min_limit=0, max_limit=DAY),
    _comm("WebSocketPingInterval", "20", unit="s", min_limit=0, max_limit=DAY),
)
