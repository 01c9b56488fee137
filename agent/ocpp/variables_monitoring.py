"""MonitoringCtrlr: the variables of monitors, of every station.

Source: part 2, "Referenced Components and Variables" §2.11, and the appendices, which also have the older names
MonitoringBase and MonitoringLevel of what is active. What the specification leaves open is decided here.
"""

from agent.model import DataType
from agent.ocpp.variables_table import BOOLEAN, INTEGER, READ_ONLY, READ_WRITE, Path, Row

COMPONENT = "MonitoringCtrlr"

ENABLED: Path = (COMPONENT, "Enabled", None)
OFFLINE_QUEUING: Path = (COMPONENT, "OfflineQueuingSeverity", None)
BASE: tuple[Path, ...] = ((COMPONENT, "ActiveMonitoringBase", None), (COMPONENT, "MonitoringBase", None))
LEVEL: tuple[Path, ...] = ((COMPONENT, "ActiveMonitoringLevel", None), (COMPONENT, "MonitoringLevel", None))

_SET, _CLEAR = "SetVariableMonitoring", "ClearVariableMonitoring"

ROWS: tuple[Row, ...] = (
    Row(ENABLED, BOOLEAN, READ_WRITE, "true"),
    Row((COMPONENT, "Available", None), BOOLEAN, READ_ONLY, "true"),
    Row((COMPONENT, "ItemsPerMessage", _SET), INTEGER, READ_ONLY, "100"),
    Row((COMPONENT, "BytesPerMessage", _SET), INTEGER, READ_ONLY, "131072"),
    Row((COMPONENT, "ItemsPerMessage", _CLEAR), INTEGER, READ_ONLY, "1000"),
    Row((COMPONENT, "BytesPerMessage", _CLEAR), INTEGER, READ_ONLY, "131072"),
    # Up to "Alert": what somebody has to look at, even if the line was down. Each costs a write to the disk.
    Row(OFFLINE_QUEUING, INTEGER, READ_WRITE, "5", min_limit=0, max_limit=9),
    *(
        Row(path, DataType.OPTION_LIST, READ_ONLY, "All", values=("All", "FactoryDefault", "HardWiredOnly"))
        for path in BASE
    ),
    *(Row(path, INTEGER, READ_ONLY, "9", min_limit=0, max_limit=9) for path in LEVEL),
)

LIMITS: dict[str, tuple[str, str]] = {
    _SET: (COMPONENT, _SET),
    _CLEAR: (COMPONENT, _CLEAR),
    "GetMonitoringReport": ("DeviceDataCtrlr", "GetReport"),  # N02.FR.07
}
"""Whose ItemsPerMessage and BytesPerMessage, and which instance, count for an action."""
