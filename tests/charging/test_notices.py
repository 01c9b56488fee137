"""What the CSMS is told of external limits, and what it is spared."""

import pytest

from agent.charging.limits import Kind, Limit, State
from agent.charging.notices import BOOT, BURST, DOUBT, REFILL, Budget, Notice, Notices

WATTS = {0: 230.0 * 3, 1: 230.0 * 3, 2: 230.0 * 3}


def limit(value: float | None, *, kind: Kind = "EMS", source: str = "modbus", state: State = State.ACTIVE) -> Limit:
    return Limit(source, kind, 0, state, value, "W")


class Csms:
    """Asks for the notices as the station does."""

    def __init__(self, significance: float = 1.0) -> None:
        self.notices, self.significance = Notices(dict(WATTS)), significance
        self.now, self.online = 100.0, True

    def look(self, *limits: Limit, after: float = 0.0) -> list[Notice]:
        self.now += after
        return self.notices.step(limits, online=self.online, significance=self.significance, now=self.now)


@pytest.mark.requirement("K11.FR.02")
@pytest.mark.requirement("K12.FR.02")
@pytest.mark.requirement("K13.FR.02")
def test_a_limit_that_comes_changes_and_goes_is_told_each_time() -> None:
    csms = Csms()
    assert csms.look() == []
    assert csms.look(limit(4200)) == [Notice("EMS", 0, 4200, "W")]
    assert csms.look(limit(4200)) == []
    assert csms.look(limit(5000)) == [Notice("EMS", 0, 5000, "W")]
    assert csms.look() == [Notice("EMS", 0, None)]
    assert csms.look() == []


@pytest.mark.requirement("K11.FR.05")
def test_a_limit_of_the_grid_operator_is_told_as_his() -> None:
    assert Csms().look(limit(4200, kind="SO", source="relay")) == [Notice("SO", 0, 4200, "W")]


def test_a_change_within_the_significance_is_not_told_but_many_of_them_are() -> None:
    csms = Csms(significance=10)
    csms.look(limit(4000))
    assert csms.look(limit(4390)) == []
    assert csms.look(limit(4401)) == [Notice("EMS", 0, 4401, "W")]


def test_two_systems_of_one_source_are_one_to_the_csms() -> None:
    csms = Csms()
    one, other = limit(4200), limit(3000, source="mqtt")
    assert csms.look(one, other) == [Notice("EMS", 0, 3000, "W")]
    assert csms.look(one) == [Notice("EMS", 0, 4200, "W")]  # it is not cleared: another one still limits
    assert csms.look() == [Notice("EMS", 0, None)]


def test_guards_of_the_station_itself_are_no_external_limits() -> None:
    assert Csms().look(limit(10, kind="Fuse", source="fuse"), limit(10, kind="CSMS", source="csms")) == []


def test_what_came_and_went_while_offline_is_never_told_and_what_holds_then_is() -> None:
    csms = Csms()
    csms.online = False
    assert csms.look(limit(4200)) == []
    assert csms.look() == []
    assert csms.look(limit(3000)) == []
    csms.online = True
    assert csms.look(limit(3000)) == [Notice("EMS", 0, 3000, "W")]


def test_a_limit_that_went_while_offline_is_told_to_be_gone() -> None:
    csms = Csms()
    csms.look(limit(4200))
    csms.online = False
    csms.look(after=2 * DOUBT)
    csms.online = True
    assert csms.look() == [Notice("EMS", 0, None)]


def test_what_was_told_just_before_the_line_was_lost_is_told_again_and_older_is_not() -> None:
    csms = Csms()
    csms.look(limit(4200))
    csms.look(limit(4200), after=DOUBT / 2)
    csms.online = False
    csms.look(limit(4200))
    csms.online = True
    assert csms.look(limit(4200), after=1) == [Notice("EMS", 0, 4200, "W")]
    csms.look(limit(4200), after=2 * DOUBT)
    csms.online = False
    csms.look(limit(4200))
    csms.online = True
    assert csms.look(limit(4200), after=1) == []


def test_a_flapping_limit_does_not_flood_the_line_and_its_last_state_is_told() -> None:
    csms = Csms()
    told = []
    for number in range(3000):  # a minute at 50 Hz
        told += csms.look(limit(4200 if number % 2 else 8000), after=0.02)
    assert len(told) <= BURST + 60 / REFILL
    last = csms.look(limit(6000))
    while not last:
        due = csms.notices.due()
        assert due is not None
        last = csms.look(limit(6000), after=max(0.01, due - csms.now))
    assert last == [Notice("EMS", 0, 6000, "W")]


def test_a_source_that_was_not_heard_yet_is_given_time_before_its_failsafe_is_told() -> None:
    csms = Csms()
    start = limit(4200, state=State.INIT)
    assert csms.look(start) == []
    assert csms.look(start, after=BOOT - 1) == []
    assert csms.look(start, after=1.1) == [Notice("EMS", 0, 4200, "W")]


def test_a_budget_lets_a_few_go_at_once_and_then_one_at_a_time() -> None:
    budget = Budget()
    assert [budget.take(100.0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert not budget.take(100.0 + REFILL * 0.9)
    assert budget.take(100.0 + REFILL * 1.01)
    assert [budget.take(1000.0) for _ in range(6)] == [True] * 4 + [False] * 2
