"""The session: what is sent in which state, with a clock that the test moves."""

import inspect
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from agent.ocpp.availability import Statuses
from agent.ocpp.handlers import HANDLERS
from agent.ocpp.messages import FROM_CSMS
from agent.ocpp.messages.boot import RegistrationStatus
from agent.ocpp.session import SENDABLE, BackOff, Kind
from agent.ocpp.variables import (
    BACK_OFF_MINIMUM,
    BACK_OFF_RANDOM,
    BACK_OFF_REPEATS,
    HEARTBEAT_INTERVAL,
    MESSAGE_TIMEOUT,
    OFFLINE_THRESHOLD,
    TIME_SOURCE,
)
from tests.ocpp.parts import Home, Line, boot_answer


def statuses(messages):
    return [(m[3]["evseId"], m[3]["connectorId"], m[3]["connectorStatus"]) for m in messages]


ALL = [(1, 1, "Available"), (1, 2, "Available"), (2, 1, "Available")]


@pytest.fixture
def line():
    return Line().open()


@pytest.fixture
def accepted(line):
    line.boot()
    line.settle()
    return line


def test_every_call_that_the_framing_accepts_has_a_handler():
    assert HANDLERS.keys() == FROM_CSMS.keys()
    assert all(inspect.iscoroutinefunction(handler) for handler in HANDLERS.values())


def test_what_a_start_does_not_need_is_imported_later():
    """What answers CALLs comes with the first of them, or with `load`; before, it costs no start-up time."""
    show = "print(*(name for name in sys.modules if name.startswith('agent.ocpp.')))"
    program = f"import sys, agent.station; {show}; from agent.ocpp.handlers import load; load(); {show}"
    start, later = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    rooms = {"local_list", "provisioning", "remote_control", "reservation"}
    rooms = {f"agent.ocpp.{name}" for name in rooms} | {f"agent.ocpp.messages.{name}" for name in rooms}
    assert not rooms & set(start.split())
    assert rooms <= set(later.split())


def test_every_state_of_registration_says_what_may_be_sent():
    assert SENDABLE.keys() == {None, *RegistrationStatus}


# --- booting ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("B01.FR.01", "B01.FR.09")
def test_the_first_message_is_a_boot_notification_with_the_reason(line):
    payload = line.expect("BootNotification")[3]
    assert payload == {
        "chargingStation": {
            "model": "AC-22",
            "vendorName": "Acme",
            "serialNumber": "0001",
            "firmwareVersion": "0.1.0",
        },
        "reason": "PowerUp",
    }


@pytest.mark.requirement("B01.FR.05", "B01.FR.08")
def test_once_accepted_the_status_of_every_connector_is_sent_and_not_before(line):
    line.home.statuses[2, 1] = "Faulted"
    line.session.statuses.look()
    boot = line.expect("BootNotification")
    assert line.out() is None
    line.answer(boot)
    assert statuses(line.settle()) == [(1, 1, "Available"), (1, 2, "Available"), (2, 1, "Faulted")]


@pytest.mark.requirement("B01.FR.04", "G02.FR.01")
def test_the_interval_of_an_accepted_boot_is_the_heartbeat_interval(line):
    line.boot(interval=77)
    assert line.home.settings.integer(HEARTBEAT_INTERVAL) == 77


@pytest.mark.requirement("B01.FR.04")
def test_an_interval_of_zero_leaves_the_heartbeat_interval_as_it_was(line):
    line.boot(interval=0)
    assert line.home.settings.integer(HEARTBEAT_INTERVAL) == 300


@pytest.mark.requirement("B01.FR.06")
@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
def test_the_clock_is_set_by_the_boot_notifications_answer(line, status):
    line.answer(line.expect("BootNotification"), boot_answer(status, 10, "2026-06-01T00:00:00Z"))
    assert line.clock.now() == datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.requirement("B01.FR.06")
def test_the_clock_is_left_alone_where_heartbeats_are_no_time_source(line):
    line.home.put(TIME_SOURCE, "RealTimeClock")
    line.boot()
    assert line.clock.corrections == []


@pytest.mark.requirement("B02.FR.02", "B02.FR.04", "B02.FR.08")
def test_while_pending_nothing_is_sent_before_the_interval_is_over(line):
    line.boot("Pending", 20)
    line.session.statuses.look()
    line.wait(19.9)
    assert line.out() is None
    line.wait(0.2)
    line.boot("Accepted")
    assert statuses(line.settle()) == ALL


@pytest.mark.requirement("B02.FR.01", "B02.FR.02")
async def test_while_pending_the_csms_may_ask_for_a_report(line):
    line.boot("Pending", 1000)
    reply = await line.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    assert reply == {"status": "Accepted"}
    assert {message[2] for message in line.settle()} == {"NotifyReport"}


@pytest.mark.requirement("B02.FR.02", "B02.FR.04")
async def test_while_pending_the_csms_may_trigger_messages(line):
    line.boot("Pending", 1000)
    for trigger in ("Heartbeat", "BootNotification"):
        reply = await line.ask("TriggerMessage", {"requestedMessage": trigger})
        assert reply == {"status": "Accepted"}
        message = line.expect(trigger)
        line.answer(message, None if trigger == "Heartbeat" else boot_answer("Pending", 50))
    assert message[3]["reason"] == "Triggered"
    line.wait(49)
    assert line.out() is None
    line.wait(2)
    assert line.expect("BootNotification")[3]["reason"] == "PowerUp"


@pytest.mark.requirement("B03.FR.02", "B03.FR.06")
def test_while_rejected_nothing_is_sent_before_the_interval_is_over(line):
    line.boot("Rejected", 20)
    line.wait(19)
    assert line.out() is None
    line.wait(2)
    line.boot("Accepted")


@pytest.mark.requirement("B03.FR.08")
@pytest.mark.parametrize("action", ["GetVariables", "Reset", "NoSuchAction", "SetChargingProfile"])
def test_while_rejected_every_call_is_answered_with_a_security_error(line, action):
    line.boot("Rejected", 20)
    reply = json.loads(line.take([2, "77", action, {"type": "Immediate"}]))
    assert reply[:3] == [4, "77", "SecurityError"]
    assert line.home.resets == []


@pytest.mark.requirement("B02.FR.07", "B03.FR.05")
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_without_an_interval_the_station_waits_for_one_of_its_own(line, status):
    line.boot(status, 0)
    line.wait(34.9)
    assert line.out() is None
    line.wait(0.2)
    line.expect("BootNotification")


@pytest.mark.requirement("B01.FR.01")
def test_a_boot_notification_without_answer_is_sent_again_after_a_while(line):
    line.home.put(MESSAGE_TIMEOUT, 10)
    first = line.expect("BootNotification")
    line.wait(10)
    assert line.out() is None
    line.wait(34)
    assert line.out() is None
    line.wait(2)
    again = line.expect("BootNotification")
    assert again[1] != first[1]
    line.answer(again)
    assert line.session.accepted


def test_a_boot_notification_that_fails_is_sent_again_after_a_while(line):
    line.fail(line.expect("BootNotification"), "InternalError")
    assert line.out() is None
    line.wait(36)
    line.expect("BootNotification")


def test_a_boot_notification_lost_with_the_line_is_sent_on_the_next_one(line):
    line.expect("BootNotification")
    line.close()
    line.wait(3)
    line.open()
    line.expect("BootNotification")


@pytest.mark.requirement("B02.FR.04")
def test_a_new_connection_does_not_shorten_the_interval(line):
    line.boot("Pending", 100)
    line.close()
    line.wait(5)
    line.open()
    assert line.out() is None
    line.wait(96)
    line.expect("BootNotification")


# --- back-off ---------------------------------------------------------------------------------------------------


def test_the_back_off_doubles_so_many_times_and_begins_anew_after_a_connection(line):
    line.home.put(BACK_OFF_MINIMUM, 3)
    line.home.put(BACK_OFF_REPEATS, 2)
    line.home.put(BACK_OFF_RANDOM, 0)
    back_off = BackOff(line.home.settings, lambda: 0.9)
    assert [back_off.next() for _ in range(5)] == [3, 6, 12, 12, 12]
    back_off.reset()
    assert back_off.next() == 3


def test_each_back_off_has_a_random_part_of_its_own(line):
    line.home.put(BACK_OFF_MINIMUM, 2)
    line.home.put(BACK_OFF_REPEATS, 5)
    line.home.put(BACK_OFF_RANDOM, 10)
    numbers = iter([0.1, 0.5, 1.0])
    back_off = BackOff(line.home.settings, lambda: next(numbers))
    assert [back_off.next() for _ in range(3)] == [3, 9, 18]


# --- being offline ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("B04.FR.01")
def test_after_a_long_offline_period_every_connector_is_told(accepted):
    accepted.home.put(OFFLINE_THRESHOLD, 60)
    accepted.close()
    accepted.wait(61)
    accepted.open()
    sent = accepted.settle()
    assert statuses(sent[:3]) == ALL
    assert [message[2] for message in sent[3:]] == ["Heartbeat"]


@pytest.mark.requirement("B04.FR.02")
def test_after_a_short_offline_period_only_what_changed_is_told(accepted):
    accepted.home.put(OFFLINE_THRESHOLD, 60)
    accepted.close()
    accepted.wait(30)
    accepted.home.statuses[1, 2] = "Occupied"
    accepted.session.statuses.look()
    changed = accepted.clock.now()
    accepted.wait(30)
    accepted.open()
    sent = accepted.settle()
    assert [message[2] for message in sent] == ["StatusNotification", "Heartbeat"]
    assert statuses(sent[:1]) == [(1, 2, "Occupied")]
    assert sent[0][3]["timestamp"] == changed.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.requirement("B04.FR.02")
def test_a_connector_that_changed_and_came_back_while_offline_is_told_too(accepted):
    accepted.close()
    for status in ("Occupied", "Available"):
        accepted.home.statuses[1, 1] = status
        accepted.session.statuses.look()
    accepted.open()
    assert statuses(accepted.settle()[:1]) == [(1, 1, "Available")]


def test_a_station_that_was_accepted_sends_no_boot_notification_on_a_new_connection(accepted):
    accepted.close()
    accepted.wait(1000)
    accepted.open()
    assert "BootNotification" not in {message[2] for message in accepted.settle()}


def test_a_status_lost_with_the_line_is_sent_on_the_next_one(accepted):
    accepted.home.statuses[1, 1] = "Occupied"
    accepted.session.statuses.look()
    accepted.expect("StatusNotification")
    accepted.close()
    accepted.open()
    assert statuses(accepted.settle()[:1]) == [(1, 1, "Occupied")]


# --- while online -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("G01.FR.03", "G01.FR.04")
def test_a_change_of_a_connector_is_told_once(accepted):
    accepted.home.statuses[1, 1] = "Occupied"
    accepted.session.statuses.look()
    accepted.session.statuses.look()
    assert statuses(accepted.settle()) == [(1, 1, "Occupied")]


def test_one_call_is_outstanding_at_a_time(accepted):
    for place in accepted.home.statuses:
        accepted.home.statuses[place] = "Occupied"
    accepted.session.statuses.look()
    first = accepted.expect("StatusNotification")
    assert accepted.out() is None
    accepted.answer(first)
    accepted.expect("StatusNotification")


def test_a_call_without_answer_gives_way_to_the_next_after_the_message_timeout(accepted):
    accepted.home.put(MESSAGE_TIMEOUT, 5)
    for place in accepted.home.statuses:
        accepted.home.statuses[place] = "Occupied"
    accepted.session.statuses.look()
    first = accepted.expect("StatusNotification")
    assert accepted.session.due() == accepted.clock.seconds + 5
    accepted.wait(5)
    second = accepted.expect("StatusNotification")
    assert second[3] != first[3]
    assert accepted.session.unanswered == 1
    accepted.answer(second)
    assert accepted.session.unanswered == 0


@pytest.mark.requirement("G02.FR.02")
def test_a_heartbeat_is_sent_after_the_interval(accepted):
    assert accepted.session.due() == accepted.clock.seconds + 300
    accepted.wait(299)
    assert accepted.out() is None
    accepted.wait(1)
    accepted.expect("Heartbeat")


@pytest.mark.requirement("G02.FR.05")
def test_another_message_puts_the_heartbeat_off(accepted):
    accepted.wait(299)
    accepted.home.statuses[1, 1] = "Occupied"
    accepted.session.statuses.look()
    accepted.settle()
    accepted.wait(299)
    assert accepted.out() is None
    accepted.wait(1)
    accepted.expect("Heartbeat")


@pytest.mark.requirement("G02.FR.07")
async def test_there_is_a_heartbeat_each_day_however_busy_the_line(accepted):
    actions = []
    for _ in range(25 * 20):
        accepted.wait(180)
        await accepted.ask("GetVariables", {"getVariableData": [address("ClockCtrlr", "DateTime")]})
        actions += [message[2] for message in accepted.settle()]
    assert actions == ["Heartbeat"]


def address(component, variable):
    return {"component": {"name": component}, "variable": {"name": variable}}


@pytest.mark.requirement("G02.FR.06")
def test_a_heartbeats_answer_sets_the_clock(accepted):
    accepted.wait(300)
    accepted.answer(accepted.expect("Heartbeat"), {"currentTime": "2026-03-01T00:00:00Z"})
    assert accepted.clock.now() == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_new_heartbeat_interval_counts_at_once(accepted):
    accepted.home.put(HEARTBEAT_INTERVAL, 10)
    accepted.wait(10)
    accepted.expect("Heartbeat")


# --- TriggerMessage ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("F06.FR.17")
async def test_a_boot_notification_is_not_triggered_once_accepted(accepted):
    reply = await accepted.ask("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert reply == {"status": "Rejected"}
    assert accepted.out() is None


@pytest.mark.requirement("F06.FR.05", "F06.FR.09", "F06.FR.10")
async def test_a_triggered_status_notification_is_of_that_connector_as_it_is(accepted):
    payload = {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 2}}
    assert await accepted.ask("TriggerMessage", payload) == {"status": "Accepted"}
    accepted.home.statuses[1, 2] = "Faulted"
    assert statuses(accepted.settle()) == [(1, 2, "Faulted")]


@pytest.mark.requirement("F06.FR.03")
async def test_an_evse_that_means_nothing_to_a_triggered_message_is_ignored(accepted):
    payload = {"requestedMessage": "Heartbeat", "evse": {"id": 7, "connectorId": 7}}
    assert await accepted.ask("TriggerMessage", payload) == {"status": "Accepted"}
    assert [message[2] for message in accepted.settle()] == ["Heartbeat"]


@pytest.mark.requirement("F06.FR.12")
@pytest.mark.parametrize(
    ("evse", "reason"),
    [
        ({}, "MissingParam"),
        ({"evse": {"id": 1}}, "MissingParam"),
        ({"evse": {"id": 3, "connectorId": 1}}, "UnknownEvse"),
        ({"evse": {"id": 2, "connectorId": 2}}, "UnknownConnectorId"),
    ],
)
async def test_a_status_notification_of_no_connector_is_not_triggered(accepted, evse, reason):
    reply = await accepted.ask("TriggerMessage", {"requestedMessage": "StatusNotification", **evse})
    assert (reply["status"], reply["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert accepted.out() is None


@pytest.mark.requirement("F06.FR.08")
@pytest.mark.parametrize("trigger", ["MeterValues", "TransactionEvent", "FirmwareStatusNotification"])
async def test_a_message_that_a_station_without_evses_does_not_send_is_not_implemented(accepted, trigger):
    assert await accepted.ask("TriggerMessage", {"requestedMessage": trigger}) == {"status": "NotImplemented"}


async def test_a_flood_of_triggers_is_refused_in_the_end(accepted):
    replies = [await accepted.ask("TriggerMessage", {"requestedMessage": "Heartbeat"}) for _ in range(40)]
    taken = sum(reply["status"] == "Accepted" for reply in replies)
    assert 1 < taken < 40
    assert len(accepted.settle()) == taken


# --- the order of things ----------------------------------------------------------------------------------------


def test_reports_and_the_outbox_take_turns(accepted):
    order = accepted.session._order
    accepted.session._last = Kind.OUTBOX
    assert order()[-1] is Kind.OUTBOX
    accepted.session._last = Kind.REPORT
    assert order()[-1] is Kind.REPORT


def test_frames_that_mean_nothing_are_answered_or_ignored_and_change_nothing(accepted):
    assert json.loads(accepted.session.receive("{", accepted.clock.seconds))[0] == 4
    assert accepted.take([3, "nobody", {}]) is None
    assert accepted.take([4, "nobody", "InternalError", "", {}]) is None
    assert accepted.session.accepted


@pytest.mark.requirement("B01.FR.05")
def test_the_first_statuses_wait_for_the_hardware() -> None:
    home = Home()
    home.heard = False
    statuses = Statuses(home)
    statuses.tell_all()
    assert statuses.due() is None and statuses.next_call(0.0) is None
    home.heard = True
    assert statuses.due() == 0.0
    call = statuses.next_call(0.0)
    assert call is not None and call.action == "StatusNotification"
