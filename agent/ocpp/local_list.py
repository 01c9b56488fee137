"""Functional block D: the Local Authorization List."""

from agent.ocpp.handling import CallRefused, Context, Reply
from agent.ocpp.messages.local_list import (
    GetLocalListVersionResponse,
    SendLocalListRequest,
    SendLocalListResponse,
)
from agent.ocpp.rpc import CallReceived, ErrorCode
from agent.ocpp.transactions import info_of, token_of
from agent.ocpp.variables import Settings


def _limit(settings: Settings, variable: str, otherwise: int) -> int:
    found = settings.variable(("LocalAuthListCtrlr", variable, None))
    value = None if found is None else found.actual.value
    return int(value) if isinstance(value, int | float) else otherwise


async def send_local_list(context: Context, call: CallReceived) -> Reply:
    """D01. Raises CallRefused for more entries or bytes than LocalAuthListCtrlr allows."""
    request = call.request
    assert isinstance(request, SendLocalListRequest)
    charging = context.host.charging
    if charging is None:
        return Reply(SendLocalListResponse(status="Failed"))
    limit = _limit(context.settings, "BytesPerMessage", call.size)
    if call.size > limit:
        raise CallRefused(ErrorCode.FORMAT_VIOLATION, f"{call.size} bytes, BytesPerMessage is {limit}")
    given = request.local_authorization_list or ()
    limit = _limit(context.settings, "ItemsPerMessage", len(given))
    if len(given) > limit:
        raise CallRefused(
            ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, f"{len(given)} entries, ItemsPerMessage is {limit}"
        )
    entries = [
        (token_of(one.id_token), None if one.id_token_info is None else info_of(one.id_token_info)) for one in given
    ]
    full = request.update_type == "Full"
    status = await charging.send_list(request.version_number, full=full, entries=entries, size=call.size)
    return Reply(SendLocalListResponse(status=status))  # type: ignore[arg-type]


async def get_local_list_version(context: Context, call: CallReceived) -> Reply:
    """D02."""
    del call
    charging = context.host.charging
    return Reply(GetLocalListVersionResponse(version_number=0 if charging is None else await charging.list_version()))
