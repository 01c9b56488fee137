"""Messages of functional block B, provisioning: variables, reports and resets."""

from enum import StrEnum

from agent.model import AttributeType, DataType, Mutability
from agent.ocpp.messages.base import (
    ComponentType,
    DateTime,
    Decimal,
    GenericDeviceModelStatus,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    OneToFour,
    Request,
    Response,
    StatusInfoType,
    Text16,
    Text1000,
    Text2500,
    VariableType,
)
from agent.ocpp.messages.boot import BootReason as BootReason


class SetVariableStatus(StrEnum):
    """SetVariableStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED_ATTRIBUTE_TYPE = "NotSupportedAttributeType"
    REBOOT_REQUIRED = "RebootRequired"


class GetVariableStatus(StrEnum):
    """GetVariableStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED_ATTRIBUTE_TYPE = "NotSupportedAttributeType"


class ReportBase(StrEnum):
    """ReportBaseEnumType."""

    CONFIGURATION_INVENTORY = "ConfigurationInventory"
    FULL_INVENTORY = "FullInventory"
    SUMMARY_INVENTORY = "SummaryInventory"


class ComponentCriterion(StrEnum):
    """ComponentCriterionEnumType."""

    ACTIVE = "Active"
    AVAILABLE = "Available"
    ENABLED = "Enabled"
    PROBLEM = "Problem"


class ResetType(StrEnum):
    """ResetEnumType."""

    IMMEDIATE = "Immediate"
    ON_IDLE = "OnIdle"


class ResetStatus(StrEnum):
    """ResetStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class SetVariableDataType(Message):
    """One attribute to set; without `attribute_type` it is Actual."""

    attribute_value: Text1000
    component: ComponentType
    variable: VariableType
    attribute_type: Omissible[AttributeType] = None


class SetVariablesRequest(Request):
    """B05: set attributes of variables."""

    set_variable_data: OneOrMore[SetVariableDataType]


class SetVariableResultType(Message):
    """What became of one attribute to set."""

    attribute_status: SetVariableStatus
    component: ComponentType
    variable: VariableType
    attribute_type: Omissible[AttributeType] = None
    attribute_status_info: Omissible[StatusInfoType] = None


class SetVariablesResponse(Response):
    """B05: one result for every attribute to set (B05.FR.01)."""

    set_variable_result: OneOrMore[SetVariableResultType]


class GetVariableDataType(Message):
    """One attribute to get; without `attribute_type` it is Actual."""

    component: ComponentType
    variable: VariableType
    attribute_type: Omissible[AttributeType] = None


class GetVariablesRequest(Request):
    """B06: get attributes of variables."""

    get_variable_data: OneOrMore[GetVariableDataType]


class GetVariableResultType(Message):
    """The value of one attribute, or why there is none."""

    attribute_status: GetVariableStatus
    component: ComponentType
    variable: VariableType
    attribute_type: Omissible[AttributeType] = None
    attribute_value: Omissible[Text2500] = None
    attribute_status_info: Omissible[StatusInfoType] = None


class GetVariablesResponse(Response):
    """B06: one result for every attribute to get (B06.FR.01)."""

    get_variable_result: OneOrMore[GetVariableResultType]


class GetBaseReportRequest(Request):
    """B07: report a predefined set of variables."""

    request_id: Integer
    report_base: ReportBase


class GetBaseReportResponse(Response):
    """B07."""

    status: GenericDeviceModelStatus
    status_info: Omissible[StatusInfoType] = None


class ComponentVariableType(Message):
    """A component, or one variable of it."""

    component: ComponentType
    variable: Omissible[VariableType] = None


class GetReportRequest(Request):
    """B08: report the variables that meet the criteria."""

    request_id: Integer
    component_variable: Omissible[OneOrMore[ComponentVariableType]] = None
    component_criteria: Omissible[OneToFour[ComponentCriterion]] = None


class GetReportResponse(Response):
    """B08."""

    status: GenericDeviceModelStatus
    status_info: Omissible[StatusInfoType] = None


class VariableAttributeType(Message):
    """One attribute in a report; without `type` it is Actual, without `mutability` ReadWrite."""

    type: Omissible[AttributeType] = None
    value: Omissible[Text2500] = None
    mutability: Omissible[Mutability] = None
    persistent: Omissible[bool] = None
    constant: Omissible[bool] = None


class VariableCharacteristicsType(Message):
    """What values a variable can take."""

    data_type: DataType
    supports_monitoring: bool
    unit: Omissible[Text16] = None
    min_limit: Omissible[Decimal] = None
    max_limit: Omissible[Decimal] = None
    values_list: Omissible[Text1000] = None


class ReportDataType(Message):
    """One variable in a report, with one to four of its attributes."""

    component: ComponentType
    variable: VariableType
    variable_attribute: OneToFour[VariableAttributeType]
    variable_characteristics: Omissible[VariableCharacteristicsType] = None


class NotifyReportRequest(Request):
    """B07, B08: one part of a report; `seq_no` counts from 0, `tbc` tells that more follows."""

    request_id: Integer
    generated_at: DateTime
    seq_no: Integer
    report_data: Omissible[OneOrMore[ReportDataType]] = None
    tbc: Omissible[bool] = None


class NotifyReportResponse(Response):
    """B07, B08."""


class ResetRequest(Request):
    """B11, B12: reset the station, or one EVSE."""

    type: ResetType
    evse_id: Omissible[Integer] = None


class ResetResponse(Response):
    """B11, B12."""

    status: ResetStatus
    status_info: Omissible[StatusInfoType] = None
