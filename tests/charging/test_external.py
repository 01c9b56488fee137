"""A hostile or broken control system: whatever it sends, the lowest limit that was taken holds and little is told."""

import json
import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.charging.external import LONGEST_HOLD, MASTERS, MOST_WATTS, SKEW
from agent.charging.limits import State
from agent.charging.troubles import CALM, MOST_CHANGES
from tests.charging.source_parts import SETTINGS, START, Ems

AFTER = SETTINGS.after
NAMES = [f"m{number}" for number in range(MASTERS + 4)]

Act = tuple[str, int, float, str, str, float | None, float]


def acts() -> st.SearchStrategy[list[Act]]:
    """What is said, the scope, the value, its unit, who says it, for how long, and how much time goes by before."""
    act = st.tuples(
        st.sampled_from(["limit", "limit", "limit", "release", "heard", "look"]),
        st.sampled_from([0, 0, 1, 2, 3, -1]),
        st.one_of(st.floats(), st.floats(0, 22_000), st.sampled_from([0.0, 4200.0, math.nan, math.inf, -1.0, 1e300])),
        st.sampled_from(["W", "A"]),
        st.sampled_from(NAMES[:3] * 4 + NAMES),
        st.one_of(st.none(), st.floats(), st.floats(0.1, 40)),
        st.one_of(st.sampled_from([0.0, 0.02, 1.0]), st.floats(0, 30)),
    )
    return st.lists(act, max_size=60)


@settings(max_examples=300, deadline=None)
@given(acts())
def test_whatever_comes_no_limit_is_above_the_lowest_that_was_taken(story: list[Act]) -> None:
    ems = Ems()
    taken: dict[tuple[str, int], tuple[str, float, float]] = {}
    heard: dict[str, float] = {}
    for what, scope, value, unit, master, duration, pause in story:
        ems.clock.move(pause)
        now = ems.clock.time
        for gone in [name for name, last in heard.items() if now >= last + AFTER]:
            del heard[gone]
            taken = {key: one for key, one in taken.items() if key[0] != gone}
        if what == "limit":
            refused = ems.limit(value, unit, scope=scope, master=master, duration=duration)  # type: ignore[arg-type]
            sane = scope in (0, 1, 2) and 0 <= value < math.inf and (duration is None or duration > 0)
            assert refused is not None or sane
            assert refused is None or not sane or (master not in heard and len(ems.source._masters) == MASTERS)
            if refused is None:
                taken[master, scope] = (unit, value, now + (duration or math.inf))
                heard[master] = now
        elif what == "release":
            if ems.source.release(scope, master) is None:
                taken.pop((master, scope), None)
                heard[master] = now
        elif what == "heard":
            ems.source.heard(master)
            if master in ems.source._masters:
                heard[master] = now
        told = ems.told()
        assert len({(one.scope, one.unit) for one in told}) == len(told)
        live = {key: one for key, one in taken.items() if one[2] > now}
        if ems.source.state in (State.ACTIVE, State.RELEASED):
            expected: dict[tuple[int, str], float] = {}
            for (_, where), (kind, most, _) in live.items():
                most = min(most, MOST_WATTS if kind == "W" else 1000.0)
                expected[where, kind] = min(most, expected.get((where, kind), math.inf))
            assert ems.values() == expected
        else:
            assert ems.values() == {(0, "W"): SETTINGS.limit}
            taken = {}
        assert len(ems.source._masters) <= MASTERS
    ems.clock.move(AFTER)
    assert ems.values() == {(0, "W"): SETTINGS.limit}


@settings(max_examples=100, deadline=None)
@given(acts())
def test_due_is_never_later_than_a_change(story: list[Act]) -> None:
    ems = Ems(replace(SETTINGS, then="unlimited", hold=45))
    for what, scope, value, unit, master, duration, pause in story:
        if what == "limit":
            ems.limit(value, unit, scope=scope, master=master, duration=duration)  # type: ignore[arg-type]
        elif what == "release":
            ems.source.release(scope, master)
        elif what == "heard":
            ems.source.heard(master)
        told, end = ems.told(), ems.clock.time + pause
        due = ems.source.due(ems.clock.time)
        assert due is None or due > ems.clock.time
        if due is None or due > end:
            ems.clock.time = end
            assert ems.told() == told
        else:
            ems.clock.time = due


@settings(max_examples=100, deadline=None)
@given(acts(), st.integers(0, 1000))
def test_looking_more_often_changes_nothing(story: list[Act], seed: int) -> None:
    one, other = Ems(), Ems()
    for number, (what, scope, value, unit, master, duration, pause) in enumerate(story):
        pause = round(pause * 4) / 4  # exact, however often it is cut
        one.clock.move(pause)
        for _ in range(4):
            other.clock.move(pause / 4)
            if (seed + number) % 3:
                other.told()
        for ems in (one, other):
            if what == "limit":
                ems.limit(value, unit, scope=scope, master=master, duration=duration)  # type: ignore[arg-type]
            elif what == "release":
                ems.source.release(scope, master)
            elif what == "heard":
                ems.source.heard(master)
        assert one.values() == other.values()
        assert one.source.phase == other.source.phase


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, -1e-9])
def test_what_is_no_limit_is_refused_and_the_last_one_holds(value: float) -> None:
    ems = Ems()
    ems.limit(5000)
    assert ems.limit(value) is not None
    assert ems.values() == {(0, "W"): 5000}
    assert "refused" in (ems.source.problem or "")
    ems.beat(CALM)
    assert ems.source.problem is None


def test_nothing_but_rubbish_is_no_sign_of_life() -> None:
    ems = Ems()
    ems.limit(8000)
    for _ in range(int(AFTER)):
        ems.clock.move(1)
        ems.limit(-5)
    assert ems.source.state is State.FAILSAFE


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan])
def test_a_duration_that_is_none_is_refused(duration: float) -> None:
    assert Ems().limit(5000, duration=duration) is not None


def test_an_absurd_limit_limits_nothing_that_is_built() -> None:
    ems = Ems()
    assert ems.limit(1e300) is None
    assert ems.limit(1e300, "A", scope=1) is None
    assert ems.values() == {(0, "W"): MOST_WATTS, (1, "A"): 1000}


def test_no_such_scope() -> None:
    ems = Ems()
    assert ems.limit(5000, scope=3) is not None
    assert ems.source.release(3, "ems") is not None


def test_a_limit_ends_after_its_duration_and_only_that_one() -> None:
    ems = Ems()
    ems.limit(5000, duration=5)
    ems.limit(10, "A", scope=1)
    assert [one.until for one in ems.told()] == [ems.clock.time + 5, None]
    ems.beat(4)
    assert ems.values() == {(0, "W"): 5000, (1, "A"): 10}
    ems.beat(1)
    assert ems.values() == {(1, "A"): 10}
    assert [(one.scope, one.state) for one in ems.told()] == [(0, State.RELEASED), (1, State.ACTIVE)]
    ems.source.release(1, "ems")
    assert [(one.scope, one.state) for one in ems.told()] == [(0, State.RELEASED)]


def test_of_two_masters_the_lowest_holds_and_it_is_told_once() -> None:
    ems = Ems()
    ems.limit(5000, master="a")
    assert ems.source.problem is None
    ems.limit(7000, master="b")
    assert ems.values() == {(0, "W"): 5000}
    problem = ems.source.problem
    assert problem is not None and "a, b" in problem
    ems.limit(3000, master="b")
    ems.limit(9000, master="c")
    assert ems.values() == {(0, "W"): 3000}
    assert ems.source.problem == problem
    ems.source.release(0, "b")
    assert ems.values() == {(0, "W"): 5000}
    ems.source.release(0, "a")
    assert ems.values() == {(0, "W"): 9000}


def test_two_units_are_two_limits_the_lower_first() -> None:
    ems = Ems()
    ems.limit(4200, master="a")
    ems.limit(16, "A", master="b")
    assert [(one.value, one.unit) for one in ems.told()] == [(4200, "W"), (16, "A")]
    ems.limit(6, "A", master="b")
    assert [(one.value, one.unit) for one in ems.told()] == [(6, "A"), (4200, "W")]


def test_a_silent_master_drops_out_while_another_is_heard() -> None:
    ems = Ems()
    ems.limit(3000, master="a")
    ems.limit(7000, master="b")
    ems.beat(AFTER - 1, "b")
    assert ems.values() == {(0, "W"): 3000}
    ems.beat(1, "b")
    assert ems.values() == {(0, "W"): 7000}


def test_heartbeats_of_somebody_who_never_spoke_do_not_stand_for_the_master() -> None:
    ems = Ems()
    ems.limit(8000, master="a")
    ems.beat(AFTER, "stranger")
    assert ems.source.state is State.FAILSAFE


def test_masters_beyond_the_most_are_refused_until_one_is_long_silent() -> None:
    ems = Ems()
    for name in NAMES[:MASTERS]:
        assert ems.limit(5000, master=name) is None
    assert ems.limit(10, master="late") == "there are too many masters"
    assert "more than 8 masters" in (ems.source.problem or "")
    ems.source.heard("late")
    ems.clock.move(AFTER)
    assert ems.limit(10, master="late") is None
    assert ems.values() == {(0, "W"): 10}


def test_who_is_forgotten_cannot_be_replayed() -> None:
    ems = Ems()
    ems.limit(5000, master="a", stamp=START)
    ems.clock.move(AFTER + 1)
    for name in NAMES[:MASTERS]:
        ems.source.heard(name)
        ems.clock.move(1)
    assert ems.limit(5000, master="a", stamp=START) is not None
    ems.clock.move(SKEW)
    for name in NAMES[:MASTERS]:
        ems.source.heard(name)
    assert ems.limit(5000, master="a", stamp=START) is not None


def test_replayed_and_late_messages_are_refused_for_each_scope_by_itself() -> None:
    ems = Ems()
    assert ems.limit(5000, stamp=START) is None
    assert ems.limit(10, "A", scope=1, stamp=START) is None
    assert ems.limit(9000, stamp=START) is not None
    assert ems.limit(9000, stamp=START - timedelta(seconds=1)) is not None
    assert ems.source.release(0, "ems", stamp=START) is not None
    assert ems.values() == {(0, "W"): 5000, (1, "A"): 10}
    assert "again" in (ems.source.problem or "")
    assert ems.source.release(0, "ems", stamp=START + timedelta(milliseconds=1)) is None
    assert ems.values() == {(1, "A"): 10}


def test_replays_keep_no_dead_master_alive() -> None:
    ems = Ems()
    ems.limit(9000, stamp=START)
    for _ in range(int(AFTER)):
        ems.clock.move(1)
        ems.limit(9000, stamp=START)
    assert ems.source.state is State.FAILSAFE


@pytest.mark.parametrize("skew", [61, -61, 86_400 * 365])
def test_a_clock_that_is_off_is_told(skew: int) -> None:
    ems = Ems()
    assert ems.limit(9000, stamp=START + timedelta(seconds=skew)) is not None
    problem = ems.source.problem
    assert problem is not None and "clock" in problem
    ems.clock.move(1)
    ems.limit(9000, stamp=START + timedelta(seconds=2 * skew))
    assert ems.source.problem == problem
    assert ems.limit(9000, stamp=ems.clock.wall + timedelta(seconds=SKEW)) is None
    assert ems.source.problem is None


def test_a_stamp_without_a_zone_is_refused() -> None:
    assert Ems().limit(9000, stamp=START.replace(tzinfo=None)) is not None


def test_a_correction_of_our_clock_moves_no_limit() -> None:
    ems = Ems()
    ems.limit(5000, duration=5, stamp=START)
    ems.clock.correct(7200)
    ems.beat(4)
    assert ems.values() == {(0, "W"): 5000}
    ems.beat(1)
    assert ems.values() == {}


def test_fifty_changes_a_second_are_told_once_and_closed_after_calm() -> None:
    ems = Ems()
    problems = set()
    for number in range(50 * 60):
        ems.clock.move(0.02)
        ems.limit(3000 if number % 2 else 9000)
        assert ems.values() == {(0, "W"): 3000 if number % 2 else 9000}
        problems.add(ems.source.problem)
    assert problems == {None, "limits change all the time"}
    ems.beat(CALM - 1)
    assert ems.source.problem == "limits change all the time"
    ems.beat(1)
    assert ems.source.problem is None


def test_a_limit_that_is_repeated_is_no_change() -> None:
    ems = Ems()
    for _ in range(10 * MOST_CHANGES):
        ems.clock.move(0.1)
        ems.limit(5000)
    assert ems.source.problem is None
    assert ems.changes == 1


def test_a_flood_costs_the_disk_nothing() -> None:
    """A thousand random limits a minute for an hour, and then a thousand a second that fall and fall."""
    ems = Ems()
    value = 7
    for _ in range(60_000):
        ems.clock.move(0.06)
        value = value * 75 % 65_537
        ems.limit(value % 11_000)
    assert ems.source.version < 20
    before, began = ems.source.version, ems.clock.time
    for number in range(30_000):
        ems.clock.move(0.001)
        ems.limit(4000 - number / 10)
    assert ems.source.version - before <= (ems.clock.time - began) / 5 + 1


def test_limits_that_fall_quickly_are_each_kept_at_once() -> None:
    """The power may go before a gap between two writes is over."""
    ems = Ems()
    for number, value in enumerate((4190, 4180, 1500), 1):
        ems.limit(value)
        assert (json.loads(ems.source.to_json())["value"], ems.source.falls) == (value, number)
        ems.clock.move(2)
    ems.limit(4000)
    assert (json.loads(ems.source.to_json())["value"], ems.source.falls) == (1500, 3)


def test_limits_of_evses_hold_from_the_start_after_a_power_cut() -> None:
    ems = Ems()
    ems.limit(7, "A", scope=1)
    ems.limit(1500, scope=2)
    again = Ems(kept=ems.source.to_json())
    assert again.values() == {(0, "W"): 4200, (1, "A"): 7, (2, "W"): 1500}
    assert json.loads(again.source.to_json()) == json.loads(ems.source.to_json())
    again.source.release(1, "ems")
    assert again.values() == {}


def test_a_limit_of_an_evse_that_is_lowered_is_kept_at_once_whatever_the_stations_is() -> None:
    ems = Ems()
    ems.limit(2000)
    ems.limit(1900, scope=1)
    ems.limit(1500, scope=1)
    assert Ems(kept=ems.source.to_json()).values() == {(0, "W"): 2000, (1, "W"): 1500}


@pytest.mark.parametrize("evses", ["{}", "[1]", "[[1, 2]]", '[[1, -2, "W"]]', '[[1, 2, "V"]]', '[[1, null, "W"]]'])
def test_limits_of_evses_that_cannot_be_read_are_told_and_the_failsafe_holds(evses: str) -> None:
    ems = Ems()
    wrong = ems.source.restore(f'{{"limited": true, "evses": {evses}}}')
    assert wrong is not None
    assert ems.values() == {(0, "W"): 4200}


def test_changed_is_called_for_calls_that_change_what_is_told() -> None:
    ems = Ems()
    ems.source.heard("ems")
    assert ems.changes == 0
    ems.limit(5000)
    assert ems.changes == 1
    ems.limit(-1)
    ems.source.release(1, "ems")
    assert ems.changes == 1
    ems.limit(10, "A", scope=2)
    assert ems.changes == 2
    ems.source.release(0, "ems")
    assert ems.changes == 3
    ems.clock.move(AFTER)
    ems.told()
    assert ems.changes == 3
    ems.source.configure(limit=3000)
    assert ems.changes == 4


def test_its_age_and_its_longest_hold() -> None:
    ems = Ems()
    assert ems.source.age(ems.clock.time) is None
    ems.source.heard("ems")
    ems.clock.move(3)
    assert ems.source.age(ems.clock.time) == 3
    assert ems.source.configure(hold=LONGEST_HOLD) is None
    assert ems.source.configure(hold=LONGEST_HOLD + 1) is not None
