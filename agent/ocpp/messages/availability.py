"""Messages of functional block G, availability."""

from enum import StrEnum

from agent.ocpp.messages.base import DateTime, Integer, Request, Response


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
