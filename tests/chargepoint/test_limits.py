"""Limits at work on bench-ac: who is told of them, what is kept of them, and what a car that does not obey gets."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from agent.chargepoint.limits import KEEP_SECONDS, Limiters
from agent.chargepoint.limits_making import limiters
from agent.charging.derating import ThermalDerating, ThermalSettings
from agent.charging.fuse import FuseGuard, FuseSettings
from agent.charging.notices import Notice
from agent.store import StoreError
from tests.chargepoint.limits_parts import CARD, OTHER, Station, two


def significance(station: Station, percent: float) -> None:
    station.set("SmartChargingCtrlr.LimitChangeSignificance", percent)


# --- what holds ----------------------------------------------------------------------------------------------------


async def test_the_reason_and_the_systems_are_device_model_variables(yard: Station) -> None:
    await yard.charge()
    assert yard.get("SmartChargingCtrlr@1.EffectiveLimit") == 32.0
    assert yard.get("SmartChargingCtrlr@1.LimitSource") == "board"
    assert yard.get("ExternalControlSystem[modbus].Limit") == 44_160
    yard.limit("modbus", 4200.0)
    yard.limit("mqtt", 10.0, "A", scope=2)
    await yard.run()
    assert yard.get("SmartChargingCtrlr@1.EffectiveLimit") == 6.087
    assert yard.get("SmartChargingCtrlr@1.LimitSource") == "modbus"
    assert yard.get("SmartChargingCtrlr@2.LimitSource") == "modbus"
    assert yard.get("ExternalControlSystem[modbus].State") == "Active"
    assert yard.get("ExternalControlSystem[modbus].Limit") == 4200.0
    assert yard.get("ExternalControlSystem[mqtt].Limit") == 6900.0
    yard.release("modbus")
    await yard.run(7)
    assert yard.get("ExternalControlSystem[modbus].State") == "Released"
    assert yard.get("ExternalControlSystem[modbus].Limit") == 44_160
    assert yard.get("SmartChargingCtrlr@1.LimitSource") == "board"


async def test_a_lower_limit_is_at_the_plug_within_two_looks_and_a_rise_waits(yard: Station) -> None:
    await yard.charge()
    yard.limit("modbus", 6900.0)
    await yard.run(0.5)
    assert yard.offered() == 10.0
    yard.release("modbus")
    await yard.run(4)
    assert yard.offered() == 10.0
    await yard.run(2)
    assert yard.offered() == 32.0


async def test_a_pause_by_a_limit_is_counted(tmp_path: Path) -> None:
    """Also while the contactor opens, which takes a moment: the EVSE does not seem idle meanwhile."""
    station = Station(tmp_path, lambda one: replace(two(one), pauses_per_hour=2))
    await station.run()
    await station.charge()
    for _ in range(4):
        station.limit("modbus", 0.0)
        await station.run(6)
        assert station.charging.evses[1].state == "SuspendedEVSE"
        station.release("modbus")
        await station.run(8)
    assert station.offered() == 0.0
    assert station.get("SmartChargingCtrlr@1.LimitSource") == "pauses"
    states = [event.charging_state for event in station.told if event.trigger_reason == "ChargingStateChanged"]
    assert states.count("SuspendedEVSE") == 2
    await station.close()


async def test_two_cars_share_without_a_moment_of_too_much(tmp_path: Path) -> None:
    station = Station(tmp_path, lambda one: replace(two(one), station=32.0))
    await station.run()
    first = await station.charge(1)
    first.takes = 8.0
    second = station.cars[2, 1]
    second.cable, second.pilot = True, "C"
    await station.run()
    await station.charging._desk.present(OTHER, 2)
    for _ in range(60):
        await station.run(0.25)
        assert station.offered(1) + station.offered(2) <= 32.0
    assert [station.offered(1), station.offered(2)] == [16.0, 16.0]
    assert station.get("SmartChargingCtrlr@2.LimitSource") == "board"
    await station.close()


async def test_after_a_restart_nobody_gets_what_another_may_still_draw(tmp_path: Path) -> None:
    """The agent alone restarts; the hardware of EVSE 2, which charges on, is heard later than that of EVSE 1."""

    def limited(one: Station) -> Limiters:
        return replace(two(one), station=32.0)

    station = Station(tmp_path, limited)
    await station.run()
    await station.charge(1)
    station.cars[2, 1].cable, station.cars[2, 1].pilot = True, "C"
    await station.run()
    await station.charging._desk.present(OTHER, 2)
    await station.run(15)
    assert [station.offered(1), station.offered(2)] == [16.0, 16.0]
    await station.close()
    made = Station(tmp_path, limited, clock=station.clock)
    made.charging.restore(power_lost=False, resume={})
    for evse in (1, 2):
        car = made.cars[evse, 1]
        car.cable, car.pilot, car.locked, car.closed = True, "C", True, True
    made.cars[2, 1].broken = {"pilot": None, "contactor_closed": None}
    for _ in range(8):
        made.look()
        assert (made.offered(1), made.offered(2)) == (16.0, 16.0)
        made.clock.move(0.25)
        await made.settle()
    made.cars[2, 1].broken = {}
    for _ in range(60):
        await made.run(0.25)
        assert made.offered(1) + made.offered(2) <= 32.0
    assert [made.offered(1), made.offered(2)] == [16.0, 16.0]
    await made.close()


async def test_what_is_not_measured_counts_as_it_is_offered(yard: Station) -> None:
    await yard.charge()
    yard.cars[1, 1].takes = 7.0
    await yard.run(1)
    assert yard.charging.limits.drawn() == (7.0, 7.0, 7.0)
    yard.set("FiscalMetering@1.ACCurrent[L1]", None)
    assert yard.charging.limits.drawn() == (32.0, 32.0, 32.0)


@pytest.mark.requirement("K11.FR.06")
async def test_external_control_can_be_switched_off_but_not_the_grid_operator(yard: Station) -> None:
    await yard.charge()
    yard.limit("modbus", 6.0, "A", scope=1)
    yard.limit("mqtt", 16.0, "A", scope=1)
    await yard.run()
    assert yard.offered() == 6.0
    yard.set("SmartChargingCtrlr.ExternalControlSignalsEnabled", False)
    await yard.run(7)
    assert yard.offered() == 16.0
    assert [source for _, source, _ in yard.charging.smart_charging.profiles()] == ["SO"]
    assert yard.notices[-1] == Notice("EMS", 1, None)


# --- the fuse, the heat --------------------------------------------------------------------------------------------


async def test_the_fuse_of_the_grid_connection_is_guarded(tmp_path: Path) -> None:
    fuse = FuseGuard(FuseSettings(40.0, safe_current=10.0, rise=4.0))
    station = Station(tmp_path, lambda one: Limiters(fuse=fuse))
    building, blind = 0.0, False

    async def run(seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            for line in ("L1", "L2", "L3"):
                own = sum(car.amperes for car in station.cars.values())
                station.set(f"ElectricalFeed.ACCurrent[{line}]", None if blind else building + own)
            await station.run(0.25)

    await run(12)
    station.cars[1, 1].cable, station.cars[1, 1].pilot = True, "C"
    await run(1)
    await station.charging._desk.present(CARD, 1)
    await run(10)
    assert station.offered() == 32.0
    building = 25.0
    await run(4)
    assert station.offered() <= 15.0
    await run(20)
    assert station.offered() == 15.0
    assert station.get("SmartChargingCtrlr@1.LimitSource") == "fuse"
    blind = True
    await run(7)
    assert station.offered() == 10.0
    assert station.charging.limits_report({})["sources"][0]["state"] == "Stale"
    await station.close()


async def test_a_hot_cabinet_means_less_current(tmp_path: Path) -> None:
    thermal = ThermalDerating(ThermalSettings(((60.0, 32.0), (80.0, 6.0)), safe_current=8.0), (1, 2))
    station = Station(tmp_path, lambda one: Limiters(thermal=thermal, sensor="TemperatureSensor"))
    station.set("TemperatureSensor.Temperature", 20.0)
    await station.charge()
    assert station.offered() == 32.0
    station.set("TemperatureSensor.Temperature", 70.0)
    await station.run()
    assert station.offered() == 19.0
    assert station.get("SmartChargingCtrlr@1.LimitSource") == "thermal"
    station.set("TemperatureSensor.Temperature", None)
    await station.run(31)
    assert station.offered() == 8.0
    await station.close()


async def test_the_board_says_who_limits(tmp_path: Path) -> None:
    signals: list[tuple[str, str, float | None]] = []

    def board(one: Station) -> Limiters:
        return limiters(one.board, one.model, one.clock, lambda: None, lambda *told: signals.append(told))

    station = Station(tmp_path, board)
    found = station.limiters
    assert sorted(found.systems) == ["modbus", "mqtt", "relay"]
    assert sorted(found.externals) == ["modbus", "mqtt"]
    assert found.fuse is not None
    assert found.thermal is not None
    await station.run()
    # The contact is not read yet, the EMS not heard: what they fall back to holds.
    assert station.get("ExternalControlSystem[relay].State") == "Init"
    assert station.get("ExternalControlSystem[relay].Limit") == 4200.0
    assert station.get("ExternalControlSystem[modbus].Limit") == 4200.0
    station.set("ExternalControlSystem[relay].Active", False)
    await station.run()
    assert station.get("ExternalControlSystem[relay].State") == "Released"
    station.set("ExternalControlSystem[relay].Active", True)
    await station.run()
    assert station.get("ExternalControlSystem[relay].State") == "Active"
    assert [one[1] for one in signals] == ["released", "given"]
    assert {one["name"] for one in station.charging.limits_report({})["sources"]} >= {
        "modbus",
        "relay",
        "fuse",
        "thermal",
    }
    await station.run(12)
    assert station.get("ExternalControlSystem[modbus].State") == "Failsafe"
    assert station.problems == [
        ("ExternalControlSystemmodbus", "control", "nobody has said in time what holds: the failsafe limit does")
    ]
    await station.run(5)
    assert len(station.problems) == 1
    await station.close()


# --- who is told ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K11.FR.04", "K13.FR.03")
async def test_a_rate_is_told_when_it_changed_significantly(yard: Station) -> None:
    significance(yard, 10.0)
    yard.limit("modbus", 20.0, "A", scope=1)
    await yard.charge()
    assert "ChargingRateChanged" not in yard.triggers  # the first rate is no change
    yard.limit("modbus", 18.5, "A", scope=1)
    await yard.run()
    assert yard.offered() == 18.5
    assert "ChargingRateChanged" not in yard.triggers
    yard.limit("modbus", 17.5, "A", scope=1)
    await yard.run()
    assert yard.triggers.count("ChargingRateChanged") == 1
    yard.limit("modbus", 0.0, scope=1)
    await yard.run(4)
    assert yard.triggers.count("ChargingRateChanged") == 2
    yard.release("modbus", 1)
    await yard.run(8)
    assert yard.triggers.count("ChargingRateChanged") == 3
    await yard.leave()
    assert yard.triggers.count("ChargingRateChanged") == 3


@pytest.mark.requirement("K11.FR.02", "K12.FR.02", "K13.FR.02")
async def test_external_limits_are_told_online_and_what_is_in_force_at_a_reconnect(yard: Station) -> None:
    yard.limit("modbus", 4200.0)
    await yard.run()
    assert [(one.source, one.evse, one.value, one.unit) for one in yard.notices] == [("EMS", 0, 4200.0, "W")]
    yard.charging.online(False)
    await yard.run(60)
    yard.release("modbus")
    yard.limit("mqtt", 16.0, "A", scope=2)
    await yard.run(1)
    yard.limit("mqtt", 10.0, "A", scope=2)
    await yard.run(60)
    assert len(yard.notices) == 1
    yard.charging.online(True)
    await yard.run()
    assert [(one.source, one.evse, one.value, one.unit) for one in yard.notices[1:]] == [
        ("EMS", 0, None, "W"),
        ("SO", 2, 10.0, "A"),
    ]


# --- obedience -----------------------------------------------------------------------------------------------------


async def test_a_car_that_does_not_obey_is_cut_off_and_that_is_told_once(yard: Station) -> None:
    car = await yard.charge()
    yard.limit("modbus", 10.0, "A", scope=1)
    await yard.run(1)
    car.stubborn = 32.0
    await yard.run(8)
    assert yard.offered() == 10.0
    await yard.run(6)
    assert (yard.offered(), car.closed) == (0.0, False)
    assert yard.charging.evses[1].state == "SuspendedEVSE"
    assert yard.problems == [
        ("CPPWMController@1", "obedience", "the car draws 32.0 A and is offered 10.0 A: it is cut off")
    ]
    assert yard.get("CPPWMController@1,1.Problem") is True
    yard.release("modbus", 1)
    await yard.run(30)
    assert yard.offered() == 0.0
    await yard.leave()
    assert [text for *_, text in yard.problems[1:]] == [""]
    assert yard.get("CPPWMController@1,1.Problem") is False


async def test_the_next_car_is_not_judged_by_the_last(yard: Station) -> None:
    car = await yard.charge()
    yard.limit("modbus", 10.0, "A", scope=1)
    car.stubborn = 32.0
    await yard.run(20)
    assert yard.charging.evses[1].cut is not None
    await yard.leave()
    await yard.charge(seconds=3)  # it draws too much at first
    assert car.amperes == 32.0
    assert yard.charging.evses[1].cut is None
    car.stubborn = None
    await yard.run(30)
    assert (yard.offered(), yard.charging.evses[1].state) == (10.0, "Charging")


# --- keeping -------------------------------------------------------------------------------------------------------


async def test_what_control_systems_said_is_kept_but_no_flood_of_it(
    yard: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    keep = yard.store.keep

    async def count(changes: list[tuple[str, str | None, str | None]], *more: object) -> list[int]:
        if any(room == "ems" for room, *_ in changes):
            written.append(yard.clock.monotonic())
        return await keep(changes)

    monkeypatch.setattr(yard.store, "keep", count)
    source = yard.limiters.externals["modbus"]
    begin = yard.clock.monotonic()
    for turn in range(160):
        source.configure(limit=4000.0 + turn)
        yard.limit("modbus", 5000.0 + turn)
        await yard.run(0.25)
    assert 1 <= len(written) <= 1 + (yard.clock.monotonic() - begin) / KEEP_SECONDS
    assert all(late - early >= KEEP_SECONDS for early, late in pairwise(written))
    await yard.run(KEEP_SECONDS + 1)
    kept = yard.store.kept("ems")
    assert list(kept) == ["modbus"]
    assert "4159" in kept["modbus"]
    count_before = len(written)
    await yard.run(60)
    assert len(written) == count_before


async def test_a_stricter_limit_is_kept_before_the_power_can_go(yard: Station) -> None:
    for watts in (4190.0, 4180.0, 1500.0):
        yard.limit("modbus", watts)
        await yard.run(1)
        assert json.loads(yard.store.kept("ems")["modbus"])["value"] == watts


async def test_what_control_systems_said_is_back_after_a_restart(yard: Station) -> None:
    yard.limiters.externals["modbus"].configure(limit=3500.0)
    await yard.run(KEEP_SECONDS + 2)
    await yard.close()
    made = Station(yard.folder, clock=yard.clock)
    made.charging.restore(power_lost=True, resume={})
    assert made.limiters.externals["modbus"].failsafe.limit == 3500.0
    await made.close()


async def test_what_cannot_be_kept_is_tried_again(yard: Station) -> None:
    await yard.run(KEEP_SECONDS)
    yard.break_disk()
    yard.limiters.externals["modbus"].configure(limit=3500.0)
    with pytest.raises(StoreError):
        await yard.store.keep([("ems", "x", "y")])
    await yard.run(2)
    assert yard.store.kept("ems") == {}
    yard.break_disk(False)
    await yard.run(KEEP_SECONDS + 1)
    assert json.loads(yard.store.kept("ems")["modbus"])


# --- what is shown -------------------------------------------------------------------------------------------------


async def test_telemetry_is_what_the_meters_and_the_plugs_tell(yard: Station) -> None:
    yard.set("FiscalMetering@1.Power", 11_040.0)
    yard.set("FiscalMetering@2.Power", 0.0)
    yard.limit("modbus", 16.0, "A")
    await yard.charge()
    yard.set("FiscalMetering@1.Power", 11_040.0)
    yard.set("FiscalMetering@2.Power", 0.0)
    told = yard.charging.telemetry()
    assert (told.power_w, told.current_a, told.limit_a, told.source) == (11_040.0, (16.0, 16.0, 16.0), 16.0, "modbus")
    one, two_ = told.evses
    assert (one.status, one.connected, one.charging, one.enabled) == ("C", True, True, True)
    assert (one.offered_a, one.limit_a, one.min_a, one.max_a, one.reason) == (16.0, 16.0, 6.0, 32.0, "modbus")
    assert (one.voltage_v, one.phases, one.token) == ((230.0, 230.0, 230.0), 3, "04A1")
    assert one.session_wh is not None
    assert one.energy_wh is not None
    assert (two_.status, two_.connected, two_.charging, two_.enabled, two_.token) == ("A", False, False, False, "")
    yard.set("FiscalMetering@2.ACCurrent[L1]", None)
    assert yard.charging.telemetry().current_a == (None, None, None)


async def test_the_report_shows_every_source_what_wins_and_the_plan(yard: Station) -> None:
    yard.limit("modbus", 4200.0, duration=600)
    await yard.charge()
    told = json.loads(json.dumps(yard.charging.limits_report({})))
    (ems,) = [one for one in told["sources"] if one["name"] == "modbus" and one["value"] is not None]
    assert (ems["kind"], ems["scope"], ems["state"], ems["value"], ems["unit"]) == ("EMS", 0, "Active", 4200.0, "W")
    assert ems["age"] == pytest.approx(9, abs=1)
    assert ems["until"] == pytest.approx(591, abs=1)
    assert (told["evses"][0]["current"], told["evses"][0]["reason"]) == (6.087, "modbus")
    assert (told["evses"][0]["offered"], told["evses"][0]["active"]) == (6.087, True)
    plan = told["plan"]["scopes"]
    assert [one["evse"] for one in plan] == [0, 1, 2]
    assert plan[1]["periods"][0] == [0, pytest.approx(6.09, abs=0.1)]
    assert plan[1]["periods"][1] == [pytest.approx(591, abs=1), 32.0]
