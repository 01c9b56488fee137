"""Questions about tokens and transactions over a real WebSocket: answered, refused, too late, cut off."""

import asyncio

import pytest

from agent.evse.records import IdToken, IdTokenInfo
from agent.ocpp.authorization import NotAnswered
from agent.ocpp.variables import BACK_OFF_MINIMUM, BACK_OFF_RANDOM, MESSAGE_TIMEOUT
from tests.ocpp.charging import TOKEN, FakeCharging, event
from tests.ocpp.csms import CallError, Csms, station
from tests.ocpp.parts import Home, boot_answer, until


@pytest.fixture
def home():
    home = Home(charging=FakeCharging())
    home.put(BACK_OFF_MINIMUM, 0)
    home.put(BACK_OFF_RANDOM, 1)
    return home


@pytest.fixture
async def csms():
    async with Csms().running() as csms:
        yield csms


@pytest.mark.requirement("C01.FR.02")
async def test_the_csms_is_asked_about_a_token_and_its_answer_comes_back(home, csms):
    info = {"status": "Blocked", "groupIdToken": {"idToken": "family", "type": "Central"}, "evseId": [1, 2]}
    csms.answers["Authorize"] = {"idTokenInfo": info}
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        answer = await link.authorize(IdToken("04A1B2C3", "ISO14443", (("1234", "pin"),)))
        assert answer == IdTokenInfo("Blocked", group=IdToken("family", "Central"), evse_ids=(1, 2))
        more = [{"additionalIdToken": "1234", "type": "pin"}]
        assert csms.calls("Authorize") == [
            {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443", "additionalInfo": more}}
        ]


async def test_two_questions_get_each_its_own_answer(home, csms):
    def answer(payload):
        return {"idTokenInfo": {"status": "Accepted" if payload["idToken"]["idToken"] == "good" else "Invalid"}}

    csms.answers["Authorize"] = answer
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        asked = (link.authorize(IdToken(text, "Local")) for text in ("good", "bad", "good"))
        assert [info.status for info in await asyncio.gather(*asked)] == ["Accepted", "Invalid", "Accepted"]


async def test_nobody_can_be_asked_while_the_csms_is_away(home):
    async with station(home, 1) as link:
        with pytest.raises(NotAnswered, match="offline"):
            await link.authorize(TOKEN)


async def test_nobody_is_asked_before_the_csms_has_accepted_the_station(home, csms):
    csms.answers["BootNotification"] = boot_answer("Pending")
    async with station(home, csms.port) as link:
        await until(lambda: link.session.boot.status)
        with pytest.raises(NotAnswered, match="offline"):
            await link.authorize(TOKEN)
        assert csms.calls("Authorize") == []


async def test_a_question_that_the_csms_refuses_is_not_answered(home, csms):
    csms.answers["Authorize"] = CallError("InternalError", "the database is away")
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        with pytest.raises(NotAnswered, match="the database is away"):
            await link.authorize(TOKEN)
        csms.answers["Authorize"] = {"idTokenInfo": {"status": "Accepted"}}
        assert (await link.authorize(TOKEN)).accepted


async def test_a_question_whose_answer_stays_out_is_not_answered_and_the_line_goes_on(home, csms):
    home.put(MESSAGE_TIMEOUT, 1)
    csms.answers["Authorize"] = None
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        with pytest.raises(NotAnswered, match="no answer in time"):
            await link.authorize(TOKEN)
        csms.answers["Authorize"] = {"idTokenInfo": {"status": "Accepted"}}
        assert (await link.authorize(TOKEN)).accepted
        assert csms.opened == 1


async def test_a_question_is_not_answered_when_the_line_is_lost(home, csms):
    csms.answers["Authorize"] = None
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        asked = [asyncio.create_task(link.authorize(IdToken(text, "Local"))) for text in ("first", "second")]
        await csms.until_call("Authorize")
        await csms.connection.close()
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, NotAnswered)
            assert "the connection was lost" in str(answer)


@pytest.mark.parametrize("token", [IdToken("x" * 37, "Local"), IdToken("1", "Nonsense")])
async def test_a_token_that_fits_into_no_message_is_not_asked_about(home, csms, token):
    async with station(home, csms.port) as link:
        await csms.until_call("StatusNotification", 3)
        with pytest.raises(NotAnswered, match="fits into no message"):
            await link.authorize(token)
        assert csms.calls("Authorize") == []


@pytest.mark.requirement("E04.FR.01", "E04.FR.02", "E11.FR.01", "E11.FR.02")
async def test_events_of_an_offline_station_come_in_order_and_their_answers_reach_the_evses(home, csms):
    csms.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Accepted"}}
    async with station(home, csms.port) as link:
        for number in range(5):
            await link.transactions.post(event(number, offline=True, id_token=TOKEN))
        sent = await csms.until_call("TransactionEvent", 5)
        assert [(one["seqNo"], one["offline"]) for one in sent] == [(number, True) for number in range(5)]
        await until(lambda: len(home.charging.answers) == 5)
        assert home.charging.answers[0] == ("T1", TOKEN, IdTokenInfo("Accepted"))
        assert home.charging.onlines == [True]
        await csms.connection.close()
        await until(lambda: home.charging.onlines[:2] == [True, False])
