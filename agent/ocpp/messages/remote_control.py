"""Messages of functional block F, remote control."""

from enum import StrEnum

from agent.ocpp.messages.base import EVSEType, Omissible, Request, Response, StatusInfoType


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
