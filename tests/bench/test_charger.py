"""The charge controller as the physical thing: what it does with, and without, the agent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import PointInfo
from drivers.bench.charger import Charger
from drivers.bench.ev import EvSettings
from drivers.bench.points import Point, at_rest
from drivers.bench.refusals import InTheWay, NoSuchPlace

KINDS = {
    "pilot": "text",
    "plugged": "boolean",
    "cable_current": "number",
    "contactor_closed": "boolean",
    "locked": "boolean",
    "fault": "number",
    "offered_current": "number",
    "enable": "boolean",
    "lock": "boolean",
    "watchdog": "number",
    "fallback_current": "number",
}


class Bench:
    """A charger with its points, and a clock."""

    def __init__(self, without: tuple[str, ...] = (), **more: Any) -> None:
        infos = {role: PointInfo(role, kind=kind) for role, kind in KINDS.items()}  # type: ignore[arg-type]
        self.points = {role: Point(info, at_rest(info)) for role, info in infos.items() if role not in without}
        self.noted: list[tuple[str, Any]] = []
        self.charger = Charger(self.points, lambda what, value: self.noted.append((what, value)), **more)
        self.now = 1000.0
        self.powered = True
        self.wait(0)

    def wait(self, seconds: float) -> None:
        self.charger.step(0.0, self.now, self.powered)
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.charger.step(0.1, self.now, self.powered)

    def command(self, **values: Any) -> None:
        """What the agent writes."""
        for role, value in values.items():
            self.points[role].natural = value
        self.wait(0)

    def plug(self, carries: float | None = None, **told: Any) -> None:
        self.charger.plug(EvSettings().changed(told), carries)
        self.wait(0)

    def unplug(self, side: str = "station") -> None:
        self.charger.unplug(side)
        self.wait(0)

    def __getattr__(self, role: str) -> Any:
        return self.points[role].value

    @property
    def closed(self) -> bool:
        return self.points["contactor_closed"].true


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def charging() -> Bench:
    bench = Bench()
    bench.plug()
    bench.command(lock=True, enable=True, offered_current=16)
    bench.wait(5)
    assert (bench.pilot, bench.closed, bench.locked) == ("C", True, True)
    assert bench.charger.state()["current_a"] == [16, 16, 16]
    return bench


def test_the_pilot_follows_the_car_and_the_offer(bench: Bench) -> None:
    assert bench.pilot == "A"
    bench.plug()
    assert (bench.pilot, bench.plugged, bench.cable_current) == ("B", True, 32)
    bench.command(offered_current=16)
    assert (bench.pilot, bench.closed) == ("C", False)
    bench.command(enable=True)
    assert bench.closed
    bench.unplug()
    assert (bench.pilot, bench.plugged, bench.cable_current, bench.closed) == ("A", False, 0, False)


def test_a_cable_without_a_car_is_state_a(bench: Bench) -> None:
    bench.plug()
    bench.unplug("ev")
    assert (bench.pilot, bench.plugged, bench.charger.state()["ev"]) == ("A", True, None)


def test_the_offer_says_nothing_to_nobody(bench: Bench) -> None:
    bench.command(offered_current=16)
    assert bench.charger.state()["offered_a"] == 0
    bench.plug()
    assert bench.charger.state()["offered_a"] == 16


@pytest.mark.parametrize(
    "end",
    [
        lambda b: b.unplug("ev"),
        lambda b: (b.charger.change({"ready": False}), b.wait(0)),
        lambda b: (b.charger.change({"soc": 100}), b.wait(0)),
        lambda b: b.command(enable=False),
        lambda b: b.command(offered_current=0),
        lambda b: (setattr(b.points["pilot"], "held", "E"), b.wait(0)),
        lambda b: (setattr(b.points["fault"], "held", 7.0), b.wait(0)),
        lambda b: (setattr(b, "powered", False), b.wait(0)),
    ],
    ids=["car goes", "not ready", "full", "not enabled", "no offer", "pilot E", "fault", "no supply"],
)
def test_the_contactor_opens_at_once(charging: Bench, end: Any) -> None:
    end(charging)
    assert not charging.closed
    assert charging.charger.power() == (0, 0, 0)


def test_a_fault_of_its_own_makes_the_pilot_f_and_ends_with_it(charging: Bench) -> None:
    charging.points["fault"].held = 3.0
    charging.wait(0)
    assert (charging.pilot, charging.charger.duty) == ("F", 0)
    charging.points["fault"].held = None
    charging.wait(0)
    assert charging.pilot == "C"


def test_a_plug_that_is_locked_stays_at_the_station_and_not_at_the_car(charging: Bench) -> None:
    with pytest.raises(InTheWay, match="locked"):
        charging.unplug()
    assert charging.closed
    charging.unplug("ev")
    with pytest.raises(InTheWay, match="locked"):
        charging.unplug()
    charging.command(lock=False)
    charging.wait(1)
    charging.unplug()
    assert not charging.plugged


def test_the_lock_takes_its_time_and_moves_only_with_a_plug(bench: Bench) -> None:
    bench.command(lock=True)
    bench.wait(2)
    assert not bench.locked
    bench.plug()
    assert not bench.locked
    bench.wait(1)
    assert bench.locked


@pytest.mark.parametrize("locked", [True, False])
def test_a_jammed_lock_stays_where_it_is(bench: Bench, locked: bool) -> None:
    bench.plug()
    bench.command(lock=locked)
    bench.wait(1)
    bench.charger.jammed = True
    bench.command(lock=not locked)
    bench.wait(5)
    assert bench.locked is locked
    bench.powered = False
    bench.wait(1)
    assert bench.locked is locked
    bench.powered = True
    bench.charger.jammed = False
    bench.wait(1)
    assert bench.locked is not locked


def test_without_a_supply_the_plug_is_free_and_the_car_stays(charging: Bench) -> None:
    charging.powered = False
    charging.wait(0)
    assert (charging.pilot, charging.locked, charging.charger.duty) == ("E", False, 0)
    assert charging.plugged
    charging.command(lock=False, enable=False, offered_current=0)  # lost with the supply
    charging.powered = True
    charging.wait(0)
    assert (charging.pilot, charging.closed) == ("B", False)


def test_a_welded_contactor_feeds_a_car_that_does_not_care(charging: Bench) -> None:
    charging.points["contactor_closed"].held = True
    charging.command(enable=False, offered_current=0)
    charging.wait(5)
    assert (charging.closed, charging.charger.power()) == (True, (0, 0, 0))
    charging.charger.change({"ignores_offer": True})
    charging.wait(5)
    assert sum(charging.charger.power()) == pytest.approx(3 * 32 * 230)


def test_ventilation_is_state_d_and_charges_where_there_is_some() -> None:
    for ventilated in (True, False):
        bench = Bench(ventilated=ventilated)
        bench.plug(ventilation=True)
        bench.command(enable=True, offered_current=16)
        assert (bench.pilot, bench.closed) == ("D", ventilated)


# --- watchdog -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fallback", "left"), [(0, 0), (6, 6), (20, 16)])
def test_without_a_sign_of_life_the_offer_falls(charging: Bench, fallback: float, left: float) -> None:
    charging.command(watchdog=10, fallback_current=fallback)
    charging.charger.heard()
    charging.wait(9.5)
    assert charging.charger.duty == 16
    charging.wait(1)
    assert (charging.charger.duty, charging.closed) == (left, left > 0)
    assert charging.offered_current == left


def test_signs_of_life_keep_it_going_and_a_late_one_gives_nothing_back(charging: Bench) -> None:
    charging.command(watchdog=3, fallback_current=0)
    for _ in range(10):
        charging.charger.heard()
        charging.wait(2)
    assert charging.closed
    charging.wait(2)
    assert not charging.closed
    charging.command(offered_current=16)
    assert charging.charger.duty == 0, "an offer is no sign of life"
    charging.charger.heard()
    charging.wait(0)
    assert charging.charger.duty == 0
    charging.command(offered_current=16)
    assert charging.closed


def test_a_watchdog_that_was_never_armed_never_bites(charging: Bench) -> None:
    charging.wait(100)
    assert charging.closed


# --- plugging -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_plugged_or_unplugged_is_in_the_way(bench: Bench) -> None:
    for side in ("station", "ev"):
        with pytest.raises(InTheWay, match="nothing"):
            bench.unplug(side)
    with pytest.raises(InTheWay, match="no car"):
        bench.charger.change({"ready": True})
    bench.plug()
    with pytest.raises(InTheWay, match="already"):
        bench.plug()
    bench.unplug("ev")
    with pytest.raises(InTheWay, match="no car"):
        bench.unplug("ev")
    with pytest.raises(InTheWay, match="no car"):
        bench.charger.change({"ready": True})


def test_the_cable_goes_back_into_the_same_car_unless_there_is_another(bench: Bench) -> None:
    bench.plug(soc=55, max_current=10)
    bench.unplug("ev")
    bench.charger.plug(None)
    assert bench.charger.state()["ev"]["soc"] == 55
    bench.unplug("ev")
    bench.plug(max_current=12)
    assert (bench.charger.state()["ev"]["soc"], bench.charger.state()["ev"]["max_current"]) == (40, 12)
    bench.unplug("station")
    bench.charger.plug(None)
    assert bench.charger.state()["ev"]["max_current"] == 32


def test_a_thin_cable_says_so(bench: Bench) -> None:
    bench.plug(carries=13)
    assert bench.cable_current == 13
    bench.unplug("ev")
    with pytest.raises(InTheWay):
        bench.plug(carries=20)
    bench.plug()
    assert bench.cable_current == 13
    bench.unplug()
    bench.plug()
    assert bench.cable_current == 32


@pytest.mark.parametrize("side", ["station", "ev"])
def test_a_fixed_cable_leaves_the_car_whatever_side_is_said(side: str) -> None:
    bench = Bench(socket=False)
    assert (bench.plugged, bench.cable_current) == (False, 32)
    bench.plug()
    bench.command(lock=True, enable=True, offered_current=16)
    bench.wait(2)
    assert (bench.plugged, bench.locked, bench.closed) == (True, False, True)
    bench.unplug(side)
    assert (bench.plugged, bench.pilot, bench.closed) == (False, "A", False)
    with pytest.raises(NoSuchPlace):
        bench.charger.need_lock()


def test_it_needs_no_more_points_than_the_board_has() -> None:
    bench = Bench(without=("enable", "lock", "locked", "plugged", "contactor_closed", "watchdog", "fault"))
    bench.plug()
    bench.command(offered_current=16)
    bench.wait(5)
    assert bench.charger.state()["contactor"]
    assert bench.charger.state()["power_w"] == pytest.approx(3 * 16 * 230)


def test_changes_are_noted_once_each(bench: Bench) -> None:
    bench.plug()
    bench.command(lock=True, enable=True, offered_current=16)
    bench.wait(2)
    bench.unplug("ev")
    assert bench.noted == [
        ("pilot", "B"),
        ("pilot", "C"),
        ("contactor", True),
        ("offered", 16),
        ("lock", True),
        ("pilot", "A"),
        ("contactor", False),
        ("offered", 0),
    ]


ACTIONS = st.one_of(
    st.tuples(st.just("command"), st.sampled_from([{"enable": v} for v in (True, False)])),
    st.tuples(st.just("command"), st.sampled_from([{"offered_current": v} for v in (0, 5, 6, 16)])),
    st.tuples(st.just("command"), st.sampled_from([{"lock": v} for v in (True, False)])),
    st.tuples(st.just("command"), st.sampled_from([{"watchdog": v} for v in (0, 2)])),
    st.tuples(st.just("plug"), st.sampled_from([{}, {"ready": False}, {"ventilation": True}, {"overdraw": 2}])),
    st.tuples(st.just("unplug"), st.sampled_from(["station", "ev"])),
    st.tuples(st.just("powered"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1, 3])),
)


@given(st.lists(ACTIONS, max_size=40))
def test_current_flows_only_where_the_hardware_allows_it(actions: list[tuple[str, Any]]) -> None:
    bench = Bench()
    for what, value in actions:
        locked = bench.locked
        try:
            if what == "powered":
                bench.powered = value
                bench.wait(0)
            elif what in ("command", "plug"):
                getattr(bench, what)(**value)
            else:
                getattr(bench, what)(value)
        except InTheWay:
            continue
        state = bench.charger.state()
        if what == "unplug" and value == "station":
            assert not locked
        if state["contactor"]:
            assert state["pilot"] in ("C", "D")
            assert bench.powered and bench.enable and state["offered_a"] >= 6 and state["ev"] is not None
        if state["power_w"]:
            assert state["contactor"]
        assert bench.plugged or not state["locked"]
