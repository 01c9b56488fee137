"""SetVariables, GetVariables and Reset, and the controllers' variables themselves."""

import asyncio

import pytest

from agent.model import AttributeType, Component, Mutability
from agent.ocpp.handling import CallRefused
from agent.ocpp.provisioning import SET_DEADLINE
from agent.ocpp.rpc import ErrorCode
from agent.ocpp.variables import QUESTIONS, REPORTING_VALUE_SIZE, TABLE, controllers, password_refusal
from tests.ocpp.parts import FakeClock, Line


@pytest.fixture
def line():
    line = Line().open()
    line.boot()
    line.settle()
    return line


def item(component, variable, kind=None, **more):
    """component: name, or (name, instance), or (name, instance, evse, connector)."""
    name, instance, evse, connector = (*((component,) if isinstance(component, str) else component), *[None] * 3)[:4]
    address = {"name": name}
    if instance is not None:
        address["instance"] = instance
    if evse is not None:
        address["evse"] = {"id": evse} if connector is None else {"id": evse, "connectorId": connector}
    variable_name, _, variable_instance = variable.partition("/")
    variable = (
        {"name": variable_name, "instance": variable_instance} if variable_instance else {"name": variable_name}
    )
    return {"component": address, "variable": variable, **({"attributeType": kind} if kind else {}), **more}


async def set_all(line, *items):
    reply = await line.ask("SetVariables", {"setVariableData": list(items)})
    return reply["setVariableResult"]


async def get_all(line, *items):
    reply = await line.ask("GetVariables", {"getVariableData": list(items)})
    return reply["getVariableResult"]


def reason(result):
    return result["attributeStatusInfo"]["reasonCode"]


# --- SetVariables -----------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    "B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.04", "B05.FR.05", "B05.FR.06", "B05.FR.10", "B05.FR.12"
)
async def test_each_element_gets_its_result_in_order_with_its_own_address(line):
    items = [
        item("AirCoolingSystem", "FanSpeed", "Target", attributeValue="400"),
        item("NoSuchComponent", "FanSpeed", attributeValue="1"),
        item("AirCoolingSystem", "NoSuchVariable", "Target", attributeValue="1"),
        item(("AirCoolingSystem", "2"), "FanSpeed", "Target", attributeValue="1"),
        item("ocppcommctrlr", "HEARTBEATINTERVAL", attributeValue="60"),
    ]
    results = await set_all(line, *items)
    assert [result["attributeStatus"] for result in results] == [
        "Accepted",
        "UnknownComponent",
        "UnknownVariable",
        "NotSupportedAttributeType",
        "Accepted",
    ]
    for sent, result in zip(items, results, strict=True):
        assert (result["component"], result["variable"]) == (sent["component"], sent["variable"])
        assert result["attributeType"] == sent.get("attributeType", "Actual")


@pytest.mark.requirement("B05.FR.07", "B05.FR.08", "B05.FR.09")
@pytest.mark.parametrize(
    ("element", "code"),
    [
        (item("AirCoolingSystem", "FanSpeed", "Target", attributeValue="fast"), "InvalidValue"),
        (item("AirCoolingSystem", "FanSpeed", "Target", attributeValue="501"), "ValueTooHigh"),
        (item("AirCoolingSystem", "FanSpeed", "Target", attributeValue="199"), "ValueTooLow"),
        (item("AirCoolingSystem", "FanSpeed", attributeValue="400"), "ReadOnly"),
        (item("ChargingStation", "Available", attributeValue="false"), "ReadOnly"),
        (item("OCPPCommCtrlr", "WebSocketPingInterval", attributeValue="-1"), "ValueTooLow"),
        (item("ClockCtrlr", "TimeSource", attributeValue="GPS"), "InvalidValue"),
    ],
)
async def test_a_value_that_cannot_be_taken_is_rejected_with_the_reason(line, element, code):
    (result,) = await set_all(line, element)
    assert (result["attributeStatus"], reason(result)) == ("Rejected", code)
    assert result["attributeStatusInfo"]["additionalInfo"]


@pytest.mark.requirement("B05.FR.13")
async def test_the_same_attribute_twice_in_one_request_counts_once(line):
    first, second, other = await set_all(
        line,
        item("AirCoolingSystem", "FanSpeed", "Target", attributeValue="300"),
        item("AIRCOOLINGSYSTEM", "fanspeed", "Target", attributeValue="400"),
        item("AirCoolingSystem", "FanSpeed", "MaxSet", attributeValue="450"),
    )
    assert [first["attributeStatus"], second["attributeStatus"]] == ["Accepted", "Rejected"]
    assert other["attributeStatus"] == "Accepted"
    fan = line.home.model.get(Component("AirCoolingSystem"), "FanSpeed")
    assert fan.value(AttributeType.TARGET) == 300


async def test_a_request_has_one_deadline_and_what_finds_no_time_is_rejected(line):
    async def slow():
        line.wait(SET_DEADLINE * 0.6)

    line.home.before_set = slow
    results = await set_all(
        line,
        *(
            item("AirCoolingSystem", "FanSpeed", kind, attributeValue="300")
            for kind in ("MinSet", "MaxSet", "Target")
        ),
    )
    assert [result["attributeStatus"] for result in results] == ["Accepted", "Accepted", "Rejected"]
    assert [seconds for *_, seconds in line.home.now_set] == [SET_DEADLINE, pytest.approx(SET_DEADLINE * 0.4)]
    assert reason(results[2]) == "InternalError"


@pytest.mark.requirement("B05.FR.11")
async def test_more_elements_than_items_per_message_are_refused(line):
    line.home.put(("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables"), 1)
    element = item("AirCoolingSystem", "FanSpeed", "Target", attributeValue="300")
    with pytest.raises(CallRefused) as refusal:
        await set_all(line, element, element)
    assert refusal.value.code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    assert line.home.now_set == []


@pytest.mark.requirement("B06.FR.16", "B06.FR.17", "B08.FR.06", "B08.FR.17", "B08.FR.18")
@pytest.mark.parametrize(
    ("name", "code"),
    [("ItemsPerMessage", "OccurrenceConstraintViolation"), ("BytesPerMessage", "FormatViolation")],
)
@pytest.mark.parametrize(
    ("action", "field"), [("GetVariables", "getVariableData"), ("GetReport", "componentVariable")]
)
async def test_a_request_beyond_what_the_station_takes_is_refused(line, name, code, action, field):
    line.home.put(("DeviceDataCtrlr", name, action), 1)
    more = {"requestId": 1} if action == "GetReport" else {}
    with pytest.raises(CallRefused) as refusal:
        await line.ask(action, {field: [item("Fuse", "Rating"), item("Display", "Text")], **more})
    assert refusal.value.code == code


# --- GetVariables -----------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    "B06.FR.01",
    "B06.FR.02",
    "B06.FR.03",
    "B06.FR.04",
    "B06.FR.06",
    "B06.FR.07",
    "B06.FR.08",
    "B06.FR.10",
    "B06.FR.11",
)
async def test_values_come_in_order_with_their_own_address(line):
    items = [
        item("AirCoolingSystem", "FanSpeed"),
        item("AirCoolingSystem", "FanSpeed", "MaxSet"),
        item("NoSuchComponent", "FanSpeed"),
        item("AirCoolingSystem", "NoSuchVariable"),
        item("ChargingStation", "Available", "Target"),
        item(("Connector", None, 1, 2), "AvailabilityState"),
        item("OCPPCommCtrlr", "MessageTimeout/Default"),
        item(("ChargingStation", None, 0), "Available"),
    ]
    results = await get_all(line, *items)
    assert [(result["attributeStatus"], result.get("attributeValue")) for result in results] == [
        ("Accepted", "312.5"),
        ("Accepted", "500"),
        ("UnknownComponent", None),
        ("UnknownVariable", None),
        ("NotSupportedAttributeType", None),
        ("Accepted", "Available"),
        ("Accepted", "30"),
        ("Accepted", "true"),
    ]
    for sent, result in zip(items, results, strict=True):
        assert (result["component"], result["variable"]) == (sent["component"], sent["variable"])
        assert result["attributeType"] == sent.get("attributeType", "Actual")


@pytest.mark.requirement("B06.FR.09")
async def test_a_password_is_not_read_out(line):
    (result,) = await get_all(line, item("SecurityCtrlr", "BasicAuthPassword"))
    assert (result["attributeStatus"], reason(result)) == ("Rejected", "WriteOnly")
    assert "attributeValue" not in result


@pytest.mark.requirement("B06.FR.13")
async def test_an_attribute_without_a_value_is_an_empty_text(line):
    target, actual = await get_all(
        line, item("AirCoolingSystem", "FanSpeed", "Target"), item(("AirCoolingSystem", "2"), "FanSpeed")
    )
    assert (target["attributeStatus"], target["attributeValue"]) == ("Accepted", "")
    assert (actual["attributeStatus"], actual["attributeValue"]) == ("Accepted", "")


@pytest.mark.requirement("B06.FR.14", "B06.FR.15")
async def test_an_instance_left_out_or_empty_names_the_one_without(line):
    values = await get_all(
        line,
        item(("AirCoolingSystem", ""), "FanSpeed"),
        item(("AirCoolingSystem", "2"), "FanSpeed"),
        item("OCPPCommCtrlr", "MessageTimeout"),
    )
    assert [value.get("attributeValue") for value in values] == ["312.5", "", None]
    assert values[2]["attributeStatus"] == "UnknownVariable"


async def test_a_long_value_is_cut_to_the_reporting_value_size(line):
    line.home.put(REPORTING_VALUE_SIZE, 10)
    (result,) = await get_all(line, item("Display", "Text"))
    assert result["attributeValue"] == 'a "quoted"'


async def test_the_time_of_day_is_read_when_it_is_asked_for(line):
    values = []
    for _ in range(2):
        (result,) = await get_all(line, item("ClockCtrlr", "DateTime"))
        values.append(result["attributeValue"])
        line.wait(60)
    assert values[0][:17] == "2026-01-31T12:00:"
    assert values[1][:17] == "2026-01-31T12:01:"


# --- Reset ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B11.FR.01", "B11.FR.03")
@pytest.mark.parametrize("kind", ["Immediate", "OnIdle"])
async def test_the_station_resets_after_its_response(line, kind):
    assert await line.ask("Reset", {"type": kind}) == {"status": "Accepted"}
    assert line.home.resets == ["RemoteReset"]


@pytest.mark.requirement("B11.FR.09")
async def test_a_single_evse_is_not_reset(line):
    assert (await line.ask("Reset", {"type": "Immediate", "evseId": 1}))["status"] == "Rejected"
    assert line.home.resets == []


# --- the table --------------------------------------------------------------------------------------------------

REQUIRED = (
    "OCPPCommCtrlr.ActiveNetworkProfile",
    "OCPPCommCtrlr.MessageTimeout/Default",
    "OCPPCommCtrlr.FileTransferProtocols",
    "OCPPCommCtrlr.NetworkConfigurationPriority",
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts",
    "OCPPCommCtrlr.OfflineThreshold",
    "OCPPCommCtrlr.MessageAttempts/TransactionEvent",
    "OCPPCommCtrlr.MessageAttemptInterval/TransactionEvent",
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
    "OCPPCommCtrlr.WebSocketPingInterval",
    "OCPPCommCtrlr.ResetRetries",
    "DeviceDataCtrlr.ItemsPerMessage/GetReport",
    "DeviceDataCtrlr.ItemsPerMessage/GetVariables",
    "DeviceDataCtrlr.BytesPerMessage/GetReport",
    "DeviceDataCtrlr.BytesPerMessage/GetVariables",
    "DeviceDataCtrlr.ItemsPerMessage/SetVariables",
    "DeviceDataCtrlr.BytesPerMessage/SetVariables",
    "ClockCtrlr.DateTime",
    "ClockCtrlr.TimeSource",
    "SecurityCtrlr.OrganizationName",
    "SecurityCtrlr.CertificateEntries",
    "SecurityCtrlr.SecurityProfile",
    "OCPPCommCtrlr.RetryBackOffRepeatTimes",
    "OCPPCommCtrlr.RetryBackOffRandomRange",
    "OCPPCommCtrlr.RetryBackOffWaitMinimum",
)


@pytest.mark.requirement("B07.FR.08")
async def test_every_required_variable_is_there_and_has_a_value(line):
    for place in REQUIRED:
        (result,) = await get_all(line, item(*place.split(".")))
        assert result["attributeStatus"] == "Accepted", place


def test_what_the_csms_may_set_survives_a_power_cut():
    for variable in controllers(FakeClock(), "CS001", 1):
        settable = variable.actual.mutability is not Mutability.READ_ONLY
        assert variable.actual.persistent is settable, variable


def test_every_list_says_what_it_may_hold():
    for row in TABLE:
        assert bool(row.values) is row.data_type.is_list, row.path


def test_a_station_with_fixed_cables_has_nothing_to_unlock():
    (unlock,) = (v for v in controllers(FakeClock(), "x", 1, sockets=False) if v.name.name.startswith("Unlock"))
    assert (unlock.actual.mutability, unlock.actual.value) == (Mutability.READ_ONLY, False)


@pytest.mark.requirement("A00.FR.205")
@pytest.mark.parametrize("text", ["short", "x" * 15, "x" * 41, "with a blank in it!", "umlaut-ä-umlaut-ä", ""])
def test_a_password_that_breaks_the_rules_is_refused(text):
    assert password_refusal(text).code == "InvalidValue"
    assert text not in password_refusal(text).info or not text


def test_a_password_of_every_allowed_character_is_taken():
    assert password_refusal("aZ09*-_=:+|@.aZ09") is None


def test_a_list_that_must_have_an_item_may_not_be_emptied():
    assert all(question("").code == "InvalidValue" for question in QUESTIONS.values())


async def test_a_set_variables_under_way_does_not_hold_up_other_messages(line):
    gate = asyncio.Event()
    line.home.before_set = gate.wait
    asked = asyncio.create_task(set_all(line, item("Display", "Enabled", attributeValue="true")))
    await asyncio.sleep(0)
    line.wait(300)
    line.answer(line.expect("Heartbeat"))
    gate.set()
    assert (await asked)[0]["attributeStatus"] == "Accepted"
