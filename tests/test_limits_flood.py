"""A hostile EMS, and a short, seeded share of tests/soak/limits.py."""

import asyncio
import random
import struct
import time
from pathlib import Path

import pytest

from tests.soak.limits import AFTER, GRACE, VOLTS, Master, Result, Street, limits, street
from tests.soak.limits_ledger import Ledger, Order, Plug

FLOOD = 1000
"""Writes a second."""


def test_a_limit_is_broken_by_what_exceeds_all_that_held_within_the_grace() -> None:
    ledger = Ledger()
    ledger.write("a", 0, Order(20.0, "A"), 10.0, 10.1)
    ledger.write("a", 0, Order(10.0, "A"), 20.0, 20.1)
    plugs = [Plug(1, 8.0, 3), Plug(2, 8.0, 1)]
    assert ledger.broken(plugs, 21.0, 1.0) is None
    assert "16.0 A at the station" in (ledger.broken(plugs, 21.2, 1.0) or "")
    assert ledger.broken(plugs[:1], 21.2, 1.0) is None
    ledger.write("b", 1, Order(7.0 * 3 * VOLTS, "W"), 30.0, 30.1)
    assert "W at EVSE 1" in (ledger.broken(plugs[:1], 31.2, 1.0) or "")
    ledger.write("b", 1, None, 40.0, 40.1)
    assert ledger.broken(plugs[:1], 41.2, 1.0) is None
    ledger.failsafe(4200.0, 50.0, 50.1)
    assert ledger.broken(plugs, 50.9, 1.0) is not None  # by that of before, and by this
    assert "limited to 4200.0 W" in (ledger.broken([Plug(1, 8.0, 3)], 51.2, 1.0) or "")
    ledger.write("a", 0, Order(32.0, "A"), 60.0, 60.1)
    assert ledger.broken(plugs, 60.1, 0.0) is None


@pytest.mark.soak
@pytest.mark.requirement("K11.FR.01")
async def test_a_thousand_limits_a_minute_are_all_kept() -> None:
    result = await limits(seconds=4, rate=1000, seed=4)
    assert result.problems == [], f"{result}"
    assert result.writes > 20 and result.refused and result.charged > 0.3 and result.offers


@pytest.mark.soak
@pytest.mark.requirement("K11.FR.01")
async def test_a_hostile_ems_moves_the_plugs_no_further_than_it_may_and_is_told_of_once(tmp_path: Path) -> None:
    result, dice = Result(), random.Random(5)
    async with street(tmp_path, result) as there, there.observed(every=0.5):
        since = there.station.last
        await flap(there, 1.6)
        assert (result.problems, there.troubles(since)) == ([], 1), "flapping at 50 Hz"
        await flood(there, 2, dice)
        assert result.problems == [], "a flood"
        last = await two_masters(there, 1.5, dice)
        assert result.problems == [], "two masters"
        await last.silent(AFTER + 1.3)
        assert result.problems == [], "silence"
        watts = sum(plug.duty * plug.ev.settings.phases * VOLTS for plug in plugs_of(there) if plug.ev)
        assert 0 < watts < 4250
        assert there.troubles(since) == 1
    assert result.problems == [], f"{result}"
    assert result.messages["NotifyEvent"] == 1 and result.silences == 1


def plugs_of(there: Street) -> list:  # type: ignore[type-arg]
    return list(there.bench.world.places.connectors.values())


async def still(master: Master) -> None:
    """A low limit for a while: now it is seen that it is kept, and not one of the many others."""
    assert await master.limit(0, Order(13.0, "A"))
    await asyncio.sleep(GRACE + 0.3)
    master.close()


async def flap(there: Street, seconds: float) -> None:
    """All or little, 50 times a second."""
    master, end = there.master(), time.monotonic() + seconds
    due, high = time.monotonic(), False
    while time.monotonic() < end:
        high = not high
        assert await master.limit(0, Order(32.0 if high else 14.0, "A"))
        due += 0.02
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await still(master)


async def flood(there: Street, seconds: float, dice: random.Random) -> None:
    """Requests without waiting for the answers; these come in their order."""
    port = there.bench.rig.overlay["ems"]["modbus"]["port"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wanted: list[tuple[float, Order]] = []

    async def answers() -> None:
        for number in range(round(FLOOD * seconds)):
            answer = await reader.readexactly(12)
            assert struct.unpack(">H", answer[:2])[0] == number & 0xFFFF and answer[7] == 6, answer
            sent, order = wanted[number]
            there.ledger.write("127.0.0.1", 0, order, sent, time.monotonic())

    hearing, started = asyncio.create_task(answers()), time.monotonic()
    while len(wanted) < round(FLOOD * seconds):
        while len(wanted) < min(FLOOD * seconds, FLOOD * (time.monotonic() - started)):
            tenths = dice.randint(140, 640)
            request = struct.pack(">HHHBBHH", len(wanted) & 0xFFFF, 0, 6, 255, 6, 200, tenths)
            wanted.append((time.monotonic(), Order(tenths / 10, "A")))
            writer.write(request)
        await asyncio.sleep(0.005)
    async with asyncio.timeout(5):
        await hearing
    writer.close()
    await still(there.master())


async def two_masters(there: Street, seconds: float, dice: random.Random) -> Master:
    """Both limit the station; then one leaves, and the other one is returned."""
    first, second = there.master(), there.master("127.0.0.2")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in (first, second):
            assert await one.limit(0, Order(dice.uniform(14, 64), "A"))
            await asyncio.sleep(0.03)
    await still(second)
    assert await second.limit(0, None)
    second.close()
    await first.limit(0, Order(64.0, "A"))
    return first
