"""Part 5, Core, block E: a CSMS that says nothing to TransactionEvents, on a line that is up (E13)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import boards
from tests.certification.parts import Stand, standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGE_TIMEOUT = 2
"""Seconds: bench-ac as its maker could have built it, so that silence is over soon."""

EARLY = 0.1
"""Seconds by which a message may seem to come early: it was sent, and is timed when it is read."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("silence")
    usual = (boards.FOLDER / "bench-ac.yaml").read_text(encoding="utf-8")
    assert usual.count("station:\n") == 1
    board = folder / "bench-ac.yaml"
    board.write_text(usual.replace("station:\n", f"station:\n  message_timeout: {MESSAGE_TIMEOUT}s\n"))
    async with standing(str(board), folder) as stand:
        yield stand


class Deaf:
    """Says nothing to the first `count` TransactionEvents "Started"; notes when each came, and what it said.

    That the next CALL comes before an answer is no violation here: MessageTimeout has passed, which the tests see to.
    """

    def __init__(self, stand: Stand, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.times: list[float] = []
        self.said: list[dict[str, Any]] = []
        usual, loop = stand.station._answer, asyncio.get_running_loop()

        async def answer(connection: Any, number: str, action: str, payload: dict[str, Any], sound: bool) -> None:
            if action == "TransactionEvent" and payload["eventType"] == "Started":
                self.times.append(loop.time())
                self.said.append(payload)
                if len(self.times) <= count:
                    stand.station._unanswered -= 1
                    return
            await usual(connection, number, action, payload, sound)

        monkeypatch.setattr(stand.station, "_answer", answer)

    def waits(self) -> list[float]:
        """Seconds between one try and the next."""
        return [later - before for before, later in zip(self.times, self.times[1:], strict=False)]


@pytest.mark.requirement("E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04")
async def test_tc_e_41_max_retry_count_reached(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await stand.get("OCPPCommCtrlr.MessageTimeout[Default]") == str(MESSAGE_TIMEOUT)
    await stand.set({"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3"})
    deaf = Deaf(stand, monkeypatch, 100)
    await stand.plug()
    await stand.swipe()
    await stand.charging()  # the driver notices nothing
    await stand.event(eventType="Updated", chargingState="Charging", timeout=30)
    assert len(deaf.times) == 3
    first, second = deaf.waits()
    assert first >= MESSAGE_TIMEOUT + 1 - EARLY
    assert second >= MESSAGE_TIMEOUT + 2 - EARLY  # the interval, times the transmissions before
    # The same message each time. Two silences in a row make the station connect anew: then it says `offline` too.
    assert [{**one, "offline": None} for one in deaf.said] == [{**deaf.said[0], "offline": None}] * 3


@pytest.mark.requirement("E13.FR.01", "E13.FR.02", "E13.FR.03")
async def test_tc_e_42_success_before_the_max_retry_count(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    await stand.set({"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3"})
    deaf = Deaf(stand, monkeypatch, 1)
    await stand.plug()
    await stand.swipe()
    first = await stand.event(eventType="Started")
    await stand.event(eventType="Updated", chargingState="Charging", timeout=30)
    assert len(deaf.times) == 2
    assert deaf.waits()[0] >= MESSAGE_TIMEOUT + 1 - EARLY
    assert deaf.said[1] == first
    await stand.swipe()
    await stand.ended(first["transactionInfo"]["transactionId"], triggerReason="StopAuthorized")
