"""One current for each plug: whose limit holds, in which unit and on which phases, and how cars share the rest."""

from dataclasses import replace

import pytest

from agent.charging.arbiter import PAUSES
from agent.charging.limits import Limit, State
from tests.charging.arbiter_parts import ONE, THREE, Says, Yard


def alone(*sources: Says, **more: object) -> Yard:
    """A station of one EVSE, on which a car charges."""
    yard = Yard(sources, {1: THREE})
    yard.car(1, **more)
    yard.run(12)
    return yard


def test_without_limits_the_board_is_the_reason() -> None:
    yard = alone()
    assert (yard.currents, yard.reasons) == ([32.0], ["board"])


def test_a_thin_cable_limits() -> None:
    yard = alone(cable=20.0)
    assert (yard.currents, yard.reasons) == ([20.0], ["cable"])
    yard.plugs[1].cable = 63.0
    yard.tick()
    assert (yard.currents, yard.reasons) == ([32.0], ["board"])


@pytest.mark.parametrize(
    ("phases", "volts", "amps"),
    [(3, 230.0, 10.0), (1, 230.0, 30.0), (2, 230.0, 15.0), (3, 240.0, 9.583), (3, None, 10.0), (3, 500.0, 10.0)],
)
@pytest.mark.parametrize("scope", [0, 1])
def test_watts_are_turned_into_amperes_by_what_is_known_of_the_car(
    phases: int, volts: float | None, amps: float, scope: int
) -> None:
    yard = alone(Says("ems").say(6900, "W", scope=scope), phases=phases, volts=volts)
    assert (yard.currents, yard.reasons) == ([amps], ["ems"])


def test_all_phases_are_presumed_of_a_new_car() -> None:
    yard = Yard([Says("ems").say(6900, "W")], {1: THREE})
    yard.car(1, phases=1)
    yard.run(3)
    assert yard.offered == [10.0]


def test_a_csms_means_the_nominal_voltage() -> None:
    yard = alone(Says("csms", "CSMS").say(6900, "W"), volts=250.0)
    assert yard.currents == [10.0]


@pytest.mark.parametrize("scope", [0, 1])
def test_a_limit_of_each_phase_counts_where_the_car_charges(scope: int) -> None:
    fuse = Says("fuse", "Fuse").say(8.0, scope=scope, phases=(20.0, 12.0, 8.0))
    assert alone(fuse).currents == [8.0]
    assert alone(fuse, phases=2).currents == [12.0]
    assert alone(fuse, phases=1).currents == [20.0]


@pytest.mark.parametrize(("watts", "amps", "reason"), [(9000.0, 12.0, "ems"), (4830.0, 7.0, "so")])
def test_two_limits_of_a_scope_in_each_unit(watts: float, amps: float, reason: str) -> None:
    yard = alone(Says("ems").say(12.0), Says("so", "SO").say(watts, "W"))
    assert (yard.currents, yard.reasons) == ([amps], [reason])
    both = Says("ems").say(12.0).say(watts, "W")
    assert alone(both).currents == [amps]


@pytest.mark.parametrize("state", list(State))
def test_what_a_source_falls_back_to_limits_in_every_state(state: State) -> None:
    yard = alone(Says("ems").say(9.0, state=state))
    assert (yard.currents, yard.reasons) == ([9.0], ["ems"])


def test_who_limits_nothing_is_no_reason() -> None:
    yard = alone(Says("ems").say(None, state=State.RELEASED), Says("so", "SO").say(13.0))
    assert (yard.currents, yard.reasons) == ([13.0], ["so"])


def test_of_equal_limits_the_first_source_is_named() -> None:
    assert alone(Says("a").say(10.0), Says("b").say(10.0)).reasons == ["a"]
    assert alone(Says("a").say(10.0, scope=1), Says("b").say(10.0, scope=1)).reasons == ["a"]


def test_sources_come_and_go() -> None:
    ems, grid = Says("ems"), Says("so", "SO")
    yard = alone(ems, grid)
    ems.say(16.0)
    assert yard.run(7)[1].current == 16.0
    grid.say(4200, "W")
    yard.run(1)
    assert (yard.offered, yard.reasons) == ([6.087], ["so"])
    grid.said.clear()
    yard.run(1)
    assert (yard.currents, yard.offered) == ([16.0], [6.087])  # a rise waits
    yard.run(6)
    ems.said.clear()
    yard.run(6)
    assert (yard.offered, yard.reasons) == ([32.0], ["board"])


@pytest.mark.parametrize("value", [5.99, 0.0, -3.0, float("nan")])
@pytest.mark.parametrize("scope", [0, 1])
def test_below_the_least_it_is_a_pause(value: float, scope: int) -> None:
    ems = Says("ems").say(value, scope=scope)
    yard = alone(ems, Says("fuse", "Fuse").say(63.0))
    assert (yard.currents, yard.reasons) == ([0.0], ["ems"])
    ems.anew(6.0, scope=scope)
    yard.run(7)
    assert (yard.offered, yard.reasons) == ([6.0], ["ems"])


def test_what_an_idle_evse_could_have_is_told() -> None:
    yard = Yard([Says("ems").say(10.0)])
    yard.run(1)
    assert (yard.currents, yard.reasons) == ([10.0, 10.0], ["ems", "ems"])
    assert yard.arbiter.available == {1: 10.0, 2: 10.0}
    yard = Yard([Says("ems").say(5.0), Says("so", "SO").say(0.0, scope=2)])
    yard.run(1)
    assert (yard.currents, yard.reasons) == ([0.0, 0.0], ["ems", "so"])
    assert yard.arbiter.available == {1: 5.0, 2: 0.0}


# --- sharing -------------------------------------------------------------------------------------------------------


def test_a_new_car_gets_its_share_as_the_other_lets_go() -> None:
    yard = Yard([Says("ems").say(32.0)])
    yard.car(1, lag=4.0)
    yard.run(7)
    assert yard.offered == [32.0, 0.0]
    yard.car(2)
    yard.run(4)
    assert yard.offered == [16.0, 0.0]
    assert yard.plugs[1].draws == 32.0
    yard.run(4)
    assert yard.offered == [16.0, 16.0]
    assert yard.reasons == ["ems", "ems"]


@pytest.mark.parametrize("metered", [True, False])
def test_what_a_car_may_still_draw_is_not_given_away_in_the_moment_of_the_change(metered: bool) -> None:
    """The first car draws little of what it is offered; it could draw all of it within the time it has to follow."""
    yard = Yard([Says("ems").say(32.0)])
    yard.car(1, takes=8.0, metered=metered)
    yard.run(3)
    yard.car(2)
    yard.decide()
    yard.decide()  # within the same step: the first car has not been told yet
    assert (yard.offered, yard.currents[1]) == ([32.0, 0.0], 0.0)
    for _ in range(19):
        yard.tick()
        assert yard.offered[1] == 0.0
    yard.run(2)
    assert yard.offered == [16.0, 16.0]


@pytest.mark.parametrize("metered", [True, False])
def test_an_evse_that_was_unplugged_counts_until_its_contactor_is_open(metered: bool) -> None:
    yard = Yard([Says("ems").say(32.0)])
    yard.car(1, metered=metered)
    yard.car(2)
    yard.run(10)
    assert yard.offered == [16.0, 16.0]
    stuck = replace(yard.plugs[1].facts(THREE), active=False, offered=0.0)
    for second in range(4):
        facts = {1: stuck, 2: yard.plugs[2].facts(THREE)}
        assert yard.arbiter.decide(facts, yard.now + second)[2].current == 16.0
    open_ = replace(stuck, powered=False, drawn=None)
    assert yard.arbiter.decide({1: open_, 2: yard.plugs[2].facts(THREE)}, yard.now + 4)[2].current == 32.0


def test_after_a_restart_what_is_offered_already_counts() -> None:
    yard = Yard([Says("ems").say(32.0)])
    for plug in yard.plugs.values():
        plug.active, plug.closed, plug.draws = True, True, 3.0
        plug.offer.adopt(16.0)
    assert [one.current for one in yard.decide().values()] == [16.0, 16.0]
    yard.plugs[2].active = False  # it is not known yet whether it may go on
    assert yard.decide()[1].current == 16.0


def test_what_a_car_does_not_use_is_for_the_others() -> None:
    yard = Yard([Says("ems").say(32.0)])
    yard.car(1, takes=8.0)
    yard.car(2)
    yard.run(10)
    assert yard.offered == [16.0, 16.0]
    yard.run(35)
    assert yard.offered == [10.0, 22.0]
    yard.plugs[1].takes = 32.0
    yard.run(20)
    assert yard.offered == [16.0, 16.0]


def test_single_phase_cars_leave_the_other_lines_alone() -> None:
    yard = Yard([Says("fuse", "Fuse").say(32.0, phases=(32.0, 40.0, 40.0))], {1: THREE, 2: ONE})
    yard.car(1)
    yard.car(2, phases=1)
    yard.run(10)
    assert yard.offered == [16.0, 16.0]
    yard = Yard([Says("so", "SO").say(9200.0, "W")], {1: THREE, 2: ONE})
    yard.car(1)
    yard.car(2, phases=1)
    yard.run(10)
    assert yard.offered == [10.0, 10.0]


def test_a_csms_and_a_meter_share_by_their_own_voltage() -> None:
    """13.8 kW: two times 10 A at 230 V; at 240 V measured the EMS's limit is the tighter one."""
    csms, ems = Says("csms", "CSMS").say(13_800.0, "W"), Says("ems").say(13_800.0, "W")
    yard = Yard([csms, ems])
    yard.car(1, volts=240.0)
    yard.car(2, volts=240.0)
    yard.run(10)
    assert yard.offered == [9.583, 9.583]
    assert yard.reasons == ["ems", "ems"]


@pytest.mark.requirement("K03.FR.04", "K03.FR.06")
def test_a_higher_priority_is_filled_first() -> None:
    yard = Yard([Says("ems").say(40.0)], by_priority=True)
    yard.car(1)
    yard.car(2, priority=5)
    yard.run(20)
    assert yard.offered == [8.0, 32.0]
    yard.plugs[1].priority, yard.plugs[2].priority = 5, -9
    yard.run(20)
    assert yard.offered == [32.0, 8.0]


def test_who_cannot_charge_at_the_same_time_takes_turns() -> None:
    yard = Yard([Says("ems").say(10.0)], rotate=60.0)
    yard.car(1)
    yard.car(2)
    charged = [0, 0]
    for _ in range(4 * 600):
        yard.tick()
        assert min(yard.offered) == 0.0
        charged = [seconds + (amps > 0) for seconds, amps in zip(charged, yard.offered, strict=True)]
    assert min(charged) > 4 * 240
    assert yard.reasons == ["ems", "ems"]


# --- pauses --------------------------------------------------------------------------------------------------------


def test_a_contactor_is_not_worn_out_by_a_limit_that_flaps() -> None:
    ems = Says("ems").say(16.0)
    yard = Yard([ems], {1: THREE}, pauses=3)
    yard.car(1)
    times: list[float] = []
    before = 0
    for second in range(9000):
        ems.anew(16.0 if second % 20 < 10 else 0.0)
        yard.tick(1.0)
        if yard.plugs[1].closings > before:
            before = yard.plugs[1].closings
            times.append(yard.now)
            assert sum(time > yard.now - 3600 for time in times) <= 3 + 1
    assert len(times) >= 7  # it goes on as soon as it may


def test_who_was_paused_too_often_is_told_why_and_when() -> None:
    ems = Says("ems").say(16.0)
    yard = Yard([ems], {1: THREE}, pauses=1)
    yard.car(1)
    yard.run(6)
    ems.anew(0.0)
    paused = yard.now
    yard.run(6)
    assert yard.reasons == ["ems"]
    ems.anew(16.0)
    yard.run(6)
    assert (yard.currents, yard.reasons) == ([0.0], [PAUSES])
    assert yard.arbiter.due() == paused + 3600
    yard.now = paused + 3600
    yard.tick()
    assert (yard.offered, yard.reasons) == ([16.0], ["ems"])


def test_a_new_car_is_not_held_up_by_the_pauses_of_the_last() -> None:
    ems = Says("ems").say(16.0)
    yard = Yard([ems], pauses=1)
    yard.car(1)
    yard.run(6)
    ems.anew(0.0)
    yard.run(6)
    yard.plugs[1].active = False
    yard.run(1)
    ems.anew(16.0)
    yard.car(2)
    yard.run(6)
    yard.car(1)  # has to wait for the other one to let go: that is no pause
    yard.run(20)
    assert yard.offered == [8.0, 8.0]


def test_the_same_again_decides_the_same() -> None:
    def story() -> list[object]:
        ems = Says("ems").say(20.0)
        yard = Yard([ems, Says("fuse", "Fuse").say(16.0, phases=(25.0, 16.0, 30.0))], rotate=30.0)
        found: list[object] = []
        for second in range(200):
            yard.plugs[1].active = second % 70 > 5
            yard.plugs[2].active = second % 50 > 20
            ems.anew(10.0 + second % 9)
            found.append((yard.run(1), yard.arbiter.due(), dict(yard.arbiter.available)))
        return found

    assert story() == story()


def test_every_limit_is_shown_as_it_was_told() -> None:
    ems = Says("ems").say(None, state=State.RELEASED)
    yard = Yard([ems, Says("so", "SO").say(9.0)])
    yard.decide()
    assert [(one.source, one.value) for one in yard.arbiter.limits] == [("ems", None), ("so", 9.0)]
    assert isinstance(yard.arbiter.limits[0], Limit)
