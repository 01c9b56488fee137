"""OCPP-J framing: what each frame means, what answers it, and that nothing a CSMS sends stops the station."""

import json
import random
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core.core_schema import ErrorType

from agent.model import AttributeType
from agent.ocpp import rpc as framing
from agent.ocpp.messages import FROM_CSMS
from agent.ocpp.messages.availability import HeartbeatRequest, HeartbeatResponse
from agent.ocpp.messages.base import ComponentType, VariableType
from agent.ocpp.messages.boot import (
    BootNotificationRequest,
    BootNotificationResponse,
    BootReason,
    ChargingStationType,
    RegistrationStatus,
)
from agent.ocpp.messages.provisioning import (
    GetVariableResultType,
    GetVariablesRequest,
    GetVariablesResponse,
    GetVariableStatus,
    ResetResponse,
    ResetStatus,
)
from agent.ocpp.rpc import (
    Answer,
    CallFailed,
    CallOutstanding,
    CallReceived,
    CallResult,
    CallTimedOut,
    ErrorCode,
    Ignored,
    Rpc,
    UnknownMessageId,
)
from tests.ocpp import corpus
from tests.ocpp.official import check_payload

GET_VARIABLES = corpus.call("GetVariables", {"getVariableData": [corpus.GET]}, "still-there")
RESET = corpus.call("Reset", {"type": "OnIdle"}, "reset-1")
BOOT = BootNotificationRequest(
    charging_station=ChargingStationType(model="Model", vendor_name="Vendor"), reason=BootReason.POWER_UP
)


@pytest.fixture
def rpc():
    return Rpc(30.0, max_size=corpus.MAX_SIZE)


def error_of(frame):
    """The CALLERROR in a frame as (id, code, description); fails if part 4 §4.2.3 would not have it so."""
    kind, message_id, code, description, details = json.loads(frame)
    assert kind == 4
    assert isinstance(message_id, str)
    assert len(message_id) <= 36
    assert code in set(ErrorCode)
    assert isinstance(description, str)
    assert len(description) <= 255
    assert details == {}
    frame.encode("utf-8")
    return message_id, code, description


def assert_get_variables_is_answered(rpc):
    event = rpc.receive(GET_VARIABLES)
    assert isinstance(event, CallReceived)
    assert isinstance(event.request, GetVariablesRequest)
    asked = event.request.get_variable_data[0]
    result = GetVariableResultType(
        attribute_status=GetVariableStatus.ACCEPTED,
        attribute_value="42",
        component=asked.component,
        variable=asked.variable,
    )
    kind, message_id, payload = json.loads(
        rpc.reply("still-there", GetVariablesResponse(get_variable_result=(result,)))
    )
    assert (kind, message_id) == (3, "still-there")
    check_payload("GetVariablesResponse", payload)


def test_the_corpus_has_its_hundred_broken_frames():
    names = [name for name, *_ in corpus.CORPUS]
    assert len(set(names)) == len(names)
    assert sum(what != corpus.CALL for _, _, what, _ in corpus.CORPUS) >= 100


@pytest.mark.requirement("FR.03")
@pytest.mark.parametrize(
    ("frame", "what", "message_id"), [case[1:] for case in corpus.CORPUS], ids=[case[0] for case in corpus.CORPUS]
)
def test_every_frame_of_the_corpus_gets_its_answer_and_the_next_call_too(rpc, frame, what, message_id):
    event = rpc.receive(frame)
    if what == corpus.IGNORED:
        assert isinstance(event, Ignored)
    elif what == corpus.CALL:
        assert isinstance(event, CallReceived)
        assert event.message_id == message_id
        check_payload(f"{event.action}Request", json.loads(event.request.to_json()))
        assert error_of(rpc.reply_error(event.message_id, ErrorCode.GENERIC_ERROR))[0] == message_id
    else:
        assert isinstance(event, Answer), event
        assert error_of(event.text)[:2] == (message_id, what)
        assert event.code == what
    assert_get_variables_is_answered(rpc)


def test_the_whole_corpus_over_one_connection_leaves_our_own_call_outstanding():
    rpc = Rpc(30.0, max_size=corpus.MAX_SIZE)
    rpc.call(HeartbeatRequest(), 0.0, "ours")
    for _, frame, _, _ in random.Random(7).sample(corpus.CORPUS, len(corpus.CORPUS)):
        event = rpc.receive(frame)
        if isinstance(event, CallReceived):
            rpc.reply_error(event.message_id, ErrorCode.INTERNAL_ERROR)
        assert_get_variables_is_answered(rpc)
    assert rpc.outstanding == "ours"
    assert isinstance(rpc.receive('[3,"ours",{"currentTime":"2026-01-31T12:00:00Z"}]'), CallResult)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.binary(max_size=60) | st.text(max_size=60) | st.text(alphabet='[]{}",:234 ax\\\ud800\x00é-.eE', max_size=60)
)
def test_no_frame_whatever_raises(frame):
    rpc = Rpc(30.0)
    event = rpc.receive(frame)
    if isinstance(event, Answer):
        error_of(event.text)
    assert_get_variables_is_answered(rpc)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_no_frame_with_one_bit_flipped_raises(data):
    frame = bytearray(data.draw(st.sampled_from([GET_VARIABLES, RESET, '[3,"ours",{"currentTime":"x"}]'])).encode())
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    rpc = Rpc(30.0)
    rpc.call(HeartbeatRequest(), 0.0, "ours")
    event = rpc.receive(bytes(frame))
    if isinstance(event, Answer):
        error_of(event.text)
    elif isinstance(event, CallReceived):
        rpc.reply_error(event.message_id, ErrorCode.GENERIC_ERROR)
    assert_get_variables_is_answered(rpc)


# --- the CSMS calls ---


def test_a_call_is_received_with_its_request_and_its_size(rpc):
    event = rpc.receive(GET_VARIABLES)
    assert isinstance(event, CallReceived)
    assert (event.message_id, event.action) == ("still-there", "GetVariables")
    assert event.request.get_variable_data[0].component == ComponentType(name="Fan")
    assert event.size == len(GET_VARIABLES)


def test_an_enum_of_the_device_model_comes_out_as_its_member(rpc):
    event = rpc.receive(corpus.get({**corpus.GET, "attributeType": "MaxSet"}))
    assert event.request.get_variable_data[0].attribute_type is AttributeType.MAX_SET


@pytest.mark.requirement("FR.02")
def test_a_reply_is_a_call_result_with_the_same_id(rpc):
    rpc.receive(RESET)
    frame = rpc.reply("reset-1", ResetResponse(status=ResetStatus.SCHEDULED))
    assert json.loads(frame) == [3, "reset-1", {"status": "Scheduled"}]


def test_an_error_reply_is_cut_to_its_255_characters(rpc):
    rpc.receive(RESET)
    message_id, code, description = error_of(rpc.reply_error("reset-1", ErrorCode.SECURITY_ERROR, "é" * 300))
    assert (message_id, code, description) == ("reset-1", "SecurityError", "é" * 255)


def test_an_id_that_is_still_being_handled_is_refused_and_the_first_call_still_answered(rpc):
    assert isinstance(rpc.receive(RESET), CallReceived)
    event = rpc.receive(RESET)
    assert isinstance(event, Answer)
    assert error_of(event.text)[:2] == ("reset-1", "RpcFrameworkError")
    assert json.loads(rpc.reply("reset-1", ResetResponse(status=ResetStatus.ACCEPTED)))[0] == 3


def test_an_id_that_was_answered_is_handled_anew(rpc):
    for status in (ResetStatus.ACCEPTED, ResetStatus.REJECTED):
        assert isinstance(rpc.receive(RESET), CallReceived)
        rpc.reply("reset-1", ResetResponse(status=status))


def test_an_id_that_was_refused_is_handled_anew(rpc):
    assert isinstance(rpc.receive(corpus.call("Reset", {}, "reset-1")), Answer)
    assert isinstance(rpc.receive(RESET), CallReceived)


def test_two_calls_can_be_handled_at_once_and_answered_in_any_order(rpc):
    rpc.receive(RESET)
    assert_get_variables_is_answered(rpc)
    rpc.reply("reset-1", ResetResponse(status=ResetStatus.ACCEPTED))


def test_a_call_is_answered_once(rpc):
    rpc.receive(RESET)
    rpc.reply("reset-1", ResetResponse(status=ResetStatus.ACCEPTED))
    with pytest.raises(UnknownMessageId):
        rpc.reply("reset-1", ResetResponse(status=ResetStatus.ACCEPTED))
    with pytest.raises(UnknownMessageId):
        rpc.reply_error("reset-1", ErrorCode.GENERIC_ERROR)


def test_a_reply_of_another_action_is_a_mistake_and_the_call_still_waits(rpc):
    rpc.receive(RESET)
    with pytest.raises(TypeError):
        rpc.reply("reset-1", HeartbeatResponse(current_time=datetime(2026, 1, 31, tzinfo=UTC)))
    rpc.reply("reset-1", ResetResponse(status=ResetStatus.ACCEPTED))


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"setVariableData": [{**corpus.SET, "attributeValue": "secret" * 200}]}, "setVariableData.0.attributeValue"),
        ({"setVariableData": [{**corpus.SET, "attributeValue": ["secret"]}]}, "setVariableData.0.attributeValue"),
        ({"setVariableData": [{**corpus.SET, "attributeType": "secret"}]}, "setVariableData.0.attributeType"),
        ({"setVariableData": ["secret"]}, "setVariableData.0"),
        ({"setVariableData": [{**corpus.SET, "password": "secret"}]}, "setVariableData.0.password"),
    ],
)
def test_a_description_names_the_field_and_never_its_value(rpc, payload, field):
    event = rpc.receive(corpus.call("SetVariables", payload))
    assert isinstance(event, Answer)
    description = error_of(event.text)[2]
    assert description.startswith(f"{field}: ")
    assert "secret" not in event.text


def test_text_that_is_no_json_is_not_sent_back(rpc):
    event = rpc.receive('[2,"id","SetVariables",{"attributeValue":"hunter2" oops}]')
    assert isinstance(event, Answer)
    assert "hunter2" not in event.text
    assert "oops" not in event.text


def test_an_unsupported_action_is_described_as_in_the_specification(rpc):
    event = rpc.receive(corpus.call("SetDisplayMessage", {}, "162376037"))
    assert json.loads(event.text) == [4, "162376037", "NotSupported", "SetDisplayMessageRequest not supported", {}]


def test_every_kind_of_violation_in_the_table_is_one_that_pydantic_knows():
    assert set(get_args(ErrorType)) >= framing.VIOLATIONS.keys()


def test_the_size_limit_is_met_to_the_byte():
    size = len(RESET)
    assert isinstance(Rpc(30.0, max_size=size).receive(RESET), CallReceived)
    assert isinstance(Rpc(30.0, max_size=size - 1).receive(RESET), Answer)


def test_what_a_connection_accepts_can_be_narrowed():
    rpc = Rpc(30.0, accepts={"GetVariables": FROM_CSMS["GetVariables"]})
    event = rpc.receive(RESET)
    assert isinstance(event, Answer)
    assert event.code is ErrorCode.NOT_SUPPORTED


# --- the station calls ---


def test_a_call_is_framed_with_its_action_and_payload(rpc):
    frame = json.loads(rpc.call(BOOT, 0.0, "boot-1"))
    assert frame[:3] == [2, "boot-1", "BootNotification"]
    check_payload("BootNotificationRequest", frame[3])


def test_every_call_has_an_id_of_its_own_of_at_most_36_characters(rpc):
    ids = set()
    for _ in range(100):
        message_id = json.loads(rpc.call(HeartbeatRequest(), 0.0))[1]
        assert len(message_id) == 36
        assert rpc.outstanding == message_id
        ids.add(message_id)
        rpc.expired(30.0)
    assert len(ids) == 100


def test_ids_come_from_the_generator_given():
    rpc = Rpc(30.0, new_id=lambda: "seven")
    assert json.loads(rpc.call(HeartbeatRequest(), 0.0))[1] == "seven"


@pytest.mark.requirement("FR.01")
def test_a_second_call_waits_for_the_answer_to_the_first(rpc):
    rpc.call(BOOT, 0.0)
    with pytest.raises(CallOutstanding):
        rpc.call(HeartbeatRequest(), 1.0)


def test_a_payload_from_the_outbox_is_sent_as_it_was_stored(rpc):
    assert rpc.call_json("Heartbeat", HeartbeatRequest().to_json(), 0.0, "a") == '[2,"a","Heartbeat",{}]'


def test_a_call_the_station_does_not_make_is_a_mistake(rpc):
    with pytest.raises(ValueError, match="Reset"):
        rpc.call_json("Reset", "{}", 0.0)
    with pytest.raises(ValueError, match="36"):
        rpc.call(BOOT, 0.0, "x" * 37)
    assert rpc.outstanding is None


def test_a_result_comes_out_as_the_response_of_the_action_called(rpc):
    rpc.call(BOOT, 0.0, "boot-1")
    event = rpc.receive('[3,"boot-1",{"currentTime":"2026-01-31T12:00:00Z","interval":300,"status":"Accepted"}]')
    assert event == CallResult(
        "boot-1",
        "BootNotification",
        BootNotificationResponse(
            current_time=datetime(2026, 1, 31, 12, tzinfo=UTC), interval=300, status=RegistrationStatus.ACCEPTED
        ),
    )
    assert rpc.outstanding is None
    rpc.call(HeartbeatRequest(), 1.0)


def test_an_error_comes_out_as_a_failure_with_the_code_of_the_csms(rpc):
    rpc.call(BOOT, 0.0, "boot-1")
    event = rpc.receive('[4,"boot-1","OwnCode","no",{"a":1}]')
    assert event == CallFailed("boot-1", "BootNotification", "OwnCode", "no")
    assert rpc.outstanding is None


@pytest.mark.parametrize("frame", ['[4,"a"]', '[4,"a",7,null]', '[4,"a","InternalError"]', '[4,"a",{}]'])
def test_an_error_that_lacks_its_parts_still_fails_the_call(rpc, frame):
    rpc.call(BOOT, 0.0, "a")
    event = rpc.receive(frame)
    assert isinstance(event, CallFailed)
    assert event.code == "GenericError"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('[3,"a",{"interval":300,"status":"Accepted"}]', "OccurrenceConstraintViolation"),
        ('[3,"a",{"currentTime":"now","interval":300,"status":"Accepted"}]', "PropertyConstraintViolation"),
        ('[3,"a",{"currentTime":1,"interval":300,"status":"Accepted"}]', "TypeConstraintViolation"),
        ('[3,"a",[]]', "ProtocolError"),
        ('[3,"a"]', "RpcFrameworkError"),
        ('[3,"a",{},{}]', "RpcFrameworkError"),
        ('[3,"a",{"currentTime":', "RpcFrameworkError"),
        ('[4,"a","Generic', "RpcFrameworkError"),
        (f'[3,"a","{"x" * corpus.MAX_SIZE}"]', "FormatViolation"),
    ],
)
def test_an_answer_that_is_not_valid_fails_the_call_and_is_not_answered(rpc, frame, code):
    rpc.call(BOOT, 0.0, "a")
    event = rpc.receive(frame)
    assert isinstance(event, CallFailed)
    assert (event.message_id, event.action, event.code) == ("a", "BootNotification", code)
    assert rpc.outstanding is None


def test_null_for_a_payload_is_an_empty_payload(rpc):
    rpc.call_json("StatusNotification", "{}", 0.0, "a")
    assert isinstance(rpc.receive('[3,"a",null]'), CallResult)


def test_an_answer_with_another_id_leaves_the_call_outstanding(rpc):
    rpc.call(BOOT, 0.0, "a")
    assert isinstance(rpc.receive('[3,"b",{}]'), Ignored)
    assert isinstance(rpc.receive('[4,"-1","RpcFrameworkError","",{}]'), Ignored)
    assert rpc.outstanding == "a"


def test_a_call_times_out_at_its_deadline_and_not_before(rpc):
    rpc.call(BOOT, 100.0, "a")
    assert rpc.deadline == 130.0
    assert rpc.expired(129.999) is None
    assert rpc.expired(130.0) == CallTimedOut("a", "BootNotification")
    assert rpc.expired(131.0) is None
    assert rpc.deadline is None


def test_a_result_that_comes_after_the_time_out_is_ignored(rpc):
    rpc.call(BOOT, 0.0, "a")
    rpc.expired(30.0)
    rpc.call(HeartbeatRequest(), 31.0, "b")
    late = '[3,"a",{"currentTime":"2026-01-31T12:00:00Z","interval":300,"status":"Accepted"}]'
    assert isinstance(rpc.receive(late), Ignored)
    assert rpc.outstanding == "b"


def test_a_new_message_timeout_counts_from_the_next_call(rpc):
    rpc.call(BOOT, 0.0)
    rpc.message_timeout = 5.0
    assert rpc.deadline == 30.0
    rpc.expired(30.0)
    rpc.call(BOOT, 30.0)
    assert rpc.deadline == 35.0


def test_a_call_of_the_csms_that_crosses_ours_is_handled(rpc):
    rpc.call(BOOT, 0.0, "reset-1")
    assert isinstance(rpc.receive(RESET), CallReceived)
    rpc.reply("reset-1", ResetResponse(status=ResetStatus.REJECTED))
    assert rpc.outstanding == "reset-1"


def test_variable_names_stay_as_they_were_written(rpc):
    event = rpc.receive(corpus.get({**corpus.GET, "variable": {"name": "sPEED", "instance": "é"}}))
    assert event.request.get_variable_data[0].variable == VariableType(name="sPEED", instance="é")
