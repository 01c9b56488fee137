"""Messages of functional block G, availability."""

from enum import StrEnum
from typing import Literal

from agent.ocpp.messages.base import DateTime, EVSEType, Integer, Omissible, Request, Response, StatusInfoType


class ConnectorStatus(StrEnum):
    """ConnectorStatusEnumType."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class StatusNotificationRequest(Request):
    """G01: the status of one connector, since `timestamp`."""

    timestamp: DateTime
    connector_status: ConnectorStatus
    evse_id: Integer
    connector_id: Integer


class StatusNotificationResponse(Response):
    """G01."""


class HeartbeatRequest(Request):
    """G02: the station is alive."""


class HeartbeatResponse(Response):
    """G02: the CSMS's time."""

    current_time: DateTime


class ChangeAvailabilityRequest(Request):
    """G03, G04: of a connector, an EVSE or, without `evse`, the whole station."""

    evse: Omissible[EVSEType] = None
    operational_status: Literal["Inoperative", "Operative"]


class ChangeAvailabilityResponse(Response):
    """G03, G04."""

    status: Literal["Accepted", "Rejected", "Scheduled"]
    status_info: Omissible[StatusInfoType] = None
