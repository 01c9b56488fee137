"""What an EVSE keeps takes it up again: after a restart of the agent, and after a power cut, at any moment."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evse.evse_parts import ANN, POINTS, TICK, Rig, sound

STEPS = ("token", "cable", "charge", "pause", "stop", "unplug")


def go(rig: Rig, step: str) -> None:
    if step == "token":
        rig.present()
    elif step == "cable":
        rig.plug()
    elif step == "charge":
        rig.run(10)
    elif step == "pause":
        rig.plant.draws = False
        rig.run(10)
    elif step == "stop":
        rig.stop("token", ANN)
    else:
        rig.unplug()
        rig.run(10)


@pytest.mark.parametrize("power_lost", [False, True], ids=["restart", "power cut"])
@pytest.mark.parametrize("done", range(len(STEPS) + 1))
@pytest.mark.parametrize("stop", ["Authorized", "EVConnected", "EnergyTransfer"])
def test_a_session_goes_on_from_every_point(stop: str, done: int, power_lost: bool) -> None:
    rig = Rig(TxCtrlr_TxStartPoint="Authorized", TxCtrlr_TxStopPoint=stop)
    for step in STEPS[:done]:
        go(rig, step)
    rig.restart(power_lost=power_lost)
    rig.run(10)
    for step in STEPS[done:]:
        go(rig, step)
    sound(rig.events)
    assert len({event.transaction_id for event in rig.events}) == 1
    if stop != "EnergyTransfer":
        assert rig.ended.stopped_reason == "Local"
    assert rig.texts[-1] == ""


def test_a_power_cut_that_ends_a_transaction_of_energy_is_told() -> None:
    rig = Rig(TxCtrlr_TxStopPoint="EnergyTransfer")
    rig.charge()
    rig.restart(power_lost=True)
    rig.run(10)
    assert "Ended" not in rig.types or rig.ended.stopped_reason == "PowerLoss"


@pytest.mark.parametrize("settings", [{"TxCtrlr_TxStartPoint": "EVConnected"}, {"AuthCtrlr_Enabled": False}], ids=str)
def test_a_car_that_was_served_starts_nothing_by_itself_after_a_restart(settings: dict[str, bool | str]) -> None:
    rig = Rig(TxCtrlr_TxStopPoint="Authorized", **settings)
    rig.plug()
    rig.evse.authorize(ANN)
    rig.run(8)
    rig.stop("button")
    rig.run(10)
    assert rig.types[-1] == "Ended"
    rig.restart(power_lost=False)
    rig.run(10)
    assert rig.types[-1] == "Ended"


def test_what_was_kept_is_what_is_kept_again() -> None:
    rig = Rig()
    rig.charge()
    kept = rig.evse.to_json()
    rig.restart(kept, power_lost=False)
    again, before = json.loads(rig.evse.to_json()), json.loads(kept)
    for data in (again, before):
        data["sampling"].pop("last")
    assert again == before


def test_nothing_is_kept_of_an_idle_evse() -> None:
    rig = Rig()
    rig.run(2)
    assert rig.evse.to_json() == ""


def test_a_restart_of_the_agent_leaves_the_charge_alone() -> None:
    rig = Rig()
    rig.charge()
    events = len(rig.events)
    rig.restart(power_lost=False)
    for _ in range(80):
        rig.tick()
        assert rig.plant.closed and rig.plant.locked
        assert rig.command.offered == 32
    assert [
        event.trigger_reason for event in rig.events[events:] if event.trigger_reason != "MeterValuePeriodic"
    ] == []


def test_a_restart_with_a_silent_controller_commands_nothing_else_until_it_is_heard() -> None:
    rig = Rig()
    rig.charge()
    rig.restart(power_lost=False)
    rig.plant.broken["pilot"] = None
    rig.run(1)
    assert "Ended" not in rig.types
    rig.plant.broken.clear()
    rig.run(8)
    assert rig.evse.state == "Charging"


def test_the_time_that_was_spent_charging_is_not_forgotten() -> None:
    rig = Rig()
    rig.charge()
    rig.run(60)
    rig.plant.draws = False
    rig.run(10)
    rig.restart(power_lost=False)
    rig.run(5)
    rig.stop("token", ANN)
    assert rig.ended.time_spent_charging is not None
    assert 58 <= rig.ended.time_spent_charging <= 68


def test_a_car_that_left_while_the_agent_was_away_has_left() -> None:
    rig = Rig(TxCtrlr_TxStopPoint="EVConnected")
    rig.charge()
    rig.plant.cable, rig.plant.pilot = False, "A"
    rig.restart(power_lost=True)
    rig.run(10)
    assert (rig.ended.trigger_reason, rig.ended.stopped_reason) == ("EVCommunicationLost", "EVDisconnected")


def test_an_end_that_was_about_to_be_told_is_told_once() -> None:
    rig = Rig()
    rig.charge()
    rig.evse.end_authorization("token", ANN)
    rig.collect()
    assert "Ended" not in rig.types
    rig.restart(power_lost=False)
    rig.run(10)
    assert (rig.ended.trigger_reason, rig.ended.stopped_reason, rig.ended.id_token) == (
        "StopAuthorized",
        "Local",
        ANN,
    )
    assert not rig.plant.closed
    sound(rig.events)


@pytest.mark.requirement("E05.FR.11")
def test_a_cable_that_is_held_for_its_owner_is_held_after_a_power_cut() -> None:
    rig = Rig(TxCtrlr_StopTxOnInvalidId=True, TxCtrlr_TxStopPoint="Authorized")
    rig.charge()
    assert rig.evse.tx is not None
    rig.evse.refused(rig.evse.tx.id)
    rig.run(10)
    rig.restart(power_lost=True)
    rig.run(5)
    assert rig.plant.locked and rig.evse.held_by == ANN


@pytest.mark.requirement("E10.FR.01")
@pytest.mark.parametrize("power_lost", [False, True], ids=["restart", "power cut"])
def test_a_cable_that_waits_for_its_owner_waits_after_a_restart(power_lost: bool) -> None:
    rig = Rig(TxCtrlr_StopTxOnEVSideDisconnect=False, TxCtrlr_TxStopPoint="Authorized")
    rig.charge()
    rig.car_unplugs()
    rig.restart(power_lost=power_lost)
    rig.run(90)
    assert "Ended" not in rig.types and rig.plant.locked


@pytest.mark.requirement("E03.FR.05")
def test_the_time_to_plug_in_runs_on_over_a_restart() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="Authorized", TxCtrlr_TxStopPoint="Authorized", TxCtrlr_EVConnectionTimeOut=20)
    rig.present()
    rig.run(10)
    rig.restart(rig.evse.to_json(), power_lost=False)
    rig.run(8)
    assert "Ended" not in rig.types
    rig.run(3)
    assert rig.ended.trigger_reason == "EVConnectTimeout"


@pytest.mark.requirement("E05.FR.03")
def test_energy_that_was_allowed_beyond_a_refusal_is_not_allowed_twice() -> None:
    rig = Rig(TxCtrlr_StopTxOnInvalidId=False, TxCtrlr_MaxEnergyOnInvalidId=200)
    rig.charge()
    assert rig.evse.tx is not None
    rig.evse.refused(rig.evse.tx.id)
    start = rig.wh
    rig.run(10)
    rig.restart(power_lost=True)
    rig.run(120)
    assert 200 <= rig.wh - start < 225


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"auth":null}'])
def test_what_is_no_text_of_an_evse_is_refused(text: str) -> None:
    rig = Rig()
    with pytest.raises((ValueError, KeyError, TypeError)):
        rig.evse.restore(text, power_lost=False, resume=True)


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 60), max_size=5),
    power_lost=st.booleans(),
    start=st.sampled_from(POINTS[1:]),
    stop=st.sampled_from(POINTS[1:]),
)
def test_cuts_at_any_moment_leave_one_sound_transaction(
    cuts: list[int], power_lost: bool, start: str, stop: str
) -> None:
    rig = Rig(TxCtrlr_TxStartPoint=start, TxCtrlr_TxStopPoint=stop)
    script = {2: "plug", 10: "token", 50: "stop", 90: "unplug"}
    due, tick = {sum(cuts[: index + 1]) for index in range(len(cuts))}, 0
    while tick < 160:
        tick += 1
        step = script.get(tick)
        if step == "plug":
            rig.plant.cable, rig.plant.pilot = True, "C"
        elif step == "token":
            rig.evse.authorize(ANN)
        elif step == "stop" and rig.evse.auth is not None:
            rig.evse.end_authorization("token", ANN)
        elif step == "unplug":
            rig.plant.cable, rig.plant.pilot = False, "A"
        rig.tick()
        if tick in due and "Ended" not in rig.types:
            rig.restart(power_lost=power_lost)
    sound(rig.events)
    assert rig.clock.monotonic() == 1000 + 160 * TICK
    assert len({event.transaction_id for event in rig.events}) == 1, rig.events
    assert rig.types[-1] == "Ended"
