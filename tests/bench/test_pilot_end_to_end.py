"""The real agent charges a car through the pilot controller of bench-uart, with a CSMS that judges every message."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.bench.bench import Bench
from tests.certification.parts import FACTORY, PATIENCE, SETUP, Stand, token, until

BOOT = 40.0
"""Seconds."""

TOLERANCE = 1.0
"""Wh: what flows from one reading of the meter to the next, and to the contactor's opening, is a little more."""


async def booted(stand: Stand, since: int = 0) -> dict[str, Any]:
    """The BootNotification, once the station has told the state of its connector too."""
    boot = await stand.station.wait_for("BootNotification", since=since, timeout=BOOT)
    await stand.station.wait_for("StatusNotification", since=since, timeout=BOOT)
    return boot


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    bench = Bench("bench-uart", overrides=SETUP, agent_log=tmp_path / "agent.log")
    await bench.start()
    try:
        stand = Stand(bench)
        await booted(stand)
        stand.evse, stand.since = 1, stand.station.last
        await stand.set({path: value for path, value in FACTORY.items() if "Unlock" not in path})  # a fixed cable
        yield stand
        assert stand.csms.violations == []
    finally:
        await bench.stop()
        print((tmp_path / "agent.log").read_text()[-4_000:])


async def charge(stand: Stand) -> str:
    """A car comes, a card is swiped, energy flows; the transaction's id."""
    await stand.plug()
    await stand.swipe(reader=0)
    told = await stand.event(chargingState="Charging")
    await stand.charging()
    return str(told["transactionInfo"]["transactionId"])


def register(payload: dict[str, Any]) -> float:
    """Wh of a TransactionEvent's newest reading."""
    values = [
        sample["value"]
        for meter in payload["meterValue"]
        for sample in meter["sampledValue"]
        if sample["measurand"] == "Energy.Active.Import.Register" and "phase" not in sample
    ]
    return float(values[-1])


def meter(stand: Stand) -> float:
    """Wh, as the bench's meter has it."""
    return stand.bench.world.point("meter", "energy_import").number


async def problem(stand: Stand, component: str, value: str, since: int) -> None:
    """Wait until the CSMS is told that the component has a Problem ("true"), or none any more."""

    def told(payload: dict[str, Any]) -> bool:
        return any(
            (data["component"]["name"], data["variable"]["name"], data["actualValue"])
            == (component, "Problem", value)
            for data in payload["eventData"]
        )

    await stand.station.wait_for("NotifyEvent", told, since, PATIENCE)


def entries(stand: Stand, since: int, what: str) -> list[Any]:
    """The values that the bench has logged since."""
    return [one["value"] for one in stand.bench.world.log.since(since) if one["what"] == what]


def writes(stand: Stand, since: int) -> list[tuple[str, Any]]:
    return [(one["point"], one["value"]) for one in stand.bench.world.log.since(since) if one["what"] == "write"]


async def stop(stand: Stand, number: str) -> None:
    """The card ends the charge: a whole transaction, with what the meter has counted."""
    await stand.swipe(reader=0)
    last = await stand.ended(number, stoppedReason="Local", triggerReason="StopAuthorized")
    await stand.dark()
    assert register(last) == pytest.approx(meter(stand), abs=TOLERANCE)


@pytest.mark.requirement("E02.FR.01", "E07.FR.01")
async def test_a_card_starts_and_stops_a_charge(stand: Stand) -> None:
    assert stand.state()["offered_a"] == 0
    number = await charge(stand)
    assert (stand.state()["contactor"], stand.state()["offered_a"]) == (True, 16)
    (started,) = stand.events(triggerReason="Authorized")
    assert started["idToken"] == token()
    await until(lambda: meter(stand) > 10, "energy")
    await stop(stand, number)
    assert register(stand.whole(number).events[-1]) > 10
    assert stand.state()["pilot"] == "B"
    since = stand.station.last
    await stand.unplug()
    await stand.status("Available", since=since)


async def test_a_remote_start_waits_for_the_car_and_the_car_ends_it(stand: Stand) -> None:
    request = {"evseId": 1, "remoteStartId": 7, "idToken": token()}
    assert (await stand.call("RequestStartTransaction", request))["status"] == "Accepted"
    await stand.plug()
    told = await stand.event(chargingState="Charging")
    await stand.charging()
    stand.connector().unplug("ev")
    stand.bench.world.touched(None)
    assert not stand.state()["contactor"], "hardware does not wait"
    await stand.ended(told["transactionInfo"]["transactionId"], stoppedReason="EVDisconnected")


@pytest.mark.parametrize("fault", ["offline", "garbage", "exception"])
async def test_a_controller_that_is_lost_in_mid_charge_falls_back_and_is_stopped_before_it_goes_on(
    stand: Stand, fault: str
) -> None:
    number = await charge(stand)
    since = stand.station.last
    stand.bench.world.set_fault("charger", fault)
    await problem(stand, "CPPWMController", "true", since)
    await stand.event(since=since, chargingState="SuspendedEVSE")
    await until(lambda: stand.state()["offered_a"] == 6, "the fallback")
    since, position = stand.station.last, stand.bench.world.log.next
    stand.bench.world.set_fault("charger", "none")
    await problem(stand, "CPPWMController", "false", since)
    await stand.event(since=since, chargingState="Charging")
    await until(lambda: stand.state()["offered_a"] == 16, "the whole offer")
    assert writes(stand, position)[0] == ("enable", False), "what was wanted last"
    await stop(stand, number)


async def test_a_car_that_leaves_while_its_controller_is_lost_ends_its_charge(stand: Stand) -> None:
    number = await charge(stand)
    since = stand.station.last
    stand.bench.world.set_fault("charger", "offline")
    await problem(stand, "CPPWMController", "true", since)
    stand.connector().unplug("ev")
    await stand.dark()
    stand.bench.world.set_fault("charger", "none")
    last = await stand.ended(number, stoppedReason="EVDisconnected")
    assert register(last) == pytest.approx(meter(stand), abs=TOLERANCE)


async def test_an_agent_that_is_killed_in_mid_charge_goes_on_with_it(stand: Stand) -> None:
    number = await charge(stand)
    since, position = stand.station.last, stand.bench.world.log.next
    await stand.bench.set_agent("kill")
    boot = await booted(stand, since)
    assert boot["reason"] == "ApplicationReset"
    await until(lambda: ("enable", True) in writes(stand, position), "it is commanded again")
    assert entries(stand, position, "contactor") == [], "the car notices nothing"
    assert set(entries(stand, position, "offered")) <= {6, 16}
    await stop(stand, number)


async def test_a_power_cut_in_mid_charge_is_outlived_by_the_transaction(stand: Stand) -> None:
    number = await charge(stand)
    since = stand.station.last
    await stand.bench.set_power("off")
    assert not stand.state()["contactor"]
    position = stand.bench.world.log.next
    await stand.bench.set_power("on")
    await booted(stand, since)
    await until(lambda: ("enable", True) in writes(stand, position), "it is commanded again")
    await stand.charging()
    await stop(stand, number)


async def test_a_controller_that_starts_enabled_is_stopped_by_the_agent_that_allowed_nothing(stand: Stand) -> None:
    await stand.plug()
    assert not stand.state()["contactor"]
    since = stand.station.last
    await stand.bench.set_power("cycle")
    await until(lambda: stand.state()["contactor"], "it starts enabled")
    await booted(stand, since)
    await stand.dark()
    assert stand.state()["offered_a"] == 0
    assert stand.events(since) == []


async def test_a_relay_that_is_stuck_is_a_fault_until_it_is_not(stand: Stand) -> None:
    number = await charge(stand)
    since = stand.station.last
    stand.bench.world.hold("charger", "contactor_closed", True)
    await stand.swipe(reader=0)
    await stand.status("Faulted", since=since)
    await problem(stand, "PowerContactor", "true", since)
    await stand.ended(number, stoppedReason="Local")
    since = stand.station.last
    stand.bench.world.release("charger", "contactor_closed")
    await stand.status("Occupied", since=since)
    await problem(stand, "PowerContactor", "false", since)
