"""Neighbours of part 5's Smart Charging: limits of an EMS and of the grid operator (part 2, K11 to K13).

Part 5 has no case for them. On the bench an EMS ("modbus", source EMS) limits the station over Modbus TCP, and the
grid operator ("relay", source SO) by a contact that means 4200 W.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.certification.parts import CARD, OTHER, Stand, never, until
from tests.certification.parts2 import charge_at, settled
from tests.certification.parts3 import (
    EXTERNAL,
    LOCAL,
    MULTIPLIER,
    clear,
    cleared,
    composite,
    impose,
    install,
    notice,
    offered,
    profile,
    quiet,
    rate_changed,
    release,
    reported,
    send,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

AMPERE = MULTIPLIER["W"]
"""W of one ampere on each of three phases."""

DIMMED = 4200
"""W."""


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nobody_limits(stand: Stand) -> AsyncIterator[None]:
    await stand.set(
        {
            "SmartChargingCtrlr.ExternalControlSignalsEnabled": "true",
            "SmartChargingCtrlr.LimitChangeSignificance": "1.0",
            "SmartChargingCtrlr.NotifyChargingLimitWithSchedules": "true",
        }
    )
    stand.since = stand.station.last
    yield
    await quiet(stand)


@pytest.mark.requirement(
    "K11.FR.01", "K11.FR.02", "K11.FR.03", "K11.FR.04", "K11.FR.05", "K13.FR.01", "K13.FR.02", "K13.FR.03"
)
async def test_an_ems_limits_a_transaction_and_lets_it_go(stand: Stand) -> None:
    number = await stand.charge()
    await offered(stand, LOCAL)
    since = stand.station.last
    await impose(stand, "modbus", 10 * AMPERE)
    await offered(stand, 10)
    told = await notice(stand, "EMS", since)
    assert "evseId" not in told
    [schedule] = told["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "W"
    assert [one["limit"] for one in schedule["chargingSchedulePeriod"]] == [10 * AMPERE]
    await rate_changed(stand, number, since)

    since = stand.station.last
    await release(stand, "modbus")
    assert "evseId" not in await cleared(stand, "EMS", since)
    await offered(stand, LOCAL)
    await rate_changed(stand, number, since)
    assert stand.running() == [number]


@pytest.mark.requirement("K12.FR.01", "K12.FR.02", "K12.FR.03", "K12.FR.04")
async def test_the_grid_operator_limits_all_evses_before_anybody_charges(stand: Stand) -> None:
    await impose(stand, "relay", DIMMED)
    told = await notice(stand, "SO", stand.since)
    [schedule] = told["chargingSchedule"]
    assert [one["limit"] for one in schedule["chargingSchedulePeriod"]] == [DIMMED]
    await stand.charge()
    await offered(stand, 6)
    since = stand.station.last
    await release(stand, "relay")
    await cleared(stand, "SO", since)
    await offered(stand, LOCAL)


@pytest.mark.requirement("K12.FR.01", "K04.FR.05")
async def test_the_load_of_all_evses_stays_within_an_external_limit(stand: Stand) -> None:
    await impose(stand, "modbus", 16 * AMPERE)
    await notice(stand, "EMS", stand.since)
    for evse, number in ((1, CARD), (2, OTHER)):
        await charge_at(stand, evse, number)
    for evse in (1, 2):
        await offered(stand, 8, evse)
    await until(lambda: all(stand.state(evse)["power_w"] > 3000 for evse in (1, 2)), "both charge")
    await never(lambda: sum(stand.state(evse)["power_w"] for evse in (1, 2)) > 16.6 * AMPERE, "they draw more")


@pytest.mark.requirement("K11.FR.02", "K12.FR.02")
async def test_an_insignificant_change_is_not_told(stand: Stand) -> None:
    await stand.set({"SmartChargingCtrlr.LimitChangeSignificance": "20"})
    await impose(stand, "modbus", 10_000)
    await notice(stand, "EMS", stand.since)
    since = stand.station.last
    await impose(stand, "modbus", 11_000)
    await until(lambda: stand.bench.rig.ems.state()["modbus"]["limit_w"] == 11_000, "it is imposed")
    await settled(stand)
    assert stand.station.calls("NotifyChargingLimit", since) == []
    await impose(stand, "modbus", 7_000)
    told = await notice(stand, "EMS", since)
    assert told["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 7_000


@pytest.mark.requirement("K11.FR.03", "K12.FR.03")
async def test_without_schedules_only_the_source_is_told(stand: Stand) -> None:
    await stand.set({"SmartChargingCtrlr.NotifyChargingLimitWithSchedules": "false"})
    await impose(stand, "relay", DIMMED)
    assert "chargingSchedule" not in await notice(stand, "SO", stand.since)


@pytest.mark.requirement("K11.FR.06", "K12.FR.05", "K10.FR.08", "K10.FR.09", "K01.FR.05", "K08.FR.04")
async def test_an_external_limit_is_reported_and_the_csms_cannot_touch_it(stand: Stand) -> None:
    await impose(stand, "relay", DIMMED)
    await notice(stand, "SO", stand.since)
    [(evse, source, told)] = await reported(stand, chargingProfilePurpose=EXTERNAL)
    assert (evse, source) == (0, "SO")
    assert told["id"] < 0
    [schedule] = told["chargingSchedule"]
    assert (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"][0]["limit"]) == ("W", DIMMED)
    assert await reported(stand, 0, chargingLimitSource=["SO"]) == [(evse, source, told)]
    assert await reported(stand, stand.evse, chargingLimitSource=["SO"]) == []

    assert await clear(stand, told["id"]) == "Unknown"
    assert await clear(stand, chargingProfilePurpose=EXTERNAL) == "Unknown"
    assert (await send(stand, stand.evse, profile({0: 20}, id=told["id"])))["status"] == "Rejected"
    assert (await composite(stand, 0, 60, "W"))[1] == {0: DIMMED / AMPERE}
    assert (await composite(stand, stand.evse, 60))[1] == {0: 6}


@pytest.mark.requirement("K08.FR.04")
async def test_the_lowest_of_profile_and_external_limit_holds(stand: Stand) -> None:
    await install(stand, stand.evse, profile({0: 12}))
    await stand.charge()
    await offered(stand, 12)
    await impose(stand, "modbus", 9 * AMPERE)
    await offered(stand, 9)
    assert (await composite(stand, stand.evse, 60))[1] == {0: 9}
    await impose(stand, "modbus", 20 * AMPERE)
    await offered(stand, 12)
    assert (await composite(stand, stand.evse, 60))[1] == {0: 12}


@pytest.mark.requirement("K12.FR.02")
async def test_of_limits_that_came_offline_those_in_force_are_told(stand: Stand) -> None:
    since = stand.station.last
    async with stand.offline():
        await impose(stand, "modbus", 8 * AMPERE)
        await impose(stand, "modbus", 9 * AMPERE)
    told = await notice(stand, "EMS", since)
    assert told["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 9 * AMPERE
    assert len(stand.station.calls("NotifyChargingLimit", since)) == 1


async def test_an_ems_counts_only_while_external_control_signals_are_enabled(stand: Stand) -> None:
    await stand.charge()
    await stand.set({"SmartChargingCtrlr.ExternalControlSignalsEnabled": "false"})
    since = stand.station.last
    await impose(stand, "modbus", 8 * AMPERE)
    await never(lambda: stand.state()["offered_a"] < LOCAL - 1, "less is offered")
    assert stand.station.calls("NotifyChargingLimit", since) == []
    await stand.set({"SmartChargingCtrlr.ExternalControlSignalsEnabled": "true"})
    await offered(stand, 8)
    await notice(stand, "EMS", since)
