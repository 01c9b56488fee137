"""Part 5, Core: logs that are uploaded and what is known of customers (part 2, N01, N09, N10), and what
TriggerMessage says of an upload; Advanced Device Management: custom reports (B08).

A log goes to a web server of the test, through the bench's proxy. Not here: TC_N_62, TC_N_63 (NOT C-14, NOT ISO-4).
"""

import asyncio
import gzip
import io
import json
import tarfile
from typing import Any

import pytest

from tests.certification.parts import CARD, OTHER, THIRD, Stand, listed, never, token, until
from tests.certification.parts2 import named, report, reserve, settled, trigger
from tests.certification.parts4 import customer, depot, log_request, log_status, statuses

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE = ["Uploading", "Uploaded"]


# --- N01: logs ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N01.FR.01", "N01.FR.02", "N01.FR.04", "N01.FR.07", "N01.FR.08", "N01.FR.09", "N01.FR.14")
async def test_tc_n_25_diagnostics_log_success(stand: Stand) -> None:
    since = stand.station.last
    with depot() as server:
        answer = await stand.call("GetLog", log_request(1, server.url()))
        assert answer["status"] == "Accepted"
        await log_status(stand, 1, "Uploaded", since)
    assert statuses(stand, 1, since) == DONE
    [(path, body)] = server.got
    assert path == f"/logs/{answer['filename']}"
    with tarfile.open(fileobj=io.BytesIO(body)) as bundle:
        found = {one.name: bundle.extractfile(one) for one in bundle}
        contents = {name: file.read().decode() for name, file in found.items() if file is not None}
    wanted = {"versions.json", "model.jsonl", "buses.json", "messages.jsonl", "journal.log", "board/bench-ac.yaml"}
    assert wanted <= contents.keys()
    assert json.loads(contents["versions.json"])
    model = [json.loads(line) for line in contents["model.jsonl"].splitlines()]
    assert len(model) > 100
    assert "SetVariables" in contents["messages.jsonl"]
    assert not [name for name, content in contents.items() if stand.bench.password in content]


@pytest.mark.requirement("N01.FR.10")
async def test_tc_n_26_diagnostics_log_upload_failed(stand: Stand) -> None:
    since = stand.station.last
    with depot() as server:
        server.status = 404
        request = log_request(2, server.url("/nowhere/log"), retries=3, retryInterval=1)
        assert (await stand.call("GetLog", request))["status"] == "Accepted"
        await log_status(stand, 2, "UploadFailure", since, 30)
        await never(lambda: server.asked > 4, "one attempt more", 2)
        assert server.asked == 4
    said = statuses(stand, 2, since)
    assert said.count("Uploading") in (1, 4)
    assert said.count("UploadFailure") in (1, 4)
    assert len(said) == said.count("Uploading") + said.count("UploadFailure")


@pytest.mark.requirement("N01.FR.10")
async def test_a_place_that_does_not_exist_is_an_upload_that_failed(stand: Stand) -> None:
    since = stand.station.last
    with depot() as server:
        url = server.url()
    assert (await stand.call("GetLog", log_request(3, url, retries=0)))["status"] == "Accepted"
    await log_status(stand, 3, "UploadFailure", since)


@pytest.mark.requirement("N01.FR.01", "N01.FR.03", "N01.FR.07", "N01.FR.08", "N01.FR.09")
async def test_tc_n_35_security_log_success(stand: Stand) -> None:
    since = stand.station.last
    with depot() as server:
        answer = await stand.call("GetLog", log_request(4, server.url(), "SecurityLog"))
        assert answer["status"] == "Accepted"
        await log_status(stand, 4, "Uploaded", since)
    assert statuses(stand, 4, since) == DONE
    [(path, body)] = server.got
    assert path == f"/logs/{answer['filename']}"
    assert "StartupOfTheDevice" in gzip.decompress(body).decode()


@pytest.mark.requirement("A04.FR.01", "A04.FR.04")
async def test_a_start_is_told_and_in_the_security_log(stand: Stand) -> None:
    since = stand.station.last
    await stand.boot("Reset")
    event = await stand.station.wait_for("SecurityEventNotification", since=since)
    assert event["type"] == "ResetOrReboot"
    with depot() as server:
        assert (await stand.call("GetLog", log_request(8, server.url(), "SecurityLog")))["status"] == "Accepted"
        await log_status(stand, 8, "Uploaded", since)
    assert "ResetOrReboot" in gzip.decompress(server.got[0][1]).decode()


@pytest.mark.requirement("N01.FR.07", "N01.FR.12", "N01.FR.20")
@pytest.mark.parametrize("kind", ["DiagnosticsLog", "SecurityLog"])
async def test_tc_n_36_second_request(stand: Stand, kind: str) -> None:
    since = stand.station.last
    with depot() as slow, depot() as server:
        slow.go_on.clear()
        assert (await stand.call("GetLog", log_request(5, slow.url(), kind)))["status"] == "Accepted"
        await log_status(stand, 5, "Uploading", since)
        await until(lambda: slow.asked, "the first log comes")
        answer = await stand.call("GetLog", log_request(6, server.url(), kind))
        assert answer["status"] == "AcceptedCanceled"
        await log_status(stand, 6, "Uploaded", since)
    assert statuses(stand, 5, since) == ["Uploading", "AcceptedCanceled"]
    assert statuses(stand, 6, since) == DONE
    assert [path for path, _ in server.got] == [f"/logs/{answer['filename']}"]


@pytest.mark.requirement("F06.FR.15", "N01.FR.13")
async def test_tc_f_15_log_status_notification_idle(stand: Stand) -> None:
    since = stand.station.last
    assert await trigger(stand, "LogStatusNotification") == "Accepted"
    assert await stand.station.wait_for("LogStatusNotification", since=since) == {"status": "Idle"}


@pytest.mark.requirement("F06.FR.14")
async def test_tc_f_16_log_status_notification_uploading(stand: Stand) -> None:
    since = stand.station.last
    with depot() as server:
        server.go_on.clear()
        assert (await stand.call("GetLog", log_request(7, server.url())))["status"] == "Accepted"
        await log_status(stand, 7, "Uploading", since)
        await until(lambda: server.asked, "the log comes")
        again = stand.station.last
        assert await trigger(stand, "LogStatusNotification") == "Accepted"
        await log_status(stand, 7, "Uploading", again)
        server.go_on.set()
        await log_status(stand, 7, "Uploaded", again)
    assert statuses(stand, 7, since) == ["Uploading", *DONE]


# --- N09: what is known of a customer ----------------------------------------------------------------------------


async def _known(stand: Stand, number: str = CARD) -> list[dict[str, Any]]:
    """What a report tells of a token; nothing where it says that nothing was found."""
    _, text = await customer(stand, True, False, idToken=token(number))
    assert text
    return [json.loads(line) for line in text.splitlines()] if text.startswith("{") else []


def _kept(records: list[dict[str, Any]]) -> set[str]:
    return {str(one["kept"]) for one in records}


@pytest.mark.requirement("N09.FR.02", "N09.FR.05")
async def test_tc_n_27_get_customer_information_accepted_and_data(stand: Stand) -> None:
    await stand.remember(CARD, group="GROUP-1")
    await stand.send_list([listed(CARD), listed(OTHER)])
    found = await _known(stand)
    assert _kept(found) == {"authorization cache", "local authorization list"}
    assert "GROUP-1" in json.dumps(found)
    assert OTHER not in json.dumps(found)


@pytest.mark.requirement("N09.FR.02", "N09.FR.06")
async def test_tc_n_28_get_customer_information_accepted_and_no_data(stand: Stand) -> None:
    await stand.remember(CARD)
    since = stand.station.last
    assert await _known(stand, OTHER) == []
    await settled(stand)
    assert len(stand.station.calls("NotifyCustomerInformation", since)) == 1


@pytest.mark.requirement("N09.FR.07", "N10.FR.07")
async def test_neither_report_nor_clear_is_rejected(stand: Stand) -> None:
    request = {"requestId": 1, "report": False, "clear": False, "idToken": token()}
    assert (await stand.call("CustomerInformation", request))["status"] == "Rejected"


@pytest.mark.requirement("N09.FR.09")
@pytest.mark.parametrize("whom", [{}, {"idToken": token(), "customerIdentifier": "4711"}])
async def test_not_exactly_one_customer_is_invalid(stand: Stand, whom: dict[str, Any]) -> None:
    request = {"requestId": 1, "report": True, "clear": False, **whom}
    assert (await stand.call("CustomerInformation", request))["status"] == "Invalid"


# --- N10: forgetting a customer ----------------------------------------------------------------------------------


@pytest.mark.requirement("N10.FR.01", "N10.FR.03")
async def test_tc_n_30_clear_and_report_and_data(stand: Stand) -> None:
    await stand.remember(CARD, OTHER)
    await stand.send_list([listed(CARD)])
    assert await reserve(stand, CARD, stand.evse, reservation=7) == "Accepted"
    await stand.status("Reserved")
    _, text = await customer(stand, True, True, idToken=token())
    records = [json.loads(line) for line in text.splitlines()]
    assert _kept(records) == {"authorization cache", "local authorization list", "reservation"}
    assert _kept(await _known(stand)) == {"local authorization list"}
    assert _kept(await _known(stand, OTHER)) == {"authorization cache"}
    await stand.status("Available", since=stand.since)


@pytest.mark.requirement("N10.FR.01", "N10.FR.04")
async def test_tc_n_31_clear_and_report_and_no_data(stand: Stand) -> None:
    await stand.remember(CARD)
    since = stand.station.last
    _, text = await customer(stand, True, True, idToken=token(THIRD))
    assert text
    assert not text.startswith("{")
    await settled(stand)
    assert len(stand.station.calls("NotifyCustomerInformation", since)) == 1
    assert _kept(await _known(stand)) == {"authorization cache"}


@pytest.mark.requirement("N10.FR.01", "N10.FR.06")
async def test_tc_n_32_clear_and_no_report(stand: Stand) -> None:
    await stand.remember(CARD)
    since = stand.station.last
    _, text = await customer(stand, False, True, idToken=token())
    assert CARD not in text
    await settled(stand)
    assert len(stand.station.calls("NotifyCustomerInformation", since)) == 1
    assert await _known(stand) == []


@pytest.mark.requirement("N10.FR.05")
async def test_a_customer_who_charges_is_not_forgotten(stand: Stand) -> None:
    number = await stand.charge()
    request = {"requestId": 1, "report": True, "clear": True, "idToken": token()}
    assert (await stand.call("CustomerInformation", request))["status"] == "Rejected"
    assert stand.running() == [number]


# --- B08: custom reports -----------------------------------------------------------------------------------------


def _places(found: list[dict[str, Any]]) -> set[tuple[str, str | None, int | None, str, str | None]]:
    """(Component, instance, EVSE id, variable, instance) of what is reported."""
    return {
        (
            one["component"]["name"],
            one["component"].get("instance"),
            one["component"].get("evse", {}).get("id"),
            one["variable"]["name"],
            one["variable"].get("instance"),
        )
        for one in found
    }


async def _custom(stand: Stand, *criteria: str, places: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    request: dict[str, Any] = {}
    if criteria:
        request["componentCriteria"] = list(criteria)
    if places is not None:
        request["componentVariable"] = places
    return await report(stand, "GetReport", request)


@pytest.mark.requirement("B08.FR.01", "B08.FR.03", "B08.FR.09", "B08.FR.10")
async def test_tc_b_16_get_custom_report_with_component_criteria(stand: Stand) -> None:
    enabled = {one[0] for one in _places(await _custom(stand, "Enabled"))}
    assert {"AuthCtrlr", "AuthCacheCtrlr", "MonitoringCtrlr", "LocalAuthListCtrlr"} <= enabled
    await stand.set({"AuthCacheCtrlr.Enabled": "false"})
    assert "AuthCacheCtrlr" not in {one[0] for one in _places(await _custom(stand, "Enabled"))}
    stand.bench.world.hold("rcd-1", "tripped", True)
    try:
        async with asyncio.timeout(10):
            await stand.status("Faulted", 1, 1)
        problems = {(one[0], one[2]) for one in _places(await _custom(stand, "Problem"))}
    finally:
        stand.bench.world.release("rcd-1", "tripped")
    assert ("Connector", 1) in problems
    assert ("Connector", 2) not in problems


@pytest.mark.requirement("B08.FR.01", "B08.FR.03", "B08.FR.11", "B08.FR.12")
async def test_tc_b_17_get_custom_report_with_component_variable(stand: Stand) -> None:
    [found] = await _custom(stand, places=[named("AuthCtrlr", "AuthorizeRemoteStart")])
    assert found["component"] == {"name": "AuthCtrlr"}
    assert found["variable"] == {"name": "AuthorizeRemoteStart"}
    assert [one["value"] for one in found["variableAttribute"]] == ["true"]
    assert found["variableCharacteristics"]["dataType"] == "boolean"


@pytest.mark.requirement("B08.FR.05")
async def test_tc_b_18_get_custom_report_with_component_criteria_and_component_variables(stand: Stand) -> None:
    places = [named("AuthCacheCtrlr", "LifeTime"), named("AuthCtrlr", "Enabled")]
    await stand.set({"AuthCacheCtrlr.Enabled": "false"})
    found = _places(await _custom(stand, "Enabled", places=places))
    assert found == {("AuthCtrlr", None, None, "Enabled", None)}


@pytest.mark.requirement("B08.FR.21")
async def test_tc_b_54_get_custom_report_with_component_variable_but_no_instance(stand: Stand) -> None:
    found = _places(await _custom(stand, places=[named("DeviceDataCtrlr", "ItemsPerMessage")]))
    instances = ("GetReport", "GetVariables", "SetVariables")
    assert found == {("DeviceDataCtrlr", None, None, "ItemsPerMessage", one) for one in instances}


@pytest.mark.requirement("B08.FR.11")
async def test_tc_b_55_get_custom_report_with_component_variable_instance(stand: Stand) -> None:
    found = _places(await _custom(stand, places=[named("DeviceDataCtrlr", "ItemsPerMessage", instance="GetReport")]))
    assert found == {("DeviceDataCtrlr", None, None, "ItemsPerMessage", "GetReport")}


@pytest.mark.requirement("B08.FR.23")
async def test_tc_b_56_get_custom_report_with_component_variable_but_no_evse_id(stand: Stand) -> None:
    found = await _custom(stand, places=[named("EVSE", "AvailabilityState")])
    assert {(one[2], one[3]) for one in _places(found)} == {(1, "AvailabilityState"), (2, "AvailabilityState")}
