"""The page on how to write a board: its example works, and no key is missing from it."""

import re
from pathlib import Path

import pytest

import boards
from agent.board import load
from agent.board.monitors_spec import MonitorSpec
from agent.board.spec import (
    ROLES,
    ActualFrom,
    BoardFile,
    ComponentSpec,
    Connector,
    Evse,
    StationInfo,
    StatusLed,
    TargetTo,
    VariableSpec,
)
from drivers import settings

PAGE = (boards.FOLDER / "README.md").read_text(encoding="utf-8")
PARTS = [
    *(BoardFile, StationInfo, Evse, Connector, StatusLed, ComponentSpec, VariableSpec, ActualFrom, TargetTo),
    *(settings.ModbusTcpSettings, settings.ModbusRtuSettings, settings.P1Settings, settings.GpioSettings),
    *(settings.SysfsSettings, settings.ProfileDevice, settings.PwmFan, settings.Pins, settings.InputPin),
    *(settings.OutputPin, settings.Sysfs, settings.SysfsPoint, settings.ModbusProfile, settings.ModbusIdentity),
    *(settings.ModbusPoint, settings.P1Profile, settings.P1Point, settings.SerialReaderSettings),
    MonitorSpec,
    *(settings.EvdevReaderSettings, settings.Reader, settings.PilotUartSettings, settings.PilotUart),
]


def test_the_example_of_the_page_is_a_board_without_mistakes(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "my-board.yaml"
    path.write_text(example[1])
    assert [note for note in load(str(path)).notes if "busy" not in note] == []


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_key_is_explained(part: type[settings.Strict]) -> None:
    keys = {field.alias or name for name, field in part.model_fields.items()}
    assert {key for key in keys if not re.search(rf"`{key}[`:]", PAGE)} == set()


def test_every_point_of_a_connector_is_explained() -> None:
    assert {role for role in ROLES if f"`{role}`" not in PAGE.partition("| point of a connector |")[2]} == set()
