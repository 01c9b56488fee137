"""An idle station writes nothing: what a sensor measures never reaches the state directory."""

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

from agent.demo.rig import PASSWORD, BenchRig, running_bench
from drivers.bench.csms import Csms

POINTS: dict[str, tuple[float, float]] = {
    "cabinet/temperature": (20.0, 0.5),
    "meter-1/voltage_l1": (225.0, 0.5),
    "meter-1/current_l1": (1.0, 0.25),
    "meter-2/power": (1000.0, 50.0),
    "grid-meter/power_import": (2000.0, 10.0),
}
"""Held at the first number, then more by the second one with every step."""

STEPS = 6

QUIET = 3.0
"""Seconds without a write after which a boot is over."""

READ: tuple[dict[str, Any], ...] = (
    {"component": {"name": "TemperatureSensor"}, "variable": {"name": "Temperature"}},
    {"component": {"name": "FiscalMetering", "evse": {"id": 1}}, "variable": {"name": "ACVoltage", "instance": "L1"}},
    {"component": {"name": "FiscalMetering", "evse": {"id": 1}}, "variable": {"name": "ACCurrent", "instance": "L1"}},
    {"component": {"name": "FiscalMetering", "evse": {"id": 2}}, "variable": {"name": "Power"}},
    {"component": {"name": "ElectricalFeed"}, "variable": {"name": "Power"}},
)


def _files(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Each file's size, time of its last change in ns, and a digest of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[path.name] = (status.st_size, status.st_mtime_ns, digest)
    return found


async def _until_quiet(folder: Path, seconds: float = 40) -> dict[str, tuple[int, int, str]]:
    """Wait until no file has changed for a while: what the boot had to say is said."""
    deadline = time.monotonic() + seconds
    before, since = _files(folder), time.monotonic()
    while time.monotonic() - since < QUIET:
        assert time.monotonic() < deadline, "the station never stops writing"
        await asyncio.sleep(0.1)
        now = _files(folder)
        if now != before:
            before, since = now, time.monotonic()
    return before


async def _read(rig: BenchRig) -> list[float]:
    answer = await rig.call("GetVariables", {"getVariableData": list(READ)})
    return [float(one["attributeValue"]) for one in answer["getVariableResult"]]


async def _until_read(rig: BenchRig, wanted: list[float], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (found := await _read(rig)) != wanted:
        assert time.monotonic() < deadline, f"read {found}, held at {wanted}"
        await asyncio.sleep(0.1)


async def test_a_station_whose_sensors_change_writes_nothing_into_its_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with Csms(password=PASSWORD) as csms, running_bench(csms, tmp_path) as rig:
        await rig.heard("BootNotification", lambda _: True, 0, 30)
        before = await _until_quiet(state)
        assert "station.db" in before and "station.db-wal" in before
        for step in range(STEPS):
            held = [start + step * more for start, more in POINTS.values()]
            for place, value in zip(POINTS, held, strict=True):
                device, point = place.split("/")
                await rig.bench("POST", f"/bench/device/{device}/point/{point}", {"value": value})
            await _until_read(rig, held)
        assert _files(state) == before

        # What the CSMS sets is written: the comparison sees a write when there is one.
        data = {
            "component": {"name": "AirCoolingSystem"},
            "variable": {"name": "FanSpeed"},
            "attributeType": "Target",
            "attributeValue": "300",
        }
        answer = await rig.call("SetVariables", {"setVariableData": [data]})
        assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
        assert _files(state) != before
        assert csms.violations == []
