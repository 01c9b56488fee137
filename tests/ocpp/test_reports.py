"""Reports: which variables they hold, and that their stream is valid, complete and cut as it should be."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Attribute, AttributeType, Characteristics, Component, DataType, Mutability, Variable
from agent.ocpp.messages.provisioning import NotifyReportRequest
from agent.ocpp.reports import BYTES, ITEMS, WAITING, payloads
from tests.ocpp.official import check_payload
from tests.ocpp.parts import START, Line


@pytest.fixture
def line():
    line = Line().open()
    line.boot()
    line.settle()
    return line


def place(item):
    component, variable = item["component"], item["variable"]
    text = component["name"] + (f"[{component['instance']}]" if "instance" in component else "")
    if "evse" in component:
        text += f"@{component['evse']['id']}"
        if "connectorId" in component["evse"]:
            text += f",{component['evse']['connectorId']}"
    return f"{text}.{variable['name']}" + (f"[{variable['instance']}]" if "instance" in variable else "")


def reported(messages):
    """The variables of one report, by place; checks seqNo, tbc, requestId and generatedAt on the way."""
    parts = [message[3] for message in messages]
    assert {message[2] for message in messages} == {"NotifyReport"}
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert len({(part["requestId"], part["generatedAt"]) for part in parts}) == 1
    items = [item for part in parts for item in part["reportData"]]
    places = {place(item): item for item in items}
    assert len(places) == len(items)
    return places


async def base(line, report_base, request_id=7):
    reply = await line.ask("GetBaseReport", {"requestId": request_id, "reportBase": report_base})
    assert reply == {"status": "Accepted"}
    sent = line.settle()
    assert {message[3]["requestId"] for message in sent} == {request_id}
    return reported(sent)


async def custom(line, status="Accepted", **criteria):
    reply = await line.ask("GetReport", {"requestId": 9, **criteria})
    assert reply["status"] == status
    sent = line.settle()
    assert {message[3]["requestId"] for message in sent} <= {9}
    return reported(sent) if status == "Accepted" else sent


def component(name, variable=None, *, instance=None, evse=None, connector=None, variable_instance=None):
    address = {"name": name}
    if instance is not None:
        address["instance"] = instance
    if evse is not None:
        address["evse"] = {"id": evse} if connector is None else {"id": evse, "connectorId": connector}
    if variable is None:
        return {"component": address}
    more = {} if variable_instance is None else {"instance": variable_instance}
    return {"component": address, "variable": {"name": variable, **more}}


# --- base reports -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.08", "B07.FR.10", "B07.FR.12")
async def test_a_full_inventory_has_every_variable_once(line):
    report = await base(line, "FullInventory")
    assert list(report) == [str(variable) for variable in line.home.model.variables()]
    assert all("variableCharacteristics" in item for item in report.values())


@pytest.mark.requirement("B07.FR.11")
async def test_every_attribute_is_reported_the_unset_ones_too(line):
    item = (await base(line, "FullInventory"))["AirCoolingSystem.FanSpeed"]
    assert item["variableAttribute"] == [
        {"type": "Actual", "mutability": "ReadOnly", "value": "312.5"},
        {"type": "Target", "mutability": "ReadWrite", "persistent": True, "value": ""},
        {"type": "MinSet", "mutability": "ReadWrite", "persistent": True, "value": "200"},
        {"type": "MaxSet", "mutability": "ReadWrite", "persistent": True, "value": "500"},
    ]
    assert item["variableCharacteristics"] == {
        "dataType": "decimal",
        "supportsMonitoring": True,
        "unit": "RPM",
        "minLimit": 0,
        "maxLimit": 1000,
    }


@pytest.mark.requirement("B07.FR.03")
async def test_the_password_is_reported_without_its_value(line):
    line.home.settings.variable(("SecurityCtrlr", "BasicAuthPassword", None)).update("a-secret-password")
    item = (await base(line, "FullInventory"))["SecurityCtrlr.BasicAuthPassword"]
    assert item["variableAttribute"] == [{"type": "Actual", "mutability": "WriteOnly", "persistent": True}]


@pytest.mark.requirement("B07.FR.07")
async def test_a_configuration_inventory_has_what_the_operator_can_set(line):
    report = await base(line, "ConfigurationInventory")
    assert {"AirCoolingSystem.FanSpeed", "OCPPCommCtrlr.HeartbeatInterval", "Display.Text"} <= report.keys()
    assert "SecurityCtrlr.BasicAuthPassword" in report
    assert not {"ChargingStation.Available", "OCPPCommCtrlr.ActiveNetworkProfile", "Fuse.Rating"} & report.keys()
    for item in report.values():
        assert any(attribute["mutability"] != "ReadOnly" for attribute in item["variableAttribute"])


@pytest.mark.requirement("B07.FR.09")
async def test_a_summary_inventory_has_availability_and_what_is_wrong(line):
    states = [
        "ChargingStation.AvailabilityState",
        "EVSE@1.AvailabilityState",
        "Connector@1,1.AvailabilityState",
        "Connector@1,2.AvailabilityState",
        "EVSE@2.AvailabilityState",
        "Connector@2,1.AvailabilityState",
    ]
    assert sorted(await base(line, "SummaryInventory")) == sorted(states)
    line.home.model.get(Component("RCD", evse=2), "Tripped").update(True)
    line.home.model.get(Component("AirCoolingSystem"), "Problem").update(True)
    wrong = ["RCD@2.Tripped", "AirCoolingSystem.Problem", "AirCoolingSystem.FanSpeed"]
    assert sorted(await base(line, "SummaryInventory")) == sorted(states + wrong)


# --- custom reports ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("B08.FR.01", "B08.FR.03", "B08.FR.04", "B08.FR.12", "B08.FR.14")
async def test_a_report_without_criteria_has_everything(line):
    assert len(await custom(line)) == len(line.home.model)


@pytest.mark.requirement("B08.FR.07", "B08.FR.08", "B08.FR.09", "B08.FR.10", "B08.FR.13")
async def test_components_meet_a_criterion_by_its_variable_or_by_having_none(line):
    line.home.model.get(Component("RCD", evse=1), "Problem").update(True)
    problem = await custom(line, componentCriteria=["Problem"])
    assert set(problem) == {"RCD@1.Tripped", "RCD@1.Problem"}
    enabled = await custom(line, componentCriteria=["Enabled"])
    assert "Display.Text" not in enabled and "Fuse.Rating" in enabled
    active = await custom(line, componentCriteria=["Active"])
    assert "Display.Text" not in active and "EVSE@1.Power" in active
    line.home.model.get(Component("EVSE", evse=2), "Available").update(False)
    available = await custom(line, componentCriteria=["Available"])
    assert "EVSE@2.Power" not in available and "EVSE@1.Power" in available
    either = await custom(line, componentCriteria=["Problem", "Available"])
    assert set(either) == set(available) | set(problem)


@pytest.mark.requirement("B08.FR.05")
async def test_criteria_and_component_variables_limit_each_other(line):
    line.home.model.get(Component("RCD", evse=1), "Problem").update(True)
    report = await custom(line, componentCriteria=["Problem"], componentVariable=[component("RCD", "Tripped")])
    assert list(report) == ["RCD@1.Tripped"]


WANTED = [
    ([component("AirCoolingSystem", instance="2")], ["AirCoolingSystem[2].FanSpeed"]),
    (
        [component("AirCoolingSystem")],
        ["AirCoolingSystem.FanSpeed", "AirCoolingSystem.Problem", "AirCoolingSystem[2].FanSpeed"],
    ),
    (
        [component("Connector", evse=1)],
        ["Connector@1,1.AvailabilityState", "Connector@1,2.AvailabilityState"],
    ),
    ([component("connector", "availabilitystate", evse=1, connector=2)], ["Connector@1,2.AvailabilityState"]),
    ([component("RCD", "Tripped")], ["RCD@1.Tripped", "RCD@2.Tripped"]),
    (
        [component("DeviceDataCtrlr", "ItemsPerMessage")],
        [f"DeviceDataCtrlr.ItemsPerMessage[{name}]" for name in ("GetReport", "GetVariables", "SetVariables")],
    ),
    (
        [component("DeviceDataCtrlr", "ItemsPerMessage", variable_instance="GetReport")],
        ["DeviceDataCtrlr.ItemsPerMessage[GetReport]"],
    ),
    ([component("Fuse"), component("Fuse", "Rating"), component("NoSuch")], ["Fuse.Rating"]),
    ([component("ChargingStation", "Problem", evse=0)], ["ChargingStation.Problem"]),
]


@pytest.mark.requirement("B08.FR.11", "B08.FR.20", "B08.FR.21", "B08.FR.22", "B08.FR.23", "B08.FR.24", "B08.FR.25")
@pytest.mark.parametrize(("wanted", "places"), WANTED)
async def test_what_a_component_variable_leaves_out_stands_for_all_of_them(line, wanted, places):
    assert list(await custom(line, componentVariable=wanted)) == places


@pytest.mark.requirement("B08.FR.15")
@pytest.mark.parametrize(
    "criteria",
    [
        {"componentCriteria": ["Problem"]},
        {"componentVariable": [component("NoSuchComponent")]},
        {"componentVariable": [component("Fuse", "NoSuchVariable")]},
        {"componentVariable": [component("EVSE", "Available", evse=3)]},
    ],
)
async def test_an_empty_report_is_not_sent(line, criteria):
    assert await custom(line, "EmptyResultSet", **criteria) == []


# --- the stream -------------------------------------------------------------------------------------------------


def many(count):
    characteristics = Characteristics(DataType.STRING, max_limit=2500)
    for number in range(count):
        yield Variable(
            Component("Sensor", f"{number // 5}", 1 + number % 2),
            f"Value{number}",
            characteristics,
            Attribute("x" * (number % 300), Mutability.READ_WRITE),
        )


async def test_a_part_is_sent_when_the_one_before_was_answered(line):
    for variable in many(3 * ITEMS):
        line.home.model.add(variable)
    await line.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    first = line.expect("NotifyReport")
    assert line.out() is None
    line.home.model.get(Component("Sensor", "59", 2), "Value299").update("new")
    line.answer(first)
    places = reported([first, *line.settle()])
    assert places["Sensor[59]@2.Value299"]["variableAttribute"][0]["value"] == "new"


@pytest.mark.parametrize(("max_items", "max_bytes"), [(ITEMS, BYTES), (7, BYTES), (ITEMS, 2000), (ITEMS, 1)])
def test_messages_keep_to_items_and_bytes(max_items, max_bytes):
    messages = list(payloads(many(700), 1, START, 2500, max_items, max_bytes))
    count = 0
    for number, message in enumerate(messages):
        payload = json.loads(message)
        check_payload("NotifyReportRequest", payload)
        assert (payload["seqNo"], payload["tbc"]) == (number, number < len(messages) - 1)
        items = len(payload["reportData"])
        assert items <= max_items
        assert len(message.encode()) <= max_bytes or items == 1
        count += items
    assert count == 700


@pytest.mark.requirement("B07.FR.13", "B08.FR.16")
async def test_reports_follow_each_other_and_too_many_are_refused(line):
    replies = [
        await line.ask("GetBaseReport", {"requestId": number, "reportBase": "SummaryInventory"})
        for number in range(WAITING + 3)
    ]
    taken = WAITING + 1
    assert [reply["status"] for reply in replies] == ["Accepted"] * taken + ["Rejected"] * 2
    assert (await line.ask("GetReport", {"requestId": 99}))["status"] == "Rejected"
    assert [message[3]["requestId"] for message in line.settle()] == list(range(taken))
    assert await base(line, "SummaryInventory")


async def test_a_report_ends_with_its_connection(line):
    for variable in many(2 * ITEMS):
        line.home.model.add(variable)
    for number in (1, 2):
        await line.ask("GetBaseReport", {"requestId": number, "reportBase": "FullInventory"})
    line.answer(line.expect("NotifyReport"))
    line.expect("NotifyReport")
    line.close()
    line.open()
    assert "NotifyReport" not in {message[2] for message in line.settle()}


async def test_a_part_without_answer_ends_its_report_and_not_the_next(line):
    for variable in many(2 * ITEMS):
        line.home.model.add(variable)
    await line.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    await line.ask("GetBaseReport", {"requestId": 2, "reportBase": "SummaryInventory"})
    line.expect("NotifyReport")
    line.wait(30)
    sent = line.settle()
    assert {message[3]["requestId"] for message in sent} == {2}


async def test_a_part_that_the_csms_fails_to_take_does_not_end_the_report(line):
    for variable in many(2 * ITEMS):
        line.home.model.add(variable)
    await line.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    first = line.expect("NotifyReport")
    line.fail(first, "InternalError")
    assert reported([first, *line.settle()])


# --- any variable -----------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
NUMBERS = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def variables(draw):
    evse = draw(st.none() | st.integers(1, 99))
    connector = None if evse is None else draw(st.none() | st.integers(1, 9))
    characteristics = Characteristics(
        draw(st.sampled_from(DataType)),
        draw(st.none() | st.text(max_size=16)),
        draw(NUMBERS),
        draw(NUMBERS),
        tuple(draw(st.lists(TEXTS, max_size=3))),
        draw(st.booleans()),
    )

    def attribute():
        value = draw(st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.floats() | st.booleans())
        mutability = draw(st.sampled_from(Mutability))
        return Attribute(value, mutability, persistent=draw(st.booleans()), constant=draw(st.booleans()))

    return Variable(
        Component(draw(TEXTS), draw(st.none() | TEXTS), evse, connector),
        draw(TEXTS),
        characteristics,
        attribute(),
        target=draw(st.none() | st.just(attribute())),
        max_set=draw(st.none() | st.just(attribute())),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(variables())
def test_whatever_a_variable_is_its_report_is_valid_and_says_so(variable):
    (message,) = payloads([variable], 1, START, 2500)
    check_payload("NotifyReportRequest", json.loads(message))
    (item,) = NotifyReportRequest.from_json(message).report_data
    assert item.component.name == variable.component.name
    assert item.component.instance == variable.component.instance
    assert (item.component.evse.id if item.component.evse else None) == variable.component.evse
    assert item.variable.name == variable.name.name
    assert [one.type for one in item.variable_attribute] == list(variable.attributes)
    for one in item.variable_attribute:
        attribute = variable.attributes[AttributeType(one.type)]
        assert one.mutability is attribute.mutability
        assert bool(one.persistent) is attribute.persistent
        expected = None if attribute.mutability is Mutability.WRITE_ONLY else attribute.text()[:2500]
        assert one.value == expected
