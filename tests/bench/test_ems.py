"""The bench's control systems and grid, end to end: what they impose is at the plug, and the CSMS knows of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.bench.parts import Control
from tests.certification.parts import PATIENCE, Stand, never, standing, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIMMED = 4200 / 230 / 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    async with standing("bench-ac", tmp_path_factory.mktemp("ems")) as stand:
        yield stand


@pytest_asyncio.fixture(loop_scope="module")
async def stand(_stand: Stand) -> AsyncIterator[Stand]:
    await _stand.begin()
    yield _stand
    _stand.bench.world.set_fault("ems", "none")
    _stand.bench.world.release("ems", "limit_w")
    for system in ("modbus", "relay"):
        await _stand.bench.rig.ems.release(system)
    _stand.bench.world.set_grid(0.0, None)
    await _stand.end()
    assert _stand.csms.violations == []


@pytest.fixture
def control(stand: Stand) -> Control:
    return Control(stand.bench.control_url)


def offered(stand: Stand, evse: int | None = None) -> float:
    return float(stand.state(evse)["offered_a"])


async def notice(stand: Stand, action: str, since: int) -> dict[str, Any]:
    return dict(await stand.station.wait_for(action, since=since, timeout=PATIENCE))


async def full(stand: Stand) -> str:
    """A charge with all that the EVSE has."""
    number = await stand.charge(max_current=32, phases=3)
    await until(lambda: offered(stand) > 31, "32 A are offered", 20)
    return number


@pytest.mark.requirement("K11.FR.01")
@pytest.mark.requirement("K11.FR.02")
@pytest.mark.requirement("K11.FR.04")
@pytest.mark.requirement("K13.FR.01")
@pytest.mark.requirement("K13.FR.02")
@pytest.mark.requirement("K13.FR.03")
async def test_a_limit_of_the_ems_is_at_the_plug_within_a_second_and_its_release_after_five(
    stand: Stand, control: Control
) -> None:
    number = await full(stand)
    since = stand.station.last
    assert await control("POST", "/bench/ems/modbus", {"limit": 4200, "unit": "W", "duration": None}) == {
        "limit_w": 4200
    }
    await until(lambda: offered(stand) == pytest.approx(DIMMED, abs=0.1), "dimmed", 1.0)
    told = await notice(stand, "NotifyChargingLimit", since)
    assert told["chargingLimit"]["chargingLimitSource"] == "EMS"
    assert "chargingSchedule" not in told
    await stand.event(since, triggerReason="ChargingRateChanged", transactionId=number)
    assert (await control("GET", "/bench"))["ems"]["modbus"] == {"limit_w": 4200}
    since = stand.station.last
    await control("POST", "/bench/ems/modbus", {"release": True})
    await notice(stand, "ClearedChargingLimit", since)
    await until(lambda: offered(stand) > 31, "the full current again", 8)
    await stand.event(since, triggerReason="ChargingRateChanged", transactionId=number)


@pytest.mark.requirement("K11.FR.05")
async def test_the_grid_operators_contact_dims_and_is_told_as_his(stand: Stand, control: Control) -> None:
    await full(stand)
    since = stand.station.last
    assert await control("POST", "/bench/ems/relay", {"limit": 1, "unit": "A"}) == {"limit_w": 4200}
    await until(lambda: offered(stand) == pytest.approx(DIMMED, abs=0.1), "dimmed", 1.5)
    told = await notice(stand, "NotifyChargingLimit", since)
    assert told["chargingLimit"] == {"chargingLimitSource": "SO", "isGridCritical": True}
    since = stand.station.last
    await control("POST", "/bench/ems/relay", {"release": True})
    assert (await notice(stand, "ClearedChargingLimit", since))["chargingLimitSource"] == "SO"


@pytest.mark.requirement("K12.FR.02")
@pytest.mark.requirement("K12.FR.03")
async def test_without_a_transaction_the_limit_is_told_with_its_schedule_where_the_csms_wants_that(
    stand: Stand, control: Control
) -> None:
    await stand.set({"SmartChargingCtrlr.NotifyChargingLimitWithSchedules": "true"})
    since = stand.station.last
    await control("POST", "/bench/ems/modbus", {"limit": 10, "unit": "A"})
    told = await notice(stand, "NotifyChargingLimit", since)
    (schedule,) = told["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "A"
    assert [one["limit"] for one in schedule["chargingSchedulePeriod"]] == [10]
    await stand.set({"SmartChargingCtrlr.NotifyChargingLimitWithSchedules": "false"})
    since = stand.station.last
    await stand.plug()
    await stand.swipe()
    await stand.charging()
    assert offered(stand) == pytest.approx(10, abs=0.1)


async def test_an_ems_that_falls_silent_leaves_the_failsafe_limit_until_it_is_back(
    stand: Stand, control: Control
) -> None:
    await full(stand)
    await control("POST", "/bench/device/ems/fault", {"kind": "offline"})
    await never(lambda: offered(stand) < 31, "dimmed before ten seconds", 7)
    await until(lambda: offered(stand) == pytest.approx(DIMMED, abs=0.1), "the failsafe limit", 6)
    await control("POST", "/bench/device/ems/fault", {"kind": "none"})
    await until(lambda: offered(stand) > 31, "the full current again", 10)


async def test_a_limit_below_the_minimum_pauses_and_the_charge_goes_on_after_it(
    stand: Stand, control: Control
) -> None:
    number = await full(stand)
    since = stand.station.last
    await control("POST", "/bench/ems/modbus", {"limit": 1000, "unit": "W"})
    await until(lambda: offered(stand) == 0, "paused", 1.0)
    await stand.dark()
    await stand.event(since, chargingState="SuspendedEVSE", transactionId=number)
    since = stand.station.last
    await control("POST", "/bench/ems/modbus", {"limit": 16, "unit": "A"})
    await stand.event(since, chargingState="Charging", transactionId=number)
    assert offered(stand) == pytest.approx(16, abs=0.1)


async def test_two_cars_share_what_the_ems_leaves_and_the_sum_is_never_more(stand: Stand, control: Control) -> None:
    await control("POST", "/bench/ems/modbus", {"limit": 20, "unit": "A"})
    await stand.charge()
    await until(lambda: offered(stand) == pytest.approx(20, abs=0.1), "all of it", 8)
    first, other = stand.evse, 3 - stand.evse
    over: list[float] = []

    async def watch() -> None:
        while True:
            both = offered(stand, first) + offered(stand, other)
            if both > 20.1:
                over.append(both)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    stand.evse = other
    await stand.plug()
    await stand.swipe("04112233445566")
    await stand.charging()
    await until(lambda: offered(stand, first) == pytest.approx(10, abs=0.1) == offered(stand, other), "halves", 20)
    watching.cancel()
    assert over == []


async def test_the_fuse_is_guarded_whatever_the_building_draws(stand: Stand, control: Control) -> None:
    await full(stand)
    await control("POST", "/bench/grid", {"phases": [11500, 2000, 2000]})  # 50 A on L1: 13 A are left
    await until(lambda: 6 <= offered(stand) <= 13.5, "what the fuse leaves", 8)
    await control("POST", "/bench/grid", {"import_w": 0})
    await until(lambda: offered(stand) > 31, "the full current again", 30)


async def test_a_meter_at_the_grid_that_falls_silent_leaves_the_safe_current(stand: Stand, control: Control) -> None:
    await full(stand)
    await control("POST", "/bench/device/grid-meter/fault", {"kind": "offline"})
    await until(lambda: offered(stand) == pytest.approx(16, abs=0.1), "the safe current", 15)
    await control("POST", "/bench/device/grid-meter/fault", {"kind": "none"})
    await until(lambda: offered(stand) > 31, "the full current again", 30)


async def test_limits_over_a_power_cut_hold_from_the_first_energy_on(stand: Stand, control: Control) -> None:
    await control("POST", "/bench/ems/modbus", {"limit": 10, "unit": "A"})
    await stand.charge()
    seen: list[float] = []

    async def watch() -> None:
        while True:
            seen.append(offered(stand))
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    await stand.boot("power")
    await until(lambda: offered(stand) == pytest.approx(10, abs=0.1), "it goes on", 20)
    watching.cancel()
    assert max(seen) < 10.1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/bench/ems/knx", {"limit": 1}, 404),
        ("/bench/ems/modbus", {}, 422),
        ("/bench/ems/modbus", {"limit": -1}, 422),
        ("/bench/ems/modbus", {"limit": "much"}, 422),
        ("/bench/ems/modbus", {"limit": 1, "unit": "kW"}, 422),
        ("/bench/ems/modbus", {"limit": 1, "duration": 0}, 422),
        ("/bench/ems/modbus", {"release": False}, 422),
        ("/bench/ems/modbus", {"limits": 1}, 422),
        ("/bench/device/ems/fault", {"kind": "exception"}, 422),
    ],
)
async def test_a_bad_request_changes_nothing(stand: Stand, path: str, body: dict[str, Any], status: int) -> None:
    from tests.bench.parts import request

    got, answer = await asyncio.to_thread(request, stand.bench.control_url + path, "POST", body)
    assert (got, "error" in answer) == (status, True)
    assert stand.bench.rig.ems.state()["modbus"] == {"limit_w": None}


async def test_the_point_of_the_ems_can_be_held_and_given_back(stand: Stand, control: Control) -> None:
    await full(stand)
    await control("POST", "/bench/device/ems/point/limit_w", {"value": 6900})
    await until(lambda: offered(stand) == pytest.approx(10, abs=0.1), "held", 2)
    await control("DELETE", "/bench/device/ems/point/limit_w")
    await until(lambda: offered(stand) > 31, "given back", 8)


async def test_a_limit_that_came_while_offline_is_told_when_the_line_is_back(stand: Stand, control: Control) -> None:
    since = stand.station.last
    async with stand.offline():
        await control("POST", "/bench/ems/modbus", {"limit": 5000, "unit": "W"})
        await asyncio.sleep(0.5)
    told = await notice(stand, "NotifyChargingLimit", since)
    assert told["chargingLimit"]["chargingLimitSource"] == "EMS"
