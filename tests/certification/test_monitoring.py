"""Part 5, Advanced Device Management: monitors are set, reported and cleared (part 2, N02 to N06).

The station is `watching`'s: it has monitors of its maker's.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.certification.parts import Stand
from tests.certification.parts2 import named, settled
from tests.certification.parts4 import (
    EVSE_STATE,
    HARD_WIRED,
    HOT,
    MAKERS,
    SPEED,
    STATE,
    TEMPERATURE,
    base,
    clear,
    events,
    install,
    level,
    monitor,
    refused,
    reported,
    set_monitors,
    told,
    watching,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    async with watching(tmp_path_factory.mktemp("monitoring")) as stand:
        yield stand


async def all_kinds(stand: Stand) -> dict[str, int]:
    """A custom monitor of each type, none of which triggers soon; their ids by type."""
    wanted = (
        monitor(TEMPERATURE, "LowerThreshold", -20),
        monitor(TEMPERATURE, "UpperThreshold", 60),
        monitor(TEMPERATURE, "Periodic", 900),
        monitor(SPEED, "Delta", 900),
        monitor(SPEED, "PeriodicClockAligned", 3600, 9),
    )
    ids = await install(stand, *wanted)
    return {str(one["type"]): id for one, id in zip(wanted, ids, strict=True)}


# --- N02: reports ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.06", "N02.FR.12", "N02.FR.13", "N02.FR.14")
async def test_tc_n_01_get_monitoring_report_with_monitoring_criteria(stand: Stand) -> None:
    ids = await all_kinds(stand)
    thresholds = {HARD_WIRED, HOT, ids["UpperThreshold"], ids["LowerThreshold"]}
    deltas, periods = {STATE, ids["Delta"]}, {ids["Periodic"], ids["PeriodicClockAligned"]}
    assert (await reported(stand, "ThresholdMonitoring")).keys() == thresholds
    assert (await reported(stand, "DeltaMonitoring")).keys() == deltas
    assert (await reported(stand, "PeriodicMonitoring")).keys() == periods
    assert (await reported(stand, "DeltaMonitoring", "PeriodicMonitoring")).keys() == deltas | periods


@pytest.mark.requirement("N02.FR.08", "N02.FR.10", "N02.FR.16")
async def test_tc_n_02_get_monitoring_report_with_component_variable(stand: Stand) -> None:
    ids = await all_kinds(stand)
    found = await reported(stand, places=[SPEED])
    assert found == {
        ids["Delta"]: monitor(SPEED, "Delta", 900, transaction=False),
        ids["PeriodicClockAligned"]: monitor(SPEED, "PeriodicClockAligned", 3600, 9, transaction=False),
    }
    assert await reported(stand, places=[{"component": {"name": "AirCoolingSystem"}}]) == found
    assert await reported(stand, places=[named("EVSE", "AvailabilityState", 2)]) == {}


@pytest.mark.requirement("N02.FR.05", "N02.FR.10")
async def test_tc_n_03_get_monitoring_report_with_criteria_and_component_variable(stand: Stand) -> None:
    ids = await all_kinds(stand)
    found = await reported(stand, "ThresholdMonitoring", "DeltaMonitoring", places=[SPEED, EVSE_STATE])
    assert found.keys() == {STATE, ids["Delta"]}
    assert await reported(stand, "ThresholdMonitoring", places=[SPEED]) == {}


@pytest.mark.requirement("N02.FR.11")
async def test_tc_n_47_get_monitoring_report_all(stand: Stand) -> None:
    ids = await all_kinds(stand)
    found = await reported(stand)
    assert found.keys() == {*MAKERS, *ids.values()}
    assert {id: found[id] for id in MAKERS} == MAKERS


# --- N03: bases --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N03.FR.01", "N03.FR.03", "N03.FR.04", "N03.FR.05")
async def test_tc_n_05_set_monitoring_base_success(stand: Stand) -> None:
    await base(stand, "HardWiredOnly")
    assert (await reported(stand)).keys() == {HARD_WIRED}
    await base(stand, "FactoryDefault")
    assert await reported(stand) == MAKERS
    await base(stand, "All")
    assert await reported(stand) == MAKERS


@pytest.mark.requirement("N03.FR.03", "N03.FR.04", "N03.FR.05")
@pytest.mark.parametrize("which", ["FactoryDefault", "HardWiredOnly"])
async def test_tc_n_06_set_monitoring_base_test_removal_custom_monitors(stand: Stand, which: str) -> None:
    [id] = await install(stand, monitor(SPEED, value=900))
    await base(stand, "All")
    assert id in await reported(stand)
    await base(stand, which)
    assert await reported(stand, places=[SPEED]) == {}
    await base(stand, "All")
    assert await reported(stand) == MAKERS


# --- N04: setting ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
async def test_tc_n_08_set_variable_monitoring_one_element(stand: Stand) -> None:
    [id] = await install(stand, monitor(SPEED, value=900))
    assert await reported(stand, places=[SPEED]) == {id: monitor(SPEED, value=900, transaction=False)}


@pytest.mark.requirement("N04.FR.01", "N04.FR.02", "N04.FR.08")
async def test_tc_n_09_multiple_elements_on_different_component_and_variable(stand: Stand) -> None:
    wanted = (monitor(SPEED, "Delta", 900), monitor(TEMPERATURE, "LowerThreshold", -20), monitor(EVSE_STATE, "Delta"))
    ids = await install(stand, *wanted)
    found = await reported(stand)
    assert [found[id] for id in ids] == [{**one, "transaction": False} for one in wanted]


@pytest.mark.requirement("N04.FR.01", "N04.FR.08")
async def test_tc_n_10_multiple_monitors_on_the_same_component_and_variable(stand: Stand) -> None:
    wanted = (
        monitor(SPEED, value=900),
        monitor(SPEED, value=950, severity=4),
        monitor(SPEED, "LowerThreshold", 0),
        monitor(SPEED, "Delta", 900, transaction=True),
    )
    ids = await install(stand, *wanted)
    found = await reported(stand, places=[SPEED])
    assert found == {id: {"transaction": False, **one} for id, one in zip(ids, wanted, strict=True)}


@pytest.mark.requirement("N04.FR.03")
async def test_tc_n_11_unknown_component(stand: Stand) -> None:
    assert (await refused(stand, monitor(named("NoSuchComponent", "FanSpeed"))))[0] == "UnknownComponent"


@pytest.mark.requirement("N04.FR.04")
async def test_tc_n_37_unknown_variable(stand: Stand) -> None:
    assert (await refused(stand, monitor(named("AirCoolingSystem", "NoSuchVariable"))))[0] == "UnknownVariable"


@pytest.mark.requirement("N04.FR.14")
async def test_tc_n_12_value_out_of_range_delta_monitor(stand: Stand) -> None:
    assert await refused(stand, monitor(SPEED, "Delta", -1)) == ("Rejected", "ValueOutOfRange")


@pytest.mark.requirement("N04.FR.06")
async def test_tc_n_13_value_out_of_range_threshold_monitor(stand: Stand) -> None:
    assert await refused(stand, monitor(SPEED, value=1001)) == ("Rejected", "ValueOutOfRange")
    assert await refused(stand, monitor(SPEED, "LowerThreshold", -1)) == ("Rejected", "ValueOutOfRange")


@pytest.mark.requirement("N04.FR.10")
async def test_tc_n_15_duplicate_variable_type_severity_combination(stand: Stand) -> None:
    [id] = await install(stand, monitor(SPEED, value=900))
    assert (await refused(stand, monitor(SPEED, value=800)))[0] == "Duplicate"
    assert (await refused(stand, monitor(TEMPERATURE, value=80, severity=3)))[0] == "Duplicate"
    assert (await reported(stand, places=[SPEED]))[id]["value"] == 900


@pytest.mark.requirement("N04.FR.13")
async def test_an_id_that_is_none_is_rejected(stand: Stand) -> None:
    assert (await refused(stand, monitor(SPEED, value=900, id=987_654)))[0] == "Rejected"


@pytest.mark.requirement("N04.FR.05")
async def test_a_type_that_does_not_fit_is_unsupported(stand: Stand) -> None:
    assert (await refused(stand, monitor(EVSE_STATE)))[0] == "UnsupportedMonitorType"


@pytest.mark.requirement("N04.FR.16")
async def test_tc_n_39_component_variable_combination_does_not_correspond(stand: Stand) -> None:
    [id] = await install(stand, monitor(EVSE_STATE, "Delta", 1))
    assert (await refused(stand, monitor(SPEED, "Delta", 1, id=id)))[0] == "Rejected"
    assert (await reported(stand))[id] == monitor(EVSE_STATE, "Delta", 1, transaction=False)


@pytest.mark.requirement("N04.FR.12")
async def test_tc_n_40_replace_variable_monitor(stand: Stand) -> None:
    [id] = await install(stand, monitor(SPEED, value=900))
    assert await install(stand, monitor(SPEED, "LowerThreshold", 0, 4, id=id)) == [id]
    found = await reported(stand, places=[SPEED])
    assert found == {id: monitor(SPEED, "LowerThreshold", 0, 4, transaction=False)}


@pytest.mark.requirement("N03.FR.04", "N04.FR.15")
async def test_tc_n_41_return_to_factory_default(stand: Stand) -> None:
    await base(stand, "FactoryDefault")
    own = (await reported(stand))[STATE]
    changed = {**own, "severity": own["severity"] + 1}
    assert await install(stand, {**changed, "id": STATE}) == [STATE]
    assert (await reported(stand, places=[EVSE_STATE])) == {STATE: changed}
    await base(stand, "FactoryDefault")
    assert (await reported(stand, places=[EVSE_STATE])) == {STATE: own}


@pytest.mark.requirement("N04.FR.01", "N04.FR.14")
async def test_tc_n_43_the_second_of_three_contains_an_out_of_range_value(stand: Stand) -> None:
    results = await set_monitors(
        stand,
        monitor(TEMPERATURE, value=60),
        monitor(SPEED, "Delta", -1),
        monitor(TEMPERATURE, "LowerThreshold", -20),
    )
    assert [one["status"] for one in results] == ["Accepted", "Rejected", "Accepted"]
    assert (await reported(stand)).keys() == {*MAKERS, results[0]["id"], results[2]["id"]}


# --- N05: levels -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N05.FR.01", "N05.FR.03", "N07.FR.15")
async def test_tc_n_16_set_monitoring_level_success(stand: Stand) -> None:
    quiet, loud = await install(stand, monitor(TEMPERATURE, value=50, severity=5), monitor(TEMPERATURE, severity=4))
    assert (await stand.call("SetMonitoringLevel", {"severity": 4}))["status"] == "Accepted"
    assert await stand.get("MonitoringCtrlr.ActiveMonitoringLevel") == "4"
    since = stand.station.last
    async with level(stand, 55):
        await events(stand, loud, since)
        await settled(stand)
    assert told(stand, quiet, since) == []


@pytest.mark.requirement("N05.FR.02")
@pytest.mark.parametrize("severity", [10, -1])
async def test_tc_n_17_set_monitoring_level_out_of_range(stand: Stand, severity: int) -> None:
    assert (await stand.call("SetMonitoringLevel", {"severity": severity}))["status"] == "Rejected"
    assert await stand.get("MonitoringCtrlr.ActiveMonitoringLevel") == "9"


# --- N06: clearing -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("N06.FR.01", "N06.FR.05")
async def test_tc_n_18_clear_monitoring_success(stand: Stand) -> None:
    ids = await install(stand, monitor(SPEED, value=900), monitor(SPEED, "Delta", 900), monitor(EVSE_STATE, "Delta"))
    assert await clear(stand, ids[0], ids[2]) == ["Accepted", "Accepted"]
    assert (await reported(stand)).keys() == {*MAKERS, ids[1]}


@pytest.mark.requirement("N06.FR.02", "N06.FR.05")
async def test_tc_n_19_clear_monitoring_not_found(stand: Stand) -> None:
    [id] = await install(stand, monitor(SPEED, value=900))
    assert await clear(stand, id) == ["Accepted"]
    assert await clear(stand, id, 987_654) == ["NotFound", "NotFound"]


@pytest.mark.requirement("N06.FR.03")
async def test_tc_n_44_clear_monitoring_rejected(stand: Stand) -> None:
    assert await clear(stand, HARD_WIRED) == ["Rejected"]
    assert await reported(stand) == MAKERS
