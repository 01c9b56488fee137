"""Part 5, Core, block E: answers that do not come, a line that is lost, and what is asked of it (E04, E11 to E14)."""

import asyncio
import json
from typing import Any

import pytest

from tests.certification.parts import CARD, GROUP, OTHER, Stand, info, token, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Refusals:
    """Answers the first `count` TransactionEvents "Started" with a CALLERROR, and notes when they came."""

    def __init__(self, stand: Stand, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.times: list[float] = []
        usual, loop = stand.station._answer, asyncio.get_running_loop()

        async def answer(connection: Any, number: str, action: str, payload: dict[str, Any], sound: bool) -> None:
            if action == "TransactionEvent" and payload["eventType"] == "Started":
                self.times.append(loop.time())
                if len(self.times) <= count:
                    stand.station._unanswered -= 1
                    await connection.send(json.dumps([4, number, "InternalError", "", {}]))
                    return
            await usual(connection, number, action, payload, sound)

        monkeypatch.setattr(stand.station, "_answer", answer)


@pytest.mark.requirement("E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04")
async def test_tc_e_50_max_retry_count_reached_call_error(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    await stand.set({"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3"})
    refusals = Refusals(stand, monkeypatch, 100)
    await stand.plug()
    await stand.swipe()
    await stand.event(eventType="Updated", chargingState="Charging")
    assert len(refusals.times) == 3
    waits = [later - before for before, later in zip(refusals.times, refusals.times[1:], strict=False)]
    assert waits[0] >= 0.9
    assert waits[1] >= 1.9  # the interval, times the transmissions before


@pytest.mark.requirement("E13.FR.02")
async def test_tc_e_51_success_before_the_max_retry_count_call_error(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.set({"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3"})
    refusals = Refusals(stand, monkeypatch, 1)
    await stand.plug()
    await stand.swipe()
    await stand.event(eventType="Updated", chargingState="Charging")
    assert len(refusals.times) == 2


@pytest.mark.requirement("E04.FR.01", "E04.FR.02", "E04.FR.03", "E11.FR.01", "E11.FR.02")
async def test_tc_e_40_connection_loss_during_transaction(stand: Stand) -> None:
    await stand.set({"SampledDataCtrlr.TxUpdatedInterval": "1"})
    number = await stand.charge()
    since = stand.station.last
    async with stand.offline():
        await asyncio.sleep(1.5)
        assert stand.state()["contactor"]
    await stand.event(since=since, offline=True, triggerReason="MeterValuePeriodic", transactionId=number)
    await stand.set({"SampledDataCtrlr.TxUpdatedInterval": "300"})
    await stand.swipe()
    await stand.ended(number, triggerReason="StopAuthorized")


@pytest.mark.requirement("E12.FR.01", "E12.FR.02")
async def test_tc_e_43_transaction_during_offline_period(stand: Stand) -> None:
    await stand.remember(CARD)
    async with stand.offline():
        await stand.plug()
        await stand.swipe()
        await stand.charging()
        await stand.swipe()
        await stand.dark()
        await stand.unplug()
        await asyncio.sleep(1.0)
    first = await stand.event(eventType="Started", idToken=token())
    await stand.ended(first["transactionInfo"]["transactionId"])
    assert all(one.get("offline") is True for one in stand.events())
    assert stand.authorized() == []


@pytest.mark.requirement("E04.FR.03", "E07.FR.01")
async def test_tc_e_44_stop_during_offline_period(stand: Stand) -> None:
    number = await stand.charge()
    async with stand.offline():
        await stand.swipe()
        await stand.dark()
    await stand.ended(number, triggerReason="StopAuthorized", idToken=token(), offline=True)


@pytest.mark.requirement("C09.FR.07", "E07.FR.01")
async def test_tc_e_45_stop_during_offline_period_same_group_id(stand: Stand) -> None:
    await stand.remember(OTHER, group=GROUP)
    stand.known |= {CARD: info(group=GROUP), OTHER: info(group=GROUP)}
    number = await stand.charge()
    async with stand.offline():
        await stand.swipe(OTHER)
        await stand.dark()
    await stand.ended(number, triggerReason="StopAuthorized", idToken=token(OTHER), offline=True)


# --- GetTransactionStatus -----------------------------------------------------------------------------------------


async def ask(stand: Stand, number: str | None = None) -> tuple[bool | None, bool]:
    """(ongoing, messages in the queue)."""
    answer = await stand.call("GetTransactionStatus", {} if number is None else {"transactionId": number})
    return answer.get("ongoingIndicator"), answer["messagesInQueue"]


class Silence:
    """The CSMS keeps its answers to TransactionEvents to itself, until the station has come anew."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    async def __aenter__(self) -> None:
        self._usual = self._stand.csms.answers["TransactionEvent"]
        self._stand.csms.answers["TransactionEvent"] = lambda payload: None

    async def __aexit__(self, *_: object) -> None:
        self._stand.csms.answers["TransactionEvent"] = self._usual
        await self._stand.station.disconnect()
        await self._stand.station.until_connected(False)
        await self._stand.station.until_connected()


async def settled(stand: Stand) -> None:
    """Every TransactionEvent has been answered."""
    messages = stand.station.messages
    await until(
        lambda: not messages or (messages[-1].action, messages[-1].kind) != ("TransactionEvent", "call"), "answers"
    )
    await asyncio.sleep(0.2)


@pytest.mark.requirement("E14.FR.01")
async def test_tc_e_28_transaction_id_unknown(stand: Stand) -> None:
    assert await ask(stand, "no-such-transaction") == (False, False)


@pytest.mark.requirement("E14.FR.02", "E14.FR.04")
async def test_tc_e_29_ongoing_with_message_in_queue(stand: Stand) -> None:
    async with Silence(stand):
        await stand.plug()
        await stand.swipe()
        first = await stand.event(eventType="Started")
        assert await ask(stand, first["transactionInfo"]["transactionId"]) == (True, True)


@pytest.mark.requirement("E14.FR.02", "E14.FR.05")
async def test_tc_e_30_ongoing_without_message_in_queue(stand: Stand) -> None:
    number = await stand.charge()
    await settled(stand)
    assert await ask(stand, number) == (True, False)


@pytest.mark.requirement("E14.FR.03", "E14.FR.04")
async def test_tc_e_31_ended_with_message_in_queue(stand: Stand) -> None:
    number = await stand.charge()
    await settled(stand)
    async with Silence(stand):
        await stand.swipe()
        await stand.event(eventType="Ended")
        assert await ask(stand, number) == (False, True)
    await stand.ended(number)


@pytest.mark.requirement("E14.FR.03", "E14.FR.05")
async def test_tc_e_32_ended_without_message_in_queue(stand: Stand) -> None:
    number = await stand.charge()
    await stand.swipe()
    await stand.ended(number)
    await settled(stand)
    assert await ask(stand, number) == (False, False)


@pytest.mark.requirement("E14.FR.06", "E14.FR.07")
async def test_tc_e_33_without_id_with_message_in_queue(stand: Stand) -> None:
    async with Silence(stand):
        await stand.plug()
        await stand.swipe()
        await stand.event(eventType="Started")
        assert await ask(stand) == (None, True)


@pytest.mark.requirement("E14.FR.06", "E14.FR.08")
async def test_tc_e_34_without_id_without_message_in_queue(stand: Stand) -> None:
    assert await ask(stand) == (None, False)
