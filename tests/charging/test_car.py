"""What is concluded of a car from its currents: phases, demand, and what it may still draw."""

from dataclasses import replace

import pytest

from agent.charging.car import REACTION, STEADY, SURE, Car, Facts, Rating

RATING = Rating(3, 230.0, 6.0, 32.0)
ON = Facts(active=True, powered=True, offered=16.0, drawn=(16.0, 16.0, 16.0), voltages=(230.0, 231.0, 229.0))


def car(facts: Facts = ON, now: float = 0.0) -> Car:
    made = Car(RATING)
    made.look(facts, now)
    return made


def lines(*drawn: float) -> Facts:
    return replace(ON, drawn=drawn)


def test_all_phases_are_presumed_until_fewer_have_been_used_for_long() -> None:
    one = car(lines(16.0, 0.1, 0.0))
    assert one.phases() == 3
    one.look(lines(16.0, 0.1, 0.0), SURE - 0.1)
    assert (one.phases(), one.due(SURE - 0.1)) == (3, SURE)
    one.look(lines(16.0, 0.1, 0.0), SURE)
    assert one.phases() == 1


def test_all_phases_are_presumed_again_once_the_meter_falls_silent() -> None:
    """Nobody would see that the car begins to use three."""
    one = car(lines(16.0, 0.0, 0.0))
    one.look(lines(16.0, 0.0, 0.0), SURE)
    one.look(replace(ON, drawn=None), SURE + 1)
    assert one.phases() == 3
    one.look(lines(16.0, 0.0, 0.0), SURE + 2)
    one.look(lines(16.0, 0.0, 0.0), 2 * SURE + 2)
    assert one.phases() == 1


def test_a_meter_of_one_line_knows_nothing_of_the_others() -> None:
    one = car(lines(16.0))
    one.look(lines(16.0), SURE)
    assert one.phases() == 3


def test_more_phases_are_believed_at_once() -> None:
    one = car(lines(16.0, 0.0, 0.0))
    one.look(lines(16.0, 0.0, 0.0), SURE)
    one.look(lines(9.0, 9.0, 0.0), SURE + 1)
    assert one.phases() == 2


def test_a_car_that_ramps_or_pauses_is_not_on_fewer_phases() -> None:
    one = car(lines(0.6, 0.4, 0.4))
    one.look(lines(0.0, 0.0, 0.0), 1)
    one.look(lines(0.6, 0.4, 0.4), SURE + 1)
    assert one.phases() == 3
    one.look(lines(3.0, 3.0, 0.4), SURE + 2)  # on two now: that is another claim, with a time of its own
    one.look(lines(3.0, 0.4, 0.4), 2 * SURE)
    assert one.phases() == 3


def test_of_a_car_on_the_last_phase_all_are_presumed() -> None:
    """Else it would not count against the limit of the line that it is on."""
    one = car(lines(0.0, 0.0, 16.0))
    one.look(lines(0.0, 0.0, 16.0), SURE)
    assert one.phases() == 3


def test_phases_are_kept_over_a_pause_and_forgotten_with_the_car() -> None:
    one = car(lines(16.0, 0.0, 0.0))
    one.look(lines(16.0, 0.0, 0.0), SURE)
    one.look(replace(ON, powered=False, offered=0.0, drawn=(0.0, 0.0, 0.0)), SURE + 1)
    assert one.phases() == 1
    one.look(Facts(), SURE + 2)
    assert one.phases() == 3


def test_a_single_phase_evse_has_one() -> None:
    one = Car(Rating(1, 230.0, 6.0, 32.0))
    one.look(replace(ON, drawn=(16.0,), voltages=(240.0,)), 0)
    assert (one.phases(), one.voltage()) == (1, 240.0)


@pytest.mark.parametrize(
    ("voltages", "taken"),
    [
        ((230.0, 236.0, 229.0), 236.0),
        ((230.0, 0.0, 229.0), 230.0),  # a phase that fails is no voltage to reckon with
        ((230.0, 400.0, 229.0), 230.0),
        ((230.0, float("nan"), 229.0), 230.0),
        ((), 230.0),
        (None, 230.0),
    ],
)
def test_the_highest_sane_voltage_is_reckoned_with(voltages: tuple[float, ...] | None, taken: float) -> None:
    assert car(replace(ON, voltages=voltages)).voltage() == taken


def test_a_car_that_uses_little_wants_little_after_a_while() -> None:
    one = car(lines(8.0, 8.0, 8.0))
    assert (one.demand(32.0), one.due(0)) == (32.0, STEADY)
    one.look(lines(8.0, 8.0, 8.0), STEADY)
    assert (one.demand(32.0), one.demand(7.0)) == (10.0, 7.0)


def test_a_car_that_draws_nothing_keeps_the_least() -> None:
    one = car(lines(0.0, 0.0, 0.0))
    one.look(lines(0.0, 0.0, 0.0), STEADY)
    assert one.demand(32.0) == RATING.least


def test_a_car_that_draws_what_it_is_offered_wants_all() -> None:
    one = car(lines(8.0, 8.0, 8.0))
    one.look(lines(8.0, 8.0, 8.0), STEADY)
    one.look(replace(lines(9.5, 9.5, 9.5), offered=10.0), STEADY + 1)
    assert one.demand(32.0) == 32.0


def test_a_short_dip_and_the_noise_of_the_meter_change_no_demand() -> None:
    one = car(lines(12.0, 12.0, 12.0))
    demands = set()
    for step in range(1, 400):
        now = step * 0.25
        drawn = 0.0 if 40 < now < 41 else 12.0 + (step % 7) / 20 - 0.15
        one.look(replace(lines(drawn, drawn, drawn), offered=min(16.0, one.demand(16.0))), now)
        demands.add(round(one.demand(32.0), 3))
    assert demands == {32.0, 14.15}


def test_without_a_meter_a_car_wants_all() -> None:
    one = car(replace(ON, drawn=None))
    one.look(replace(ON, drawn=None), 10 * STEADY)
    assert one.demand(32.0) == 32.0


@pytest.mark.parametrize("drawn", [None, (16.0, 16.0, 16.0), (3.0, 3.0, 3.0)])
def test_it_may_draw_the_old_offer_until_it_had_its_time_to_follow(drawn: tuple[float, ...] | None) -> None:
    one = car(replace(ON, drawn=drawn))
    assert one.floor(0) == 16.0
    lower = replace(ON, offered=8.0, drawn=None if drawn is None else (3.0, 3.0, 3.0))
    one.look(lower, 1)
    assert (one.floor(1), one.due(1)) == (16.0, 1 + REACTION)
    one.look(lower, 1 + REACTION)
    assert one.floor(1 + REACTION) == 8.0


def test_falls_in_a_row_are_each_remembered_for_their_own_time() -> None:
    one = car(replace(ON, offered=32.0, drawn=None))
    for second, offered in enumerate((24.0, 16.0, 12.0, 10.0, 9.0, 8.0), 1):
        one.look(replace(ON, offered=offered, drawn=None), second)
    assert one.floor(6) == 24.0  # 32 A were offered until 1 s
    one.look(replace(ON, offered=8.0, drawn=None), 10.5)
    assert one.floor(10.5) == 9.0


def test_what_is_drawn_counts_though_it_is_too_much() -> None:
    one = car(lines(20.0, 20.0, 20.0))
    assert one.floor(0) == 20.0


def test_an_unplugged_car_counts_while_the_contactor_is_closed() -> None:
    one = car()
    one.look(Facts(powered=True, offered=0.0), 1)
    assert one.floor(1) == 16.0
    one.look(Facts(powered=False, offered=0.0), 2)
    assert one.floor(2) == 0.0
