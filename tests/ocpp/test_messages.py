"""The message models against the official JSON Schemas: the same fields, types and limits, and the same verdicts."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.model import AttributeType
from agent.ocpp.messages import FROM_CSMS, KNOWN_ACTIONS, TO_CSMS
from agent.ocpp.messages.availability import HeartbeatRequest, HeartbeatResponse
from agent.ocpp.messages.base import ComponentType, CustomDataType, EVSEType, Message, VariableType
from agent.ocpp.messages.provisioning import (
    GetBaseReportRequest,
    GetReportRequest,
    ReportBase,
    SetVariableDataType,
    SetVariablesRequest,
)
from tests.ocpp.official import FOLDER, check_payload, is_valid, schema

MODELS = {model.__name__: model for pair in (*FROM_CSMS.values(), *TO_CSMS.values()) for model in pair}
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)
KEPT = ("type", "format", "enum", "maxLength", "minLength", "minItems", "maxItems", "minimum", "maximum", "pattern")
STRUCTURE = {"additionalProperties", "definitions", "$defs", "items", "properties", "required", "$schema"}
WITHOUT_EFFECT = {"additionalItems", "comment", "default", "description", "javaType", "title"}


def resolved(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        definition = node["$ref"].rsplit("/", 1)[1]
        return root.get("definitions", root.get("$defs"))[definition]
    return node


def normal(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A schema with its references resolved, and only what decides whether a payload is valid."""
    node = resolved(node, root)
    assert node.keys() <= {*KEPT, *STRUCTURE, *WITHOUT_EFFECT}
    plain = {key: sorted(node[key]) if key == "enum" else node[key] for key in KEPT if key in node}
    if node["type"] == "object":
        plain["closed"] = node.get("additionalProperties", True) is False
        plain["required"] = sorted(node.get("required", []))
        plain["properties"] = {key: normal(value, root) for key, value in node.get("properties", {}).items()}
    if node["type"] == "array":
        plain["items"] = normal(node["items"], root)
    return plain


@EVERY_MODEL
def test_a_model_and_its_official_schema_say_the_same(name):
    ours = MODELS[name].model_json_schema(by_alias=True)
    official = schema(name)
    assert normal(ours, ours) == normal(official, official)


def test_every_action_of_the_standard_is_known():
    assert {path.stem.removesuffix("Request") for path in FOLDER.glob("*Request.json")} == KNOWN_ACTIONS


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
)
# Without null: part 4 §4.1.5 has no use for it, and vendor data is sent without it.
JSON = st.recursive(st.booleans() | st.integers(-9, 9) | TEXTS, lambda inner: st.lists(inner, max_size=2))


def valid(node: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy:
    """Payloads that a schema takes, made from the schema alone."""
    node = resolved(node, root)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node["type"]:
        case "string" if node.get("format") == "date-time":
            return TIMES
        case "string":
            longest = node.get("maxLength", 12)
            return TEXTS.map(lambda text: text[:longest]) | st.just("é" * longest)
        case "integer":
            return st.integers(int(node.get("minimum", -(2**31))), 2**31 - 1)
        case "number":
            return st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9)
        case "boolean":
            return st.booleans()
        case "array":
            least = node.get("minItems", 0)
            most = min(node.get("maxItems", 3), 4)
            return st.lists(valid(node["items"], root), min_size=least, max_size=most)
    required = set(node.get("required", []))
    fields = {key: valid(value, root) for key, value in node.get("properties", {}).items()}
    if node.get("additionalProperties") is not False:
        fields["anything"] = JSON
    return st.fixed_dictionaries(
        {key: value for key, value in fields.items() if key in required},
        optional={key: value for key, value in fields.items() if key not in required},
    )


@EVERY_MODEL
def test_any_payload_of_the_schema_comes_back_unchanged(name):
    official = schema(name)

    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(valid(official, official))
    def check(payload):
        check_payload(name, payload)
        message = MODELS[name].from_json(json.dumps(payload))
        again = message.to_json()
        check_payload(name, json.loads(again))
        assert json.loads(again) == payload
        assert MODELS[name].from_json(again) == message

    check()


def spoiled(payload: Any, node: dict[str, Any], root: dict[str, Any]):
    """The payload with one thing wrong, in every way and at every depth: (what, payload)."""
    node = resolved(node, root)
    wrong = {"string": 1, "integer": "1", "number": "1", "boolean": "true", "array": {}, "object": []}
    yield "type", wrong[node["type"]]
    yield "null", None
    if "enum" in node:
        yield "enum", "NoSuchValue"
    if "maxLength" in node:
        yield "maxLength", "x" * (node["maxLength"] + 1)
    if node["type"] == "integer":
        yield "fraction", 1.5
    if "minimum" in node:
        yield "minimum", int(node["minimum"]) - 1
    if node["type"] == "array":
        if "minItems" in node:
            yield "minItems", payload[: node["minItems"] - 1]
        if "maxItems" in node:
            yield "maxItems", payload[:1] * (node["maxItems"] + 1)
        for what, item in spoiled(payload[0], node["items"], root):
            yield f"0.{what}", [item, *payload[1:]]
    if node["type"] == "object":
        if node.get("additionalProperties") is False:
            yield "unknown", {**payload, "noSuchField": 1}
        for key in node.get("required", []):
            yield f"without {key}", {k: v for k, v in payload.items() if k != key}
        for key in payload:
            if key in node["properties"]:
                for what, value in spoiled(payload[key], node["properties"][key], root):
                    yield f"{key}.{what}", {**payload, key: value}


def full(node: dict[str, Any], root: dict[str, Any]) -> Any:
    """A valid payload with every field there is."""
    node = resolved(node, root)
    if "enum" in node:
        return node["enum"][0]
    if node.get("format") == "date-time":
        return "2026-01-31T12:00:00.000Z"
    if node["type"] == "array":
        return [full(node["items"], root)]
    if node["type"] == "object":
        return {key: full(value, root) for key, value in node.get("properties", {}).items()}
    return {"string": "text", "integer": 7, "number": 7.5, "boolean": True}[node["type"]]


@EVERY_MODEL
def test_what_the_schema_refuses_the_model_refuses(name):
    official = schema(name)
    payload = full(official, official)
    MODELS[name].from_json(json.dumps(payload))
    cases = list(spoiled(payload, official, official))
    assert len(cases) >= 4
    for what, broken in cases:
        assert not is_valid(name, broken), what
        with pytest.raises(ValidationError):
            MODELS[name].from_json(json.dumps(broken))
            pytest.fail(f"{name} takes {what}")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5+01:00", datetime(2026, 1, 31, 11, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789-05:30", datetime(2026, 1, 31, 17, 30, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_a_date_time_is_read_with_its_offset(text, utc):
    response = HeartbeatResponse.from_json(json.dumps({"currentTime": text}))
    assert response.current_time == utc
    assert response.current_time.tzinfo is not None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00",
        "2026-01-31",
        "2026-01-31 12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "20260131T120000Z",
        "1769860800",
        "2026-01-31T12:00:00Z\n",
        "",
    ],
)
def test_a_text_that_is_no_rfc_3339_time_is_refused(text):
    with pytest.raises(ValidationError):
        HeartbeatResponse.from_json(json.dumps({"currentTime": text}))


def test_a_date_time_is_printed_in_utc_with_three_decimals():
    time = datetime(2026, 1, 31, 12, 0, 0, 1_999, tzinfo=timezone(timedelta(hours=2)))
    assert HeartbeatResponse(current_time=time).to_json() == '{"currentTime":"2026-01-31T10:00:00.001Z"}'


def test_a_date_time_without_offset_is_refused_in_python_too():
    with pytest.raises(ValidationError):
        HeartbeatResponse(current_time=datetime(2026, 1, 31))


def test_a_whole_number_with_a_fraction_of_zero_is_an_integer_as_json_schema_says():
    request = GetBaseReportRequest.from_json('{"requestId":7.0,"reportBase":"FullInventory"}')
    assert request.request_id == 7
    assert type(request.request_id) is int


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 10**30, 1e300])
def test_an_integer_has_32_bits(number):
    with pytest.raises(ValidationError):
        GetBaseReportRequest.from_json(json.dumps({"requestId": number, "reportBase": "FullInventory"}))


def test_names_in_snake_case_are_refused_on_the_wire():
    with pytest.raises(ValidationError):
        GetReportRequest.from_json('{"request_id":1}')
    with pytest.raises(ValidationError):
        HeartbeatRequest.from_json('{"customData":{"vendor_id":"com.example"}}')


def test_custom_data_keeps_fields_nobody_knows():
    payload = {"customData": {"vendorId": "com.example.meters", "mainMeterValue": 12345, "nested": {"a": [1, None]}}}
    request = HeartbeatRequest.from_json(json.dumps(payload))
    assert request.custom_data is not None
    assert request.custom_data.vendor_id == "com.example.meters"
    assert request.custom_data.model_extra == {"mainMeterValue": 12345, "nested": {"a": [1, None]}}
    assert json.loads(request.to_json()) == payload


def test_custom_data_is_made_with_snake_case_too():
    request = HeartbeatRequest(custom_data=CustomDataType(vendor_id="com.example", sessions=3))
    assert json.loads(request.to_json()) == {"customData": {"vendorId": "com.example", "sessions": 3}}


def test_a_field_left_out_is_none_in_python_and_absent_on_the_wire():
    request = GetReportRequest(request_id=1)
    assert request.component_criteria is None
    assert request.to_json() == '{"requestId":1}'


def test_a_message_cannot_be_changed():
    with pytest.raises(ValidationError):
        GetReportRequest(request_id=1).request_id = 2


def test_a_message_that_the_schema_refuses_cannot_be_made():
    with pytest.raises(ValidationError):
        SetVariablesRequest(set_variable_data=())
    with pytest.raises(ValidationError):
        GetBaseReportRequest(request_id=1, report_base="FullInventory")
    with pytest.raises(ValidationError):
        ComponentType(name="x" * 51)


def test_a_request_knows_its_action():
    assert GetBaseReportRequest.action == "GetBaseReport"
    assert GetBaseReportRequest(request_id=1, report_base=ReportBase.FULL_INVENTORY).action == "GetBaseReport"
    assert all(request.action == action for action, (request, _) in {**FROM_CSMS, **TO_CSMS}.items())


def test_names_on_the_wire_are_camel_case():
    request = SetVariablesRequest(
        set_variable_data=(
            SetVariableDataType(
                attribute_type=AttributeType.TARGET,
                attribute_value="40",
                component=ComponentType(name="Connector", evse=EVSEType(id=1, connector_id=2)),
                variable=VariableType(name="FanSpeed", instance="left"),
            ),
        )
    )
    payload = json.loads(request.to_json())
    check_payload("SetVariablesRequest", payload)
    assert payload == {
        "setVariableData": [
            {
                "attributeType": "Target",
                "attributeValue": "40",
                "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 2}},
                "variable": {"name": "FanSpeed", "instance": "left"},
            }
        ]
    }


def test_every_class_inside_a_message_is_a_message_or_custom_data():
    for model in MODELS.values():
        assert issubclass(model, Message)
