"""`monitors` of a board file: what they become, and that each mistake is told with its place and its remedy."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import boards
from agent.board import BoardError, load
from agent.board.wiring import wire
from agent.model import Component, VariableName
from agent.monitoring import Kind, Monitor, MonitorRequest, Monitors, MonitorType
from tests.monitoring.monitoring_parts import ManualClock

BENCH = Path(boards.__file__).parent / "bench-ac.yaml"
GOOD = {"id": 1, "variable": "TemperatureSensor.Temperature", "type": "UpperThreshold", "value": 70, "severity": 3}


def board(tmp_path: Path, *monitors: dict[str, Any]) -> Path:
    data = yaml.safe_load(BENCH.read_text())
    data["monitors"] = list(monitors)
    file = tmp_path / "board.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def mistakes(tmp_path: Path, *monitors: dict[str, Any]) -> str:
    with pytest.raises(BoardError) as caught:
        load(str(board(tmp_path, *monitors)))
    return str(caught.value)


def test_a_board_without_monitors_has_none() -> None:
    assert load("bench-ac").hard_wired == load("bench-ac").preconfigured == ()


def test_what_a_board_says_becomes_monitors(tmp_path: Path) -> None:
    hard = {"id": 2, "variable": "rcd@1.tripped", "type": "Delta", "severity": 0, "hard_wired": True}
    loaded = load(str(board(tmp_path, {**GOOD, "hysteresis": 5, "transaction": True}, hard)))
    place = (Component("TemperatureSensor"), VariableName("Temperature"))
    assert loaded.preconfigured == (
        Monitor(1, *place, MonitorType.UPPER_THRESHOLD, 70.0, 3, Kind.PRECONFIGURED_MONITOR, True, 5.0),
    )
    (wired,) = loaded.hard_wired
    assert (wired.id, wired.value, wired.kind) == (2, 1.0, Kind.HARD_WIRED_MONITOR)


def test_a_hysteresis_is_seen_and_holds_for_custom_monitors(tmp_path: Path) -> None:
    loaded = load(str(board(tmp_path, {**GOOD, "hysteresis": 10})))
    model = wire(loaded).model
    band = model.find(Component("TemperatureSensor"), VariableName("Hysteresis", "Temperature"))
    assert (band.actual.value, band.actual.constant, band.characteristics.unit) == (10.0, True, "Percent")
    fired: list[str] = []
    monitors = Monitors(
        model,
        ManualClock(),
        preconfigured=loaded.preconfigured,
        fire=lambda one: fired.append(f"{one.monitor and one.monitor.severity} {one.cleared} {one.actual}"),
        change=lambda changes: None,
    )
    monitors.restore({})
    place = (Component("TemperatureSensor"), VariableName("Temperature"))
    assert monitors.set(MonitorRequest(*place, MonitorType.UPPER_THRESHOLD, 70.0, 5)).accepted
    for value in (71.0, 69.0, 73.0, 74.0, 67.0, 66.0):
        model.find(*place).update(value)
    assert fired == ["3 None 74", "5 None 74", "3 True 66", "5 True 66"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variable": "TemperatureSensor.Temprature"}, "has no Temprature; did you mean 'Temperature'"),
        (
            {"variable": "Temperature"},
            "found 'Temperature'; expected Component[instance]@evse,connector.Variable[instance]",
        ),
        ({"type": "Upper"}, "expected one of"),
        ({"typ": "Delta"}, "unknown key 'typ'"),
        ({"severity": 10}, "found 10; expected at most 9"),
        ({"id": 1000}, "found 1000; expected at most 999"),
        ({"type": "Periodic", "value": 0.5}, "an interval is at least 1 s"),
        ({"type": "Delta", "value": -1}, "a delta is not negative"),
        ({"type": "Periodic", "hysteresis": 3}, "a Periodic with a hysteresis; leave it out"),
        ({"variable": "RCD@1.Tripped"}, "no UpperThreshold can be on RCD@1.Tripped, a boolean"),
        ({"variable": "EVSE@1.SupplyPhases"}, "EVSE@1.SupplyPhases is constant"),
        ({"variable": "EVSE@1.Power", "value": 1e6}, "above maxLimit"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    text = mistakes(tmp_path, {**GOOD, **changes})
    assert re.search(r"board\.yaml:\d+:\d+: ", text)
    assert told in text


def test_an_id_and_a_slot_are_given_once(tmp_path: Path) -> None:
    text = mistakes(tmp_path, {**GOOD, "hysteresis": 2}, {**GOOD, "hysteresis": 3})
    assert "id 1 a second time" in text
    assert "a second UpperThreshold of severity 3 on TemperatureSensor.Temperature" in text
    assert "found 3; expected 2 as with the other monitor there" in text


def test_what_only_the_computer_can_have_is_a_note(tmp_path: Path) -> None:
    loaded = load(str(board(tmp_path, {**GOOD, "variable": "CPU.Temperature"})))
    assert "monitor 1: CPU is no component of this board" in loaded.notes
