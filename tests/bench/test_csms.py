"""The bench's own CSMS, spoken to by a bare WebSocket client."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from drivers.bench.csms import CallError, Csms
from drivers.bench.transactions import fold
from tests.bench.parts import PASSWORD, until

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}


async def dial(csms: Csms, identity: str = "CS001", password: str = PASSWORD) -> ClientConnection:
    credentials = base64.b64encode(f"{identity}:{password}".encode()).decode()
    return await connect(
        f"{csms.url}/{identity}",
        subprotocols=[Subprotocol("ocpp2.0.1")],
        additional_headers={"Authorization": f"Basic {credentials}"},
        proxy=None,
    )


async def ask(connection: ClientConnection, action: str, payload: Any, number: str = "1") -> list[Any]:
    await connection.send(json.dumps([2, number, action, payload]))
    answer: list[Any] = json.loads(await connection.recv())
    return answer


async def answer_next(connection: ClientConnection, answer: Callable[[str], list[Any]]) -> list[Any]:
    call: list[Any] = json.loads(await connection.recv())
    await connection.send(json.dumps(answer(call[1])))
    return call


async def test_a_station_boots_and_every_message_is_kept(csms: Csms) -> None:
    async with await dial(csms) as connection:
        kind, number, payload = await ask(connection, "BootNotification", BOOT)
        assert (kind, number, payload["status"], payload["interval"]) == (3, "1", "Accepted", 300)
        assert (await ask(connection, "Heartbeat", {}, "2"))[2].keys() == {"currentTime"}
    station = csms.stations["CS001"]
    assert [(m.n, m.direction, m.kind, m.action) for m in station.messages] == [
        (1, "in", "call", "BootNotification"),
        (2, "out", "result", "BootNotification"),
        (3, "in", "call", "Heartbeat"),
        (4, "out", "result", "Heartbeat"),
    ]
    assert csms.violations == []


async def test_the_answer_to_a_boot_can_be_chosen(csms: Csms) -> None:
    csms.boot_status, csms.boot_interval = "Pending", 7
    async with await dial(csms) as connection:
        answer = await ask(connection, "BootNotification", BOOT)
    assert (answer[2]["status"], answer[2]["interval"]) == ("Pending", 7)


async def test_an_answer_can_be_replaced_or_left_out(csms: Csms) -> None:
    csms.answers["DataTransfer"] = {"status": "Accepted"}
    csms.answers["Heartbeat"] = lambda _: None
    async with await dial(csms) as connection:
        await connection.send(json.dumps([2, "1", "Heartbeat", {}]))
        answer = await ask(connection, "DataTransfer", {"vendorId": "V"}, "2")
    assert answer == [3, "2", {"status": "Accepted"}]


@pytest.mark.parametrize(
    ("action", "payload", "said"),
    [
        ("BootNotification", {"reason": "PowerUp"}, "chargingStation"),
        ("BootNotification", {**BOOT, "reason": "Boredom"}, "Boredom"),
        ("BootNotification", {**BOOT, "colour": "red"}, "colour"),
        ("Teleport", {}, "there is no such message"),
    ],
)
async def test_what_breaks_a_schema_is_a_violation_and_a_callerror(
    csms: Csms, action: str, payload: Any, said: str
) -> None:
    async with await dial(csms) as connection:
        assert (await ask(connection, action, payload))[0] == 4
    assert said in csms.violations[0]


@pytest.mark.parametrize("frame", ["nonsense", "[]", "{}", '[2,"1","Heartbeat"]', "[2,1,2,3]", '[3,"9",{}]', b"[]"])
async def test_what_is_no_ocpp_j_is_a_violation_and_the_line_lives_on(csms: Csms, frame: str | bytes) -> None:
    async with await dial(csms) as connection:
        await connection.send(frame)
        assert (await ask(connection, "Heartbeat", {}))[0] == 3
    assert len(csms.violations) == 1


async def test_a_second_call_before_the_answer_to_the_first_is_a_violation(csms: Csms) -> None:
    csms.answers["DataTransfer"] = lambda _: None
    async with await dial(csms) as connection:
        await connection.send(json.dumps([2, "1", "DataTransfer", {"vendorId": "V"}]))
        await ask(connection, "Heartbeat", {}, "2")
    assert ["Heartbeat before" in violation for violation in csms.violations] == [True]


async def test_a_call_returns_the_payload_of_its_answer(csms: Csms) -> None:
    async with await dial(csms) as connection:
        calling = asyncio.create_task(csms.station("CS001").call("ClearCache", {}))
        call = await answer_next(connection, lambda number: [3, number, {"status": "Accepted"}])
        assert (call[0], call[2], call[3]) == (2, "ClearCache", {})
        assert await calling == {"status": "Accepted"}
    assert csms.violations == []


async def test_a_callerror_is_raised_with_its_code(csms: Csms) -> None:
    async with await dial(csms) as connection:
        calling = asyncio.create_task(csms.station("CS001").call("ClearCache", {}))
        await answer_next(connection, lambda number: [4, number, "NotSupported", "no cache", {}])
        with pytest.raises(CallError, match="no cache") as raised:
            await calling
    assert raised.value.code == "NotSupported"


async def test_an_answer_that_breaks_its_schema_is_a_violation(csms: Csms) -> None:
    async with await dial(csms) as connection:
        calling = asyncio.create_task(csms.station("CS001").call("ClearCache", {}))
        await answer_next(connection, lambda number: [3, number, {"status": "Perhaps"}])
        await calling
    assert "Perhaps" in csms.violations[0]


async def test_a_call_waits_for_the_station_to_connect(csms: Csms) -> None:
    calling = asyncio.create_task(csms.station("CS001").call("ClearCache", {}))
    await asyncio.sleep(0.1)
    async with await dial(csms) as connection:
        await answer_next(connection, lambda number: [3, number, {"status": "Accepted"}])
        assert await calling == {"status": "Accepted"}


async def test_a_call_fails_when_the_station_hangs_up_or_says_nothing(csms: Csms) -> None:
    async with await dial(csms):
        with pytest.raises(TimeoutError):
            await csms.station("CS001").call("ClearCache", {}, timeout=0.2)
        calling = asyncio.create_task(csms.station("CS001").call("ClearCache", {}))
        await asyncio.sleep(0.1)
    with pytest.raises(ConnectionError):
        await calling


async def test_one_session_lasts_over_reconnections(csms: Csms) -> None:
    for number in ("1", "2"):
        async with await dial(csms) as connection:
            await ask(connection, "Heartbeat", {}, number)
        await csms.station("CS001").until_connected(False)
    station = csms.stations["CS001"]
    assert (len(csms.stations), station.connections, len(station.calls("Heartbeat"))) == (1, 2, 2)


async def test_waiting_finds_what_came_before_what_comes_later_and_nothing_older_than_asked(csms: Csms) -> None:
    station = csms.station("CS001")
    waiting = asyncio.create_task(station.wait_for("DataTransfer", lambda p: p["vendorId"] == "B"))
    async with await dial(csms) as connection:
        for number, vendor in enumerate("ABC"):
            await ask(connection, "DataTransfer", {"vendorId": vendor}, str(number))
    assert await waiting == {"vendorId": "B"}
    assert await station.wait_for("DataTransfer") == {"vendorId": "A"}
    assert await station.wait_for("DataTransfer", since=2) == {"vendorId": "B"}
    with pytest.raises(TimeoutError):
        await station.wait_for("DataTransfer", since=station.last, timeout=0.1)


def transaction_event(number: int, kind: str = "Updated", transaction: str = "T1", **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": "2026-01-01T12:00:00Z",
        "triggerReason": "Authorized",
        "seqNo": number,
        "transactionInfo": {"transactionId": transaction},
        **more,
    }


async def test_the_token_of_a_transaction_is_accepted_where_there_is_one(csms: Csms) -> None:
    token = {"idToken": "04A1", "type": "ISO14443"}
    async with await dial(csms) as connection:
        assert (await ask(connection, "TransactionEvent", transaction_event(0)))[2] == {}
        answer = await ask(connection, "TransactionEvent", transaction_event(1, idToken=token), "2")
        assert answer[2] == {"idTokenInfo": {"status": "Accepted"}}
        csms.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Blocked"}}
        answer = await ask(connection, "TransactionEvent", transaction_event(2, idToken=token), "3")
        assert answer[2] == {"idTokenInfo": {"status": "Blocked"}}
    assert csms.violations == []


async def test_repeats_and_late_events_make_one_complete_transaction(csms: Csms) -> None:
    told = [
        transaction_event(5, "Started"),
        transaction_event(7),
        transaction_event(0, "Started", "T2"),
        transaction_event(6),
        transaction_event(6, offline=True),
        transaction_event(8, "Ended"),
    ]
    async with await dial(csms) as connection:
        for number, payload in enumerate(told):
            await ask(connection, "TransactionEvent", payload, str(number))
    found = csms.stations["CS001"].transactions()
    assert list(found) == ["T1", "T2"]
    assert [event["seqNo"] for event in found["T1"].events] == [5, 6, 7, 8]
    assert (found["T1"].repeats, found["T1"].ended, found["T1"].problems()) == (1, True, [])
    assert (found["T2"].ended, found["T2"].problems()) == (False, ["transaction T2: 0 times Ended"])
    assert list(csms.stations["CS001"].transactions(since=len(told))) == ["T1"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([(0, "Started"), (2, "Ended")], "seqNo 1 never came"),
        ([(0, "Started"), (1, "Started"), (2, "Ended")], "2 times Started"),
        ([(0, "Updated"), (1, "Started"), (2, "Ended")], "Started is not where it belongs"),
        ([(0, "Started"), (1, "Ended"), (2, "Updated")], "Ended is not where it belongs"),
        ([(0, "Started"), (1, "Ended"), (2, "Ended")], "2 times Ended"),
        ([(0, "Started"), (1, "Updated"), (1, "Ended"), (2, "Ended")], "seqNo 1 was told twice, and not the same"),
    ],
)
def test_what_makes_a_transaction_incomplete_is_told(told: list[tuple[int, str]], said: str) -> None:
    found = fold(transaction_event(number, kind) for number, kind in told)["T1"]
    assert [said in problem for problem in found.problems()] == [True]


def test_gaps_may_be_allowed() -> None:
    found = fold([transaction_event(0, "Started"), transaction_event(9, "Ended")])["T1"]
    assert found.problems(dropped=True) == []


@pytest.mark.parametrize("password", ["", "wrong-password-00001"])
async def test_a_wrong_password_is_refused(csms: Csms, password: str) -> None:
    with pytest.raises(InvalidStatus) as raised:
        await dial(csms, password=password)
    assert raised.value.response.status_code == 401
    assert csms.refusals == 1


async def test_a_csms_that_went_away_comes_back_at_the_same_place(csms: Csms) -> None:
    url = csms.url
    async with await dial(csms) as connection:
        await csms.stop()
        await connection.wait_closed()
    await csms.start()
    assert csms.url == url
    async with await dial(csms) as connection:
        assert (await ask(connection, "Heartbeat", {}))[0] == 3


async def test_a_new_connection_takes_the_place_of_an_old_one(csms: Csms) -> None:
    async with await dial(csms) as old, await dial(csms) as new:
        await old.wait_closed()
        assert (await ask(new, "Heartbeat", {}))[0] == 3
        await until(lambda: csms.stations["CS001"].connected)
