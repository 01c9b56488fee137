"""Station limits shared by EVSEs: what must hold for any claims, and the cases that a reader would ask about."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.charging.sharing import Claim, Sharing

NEAR = 1e-6
ROTATE = 900.0

Case = tuple[list[Claim], list[float]]


def claim(evse: int, least: float = 6.0, most: float = 32.0, demand: float | None = None, **more: object) -> Claim:
    made = Claim(evse, least, most, most if demand is None else demand, 0, (1.0,))
    return replace(made, **more)  # type: ignore[arg-type]


def fair(rotate: float = ROTATE) -> Sharing:
    return Sharing(by_priority=False, rotate=rotate)


def settled(
    sharing: Sharing, claims: Sequence[Claim], capacities: Sequence[float], now: float = 0.0
) -> dict[int, float]:
    """The answer once all cars have followed."""
    sharing.share(claims, capacities, now)
    return sharing.share(claims, capacities, now)


@st.composite
def cases(draw: st.DrawFn, floors: bool = False, priorities: bool = True) -> Case:
    constraints = draw(st.integers(1, 4))
    amps = st.one_of(st.sampled_from([6.0, 8.0, 10.0, 16.0, 32.0]), st.floats(0, 40, allow_subnormal=False))
    weight = st.sampled_from([0.0, 1.0, 1.0, 230.0, 690.0, 401.7])
    claims = []
    for evse in range(1, draw(st.integers(1, 6)) + 1):
        most = draw(amps)
        claims.append(
            Claim(
                evse,
                draw(st.sampled_from([6.0, 6.0, 8.0, 13.0])),
                most,
                min(most, draw(amps)),
                draw(st.integers(-2, 2)) if priorities else 0,
                tuple(draw(weight) for _ in range(constraints)),
                draw(amps) if floors else 0.0,
            )
        )
    capacities = [
        draw(st.floats(0, 120)) * max(1.0, *(c.weights[k] for c in claims), 1.0) for k in range(constraints)
    ]
    return claims, capacities


def used(claims: Sequence[Claim], amounts: dict[int, float], k: int) -> float:
    return sum(c.weights[k] * amounts[c.evse] for c in claims)


def room(claims: Sequence[Claim], amounts: dict[int, float], capacities: Sequence[float], one: Claim) -> float:
    """How many A more `one` could have."""
    return min(
        ((cap - used(claims, amounts, k)) / one.weights[k] for k, cap in enumerate(capacities) if one.weights[k] > 0),
        default=float("inf"),
    )


@given(st.lists(cases(floors=True), min_size=1, max_size=4), st.booleans())
def test_whatever_follows_whatever_the_bounds_hold(sequence: list[Case], by_priority: bool) -> None:
    sharing = Sharing(by_priority=by_priority, rotate=ROTATE)
    last: dict[int, float] = {}
    for step, (claims, capacities) in enumerate(sequence):
        shares = sharing.share(claims, capacities, step * 400.0)
        assert list(shares) == [c.evse for c in claims]
        may_draw = {c.evse: max(shares[c.evse], c.floor, last.get(c.evse, 0.0)) for c in claims}
        for c in claims:
            assert shares[c.evse] == 0 or c.least <= shares[c.evse] <= c.most
        for k, capacity in enumerate(capacities):
            assert used(claims, shares, k) <= capacity + NEAR
            rises = any(c.weights[k] > 0 and shares[c.evse] > last.get(c.evse, 0.0) for c in claims)
            assert not rises or used(claims, may_draw, k) <= capacity + NEAR
        last = shares


@given(cases(floors=True), st.booleans(), st.integers(0, 3000))
def test_the_same_question_has_the_same_answer(case: Case, by_priority: bool, now: int) -> None:
    claims, capacities = case
    sharing, other = (Sharing(by_priority=by_priority, rotate=ROTATE) for _ in range(2))
    first = settled(sharing, claims, capacities, now)
    assert settled(other, list(claims), list(capacities), now) == first
    for later in (0.0, 1.0, 10.0, ROTATE - 1):
        again = sharing.share(claims, capacities, now + later)
        assert again == pytest.approx(first, abs=NEAR)


@given(cases(), st.booleans())
def test_nothing_is_left_that_somebody_could_use(case: Case, by_priority: bool) -> None:
    claims, capacities = case
    shares = settled(Sharing(by_priority=by_priority, rotate=ROTATE), claims, capacities)
    least = {c.evse: c.least if shares[c.evse] else 0.0 for c in claims}
    for c in claims:
        if shares[c.evse]:
            assert c.most - shares[c.evse] < NEAR or room(claims, shares, capacities, c) < NEAR
        elif c.least <= c.most:
            assert room(claims, least, capacities, c) < c.least


@given(cases(priorities=False))
def test_fair_who_has_more_could_not_give_it_to_who_has_less(case: Case) -> None:
    """Max-min: whoever wants more is held by a full constraint in which nobody has more, except by a minimum or of
    what the others had no use for.
    """
    claims, capacities = case
    shares = settled(fair(), claims, capacities)
    for c in claims:
        mine = shares[c.evse]
        if not mine or mine > min(c.demand, c.most) - NEAR:
            continue
        full = [
            k for k, cap in enumerate(capacities) if c.weights[k] > 0 and cap - used(claims, shares, k) < NEAR * 700
        ]
        assert any(
            all(o.weights[k] == 0 or shares[o.evse] <= max(mine, o.least) + NEAR for o in claims) for k in full
        )


@pytest.mark.requirement("K03.FR.04")
@given(cases())
def test_no_lower_priority_stands_in_the_way_of_a_higher_one(case: Case) -> None:
    claims, capacities = case
    shares = settled(Sharing(by_priority=True, rotate=ROTATE), claims, capacities)
    for c in claims:
        above = {o.evse: o.least if shares[o.evse] and o.priority >= c.priority else 0.0 for o in claims}
        if not shares[c.evse] and c.least <= c.most:
            assert room(claims, above, capacities, c) < c.least


@settings(max_examples=60, deadline=None)
@given(cases(priorities=False), st.sampled_from([60.0, 300.0, 450.0, 899.0]))
def test_nobody_starves(case: Case, step: float) -> None:
    claims, capacities = case
    sharing = fair()
    nobody = {c.evse: 0.0 for c in claims}
    able = [c for c in claims if c.least <= c.most and room(claims, nobody, capacities, c) >= c.least]
    hungry = {c.evse: 0.0 for c in able}
    begun: dict[int, float] = {}
    patience = len(claims) * (ROTATE + 2 * step)
    now = 0.0
    while now <= 3 * patience + 10 * ROTATE:
        shares = sharing.share(claims, capacities, now)
        shares = sharing.share(claims, capacities, now + 1)
        for c in able:
            if shares[c.evse]:
                hungry[c.evse] = now
                begun.setdefault(c.evse, now)
            elif c.evse in begun:
                assert now - begun.pop(c.evse) >= ROTATE - 1, "paused before its turn was over"
            assert now - hungry[c.evse] <= patience
        now += step


@given(cases(), st.booleans(), st.lists(st.integers(0, 63), min_size=1, max_size=8))
def test_cars_that_take_five_seconds_to_follow_never_draw_too_much_together(
    case: Case, by_priority: bool, arrivals: list[int]
) -> None:
    """Each draws the most that it was offered within 5 s; every 7 s others are there."""
    claims, capacities = case
    sharing = Sharing(by_priority=by_priority, rotate=20.0)
    offers: dict[int, list[float]] = {}
    for now in range(7 * len(arrivals)):
        present = [c for c in claims if arrivals[now // 7] >> c.evse % 6 & 1]
        offers = {c.evse: offers.get(c.evse, [])[-5:] for c in present}
        asked = [replace(c, floor=max(offers[c.evse], default=0.0)) for c in present]
        for evse, share in sharing.share(asked, capacities, float(now)).items():
            offers[evse].append(share)
        drawn = {c.evse: max(offers.get(c.evse, [0.0])) for c in claims}
        for k, capacity in enumerate(capacities):
            assert used(claims, drawn, k) <= capacity + NEAR


def test_equal_shares_and_what_one_does_not_use_goes_to_the_other() -> None:
    assert settled(fair(), [claim(1), claim(2)], [32.0]) == {1: 16.0, 2: 16.0}
    assert settled(fair(), [claim(1, demand=10.0), claim(2)], [32.0]) == {1: 10.0, 2: 22.0}
    assert settled(fair(), [claim(1, demand=8.0), claim(2, demand=12.0)], [32.0]) == {1: 16.0, 2: 16.0}


def test_watts_weigh_phases() -> None:
    single, three = claim(1, weights=(230.0,)), claim(2, weights=(690.0,))
    assert settled(fair(), [single, three], [9200.0]) == pytest.approx({1: 10.0, 2: 10.0})


def test_a_car_on_one_phase_leaves_the_other_phases_to_others() -> None:
    cars = [claim(1, weights=(1.0, 0.0, 0.0)), claim(2, weights=(1.0, 1.0, 1.0)), claim(3, weights=(0.0, 1.0, 0.0))]
    assert settled(fair(), cars, [20.0, 32.0, 32.0]) == pytest.approx({1: 10.0, 2: 10.0, 3: 22.0})


@pytest.mark.requirement("K03.FR.04")
def test_a_higher_priority_suspends_a_lower_one_at_once() -> None:
    sharing = fair()
    assert sharing.share([claim(1)], [10.0], 0.0) == {1: 10.0}
    both = [claim(1), claim(2, priority=3)]
    assert sharing.share(both, [10.0], 1.0) == {1: 0.0, 2: 0.0}
    assert sharing.share(both, [10.0], 2.0) == {1: 0.0, 2: 10.0}
    assert sharing.share(both, [10.0], 10 * ROTATE) == {1: 0.0, 2: 10.0}


@pytest.mark.requirement("K03.FR.04")
def test_by_priority_the_higher_is_filled_first_up_to_what_it_uses() -> None:
    sharing = Sharing(by_priority=True, rotate=ROTATE)
    assert settled(sharing, [claim(1), claim(2, priority=1)], [32.0]) == {1: 6.0, 2: 26.0}
    assert settled(sharing, [claim(1, demand=8.0), claim(2, demand=20.0, priority=1)], [32.0]) == {1: 8.0, 2: 24.0}


def test_a_rise_waits_until_the_other_has_let_go() -> None:
    sharing = fair()
    assert sharing.share([claim(1)], [32.0], 0.0) == {1: 32.0}
    assert sharing.due(0.0) is None
    assert sharing.share([claim(1), claim(2)], [32.0], 10.0) == {1: 16.0, 2: 0.0}
    assert sharing.due(10.0) == 11.0
    assert sharing.share([claim(1, floor=27.0), claim(2)], [32.0], 11.0) == {1: 16.0, 2: 0.0}
    assert sharing.share([claim(1, floor=24.0), claim(2)], [32.0], 12.0) == {1: 16.0, 2: 8.0}
    assert sharing.share([claim(1, floor=16.0), claim(2)], [32.0], 13.0) == {1: 16.0, 2: 16.0}
    assert sharing.due(13.0) is None


def test_an_evse_that_may_not_charge_still_counts_while_its_car_draws() -> None:
    sharing = fair()
    gone = claim(1, most=0.0, demand=0.0, floor=20.0)
    assert sharing.share([gone, claim(2)], [32.0], 0.0) == {1: 0.0, 2: 12.0}
    assert sharing.due(0.0) == 1.0
    assert sharing.share([replace(gone, floor=0.0), claim(2)], [32.0], 1.0) == {1: 0.0, 2: 32.0}


def test_a_fallen_capacity_lowers_at_once_and_nobody_rises_meanwhile() -> None:
    sharing = fair()
    cars = [claim(1), claim(2, demand=6.0)]
    assert settled(sharing, cars, [38.0]) == {1: 32.0, 2: 6.0}
    assert sharing.share([claim(1, floor=32.0), claim(2)], [20.0], 1.0) == {1: 10.0, 2: 6.0}
    assert sharing.share([claim(1, floor=10.0), claim(2)], [20.0], 2.0) == {1: 10.0, 2: 10.0}


def test_turns_rotate_when_not_all_fit() -> None:
    sharing = fair()
    cars = [claim(1), claim(2), claim(3)]
    on: list[list[int]] = []
    for now in range(0, 3600, 450):
        shares = settled(sharing, cars, [13.0], float(now))
        on.append([evse for evse, share in shares.items() if share])
    assert on == [[1, 2], [1, 2], [1, 3], [1, 3], [2, 3], [2, 3], [1, 2], [1, 2]]


def test_due_tells_when_a_turn_ends() -> None:
    sharing = fair()
    sharing.share([claim(1), claim(2)], [10.0], 5.0)
    assert sharing.due(5.0) == 5.0 + ROTATE
    assert sharing.share([claim(1), claim(2)], [10.0], 5.0 + ROTATE) == {1: 0.0, 2: 0.0}
    assert sharing.share([claim(1), claim(2)], [10.0], 6.0 + ROTATE) == {1: 0.0, 2: 10.0}


def test_a_turn_begins_when_there_is_current() -> None:
    """The first may keep drawing for long: the second has its whole turn after that."""
    sharing = fair()
    sharing.share([claim(1), claim(2)], [10.0], 0.0)
    slow = [claim(1, floor=10.0), claim(2)]
    for now in (ROTATE, ROTATE + 500):
        assert sharing.share(slow, [10.0], now) == {1: 0.0, 2: 0.0}
    begin = ROTATE + 501
    assert sharing.share([claim(1), claim(2)], [10.0], begin) == {1: 0.0, 2: 10.0}
    assert sharing.share([claim(1), claim(2)], [10.0], begin + ROTATE - 1) == {1: 0.0, 2: 10.0}
    assert sharing.share([claim(1), claim(2)], [10.0], begin + ROTATE)[2] == 0.0


def test_who_leaves_makes_room_without_waiting_for_a_turn() -> None:
    sharing = fair()
    settled(sharing, [claim(1), claim(2)], [10.0], 0.0)
    assert sharing.share([claim(2)], [10.0], 20.0) == {2: 10.0}


def test_a_large_minimum_is_not_starved_by_small_ones_but_they_do_not_idle_for_it() -> None:
    sharing = fair()
    cars = [claim(1), claim(2), claim(3, least=20.0), claim(4)]
    assert settled(sharing, cars, [24.0], 0.0) == {1: 8.0, 2: 8.0, 3: 0.0, 4: 8.0}
    assert settled(sharing, cars, [24.0], ROTATE) == {1: 0.0, 2: 0.0, 3: 24.0, 4: 0.0}


def test_no_new_turn_outlasts_those_that_a_large_minimum_waits_for() -> None:
    """Turns that overlap would keep the room of two from ever being free at once."""
    sharing = fair()
    cars = [claim(1), claim(2), claim(3, least=12.0), claim(4)]
    settled(sharing, cars[:1], [12.0], 0.0)
    settled(sharing, cars[:2], [12.0], 450.0)
    settled(sharing, cars, [12.0], 460.0)
    assert settled(sharing, cars, [12.0], ROTATE) == {1: 6.0, 2: 6.0, 3: 0.0, 4: 0.0}
    assert sharing.due(ROTATE) == 450.0 + ROTATE
    assert settled(sharing, cars, [12.0], 450.0 + ROTATE) == {1: 0.0, 2: 0.0, 3: 12.0, 4: 0.0}


def test_a_higher_minimum_pauses_rather_than_undercuts_it() -> None:
    sharing = fair()
    assert settled(sharing, [claim(1), claim(2)], [14.0]) == {1: 7.0, 2: 7.0}
    assert sharing.share([claim(1, least=8.0), claim(2)], [14.0], 1.0) == {1: 0.0, 2: 6.0}
    assert sharing.share([claim(1, least=8.0), claim(2)], [14.0], 2.0) == {1: 8.0, 2: 6.0}


@pytest.mark.parametrize("weights", [(), (1.0, 1.0), (-1.0,), (float("nan"),), (float("inf"),)])
def test_one_sound_weight_for_each_capacity(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="EVSE 1: expected"):
        fair().share([claim(1, weights=weights)], [10.0], 0.0)


def test_what_is_no_number_gives_nobody_anything() -> None:
    nan = float("nan")
    for one, capacity in ((claim(1), nan), (claim(1, most=nan), 10.0), (claim(1, least=nan), 10.0)):
        assert settled(fair(), [one], [capacity]) == {1: 0.0}
    assert settled(fair(), [claim(1), claim(2, most=0.0, floor=nan)], [32.0]) == {1: 0.0, 2: 0.0}
    assert settled(fair(), [claim(1, demand=nan), claim(2, demand=20.0)], [32.0]) == {1: 12.0, 2: 20.0}
