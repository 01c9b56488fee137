"""The messages of booting (B01-B03): apart from the rest of block B, because a start needs these alone."""

from enum import StrEnum

from agent.ocpp.messages.base import (
    DateTime,
    Integer,
    Message,
    Omissible,
    Request,
    Response,
    StatusInfoType,
    Text20,
    Text25,
    Text50,
)


class BootReason(StrEnum):
    """BootReasonEnumType."""

    APPLICATION_RESET = "ApplicationReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    LOCAL_RESET = "LocalReset"
    POWER_UP = "PowerUp"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
    WATCHDOG = "Watchdog"


class RegistrationStatus(StrEnum):
    """RegistrationStatusEnumType."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class ModemType(Message):
    """The modem's SIM."""

    iccid: Omissible[Text20] = None
    imsi: Omissible[Text20] = None


class ChargingStationType(Message):
    """Who the station is."""

    model: Text20
    vendor_name: Text50
    serial_number: Omissible[Text25] = None
    firmware_version: Omissible[Text50] = None
    modem: Omissible[ModemType] = None


class BootNotificationRequest(Request):
    """B01: the station tells that it started."""

    charging_station: ChargingStationType
    reason: BootReason


class BootNotificationResponse(Response):
    """B01: `interval` in seconds, of heartbeats if accepted, until the next attempt if not (B01.FR.04, B02, B03)."""

    current_time: DateTime
    interval: Integer
    status: RegistrationStatus
    status_info: Omissible[StatusInfoType] = None
