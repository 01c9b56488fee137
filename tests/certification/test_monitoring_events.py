"""Part 5, Advanced Device Management: what monitors tell of (part 2, N07 and N08, and N04 for their settings).

The station is `watching`'s: it has monitors of its maker's.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise

import pytest
import pytest_asyncio

from tests.certification.parts import Stand, never, until
from tests.certification.parts2 import named, settled
from tests.certification.parts4 import (
    HARD_WIRED,
    HOT,
    TEMPERATURE,
    about,
    base,
    clear,
    custom,
    events,
    install,
    level,
    monitor,
    reported,
    told,
    warm,
    watching,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = named("SecurityCtrlr", "BasicAuthPassword")
QUEUING = "MonitoringCtrlr.OfflineQueuingSeverity"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    async with watching(tmp_path_factory.mktemp("monitoring")) as stand:
        yield stand


# --- N07: alerts -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N07.FR.02", "N07.FR.06", "N07.FR.07", "N07.FR.16", "N07.FR.17")
async def test_tc_n_20_threshold_value_exceeded(stand: Stand) -> None:
    await base(stand, "All")
    await stand.call("SetMonitoringLevel", {"severity": 8})
    since = stand.station.last
    async with level(stand, 30):
        [upper] = await install(stand, monitor(TEMPERATURE, value=50))
        await warm(stand, 55)
        [risen] = await events(stand, upper, since)
        assert about(risen) == custom(TEMPERATURE, upper)
        assert float(risen["actualValue"]) == 55
        [lower] = await install(stand, monitor(TEMPERATURE, "LowerThreshold", 10))
        await warm(stand, 5)
        [_, back] = await events(stand, upper, since, 2)
        [fallen] = await events(stand, lower, since)
    assert about(back) == custom(TEMPERATURE, upper, cleared=True)
    assert about(fallen) == custom(TEMPERATURE, lower)
    assert float(back["actualValue"]) == float(fallen["actualValue"]) == 5


@pytest.mark.requirement("N07.FR.02", "N07.FR.06", "N07.FR.16", "N07.FR.17")
async def test_tc_n_20_threshold_value_exceeded_by_a_car(stand: Stand) -> None:
    power = named("FiscalMetering", "Power", stand.evse)
    [upper] = await install(stand, monitor(power, value=100))
    since = stand.station.last
    number = await stand.charge()
    [risen] = await events(stand, upper, since)
    assert about(risen) == custom(power, upper, transactionId=number)
    assert float(risen["actualValue"]) > 100
    [lower] = await install(stand, monitor(power, "LowerThreshold", 10))
    await stand.swipe()
    [_, back] = await events(stand, upper, since, 2)
    [fallen] = await events(stand, lower, since)
    assert about(back) == custom(power, upper, cleared=True, transactionId=number)
    assert about(fallen) == custom(power, lower, transactionId=number)
    assert float(fallen["actualValue"]) < 10


@pytest.mark.requirement("N07.FR.16")
async def test_on_the_threshold_is_within_it(stand: Stand) -> None:
    [id] = await install(stand, monitor(TEMPERATURE, value=50))
    since = stand.station.last
    async with level(stand, 50):
        await settled(stand)
    assert told(stand, id, since) == []


@pytest.mark.requirement("N07.FR.02", "N07.FR.06", "N07.FR.16")
async def test_tc_n_21_hard_wired_monitor(stand: Stand) -> None:
    since = stand.station.last
    async with level(stand, 64):
        [event] = await events(stand, HARD_WIRED, since)
    wired = {"trigger": "Alerting", "eventNotificationType": "HardWiredMonitor", "variableMonitoringId": HARD_WIRED}
    assert about(event) == {**TEMPERATURE, **wired}
    assert about((await events(stand, HARD_WIRED, since, 2))[1]) == {**TEMPERATURE, **wired, "cleared": True}


@pytest.mark.requirement("N07.FR.06", "N07.FR.07", "N07.FR.18")
async def test_tc_n_45_delta_value_exceeded(stand: Stand) -> None:
    async with level(stand, 30):
        since = stand.station.last
        [id] = await install(stand, monitor(TEMPERATURE, "Delta", 10))
        await warm(stand, 40)
        await settled(stand)
        assert told(stand, id, since) == []
        await warm(stand, 41)
        [event] = await events(stand, id, since)
        assert about(event) == custom(TEMPERATURE, id, "Delta")
        assert float(event["actualValue"]) == 41
        await warm(stand, 51)
        await warm(stand, 30)
        assert float((await events(stand, id, since, 2))[1]["actualValue"]) == 30


@pytest.mark.requirement("N07.FR.06", "N07.FR.19")
async def test_tc_n_56_delta_value_not_numeric_exceeded(stand: Stand) -> None:
    place = named("EVSE", "AvailabilityState", stand.evse)
    [id] = await install(stand, monitor(place, "Delta", 1))
    since = stand.station.last
    await stand.plug()
    [event] = await events(stand, id, since)
    assert about(event) == custom(place, id, "Delta")
    assert event["actualValue"] == "Occupied"
    await stand.unplug()
    assert (await events(stand, id, since, 2))[1]["actualValue"] == "Available"


@pytest.mark.requirement("N07.FR.10")
async def test_tc_n_48_variable_monitoring_on_write_only(stand: Stand) -> None:
    [id] = await install(stand, monitor(PASSWORD, "Delta", 1))
    before, since = stand.station.connections, stand.station.last
    answer = await stand.call(
        "SetVariables", {"setVariableData": [{**PASSWORD, "attributeValue": "a-new-password-16"}]}
    )
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
    [event] = await events(stand, id, since, seconds=20)
    assert event["actualValue"] == ""
    assert about(event) == custom(PASSWORD, id, "Delta")
    await until(lambda: stand.station.connections > before and stand.station.connected, "a new connection", 20)


@pytest.mark.requirement("N07.FR.13")
@pytest.mark.parametrize("how", ["Reset", "power"])
async def test_tc_n_53_persistent_over_reboot(stand: Stand, how: str) -> None:
    [id] = await install(stand, monitor(TEMPERATURE, value=60, transaction=True))
    await stand.boot(how)
    found = await reported(stand, "ThresholdMonitoring")
    assert found[id] == monitor(TEMPERATURE, value=60, transaction=True)
    assert found.keys() == {HARD_WIRED, HOT, id}


@pytest.mark.requirement("N07.FR.14")
async def test_a_threshold_that_was_exceeded_is_cleared_after_a_reboot(stand: Stand) -> None:
    [id] = await install(stand, monitor(TEMPERATURE, value=50))
    since = stand.station.last
    async with level(stand, 55):
        await events(stand, id, since)
        await settled(stand)
        await stand.bench.set_power("off")
        await stand.station.until_connected(False)
        stand.bench.world.hold("cabinet", "temperature", 40)
        since = stand.station.last
        await stand.bench.set_power("on")
        [event] = await events(stand, id, since, seconds=40)
    assert about(event) == custom(TEMPERATURE, id, cleared=True)


@pytest.mark.requirement("N07.FR.11", "N07.FR.16")
async def test_tc_n_51_modifying_a_variable_monitor_and_trigger(stand: Stand) -> None:
    [id] = await install(stand, monitor(TEMPERATURE, value=62))
    async with level(stand, 55):
        await settled(stand)
        assert told(stand, id, stand.since) == []
        since = stand.station.last
        assert await install(stand, monitor(TEMPERATURE, value=50, id=id)) == [id]
        [event] = await events(stand, id, since)
    assert about(event) == custom(TEMPERATURE, id)
    assert float(event["actualValue"]) == 55


@pytest.mark.requirement("N07.FR.12")
async def test_tc_n_52_removing_a_variable_monitor(stand: Stand) -> None:
    [id] = await install(stand, monitor(TEMPERATURE, value=50))
    since = stand.station.last
    async with level(stand, 55):
        await events(stand, id, since)
        since = stand.station.last
        assert await clear(stand, id) == ["Accepted"]
        assert id not in await reported(stand, "ThresholdMonitoring", places=[TEMPERATURE])
        await warm(stand, 40)
        await settled(stand)
    assert told(stand, id, since) == []


# --- N07: without a line -----------------------------------------------------------------------------------------


async def offline_event(stand: Stand, id: int) -> int:
    """The threshold of 50 degrees is exceeded while offline; the last message before the line was up again."""
    async with level(stand, 30):
        async with stand.offline():
            since = stand.station.last
            stand.bench.world.hold("cabinet", "temperature", 55)
            await never(lambda: told(stand, id, since), "an event without a line", 2.0)
            stand.bench.world.hold("cabinet", "temperature", 30)
            await never(lambda: told(stand, id, since), "an event without a line", 2.0)
        await settled(stand)
    return since


@pytest.mark.requirement("N07.FR.04")
async def test_tc_n_22_offline_queuing_severity_set_equal_or_lower(stand: Stand) -> None:
    await stand.set({QUEUING: "7"})
    [id] = await install(stand, monitor(TEMPERATURE, value=50, severity=7))
    since = await offline_event(stand, id)
    found = await events(stand, id, since, 2)
    assert [about(one) for one in found] == [custom(TEMPERATURE, id), custom(TEMPERATURE, id, cleared=True)]
    assert [float(one["actualValue"]) for one in found] == [55, 30]


@pytest.mark.requirement("N07.FR.04")
async def test_tc_n_23_offline_queuing_severity_set_higher(stand: Stand) -> None:
    await stand.set({QUEUING: "3"})
    [id] = await install(stand, monitor(TEMPERATURE, value=50, severity=4))
    since = await offline_event(stand, id)
    assert told(stand, id, since) == []


async def test_what_lasts_longer_than_the_line_was_down_is_told_after_it(stand: Stand) -> None:
    """The remark of N07: a monitor that is not queued is looked at when the station is online again."""
    await stand.set({QUEUING: "3"})
    [id] = await install(stand, monitor(TEMPERATURE, value=50, severity=4))
    async with level(stand, 30):
        async with stand.offline():
            since = stand.station.last
            stand.bench.world.hold("cabinet", "temperature", 55)
            await never(lambda: told(stand, id, since), "an event without a line", 2.0)
        [event] = await events(stand, id, since)
    assert about(event) == custom(TEMPERATURE, id)


# --- N08: periods ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N04.FR.01", "N04.FR.08", "N08.FR.04", "N08.FR.05", "N08.FR.06")
async def test_tc_n_24_periodic_event(stand: Stand) -> None:
    since = stand.station.last
    [id] = await install(stand, monitor(TEMPERATURE, "Periodic", 2))
    found = await events(stand, id, since, 3)
    assert about(found[0]) == custom(TEMPERATURE, id, "Periodic")
    times = [datetime.fromisoformat(one["timestamp"]) for one in found]
    assert [round((b - a).total_seconds()) for a, b in pairwise(times)] == [2] * (len(times) - 1)


@pytest.mark.requirement("N08.FR.05", "N08.FR.07")
async def test_a_clock_aligned_period_ends_on_the_clock(stand: Stand) -> None:
    since = stand.station.last
    [id] = await install(stand, monitor(TEMPERATURE, "PeriodicClockAligned", 3))
    found = await events(stand, id, since, 2)
    assert {one["trigger"] for one in found} == {"Periodic"}
    assert [datetime.fromisoformat(one["timestamp"]).second % 3 for one in found] == [0] * len(found)
