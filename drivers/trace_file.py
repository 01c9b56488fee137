"""A recorded wire: what `station-agent trace --record` writes, and the bench replays.

Lines of JSON, the first one a header; data are hexadecimal digits, `t` is in seconds since the header's `time`:

    {"record": "station-agent trace", "version": 1, "board": …, "bus": …, "driver": …, "time": ISO 8601}
    {"t": 0.0123, "dir": "out" | "in", "hex": "0103…"}
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.trace import IN, OUT, Record

WHAT, VERSION = "station-agent trace", 1


class BadRecording(Exception):
    """A file that is no recorded wire; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One wire; the times of `records` count from `time`, in s."""

    board: str
    bus: str
    driver: str
    time: str
    records: Sequence[Record]


def header_line(board: str, bus: str, driver: str, time: str) -> str:
    head = {"record": WHAT, "version": VERSION, "board": board, "bus": bus, "driver": driver, "time": time}
    return json.dumps(head) + "\n"


def record_line(record: Record) -> str:
    seconds, direction, data = record
    return json.dumps({"t": round(seconds, 6), "dir": direction, "hex": data.hex()}) + "\n"


def load(path: Path) -> Recording:
    """Raises `BadRecording`. A last line that was cut short is left out: the recorder was stopped in it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecording(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    lines = text.split("\n")
    lines.pop()  # empty, or cut short
    found: list[Any] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise BadRecording(f"{path}, line {number}: is no JSON") from error
    head = found[0] if found else None
    if not isinstance(head, dict) or head.get("record") != WHAT:
        raise BadRecording(f"{path}: is no recorded wire; `station-agent trace BUS --record FILE` makes one")
    if head.get("version") != VERSION:
        raise BadRecording(f"{path}: version {head.get('version')!r}; this program reads version {VERSION}")
    board, bus, driver, time = (head.get(key) for key in ("board", "bus", "driver", "time"))
    if not all(isinstance(name, str) for name in (board, bus, driver, time)):
        raise BadRecording(f"{path}, line 1: expected board, bus, driver and time")
    records = [_record(path, number, line) for number, line in enumerate(found[1:], 2)]
    return Recording(str(board), str(bus), str(driver), str(time), records)


def _record(path: Path, number: int, line: Any) -> Record:
    try:
        seconds, direction, data = float(line["t"]), line["dir"], bytes.fromhex(line["hex"])
    except (TypeError, KeyError, ValueError) as error:
        raise BadRecording(f"{path}, line {number}: expected t, dir and hex") from error
    if direction not in (IN, OUT) or not 0 <= seconds < 1e9:
        raise BadRecording(f"{path}, line {number}: expected dir in or out, and t in s")
    return seconds, direction, data
