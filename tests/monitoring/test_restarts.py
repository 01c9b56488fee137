"""What survives a power cut (N04's remark, N07.FR.13, FR.14)."""

import pytest

from agent.model import Characteristics, DataType, DeviceModel, Variable, VariableName
from tests.monitoring.monitoring_parts import (
    ALIGNED,
    CABINET,
    DELTA,
    PERIODIC,
    TEMPERATURE,
    UPPER,
    Station,
    declared,
    example_model,
)


def unread() -> DeviceModel:
    """The model of a station that has just started: nothing has been measured."""
    model = example_model()
    model.find(CABINET, TEMPERATURE).update(None)
    return model


@pytest.mark.requirement("N07.FR.13", "N04.FR.19")
def test_monitors_come_back_with_their_ids_and_none_is_given_twice() -> None:
    station = Station()
    ids = [station.put(type, 30, 7) for type in (UPPER, DELTA, PERIODIC, ALIGNED)]
    assert station.set(UPPER, 12.5, 2, transaction=True).accepted
    before = list(station.monitors.report())
    station.monitors.clear(ids[-1])
    gone = station.put(PERIODIC, 99, 1)
    station.monitors.clear(gone)
    for _ in range(2):
        station.boot(unread())
        assert station.troubles == []
        assert sorted(one.id for one in station.monitors.report()) == sorted(
            one.id for one in before if one.id != ids[-1]
        )
        assert all(station.monitors.get(one.id) == one for one in before if one.id != ids[-1])
    assert station.put(UPPER, 1, 0) == gone + 1


@pytest.mark.requirement("N07.FR.14")
def test_a_threshold_that_was_exceeded_is_cleared_after_the_restart() -> None:
    station = Station([declared(1, UPPER, 50, 1)])
    station.put(UPPER, 60)
    station.read(70)
    station.boot(unread())
    assert station.told() == []
    assert station.read(20) == ["cleared 20", "cleared 20"]
    station.boot(unread())
    assert station.read(20) == []


@pytest.mark.requirement("N07.FR.14")
def test_a_threshold_still_exceeded_is_not_told_twice() -> None:
    station = Station()
    station.put(UPPER, 60)
    station.read(70)
    station.boot(unread())
    assert station.read(71, 72, 60) == ["cleared 60"]


def test_a_threshold_exceeded_meanwhile_is_told() -> None:
    station = Station()
    station.put(UPPER, 60)
    station.boot(unread())
    assert station.read(71) == ["Alerting 71"]


def test_after_a_start_offline_the_slight_ones_wait() -> None:
    station = Station()
    station.put(UPPER, 60, 3)
    station.put(UPPER, 60, 6)
    station.boot(unread())
    station.monitors.queue_up_to(5)
    station.read(70)
    assert [one.severity for one in station.fired] == [3]
    station.monitors.online(True)
    assert [one.severity for one in station.fired] == [3, 6]


@pytest.mark.requirement("N07.FR.18", "N07.FR.19")
def test_a_delta_starts_from_the_first_value_after_the_restart() -> None:
    station = Station()
    station.put(DELTA, 5)
    station.variable(CABINET, "boolean").update(False)
    station.put(DELTA, 1, on=(CABINET, "boolean"))
    station.boot(unread())
    assert station.read(80) == []
    assert station.read(86) == ["Delta 86"]
    assert station.read(True, on=(CABINET, "boolean")) == []
    assert station.read(False, None, True, on=(CABINET, "boolean")) == ["Delta false", "Delta", "Delta true"]


@pytest.mark.requirement("N08.FR.06")
def test_a_period_counts_from_the_restart() -> None:
    station = Station()
    station.put(PERIODIC, 60)
    station.run(50)
    station.boot(unread())
    station.monitors.online(True)
    assert station.run(100) == ["12:09:20"]


def test_a_variable_that_is_gone_takes_its_monitors_along() -> None:
    station = Station()
    gone, changed, stays = (
        station.put(UPPER, 10, on=(CABINET, name)) for name in ("decimal", "integer", "Temperature")
    )
    model = DeviceModel()
    model.add(example_model().find(CABINET, TEMPERATURE))
    model.add(Variable(CABINET, "integer", Characteristics(DataType.STRING)))
    station.boot(model)
    assert [one.id for one in station.monitors.report()] == [stays]
    assert [one.partition(":")[0] for one in station.troubles] == [f"monitor {gone}", f"monitor {changed}"]
    assert set(station.room) == {f"monitor/{stays}", f"exceeded/{stays}", "next"}


def test_a_board_that_claims_an_id_moves_the_custom_monitor() -> None:
    station = Station()
    id = station.put(UPPER, 10)
    claims = [declared(id, UPPER, 50, 1, on=(CABINET, "decimal"))]
    for declaration in (([], claims), (claims, [])):
        again = Station(*declaration, room=dict(station.room))
        assert len(again.troubles) == 1
        (custom,) = again.monitors.report(places=[(CABINET, TEMPERATURE)])
        assert custom.id > id
        assert again.told() == [] and again.read(5) == ["cleared 5"]  # and knows that it was exceeded
        again.boot(example_model())
        assert again.troubles == [] and again.monitors.get(custom.id) == custom


def test_a_hard_wired_monitor_of_a_new_board_wins() -> None:
    station = Station()
    station.put(UPPER, 10, 3)
    again = Station([declared(1, UPPER, 50, 3)], room=dict(station.room))
    assert [one.id for one in again.monitors.report()] == [1] and len(again.troubles) == 1


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("base", "Everything"),
        ("level", "12"),
        ("level", "high"),
        ("next", ""),
        ("monitor/x", "{}"),
        ("monitor/1003", "{"),
        ("monitor/1003", "[]"),
        ("monitor/1003", '{"component":["Cabinet"],"variable":["Temperature",null]}'),
        (
            "monitor/1003",
            '{"component":["Cabinet",null,null,null],"variable":["Temperature",null],"type":"UpperThreshold",'
            '"value":NaN,"severity":3,"transaction":false,"hysteresis":null}',
        ),
        ("exceeded/", "1"),
        ("mood", "good"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_holds(key: str, text: str) -> None:
    station = Station()
    id = station.put(UPPER, 60)
    station.room[key] = text
    station.boot(example_model())
    assert len(station.troubles) == 1 and key in station.troubles[0]
    assert [one.id for one in station.monitors.report()] == [id]
    station.boot(example_model())
    assert station.troubles == []


def test_nothing_is_watched_before_the_start() -> None:
    station = Station([declared(1)])
    assert len(station.variable(CABINET, "Temperature").listeners) == 1
    assert all(one.listeners == () for one in station.model.variables() if one.name != VariableName("Temperature"))
