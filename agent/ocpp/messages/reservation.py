"""Messages of functional block H, reservation."""

from typing import Literal

from agent.ocpp.messages.authorization import IdTokenType
from agent.ocpp.messages.base import DateTime, Integer, Omissible, Request, Response, StatusInfoType

ConnectorKind = Literal[
    "cCCS1",
    "cCCS2",
    "cG105",
    "cTesla",
    "cType1",
    "cType2",
    "s309-1P-16A",
    "s309-1P-32A",
    "s309-3P-16A",
    "s309-3P-32A",
    "sBS1361",
    "sCEE-7-7",
    "sType2",
    "sType3",
    "Other1PhMax16A",
    "Other1PhOver16A",
    "Other3Ph",
    "Pan",
    "wInductive",
    "wResonant",
    "Undetermined",
    "Unknown",
]
"""ConnectorEnumType."""


class ReserveNowRequest(Request):
    """H01: keep an EVSE, a connector of a type, or any EVSE."""

    id: Integer
    expiry_date_time: DateTime
    connector_type: Omissible[ConnectorKind] = None
    id_token: IdTokenType
    evse_id: Omissible[Integer] = None
    group_id_token: Omissible[IdTokenType] = None


class ReserveNowResponse(Response):
    """H01."""

    status: Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]
    status_info: Omissible[StatusInfoType] = None


class CancelReservationRequest(Request):
    """H02."""

    reservation_id: Integer


class CancelReservationResponse(Response):
    """H02."""

    status: Literal["Accepted", "Rejected"]
    status_info: Omissible[StatusInfoType] = None


class ReservationStatusUpdateRequest(Request):
    """H04, H01.FR.16: a reservation ended without being used."""

    reservation_id: Integer
    reservation_update_status: Literal["Expired", "Removed"]


class ReservationStatusUpdateResponse(Response):
    """H04."""
