"""The line to the CSMS: real WebSockets on loopback, cut, refused, swallowed and made anew."""

import asyncio
import json
import logging
import time
from http import HTTPStatus

import pytest

from agent.ocpp import link as line_module
from agent.ocpp.host import ConnectionProfile
from agent.ocpp.link import connection_url, masked
from agent.ocpp.messages.base import ComponentType, VariableType
from agent.ocpp.messages.diagnostics import (
    EventDataType,
    EventNotificationType,
    EventTrigger,
    NotifyEventRequest,
)
from agent.ocpp.variables import (
    BACK_OFF_MINIMUM,
    BACK_OFF_RANDOM,
    HEARTBEAT_INTERVAL,
    MESSAGE_TIMEOUT,
    OFFLINE_THRESHOLD,
    PING_INTERVAL,
)
from tests.ocpp.csms import PASSWORD, Csms, Relay, station
from tests.ocpp.parts import START, Home, boot_answer, until


@pytest.fixture
def home():
    home = Home()
    home.put(BACK_OFF_MINIMUM, 0)
    home.put(BACK_OFF_RANDOM, 1)
    return home


@pytest.fixture
async def csms():
    async with Csms().running() as csms:
        yield csms


def event():
    data = EventDataType(
        event_id=1,
        timestamp=START,
        trigger=EventTrigger.ALERTING,
        actual_value="true",
        event_notification_type=EventNotificationType.HARD_WIRED_NOTIFICATION,
        component=ComponentType(name="RCD"),
        variable=VariableType(name="Problem"),
    )
    return NotifyEventRequest(generated_at=START, seq_no=0, event_data=(data,))


# --- connecting -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "identity", "url"),
    [
        ("ws://csms.example.com/ocpp", "CS001", "ws://csms.example.com/ocpp/CS001"),
        ("wss://csms.example.com/ocppj", "RDAM 123", "wss://csms.example.com/ocppj/RDAM%20123"),
        ("wss://csms.example.com:9000/", "a/b|c", "wss://csms.example.com:9000/a%2Fb%7Cc"),
        ("ws://user:secret@h/x?tenant=1", "CS1", "ws://h/x/CS1?tenant=1"),
        ("ws://h", "CS1", "ws://h/CS1"),
    ],
)
def test_the_identity_is_the_last_part_of_the_path(base, identity, url):
    assert connection_url(ConnectionProfile(base, identity, PASSWORD)) == url


@pytest.mark.requirement("B01.FR.01", "B01.FR.05")
async def test_a_station_connects_boots_and_tells_its_connectors(home, csms):
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        assert csms.paths == ["/ocpp/CS%20001"]
        assert csms.headers[0]["Sec-WebSocket-Protocol"] == "ocpp2.0.1"
        assert [message[2] for message in csms.heard][:2] == ["BootNotification", "StatusNotification"]
        assert link.connected
        assert link.accepted


async def test_a_csms_that_refuses_is_tried_again(home, csms):
    csms.refuse = HTTPStatus.NOT_FOUND
    async with station(home, csms.port) as link:
        await csms.until(lambda: len(csms.paths) >= 2)
        assert not link.connected
        csms.refuse = HTTPStatus.UNAUTHORIZED
        await csms.until(lambda: len(csms.paths) >= 4)
        csms.refuse = None
        await csms.until_call("BootNotification")


async def test_a_csms_that_does_not_speak_ocpp_2_0_1_is_left(home):
    csms = Csms()
    csms.subprotocols = None
    async with csms.running(), station(home, csms.port) as link:
        await csms.until(lambda: csms.opened >= 2)
        assert csms.heard == []
        assert not link.connected


async def test_a_csms_that_is_not_there_yet_is_found_later(home):
    async with Csms().running() as early:
        port = early.port
    async with station(home, port):
        await asyncio.sleep(0.15)
        async with Csms().running(port) as csms:
            await csms.until_call("BootNotification")


async def test_a_proxy_is_used_where_one_is_given(home, csms):
    async with Relay(csms.port, proxy=True).running() as proxy:
        async with station(home, csms.port, proxy=f"http://127.0.0.1:{proxy.port}"):
            await csms.until_call("BootNotification")
        assert proxy.asked == [f"CONNECT 127.0.0.1:{csms.port} HTTP/1.1"]


# --- lost lines -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B04.FR.02")
async def test_after_a_lost_connection_the_station_returns_without_booting_again(home, csms):
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        await csms.connection.close()
        await csms.until(lambda: not link.connected or csms.opened == 2)
        home.statuses[2, 1] = "Occupied"
        link.connector_changed()
        await csms.until_call("Heartbeat")
        assert csms.opened == 2
        assert len(csms.calls("BootNotification")) == 1
        told = csms.calls("StatusNotification")[3:]
        assert [(m["evseId"], m["connectorStatus"]) for m in told] == [(2, "Occupied")]


@pytest.mark.requirement("B04.FR.01")
async def test_after_a_long_offline_period_every_connector_is_told(home, csms):
    home.put(OFFLINE_THRESHOLD, 0)
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        await csms.connection.close()
        await csms.until_call("StatusNotification", 6)


async def test_an_event_of_an_offline_period_is_delivered_afterwards(home, csms):
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        csms.refuse = HTTPStatus.SERVICE_UNAVAILABLE
        await csms.connection.close()
        await csms.until(lambda: len(csms.paths) >= 2)
        link.post(event())
        csms.refuse = None
        await csms.until_call("NotifyEvent")
    assert home.store.rows == {}


async def test_a_line_that_swallows_bytes_is_found_out_by_a_ping(home, csms, monkeypatch):
    monkeypatch.setattr(line_module, "PONG_TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(line_module, "CLOSE_TIMEOUT", 0.1)
    async with Relay(csms.port).running() as relay, station(home, relay.port) as link:
        await csms.until_call("StatusNotification", 3)
        relay.blackhole = True
        home.put(PING_INTERVAL, 1)
        await until(lambda: not link.connected)
        relay.blackhole = False
        await csms.until(lambda: csms.opened == 2)


async def test_without_pings_a_dead_line_is_found_out_by_a_call_without_answer(home, csms, monkeypatch):
    monkeypatch.setattr(line_module, "PONG_TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(line_module, "CLOSE_TIMEOUT", 0.1)
    home.put(PING_INTERVAL, 0)
    home.put(MESSAGE_TIMEOUT, 1)
    async with Relay(csms.port).running() as relay, station(home, relay.port) as link:
        await csms.until_call("StatusNotification", 3)
        relay.blackhole = True
        home.statuses[1, 1] = "Occupied"
        link.connector_changed()
        await until(lambda: not link.connected)


async def test_a_csms_that_answers_pings_and_no_calls_is_left_after_a_while(home, csms):
    home.put(MESSAGE_TIMEOUT, 1)
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        csms.answers["StatusNotification"] = None
        for place in home.statuses:
            home.statuses[place] = "Occupied"
        link.connector_changed()
        await csms.until_call("StatusNotification", 5)
        assert csms.opened == 1
        csms.answers["StatusNotification"] = {}
        await csms.until(lambda: csms.opened == 2)


# --- talking ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("G02.FR.01", "G02.FR.02")
async def test_heartbeats_come_at_the_interval_of_the_boot_answer(home, csms):
    csms.answers["BootNotification"] = boot_answer(interval=1)
    async with station(home, csms.port):
        await csms.until_call("Heartbeat", 2)
        assert home.settings.integer(HEARTBEAT_INTERVAL) == 1


@pytest.mark.requirement("B02.FR.08", "B02.FR.06")
async def test_a_pending_station_boots_again_on_the_same_connection(home, csms):
    csms.answers["BootNotification"] = boot_answer("Pending", 1)
    async with station(home, csms.port) as link:
        await csms.until_call("BootNotification")
        assert (await csms.ask("GetVariables", get("Fuse", "Rating")))["getVariableResult"][0][
            "attributeValue"
        ] == "63"
        assert not link.accepted
        csms.answers["BootNotification"] = boot_answer("Accepted", 300)
        await csms.until_call("StatusNotification", 3)
        assert csms.opened == 1


@pytest.mark.requirement("B03.FR.08")
async def test_a_rejected_station_answers_with_security_errors(home, csms):
    csms.answers["BootNotification"] = boot_answer("Rejected", 1000)
    async with station(home, csms.port):
        await csms.until_call("BootNotification")
        reply = await csms.ask_raw("Reset", {"type": "Immediate"})
        assert (reply[0], reply[2]) == (4, "SecurityError")
        assert home.resets == []


def get(component, variable):
    return {"getVariableData": [{"component": {"name": component}, "variable": {"name": variable}}]}


def set_(component, variable, value):
    address = {"component": {"name": component}, "variable": {"name": variable}}
    return {"setVariableData": [{**address, "attributeValue": value}]}


@pytest.mark.requirement("F06.FR.04", "F06.FR.10")
async def test_the_response_to_a_trigger_goes_before_the_message(home, csms):
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        heard = len(csms.heard)
        assert await csms.ask("TriggerMessage", {"requestedMessage": "Heartbeat"}) == {"status": "Accepted"}
        await csms.until_call("Heartbeat")
        assert [message[0] for message in csms.heard[heard:]] == [3, 2]


@pytest.mark.requirement("B11.FR.03")
async def test_a_reset_is_asked_for_when_its_response_is_on_its_way(home, csms):
    order = []
    home.request_reset = lambda reason: order.append(reason)
    async with station(home, csms.port, observer=lambda way, text: order.append(text[:2]) if way == "out" else None):
        await csms.until_call("StatusNotification", 3)
        await csms.ask("Reset", {"type": "OnIdle"})
        await asyncio.sleep(0)
    assert order[-2:] == ["[3", "RemoteReset"]


async def test_slow_hardware_holds_up_neither_heartbeats_nor_the_order_of_requests(home, csms):
    gate = asyncio.Event()
    home.before_set = gate.wait
    csms.answers["BootNotification"] = boot_answer(interval=1)
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        first = asyncio.create_task(csms.ask("SetVariables", set_("Display", "Text", "new")))
        second = asyncio.create_task(csms.ask("GetVariables", get("Display", "Text")))
        await csms.until_call("Heartbeat", 2)
        assert not first.done() and not second.done()
        gate.set()
        assert (await first)["setVariableResult"][0]["attributeStatus"] == "Accepted"
        assert (await second)["getVariableResult"][0]["attributeValue"] == "new"


async def test_the_station_answers_while_its_own_call_is_outstanding(home, csms):
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        csms.answers["StatusNotification"] = None
        home.statuses[1, 1] = "Occupied"
        link.connector_changed()
        await csms.until_call("StatusNotification", 4)
        assert await csms.ask("GetVariables", get("Fuse", "Rating"))


async def test_a_setting_that_outlives_its_connection_is_finished_and_its_answer_left(home, csms):
    gate, finished = asyncio.Event(), asyncio.Event()

    async def slow():
        await gate.wait()
        finished.set()

    home.before_set = slow
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        lost = asyncio.create_task(csms.ask("SetVariables", set_("Display", "Text", "new")))
        await asyncio.sleep(0.1)
        await csms.connection.close()
        await csms.until(lambda: csms.opened == 2)
        gate.set()
        async with asyncio.timeout(20):
            await finished.wait()
        result = await csms.ask("GetVariables", get("Display", "Text"))
        assert result["getVariableResult"][0]["attributeValue"] == "new"
        lost.cancel()


async def test_a_handler_that_fails_is_an_internal_error_and_no_end(home, csms):
    def broken(*_):
        raise RuntimeError("a mistake")

    home.set_attribute = broken
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        reply = await csms.ask_raw("SetVariables", set_("Display", "Text", "new"))
        assert (reply[0], reply[2]) == (4, "InternalError")
        assert await csms.ask("GetVariables", get("Fuse", "Rating"))


async def test_an_oversize_frame_is_refused_and_the_connection_stays(home, csms):
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        reply = await csms.ask_raw("SetVariables", set_("Display", "Text", "x" * 300_000))
        assert (reply[0], reply[2]) == (4, "FormatViolation")
        assert await csms.ask("GetVariables", get("Fuse", "Rating"))
        assert csms.opened == 1


async def test_a_flood_of_requests_is_answered_without_stopping_anything(home, csms):
    gate = asyncio.Event()
    home.before_set = gate.wait
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        asked = [
            asyncio.create_task(csms.ask_raw("SetVariables", set_("Display", "Text", str(number))))
            for number in range(100)
        ]
        await csms.until(lambda: sum(message[0] == 4 for message in csms.heard) > 50)
        gate.set()
        kinds = [reply[0] for reply in await asyncio.gather(*asked)]
        assert kinds.count(3) >= 10
        assert await csms.ask("GetVariables", get("Fuse", "Rating"))


async def test_a_full_inventory_comes_over_the_line(home, csms):
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        payload = {"requestId": 1, "reportBase": "FullInventory"}
        assert await csms.ask("GetBaseReport", payload) == {"status": "Accepted"}
        await csms.until(lambda: any(not part["tbc"] for part in csms.calls("NotifyReport")))
        assert sum(len(part["reportData"]) for part in csms.calls("NotifyReport")) == len(home.model)


# --- the password -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("A01.FR.01", "A01.FR.02")
async def test_a_new_password_is_used_at_once_on_a_new_connection(home, csms):
    home.put(BACK_OFF_MINIMUM, 1000)
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        csms.password = "another-password-2"
        result = await csms.ask("SetVariables", set_("SecurityCtrlr", "BasicAuthPassword", csms.password))
        assert result["setVariableResult"][0]["attributeStatus"] == "Accepted"
        await csms.until(lambda: csms.opened == 2)


@pytest.mark.requirement("A01.FR.12")
async def test_a_password_is_in_no_log_and_no_observers_frame(home, csms, caplog):
    caplog.set_level(logging.DEBUG)
    seen = []
    async with station(home, csms.port, observer=lambda way, text: seen.append(text)):
        await csms.until_call("StatusNotification", 3)
        csms.password = "another-password-2"
        await csms.ask("SetVariables", set_("SecurityCtrlr", "BasicAuthPassword", csms.password))
        await csms.until(lambda: csms.opened == 2)
    ours = [r for r in caplog.records if r.name.startswith("agent")]
    told = "\n".join([*seen, *(record.getMessage() for record in ours), repr(home.profile)])
    assert "BasicAuthPassword" in told
    assert PASSWORD not in told and csms.password not in told
    assert not any("Authorization" in record.getMessage() for record in ours)


def test_only_values_are_masked():
    frame = json.dumps([2, "1", "SetVariables", set_("SecurityCtrlr", "BasicAuthPassword", 'with "quotes" \\')])
    assert json.loads(masked(frame))[3] == set_("SecurityCtrlr", "BasicAuthPassword", "***")
    other = json.dumps([2, "1", "SetVariables", set_("Display", "Text", "x")])
    assert masked(other) == other


# --- ending -----------------------------------------------------------------------------------------------------


async def test_an_orderly_end_closes_the_connection(home, csms):
    async with station(home, csms.port):
        await csms.until_call("StatusNotification", 3)
        socket = csms.connection
    await socket.wait_closed()
    assert socket.close_code == 1001


async def test_an_end_in_the_middle_of_a_back_off_is_quick(home):
    home.put(BACK_OFF_MINIMUM, 1000)
    began = time.monotonic()
    async with station(home, 1):
        await asyncio.sleep(0.1)
    assert time.monotonic() - began < 10
