"""Energy is never offered without everything that it needs, and the offer never exceeds what may flow."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evse.power import MIN_CURRENT, RISE_SECONDS
from agent.evse.power_path import GRACE, Protections
from agent.model import Value
from tests.evse.evse_parts import ANN, TICK, Plant, Rig, sound


def nothing(rig: Rig) -> bool:
    return all(
        not one.command.enable and one.command.offered == 0 and not rig.plants[number].closed
        for number, one in rig.evse.connectors.items()
    )


def unlocked(rig: Rig) -> None:
    rig.plant.broken["locked"] = False


def unsaved(rig: Rig) -> None:
    rig.disk = False


def rcd_tripped(rig: Rig) -> None:
    rig.protections = Protections("ground fault")


def rcd_silent(rig: Rig) -> None:
    rig.protections = Protections(unknown=True)


def too_little(rig: Rig) -> None:
    rig.limit = 5.9


def reads(role: str, value: Value | None) -> Callable[[Rig], None]:
    def set_up(rig: Rig) -> None:
        rig.plant.broken[role] = value

    return set_up


LACKS = {
    "a lock": unlocked,
    "a saved state": unsaved,
    "a sound RCD": rcd_tripped,
    "an RCD that is heard": rcd_silent,
    "a limit of 6 A": too_little,
    "a lock that is heard": reads("locked", None),
    "a contactor that is heard": reads("contactor_closed", None),
    "a controller without error": reads("fault", 3),
    "a controller whose error is heard": reads("fault", None),
    "an open contactor": reads("contactor_closed", True),
    "a pilot that is heard": reads("pilot", None),
    "a car": reads("pilot", "A"),
    "a sound pilot": reads("pilot", "F"),
}


@pytest.mark.parametrize("lack", LACKS)
def test_no_energy_without(lack: str) -> None:
    rig = Rig()
    LACKS[lack](rig)
    rig.plug()
    rig.evse.authorize(ANN)
    for _ in range(60):
        rig.tick()
        assert nothing(rig)


def test_no_energy_without_authorization() -> None:
    rig = Rig()
    rig.plug()
    rig.run(20)
    assert nothing(rig)


def test_energy_with_all_of_them() -> None:
    rig = Rig()
    rig.plug()
    rig.present()
    rig.run(2)
    assert (rig.command.enable, rig.command.offered, rig.plant.closed) == (True, 32.0, True)


@pytest.mark.parametrize("lack", [one for one in LACKS if one not in ("a saved state", "an open contactor")])
def test_energy_ends_when_it_goes(lack: str) -> None:
    rig = Rig()
    rig.charge()
    LACKS[lack](rig)
    rig.run(0.5)
    assert rig.command.offered == 0
    rig.run(GRACE)
    assert not rig.command.enable and not rig.plant.closed


def test_only_the_state_that_the_charge_needs_counts_as_saved() -> None:
    rig = Rig()
    rig.plug()
    rig.disk = False
    before = rig.evse.version
    assert rig.evse.authorize(ANN)
    rig.evse.kept(before, True)
    rig.run(10)
    assert nothing(rig)
    rig.evse.kept(rig.evse.version, True)
    rig.tick()
    assert rig.command.offered == 32


@pytest.mark.parametrize("plugged", [False, True], ids=["cable and car", "car only"])
def test_a_pilot_without_a_car_takes_the_offer_away_at_once(plugged: bool) -> None:
    rig = Rig()
    rig.charge()
    rig.plant.pilot, rig.plant.cable = "A", plugged
    rig.tick()
    assert (rig.command.enable, rig.command.offered) == (False, 0.0)


def test_a_disk_that_fails_later_lets_the_charge_go_on() -> None:
    rig = Rig()
    rig.charge()
    rig.disk = False
    rig.run(3)
    rig.evse.kept(rig.evse.version, False)
    rig.run(30)
    assert rig.plant.closed


@pytest.mark.parametrize("may", [False, True])
def test_a_disk_that_cannot_write_stops_a_new_charge_unless_the_board_allows_it(may: bool) -> None:
    rig = Rig(charge_without_storage=may)
    rig.disk = False
    rig.plug()
    rig.present()
    rig.evse.kept(rig.evse.version, False)
    rig.run(10)
    assert rig.plant.closed is may
    assert (rig.evse.auth is not None) is may


# --- how much -------------------------------------------------------------------------------------------------------


def test_a_cable_limits_the_offer() -> None:
    rig = Rig()
    rig.plant.broken["cable_current"] = 13.0
    rig.charge()
    assert rig.command.offered == 13


def test_a_lower_limit_counts_at_once_and_a_higher_one_after_five_seconds() -> None:
    rig = Rig()
    rig.charge()
    rig.limit = 10.0
    rig.tick()
    assert rig.command.offered == 10
    rig.limit = 20.0
    rig.run(RISE_SECONDS - TICK)
    assert rig.command.offered == 10
    rig.tick()
    assert rig.command.offered == 20


def test_a_car_is_told_to_stop_before_the_contactor_opens() -> None:
    rig = Rig()
    rig.charge()
    rig.limit = 0.0
    rig.evse.step()
    assert (rig.command.enable, rig.command.offered) == (True, 0.0)
    rig.run(1)
    assert not rig.command.enable


def test_a_car_that_draws_on_is_cut_off() -> None:
    rig = Rig()
    rig.charge()
    rig.limit = 0.0
    for _ in range(int(GRACE / TICK) + 1):
        rig.clock.move(TICK)
        rig.bench.read(rig.wh, 16.0)
        rig.evse.step()
    assert not rig.command.enable


# --- which connector ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E01.FR.14")
def test_only_the_first_car_of_an_evse_is_charged() -> None:
    rig = Rig()
    rig.plug(rig.fixed)
    rig.plug()
    rig.present()
    rig.run(20)
    assert (rig.fixed.closed, rig.plant.closed) == (True, False)


def test_no_energy_while_the_other_contactor_is_closed() -> None:
    rig = Rig()
    rig.fixed.broken["contactor_closed"] = True
    rig.plug()
    rig.evse.authorize(ANN)
    for _ in range(40):
        rig.tick()
        assert not rig.command.enable


@pytest.mark.parametrize("token_first", [False, True])
def test_a_cable_that_was_left_in_the_socket_keeps_no_car_from_the_fixed_cable(token_first: bool) -> None:
    rig = Rig()
    rig.plant.cable = True
    rig.run(3)
    if token_first:
        rig.present()
    rig.plug(rig.fixed)
    if not token_first:
        rig.present()
    rig.run(10)
    assert rig.fixed.closed


def test_a_contactor_that_does_not_close_stays_a_fault() -> None:
    rig = Rig()
    rig.plant.broken["contactor_closed"] = False
    rig.plug()
    rig.present()
    rig.run(60)
    enabled, attempts = False, 0
    for _ in range(240):
        rig.tick()
        attempts += rig.command.enable and not enabled
        enabled = rig.command.enable
    assert attempts <= 2


# --- whatever happens -----------------------------------------------------------------------------------------------

EVENTS = (
    "plug 1", "plug 2", "unplug 1", "unplug 2", "car pulls", "authorize", "stop", "refuse", "RCD trips", "mended",
    "RCD unknown", "RCD sound", "limit", "disk stops", "disk goes", "silent", "unlocked", "welded", "error",
    "unlock", "wait",
)  # fmt: skip


class Watch:
    """Checks after each look at the EVSE what must always hold of its commands."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.before = dict.fromkeys(rig.plants, 0.0)
        self.changed: float | None = None

    def check(self) -> None:
        rig, now = self.rig, self.rig.clock.monotonic()
        commands = {number: one.command for number, one in rig.evse.connectors.items()}
        assert sum(command.enable for command in commands.values()) <= 1
        for number, command in commands.items():
            plant = rig.plants[number]
            if command.offered > 0:
                self.offered(plant, command.offered)
                assert command.enable
                if command.offered > self.before[number] and self.before[number] > 0:
                    assert self.changed is None or now - self.changed >= RISE_SECONDS - 1e-6
            if command.enable:
                self.enabled(plant)
            if command.offered != self.before[number]:
                self.changed, self.before[number] = now, command.offered

    def enabled(self, plant: Plant) -> None:
        assert self.rig.protections == Protections()
        assert not {"fault", "pilot"} & plant.broken.keys()
        assert plant.connector.fresh and plant.connector.fault is None

    def offered(self, plant: Plant, current: float) -> None:
        rig = self.rig
        assert rig.evse.auth is not None and rig.evse.connected and plant.connector is rig.evse.active
        assert plant.connector.connected
        assert MIN_CURRENT <= current <= rig.limit
        assert not plant.connector.has_lock or plant.connector.locked is True


def act(rig: Rig, event: str, number: int) -> None:
    one = rig.plants[2 if event.endswith(" 2") else 1]
    if event.startswith("plug"):
        one.cable, one.pilot = True, "C"
    elif event.startswith("unplug"):
        one.cable, one.pilot = False, "A"
    elif event == "car pulls":
        one.pilot = "A"
    elif event == "authorize":
        rig.evse.authorize(ANN)
    elif event == "stop" and rig.evse.auth is not None:
        rig.evse.end_authorization("token", ANN)
    elif event == "refuse" and rig.evse.tx is not None:
        rig.evse.refused(rig.evse.tx.id)
    elif event.startswith("RCD"):
        rig.protections = {
            "RCD trips": Protections("ground fault"),
            "RCD unknown": Protections(unknown=True),
        }.get(event, Protections())
    elif event == "limit":
        rig.limit = (0.0, 8.0, 16.0, 32.0)[number % 4]
    elif event.startswith("disk"):
        rig.disk = event == "disk goes"
    elif event == "silent":
        one.broken["pilot"] = None
    elif event == "unlocked":
        one.broken["locked"] = False
    elif event == "welded":
        one.broken["contactor_closed"] = True
    elif event == "error":
        one.broken["fault"] = 7
    elif event == "mended":
        for plant in rig.plants.values():
            plant.broken.clear()
    elif event == "unlock":
        rig.evse.unlock(5)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 14)), max_size=25),
    st.booleans(),
    st.sampled_from(("Authorized", "EVConnected", "EnergyTransfer", "ParkingBayOccupancy")),
)
def test_whatever_happens_energy_has_all_that_it_needs(
    events: list[tuple[str, int]], disconnect: bool, stop: str
) -> None:
    rig = Rig(
        TxCtrlr_StopTxOnEVSideDisconnect=disconnect,
        TxCtrlr_TxStopPoint=stop,
        TxCtrlr_StopTxOnInvalidId=disconnect,
        TxCtrlr_EVConnectionTimeOut=15,
    )
    watch = Watch(rig)
    rig.charge()
    seen = len(rig.events)
    for event, ticks in events:
        act(rig, event, ticks)
        for _ in range(ticks):
            rig.tick()
            watch.check()
            if "Ended" in rig.types[seen:]:
                assert not any(plant.closed for plant in rig.plants.values()), "an end is told of an open contactor"
            seen = len(rig.events)
    sound(rig.events)
