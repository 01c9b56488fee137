"""Limits at an EVSE: a pause is no end, a car that does not obey is cut off, and the CSMS hears of another rate."""

import pytest

from tests.evse.evse_parts import Rig


def rig() -> Rig:
    made = Rig()
    made.charge()
    return made


def test_ready_does_not_depend_on_the_limit() -> None:
    one = Rig()
    one.limit = 0.0
    one.plug()
    assert not one.evse.ready
    one.present()
    one.run(2)
    assert one.evse.ready
    assert (one.command.offered, one.command.enable) == (0.0, False)
    one.limit = 16.0
    one.run(1)
    assert (one.command.offered, one.evse.state) == (16.0, "Charging")


def test_a_limit_pauses_and_resumes_within_one_transaction() -> None:
    one = rig()
    ready = set()
    one.limit = 5.9
    for _ in range(20):
        one.tick()
        ready.add(one.evse.ready)
    assert (one.command.offered, one.command.enable, one.plant.closed) == (0.0, False, False)
    assert one.evse.state == "SuspendedEVSE"
    one.limit = 16.0
    for _ in range(40):
        one.tick()
        ready.add(one.evse.ready)
    assert (one.command.offered, one.evse.state) == (16.0, "Charging")
    assert ready == {True}  # also while the contactor opens: else the pause would not be known for one
    assert one.types.count("Started") == 1
    assert "Ended" not in one.types
    assert [event.charging_state for event in one.events if event.trigger_reason == "ChargingStateChanged"][-2:] == [
        "SuspendedEVSE",
        "Charging",
    ]


def test_a_contactor_that_stays_closed_after_a_pause_gets_no_new_offer() -> None:
    one = rig()
    one.limit = 0.0
    one.run(6)
    one.plant.broken["contactor_closed"] = True
    one.limit = 16.0
    one.tick()
    assert one.evse.ready  # that it is paused is not forgotten while a contactor is late
    assert (one.command.offered, one.command.enable) == (0.0, False)
    del one.plant.broken["contactor_closed"]
    one.tick()
    assert one.command.offered == 16.0


def test_a_pause_by_a_limit_is_no_new_charge_for_a_broken_disk() -> None:
    one = rig()
    one.limit = 0.0
    one.run(4)
    one.disk = False
    one.evse.kept(one.evse.version, False)
    one.limit = 16.0
    one.run(2)
    assert one.evse.auth is not None
    assert one.command.offered == 16.0


def test_a_car_that_was_cut_off_gets_no_energy_until_it_is_gone() -> None:
    one = rig()
    one.evse.cut = "too much"
    one.run(3)
    assert (one.command.offered, one.plant.closed, one.evse.ready) == (0.0, False, False)
    assert one.evse.state == "SuspendedEVSE"
    one.stop("token")
    one.present()
    one.run(3)
    assert one.command.offered == 0.0
    one.stop("token")
    one.unplug()
    assert one.evse.cut is None
    one.charge()
    assert one.plant.closed


@pytest.mark.requirement("K11.FR.04", "K13.FR.03")
def test_another_rate_is_told_within_a_transaction_alone() -> None:
    one = Rig()
    one.evse.rate_changed()
    one.run(1)
    assert one.events == []
    one.charge()
    one.evse.rate_changed()
    one.run(1)
    assert (one.last.event_type, one.last.trigger_reason) == ("Updated", "ChargingRateChanged")
    assert one.last.charging_state == "Charging"
    told = len(one.events)
    one.evse.end_authorization("token")
    one.evse.rate_changed()  # it is about to end
    one.run(10)
    assert [event.trigger_reason for event in one.events[told:]].count("ChargingRateChanged") == 0


@pytest.mark.requirement("K03.FR.06")
def test_the_priority_of_a_driver_survives_a_restart() -> None:
    one = Rig()
    one.plug()
    one.present(priority=-3)
    one.run(2)
    one.restart(power_lost=False)
    assert one.evse.auth is not None
    assert one.evse.auth.priority == -3
