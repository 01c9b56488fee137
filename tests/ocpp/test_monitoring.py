"""Monitors as the CSMS sets, clears and asks for them; every frame is held against the official schemas."""

import json

import pytest

from agent.ocpp.handlers import HANDLERS
from agent.ocpp.handling import CallRefused
from agent.ocpp.monitoring_reports import payloads
from agent.ocpp.reports import WAITING
from agent.ocpp.rpc import ErrorCode
from agent.ocpp.variables_monitoring import BASE, COMPONENT, ENABLED, LEVEL, OFFLINE_QUEUING
from tests.ocpp.monitoring_line import FAN, PROBLEM, Watched, data
from tests.ocpp.parts import Line

ITEMS, BYTES = "ItemsPerMessage", "BytesPerMessage"


@pytest.fixture
def station():
    return Watched()


async def refused(line, action, payload):
    """The code of the CALLERROR that the station answers with."""
    call = line.take([2, f"refused-{len(_refused)}", action, payload])
    _refused.append(call)
    with pytest.raises(CallRefused) as caught:
        await HANDLERS[action](line.context, call)
    return caught.value.code


_refused = []


# --- N04 -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
async def test_each_element_gets_its_own_result_in_order(station):
    elements = [
        data(transaction=True),
        {**PROBLEM, "type": "Delta", "value": 1, "severity": 9},
        data("Periodic", 60, 8),
    ]
    results = await station.set(*elements)
    for element, result in zip(elements, results, strict=True):
        assert result["status"] == "Accepted"
        assert {key: result[key] for key in ("component", "variable", "type", "severity")} == {
            key: element[key] for key in ("component", "variable", "type", "severity")
        }
    ids = [one["id"] for one in results]
    assert len(set(ids)) == 3
    assert set(await station.ids()) == {1, 2, *ids}


BAD = {
    "component": ({"component": {"name": "Nothing"}}, "UnknownComponent", None),
    "evse": ({"component": {"name": "RCD", "evse": {"id": 9}}}, "UnknownComponent", None),
    "variable": ({"variable": {"name": "Nothing"}}, "UnknownVariable", None),
    "instance": ({"variable": {"name": "FanSpeed", "instance": "x"}}, "UnknownVariable", None),
    "type": (
        {"component": {"name": "Display"}, "variable": {"name": "Text"}, "type": "LowerThreshold"},
        "UnsupportedMonitorType",
        None,
    ),
    "too high": ({"value": 1000.5}, "Rejected", "ValueOutOfRange"),
    "too low": ({"type": "LowerThreshold", "value": -0.5}, "Rejected", "ValueOutOfRange"),
    "negative delta": ({"type": "Delta", "value": -1}, "Rejected", "ValueOutOfRange"),
    "interval": ({"type": "Periodic", "value": 0}, "Rejected", "ValueOutOfRange"),
    "severity above": ({"severity": 10}, "Rejected", "ValueOutOfRange"),
    "severity below": ({"severity": -1}, "Rejected", "ValueOutOfRange"),
    "id": ({"id": 4711}, "Rejected", "NotFound"),
    "id of another variable": ({**PROBLEM, "type": "Delta", "id": 2}, "Rejected", "InvalidValue"),
    "hard-wired": (
        {"component": {"name": "RCD", "evse": {"id": 1}}, "variable": {"name": "Tripped"}, "type": "Delta", "id": 1},
        "Rejected",
        "UnsupportedRequest",
    ),
    "duplicate": ({"severity": 3}, "Duplicate", None),
}


@pytest.mark.requirement(
    "N04.FR.03", "N04.FR.04", "N04.FR.05", "N04.FR.06", "N04.FR.10", "N04.FR.13", "N04.FR.14", "N04.FR.16"
)
@pytest.mark.requirement("N04.FR.18")
@pytest.mark.parametrize("case", BAD)
async def test_what_is_wrong_with_one_element_leaves_the_others_untouched(station, case):
    changes, status, reason = BAD[case]
    before = await station.report()
    first, bad, last = await station.set(data(severity=7), data() | changes, data("LowerThreshold", 10))
    assert bad["status"] == status
    assert bad.get("statusInfo", {}).get("reasonCode") == reason
    assert "id" not in bad
    assert first["status"] == last["status"] == "Accepted"
    assert [one["status"] for one in await station.clear(first["id"], last["id"])] == ["Accepted"] * 2
    assert await station.report() == before


@pytest.mark.requirement("N04.FR.12", "N04.FR.15")
async def test_an_id_replaces_that_monitor_and_makes_it_custom(station):
    (result,) = await station.set(data(value=700, severity=4, id=2))
    assert (result["status"], result["id"]) == ("Accepted", 2)
    (item,) = await station.report(componentVariable=[FAN])
    assert item["variableMonitoring"] == [
        {"id": 2, "transaction": False, "value": 700.0, "type": "UpperThreshold", "severity": 4}
    ]


@pytest.mark.requirement("N04.FR.09")
async def test_too_many_elements_or_bytes_are_refused_as_a_whole(station):
    station.home.put((COMPONENT, ITEMS, "SetVariableMonitoring"), 2)
    assert len(await station.set(data(), data("LowerThreshold"))) == 2
    payload = {"setMonitoringData": [data(severity=one) for one in range(3)]}
    assert await refused(station.line, "SetVariableMonitoring", payload) is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    station.home.put((COMPONENT, BYTES, "SetVariableMonitoring"), 100)
    payload = {"setMonitoringData": [data(severity=1)]}
    assert await refused(station.line, "SetVariableMonitoring", payload) is ErrorCode.FORMAT_VIOLATION


async def test_what_the_disk_does_not_take_is_rejected_and_gone(station):
    before = await station.report()
    station.home.store.broken = True
    good, bad = await station.set(data(value=100), data(severity=11))
    assert (good["status"], good["statusInfo"]["reasonCode"]) == ("Rejected", "InternalError")
    assert bad["statusInfo"]["reasonCode"] == "ValueOutOfRange"
    assert station.fired == []  # 312.5 exceeds the 100 that never were
    station.home.store.broken = False
    assert await station.report() == before


# --- N06 -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N06.FR.01", "N06.FR.02", "N06.FR.03", "N06.FR.05")
async def test_each_id_to_clear_gets_its_own_result_in_order(station):
    (custom,) = await station.set(data())
    ids = [custom["id"], 4711, 1, 2, custom["id"]]
    results = await station.clear(*ids)
    assert [one["id"] for one in results] == ids
    assert [one["status"] for one in results] == ["Accepted", "NotFound", "Rejected", "Accepted", "NotFound"]
    assert await station.ids() == [1]


@pytest.mark.requirement("N06.FR.04", "N06.FR.06", "N06.FR.07")
async def test_too_many_ids_or_bytes_are_refused_as_a_whole(station):
    station.home.put((COMPONENT, ITEMS, "ClearVariableMonitoring"), 2)
    code = await refused(station.line, "ClearVariableMonitoring", {"id": [2, 3, 4]})
    assert code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    station.home.put((COMPONENT, BYTES, "ClearVariableMonitoring"), 40)
    code = await refused(station.line, "ClearVariableMonitoring", {"id": [2**31 - 1, 2]})
    assert code is ErrorCode.FORMAT_VIOLATION
    assert set(await station.ids()) == {1, 2}


async def test_a_clear_that_cannot_be_stored_is_rejected_and_undone(station):
    station.home.store.broken = True
    assert [one["status"] for one in await station.clear(2, 4711)] == ["Rejected", "NotFound"]
    station.home.store.broken = False
    assert set(await station.ids()) == {1, 2}


# --- N03, N05 ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N03.FR.01", "N03.FR.05")
async def test_a_base_is_accepted_and_shown(station):
    await station.set(data())
    reply = await station.line.ask("SetMonitoringBase", {"monitoringBase": "HardWiredOnly"})
    assert reply == {"status": "Accepted"}
    assert await station.ids() == [1]
    assert [station.value(path) for path in BASE] == ["HardWiredOnly"] * 2


@pytest.mark.requirement("N05.FR.01", "N05.FR.02")
async def test_a_level_is_accepted_and_shown_and_none_beyond_nine(station):
    assert await station.line.ask("SetMonitoringLevel", {"severity": 4}) == {"status": "Accepted"}
    for severity in (-1, 10):
        reply = await station.line.ask("SetMonitoringLevel", {"severity": severity})
        assert (reply["status"], reply["statusInfo"]["reasonCode"]) == ("Rejected", "ValueOutOfRange")
    assert [station.value(path) for path in LEVEL] == [4, 4]


async def test_base_and_level_that_cannot_be_stored_stay_as_they_were(station):
    station.home.store.broken = True
    for action, payload in (
        ("SetMonitoringBase", {"monitoringBase": "HardWiredOnly"}),
        ("SetMonitoringLevel", {"severity": 1}),
    ):
        reply = await station.line.ask(action, payload)
        assert (reply["status"], reply["statusInfo"]["reasonCode"]) == ("Rejected", "InternalError")
    assert [station.value(path) for path in (*BASE, *LEVEL)] == ["All", "All", 9, 9]
    assert set(await station.ids()) == {1, 2}


# --- N02 -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.11")
async def test_the_monitors_of_one_variable_are_one_item(station):
    await station.set(data(), data("Delta", 10, transaction=True))
    items = await station.report(request_id=42)
    assert [(item["component"], item["variable"], len(item["variableMonitoring"])) for item in items] == [
        ({"name": "RCD", "evse": {"id": 1}}, {"name": "Tripped"}, 1),
        (FAN["component"], FAN["variable"], 3),
    ]
    assert [one["transaction"] for one in items[1]["variableMonitoring"]] == [False, False, True]


@pytest.mark.requirement("N02.FR.05", "N02.FR.06", "N02.FR.08", "N02.FR.20")
async def test_criteria_and_places_choose(station):
    other = {"component": {"name": "AirCoolingSystem", "instance": "2"}, "variable": {"name": "FanSpeed"}}
    (second,) = await station.set({**data("Delta", 5), **other})
    assert await station.ids(monitoringCriteria=["ThresholdMonitoring"]) == [2]
    assert await station.ids(componentVariable=[other]) == [second["id"]]
    assert await station.ids(componentVariable=[{"component": {"name": "RCD"}}]) == [1]
    both = {"monitoringCriteria": ["DeltaMonitoring"], "componentVariable": [{"component": FAN["component"]}]}
    assert await station.ids(**both) == [second["id"]]


@pytest.mark.requirement("N02.FR.09")
async def test_a_long_report_is_cut_into_messages(station):
    plain = {"type": "Delta", "value": 1}
    model = station.home.model
    places = [
        {
            "component": {"name": "EVSE", "evse": {"id": one.component.evse}},
            "variable": {"name": one.name.name},
        }
        for one in model.variables()
        if one.component.name == "EVSE"
    ]
    for severity in range(10):
        await station.set(*({**plain, **place, "severity": severity} for place in places))
    parts = [json.loads(one) for one in payloads(station.desk.report(), 3, station.home.clock.now(), max_items=2)]
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {len(part["monitor"]) for part in parts} <= {1, 2}
    assert len(parts) > 3
    by_bytes = list(payloads(station.desk.report(), 3, station.home.clock.now(), max_bytes=2_000))
    assert max(map(len, by_bytes)) <= 2_000
    assert sum(len(json.loads(one)["monitor"]) for one in by_bytes) == sum(len(one["monitor"]) for one in parts)


@pytest.mark.requirement("N02.FR.10")
async def test_nothing_that_matches_is_an_empty_result_set(station):
    for criteria in (
        {"monitoringCriteria": ["PeriodicMonitoring"]},
        {"componentVariable": [{"component": {"name": "Nothing"}}]},
    ):
        reply = await station.line.ask("GetMonitoringReport", {"requestId": 1, **criteria})
        assert reply == {"status": "EmptyResultSet"}
    assert station.line.settle() == []


@pytest.mark.requirement("N02.FR.07")
async def test_places_are_limited_as_in_get_report(station):
    station.home.put(("DeviceDataCtrlr", ITEMS, "GetReport"), 1)
    payload = {"requestId": 1, "componentVariable": [FAN, PROBLEM]}
    code = await refused(station.line, "GetMonitoringReport", payload)
    assert code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION


async def test_reports_of_variables_and_monitors_wait_for_each_other(station):
    ask = station.line.ask
    for number in range(WAITING + 1):
        action, more = ("GetMonitoringReport", {}) if number % 2 else ("GetReport", {"componentVariable": [FAN]})
        assert (await ask(action, {"requestId": number, **more}))["status"] == "Accepted"
    reply = await ask("GetMonitoringReport", {"requestId": 99})
    assert reply["status"] == "Rejected"
    sent = [(message[2], message[3]["requestId"]) for message in station.line.settle()]
    assert sent == [(("NotifyReport", "NotifyMonitoringReport")[one % 2], one) for one in range(WAITING + 1)]


# --- a station without monitors ------------------------------------------------------------------------------------


@pytest.mark.requirement("N02.FR.02", "N03.FR.02")
async def test_a_station_without_monitors_supports_none_of_it():
    line = Line().open()
    line.boot()
    line.settle()
    assert await line.ask("GetMonitoringReport", {"requestId": 1}) == {"status": "NotSupported"}
    assert await line.ask("SetMonitoringBase", {"monitoringBase": "All"}) == {"status": "NotSupported"}
    for action, payload in (
        ("SetVariableMonitoring", {"setMonitoringData": [data()]}),
        ("ClearVariableMonitoring", {"id": [1]}),
        ("SetMonitoringLevel", {"severity": 1}),
    ):
        assert await refused(line, action, payload) is ErrorCode.NOT_SUPPORTED


# --- MonitoringCtrlr -----------------------------------------------------------------------------------------------


async def test_the_controller_switches_monitors_on_and_off(station):
    station.home.put(ENABLED, False)
    station.read(950)
    assert station.fired == []
    station.home.put(ENABLED, True)
    assert [one.actual for one in station.fired] == ["950"]


@pytest.mark.requirement("N07.FR.04")
async def test_the_controller_says_which_severities_count_offline(station):
    station.desk.online(False)
    station.home.put(OFFLINE_QUEUING, 2)
    station.read(950)
    assert station.fired == []  # a severity of 3
    station.home.put(OFFLINE_QUEUING, 3)
    assert [one.severity for one in station.fired] == [3]
