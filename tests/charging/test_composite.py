"""What profiles allow, now and over a time to come: by hand, and against an oracle that evaluates every second."""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.charging.book import Book
from agent.charging.composite import FURTHEST, Applied, Use, composite, limit_at, station_limit_at
from agent.charging.profiles import EXTERNAL, STATION_MAX, TX, TX_DEFAULT, Period, Profile
from tests.charging import oracle
from tests.charging.profile_parts import NOON, WINDOW, at, book, books, moments, outside, profile

LOCAL = 32.0
IDLE = {1: Use(LOCAL), 2: Use(LOCAL)}
BUSY = {1: Use(LOCAL, "tx-1", NOON), 2: Use(LOCAL, "tx-2", NOON)}


def with_these(*placed: tuple[int, Profile], **changed: Any) -> Book:
    made = book(**changed)
    for evse, one in placed:
        refused = made.check(evse, one, transactions={1: "tx-1", 2: "tx-2"})
        assert refused is None, refused
        made.install(evse, one)
    return made


def told(made: Book, evse: int = 1, start: datetime = NOON, seconds: int = 400, unit: Any = "A", **more: Any) -> Any:
    """[(start, limit)] of a composite schedule."""
    found = composite(made, evse, start, seconds, unit, more.pop("uses", BUSY), **more)
    assert found.seconds == seconds
    return [(one.start, one.limit) for one in found.periods]


# --- K08, by hand --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K08.FR.02")
def test_without_profiles_it_is_the_local_limit() -> None:
    assert told(book()) == [(0, 32.0)]
    assert told(book(), unit="W") == [(0, 22080.0)]


@pytest.mark.requirement("K01.FR.11", "K01.FR.12", "K01.FR.17", "K08.FR.02")
def test_the_higher_stack_level_leads_while_it_has_a_period() -> None:
    """TC_K_40_CS."""
    low = profile(1, TX_DEFAULT, (0, 6.0), (100, 8.0), (200, 10.0), duration=400, valid_to=at(401))
    high = profile(2, TX_DEFAULT, (0, 7.0), (100, 9.0), (160, 1.0), duration=150, stack=1)
    made = with_these((1, low), (1, high))
    assert told(made, seconds=350) == [(0, 7.0), (100, 9.0), (150, 8.0), (200, 10.0)]
    assert told(made, start=at(10.25), seconds=350) == [(0, 7.0), (90, 9.0), (140, 8.0), (190, 10.0)]


@pytest.mark.requirement("K02.FR.04", "K02.FR.08", "K08.FR.04", "K01.FR.32")
def test_the_lowest_of_the_purposes_holds_and_a_txprofile_overrules_the_default() -> None:
    """TC_K_41_CS."""
    made = with_these(
        (0, profile(1, STATION_MAX, (0, 10.0), duration=86_400)),
        (1, profile(2, TX_DEFAULT, (0, 6.0), (60, 10.0), (120, 8.0), (180, 15.0), (260, 8.0), duration=300)),
        (
            1,
            profile(
                3, TX, (0, 8.0), (50, 11.0), (140, 16.0), (200, 6.0), (240, 12.0), duration=260, transaction="tx-1"
            ),
        ),
    )
    assert told(made) == [(0, 8.0), (50, 10.0), (200, 6.0), (240, 10.0), (260, 8.0), (300, 10.0)]
    assert told(made, uses=IDLE)[0] == (0, 6.0), "without its transaction a TxProfile means nothing"
    assert told(made, 2) == [(0, 10.0)]


@pytest.mark.requirement("K02.FR.08")
def test_a_txprofile_that_expires_falls_back_to_the_default_and_then_to_the_local_limit() -> None:
    made = with_these(
        (1, profile(1, TX, (0, 20.0), transaction="tx-1", valid_to=at(100))),
        (1, profile(2, TX_DEFAULT, (0, 25.0), valid_to=at(200))),
    )
    assert told(made) == [(0, 20.0), (100, 25.0), (200, 32.0)]


@pytest.mark.requirement("K08.FR.06", "K01.FR.42")
def test_without_a_transaction_it_is_as_if_one_began_now() -> None:
    made = with_these((0, profile(1, TX_DEFAULT, (0, 16.0), (60, 8.0), kind="Relative")))
    assert told(made, start=at(5000), uses=IDLE) == [(0, 16.0), (60, 8.0)]
    assert told(made, start=at(20)) == [(0, 16.0), (40, 8.0)], "with one, from when it was ready for energy"


@pytest.mark.requirement("K08.FR.03", "K04.FR.01", "K04.FR.05", "K01.FR.14")
def test_the_station_is_expected_to_draw_what_its_evses_do_and_no_more_than_its_own_limit() -> None:
    made = with_these(
        (0, profile(1, TX_DEFAULT, (0, 10.0), (100, 16.0))),
        (0, profile(2, STATION_MAX, (0, 40.0), (200, 24.0))),
    )
    assert told(made, 0) == [(0, 20.0), (100, 32.0), (200, 24.0)]
    assert told(made, 0, unit="W") == [(0, 13800.0), (100, 22080.0), (200, 16560.0)]


@pytest.mark.requirement("K08.FR.04")
def test_limits_from_outside_count_each_for_itself() -> None:
    outer = [(0, profile(90, EXTERNAL, (0, 4200.0), unit="W", duration=100)), (1, profile(91, EXTERNAL, (0, 12.0)))]
    made = with_these((1, profile(1, TX_DEFAULT, (0, 20.0))))
    assert told(made, unit="W", extra=outer) == [(0, 4200.0), (100, 8280.0)]
    assert told(made, 0, unit="W", extra=outer) == [(0, 4200.0), (100, 30360.0)]
    assert told(made, 2, extra=outer) == [(0, 6.0), (100, 32.0)], "4200 W on three phases, rounded down"


@pytest.mark.requirement("K01.FR.13", "K01.FR.30")
def test_a_recurring_schedule_repeats_and_starts_no_earlier_than_its_start() -> None:
    daily = profile(
        1, TX_DEFAULT, (0, 6.0), (3600, 9.0), start=at(600, 1), duration=7200, kind="Recurring", recurrency="Daily"
    )
    day = 86_400
    assert told(with_these((0, daily)), seconds=3 * day) == [
        (0, 32.0),
        (day + 600, 6.0),
        (day + 4200, 9.0),
        (day + 7800, 32.0),
        (2 * day + 600, 6.0),
        (2 * day + 4200, 9.0),
        (2 * day + 7800, 32.0),
    ]


def test_a_duration_beyond_its_recurrence_is_cut_there() -> None:
    weekly = profile(
        1, TX_DEFAULT, (0, 6.0), (8 * 86_400, 1.0), duration=9 * 86_400, kind="Recurring", recurrency="Weekly"
    )
    assert told(with_these((0, weekly)), seconds=20 * 86_400) == [(0, 6.0)]


def test_what_has_too_many_periods_or_is_too_long_ends_earlier() -> None:
    hours = [(hour * 3600, 6.0 + hour) for hour in range(16)]
    busy = profile(1, TX_DEFAULT, *hours, kind="Recurring", recurrency="Daily")
    found = composite(with_these((0, busy)), 1, NOON, 86_400 * 100, "A", BUSY)
    assert len(found.periods) == 1024 and found.seconds == 64 * 86_400
    assert composite(book(), 1, NOON, 2**31 - 1, "A", BUSY).seconds == FURTHEST
    daily = profile(1, TX_DEFAULT, (0, 6.0), (3600, 9.0), kind="Recurring", recurrency="Daily")
    short = composite(with_these((0, daily)), 1, NOON, 10 * 86_400, "A", BUSY, most=3)
    assert [one.start for one in short.periods] == [0, 3600, 86_400] and short.seconds == 86_400 + 3600


def test_periods_that_are_equal_are_one() -> None:
    # the tenth of an ampere is the finest that is told
    made = with_these((1, profile(1, TX_DEFAULT, (0, 6.0), (10, 6.0), (20, 6.04), (30, 7.0))))
    assert told(made) == [(0, 6.0), (30, 7.0)]


# --- units and phases ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.49", "K01.FR.50", "K01.FR.51", "K01.FR.45")
def test_watts_are_shared_by_three_phases_unless_told_else_and_amperes_are_per_phase() -> None:
    watts = profile(
        1, TX_DEFAULT, unit="W", periods=(Period(0, 6900.0), Period(10, 6900.0, 3), Period(20, 6900.0, 1))
    )
    three = with_these((1, watts), phase_switching=True)
    one = with_these((1, watts), evses={1: 1, 2: 1})
    assert [limit_at(three, 1, at(s), BUSY[1]).value for s in (0, 10, 20)] == [10.0, 10.0, 30.0]
    assert [limit_at(one, 1, at(s), BUSY[1]).value for s in (0, 10, 20)] == [30.0, 30.0, 30.0]
    amps = with_these((1, profile(1, TX_DEFAULT, (0, 13.0))))
    assert limit_at(amps, 1, NOON, BUSY[1]).value == 13.0
    assert told(amps, unit="W") == [(0, 8970.0)]


def test_a_composite_tells_its_phases_where_they_are_not_three() -> None:
    single = profile(1, TX_DEFAULT, periods=(Period(0, 16.0, 1), Period(60, 16.0)))
    made = with_these((1, single), phase_switching=True)
    assert composite(made, 1, NOON, 100, "W", BUSY).periods == (Period(0, 3680.0, 1), Period(60, 11040.0))


@pytest.mark.requirement("K01.FR.21")
def test_the_minimum_charging_rate_can_be_asked_for() -> None:
    made = with_these((1, profile(1, TX, (0, 4140.0), unit="W", min_rate=1380.0, transaction="tx-1")))
    assert limit_at(made, 1, NOON, BUSY[1]) == Applied(6.0, "W", Period(0, 4140.0), 1, None, 2.0)
    zero = with_these((1, profile(1, TX, (0, 0.0), min_rate=6.0, transaction="tx-1")))
    assert limit_at(zero, 1, NOON, BUSY[1]).min_rate == 6.0


# --- now -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("K01.FR.30", "K01.FR.36", "K01.FR.37")
def test_the_limit_now_is_told_with_the_time_of_its_next_change() -> None:
    made = with_these(
        (1, profile(1, TX_DEFAULT, (0, 6.0), (60, 7.0), start=at(10), valid_to=at(100))),
        (1, profile(2, TX_DEFAULT, (0, 9.0), stack=1, start=at(-50), valid_from=at(40), valid_to=at(50))),
    )

    def now(seconds: float) -> tuple[float | None, datetime | None]:
        found = limit_at(made, 1, at(seconds), BUSY[1])
        return found.value, found.until

    assert now(0) == (None, at(10))
    assert now(10) == (6.0, at(40))
    assert now(40) == (9.0, at(50))
    assert now(49.999999) == (9.0, at(50))
    assert now(50) == (6.0, at(70))
    assert now(70) == (7.0, at(100))
    assert now(100) == (None, None)


@pytest.mark.requirement("K01.FR.07", "K10.FR.05")
def test_every_change_of_the_profiles_counts_at_once() -> None:
    made = book()
    assert limit_at(made, 1, NOON, BUSY[1]) == Applied()
    made.install(1, profile(1, TX_DEFAULT, (0, 10.0)))
    assert limit_at(made, 1, NOON, BUSY[1]).value == 10.0
    made.install(1, profile(1, TX_DEFAULT, (0, 12.0)))
    assert limit_at(made, 1, NOON, BUSY[1]).value == 12.0
    made.clear(id=1)
    assert limit_at(made, 1, NOON, BUSY[1]) == Applied()


def test_relative_profiles_stand_at_their_start_until_energy_may_flow() -> None:
    made = with_these((1, profile(1, TX, (0, 6.0), (60, 9.0), duration=100, kind="Relative", transaction="tx-1")))
    waits = limit_at(made, 1, at(1000), Use(LOCAL, "tx-1"))
    assert (waits.value, waits.until) == (6.0, None)
    flows = limit_at(made, 1, at(1070), Use(LOCAL, "tx-1", at(1000)))
    assert (flows.value, flows.until) == (9.0, at(1100))


def test_times_at_the_end_of_the_calendar_are_no_trouble() -> None:
    far = NOON.replace(year=9999)
    made = with_these((1, profile(1, TX_DEFAULT, start=far, kind="Recurring", recurrency="Weekly")))
    late = datetime.max.replace(tzinfo=NOON.tzinfo)
    assert limit_at(made, 1, late, BUSY[1]).value == 10.0
    assert limit_at(made, 1, late, BUSY[1]).until is None
    assert limit_at(made, 1, datetime.min.replace(tzinfo=NOON.tzinfo), BUSY[1]).until == far


# --- against the oracle --------------------------------------------------------------------------------------------


def house(made: Book, extra: Any = ()) -> oracle.House:
    return oracle.House(made.evses, Fraction(made.voltage), made.find(), extra)


def guests(uses: dict[int, Use]) -> dict[int, oracle.Guest]:
    return {
        evse: oracle.Guest(Fraction(str(use.max_current)), use.transaction, use.began) for evse, use in uses.items()
    }


def drawn_uses(began: datetime | None, running: bool) -> dict[int, Use]:
    return {1: Use(LOCAL, "tx-1" if running else None, began if running else None), 2: Use(16.0, "tx-2", NOON)}


def at_seconds(periods: tuple[Period, ...], seconds: int) -> list[tuple[float, int | None]]:
    found: list[tuple[float, int | None]] = []
    for one, end in zip(periods, [*(one.start for one in periods[1:]), seconds], strict=True):
        found += [(one.limit, one.phases)] * (end - one.start)
    return found


@pytest.mark.requirement("K08.FR.02", "K08.FR.03", "K08.FR.04", "K08.FR.06", "K01.FR.17", "K02.FR.04")
@given(
    made=books(),
    evse=st.integers(0, 2),
    start=moments,
    unit=st.sampled_from(["A", "W"]),
    began=st.none() | moments,
    running=st.booleans(),
    extra=outside,
)
@settings(max_examples=150, deadline=None)
def test_a_composite_agrees_with_the_oracle_at_every_second(
    made: Book, evse: int, start: datetime, unit: Any, began: datetime | None, running: bool, extra: Any
) -> None:
    uses = drawn_uses(began, running)
    found = composite(made, evse, start, WINDOW, unit, uses, extra)
    assert at_seconds(found.periods, WINDOW) == oracle.every_second(
        house(made, extra), evse, guests(uses), start, WINDOW, unit
    )
    for early, late in zip(found.periods, found.periods[1:], strict=False):
        assert (early.limit, early.phases) != (late.limit, late.phases), "minimal"


@pytest.mark.requirement("K01.FR.13", "K08.FR.02")
@given(made=books(), evse=st.integers(0, 2), start=moments, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_composite_of_weeks_agrees_with_the_oracle_at_its_changes_and_anywhere(
    made: Book, evse: int, start: datetime, data: st.DataObject
) -> None:
    seconds = 16 * 86_400
    uses = drawn_uses(start, True)
    found = composite(made, evse, start, seconds, "A", uses)
    assert found.seconds == seconds
    near = st.tuples(st.integers(0, 15), st.integers(-WINDOW, 2 * WINDOW)).map(lambda one: one[0] * 86_400 + one[1])
    asked = {one % seconds for one in data.draw(st.lists(near, max_size=40))}
    for one in found.periods:
        asked |= {one.start, max(0, one.start - 1)}
    truth, people = house(made), guests(uses)
    for second in sorted(asked):
        leads = [one for one in found.periods if one.start <= second][-1]
        when = start + timedelta(seconds=second)
        if evse:
            value, _ = oracle.evse_second(truth, evse, people[evse], start, when)
        else:
            value, _ = oracle.station_second(truth, people, start, when, "A")
        assert leads.limit == int(value * 10) / 10


@pytest.mark.requirement("K01.FR.07", "K01.FR.36", "K01.FR.37")
@given(
    made=books(), steps=st.lists(moments, min_size=1, max_size=25), began=st.none() | moments, running=st.booleans()
)
@settings(max_examples=150, deadline=None)
def test_the_limit_now_agrees_with_the_oracle_while_the_clock_jumps(
    made: Book, steps: list[datetime], began: datetime | None, running: bool
) -> None:
    """Wherever the clock is set, forward or back, also to the edges of what was told before."""
    uses = drawn_uses(began, running)
    truth, people = house(made), guests(uses)

    def agrees(when: datetime) -> datetime | None:
        found = limit_at(made, 1, when, uses[1])
        expected = oracle.transaction_lead(truth, 1, people[1], when, uses[1].began)
        _same(found, expected, truth, made.evses[1])
        station = station_limit_at(made, when)
        _same(station, oracle.station_lead(truth, when), truth, max(made.evses.values()))
        return found.until

    for when in steps:
        until = agrees(when)
        if until is not None:
            assert until > when
            agrees(until - timedelta(microseconds=1))
            agrees(until)
            agrees(when)


def _same(found: Applied, expected: tuple[Profile, Period] | None, truth: oracle.House, phases: int) -> None:
    if expected is None:
        assert (found.value, found.period, found.profile) == (None, None, None)
        return
    assert (found.profile, found.period) == (expected[0].id, expected[1])
    value, used = oracle.amps(truth, expected, phases)
    assert found.value == pytest.approx(float(value)) and found.phases == used


@given(made=books(), when=moments, began=moments)
@settings(max_examples=100, deadline=None)
def test_nothing_changes_before_it_is_told_to(made: Book, when: datetime, began: datetime) -> None:
    use = Use(LOCAL, "tx-1", began)
    until = limit_at(made, 1, when, use).until
    last = at(2 * WINDOW) if until is None else min(until, at(2 * WINDOW))
    truth, guest = house(made), guests({1: use})[1]
    expected = oracle.transaction_lead(truth, 1, guest, when, began)
    moment = when
    while moment < last:
        assert oracle.transaction_lead(truth, 1, guest, moment, began) == expected
        moment += timedelta(seconds=0.5)
