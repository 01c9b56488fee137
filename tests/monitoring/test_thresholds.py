"""UpperThreshold, LowerThreshold and Delta: what fires, what is cleared, and when nothing may be told."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.model import Attribute, Characteristics, DataType, Value, Variable, VariableName
from agent.monitoring import Kind
from agent.monitoring.monitors import MonitorType
from tests.monitoring.monitoring_parts import CABINET, DELTA, EVSE, LOWER, START, UPPER, Station, declared


@pytest.mark.requirement("N07.FR.02", "N07.FR.16")
def test_above_the_threshold_not_on_it() -> None:
    station = Station()
    station.put(UPPER, 60)
    assert station.read(59, 60) == []
    assert station.read(60.1, 61, 75) == ["Alerting 60.1"]
    assert station.read(60) == ["cleared 60"]
    assert station.read(59, 20) == []
    assert station.read(61, 20) == ["Alerting 61", "cleared 20"]


@pytest.mark.requirement("N07.FR.02", "N07.FR.17")
def test_below_the_threshold_not_on_it() -> None:
    station = Station()
    station.put(LOWER, -10)
    assert station.read(-10) == []
    assert station.read(-10.1, -11) == ["Alerting -10.1"]
    assert station.read(-10) == ["cleared -10"]


@pytest.mark.requirement("N07.FR.06")
def test_an_event_names_its_monitor() -> None:
    station = Station()
    id = station.put(UPPER, 60, 4)
    station.read(61)
    (one,) = station.fired
    assert one.monitor is not None and one.monitor.id == id
    assert (str(one.component), str(one.variable), one.kind) == ("Cabinet", "Temperature", Kind.CUSTOM_MONITOR)
    assert (one.severity, one.time, one.cleared) == (4, START, None)


@pytest.mark.parametrize(("type", "value"), [(UPPER, 15), (LOWER, 25)])
def test_a_threshold_set_when_exceeded_already_fires_at_once(type: MonitorType, value: float) -> None:
    station = Station()
    station.put(type, value)
    assert station.told() == ["Alerting 20"]


@pytest.mark.requirement("N07.FR.11")
def test_a_threshold_that_is_modified_is_looked_at_anew() -> None:
    station = Station()
    id = station.put(UPPER, 60)
    assert station.set(UPPER, 15, id=id).accepted
    assert station.told() == ["Alerting 20"]
    assert station.set(UPPER, 18, id=id).accepted
    assert station.told(1) == ["Alerting 20"]  # the new threshold is exceeded too
    assert station.set(UPPER, 18, 6, id=id).accepted  # only the severity
    assert station.told(2) == []
    assert station.set(UPPER, 20, 6, id=id).accepted
    assert station.told(2) == ["cleared 20"]
    assert station.set(LOWER, 21, 6, id=id).accepted
    assert station.told(3) == ["Alerting 20"]
    assert station.set(DELTA, 1, 6, id=id).accepted
    assert station.told(4) == [] and f"exceeded/{id}" not in station.room


@pytest.mark.requirement("N07.FR.11")
def test_a_modification_without_a_value_waits_for_one() -> None:
    station = Station()
    id = station.put(UPPER, 10)
    station.read(None)
    station.set(UPPER, 30, id=id)
    assert station.told() == ["Alerting 20"]
    assert station.read(25) == ["cleared 25"]


@pytest.mark.requirement("N07.FR.12", "N06.FR.01")
def test_a_threshold_that_is_removed_says_nothing() -> None:
    station = Station()
    id = station.put(UPPER, 10)
    assert station.monitors.clear(id) == "Accepted"
    assert station.read(5, 30) == [] and station.told() == ["Alerting 20"]
    assert set(station.room) == {"next"}
    assert station.variable(CABINET, "Temperature").listeners == ()


def test_a_stale_reading_neither_fires_nor_clears() -> None:
    station = Station()
    station.put(UPPER, 60)
    assert station.read(61, None, 62) == ["Alerting 61"]
    assert station.read(None, 50) == ["cleared 50"]
    assert station.read(float("nan"), float("inf"), 40) == []


@pytest.mark.requirement("N07.FR.15", "N05.FR.03")
def test_above_the_level_nothing_is_told_but_the_state_followed() -> None:
    station = Station([declared(1, UPPER, 60, 8)])
    assert station.monitors.set_level(7)
    assert station.read(61) == []
    assert station.monitors.set_level(8)
    assert station.read(62) == []  # exceeded all the time
    assert station.read(50, 61) == ["cleared 50", "Alerting 61"]


@pytest.mark.requirement("N07.FR.18")
def test_a_number_that_moves_by_more_than_the_delta() -> None:
    station = Station()
    station.put(DELTA, 0.3)
    assert station.read(20.3, 19.7, 20.0) == []  # not more than 0.3, whatever binary fractions say
    assert station.read(20.31) == ["Delta 20.31"]
    assert station.read(20.02, 20.6) == []  # the momentary value is 20.31 now
    assert station.read(20.0) == ["Delta 20"]


def test_a_number_that_was_unset_is_compared_with_what_was_before() -> None:
    station = Station()
    station.put(DELTA, 2)
    assert station.read(None, 21, None, 25) == ["Delta 25"]
    station.put(DELTA, 2, on=(CABINET, "decimal"))  # no value yet: the first one is the momentary value
    assert station.read(50.0, 51.0, 53.0, on=(CABINET, "decimal")) == ["Delta 53"]


TIME = datetime(2026, 1, 1, tzinfo=UTC)
CHANGES: list[tuple[str, Value, Value]] = [
    ("string", "a", "b"),
    ("boolean", False, True),
    ("OptionList", "On", "Off"),
    ("SequenceList", "a,b", "b,a"),
    ("MemberList", "a", "a,b"),
    ("dateTime", TIME, TIME + timedelta(milliseconds=1)),
]


@pytest.mark.requirement("N07.FR.19", "N04.FR.17")
@pytest.mark.parametrize(("name", "first", "second"), CHANGES)
def test_every_change_of_what_is_no_number(name: str, first: Value, second: Value) -> None:
    station = Station()
    station.variable(CABINET, name).update(first)
    station.put(DELTA, 1000, on=(CABINET, name))
    station.read(first, second, second, first, on=(CABINET, name))
    assert [one.trigger for one in station.fired] == ["Delta", "Delta"]
    # Not measured: to be unset is a change like any other.
    assert station.read(None, first, on=(CABINET, name))[0] == "Delta"


def test_a_stale_state_that_comes_back_the_same_is_no_change() -> None:
    station = Station()
    door = Variable(CABINET, "Door", Characteristics(DataType.STRING), Attribute("shut"), max_age=5)
    station.model.add(door)
    station.put(DELTA, 1, on=(CABINET, "Door"))
    assert station.read(None, "shut", None, "open", on=(CABINET, "Door")) == ["Delta open"]


@pytest.mark.requirement("N07.FR.04")
def test_offline_what_may_not_wait_is_told_and_the_rest_is_looked_at_later() -> None:
    station = Station()
    grave, slight = station.put(UPPER, 60, 3), station.put(UPPER, 60, 6)
    moved = station.put(DELTA, 5, 6)
    station.monitors.queue_up_to(5)
    station.monitors.online(False)
    station.read(70)
    assert [one.monitor.id for one in station.fired if one.monitor] == [grave]
    station.monitors.online(True)
    assert [one.monitor.id for one in station.fired if one.monitor] == [grave, slight, moved]
    station.monitors.online(False)
    assert station.read(20, 70) == ["cleared 20", "Alerting 70"]  # only the grave one
    station.monitors.online(True)
    assert station.told(5) == []  # what came and went offline stays unknown


@pytest.mark.requirement("N07.FR.04")
def test_a_cleared_event_follows_when_online_again() -> None:
    station = Station()
    station.put(UPPER, 60, 9)
    station.read(61)
    station.monitors.queue_up_to(5)
    station.monitors.online(False)
    assert station.read(20) == []
    station.monitors.queue_up_to(9)
    assert station.told() == ["Alerting 61", "cleared 20"]


def test_monitoring_that_is_disabled_waits() -> None:
    station = Station()
    station.put(UPPER, 60, 0)
    station.monitors.enable(False)
    assert station.read(61) == []
    station.monitors.enable(True)
    assert station.told() == ["Alerting 61"]


def test_a_transaction_monitor_counts_during_one_on_its_evse() -> None:
    station = Station()
    assert station.set(UPPER, 7000, on=(EVSE, "Power"), transaction=True).accepted
    assert station.read(7400, on=(EVSE, "Power")) == []
    station.charging.add(2)
    station.monitors.transactions_changed()
    assert station.told() == []
    station.charging.add(1)
    station.monitors.transactions_changed()
    assert station.told() == ["Alerting 7400"]
    assert station.read(100, 7500, on=(EVSE, "Power")) == ["cleared 100", "Alerting 7500"]
    station.charging.clear()
    assert station.read(0, on=(EVSE, "Power")) == []


def test_hysteresis_tells_only_crossings_of_the_band() -> None:
    station = Station([declared(1, UPPER, 60, 3, hysteresis=10)])  # 57..63
    assert station.read(61, 59, 62.9, 63) == []
    assert station.read(63.1, 59, 62, 57.1) == ["Alerting 63.1"]
    assert station.read(57, 60, 62) == ["cleared 57"]


def test_the_hysteresis_of_the_component_and_its_change() -> None:
    station = Station()
    percent = Characteristics(DataType.DECIMAL, "Percent")
    wide = station.model.add(Variable(CABINET, "Hysteresis", percent, Attribute(50.0)))
    own = station.model.add(Variable(CABINET, VariableName("Hysteresis", "Temperature"), percent, Attribute(10.0)))
    id = station.put(UPPER, 60)
    assert station.read(62, 64, 58) == ["Alerting 64"]
    own.update(0.0)
    assert station.told() == ["Alerting 64", "cleared 58"]
    assert station.monitors.clear(id) == "Accepted"
    assert own.listeners == wide.listeners == ()


def test_below_zero_the_band_is_as_wide() -> None:
    station = Station([declared(1, LOWER, -20, 3, hysteresis=10)])  # -21..-19
    assert station.read(-20.5, -21, -21.1, -19.1, -19) == ["Alerting -21.1", "cleared -19"]
