"""The real agent through its starts: asked to reset, killed, without power, pending, with another password."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from drivers.bench.bench import Bench
from drivers.bench.csms import Csms, StationSession
from tests.bench.parts import IDENTITY, PASSWORD, PATIENCE, SETTINGS, Control

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_PASSWORD = "the-csms-gave-me-1"
CONNECTORS = {(1, 1), (1, 2), (2, 1)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def csms() -> AsyncIterator[Csms]:
    async with Csms(password=PASSWORD) as csms:
        yield csms


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(csms: Csms, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """One bench for the module: each test leaves the station registered."""
    folder = tmp_path_factory.mktemp("bench")
    bench = Bench(
        "bench-ac",
        csms_url=csms.url,
        identity=IDENTITY,
        password=PASSWORD,
        state_dir=folder / "state",
        overrides=SETTINGS,
        agent_log=folder / "agent.log",
    )
    await bench.start()
    yield bench
    await bench.stop()
    print((folder / "agent.log").read_text())


@pytest.fixture
def control(bench: Bench) -> Control:
    return Control(bench.control_url)


@pytest_asyncio.fixture(loop_scope="module")
async def station(csms: Csms, bench: Bench) -> StationSession:
    station = csms.station(IDENTITY)
    await station.wait_for("BootNotification", timeout=PATIENCE)
    return station


@pytest.fixture(autouse=True)
def every_message_is_valid(csms: Csms) -> Iterator[None]:
    yield
    assert csms.violations == []


def _is_of(there: dict[str, int], payload: dict[str, Any]) -> bool:
    return there.items() <= payload.items()


async def booted(station: StationSession, since: int) -> str:
    """The reason of the boot after `since`, once every connector has been told of."""
    boot = await station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    for evse, connector in CONNECTORS:
        there = {"evseId": evse, "connectorId": connector}
        await station.wait_for("StatusNotification", partial(_is_of, there), since, PATIENCE)
    reason: str = boot["reason"]
    return reason


@pytest.mark.requirement("B11.FR.01", "B11.FR.03", "B11.FR.04", "B01.FR.03")
async def test_the_station_that_is_told_to_reset_does_so_and_says_why_it_boots(
    station: StationSession, bench: Bench
) -> None:
    for kind in ("Immediate", "OnIdle"):  # twice: the second time it has been reset before
        since, lives = station.last, bench.agent.starts
        assert (await station.call("Reset", {"type": kind}))["status"] == "Accepted"
        assert await booted(station, since) == "RemoteReset"
        assert bench.agent.starts == lives + 1 and bench.agent.exit_codes[-1] == 3


@pytest.mark.parametrize(
    ("place", "state", "reason"), [("agent", "kill", "ApplicationReset"), ("power", "cycle", "PowerUp")]
)
async def test_the_reason_of_a_boot_is_what_ended_the_life_before(
    station: StationSession, control: Control, place: str, state: str, reason: str
) -> None:
    since = station.last
    await control("POST", f"/bench/{place}", {"state": state})
    assert await booted(station, since) == reason


@pytest.mark.requirement("B02.FR.01", "B02.FR.06", "B11.FR.01")
async def test_a_pending_station_answers_tells_nothing_and_is_accepted_in_its_time(
    station: StationSession, csms: Csms
) -> None:
    csms.boot_status, csms.boot_interval = "Pending", 2
    since = station.last
    await station.call("Reset", {"type": "Immediate"})
    await station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "Identity"}}
    answer = await station.call("GetVariables", {"getVariableData": [variable]})
    assert answer["getVariableResult"][0]["attributeValue"] == IDENTITY
    assert [m.action for m in station.messages[since:] if m[1:3] == ("in", "call")].count("StatusNotification") == 0
    csms.boot_status, csms.boot_interval = "Accepted", 300
    assert await booted(station, since) == "RemoteReset"
    boots = station.calls("BootNotification", since)
    assert len(boots) >= 2 and boots[-1].time - boots[-2].time >= 2.0
    first_status = station.calls("StatusNotification", since)[0]
    assert first_status.time > boots[-1].time


async def test_a_password_from_the_csms_is_used_at_once_and_outlives_the_power(
    station: StationSession, csms: Csms, bench: Bench, control: Control
) -> None:
    data: dict[str, Any] = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": OTHER_PASSWORD,
    }
    connections, since = station.connections, station.last
    answer = await station.call("SetVariables", {"setVariableData": [data]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
    await station.until_connected(False, PATIENCE)
    await station.until_connected(True, PATIENCE)
    assert csms.passwords[IDENTITY] == OTHER_PASSWORD and station.connections == connections + 1
    assert station.calls("BootNotification", since) == []  # it was accepted before

    await control("POST", "/bench/power", {"state": "cycle"})
    assert await booted(station, since) == "PowerUp"
    assert csms.refusals == 0
    assert OTHER_PASSWORD.encode() not in (bench.state_dir.parent / "agent.log").read_bytes()
