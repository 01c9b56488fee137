"""Part 5, Core, block G: the status of connectors, and making them (in)operative (part 2, G01 to G05)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.certification.parts import CARD, OTHER, Stand, never, until
from tests.certification.parts2 import (
    CONNECTORS,
    STATION,
    Place,
    change,
    charge_at,
    covered,
    make_operative,
    settled,
    statuses,
    told,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVSE: Place = (1, None)
CONNECTOR: Place = (1, 2)


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _operative(stand: Stand) -> AsyncIterator[None]:
    stand.evse = 1
    yield
    for charger in stand.places.connectors.values():
        charger.jammed = False
    await make_operative(stand)


# --- what each place is told, and what the CSMS hears --------------------------------------------------------------


async def _becomes_inoperative(stand: Stand, place: Place) -> None:
    assert await change(stand, place, "Inoperative") == "Accepted"
    await statuses(stand, "Unavailable", covered(place))
    await settled(stand)
    assert sorted(told(stand, stand.since)) == sorted((*one, "Unavailable") for one in covered(place))


async def _becomes_operative(stand: Stand, place: Place) -> None:
    assert await change(stand, place, "Inoperative") == "Accepted"
    await statuses(stand, "Unavailable", covered(place))
    since = stand.station.last
    assert await change(stand, place, "Operative") == "Accepted"
    await statuses(stand, "Available", covered(place), since)
    await settled(stand)
    assert sorted(told(stand, since)) == sorted((*one, "Available") for one in covered(place))


async def _stays(stand: Stand, place: Place, status: str) -> None:
    if status == "Inoperative":
        await change(stand, place, status)
        await statuses(stand, "Unavailable", covered(place))
    since = stand.station.last
    assert await change(stand, place, status) == "Accepted"
    await settled(stand)
    assert told(stand, since) == []


async def _waits_for_the_transaction(stand: Stand, place: Place) -> None:
    number = await stand.charge()
    since = stand.station.last
    assert await change(stand, place, "Inoperative") == "Scheduled"
    await settled(stand)
    assert (1, 1, "Unavailable") not in told(stand, since)
    assert stand.state()["contactor"]
    await stand.swipe()
    await stand.ended(number)
    await statuses(stand, "Unavailable", covered(place), since)


async def _persists(stand: Stand, place: Place) -> None:
    assert await change(stand, place, "Inoperative") == "Accepted"
    await statuses(stand, "Unavailable", covered(place))
    since = stand.station.last
    await stand.boot("Reset")
    await statuses(stand, "Unavailable", covered(place), since)
    others = [one for one in CONNECTORS if one not in covered(place)]
    await statuses(stand, "Available", others, since)
    assert (1, 1, "Available") not in told(stand, since) or (1, 1) in others


# --- G01, G05 ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("G01.FR.01", "G01.FR.03")
async def test_tc_g_01_available_to_occupied(stand: Stand) -> None:
    await stand.plug()
    payload = await stand.status("Occupied")
    assert payload["timestamp"].endswith("Z")
    await settled(stand)
    assert told(stand, stand.since) == [(1, 1, "Occupied")]


@pytest.mark.requirement("G01.FR.01")
async def test_tc_g_02_occupied_to_available(stand: Stand) -> None:
    await stand.plug()
    since = stand.station.last
    await stand.unplug()
    await stand.status("Available", since=since)
    await settled(stand)
    assert told(stand, since) == [(1, 1, "Available")]


@pytest.mark.requirement("G05.FR.01")
async def test_a_plug_that_cannot_be_locked_is_not_charged_through(stand: Stand) -> None:
    stand.connector().jammed = True
    await stand.plug()
    await stand.swipe()
    await stand.asked()
    await never(lambda: stand.state()["contactor"], "it charges without a lock", 2.0)
    assert not stand.events(chargingState="Charging")


@pytest.mark.requirement("G05.FR.02")
async def test_tc_g_20_lock_failure(stand: Stand) -> None:
    stand.connector().jammed = True
    await stand.plug()
    await stand.swipe()
    payload = await stand.station.wait_for("NotifyEvent", since=stand.since, timeout=6)
    data = next(one for one in payload["eventData"] if one["component"]["name"] == "ConnectorPlugRetentionLock")
    assert data["component"]["evse"] == {"id": 1, "connectorId": 1}
    assert data["variable"]["name"] == "Problem"
    assert data["actualValue"].casefold() == "true"
    assert not stand.state()["contactor"]


# --- G03: an EVSE ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("G03.FR.01", "G03.FR.02")
async def test_tc_g_03_evse_operative_to_inoperative(stand: Stand) -> None:
    await _becomes_inoperative(stand, EVSE)
    await stand.swipe(reader=1)
    await settled(stand)
    assert stand.events() == []


@pytest.mark.requirement("G03.FR.01", "G03.FR.03")
async def test_tc_g_09_evse_operative_to_operative(stand: Stand) -> None:
    await _stays(stand, EVSE, "Operative")


@pytest.mark.requirement("G03.FR.01", "G03.FR.02")
async def test_tc_g_04_evse_inoperative_to_operative(stand: Stand) -> None:
    await _becomes_operative(stand, EVSE)


@pytest.mark.requirement("G03.FR.03")
async def test_tc_g_10_evse_inoperative_to_inoperative(stand: Stand) -> None:
    await _stays(stand, EVSE, "Inoperative")


@pytest.mark.requirement("G03.FR.05")
async def test_tc_g_11_evse_with_ongoing_transaction(stand: Stand) -> None:
    await _waits_for_the_transaction(stand, EVSE)


@pytest.mark.requirement("G03.FR.08")
async def test_tc_g_18_evse_state_persists_across_reboot(stand: Stand) -> None:
    await _persists(stand, EVSE)


# --- G04: the station --------------------------------------------------------------------------------------------


@pytest.mark.requirement("G04.FR.01", "G04.FR.02")
async def test_tc_g_05_charging_station_operative_to_inoperative(stand: Stand) -> None:
    await _becomes_inoperative(stand, STATION)


@pytest.mark.requirement("G04.FR.03")
async def test_tc_g_12_charging_station_operative_to_operative(stand: Stand) -> None:
    await _stays(stand, STATION, "Operative")


@pytest.mark.requirement("G04.FR.01", "G04.FR.02")
async def test_tc_g_06_charging_station_inoperative_to_operative(stand: Stand) -> None:
    await _becomes_operative(stand, STATION)


@pytest.mark.requirement("G04.FR.03")
async def test_tc_g_13_charging_station_inoperative_to_inoperative(stand: Stand) -> None:
    await _stays(stand, STATION, "Inoperative")


@pytest.mark.requirement("G04.FR.09")
async def test_tc_g_21_charging_station_state_persists_across_reboot(stand: Stand) -> None:
    await _persists(stand, STATION)


@pytest.mark.requirement("G04.FR.06")
async def test_tc_g_14_charging_station_with_ongoing_transaction(stand: Stand) -> None:
    await _waits_for_the_transaction(stand, STATION)


# --- G03: a connector --------------------------------------------------------------------------------------------


@pytest.mark.requirement("G03.FR.01", "G03.FR.02")
async def test_tc_g_07_connector_operative_to_inoperative(stand: Stand) -> None:
    await _becomes_inoperative(stand, CONNECTOR)


@pytest.mark.requirement("G03.FR.03")
async def test_tc_g_15_connector_operative_to_operative(stand: Stand) -> None:
    await _stays(stand, CONNECTOR, "Operative")


@pytest.mark.requirement("G03.FR.01", "G03.FR.02")
async def test_tc_g_08_connector_inoperative_to_operative(stand: Stand) -> None:
    await _becomes_operative(stand, CONNECTOR)


@pytest.mark.requirement("G03.FR.03")
async def test_tc_g_16_connector_inoperative_to_inoperative(stand: Stand) -> None:
    await _stays(stand, CONNECTOR, "Inoperative")


@pytest.mark.requirement("G03.FR.05")
async def test_tc_g_17_connector_with_ongoing_transaction(stand: Stand) -> None:
    await _waits_for_the_transaction(stand, (1, 1))


@pytest.mark.requirement("G03.FR.08")
async def test_tc_g_19_connector_state_persists_across_reboot(stand: Stand) -> None:
    await _persists(stand, CONNECTOR)


# --- beside the cases of part 5 ----------------------------------------------------------------------------------


@pytest.mark.requirement("G04.FR.06")
async def test_a_station_that_is_to_be_inoperative_drains_evse_by_evse(stand: Stand) -> None:
    one, two = await charge_at(stand, 1, CARD), await charge_at(stand, 2, OTHER)
    since = stand.station.last
    assert await change(stand, STATION, "Inoperative") == "Scheduled"
    await stand.swipe(CARD, reader=1)
    await stand.ended(one)
    await stand.unplug()
    await until(lambda: not stand.state()["plugged"], "the first car leaves")
    assert stand.state(2)["contactor"]
    await stand.swipe(OTHER, reader=2)
    await stand.ended(two)
    await statuses(stand, "Unavailable", CONNECTORS, since)
