"""Handlers of functional block N for logs (N01) and customer information (N09, N10)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.diagnostics.job import LogRequest
from agent.diagnostics.slices import Slice
from agent.evse.auth_store import StoreFailed
from agent.evse.records import IdToken
from agent.ocpp.handling import CallRefused, Context, Reply, status_info
from agent.ocpp.host_diagnostics import Diagnostics, diagnostics_of
from agent.ocpp.messages.customer import (
    CustomerInformationRequest,
    CustomerInformationResponse,
    NotifyCustomerInformationRequest,
)
from agent.ocpp.messages.log import GetLogRequest, GetLogResponse, LogStatusNotificationRequest
from agent.ocpp.rpc import CallReceived, ErrorCode
from agent.ocpp.transactions import token_of

NO_DATA = "No data was found."
CLEARED = "The data was cleared."
CLEARED_NOTHING = "The data was cleared: none was found."

LONGEST = 512
"""Characters of one NotifyCustomerInformation."""


def _diagnostics(context: Context) -> Diagnostics:
    found = diagnostics_of(context.host)
    if found is None:
        raise CallRefused(ErrorCode.NOT_SUPPORTED, "there are no diagnostics")
    return found


# --- logs ----------------------------------------------------------------------------------------------------------


async def get_log(context: Context, call: CallReceived) -> Reply:
    """N01: the response first, then the upload and its notifications."""
    request = call.request
    assert isinstance(request, GetLogRequest)
    wanted = request.log
    span = Slice(wanted.oldest_timestamp, wanted.latest_timestamp)
    if span.oldest is not None and span.latest is not None and span.oldest > span.latest:
        info = status_info("InvalidValue", "oldestTimestamp is after latestTimestamp")
        return Reply(GetLogResponse(status="Rejected", status_info=info))
    answer = await _diagnostics(context).uploads.request(
        LogRequest(
            request.request_id,
            request.log_type,
            wanted.remote_location,
            span,
            request.retries,
            request.retry_interval,
        )
    )
    info = status_info("", answer.why)
    return Reply(GetLogResponse(status=answer.status, status_info=info, filename=answer.filename), answer.then)


def log_status(diagnostics: Diagnostics) -> LogStatusNotificationRequest:
    """What TriggerMessage is told of an upload (F06.FR.14, FR.15): without one, Idle and no id (N01.FR.13)."""
    running = diagnostics.uploads.running
    if running is None:
        return LogStatusNotificationRequest(status="Idle")
    return LogStatusNotificationRequest(status="Uploading", request_id=running)


# --- customers -----------------------------------------------------------------------------------------------------


async def customer_information(context: Context, call: CallReceived) -> Reply:
    """N09, N10: what is to be cleared is gone before the response, the report follows it.

    Nothing is kept under a certificate or an identifier of the operator's own, so no data is found of those.
    """
    request = call.request
    assert isinstance(request, CustomerInformationRequest)
    diagnostics = _diagnostics(context)
    named = (request.id_token, request.customer_certificate, request.customer_identifier)
    if sum(one is not None for one in named) != 1:  # N09.FR.09
        return _answer("Invalid", "MissingParam", "exactly one customer is to be named")
    if not request.report and not request.clear:  # N09.FR.07, N10.FR.07
        return _answer("Rejected", "InvalidValue", "neither report nor clear")
    if not context.triggers.accepted:  # B02.FR.02
        return _answer("Rejected", "CSNotAccepted")
    token = None if request.id_token is None else token_of(request.id_token)
    try:
        found = await _look(diagnostics, token, clear=request.clear)
    except StoreFailed as error:  # N09.FR.03, N10.FR.05
        return _answer("Rejected", "InternalError", str(error))
    if found is None:
        return _answer("Rejected", "TxInProgress", "what is charged now cannot be forgotten")
    if request.report:
        text = "\n".join(json.dumps(one, ensure_ascii=False) for one in found) or NO_DATA
    else:
        text = CLEARED if found else CLEARED_NOTHING
    messages = list(parts(text, request.request_id, context.host.clock.now()))

    def send() -> None:
        for message in messages:
            diagnostics.post(message)

    return Reply(CustomerInformationResponse(status="Accepted"), send)


async def _look(
    diagnostics: Diagnostics, token: IdToken | None, *, clear: bool
) -> Sequence[Mapping[str, Any]] | None:
    """What is known, and with `clear` no more afterwards; None where it cannot be cleared now. Raises StoreFailed."""
    customers = diagnostics.customers
    if token is None or customers is None:
        return ()
    if clear and customers.charging(token):
        return None
    found = await customers.known(token)
    if clear:
        await customers.forget(token)
    return found


def _answer(status: str, code: str, info: str = "") -> Reply:
    return Reply(
        CustomerInformationResponse(status=status, status_info=status_info(code, info))  # type: ignore[arg-type]
    )


def parts(text: str, request_id: int, now: datetime) -> Iterator[NotifyCustomerInformationRequest]:
    """`text` in messages, with seqNo from 0 and tbc until the last."""
    pieces = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
    for number, piece in enumerate(pieces, start=1):
        yield NotifyCustomerInformationRequest(
            data=piece, tbc=number < len(pieces), seq_no=number - 1, generated_at=now, request_id=request_id
        )
