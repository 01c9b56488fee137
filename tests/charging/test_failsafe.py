"""The failsafe's states: the table by itself, and the story of a station whose master comes and goes."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.external import ExternalSource
from agent.charging.failsafe import TABLE, WORD, FailsafeMachine, FailsafeSettings, Happening, Phase
from agent.charging.limits import State
from tests.charging.source_parts import SETTINGS, Ems, ManualClock

EEBUS = FailsafeSettings(then="unlimited")


def test_from_every_phase_a_word_takes_the_lead_and_every_phase_is_reached() -> None:
    assert set(TABLE.values()) == set(Phase) - {Phase.INIT, Phase.KEPT}
    for phase in Phase:
        after_limit = TABLE.get((phase, Happening.LIMIT), phase)
        after_release = TABLE.get((phase, Happening.RELEASE), phase)
        assert (after_limit, after_release) == (Phase.LIMITED, Phase.UNLIMITED)


def test_a_heartbeat_alone_never_ends_the_failsafe() -> None:
    assert (Phase.FAILSAFE, Happening.HEARTBEAT) not in TABLE


@given(
    st.lists(st.tuples(st.sampled_from(["beat", "limit", "release", "garbled"]), st.floats(0.1, 300)), max_size=20),
    st.sampled_from([SETTINGS, EEBUS, FailsafeSettings(start="unlimited", then="unlimited")]),
)
def test_silence_always_ends_in_the_failsafe_and_then_in_what_follows_it(
    story: list[tuple[str, float]], settings: FailsafeSettings
) -> None:
    now = 50.0
    machine = FailsafeMachine(settings, now)
    for what, pause in story:
        if what == "beat":
            machine.heartbeat(now, speaker=machine.spoken)
        elif what == "garbled":
            machine.garbled()
        else:
            machine.heartbeat(now, speaker=True)
            machine.word(now, limited=what == "limit")
        now += pause
        while machine.elapse(now):
            pass
    last = machine.heard
    while machine.elapse(now + settings.after):
        pass
    if last is not None:
        assert machine.phase in (Phase.FAILSAFE, Phase.ALONE)
        assert machine.phase is Phase.FAILSAFE or settings.then == "unlimited"
    while machine.elapse(now + settings.after + settings.hold):
        pass
    assert machine.phase is (Phase.FAILSAFE if settings.then == "failsafe" else Phase.ALONE)
    assert machine.due() is None


def test_from_the_start_the_failsafe_limit_holds_until_a_word() -> None:
    ems = Ems()
    assert [(one.state, one.value) for one in ems.told()] == [(State.INIT, 4200)]
    ems.beat(5)
    assert ems.source.state is State.INIT and ems.values() == {(0, "W"): 4200}
    assert ems.limit(11_000) is None
    assert [(one.state, one.value) for one in ems.told()] == [(State.ACTIVE, 11_000)]
    assert ems.source.release(0, "ems") is None
    assert [(one.state, one.value) for one in ems.told()] == [(State.RELEASED, None)]


def test_a_silent_master_and_its_return() -> None:
    """The bench's contract: ten seconds."""
    ems = Ems()
    ems.limit(8000)
    ems.beat(30)
    assert ems.source.due(ems.clock.time) == ems.clock.time + 10
    ems.clock.move(9.9)
    assert ems.values() == {(0, "W"): 8000}
    assert ems.source.problem is None
    ems.clock.move(0.1)
    [failsafe] = ems.told()
    assert (failsafe.state, failsafe.value, failsafe.changed) == (State.FAILSAFE, 4200, ems.clock.time)
    assert "failsafe limit" in (ems.source.problem or "")
    ems.clock.move(5000)
    ems.beat(20)
    assert ems.source.state is State.FAILSAFE
    assert ems.limit(8000) is None
    assert ems.values() == {(0, "W"): 8000}
    assert ems.source.problem is None


def test_a_master_that_is_back_without_a_word_limits_nothing_after_a_while() -> None:
    ems = Ems()
    ems.limit(8000)
    ems.clock.move(100)
    ems.beat(WORD)
    assert ems.source.state is State.FAILSAFE
    ems.beat(1)
    assert (ems.source.state, ems.values()) == (State.RELEASED, {})
    ems.clock.move(10)
    assert ems.values() == {(0, "W"): 4200}


def test_a_master_whose_words_are_refused_has_not_said_nothing() -> None:
    ems = Ems()
    ems.limit(8000)
    ems.clock.move(100)
    ems.beat(1)
    assert ems.limit(float("nan")) is not None
    ems.beat(2 * WORD)
    assert ems.source.state is State.FAILSAFE


def test_a_gap_in_the_heartbeats_starts_the_wait_for_a_word_again() -> None:
    ems = Ems()
    ems.limit(8000)
    ems.clock.move(100)
    ems.beat(WORD - 10)
    ems.clock.move(30)
    ems.beat(WORD - 1)
    assert ems.source.state is State.FAILSAFE


def test_after_the_hold_nothing_is_limited_where_the_board_says_so() -> None:
    ems = Ems(replace(SETTINGS, then="unlimited"))
    ems.limit(2000)
    ems.clock.move(10)
    [failsafe] = ems.told()
    assert failsafe.until == ems.clock.time + 600
    ems.clock.move(600)
    assert (ems.source.phase, ems.source.state, ems.values()) == (Phase.ALONE, State.FAILSAFE, {})
    ems.limit(2000)
    assert ems.values() == {(0, "W"): 2000}


@pytest.mark.parametrize(
    ("start", "then", "first", "later"),
    [
        ("failsafe", "failsafe", 4200, 4200),
        ("failsafe", "unlimited", 4200, None),
        ("unlimited", "failsafe", None, 4200),
        ("unlimited", "unlimited", None, None),
    ],
)
def test_if_nobody_is_ever_heard(start: str, then: str, first: float | None, later: float | None) -> None:
    ems = Ems(replace(SETTINGS, start=start, then=then))
    assert ems.told()[0].value == first
    ems.clock.move(10)
    assert ems.told()[0].value == later
    assert (ems.source.problem is None) == (later is None)


@pytest.mark.parametrize(("value", "after_the_cut"), [(1500, 1500), (9000, 4200)])
def test_a_station_that_was_limited_starts_with_the_lower_of_limit_and_failsafe(
    value: float, after_the_cut: float
) -> None:
    ems = Ems()
    ems.limit(value)
    back = Ems(replace(SETTINGS, start="unlimited", then="unlimited"), kept=ems.source.to_json())
    assert [(one.state, one.value) for one in back.told()] == [(State.INIT, after_the_cut)]
    back.beat(3)
    assert back.values() == {(0, "W"): after_the_cut}
    back.clock.move(10)
    assert [(one.state, one.value) for one in back.told()] == [(State.FAILSAFE, 4200)]


def test_a_limit_in_ampere_is_kept_beside_the_failsafe() -> None:
    ems = Ems()
    ems.limit(6.0, "A")
    back = Ems(kept=ems.source.to_json())
    assert back.values() == {(0, "A"): 6.0, (0, "W"): 4200}


def test_a_station_that_was_released_long_enough_starts_as_any_other() -> None:
    ems = Ems(replace(SETTINGS, start="unlimited", then="unlimited"))
    ems.limit(1500)
    ems.source.release(0, "ems")
    assert json.loads(ems.source.to_json())["limited"]
    ems.beat(61)
    kept = ems.source.to_json()
    assert Ems(replace(SETTINGS, start="unlimited"), kept=kept).values() == {}


def test_what_a_master_configured_is_kept() -> None:
    ems = Ems()
    before = ems.source.version
    assert ems.source.configure(limit=5000, hold=3600) is None
    assert ems.source.version > before
    back = Ems(kept=ems.source.to_json())
    assert (back.source.failsafe.limit, back.source.failsafe.hold, back.source.failsafe.after) == (5000, 3600, 10)
    assert back.values() == {(0, "W"): 5000}


@pytest.mark.parametrize("values", [{"limit": -1.0}, {"limit": float("nan")}, {"limit": float("inf")},
                                    {"hold": 0.0}, {"hold": float("nan")}, {"hold": 1e9}])  # fmt: skip
def test_a_failsafe_that_is_none_is_refused(values: dict[str, float]) -> None:
    ems = Ems()
    assert ems.source.configure(**values) is not None
    assert ems.source.failsafe == SETTINGS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"limited": 1}', '{"limited": true, "value": -1}',
                                  '{"limited": false, "limit": "4"}', '{"limited": false, "hold": NaN}',
                                  '{"limited": true, "value": 1, "unit": "V"}'])  # fmt: skip
def test_what_cannot_be_read_is_told_and_a_limit_is_presumed(text: str) -> None:
    clock = ManualClock()
    source = ExternalSource(
        "mqtt",
        kind="EMS",
        failsafe=FailsafeSettings(start="unlimited", then="unlimited"),
        clock=clock,
        scopes=(0,),
        changed=lambda: None,
    )
    assert "mqtt" in (source.restore(text) or "")
    assert [one.value for one in source.limits(clock.time)] == [4200]
