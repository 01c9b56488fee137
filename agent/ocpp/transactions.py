"""Functional blocks C, E and J between records of the EVSEs and messages: both ways, and the handlers of block E."""

import logging
import math

from pydantic import ValidationError

from agent.evse.records import IdToken, IdTokenInfo, MeterValue, Sample, SignedValue, TransactionEvent
from agent.ocpp.handling import Context, Reply
from agent.ocpp.messages.authorization import AdditionalInfoType, IdTokenInfoType, IdTokenType
from agent.ocpp.messages.base import EVSEType
from agent.ocpp.messages.meter_values import (
    MeterValueType,
    SampledValueType,
    SignedMeterValueType,
    UnitOfMeasureType,
)
from agent.ocpp.messages.transactions import (
    GetTransactionStatusRequest,
    GetTransactionStatusResponse,
    TransactionEventRequest,
    TransactionType,
)
from agent.ocpp.rpc import CallReceived

log = logging.getLogger(__name__)

ADDITIONAL_INFO = 10
"""How many AdditionalInfo items a message takes (AuthCtrlr.AdditionalInfoItemsPerMessage)."""


def token_to(token: IdToken) -> IdTokenType:
    """Raises pydantic.ValidationError for a token that no message can carry."""
    more = tuple(
        AdditionalInfoType(additional_id_token=one, type=two) for one, two in token.additional_info[:ADDITIONAL_INFO]
    )
    return IdTokenType(id_token=token.id, type=token.type, additional_info=more or None)  # type: ignore[arg-type]


def token_of(token: IdTokenType) -> IdToken:
    more = tuple((one.additional_id_token, one.type) for one in token.additional_info or ())
    return IdToken(token.id_token, token.type, more)


def info_of(info: IdTokenInfoType) -> IdTokenInfo:
    return IdTokenInfo(
        info.status,
        info.cache_expiry_date_time,
        None if info.group_id_token is None else token_of(info.group_id_token),
        info.evse_id or (),
        info.language1,
        info.language2,
        info.charging_priority,
        None if info.personal_message is None else info.personal_message.content,
    )


def meter_value_to(value: MeterValue) -> MeterValueType:
    """Raises pydantic.ValidationError for one without samples."""
    samples = tuple(_sample(one) for one in value.samples if math.isfinite(one.value))
    return MeterValueType(timestamp=value.timestamp, sampled_value=samples)


def _sample(one: Sample) -> SampledValueType:
    return SampledValueType(
        value=one.value,
        context=one.context,  # type: ignore[arg-type]
        measurand=one.measurand,  # type: ignore[arg-type]
        phase=one.phase,  # type: ignore[arg-type]
        location=one.location,  # type: ignore[arg-type]
        unit_of_measure=UnitOfMeasureType(unit=one.unit, multiplier=one.multiplier or None) if one.unit else None,
        signed_meter_value=None if one.signed is None else _signed(one.signed),
    )


def _signed(one: SignedValue) -> SignedMeterValueType | None:
    try:
        return SignedMeterValueType(
            signed_meter_data=one.data,
            signing_method=one.signing_method,
            encoding_method=one.encoding_method,
            public_key=one.public_key,
        )
    except ValidationError:  # what was charged must be told all the same
        log.error("a signed meter value of %d characters fits into no message and is left out", len(one.data))
        return None


def _measured(event: TransactionEvent) -> tuple[MeterValueType, ...] | None:
    """What can be told of its meter values; no event fails for what its meter says."""
    values = (one for one in event.meter_values if any(math.isfinite(sample.value) for sample in one.samples))
    return tuple(meter_value_to(value) for value in values) or None


def request_of(event: TransactionEvent) -> TransactionEventRequest:
    """The message of one event."""
    return TransactionEventRequest(
        event_type=event.event_type,  # type: ignore[arg-type]
        timestamp=event.timestamp,
        trigger_reason=event.trigger_reason,  # type: ignore[arg-type]
        seq_no=event.seq_no,
        transaction_info=TransactionType(
            transaction_id=event.transaction_id,
            charging_state=event.charging_state,  # type: ignore[arg-type]
            time_spent_charging=event.time_spent_charging,
            stopped_reason=event.stopped_reason,  # type: ignore[arg-type]
            remote_start_id=event.remote_start_id,
        ),
        meter_value=_measured(event),
        offline=event.offline or None,
        number_of_phases_used=event.number_of_phases_used,
        cable_max_current=event.cable_max_current,
        reservation_id=event.reservation_id,
        evse=None if event.evse is None else EVSEType(id=event.evse, connector_id=event.connector),
        id_token=None if event.id_token is None else token_to(event.id_token),
    )


async def get_transaction_status(context: Context, call: CallReceived) -> Reply:
    """E14: whether it goes on, and whether messages of it still wait."""
    request = call.request
    assert isinstance(request, GetTransactionStatusRequest)
    waits = context.triggers.transaction_messages(request.transaction_id)
    charging = context.host.charging
    ongoing = None
    if request.transaction_id is not None:
        ongoing = charging is not None and charging.ongoing(request.transaction_id)
    return Reply(GetTransactionStatusResponse(ongoing_indicator=ongoing, messages_in_queue=waits))
