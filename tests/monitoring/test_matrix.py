"""Which monitor fits which data type, cell by cell, and what else N04 refuses."""

import pytest

from agent.model import Component
from agent.monitoring import MonitorType
from tests.monitoring.monitoring_parts import (
    ALIGNED,
    CABINET,
    DELTA,
    LOWER,
    PERIODIC,
    SECRET,
    UPPER,
    Station,
    declared,
)

TYPES = ("string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList")
TABLE = {UPPER: " ##     ", LOWER: " ##     ", DELTA: "########", PERIODIC: "### ####", ALIGNED: "### ####"}
CELLS = [(type, name, mark) for type, marks in TABLE.items() for name, mark in zip(TYPES, marks, strict=True)]


@pytest.mark.requirement("N04.FR.05", "N04.FR.08", "N04.FR.11")
@pytest.mark.parametrize(("type", "name", "mark"), CELLS)
def test_every_cell_of_the_table(type: MonitorType, name: str, mark: str) -> None:
    station = Station()
    result = station.set(type, 10, on=(CABINET, name))
    if mark == "#":
        assert (result.status, len(station.monitors)) == ("Accepted", 1)
        assert result.id is not None and station.monitors.get(result.id) is not None
    else:
        assert (result.status, result.id, len(station.monitors)) == ("UnsupportedMonitorType", None, 0)


@pytest.mark.requirement("N04.FR.05")
def test_what_cannot_be_watched_takes_no_monitor() -> None:
    station = Station()
    assert {station.set(type, 10, on=(CABINET, "Deaf")).status for type in MonitorType} == {"UnsupportedMonitorType"}
    # Computed at each reading: nobody hears of its changes, only its period can be told.
    assert station.set(UPPER, 1, on=(CABINET, "Age")).status == "UnsupportedMonitorType"
    station.put(PERIODIC, 5, on=(CABINET, "Age"))
    station.run(5)
    assert station.told() == ["Periodic 7"]


@pytest.mark.requirement("N04.FR.03", "N04.FR.04")
def test_an_unknown_place() -> None:
    station = Station()
    assert station.set(UPPER, 1, on=(Component("Cellar"), "Temperature")).status == "UnknownComponent"
    assert station.set(UPPER, 1, on=(CABINET, "Mood")).status == "UnknownVariable"
    assert station.set(UPPER, 1, on=(CABINET, "Mood"), id=17).status == "UnknownVariable"


@pytest.mark.requirement("N04.FR.06")
@pytest.mark.parametrize("type", [UPPER, LOWER])
@pytest.mark.parametrize(
    ("value", "status"), [(-40.1, "Rejected"), (-40, "Accepted"), (120, "Accepted"), (120.1, "Rejected")]
)
def test_a_threshold_out_of_the_range(type: MonitorType, value: float, status: str) -> None:
    result = Station().set(type, value)
    assert (result.status, result.reason_code) == (status, "ValueOutOfRange" if status == "Rejected" else None)


@pytest.mark.requirement("N04.FR.14")
@pytest.mark.parametrize("name", ["Temperature", "string", "boolean", "dateTime"])
def test_a_negative_delta(name: str) -> None:
    station = Station()
    result = station.set(DELTA, -1, on=(CABINET, name))
    assert (result.status, result.reason_code) == ("Rejected", "ValueOutOfRange")
    assert station.set(DELTA, 0, on=(CABINET, name)).status == "Accepted"


@pytest.mark.parametrize("type", [PERIODIC, ALIGNED])
@pytest.mark.parametrize("value", [-900, 0, 0.5])
def test_an_interval_that_floods(type: MonitorType, value: float) -> None:
    assert Station().set(type, value).reason_code == "ValueOutOfRange"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("type", list(MonitorType))
def test_no_number(type: MonitorType, value: float) -> None:
    assert Station().set(type, value, on=(CABINET, "decimal")).reason_code == "InvalidValue"


@pytest.mark.parametrize("severity", [-1, 10])
def test_no_severity(severity: int) -> None:
    assert Station().set(UPPER, 1, severity).status == "Rejected"


@pytest.mark.requirement("N04.FR.10")
def test_a_duplicate() -> None:
    station = Station([declared(1, UPPER, 60, 3)])
    id = station.put(UPPER, 67, 4)
    assert station.set(UPPER, 78, 4).status == "Duplicate"
    assert station.set(UPPER, 78, 3).status == "Duplicate"  # the hard-wired one
    assert station.set(UPPER, 78, 5).status == "Accepted"
    assert station.set(LOWER, 78, 4).status == "Accepted"
    assert station.set(UPPER, 78, 4, on=(CABINET, "decimal")).status == "Accepted"
    assert station.set(UPPER, 78, 5, id=id).status == "Duplicate"
    assert station.set(UPPER, 70, 4, id=id).status == "Accepted"
    monitor = station.monitors.get(id)
    assert monitor is not None and monitor.value == 70


@pytest.mark.requirement("N04.FR.12", "N04.FR.13", "N04.FR.16", "N04.FR.18", "N04.FR.07")
def test_replacing_by_id() -> None:
    station = Station([declared(1, UPPER, 60, 3)])
    id = station.put(UPPER, 67, 4)
    assert station.set(UPPER, 70, 4, id=id + 1).status == "Rejected"
    assert station.set(UPPER, 70, 4, id=id, on=(CABINET, "decimal")).status == "Rejected"
    assert station.set(UPPER, 70, 4, id=1).status == "Rejected"
    kept = [(one.id, one.value) for one in station.monitors.report()]
    assert kept == [(1, 60), (id, 67)]
    assert station.set(DELTA, 2, 6, id=id).id == id
    changed = station.monitors.get(id)
    assert changed is not None and (changed.type, changed.value, changed.severity) == (DELTA, 2, 6)


def test_bad_ones_leave_the_others_untouched() -> None:
    station = Station(most=3)
    before = [station.put(UPPER, 60, severity) for severity in (1, 2)]
    kept = dict(station.room)
    station.set(UPPER, 500, 3)
    station.set(UPPER, 60, 1)
    station.set(UPPER, 61, 1, id=99)
    assert station.room == kept and [one.id for one in station.monitors.report()] == before
    station.put(UPPER, 60, 3)
    assert station.set(UPPER, 60, 4).reason_code == "TooManyElements"
    assert station.set(UPPER, 61, 3, id=before[0]).status == "Duplicate"
    assert station.set(UPPER, 61, 1, id=before[0]).accepted


@pytest.mark.requirement("N07.FR.10")
def test_a_write_only_variable_is_told_without_its_value() -> None:
    station = Station()
    station.put(DELTA, 1, on=(SECRET, "BasicAuthPassword"))
    station.variable(SECRET, "BasicAuthPassword").update("after")
    assert [(one.trigger, one.actual) for one in station.fired] == [("Delta", "")]
