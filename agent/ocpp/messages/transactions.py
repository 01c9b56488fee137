"""Messages of functional block E, transactions."""

from typing import Literal

from agent.ocpp.messages.authorization import IdTokenInfoType, IdTokenType, MessageContentType
from agent.ocpp.messages.base import (
    DateTime,
    Decimal,
    EVSEType,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    Request,
    Response,
    Text36,
)
from agent.ocpp.messages.meter_values import MeterValueType

ChargingState = Literal["Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"]
"""ChargingStateEnumType."""

TriggerReason = Literal[
    "Authorized",
    "CablePluggedIn",
    "ChargingRateChanged",
    "ChargingStateChanged",
    "Deauthorized",
    "EnergyLimitReached",
    "EVCommunicationLost",
    "EVConnectTimeout",
    "MeterValueClock",
    "MeterValuePeriodic",
    "TimeLimitReached",
    "Trigger",
    "UnlockCommand",
    "StopAuthorized",
    "EVDeparted",
    "EVDetected",
    "RemoteStop",
    "RemoteStart",
    "AbnormalCondition",
    "SignedDataReceived",
    "ResetCommand",
]
"""TriggerReasonEnumType."""

StoppedReason = Literal[
    "DeAuthorized",
    "EmergencyStop",
    "EnergyLimitReached",
    "EVDisconnected",
    "GroundFault",
    "ImmediateReset",
    "Local",
    "LocalOutOfCredit",
    "MasterPass",
    "Other",
    "OvercurrentFault",
    "PowerLoss",
    "PowerQuality",
    "Reboot",
    "Remote",
    "SOCLimitReached",
    "StoppedByEV",
    "TimeLimitReached",
    "Timeout",
]
"""ReasonEnumType."""


class TransactionType(Message):
    """Which transaction, and how it stands."""

    transaction_id: Text36
    charging_state: Omissible[ChargingState] = None
    time_spent_charging: Omissible[Integer] = None
    stopped_reason: Omissible[StoppedReason] = None
    remote_start_id: Omissible[Integer] = None


class TransactionEventRequest(Request):
    """E01-E15: what happened in a transaction."""

    event_type: Literal["Ended", "Started", "Updated"]
    timestamp: DateTime
    trigger_reason: TriggerReason
    seq_no: Integer
    transaction_info: TransactionType
    meter_value: Omissible[OneOrMore[MeterValueType]] = None
    offline: Omissible[bool] = None
    number_of_phases_used: Omissible[Integer] = None
    cable_max_current: Omissible[Integer] = None
    reservation_id: Omissible[Integer] = None
    evse: Omissible[EVSEType] = None
    id_token: Omissible[IdTokenType] = None


class TransactionEventResponse(Response):
    """E01-E15."""

    total_cost: Omissible[Decimal] = None
    charging_priority: Omissible[Integer] = None
    id_token_info: Omissible[IdTokenInfoType] = None
    updated_personal_message: Omissible[MessageContentType] = None


class GetTransactionStatusRequest(Request):
    """E14."""

    transaction_id: Omissible[Text36] = None


class GetTransactionStatusResponse(Response):
    """E14."""

    ongoing_indicator: Omissible[bool] = None
    messages_in_queue: bool
