"""The speed of a fan from its tacho's edges, with a fake clock."""

import random

import pytest

from drivers.gpio_tacho import NoRhythm, Tachometer


def turning(rpm: float, seconds: float, pulses: int = 2, jitter=lambda: 0.0, start: float = 100.0) -> Tachometer:
    """A tachometer that saw a fan turn at `rpm` since `start`; each edge comes `jitter()` late."""
    tachometer = Tachometer(pulses, start)
    period = 60 / rpm / pulses
    for number in range(int(seconds / period) + 1):
        at = start + number * period + jitter()
        tachometer.edge(at, at)
    return tachometer


@pytest.mark.parametrize("pulses", [1, 2, 4])
@pytest.mark.parametrize("rpm", [15 * 2, 200, 502, 1000, 1002, 5000])
def test_a_constant_speed_reads_itself(rpm, pulses):
    assert turning(rpm, 4.0, pulses).rpm(104.0) == rpm


@pytest.mark.parametrize("seed", range(20))
def test_edges_that_come_late_move_the_reading_by_one_at_most(seed):
    chance = random.Random(seed)
    tachometer = turning(502, 4.0, jitter=lambda: chance.uniform(0, 0.002))
    assert abs(tachometer.rpm(104.0) - 502) <= 1


def test_a_few_edges_that_come_very_late_do_not_move_it_at_all():
    chance = random.Random(1)
    tachometer = turning(502, 4.0, jitter=lambda: 0.03 if chance.random() < 0.1 else 0.0)
    assert tachometer.rpm(104.0) == 502


def test_a_new_speed_is_there_after_two_seconds():
    tachometer = turning(300, 4.0)
    for number in range(1, 35):
        at = 104.0 + number * 60 / 502 / 2
        tachometer.edge(at, at)
    assert tachometer.rpm(at) == 502


def test_nothing_is_known_before_the_second_edge():
    tachometer = Tachometer(2, 100.0)
    assert tachometer.rpm(100.5) is None
    tachometer.edge(101.0, 101.0)
    assert tachometer.rpm(101.5) is None


def test_two_seconds_without_an_edge_are_a_standstill():
    assert Tachometer(2, 100.0).rpm(102.0) == 0
    tachometer = turning(502, 4.0)
    assert tachometer.rpm(105.0) == 502
    assert tachometer.rpm(106.0) == 0


def test_a_fan_that_starts_again_is_not_slowed_by_its_pause():
    tachometer = turning(502, 4.0)
    for at in (120.0, 120.06, 120.12):
        tachometer.edge(at, at)
    assert tachometer.rpm(120.12) == 500


def test_the_clock_of_the_edges_may_be_another_one():
    tachometer = Tachometer(2, 100.0)
    for number in range(40):
        tachometer.edge(7e9 + number * 0.06, 100.0 + number * 0.06)
    assert tachometer.rpm(102.4) == 500


def test_a_speed_beyond_all_fans_costs_no_memory():
    tachometer = turning(500_000, 4.0)
    assert abs(tachometer.rpm(104.0) - 500_000) <= 1


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_speed(seed):
    chance = random.Random(seed)
    tachometer = turning(600, 4.0)
    at = 104.0
    while at < 104.5:
        at += chance.expovariate(333)
        tachometer.edge(at, at)
    with pytest.raises(NoRhythm):
        tachometer.rpm(104.5)


def test_marks_that_are_uneven_are_no_noise():
    tachometer = Tachometer(2, 100.0)
    for turn in range(40):
        for mark in (0.0, 0.042):
            tachometer.edge(100.0 + turn * 0.1 + mark, 100.0 + turn * 0.1 + mark)
    assert abs(tachometer.rpm(104.0) - 600) <= 10


def test_a_fan_that_starts_from_a_standstill_is_no_noise():
    tachometer = Tachometer(2, 100.0)
    for number in range(1, 40):
        at = 100.0 + 0.35 * number**0.5  # as with a constant acceleration
        tachometer.edge(at, at)
        assert tachometer.rpm(at) is None or tachometer.rpm(at) >= 0
