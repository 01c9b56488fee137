"""What a charging profile is: its own faults, and the text in which it is kept."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from agent.charging.profiles import (
    EXTERNAL,
    STATION_MAX,
    TX,
    TX_DEFAULT,
    Period,
    overlap,
    plain,
    profile_fault,
    profile_from,
    schedule_fault,
)
from tests.charging.profile_parts import NOON, at, placed, profile


@given(told=placed)
def test_what_was_kept_comes_back(told: Any) -> None:
    _, made = told
    assert profile_from(json.loads(json.dumps(plain(made)))) == made


def test_what_is_not_set_is_not_kept() -> None:
    assert plain(profile()) == {
        "id": 1,
        "purpose": "TxDefaultProfile",
        "kind": "Absolute",
        "stack": 0,
        "schedules": [
            {"id": 1, "unit": "A", "start": "2026-03-28T12:00:00+00:00", "periods": [{"start": 0, "limit": 10.0}]}
        ],
    }


def wrong(**changed: Any) -> dict[str, Any]:
    return {**plain(profile()), **changed}


@pytest.mark.parametrize(
    "told",
    [
        {},
        wrong(id="1"),
        wrong(id=True),
        wrong(purpose="Whatever"),
        wrong(kind="Sometimes"),
        wrong(stack=1.5),
        wrong(schedules=[]),
        wrong(schedules=None),
        wrong(schedules=["A"]),
        wrong(schedules=[{"id": 1, "unit": "V", "periods": []}]),
        wrong(schedules=[{"id": 1, "unit": "A", "periods": [{"start": 0, "limit": "6"}]}]),
        wrong(valid_from="yesterday"),
        wrong(valid_from="2026-01-01T00:00:00"),
        wrong(kind="Recurring"),
    ],
)
def test_what_is_no_profile_is_told(told: Any) -> None:
    with pytest.raises(ValueError):
        profile_from(told)


@pytest.mark.requirement("K01.FR.38", "K01.FR.34")
def test_faults_of_the_profile() -> None:
    assert profile_fault(profile()) is None
    assert profile_fault(profile(1, EXTERNAL)) is None, "external systems have them"
    for made in (
        profile(1, STATION_MAX, kind="Relative"),
        profile(kind="Recurring"),
        profile(kind="Recurring", recurrency="Monthly"),
        profile(1, TX_DEFAULT, transaction="tx-1"),
        profile(valid_from=at(1), valid_to=at(1)),
        replace(profile(), schedules=()),
        replace(profile(), schedules=profile().schedules * 2),
    ):
        assert profile_fault(made) is not None, made


@pytest.mark.requirement("K01.FR.31", "K01.FR.35", "K01.FR.40", "K01.FR.41", "K01.FR.19")
@pytest.mark.parametrize(
    "changed",
    [
        {"start": None},
        {"start": None, "kind": "Recurring", "recurrency": "Daily"},
        {"duration": 0},
        {"duration": -1},
        {"min_rate": -1.0},
        {"min_rate": math.nan},
        {"periods": ()},
        {"periods": (Period(1, 6.0),)},
        {"periods": (Period(0, 6.0), Period(60, 6.0), Period(60, 7.0))},
        {"periods": (Period(0, 6.0), Period(60, 6.0), Period(30, 7.0))},
        {"periods": (Period(0, -0.1),)},
        {"periods": (Period(0, math.nan),)},
        {"periods": (Period(0, math.inf),)},
        {"periods": (Period(0, 6.0, 0),)},
        {"periods": (Period(0, 6.0, 4),)},
        {"periods": (Period(0, 6.0, 1, 4),)},
        {"periods": (Period(0, 6.0, 3, 1),)},
        {"periods": (Period(0, 6.0, None, 1),)},
    ],
)
def test_faults_of_the_schedule(changed: Any) -> None:
    assert schedule_fault(profile()) is None
    assert schedule_fault(profile(**changed)) is not None


@pytest.mark.requirement("K01.FR.41")
def test_a_relative_profile_with_a_start_is_at_fault() -> None:
    assert schedule_fault(profile(1, TX, kind="Relative")) is None
    assert schedule_fault(replace(profile(), kind="Relative")) is not None


@pytest.mark.requirement("K01.FR.10", "K01.FR.36", "K01.FR.37")
def test_validity_overlaps_where_one_moment_has_both() -> None:
    always, until, since = profile(), profile(valid_to=NOON), profile(valid_from=NOON)
    assert overlap(always, until) and overlap(since, always) and overlap(always, always)
    assert not overlap(until, since) and not overlap(since, until)
    assert overlap(profile(valid_to=at(0.001)), since)
