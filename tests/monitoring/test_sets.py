"""ClearVariableMonitoring, SetMonitoringBase and SetMonitoringLevel (N03, N05, N06)."""

import pytest

from agent.monitoring import Kind, Monitors
from tests.monitoring.monitoring_parts import CABINET, DELTA, LOWER, PERIODIC, UPPER, Station, declared, example_model


def installed(station: Station) -> list[tuple[int, str, float]]:
    return [(one.id, one.kind.removesuffix("Monitor"), one.value) for one in station.monitors.report()]


def furnished() -> tuple[Station, int, int]:
    """Hard-wired 1, preconfigured 2 and 3, of which 3 was overruled; and a custom one."""
    station = Station([declared(1, UPPER, 80, 1)], [declared(2, UPPER, 60, 3), declared(3, LOWER, -10, 3)])
    assert station.set(LOWER, -20, 4, id=3).id == 3
    return station, 3, station.put(PERIODIC, 60)


@pytest.mark.requirement("N06.FR.01", "N06.FR.02", "N06.FR.03")
def test_clearing() -> None:
    station, overruled, custom = furnished()
    assert station.monitors.clear(custom) == "Accepted"
    assert station.monitors.clear(custom) == "NotFound"
    assert station.monitors.clear(1) == "Rejected"
    assert station.monitors.clear(2) == "Accepted"
    assert station.monitors.clear(overruled) == "Accepted"
    assert installed(station) == [(1, "HardWired", 80)]
    station.boot(example_model())
    assert installed(station) == [(1, "HardWired", 80)]


@pytest.mark.requirement("N04.FR.15")
def test_a_preconfigured_monitor_that_is_changed_becomes_a_custom_one() -> None:
    station, overruled, _ = furnished()
    monitor = station.monitors.get(overruled)
    assert monitor is not None and monitor.kind is Kind.CUSTOM_MONITOR
    station.boot(example_model())
    assert station.monitors.get(overruled) == monitor


def test_a_changed_one_keeps_the_band_of_the_board() -> None:
    station = Station([], [declared(2, UPPER, 60, 3, hysteresis=10)])
    station.set(UPPER, 80, 3, id=2)
    for _ in range(2):
        monitor = station.monitors.get(2)
        assert monitor is not None and (monitor.value, monitor.hysteresis) == (80, 10)
        station.boot(example_model())


@pytest.mark.requirement("N03.FR.03")
def test_all_leaves_the_custom_ones() -> None:
    station, overruled, custom = furnished()
    station.monitors.clear(2)
    assert station.monitors.set_base("All")
    assert installed(station) == [
        (1, "HardWired", 80),
        (overruled, "Custom", -20),
        (custom, "Custom", 60),
        (2, "Preconfigured", 60),
    ]


@pytest.mark.requirement("N03.FR.04")
def test_factory_default_deletes_the_custom_ones_and_those_that_overrule() -> None:
    station, overruled, _ = furnished()
    station.monitors.clear(2)
    assert station.monitors.set_base("FactoryDefault")
    expected = [(1, "HardWired", 80), (overruled, "Preconfigured", -10), (2, "Preconfigured", 60)]
    assert installed(station) == expected
    station.boot(example_model())
    assert station.monitors.base == "FactoryDefault" and sorted(installed(station)) == sorted(expected)
    assert set(station.room) == {"base", "next"}


@pytest.mark.requirement("N03.FR.05")
def test_hard_wired_only() -> None:
    station, _, _ = furnished()
    assert station.monitors.set_base("HardWiredOnly")
    for _ in range(2):
        assert installed(station) == [(1, "HardWired", 80)]
        assert station.read(70, 20) == [] and station.read(90) == ["Alerting 90"]
        assert station.monitors.clear(2) == "NotFound"
        assert station.set(UPPER, 50, 3, id=2).status == "Rejected"
        station.read(20)
        station.boot(example_model())
    assert station.monitors.set_base("All")
    assert len(installed(station)) == 3


@pytest.mark.requirement("N03.FR.03", "N04.FR.10")
def test_a_custom_one_in_the_place_of_a_preconfigured_one_overrules_it() -> None:
    station = Station([], [declared(2, UPPER, 60, 3)])
    station.monitors.set_base("HardWiredOnly")
    custom = station.put(UPPER, 50, 3)
    assert station.monitors.set_base("All")
    for _ in range(2):
        assert installed(station) == [(custom, "Custom", 50)]
        station.boot(example_model())
    station.monitors.clear(custom)
    station.boot(example_model())
    assert installed(station) == []
    station.monitors.set_base("FactoryDefault")
    assert installed(station) == [(2, "Preconfigured", 60)]


@pytest.mark.requirement("N03.FR.04")
def test_factory_default_frees_the_place_that_a_changed_one_had_taken() -> None:
    station, _, _ = furnished()
    station.monitors.clear(2)
    assert station.set(UPPER, 40, 3, id=3).accepted
    assert station.monitors.set_base("FactoryDefault")
    assert sorted(installed(station)) == [(1, "HardWired", 80), (2, "Preconfigured", 60), (3, "Preconfigured", -10)]


@pytest.mark.requirement("N03.FR.02")
def test_an_unknown_base_changes_nothing() -> None:
    station, _, _ = furnished()
    before = installed(station), dict(station.room)
    assert not station.monitors.set_base("Everything")
    assert (installed(station), station.room, station.monitors.base) == (*before, "All")


@pytest.mark.requirement("N03.FR.04", "N07.FR.11", "N07.FR.12")
def test_what_a_new_base_says_of_thresholds() -> None:
    station = Station([], [declared(2, UPPER, 60, 3)])
    station.put(UPPER, 40, 5)
    station.set(UPPER, 30, 3, id=2)
    assert station.read(50) == ["Alerting 50", "Alerting 50"]
    station.monitors.set_base("FactoryDefault")  # 2 is at 60 again; the other one is gone without a word
    assert station.told(2) == ["cleared 50"]
    station.monitors.set_base("HardWiredOnly")
    station.read(70)
    assert station.told(3) == []
    station.monitors.set_base("All")
    assert station.told(3) == ["Alerting 70"]


@pytest.mark.requirement("N05.FR.01", "N05.FR.02")
def test_the_level() -> None:
    station = Station()
    assert station.monitors.level == 9
    assert [station.monitors.set_level(one) for one in (-1, 10, 0, 9, 4)] == [False, False, True, True, True]
    station.boot(example_model())
    assert station.monitors.level == 4


@pytest.mark.parametrize(
    "bad",
    [
        [declared(1, UPPER, 500)],
        [declared(1, UPPER, 1, on=(CABINET, "string"))],
        [declared(1, UPPER, 1, on=(CABINET, "Mood"))],
        [declared(1, DELTA, -1)],
        [declared(1, DELTA, 1), declared(1, UPPER, 1)],
        [declared(1, UPPER, 1, 3), declared(2, UPPER, 2, 3)],
        [declared(0, UPPER, 1)],
    ],
)
def test_a_board_that_declares_nonsense(bad: list) -> None:
    with pytest.raises(ValueError, match="monitor"):
        Monitors(example_model(), Station().clock, preconfigured=bad, fire=print, change=print)
