"""Messages of functional block F, remote control."""

from enum import StrEnum
from typing import Literal

from agent.ocpp.messages.authorization import IdTokenType
from agent.ocpp.messages.base import EVSEType, Integer, Omissible, Request, Response, StatusInfoType, Text36
from agent.ocpp.messages.charging_profile import ChargingProfileType


class MessageTrigger(StrEnum):
    """MessageTriggerEnumType."""

    BOOT_NOTIFICATION = "BootNotification"
    LOG_STATUS_NOTIFICATION = "LogStatusNotification"
    FIRMWARE_STATUS_NOTIFICATION = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    SIGN_CHARGING_STATION_CERTIFICATE = "SignChargingStationCertificate"
    SIGN_V2G_CERTIFICATE = "SignV2GCertificate"
    STATUS_NOTIFICATION = "StatusNotification"
    TRANSACTION_EVENT = "TransactionEvent"
    SIGN_COMBINED_CERTIFICATE = "SignCombinedCertificate"
    PUBLISH_FIRMWARE_STATUS_NOTIFICATION = "PublishFirmwareStatusNotification"


class TriggerMessageStatus(StrEnum):
    """TriggerMessageStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_IMPLEMENTED = "NotImplemented"


class TriggerMessageRequest(Request):
    """F06: send a message now."""

    requested_message: MessageTrigger
    evse: Omissible[EVSEType] = None


class TriggerMessageResponse(Response):
    """F06: goes out before the message asked for (FR.05)."""

    status: TriggerMessageStatus
    status_info: Omissible[StatusInfoType] = None


class RequestStartTransactionRequest(Request):
    """F01, F02: let this token charge."""

    evse_id: Omissible[Integer] = None
    group_id_token: Omissible[IdTokenType] = None
    id_token: IdTokenType
    remote_start_id: Integer
    charging_profile: Omissible[ChargingProfileType] = None


class RequestStartTransactionResponse(Response):
    """F01, F02."""

    status: Literal["Accepted", "Rejected"]
    status_info: Omissible[StatusInfoType] = None
    transaction_id: Omissible[Text36] = None


class RequestStopTransactionRequest(Request):
    """F03: end this transaction's authorization."""

    transaction_id: Text36


class RequestStopTransactionResponse(Response):
    """F03."""

    status: Literal["Accepted", "Rejected"]
    status_info: Omissible[StatusInfoType] = None


class UnlockConnectorRequest(Request):
    """F05: let a plug go."""

    evse_id: Integer
    connector_id: Integer


class UnlockConnectorResponse(Response):
    """F05."""

    status: Literal["Unlocked", "UnlockFailed", "OngoingAuthorizedTransaction", "UnknownConnector"]
    status_info: Omissible[StatusInfoType] = None
