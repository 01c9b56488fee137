"""Messages of functional block N, monitors: set, cleared, reported (N02 to N06)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from agent.monitoring import MonitorType
from agent.ocpp.messages.base import (
    ComponentType,
    DateTime,
    Decimal,
    GenericDeviceModelStatus,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    Request,
    Response,
    StatusInfoType,
    VariableType,
)
from agent.ocpp.messages.provisioning import ComponentVariableType


class MonitoringBase(StrEnum):
    """MonitoringBaseEnumType."""

    ALL = "All"
    FACTORY_DEFAULT = "FactoryDefault"
    HARD_WIRED_ONLY = "HardWiredOnly"


class MonitoringCriterion(StrEnum):
    """MonitoringCriterionEnumType."""

    THRESHOLD = "ThresholdMonitoring"
    DELTA = "DeltaMonitoring"
    PERIODIC = "PeriodicMonitoring"


class SetMonitoringStatus(StrEnum):
    """SetMonitoringStatusEnumType."""

    ACCEPTED = "Accepted"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_MONITOR_TYPE = "UnsupportedMonitorType"
    REJECTED = "Rejected"
    DUPLICATE = "Duplicate"


class ClearMonitoringStatus(StrEnum):
    """ClearMonitoringStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_FOUND = "NotFound"


class GenericStatus(StrEnum):
    """GenericStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class GetMonitoringReportRequest(Request):
    """N02: report the monitors that meet the criteria."""

    request_id: Integer
    component_variable: Omissible[OneOrMore[ComponentVariableType]] = None
    monitoring_criteria: Omissible[Annotated[tuple[MonitoringCriterion, ...], Field(min_length=1, max_length=3)]] = (
        None
    )


class GetMonitoringReportResponse(Response):
    """N02."""

    status: GenericDeviceModelStatus
    status_info: Omissible[StatusInfoType] = None


class VariableMonitoringType(Message):
    """One monitor in a report."""

    id: Integer
    transaction: bool
    value: Decimal
    type: MonitorType
    severity: Integer


class MonitoringDataType(Message):
    """One variable in a report, with its monitors."""

    component: ComponentType
    variable: VariableType
    variable_monitoring: OneOrMore[VariableMonitoringType]


class NotifyMonitoringReportRequest(Request):
    """N02: one part of a report; `seq_no` counts from 0, `tbc` tells that more follows."""

    request_id: Integer
    seq_no: Integer
    generated_at: DateTime
    monitor: Omissible[OneOrMore[MonitoringDataType]] = None
    tbc: Omissible[bool] = None


class NotifyMonitoringReportResponse(Response):
    """N02."""


class SetMonitoringBaseRequest(Request):
    """N03: activate a set of monitors."""

    monitoring_base: MonitoringBase


class SetMonitoringBaseResponse(Response):
    """N03."""

    status: GenericDeviceModelStatus
    status_info: Omissible[StatusInfoType] = None


class SetMonitoringDataType(Message):
    """One monitor to set; with an `id` it replaces that one (N04.FR.12)."""

    value: Decimal
    type: MonitorType
    severity: Integer
    component: ComponentType
    variable: VariableType
    id: Omissible[Integer] = None
    transaction: Omissible[bool] = None


class SetVariableMonitoringRequest(Request):
    """N04: set monitors."""

    set_monitoring_data: OneOrMore[SetMonitoringDataType]


class SetMonitoringResultType(Message):
    """What became of one monitor to set; `id` only where it was set."""

    status: SetMonitoringStatus
    type: MonitorType
    component: ComponentType
    variable: VariableType
    severity: Integer
    id: Omissible[Integer] = None
    status_info: Omissible[StatusInfoType] = None


class SetVariableMonitoringResponse(Response):
    """N04: one result for every monitor to set (N04.FR.01)."""

    set_monitoring_result: OneOrMore[SetMonitoringResultType]


class SetMonitoringLevelRequest(Request):
    """N05: tell only of monitors up to this severity number."""

    severity: Integer


class SetMonitoringLevelResponse(Response):
    """N05."""

    status: GenericStatus
    status_info: Omissible[StatusInfoType] = None


class ClearVariableMonitoringRequest(Request):
    """N06: remove monitors."""

    id: OneOrMore[Integer]


class ClearMonitoringResultType(Message):
    """What became of one id."""

    status: ClearMonitoringStatus
    id: Integer
    status_info: Omissible[StatusInfoType] = None


class ClearVariableMonitoringResponse(Response):
    """N06: one result for every id (N06.FR.05)."""

    clear_monitoring_result: OneOrMore[ClearMonitoringResultType]
