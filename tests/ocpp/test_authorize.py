"""Questions about tokens: asked before everything else, one at a time, and never left without an answer."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent.evse.records import IdToken, IdTokenInfo
from agent.ocpp.authorization import NotAnswered
from agent.ocpp.messages.authorization import AuthorizeRequest
from agent.ocpp.variables import MESSAGE_TIMEOUT
from tests.ocpp.charging import TOKEN, FakeCharging, event
from tests.ocpp.parts import Line

OTHER = IdToken("DEADBEEF", "ISO15693")
ACCEPTED = {"idTokenInfo": {"status": "Accepted"}}


@pytest.fixture
def line():
    line = Line(charging=FakeCharging()).open()
    line.boot()
    line.settle()
    return line


async def test_an_answer_comes_out_with_all_that_the_csms_says(line):
    answer = line.session.questions.ask(TOKEN)
    info = {
        "status": "Blocked",
        "cacheExpiryDateTime": "2026-02-01T12:00:00Z",
        "chargingPriority": -3,
        "language1": "nl",
        "language2": "de",
        "evseId": [1, 2],
        "groupIdToken": {"idToken": "GROUP", "type": "Central"},
        "personalMessage": {"format": "UTF8", "content": "Come in"},
    }
    line.answer(line.expect("Authorize"), {"idTokenInfo": info})
    assert await answer == IdTokenInfo(
        "Blocked",
        datetime(2026, 2, 1, 12, tzinfo=UTC),
        IdToken("GROUP", "Central"),
        (1, 2),
        "nl",
        "de",
        -3,
        "Come in",
    )


async def test_a_question_comes_before_everything_else_that_waits(line):
    await line.transactions.post(event(1))
    line.session.statuses.tell_all()
    line.session.questions.ask(TOKEN)
    assert [message[2] for message in line.settle()][:2] == ["Authorize", "StatusNotification"]


async def test_several_questions_are_asked_in_their_order_and_each_gets_its_own_answer(line):
    first, second = line.session.questions.ask(TOKEN), line.session.questions.ask(OTHER)
    message = line.expect("Authorize")
    assert message[3]["idToken"]["idToken"] == TOKEN.id
    assert line.out() is None
    line.answer(message, {"idTokenInfo": {"status": "Invalid"}})
    line.answer(line.expect("Authorize"), ACCEPTED)
    assert [(await first).status, (await second).status] == ["Invalid", "Accepted"]


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_nothing_is_asked_before_the_station_is_accepted(status):
    line = Line().open()
    line.boot(status, 1000)
    line.session.questions.ask(TOKEN)
    assert line.out() is None


async def test_a_refusal_and_a_time_out_and_a_lost_line_are_no_answers(line):
    refused = line.session.questions.ask(TOKEN)
    line.fail(line.expect("Authorize"), "InternalError")
    with pytest.raises(NotAnswered):
        await refused
    late = line.session.questions.ask(TOKEN)
    line.expect("Authorize")
    line.wait(line.home.settings.integer(MESSAGE_TIMEOUT))
    assert line.out() is None
    with pytest.raises(NotAnswered):
        await late
    under_way, waiting = line.session.questions.ask(TOKEN), line.session.questions.ask(OTHER)
    line.expect("Authorize")
    line.close()
    for lost in (under_way, waiting):
        with pytest.raises(NotAnswered):
            await lost
    line.open()
    assert "Authorize" not in [message[2] for message in line.settle()]


async def test_an_answer_that_breaks_the_schema_is_no_answer(line):
    answer = line.session.questions.ask(TOKEN)
    message = line.expect("Authorize")
    assert line.take([3, message[1], {"idTokenInfo": {"status": "Fine"}}]) is None
    with pytest.raises(NotAnswered):
        await answer


async def test_nobody_is_asked_for_whoever_went_away(line):
    gone, stays = line.session.questions.ask(TOKEN), line.session.questions.ask(OTHER)
    gone.cancel()
    message = line.expect("Authorize")
    assert message[3]["idToken"]["idToken"] == OTHER.id
    line.answer(message, ACCEPTED)
    assert (await stays).status == "Accepted"
    under_way = line.session.questions.ask(TOKEN)
    message = line.expect("Authorize")
    under_way.cancel()
    line.answer(message, ACCEPTED)
    assert line.out() is None


async def test_more_additional_info_than_a_message_takes_is_cut(line):
    line.session.questions.ask(IdToken("04A1", "Central", tuple((str(n), "PIN") for n in range(11))))
    assert len(line.expect("Authorize")[3]["idToken"]["additionalInfo"]) == 10


def test_what_the_csms_may_be_told_of_a_contract_is_valid():
    token = {"idToken": "DE8AA1A2B3C4D5", "type": "eMAID"}
    data = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "a",
        "issuerKeyHash": "b",
        "serialNumber": "c",
        "responderURL": "http://ocsp.example.com",
    }
    request = AuthorizeRequest.model_validate(
        {"idToken": token, "iso15118CertificateHashData": (data,)}, by_alias=True
    )
    assert '"responderURL"' in request.to_json()
    assert '"iso15118CertificateHashData"' in request.to_json()


async def test_a_question_left_alone_disturbs_nobody(line):
    """Its failure is nobody's: it must not be told as an exception that was never looked at."""
    answer = line.session.questions.ask(TOKEN)
    line.close()
    await asyncio.sleep(0)
    assert isinstance(answer.exception(), NotAnswered)
