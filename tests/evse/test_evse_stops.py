"""What ends an authorization, a transaction or a charge, and what is told of it (E03, E05 to E10, F03, G05)."""

import pytest

from agent.evse.power_path import Protections
from agent.evse.records import TransactionEvent
from tests.evse.evse_parts import ANN, BOB, POINTS, Rig, sound


def told(event: TransactionEvent) -> tuple[str, str, str | None]:
    return event.event_type, event.trigger_reason, event.stopped_reason


def charging(**settings: bool | int | str) -> Rig:
    rig = Rig(**settings)
    rig.charge()
    return rig


# --- the driver and the CSMS ----------------------------------------------------------------------------------------


@pytest.mark.requirement("E06.FR.03", "E06.FR.08", "E07.FR.02", "E07.FR.05", "F03.FR.02")
@pytest.mark.parametrize(
    ("cause", "trigger", "reason"),
    [
        ("token", "StopAuthorized", "Local"),
        ("button", "StopAuthorized", "Local"),
        ("master pass", "StopAuthorized", "MasterPass"),
        ("remote", "RemoteStop", "Remote"),
        ("reset", "ResetCommand", "ImmediateReset"),
    ],
)
def test_who_stops_is_told(cause: str, trigger: str, reason: str) -> None:
    rig = charging()
    rig.stop(cause)
    assert told(rig.ended) == ("Ended", trigger, reason)
    assert not rig.command.enable and not rig.plant.closed
    sound(rig.events)


@pytest.mark.requirement("E07.FR.02")
def test_the_token_that_stops_is_told() -> None:
    rig = charging()
    rig.stop("token", BOB)
    assert rig.ended.id_token == BOB


@pytest.mark.parametrize("cause", ["token", "button", "remote", "master pass"])
def test_a_transaction_that_outlasts_its_authorization_tells_why_it_was_stopped(cause: str) -> None:
    rig = charging(TxCtrlr_TxStopPoint="EVConnected")
    rig.stop(cause)
    assert "Ended" not in rig.types
    assert rig.evse.state == "EVConnected"
    rig.unplug()
    rig.run(5)
    reason = {"remote": "Remote", "master pass": "MasterPass"}.get(cause, "Local")
    assert told(rig.ended) == ("Ended", "EVCommunicationLost", reason)
    sound(rig.events)


@pytest.mark.requirement("E06.FR.10")
@pytest.mark.parametrize("cause", ["token", "button", "remote"])
def test_the_plug_is_let_go_at_a_normal_end(cause: str) -> None:
    rig = charging()
    assert rig.plant.locked
    rig.stop(cause)
    assert not rig.plant.locked


def test_the_contactor_is_open_and_the_meter_was_read_before_the_end_is_told() -> None:
    rig = charging(SampledDataCtrlr_TxEndedMeasurands="Energy.Active.Import.Register")
    rig.evse.end_authorization("token", ANN)
    while "Ended" not in rig.types:
        assert "Ended" not in rig.types
        rig.tick()
    assert not rig.plant.closed
    values = [sample for value in rig.ended.meter_values for sample in value.samples]
    assert values[-1].value == pytest.approx(rig.wh)
    assert (values[-1].context, values[0].context) == ("Transaction.End", "Transaction.Begin")


def test_a_silent_meter_holds_up_no_end_for_ever() -> None:
    rig = charging()
    rig.metered = False
    rig.stop("token", seconds=8)
    assert told(rig.ended) == ("Ended", "StopAuthorized", "Local")


# --- an invalid token -----------------------------------------------------------------------------------------------


def refuse(rig: Rig) -> None:
    assert rig.evse.tx is not None
    rig.evse.refused(rig.evse.tx.id)


@pytest.mark.requirement("E05.FR.10", "E05.FR.11", "E06.FR.04")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed"])
def test_a_refused_token_ends_the_transaction_and_the_plug_stays_locked(stop: str) -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=True, TxCtrlr_TxStopPoint=stop)
    refuse(rig)
    rig.run(10)
    assert told(rig.ended) == ("Ended", "Deauthorized", "DeAuthorized")
    assert rig.plant.locked and rig.evse.held_by == ANN
    assert not rig.plant.closed
    rig.evse.unlock(5)
    rig.run(2)
    assert not rig.plant.locked


@pytest.mark.requirement("E05.FR.10")
def test_a_refused_token_ends_a_transaction_of_energy() -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=True, TxCtrlr_TxStopPoint="EnergyTransfer")
    refuse(rig)
    rig.run(10)
    assert rig.ended.stopped_reason == "DeAuthorized"


@pytest.mark.requirement("E05.FR.10")
def test_the_end_of_a_transaction_of_energy_tells_that_its_token_was_refused() -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=True, TxCtrlr_TxStopPoint="EnergyTransfer")
    refuse(rig)
    rig.run(10)
    assert rig.ended.trigger_reason == "Deauthorized"


@pytest.mark.requirement("E05.FR.09")
@pytest.mark.parametrize("stop", ["EVConnected", "ParkingBayOccupancy"])
def test_a_refused_token_only_ends_the_charge_where_the_transaction_hangs_on_the_car(stop: str) -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=True, TxCtrlr_TxStopPoint=stop)
    before = len(rig.events)
    refuse(rig)
    rig.run(10)
    assert rig.events[before].event_type == "Updated"
    assert rig.events[before].trigger_reason == "Deauthorized"
    assert {event.event_type for event in rig.events[before:]} == {"Updated"}
    assert [event.charging_state for event in rig.events[before : before + 2]][-1] in ("EVConnected", "SuspendedEVSE")
    assert not rig.plant.closed


@pytest.mark.requirement("E05.FR.02")
@pytest.mark.parametrize("stop", [point for point in POINTS if point != "EnergyTransfer"])
def test_without_stop_on_invalid_id_energy_ends_at_once_and_the_transaction_goes_on(stop: str) -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=False, TxCtrlr_MaxEnergyOnInvalidId=0, TxCtrlr_TxStopPoint=stop)
    before = len(rig.events)
    refuse(rig)
    rig.tick()
    assert rig.command.offered == 0
    rig.run(10)
    assert told(rig.events[before]) == ("Updated", "ChargingStateChanged", None)
    assert "Ended" not in rig.types and not rig.plant.closed
    assert rig.evse.auth is not None
    rig.stop("token", ANN)
    if stop in ("Authorized", "PowerPathClosed"):
        assert rig.ended.stopped_reason == "Local"
    sound(rig.events)


SUSPENDED = (
    "CHARGING_STATES: 'not offered yet' reads as the negation of 'offered yet', so SuspendedEVSE is never told"
)


@pytest.mark.requirement("E05.FR.02")
def test_a_refused_token_suspends_the_charge() -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=False, TxCtrlr_MaxEnergyOnInvalidId=0)
    refuse(rig)
    rig.run(10)
    assert (rig.last.trigger_reason, rig.last.charging_state) == ("ChargingStateChanged", "SuspendedEVSE")


def test_a_limit_below_the_least_current_suspends_the_charge() -> None:
    rig = charging()
    rig.limit = 0.0
    rig.run(10)
    assert rig.last.charging_state == "SuspendedEVSE"


@pytest.mark.requirement("E05.FR.03")
def test_energy_flows_on_until_what_is_allowed_beyond_has_flowed() -> None:
    rig = charging(TxCtrlr_StopTxOnInvalidId=False, TxCtrlr_MaxEnergyOnInvalidId=200)
    start = rig.wh
    refuse(rig)
    while rig.wh - start < 195:
        rig.tick()
        assert rig.command.offered == rig.limit
    rig.run(10)
    assert 200 <= rig.wh - start < 220
    assert not rig.plant.closed
    rig.run(60)
    assert rig.wh - start < 220


def test_a_refusal_of_another_transaction_changes_nothing() -> None:
    rig = charging()
    rig.evse.refused("tx-of-yesterday")
    rig.run(5)
    assert (rig.evse.state, "Ended" in rig.types) == ("Charging", False)


# --- the cable ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E09.FR.01", "E09.FR.02")
def test_a_cable_pulled_from_the_car_ends_the_authorization_and_is_let_go() -> None:
    rig = charging(
        TxCtrlr_StopTxOnEVSideDisconnect=True,
        OCPPCommCtrlr_UnlockOnEVSideDisconnect=True,
        TxCtrlr_TxStopPoint="Authorized",
    )
    rig.car_unplugs()
    assert not rig.command.enable
    rig.run(10)
    assert told(rig.ended) == ("Ended", "EVCommunicationLost", "EVDisconnected")
    assert not rig.plant.locked
    rig.plant.pilot = "C"
    rig.run(20)
    assert not rig.plant.closed


@pytest.mark.requirement("E09.FR.01")
def test_a_car_that_comes_back_is_charged_only_for_a_new_authorization() -> None:
    rig = charging(TxCtrlr_StopTxOnEVSideDisconnect=True, TxCtrlr_TxStopPoint="ParkingBayOccupancy")
    rig.car_unplugs()
    rig.plug()
    rig.run(20)
    assert not rig.plant.closed and rig.evse.auth is None
    rig.present()
    rig.run(8)
    assert rig.evse.state == "Charging"
    assert "Ended" not in rig.types


@pytest.mark.requirement("E09.FR.03")
def test_a_cable_pulled_from_the_car_stays_locked_for_its_owner() -> None:
    rig = charging(TxCtrlr_StopTxOnEVSideDisconnect=True, OCPPCommCtrlr_UnlockOnEVSideDisconnect=False)
    rig.car_unplugs()
    rig.run(60)
    assert rig.plant.locked and rig.evse.held_by == ANN
    rig.evse.unlock(5)
    rig.run(2)
    assert not rig.plant.locked


@pytest.mark.requirement("E10.FR.01")
def test_a_transaction_that_goes_on_keeps_the_cable_for_its_owner_and_charges_again() -> None:
    rig = charging(TxCtrlr_StopTxOnEVSideDisconnect=False, TxCtrlr_TxStopPoint="Authorized")
    rig.car_unplugs()
    rig.run(120)
    assert rig.plant.locked and "Ended" not in rig.types
    assert (rig.last.trigger_reason, rig.last.charging_state) == ("EVCommunicationLost", "Idle")
    assert not rig.plant.closed
    rig.plug()
    rig.run(8)
    assert rig.evse.state == "Charging"
    rig.stop("token", ANN)
    assert rig.ended.stopped_reason == "Local"
    assert not rig.plant.locked
    sound(rig.events)


@pytest.mark.requirement("E10.FR.02")
def test_a_fixed_cable_that_is_not_plugged_in_again_ends_the_authorization() -> None:
    rig = Rig(
        TxCtrlr_StopTxOnEVSideDisconnect=False,
        TxCtrlr_EVConnectionTimeOut=30,
        TxCtrlr_TxStopPoint="ParkingBayOccupancy",
    )
    rig.charge(rig.fixed)
    rig.fixed.pilot = "A"
    rig.run(29)
    assert rig.evse.auth is not None
    rig.run(5)
    assert rig.evse.auth is None
    assert rig.last.trigger_reason == "EVConnectTimeout"


@pytest.mark.requirement("E06.FR.02")
def test_a_connection_that_is_lost_ends_the_transaction() -> None:
    rig = charging(TxCtrlr_TxStopPoint="EVConnected")
    rig.unplug()
    rig.run(5)
    assert told(rig.ended) == ("Ended", "EVCommunicationLost", "EVDisconnected")


# --- no car ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E03.FR.05", "F02.FR.07")
@pytest.mark.parametrize("stop", [point for point in POINTS if point != "ParkingBayOccupancy"])
def test_without_a_car_the_transaction_ends(stop: str) -> None:
    rig = Rig(TxCtrlr_TxStartPoint="Authorized", TxCtrlr_TxStopPoint=stop, TxCtrlr_EVConnectionTimeOut=20)
    rig.present()
    rig.run(18)
    assert rig.types == ["Started"]
    rig.run(2)
    assert told(rig.ended) == ("Ended", "EVConnectTimeout", "Timeout")
    sound(rig.events)


@pytest.mark.requirement("E03.FR.15", "C01.FR.26")
def test_without_a_car_only_the_authorization_ends_where_the_bay_ends_the_transaction() -> None:
    rig = Rig(
        TxCtrlr_TxStartPoint="ParkingBayOccupancy",
        TxCtrlr_TxStopPoint="ParkingBayOccupancy",
        TxCtrlr_EVConnectionTimeOut=20,
    )
    rig.bay = True
    rig.present()
    rig.run(25)
    assert told(rig.last) == ("Updated", "EVConnectTimeout", None)
    assert rig.evse.auth is None
    rig.bay = False
    rig.run(3)
    assert rig.ended.trigger_reason == "EVDeparted"


def test_an_authorization_without_transaction_ends_without_a_word() -> None:
    rig = Rig(TxCtrlr_TxStartPoint="EVConnected", TxCtrlr_EVConnectionTimeOut=20)
    rig.present()
    rig.run(25)
    assert (rig.events, rig.evse.busy, rig.texts[-1]) == ([], False, "")


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E06.FR.16")
@pytest.mark.parametrize("stop", POINTS)
@pytest.mark.parametrize(("cause", "reason"), [("ground fault", "GroundFault"), ("emergency", "EmergencyStop")])
def test_a_protection_ends_the_transaction_at_once(cause: str, reason: str, stop: str) -> None:
    rig = charging(TxCtrlr_TxStopPoint=stop)
    rig.protections = Protections(cause)
    rig.tick()
    assert (rig.command.enable, rig.command.offered) == (False, 0.0)
    rig.run(10)
    assert told(rig.ended) == ("Ended", "AbnormalCondition", reason)
    rig.protections = Protections()
    rig.run(20)
    assert not rig.plant.closed
    sound(rig.events)


@pytest.mark.parametrize("role", ["fault", "pilot"])
def test_a_controller_in_error_takes_the_energy_away_at_once(role: str) -> None:
    rig = charging()
    rig.plant.broken[role] = 5 if role == "fault" else "F"
    rig.tick()
    assert (rig.command.enable, rig.command.offered) == (False, 0.0)


@pytest.mark.parametrize("stop", ["Authorized", "EVConnected"])
def test_a_welded_contactor_holds_up_no_end_and_lets_nobody_charge(stop: str) -> None:
    rig = charging(TxCtrlr_TxStopPoint=stop)
    rig.plant.broken["contactor_closed"] = True
    rig.stop("token", ANN)
    assert rig.plant.connector.fault == "the contactor does not open: welded"
    assert rig.plant.locked, "a plug under voltage stays"
    if stop == "Authorized":
        assert told(rig.ended) == ("Ended", "StopAuthorized", "Local")
    rig.evse.authorize(BOB)
    rig.run(20)
    assert (rig.command.enable, rig.command.offered) == (False, 0.0)
    sound(rig.events)


@pytest.mark.requirement("G05.FR.01")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed"])
def test_a_plug_that_cannot_be_locked_is_not_charged(start: str) -> None:
    rig = Rig(TxCtrlr_TxStartPoint=start, TxCtrlr_TxStopPoint="Authorized")
    rig.plant.broken["locked"] = False
    rig.plug()
    assert rig.evse.authorize(ANN)
    for _ in range(80):
        rig.tick()
        assert not rig.command.enable
    assert rig.evse.lock_failed and rig.evse.auth is None
    if start == "PowerPathClosed":
        assert rig.events == []
    else:
        assert told(rig.ended) == ("Ended", "AbnormalCondition", "Other")


@pytest.mark.requirement("G05.FR.01")
def test_a_plug_that_comes_loose_takes_the_energy_away() -> None:
    rig = charging()
    rig.plant.broken["locked"] = False
    rig.tick()
    assert rig.command.offered == 0
    rig.run(10)
    assert not rig.plant.closed
    assert told(rig.ended) == ("Ended", "AbnormalCondition", "Other")


# --- a power cut ----------------------------------------------------------------------------------------------------


def test_a_transaction_that_is_not_to_be_resumed_ends_with_power_loss() -> None:
    rig = charging()
    rig.restart(power_lost=True, resume=False)
    rig.run(10)
    assert told(rig.ended) == ("Ended", "AbnormalCondition", "PowerLoss")
    assert not rig.plant.closed and rig.texts[-1] == ""
    sound(rig.events)


def test_a_transaction_that_is_resumed_charges_on() -> None:
    rig = charging()
    rig.restart(power_lost=True, resume=True)
    rig.run(15)
    assert (rig.evse.state, rig.plant.closed, "Ended" in rig.types) == ("Charging", True, False)
    rig.stop("token", ANN)
    assert rig.ended.stopped_reason == "Local"
    sound(rig.events)
