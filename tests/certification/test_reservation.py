"""Part 5, Reservation, block H: an EVSE is kept for a driver (part 2, H01 to H04), and B11 with a reservation.

A reservation names the driver CARD; OTHER is somebody else. EVSE 1 has the connectors 1/1 (sType2) and 1/2 (cType2),
EVSE 2 has 2/1 (sType2).
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.certification.parts import CARD, GROUP, OTHER, THIRD, Stand, info, token
from tests.certification.parts2 import (
    cancel,
    change,
    charge_at,
    fault,
    make_operative,
    remote_start,
    reservation_update,
    reserve,
    settled,
    statuses,
    told,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_1 = ((1, 1), (1, 2))
AT_2 = ((2, 1),)
SOCKET, CABLE = "sType2", "cType2"


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_reserved(stand: Stand) -> AsyncIterator[None]:
    stand.evse = 1
    await stand.set({"TxCtrlr.TxStartPoint": "Authorized", "ReservationCtrlr.Enabled": "true"})
    yield
    for evse in (1, 2):
        stand.bench.world.release(f"rcd-{evse}", "tripped")
    for number in (1, 2, 3):
        await cancel(stand, number)
    await make_operative(stand)


async def _comes(stand: Stand, number: str, evse: int, reservation: int | None) -> None:
    """A driver comes to an EVSE, and their transaction begins, with the reservation that it uses."""
    since = stand.station.last
    await stand.swipe(number, reader=evse)
    first = await stand.event(since=since, eventType="Started", idToken=token(number))
    assert first["evse"]["id"] == evse
    assert first.get("reservationId") == reservation


async def _is_sent_away(stand: Stand, number: str, evse: int) -> None:
    since = stand.station.last
    await stand.swipe(number, reader=evse)
    await stand.asked(number, since)
    await settled(stand)
    assert stand.events(since=since) == []


# --- H01: a certain EVSE -----------------------------------------------------------------------------------------


@pytest.mark.requirement("H01.FR.03", "H01.FR.15", "H01.FR.23", "H03.FR.01", "H03.FR.09", "H03.FR.10")
async def test_tc_h_01_reserve_a_specific_evse_accepted_valid_id_token(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    since = stand.station.last
    await _comes(stand, CARD, 1, reservation=1)
    await statuses(stand, "Available", AT_1, since)
    await stand.plug()
    await stand.event(chargingState="Charging", since=since)
    assert await cancel(stand) == "Rejected"


@pytest.mark.requirement("H01.FR.23", "H03.FR.01")
async def test_tc_h_02_reserve_a_specific_evse_accepted_different_id_token(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    await _is_sent_away(stand, OTHER, 1)
    await _comes(stand, OTHER, 2, reservation=None)
    assert await cancel(stand) == "Accepted"


@pytest.mark.requirement("H01.FR.11")
async def test_tc_h_03_reserve_a_specific_evse_occupied_evse_reserved(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    assert await reserve(stand, OTHER, reservation=2) == "Occupied"
    await _is_sent_away(stand, OTHER, 1)


@pytest.mark.requirement("H01.FR.11")
async def test_tc_h_04_reserve_a_specific_evse_occupied_evse_occupied(stand: Stand) -> None:
    await stand.plug()
    assert await reserve(stand) == "Occupied"


@pytest.mark.requirement("H01.FR.12")
async def test_tc_h_05_reserve_a_specific_evse_faulted(stand: Stand) -> None:
    await fault(stand, 1)
    assert await reserve(stand) == "Faulted"
    assert await reserve(stand, evse=2) == "Accepted"
    await fault(stand, 1, False)


@pytest.mark.requirement("H01.FR.14")
async def test_tc_h_06_reserve_a_specific_evse_unavailable(stand: Stand) -> None:
    await change(stand, (1, None), "Inoperative")
    assert await reserve(stand) == "Unavailable"


@pytest.mark.requirement("H04.FR.01", "H04.FR.02", "H04.FR.03")
async def test_tc_h_07_reservation_ended_not_used(stand: Stand) -> None:
    assert await reserve(stand, seconds=1.5) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    since = stand.station.last
    await reservation_update(stand, 1, "Expired", since)
    await statuses(stand, "Available", AT_1, since)
    await _comes(stand, OTHER, 1, reservation=None)


@pytest.mark.requirement("H01.FR.01")
async def test_tc_h_22_reserve_a_specific_evse_configured_to_reject(stand: Stand) -> None:
    await stand.set({"ReservationCtrlr.Enabled": "false"})
    assert await reserve(stand) == "Rejected"
    await settled(stand)
    assert told(stand, stand.since) == []


@pytest.mark.requirement("H01.FR.02")
async def test_tc_h_23_reserve_a_specific_evse_replace_reservation(stand: Stand) -> None:
    assert await reserve(stand, CARD, 1) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    assert await reserve(stand, OTHER, 1) == "Accepted"
    await _is_sent_away(stand, CARD, 1)
    await _comes(stand, OTHER, 1, reservation=1)


@pytest.mark.requirement("H03.FR.04", "H03.FR.07", "H03.FR.08")
async def test_tc_h_19_use_a_reserved_evse_with_group_id(stand: Stand) -> None:
    stand.known[OTHER] = info(group=GROUP)
    assert await reserve(stand, group=GROUP) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    await _is_sent_away(stand, THIRD, 1)
    await _comes(stand, OTHER, 1, reservation=1)


# --- H01: any EVSE (R-2) -----------------------------------------------------------------------------------------


@pytest.mark.requirement("H01.FR.04", "H01.FR.07", "H01.FR.18", "H03.FR.03")
async def test_tc_h_08_reserve_an_unspecified_evse_accepted(stand: Stand) -> None:
    assert await reserve(stand, evse=None) == "Accepted"
    await settled(stand)
    assert told(stand, stand.since) == []  # there is another one
    await _comes(stand, CARD, 2, reservation=1)
    await _comes(stand, OTHER, 1, reservation=None)


@pytest.mark.requirement("H01.FR.11")
async def test_tc_h_09_reserve_an_unspecified_evse_occupied_evse_reserved(stand: Stand) -> None:
    assert await reserve(stand, CARD, 1, reservation=1) == "Accepted"
    assert await reserve(stand, OTHER, 2, reservation=2) == "Accepted"
    assert await reserve(stand, THIRD, None, reservation=3) == "Occupied"


@pytest.mark.requirement("H01.FR.11")
async def test_tc_h_10_reserve_an_unspecified_evse_occupied_evse_occupied(stand: Stand) -> None:
    await stand.plug(1)
    await stand.plug(2)
    assert await reserve(stand, evse=None) == "Occupied"


@pytest.mark.requirement("H01.FR.14")
async def test_tc_h_12_reserve_an_unspecified_evse_unavailable(stand: Stand) -> None:
    await change(stand, (None, None), "Inoperative")
    assert await reserve(stand, evse=None) == "Unavailable"


@pytest.mark.requirement("H01.FR.07", "H01.FR.20")
async def test_tc_h_14_amount_of_evses_available_equals_the_amount_of_reservations(stand: Stand) -> None:
    assert await reserve(stand, CARD, None, reservation=1) == "Accepted"
    assert await reserve(stand, OTHER, None, reservation=2) == "Accepted"
    await statuses(stand, "Reserved", (*AT_1, *AT_2))
    await _is_sent_away(stand, THIRD, 1)
    since = stand.station.last
    await _comes(stand, OTHER, 2, reservation=2)
    await statuses(stand, "Available", AT_2, since)
    await _is_sent_away(stand, THIRD, 1)
    await _comes(stand, CARD, 1, reservation=1)


@pytest.mark.requirement("H03.FR.06")
async def test_tc_h_24_reserve_an_unspecified_evse_group_id_token(stand: Stand) -> None:
    stand.known[OTHER] = info(group=GROUP)
    assert await reserve(stand, evse=None, group=GROUP) == "Accepted"
    await _comes(stand, OTHER, 1, reservation=1)
    assert await cancel(stand) == "Rejected"


# --- H01: a type of connector (R-1) ------------------------------------------------------------------------------


@pytest.mark.requirement("H01.FR.06", "H01.FR.09", "H01.FR.24", "H03.FR.02")
async def test_tc_h_15_reserve_a_connector_with_a_specific_type_success(stand: Stand) -> None:
    assert await reserve(stand, evse=None, kind=CABLE) == "Accepted"
    await statuses(stand, "Reserved", AT_1)  # EVSE 2 has none of that type
    await _is_sent_away(stand, OTHER, 1)
    await _comes(stand, CARD, 1, reservation=1)


@pytest.mark.requirement("H01.FR.09", "H01.FR.11", "H01.FR.24")
async def test_tc_h_16_amount_of_available_connectors_of_a_type_equals_the_amount_of_reservations(
    stand: Stand,
) -> None:
    assert await reserve(stand, CARD, None, reservation=1, kind=SOCKET) == "Accepted"
    assert await reserve(stand, OTHER, None, reservation=2, kind=SOCKET) == "Accepted"
    await statuses(stand, "Reserved", (*AT_1, *AT_2))
    assert await reserve(stand, THIRD, None, reservation=3, kind=SOCKET) == "Occupied"
    await _is_sent_away(stand, THIRD, 2)


# --- H02, and what ends a reservation ----------------------------------------------------------------------------


@pytest.mark.requirement("H02.FR.02")
async def test_tc_h_17_cancel_reservation_success(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    since = stand.station.last
    assert await cancel(stand) == "Accepted"
    await statuses(stand, "Available", AT_1, since)
    assert not stand.station.calls("ReservationStatusUpdate", stand.since)
    await _comes(stand, OTHER, 1, reservation=None)


@pytest.mark.requirement("H02.FR.01")
async def test_tc_h_18_cancel_reservation_rejected(stand: Stand) -> None:
    assert await reserve(stand, reservation=1) == "Accepted"
    assert await cancel(stand, 2) == "Rejected"
    assert await cancel(stand, 1) == "Accepted"


@pytest.mark.requirement("H01.FR.16")
async def test_tc_h_20_charging_station_cancels_reservation_when_faulted(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    await fault(stand, 1)
    await reservation_update(stand, 1, "Removed")
    await fault(stand, 1, False)
    assert await cancel(stand) == "Rejected"


@pytest.mark.requirement("H01.FR.17")
async def test_tc_h_21_charging_station_cancels_reservation_when_unavailable(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    since = stand.station.last
    assert await change(stand, (1, None), "Inoperative") == "Accepted"
    await statuses(stand, "Unavailable", AT_1, since)
    await reservation_update(stand, 1, "Removed")
    assert await cancel(stand) == "Rejected"


# --- B11: a restart, and a power cut -----------------------------------------------------------------------------


@pytest.mark.requirement("B11.FR.05")
async def test_tc_b_24_reset_charging_station_reserved_persists_reset(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    since = stand.station.last
    await stand.boot("Reset")
    await statuses(stand, "Reserved", AT_1, since)
    await _is_sent_away(stand, OTHER, 1)
    await _comes(stand, CARD, 1, reservation=1)


# --- beside the cases of part 5 ----------------------------------------------------------------------------------


@pytest.mark.requirement("H03.FR.01", "F02.FR.06")
async def test_a_remote_start_uses_the_reservation(stand: Stand) -> None:
    assert await reserve(stand) == "Accepted"
    assert (await remote_start(stand, OTHER))["status"] == "Rejected"
    assert (await remote_start(stand, CARD))["status"] == "Accepted"
    first = await stand.event(eventType="Started", idToken=token())
    assert first["reservationId"] == 1


@pytest.mark.requirement("H01.FR.23")
async def test_a_running_transaction_does_not_hinder_a_reservation_next_to_it(stand: Stand) -> None:
    await charge_at(stand, 2, OTHER)
    assert await reserve(stand) == "Accepted"
    await statuses(stand, "Reserved", AT_1)
    assert stand.state(2)["contactor"]
