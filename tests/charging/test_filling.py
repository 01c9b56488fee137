"""Water into connected vessels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.filling import fill

NEAR = 1e-6


def filled(
    levels: list[float], tops: list[float], weights: list[list[float]], room: list[float]
) -> tuple[list[float], list[float]]:
    levels, room = list(levels), list(room)
    fill(levels, tops, weights, room)
    return levels, room


def test_the_lowest_rises_first_and_then_all_together() -> None:
    assert filled([6, 10], [32, 32], [[1], [1]], [3]) == ([9, 10], [0])
    assert filled([6, 10], [32, 32], [[1], [1]], [10]) == ([13, 13], [0])


def test_a_top_is_not_passed_and_the_rest_goes_on() -> None:
    assert filled([6, 6, 6], [8, 32, 6], [[1], [1], [1]], [10]) == ([8, 14, 6], [0])
    assert filled([6, 6], [8, 9], [[1], [1]], [10]) == ([8, 9], [5])
    assert filled([6], [4], [[1]], [10]) == ([6], [10])


def test_a_full_constraint_holds_only_those_who_weigh_in_it() -> None:
    assert filled([6, 6, 6], [20, 20, 20], [[1, 0], [1, 1], [0, 1]], [4, 12]) == ([8, 8, 16], [0, 0])
    assert filled([6, 6], [20, 20], [[1, 0], [0, 1]], [-1, 5]) == ([6, 11], [-1, 0])
    assert filled([6], [20], [[]], []) == ([20], [])


@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_as_a_slow_tap_does_it(data: st.DataObject, vessels: int, constraints: int) -> None:
    """The same by small steps of whole numbers, each to all of the lowest who may rise."""
    number = st.integers(0, 20)
    levels = data.draw(st.lists(number, min_size=vessels, max_size=vessels))
    tops = data.draw(st.lists(number, min_size=vessels, max_size=vessels))
    rows = st.lists(st.integers(0, 2), min_size=constraints, max_size=constraints)
    weights = data.draw(st.lists(rows, min_size=vessels, max_size=vessels))
    room = data.draw(st.lists(st.integers(0, 60), min_size=constraints, max_size=constraints))
    step = 1 / 16
    slow, left = [float(level) for level in levels], [float(free) for free in room]
    able = {i for i in range(vessels) if slow[i] < tops[i]}
    while able:
        lowest = min(slow[i] for i in able)
        rising = [i for i in able if slow[i] == lowest]
        costs = [step * sum(weights[i][k] for i in rising) for k in range(constraints)]
        full = {k for k in range(constraints) if costs[k] > left[k]}
        stopped = {i for i in rising if slow[i] >= tops[i] or any(weights[i][k] for k in full)}
        able -= stopped
        if stopped:
            continue
        for i in rising:
            slow[i] += step
        left = [free - cost for free, cost in zip(left, costs, strict=True)]
    exact, _ = filled([float(level) for level in levels], tops, weights, room)  # type: ignore[arg-type]
    assert exact == pytest.approx(slow, abs=vessels * constraints * step * 4)
