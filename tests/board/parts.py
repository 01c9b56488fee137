"""Small boards without mistakes, and what makes broken ones of them."""

from pathlib import Path

import pytest

from agent.board import BoardError, load
from agent.board.document import Mistake

GOOD = """\
station: {vendor: Acme, model: AC-22}
evses:
  1:
    phases: 3
    max_current: 32
    connectors:
      1: {type: sType2}
      2: {type: cType2}
  2: {phases: 3, max_current: 32, connectors: {1: {type: sType2}}}
buses:
  rs485: {driver: modbus-rtu, port: /dev/ttyAMA0, baudrate: 19200}
  p1: {driver: dsmr-p1, port: /dev/ttyUSB0}
  pins: {driver: gpio}
  kernel: {driver: sysfs, poll: 500ms}
devices:
  meter: {bus: rs485, unit: 1, profile: eastron-sdm630}
  fan: {bus: rs485, unit: 2, profile: fan-controller}
  feed: {bus: p1, profile: dsmr-p1}
  blower: {bus: pins, kind: pwm-fan, pwm: 18, tacho: 24}
  rcd:
    bus: pins
    kind: pins
    points:
      tripped: {input: 5}
      test: {output: 6}
  cabinet:
    bus: kernel
    kind: files
    points:
      temperature: {file: t, scale: 0.001, unit: Celsius}
      heat: {file: h, access: w, unit: Percent}
components:
  - name: AirCoolingSystem
    variables:
      FanSpeed:
        limits: [0, 1000]
        actual: {from: fan.rpm, max_age: 3s}
        target: {to: fan.duty, min_set: 200, max_set: 500, curve: [[0, 0], [1000, 1]]}
  - name: RCD
    evse: 1
    variables:
      Tripped: {actual: {from: rcd.tripped, max_age: 3s}}
  - name: FiscalMetering
    evse: 1
    connector: 1
    variables:
      "ACCurrent[L1]": {actual: {from: meter.current_l1, max_age: 3s}}
      Power: {actual: {from: meter.power, max_age: 3s}}
  - name: TemperatureSensor
    variables:
      Temperature: {actual: {from: cabinet.temperature, max_age: 3s}}
"""

CHARGING = """\
station: {vendor: Acme, model: AC-11}
evses:
  1:
    phases: 3
    max_current: 16
    connectors:
      1:
        type: sType2
        controller: left
        hardware:
          contactor_closed: pins.feedback
          lock: pins.lock
          locked: pins.locked
      2: {type: cType2, controller: right}
buses:
  rs485: {driver: modbus-rtu, port: /dev/ttyAMA0, baudrate: 19200}
  pilot: {driver: pilot-uart, port: /dev/ttyUSB0}
  cards: {driver: serial-reader, port: /dev/ttyUSB1}
  gpio: {driver: gpio}
devices:
  left: {bus: rs485, unit: 1, profile: iec61851-controller, poll: 500ms}
  right: {bus: pilot, kind: pilot-uart}
  meter: {bus: rs485, unit: 2, profile: eastron-sdm630}
  cards: {bus: cards, kind: reader}
  pins:
    bus: gpio
    kind: pins
    points:
      feedback: {input: 5}
      locked: {input: 6}
      stop: {input: 7}
      lock: {output: 8}
      enable: {output: 9}
      lamp: {output: 10}
components:
  - name: FiscalMetering
    evse: 1
    variables:
      EnergyImportRegister: {actual: {from: meter.energy_import, max_age: 3s}}
      Power: {unit: kW, actual: {from: meter.power, max_age: 4s}}
  - name: TokenReader
    variables:
      Token: {actual: {from: cards.token, max_age: 3s}}
  - name: UIInput
    instance: Stop
    evse: 1
    variables:
      Operated: {actual: {from: pins.stop, max_age: 3s}}
  - name: PowerContactor
    evse: 1
    connector: 1
    variables:
      Model: {value: K-40}
"""
"""A board that charges: a socket with parts on pins besides its controller, and a fixed cable on a UART."""

MARK = "▲"
"""Stands in a broken text right before the place that a mistake is to name."""


def written(folder: Path, text: str) -> Path:
    path = folder / "board.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str, text: str = GOOD) -> str:
    """`text` with its one `old` replaced by `new`."""
    assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
    return text.replace(old, new)


def place_of_mark(text: str) -> tuple[int, int]:
    """Line and column of the mark, from 1."""
    before = text[: text.index(MARK)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def mistakes(folder: Path, text: str) -> list[Mistake]:
    """Every mistake that loading `text` names."""
    with pytest.raises(BoardError) as told:
        load(str(written(folder, text)))
    return told.value.mistakes
