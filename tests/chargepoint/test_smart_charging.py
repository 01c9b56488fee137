"""The CSMS's charging profiles at work: on disk before Accepted, with their transactions, beside external limits."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.charging.profiles import EXTERNAL, RELATIVE, STATION_MAX, TX, TX_DEFAULT, Period, Profile, Schedule
from agent.evse.records import IdTokenInfo
from agent.ocpp.host import ProfileAnswer, RemoteStart
from tests.chargepoint.limits_parts import CARD, Station, two
from tests.evse.auth_parts import START


def profile(id: int = 1, purpose: str = TX_DEFAULT, amps: float = 10.0, **more: object) -> Profile:
    return Profile(id, purpose, "Absolute", 0, (Schedule(1, "A", (Period(0, amps),), START),), **more)  # type: ignore[arg-type]


async def accepted(station: Station, evse: int, one: Profile) -> None:
    answer = await station.charging.smart_charging.set_profile(evse, one)
    assert answer == ProfileAnswer("Accepted")


async def again(station: Station) -> Station:
    """The same station after a power cut."""
    await station.close()
    made = Station(station.folder, clock=station.clock)
    made.charging.restore(power_lost=True, resume={})
    await made.run()
    return made


@pytest.mark.requirement("K01.FR.27")
async def test_a_profile_is_on_disk_before_it_is_accepted_and_back_after_a_restart(yard: Station) -> None:
    await accepted(yard, 1, profile(amps=13.0))
    assert list(yard.store.kept("charging")) == ["1"]
    assert yard.get("SmartChargingCtrlr.Entries[ChargingProfiles]") == 1
    made = await again(yard)
    assert made.charging.smart_charging.profiles() == [(1, "CSO", profile(amps=13.0))]
    assert made.get("SmartChargingCtrlr.Entries[ChargingProfiles]") == 1
    await made.charge()
    assert made.offered() == 13.0
    assert made.get("SmartChargingCtrlr@1.LimitSource") == "csms"
    await made.close()


@pytest.mark.requirement("K01.FR.27", "K01.FR.05")
async def test_what_cannot_be_stored_is_rejected_and_the_old_one_holds(yard: Station) -> None:
    await accepted(yard, 1, profile(amps=13.0))
    yard.break_disk()
    answer = await yard.charging.smart_charging.set_profile(2, profile(amps=20.0))
    assert (answer.status, answer.reason_code) == ("Rejected", "InternalError")
    answer = await yard.charging.smart_charging.set_profile(0, profile(5, STATION_MAX, 7.0))
    assert answer.status == "Rejected"
    yard.break_disk(False)
    assert yard.charging.smart_charging.profiles() == [(1, "CSO", profile(amps=13.0))]
    assert list(yard.store.kept("charging")) == ["1"]
    await yard.charge()
    assert yard.offered() == 13.0


@pytest.mark.requirement("K02.FR.05", "K01.FR.04")
async def test_a_tx_profile_goes_with_its_transaction(yard: Station) -> None:
    await accepted(yard, 1, profile(1, amps=20.0))
    await yard.charge()
    assert yard.offered() == 20.0
    await accepted(yard, 1, profile(2, TX, 8.0, transaction=yard.transaction()))
    await yard.run()
    assert yard.offered() == 8.0
    await yard.leave()
    assert list(yard.store.kept("charging")) == ["1"]
    assert [one.id for _, _, one in yard.charging.smart_charging.profiles()] == [1]
    await yard.charge()
    assert yard.offered() == 20.0


@pytest.mark.requirement("K02.FR.05")
async def test_a_tx_profile_lasts_over_a_restart_as_long_as_its_transaction(yard: Station) -> None:
    await yard.charge()
    await accepted(yard, 1, profile(2, TX, 8.0, transaction=yard.transaction()))
    await yard.close()
    for resume in (True, False):
        made = Station(yard.folder, clock=yard.clock)
        made.cars[1, 1].cable, made.cars[1, 1].pilot = True, "C"
        made.charging.restore(power_lost=True, resume={1: resume})
        await made.run(10)
        assert (made.offered(), bool(made.store.kept("charging"))) == ((8.0, True) if resume else (0.0, False))
        await made.close()


async def test_a_relative_profile_goes_on_over_a_restart(yard: Station) -> None:
    """It counts from when the car could charge first, not from the restart (K01.FR.42)."""
    await yard.charge()
    schedule = Schedule(1, "A", (Period(0, 20.0), Period(60, 8.0)))
    await accepted(yard, 1, Profile(3, TX, RELATIVE, 0, (schedule,), transaction=yard.transaction()))
    await yard.run(1)
    assert yard.offered() == 20.0
    await yard.run(30)
    await yard.close()
    made = Station(yard.folder, clock=yard.clock)
    made.cars[1, 1].cable, made.cars[1, 1].pilot = True, "C"
    made.charging.restore(power_lost=True, resume={1: True})
    await made.run(10)
    assert made.offered() == 20.0
    await made.run(20)
    assert made.offered() == 8.0
    await made.leave()
    assert made.store.kept("charging") == {}
    await made.close()


@pytest.mark.requirement("K05.FR.02", "K05.FR.03", "F01.FR.09")
async def test_the_profile_of_a_remote_start_is_for_the_transaction_that_comes_of_it(yard: Station) -> None:
    for evse, amps in ((1, 9.0), (2, 7.0)):
        request = RemoteStart(evse, CARD, None, evse, profile(evse, TX, amps))
        answer = yard.charging.request_start(request)
        assert answer.status == "Accepted"
        assert answer.then is not None
        answer.then()
        await yard.settle()
    for evse in (2, 1):
        yard.cars[evse, 1].cable, yard.cars[evse, 1].pilot = True, "C"
        await yard.run(8)
    assert [yard.offered(1), yard.offered(2)] == [9.0, 7.0]
    assert sorted((place, one.id, one.transaction) for place, _, one in yard.charging.smart_charging.profiles()) == [
        (1, 1, yard.transaction(1)),
        (2, 2, yard.transaction(2)),
    ]
    assert sorted(yard.store.kept("charging")) == ["1", "2"]


@pytest.mark.requirement("K05.FR.05", "F01.FR.26")
async def test_a_remote_start_with_a_profile_of_another_purpose_is_rejected(yard: Station) -> None:
    answer = yard.charging.request_start(RemoteStart(7, CARD, None, 1, profile(1, TX_DEFAULT)))
    assert (answer.status, answer.reason_code) == ("Rejected", "InvalidProfile")


@pytest.mark.requirement("K05.FR.04")
async def test_a_station_without_smart_charging_ignores_the_profile_of_a_remote_start(yard: Station) -> None:
    yard.set("SmartChargingCtrlr.Enabled", False)
    answer = yard.charging.request_start(RemoteStart(7, CARD, None, 1, profile(1, TX_DEFAULT)))
    assert answer.status == "Accepted"


@pytest.mark.requirement("K11.FR.06", "K12.FR.05")
async def test_external_limits_are_reported_as_profiles(yard: Station) -> None:
    await accepted(yard, 1, profile(4))
    yard.limit("modbus", 4200.0)
    yard.limit("mqtt", 8.0, "A", scope=2, duration=600)
    await yard.run()
    smart = yard.charging.smart_charging
    found = [(place, source, one.id, one.purpose) for place, source, one in smart.profiles()]
    assert found == [
        (1, "CSO", 4, TX_DEFAULT),
        (0, "EMS", -1, EXTERNAL),
        (2, "SO", -2, EXTERNAL),
    ]
    (_, _, ems), (_, _, grid) = smart.profiles(purpose=EXTERNAL)
    assert (ems.schedules[0].unit, ems.schedules[0].periods, ems.valid_to) == ("W", (Period(0, 4200.0),), None)
    assert grid.valid_to is not None
    assert abs((grid.valid_to - yard.clock.now()).total_seconds() - 599) < 1
    assert [one.id for _, _, one in smart.profiles(sources=("SO",))] == [-2]
    assert [one.id for _, _, one in smart.profiles(evse=0)] == [-1]
    assert [one.id for _, _, one in smart.profiles(ids=(-2, 4))] == [4, -2]
    yard.release("modbus")
    await yard.run()
    assert [one.id for _, _, one in smart.profiles(evse=0)] == []


@pytest.mark.requirement("K10.FR.08", "K10.FR.09")
async def test_external_limits_cannot_be_cleared_or_replaced(yard: Station) -> None:
    await accepted(yard, 1, profile(4))
    yard.limit("modbus", 4200.0)
    await yard.run()
    smart = yard.charging.smart_charging
    assert not await smart.clear_profiles(purpose=EXTERNAL)
    assert not await smart.clear_profiles(id=-1)
    answer = await smart.set_profile(1, profile(-1))
    assert (answer.status, answer.reason_code) == ("Rejected", "InvalidProfile")
    assert await smart.clear_profiles()
    assert [one.id for _, _, one in smart.profiles()] == [-1]
    assert yard.store.kept("charging") == {}


@pytest.mark.requirement("K12.FR.05", "K08.FR.04")
async def test_external_limits_are_in_the_composite_schedule(yard: Station) -> None:
    await accepted(yard, 1, profile(4, amps=20.0))
    yard.limit("modbus", 10.0, "A", scope=1, duration=100)
    await yard.run()
    found = yard.charging.smart_charging.composite(1, 300, "A")
    assert found is not None
    start, schedule = found
    assert start == yard.clock.now()
    assert (schedule.unit, schedule.duration) == ("A", 300)
    assert schedule.periods[0].limit == 10.0
    assert [period.limit for period in schedule.periods] == [10.0, 20.0]
    assert abs(schedule.periods[1].start - 99) <= 1
    watts = yard.charging.smart_charging.composite(1, 300, "W")
    assert watts is not None
    assert [period.limit for period in watts[1].periods] == [6900.0, 13_800.0]
    assert yard.charging.smart_charging.composite(3, 300, "A") is None


async def test_a_station_wide_profile_is_shared(yard: Station) -> None:
    await accepted(yard, 0, profile(9, STATION_MAX, 20.0))
    await yard.charge(1)
    await yard.charge(2, 14)
    assert [yard.offered(1), yard.offered(2)] == [10.0, 10.0]
    await yard.charging.smart_charging.clear_profiles(id=9)
    await yard.run(8)
    assert [yard.offered(1), yard.offered(2)] == [32.0, 32.0]


async def test_disabled_smart_charging_limits_nothing(yard: Station) -> None:
    await accepted(yard, 1, profile(amps=10.0))
    yard.set("SmartChargingCtrlr.Enabled", False)
    await yard.charge()
    assert yard.offered() == 32.0


@pytest.mark.requirement("K03.FR.04", "K03.FR.05", "K03.FR.06")
async def test_the_priority_is_that_of_the_token_until_the_transaction_has_one(tmp_path: Path) -> None:
    station = Station(tmp_path, lambda one: replace(two(one), by_priority=True, station=40.0))
    await station.run()
    station.info = IdTokenInfo("Accepted", charging_priority=3)
    await station.charge(1)
    station.info = IdTokenInfo("Accepted", charging_priority=5)
    await station.charging.clear_cache()
    await station.charge(2, 14)
    assert [station.offered(1), station.offered(2)] == [8.0, 32.0]
    station.charging.transaction_answered(station.transaction(1), None, None, 9)
    await station.run(20)
    assert [station.offered(1), station.offered(2)] == [32.0, 8.0]
    await station.close()
