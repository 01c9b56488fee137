"""Handler of functional block F: TriggerMessage."""

from agent.ocpp.handling import Context, Reply, status_info
from agent.ocpp.messages.base import StatusInfoType
from agent.ocpp.messages.remote_control import (
    MessageTrigger,
    TriggerMessageRequest,
    TriggerMessageResponse,
    TriggerMessageStatus,
)
from agent.ocpp.rpc import CallReceived

TRIGGERABLE = frozenset(
    (MessageTrigger.BOOT_NOTIFICATION, MessageTrigger.HEARTBEAT, MessageTrigger.STATUS_NOTIFICATION)
)
"""The messages that can be asked for; any other is NotImplemented (F06.FR.08)."""


async def trigger_message(context: Context, call: CallReceived) -> Reply:
    """F06: the response first, then the message (F06.FR.04)."""
    request = call.request
    assert isinstance(request, TriggerMessageRequest)
    if request.requested_message not in TRIGGERABLE:
        return Reply(TriggerMessageResponse(status=TriggerMessageStatus.NOT_IMPLEMENTED))
    info = None
    if request.requested_message is MessageTrigger.STATUS_NOTIFICATION:
        info = _unknown_connector(context, request)
    if info is not None or not context.triggers.may_trigger(request):
        return Reply(TriggerMessageResponse(status=TriggerMessageStatus.REJECTED, status_info=info))
    return Reply(
        TriggerMessageResponse(status=TriggerMessageStatus.ACCEPTED), lambda: context.triggers.trigger(request)
    )


def _unknown_connector(context: Context, request: TriggerMessageRequest) -> StatusInfoType | None:
    evse = request.evse
    if evse is None or evse.connector_id is None:
        return status_info("MissingParam", "a StatusNotification is of one connector")  # F06.FR.12
    places = {(state.evse, state.connector) for state in context.host.connectors()}
    if (evse.id, evse.connector_id) in places:
        return None
    known = any(evse.id == place[0] for place in places)
    return status_info("UnknownConnectorId" if known else "UnknownEvse")
