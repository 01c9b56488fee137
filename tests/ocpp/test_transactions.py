"""Records of the EVSEs as messages, and what the CSMS says as records: nothing is lost, nothing invented."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.evse.records import (
    NO_AUTHORIZATION,
    IdToken,
    IdTokenInfo,
    MeterValue,
    Sample,
    SignedValue,
    TransactionEvent,
)
from agent.ocpp.messages.authorization import IdTokenInfoType, IdTokenKind, IdTokenType
from agent.ocpp.messages.meter_values import Context, Location, Measurand, Phase
from agent.ocpp.messages.transactions import ChargingState, StoppedReason, TriggerReason
from agent.ocpp.transactions import info_of, meter_value_to, request_of, token_of, token_to
from tests.ocpp.official import check_payload

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENERGY = "Energy.Active.Import.Register"


def payload_of(event: TransactionEvent) -> dict[str, Any]:
    payload = json.loads(request_of(event).to_json())
    check_payload("TransactionEventRequest", payload)
    return payload


def sampled(sample: Sample) -> dict[str, Any]:
    (told,) = json.loads(meter_value_to(MeterValue(AT, (sample,))).to_json())["sampledValue"]
    return told


def updated(**more: Any) -> TransactionEvent:
    return TransactionEvent("Updated", AT, "MeterValuePeriodic", 4, "T1", **more)


# --- tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        IdToken("04A1B2C3", "ISO14443"),
        IdToken("é" * 36, "Central", (("1234", "PIN"), ("x" * 36, "y" * 50))),
        NO_AUTHORIZATION,
    ],
)
def test_a_token_comes_back_as_it_went(token):
    again = token_of(IdTokenType.from_json(token_to(token).to_json()))
    assert (again, again.additional_info) == (token, token.additional_info)


@pytest.mark.parametrize(
    "token", [IdToken("x" * 37, "ISO14443"), IdToken("1", "Bluetooth"), IdToken("1", "iso14443")]
)
def test_a_token_that_no_message_can_carry_is_refused(token):
    with pytest.raises(ValidationError):
        token_to(token)


@pytest.mark.parametrize("kind", get_args(IdTokenKind))
def test_every_kind_of_token_can_be_told(kind):
    assert payload_of(updated(id_token=IdToken("1", kind)))["idToken"] == {"idToken": "1", "type": kind}


def test_info_without_anything_else_has_a_status_alone():
    assert info_of(IdTokenInfoType(status="Unknown")) == IdTokenInfo("Unknown")


# --- meter values --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("J01.FR.10")
def test_a_sample_says_what_where_and_when_it_was_measured():
    sample = Sample(231.5, "Voltage", "Sample.Periodic", "L1-N", "Inlet", "V")
    assert sampled(sample) == {
        "value": 231.5,
        "measurand": "Voltage",
        "context": "Sample.Periodic",
        "phase": "L1-N",
        "location": "Inlet",
        "unitOfMeasure": {"unit": "V"},
    }


def test_a_multiplier_is_told_where_there_is_one():
    assert sampled(Sample(1.5, ENERGY, "Other", unit="Wh", multiplier=3))["unitOfMeasure"] == {
        "unit": "Wh",
        "multiplier": 3,
    }
    assert "unitOfMeasure" not in sampled(Sample(0.98, "Power.Factor", "Other"))


def test_a_signed_value_is_handed_on_as_it_is():
    signed = SignedValue("T0NNRg==", "ECDSA-secp256r1-SHA256", "OCMF", "")
    assert sampled(Sample(1.0, ENERGY, "Transaction.End", unit="Wh", signed=signed))["signedMeterValue"] == {
        "signedMeterData": "T0NNRg==",
        "signingMethod": "ECDSA-secp256r1-SHA256",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }


def test_a_signed_value_too_long_for_a_message_costs_neither_the_sample_nor_the_event(caplog):
    signed = SignedValue("x" * 2501, "m", "OCMF", "")
    sample = Sample(1.0, ENERGY, "Transaction.End", unit="Wh", signed=signed)
    payload = payload_of(updated(meter_values=(MeterValue(AT, (sample,)),)))
    (told,) = payload["meterValue"][0]["sampledValue"]
    assert told["value"] == 1.0
    assert "signedMeterValue" not in told
    assert "2501 characters" in caplog.text


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_told_and_costs_no_event(broken):
    good, bad = Sample(1.0, ENERGY, "Other"), Sample(broken, "Voltage", "Other")
    payload = payload_of(updated(meter_values=(MeterValue(AT, (good, bad)), MeterValue(AT, (bad,)))))
    assert [[one["value"] for one in value["sampledValue"]] for value in payload["meterValue"]] == [[1.0]]
    assert "meterValue" not in payload_of(updated(meter_values=(MeterValue(AT, ()),)))


@pytest.mark.parametrize("measurand", get_args(Measurand))
def test_every_measurand_can_be_told(measurand):
    assert sampled(Sample(1.0, measurand, "Other"))["measurand"] == measurand


# --- events --------------------------------------------------------------------------------------------------------


def test_an_event_without_anything_more_has_what_is_required_alone():
    assert payload_of(updated()) == {
        "eventType": "Updated",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 4,
        "transactionInfo": {"transactionId": "T1"},
    }


@pytest.mark.requirement("E04.FR.03", "E04.FR.04")
def test_an_event_tells_that_it_happened_offline_only_where_it_did():
    assert payload_of(updated(offline=True))["offline"] is True
    assert "offline" not in payload_of(updated(offline=False))


def test_an_evse_without_a_connector_is_told_as_one():
    assert payload_of(updated(evse=2))["evse"] == {"id": 2}
    assert payload_of(updated(evse=2, connector=1))["evse"] == {"id": 2, "connectorId": 1}


def test_zeros_are_told():
    payload = payload_of(updated(time_spent_charging=0, reservation_id=0, number_of_phases_used=0, remote_start_id=0))
    assert payload["transactionInfo"] == {"transactionId": "T1", "timeSpentCharging": 0, "remoteStartId": 0}
    assert (payload["reservationId"], payload["numberOfPhasesUsed"]) == (0, 0)


def optional(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def one_of(literal: Any) -> st.SearchStrategy:
    return st.sampled_from(get_args(literal))


NUMBERS = st.integers(0, 2**31 - 1)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
TOKENS = st.builds(IdToken, st.text("0123456789ABCDEF", min_size=1, max_size=36), one_of(IdTokenKind))
SAMPLES = st.builds(
    Sample,
    st.floats(allow_nan=False, allow_infinity=False),
    one_of(Measurand),
    one_of(Context),
    optional(one_of(Phase)),
    optional(one_of(Location)),
    st.sampled_from(["", "Wh", "W", "A", "V"]),
    st.integers(-3, 3),
)
VALUES = st.builds(MeterValue, TIMES, st.lists(SAMPLES, min_size=1, max_size=3).map(tuple))
EVENTS = st.builds(
    TransactionEvent,
    st.sampled_from(["Started", "Updated", "Ended"]),
    TIMES,
    one_of(TriggerReason),
    NUMBERS,
    st.uuids().map(str),
    offline=st.booleans(),
    charging_state=optional(one_of(ChargingState)),
    stopped_reason=optional(one_of(StoppedReason)),
    time_spent_charging=optional(NUMBERS),
    remote_start_id=optional(NUMBERS),
    evse=optional(NUMBERS),
    connector=optional(NUMBERS),
    id_token=optional(TOKENS),
    reservation_id=optional(NUMBERS),
    number_of_phases_used=optional(NUMBERS),
    cable_max_current=optional(NUMBERS),
    meter_values=st.lists(VALUES, max_size=2).map(tuple),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(EVENTS)
def test_whatever_an_evse_tells_is_valid_and_nothing_of_it_is_lost(event):
    payload = payload_of(event)
    info = payload["transactionInfo"]
    assert payload["seqNo"] == event.seq_no
    assert payload["triggerReason"] == event.trigger_reason
    assert info["transactionId"] == event.transaction_id
    assert info.get("chargingState") == event.charging_state
    assert info.get("stoppedReason") == event.stopped_reason
    assert info.get("timeSpentCharging") == event.time_spent_charging
    assert info.get("remoteStartId") == event.remote_start_id
    assert payload.get("reservationId") == event.reservation_id
    assert payload.get("cableMaxCurrent") == event.cable_max_current
    told = [[one["value"] for one in value["sampledValue"]] for value in payload.get("meterValue", [])]
    assert told == [[sample.value for sample in value.samples] for value in event.meter_values]
