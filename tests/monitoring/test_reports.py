"""Which monitors a report names (N02)."""

import itertools

import pytest

from agent.model import Component, VariableName
from agent.monitoring.places import Place
from tests.monitoring.monitoring_parts import ALIGNED, CABINET, DELTA, LOWER, PERIODIC, UPPER, Station, declared

FANS = [Component("Fan"), Component("Fan", "a", 1), Component("Fan", "b", 1, 2)]


@pytest.mark.requirement("N02.FR.06", "N02.FR.11", "N02.FR.12", "N02.FR.13", "N02.FR.14")
def test_by_criteria() -> None:
    station = Station([declared(1, UPPER, 80, 1)], [declared(2, DELTA, 5, 3)])
    for type in (LOWER, PERIODIC, ALIGNED):
        station.put(type, 10, 5, on=(CABINET, "decimal"))
    names = {
        "ThresholdMonitoring": {UPPER, LOWER},
        "DeltaMonitoring": {DELTA},
        "PeriodicMonitoring": {PERIODIC, ALIGNED},
    }
    for size in range(4):
        for chosen in itertools.combinations(names, size):
            wanted = set().union(*(names[one] for one in chosen)) or {UPPER, LOWER, DELTA, PERIODIC, ALIGNED}
            found = [one.type for one in station.monitors.report(frozenset(chosen))]
            assert set(found) == wanted and len(found) == len(wanted)


@pytest.mark.requirement("N02.FR.05", "N02.FR.08", "N02.FR.16", "N02.FR.17", "N02.FR.18", "N02.FR.19", "N02.FR.21")
@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(Component("Fan"), None)], "tx ty ta ax ay aa bx by ba"),
        ([(Component("fan"), VariableName("speed"))], "tx ty ax ay bx by"),
        ([(Component("Fan"), VariableName("Speed", "Y"))], "ty ay by"),
        ([(Component("Fan", evse=1), VariableName("Active"))], "aa ba"),
        ([(Component("Fan", evse=1, connector=2), None)], "bx by ba"),
        ([(Component("Fan", "a"), VariableName("Active"))], "aa"),
        ([(Component("Fan", evse=2), None)], ""),
        ([(Component("Fan"), VariableName("Mood")), (Component("Cellar"), None)], ""),
        ([(Component("Fan", "b"), VariableName("Active")), (Component("Fan"), VariableName("Active"))], "ta aa ba"),
    ],
)
def test_by_place(places: list[Place], expected: str) -> None:
    station = Station()
    names = {}
    for letter, fan in zip("tab", FANS, strict=True):
        for short, name in (("x", "Speed[x]"), ("y", "Speed[y]"), ("a", "Active")):
            variable = next(one for one in station.model.variables(fan) if str(one.name) == name)
            result = station.monitors.set(request(fan, variable.name))
            names[result.id] = letter + short
    station.put(DELTA, 1)
    found = station.monitors.report(frozenset({"DeltaMonitoring"}), places)
    assert " ".join(names[one.id] for one in found) == expected
    assert list(station.monitors.report(frozenset({"PeriodicMonitoring"}), places)) == []


def request(component: Component, variable: VariableName):  # type: ignore[no-untyped-def]
    from agent.monitoring import MonitorRequest

    return MonitorRequest(component, variable, DELTA, 1, 5)


def test_a_report_walks_while_monitors_go() -> None:
    station = Station()
    ids = [station.put(UPPER, 60, severity) for severity in range(9)]
    report = station.monitors.report()
    assert next(report).id == ids[0]
    for id in ids:
        station.monitors.clear(id)
    assert [one.id for one in report] == ids[1:]  # those of one variable are told together
