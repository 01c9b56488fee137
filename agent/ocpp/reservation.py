"""Functional block H: reservations."""

from agent.evse.reservations import Reservation
from agent.ocpp.handling import Context, Reply
from agent.ocpp.messages.reservation import (
    CancelReservationRequest,
    CancelReservationResponse,
    ReserveNowRequest,
    ReserveNowResponse,
)
from agent.ocpp.rpc import CallReceived
from agent.ocpp.transactions import token_of


async def reserve_now(context: Context, call: CallReceived) -> Reply:
    """H01."""
    request = call.request
    assert isinstance(request, ReserveNowRequest)
    charging = context.host.charging
    if charging is None:
        return Reply(ReserveNowResponse(status="Rejected"))
    status = await charging.reserve(
        Reservation(
            request.id,
            request.expiry_date_time,
            token_of(request.id_token),
            None if request.group_id_token is None else token_of(request.group_id_token),
            request.evse_id,
            request.connector_type,
        )
    )
    return Reply(ReserveNowResponse(status=status))  # type: ignore[arg-type]


async def cancel_reservation(context: Context, call: CallReceived) -> Reply:
    """H02."""
    request = call.request
    assert isinstance(request, CancelReservationRequest)
    charging = context.host.charging
    known = charging is not None and await charging.cancel_reservation(request.reservation_id)
    return Reply(CancelReservationResponse(status="Accepted" if known else "Rejected"))
