"""Messages of functional block N, diagnostics."""

from enum import StrEnum

from agent.ocpp.messages.base import (
    ComponentType,
    DateTime,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    Request,
    Response,
    Text36,
    Text50,
    Text500,
    Text2500,
    VariableType,
)


class EventTrigger(StrEnum):
    """EventTriggerEnumType."""

    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


class EventNotificationType(StrEnum):
    """EventNotificationEnumType."""

    HARD_WIRED_NOTIFICATION = "HardWiredNotification"
    HARD_WIRED_MONITOR = "HardWiredMonitor"
    PRECONFIGURED_MONITOR = "PreconfiguredMonitor"
    CUSTOM_MONITOR = "CustomMonitor"


class EventDataType(Message):
    """One event of one variable; `cause` is the `event_id` of the event behind it."""

    event_id: Integer
    timestamp: DateTime
    trigger: EventTrigger
    actual_value: Text2500
    event_notification_type: EventNotificationType
    component: ComponentType
    variable: VariableType
    cause: Omissible[Integer] = None
    tech_code: Omissible[Text50] = None
    tech_info: Omissible[Text500] = None
    cleared: Omissible[bool] = None
    transaction_id: Omissible[Text36] = None
    variable_monitoring_id: Omissible[Integer] = None


class NotifyEventRequest(Request):
    """N07: events of variables; `seq_no` counts from 0, `tbc` tells that more follows."""

    generated_at: DateTime
    seq_no: Integer
    event_data: OneOrMore[EventDataType]
    tbc: Omissible[bool] = None


class NotifyEventResponse(Response):
    """N07."""
