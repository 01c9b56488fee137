"""Shared by the bench's tests: a board's wires in this process, and a whole bench with its station."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.board import load
from drivers.bench.bench import Bench
from drivers.bench.csms import Csms, StationSession
from drivers.bench.rig import Rig
from tests.bench.parts import IDENTITY, PASSWORD, PATIENCE, SETTINGS, Control


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """The wires of bench-ac, without a station."""
    rig = Rig(load("bench-ac"), tmp_path)
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms(password=PASSWORD) as csms:
        yield csms


@pytest.fixture
async def bench(csms: Csms, tmp_path: Path) -> AsyncIterator[Bench]:
    """bench-ac with its station, which connects to `csms`."""
    bench = Bench(
        "bench-ac",
        csms_url=csms.url,
        identity=IDENTITY,
        password=PASSWORD,
        state_dir=tmp_path / "state",
        overrides=SETTINGS,
        agent_log=tmp_path / "agent.log",
    )
    await bench.start()
    try:
        yield bench
    finally:
        await bench.stop()
        with contextlib.suppress(OSError):
            print((tmp_path / "agent.log").read_text())


@pytest.fixture
def control(bench: Bench) -> Control:
    return Control(bench.control_url)


@pytest.fixture
async def station(csms: Csms, bench: Bench) -> StationSession:
    """The station of `bench`, registered."""
    station = csms.station(IDENTITY)
    await station.wait_for("BootNotification", timeout=PATIENCE)
    await station.wait_for("StatusNotification", lambda p: p["evseId"] == 2, timeout=PATIENCE)
    return station
