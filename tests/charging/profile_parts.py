"""Profiles and books for the tests of charging schedules, made by hand and by hypothesis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from agent.charging.book import Book
from agent.charging.profiles import EXTERNAL, STATION_MAX, TX, TX_DEFAULT, Period, Profile, Schedule

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""The day before clocks change in Europe: UTC does not care."""


def at(seconds: float, days: int = 0) -> datetime:
    return NOON + timedelta(days=days, seconds=seconds)


def book(evses: dict[int, int] | None = None, **changed: Any) -> Book:
    """A station of two EVSEs with three phases at 230 V."""
    rules: dict[str, Any] = {"voltage": 230.0, "max_stack": 9, "max_periods": 24, "max_profiles": 20}
    return Book(evses or {1: 3, 2: 3}, **(rules | changed))


def periods(*told: tuple[int, float]) -> tuple[Period, ...]:
    return tuple(Period(start, limit) for start, limit in told)


def profile(id: int = 1, purpose: str = TX_DEFAULT, *told: tuple[int, float], **changed: Any) -> Profile:
    """Absolute from noon on, 10 A without end where `told` says nothing else; `changed` is of profile or schedule."""
    schedule = Schedule(1, "A", periods(*(told or ((0, 10.0),))), start=NOON)
    for name in ("unit", "periods", "start", "duration", "min_rate"):
        if name in changed:
            schedule = replace(schedule, **{name: changed.pop(name)})
    made = Profile(id, purpose, changed.pop("kind", "Absolute"), changed.pop("stack", 0), (schedule,), **changed)
    if made.kind == "Relative":
        made = replace(made, schedules=(replace(schedule, start=None),))
    return made


# --- by hypothesis -------------------------------------------------------------------------------------------------

WINDOW = 240
"""Seconds after noon in which everything happens."""

moments = st.integers(-2 * WINDOW, 4 * WINDOW).map(lambda half: at(half / 2))
"""Around the window, some of them between two seconds."""
limits = st.integers(0, 400).map(lambda tenths: tenths / 10)
powers = st.integers(0, 1500).map(lambda tens: tens * 10.0)


@st.composite
def schedules(draw: st.DrawFn, kind: str) -> Schedule:
    unit = draw(st.sampled_from(["A", "W"]))
    starts = sorted(draw(st.sets(st.integers(1, WINDOW), max_size=4)) | {0})
    amounts = limits if unit == "A" else powers
    made = tuple(Period(start, draw(amounts), draw(st.sampled_from([None, 3, 3, 1, 2]))) for start in starts)
    start = None
    if kind != "Relative":
        start = draw(moments)
    if kind == "Recurring":
        start = at((start - NOON).total_seconds(), -draw(st.sampled_from([0, 1, 6, 7, 8, 14])))  # type: ignore[operator]
    duration = draw(st.none() | st.integers(1, WINDOW) | st.sampled_from([86_399, 86_400, 90_000, 700_000]))
    return Schedule(1, unit, made, start, duration, draw(st.none() | limits))  # type: ignore[arg-type]


@st.composite
def profiles(draw: st.DrawFn, purpose: str) -> Profile:
    kinds = ["Absolute", "Recurring"] if purpose == STATION_MAX else ["Absolute", "Recurring", "Relative"]
    kind = draw(st.sampled_from(kinds))
    valid_from, valid_to = draw(st.none() | moments), draw(st.none() | moments)
    if valid_from is not None and valid_to is not None and valid_from >= valid_to:
        valid_to = None
    return Profile(
        draw(st.integers(1, 30)),
        purpose,
        kind,
        draw(st.integers(0, 3)),
        (draw(schedules(kind)),),
        draw(st.sampled_from(["Daily", "Weekly"])) if kind == "Recurring" else None,
        valid_from,
        valid_to,
        draw(st.sampled_from(["tx-1", "tx-2"])) if purpose == TX else None,
    )


placed = st.one_of(
    st.tuples(st.just(0), profiles(STATION_MAX)),
    st.tuples(st.integers(0, 2), profiles(TX_DEFAULT)),
    st.tuples(st.integers(1, 2), profiles(TX)),
)
outside = st.lists(st.tuples(st.integers(0, 2), profiles(EXTERNAL)), max_size=2)


@st.composite
def books(draw: st.DrawFn) -> Book:
    """What is left of a random list of SetChargingProfile, where some are refused and some replace others."""
    made = book(
        draw(st.sampled_from([{1: 3, 2: 3}, {1: 1, 2: 3}, {1: 1, 2: 1}])),
        phase_switching=draw(st.booleans()),
        voltage=draw(st.sampled_from([230.0, 120.0])),
    )
    for evse, one in draw(st.lists(placed, max_size=9)):
        if made.check(evse, one, transactions={1: "tx-1", 2: "tx-2"}) is None:
            made.install(evse, one)
    return made
