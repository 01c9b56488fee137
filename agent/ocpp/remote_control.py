"""Handlers of functional block F: remote start and stop, unlock, TriggerMessage."""

from collections.abc import Callable

from agent.ocpp.diagnostics import log_status
from agent.ocpp.handling import Context, Reply, status_info
from agent.ocpp.host import RemoteStart
from agent.ocpp.host_diagnostics import diagnostics_of
from agent.ocpp.messages.base import StatusInfoType
from agent.ocpp.messages.meter_values import MeterValuesRequest
from agent.ocpp.messages.remote_control import (
    MessageTrigger,
    RequestStartTransactionRequest,
    RequestStartTransactionResponse,
    RequestStopTransactionRequest,
    RequestStopTransactionResponse,
    TriggerMessageRequest,
    TriggerMessageResponse,
    TriggerMessageStatus,
    UnlockConnectorRequest,
    UnlockConnectorResponse,
)
from agent.ocpp.rpc import CallReceived
from agent.ocpp.smart_charging import profile_of, smart_charging
from agent.ocpp.transactions import meter_value_to, token_of

TRIGGERABLE = frozenset(
    (
        MessageTrigger.BOOT_NOTIFICATION,
        MessageTrigger.HEARTBEAT,
        MessageTrigger.STATUS_NOTIFICATION,
    )
)
"""The messages that can be asked for; any other is NotImplemented (F06.FR.08)."""

OF_CHARGING = frozenset((MessageTrigger.METER_VALUES, MessageTrigger.TRANSACTION_EVENT))
"""Those that only a station with EVSEs sends."""

OF_DIAGNOSTICS = frozenset((MessageTrigger.LOG_STATUS_NOTIFICATION,))
"""Those that only a station with logs to upload sends."""


async def trigger_message(context: Context, call: CallReceived) -> Reply:
    """F06: the response first, then the message (F06.FR.04)."""
    request = call.request
    assert isinstance(request, TriggerMessageRequest)
    diagnostics = diagnostics_of(context.host)
    triggerable = TRIGGERABLE if context.host.charging is None else TRIGGERABLE | OF_CHARGING
    if diagnostics is not None:
        triggerable |= OF_DIAGNOSTICS
    if request.requested_message not in triggerable:
        return Reply(TriggerMessageResponse(status=TriggerMessageStatus.NOT_IMPLEMENTED))
    info = None
    if request.requested_message is MessageTrigger.STATUS_NOTIFICATION:
        info = _unknown_connector(context, request)
    if info is not None or not context.triggers.may_trigger(request):
        return _rejected(info)
    if request.requested_message in OF_CHARGING:
        return _trigger_charging(context, request)
    if request.requested_message in OF_DIAGNOSTICS and diagnostics is not None:
        asked = diagnostics
        return _accepted(lambda: context.triggers.send(log_status(asked)))
    return _accepted(lambda: context.triggers.trigger(request))


def _trigger_charging(context: Context, request: TriggerMessageRequest) -> Reply:
    """F06.FR.06, FR.07: Accepted only where there is something to send (F06.FR.10)."""
    charging = context.host.charging
    assert charging is not None
    of_transactions = request.requested_message is MessageTrigger.TRANSACTION_EVENT
    evse = None if request.evse is None else request.evse.id
    known = {state.evse for state in context.host.connectors()}
    if evse is not None and evse not in known and (of_transactions or evse != 0):  # 0 is the station's meter
        return _rejected(status_info("UnknownEvse"))
    if of_transactions:
        if not context.triggers.accepted:  # they are queued until then (B02.FR.02)
            return _rejected(status_info("CSNotAccepted"))
        # What is made here goes to the disk first, and so reaches the line after this answer (F06.FR.04).
        if not charging.trigger_transactions(evse):
            return _rejected(status_info("TxNotFound", "no transaction is running"))
        return _accepted()
    messages = [
        MeterValuesRequest(evse_id=place, meter_value=(meter_value_to(value),))
        for place, value in charging.trigger_meter_values(evse)
        if value.samples
    ]
    if not messages:
        return _rejected(status_info("", "nothing is measured, or no measurand is configured"))

    def send() -> None:
        for message in messages:
            context.triggers.send(message)

    return _accepted(send)


def _accepted(then: Callable[[], None] | None = None) -> Reply:
    return Reply(TriggerMessageResponse(status=TriggerMessageStatus.ACCEPTED), then)


def _rejected(info: StatusInfoType | None) -> Reply:
    return Reply(TriggerMessageResponse(status=TriggerMessageStatus.REJECTED, status_info=info))


def _unknown_connector(context: Context, request: TriggerMessageRequest) -> StatusInfoType | None:
    evse = request.evse
    if evse is None or evse.connector_id is None:
        return status_info("MissingParam", "a StatusNotification is of one connector")  # F06.FR.12
    places = {(state.evse, state.connector) for state in context.host.connectors()}
    if (evse.id, evse.connector_id) in places:
        return None
    known = any(evse.id == place[0] for place in places)
    return status_info("UnknownConnectorId" if known else "UnknownEvse")


async def request_start_transaction(context: Context, call: CallReceived) -> Reply:
    """F01, F02: the answer first, then the authorization.

    A charging profile without smart charging is ignored (F01.FR.12, K05.FR.04); else the host judges it.
    """
    request = call.request
    assert isinstance(request, RequestStartTransactionRequest)
    charging = context.host.charging
    if charging is None:
        return Reply(RequestStartTransactionResponse(status="Rejected"))
    if not context.triggers.accepted:  # B02.FR.05
        return Reply(RequestStartTransactionResponse(status="Rejected", status_info=status_info("CSNotAccepted")))
    group = None if request.group_id_token is None else token_of(request.group_id_token)
    profile = None
    if request.charging_profile is not None and smart_charging(context) is not None:
        profile = profile_of(request.charging_profile)
    answer = charging.request_start(
        RemoteStart(request.remote_start_id, token_of(request.id_token), group, request.evse_id, profile)
    )
    info = status_info(answer.reason_code, answer.info)
    response = RequestStartTransactionResponse(
        status=answer.status,  # type: ignore[arg-type]
        status_info=info,
        transaction_id=answer.transaction_id,
    )
    return Reply(response, answer.then)


async def request_stop_transaction(context: Context, call: CallReceived) -> Reply:
    """F03."""
    request = call.request
    assert isinstance(request, RequestStopTransactionRequest)
    charging = context.host.charging
    if charging is None:
        return Reply(RequestStopTransactionResponse(status="Rejected"))
    if not context.triggers.accepted:  # B02.FR.05
        return Reply(RequestStopTransactionResponse(status="Rejected", status_info=status_info("CSNotAccepted")))
    answer = charging.request_stop(request.transaction_id)
    info = status_info(answer.reason_code, answer.info)
    return Reply(
        RequestStopTransactionResponse(status=answer.status, status_info=info),  # type: ignore[arg-type]
        answer.then,
    )


async def unlock_connector(context: Context, call: CallReceived) -> Reply:
    """F05."""
    request = call.request
    assert isinstance(request, UnlockConnectorRequest)
    charging = context.host.charging
    status = "UnknownConnector"
    if charging is not None:
        status = await charging.unlock(request.evse_id, request.connector_id)
    return Reply(UnlockConnectorResponse(status=status))  # type: ignore[arg-type]
