"""The real agent on the bench's wires, with a CSMS that judges every message."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drivers.bench.bench import Bench
from drivers.bench.csms import Csms, StationSession
from tests.bench.parts import IDENTITY, PATIENCE, Control, until

FAN = {"name": "AirCoolingSystem"}
SPEED = {"name": "FanSpeed"}
METER = {"name": "FiscalMetering", "evse": {"id": 1}}


@pytest.fixture(autouse=True)
async def every_message_is_valid(csms: Csms) -> AsyncIterator[None]:
    yield
    assert csms.violations == []


async def set_target(station: StationSession, value: str) -> dict[str, Any]:
    data = {"component": FAN, "variable": SPEED, "attributeType": "Target", "attributeValue": value}
    answer = await station.call("SetVariables", {"setVariableData": [data]})
    result: dict[str, Any] = answer["setVariableResult"][0]
    return result


async def get(
    station: StationSession, component: dict[str, Any], variable: dict[str, Any], kind: str = "Actual"
) -> dict[str, Any]:
    data = {"component": component, "variable": variable, "attributeType": kind}
    answer = await station.call("GetVariables", {"getVariableData": [data]})
    result: dict[str, Any] = answer["getVariableResult"][0]
    return result


async def reads(
    station: StationSession, component: dict[str, Any], variable: dict[str, Any], *wanted: str
) -> dict[str, Any]:
    """Ask for an Actual until it is one of `wanted`, or until there is one at all."""

    async def answer() -> dict[str, Any] | None:
        result = await get(station, component, variable)
        text = result.get("attributeValue", "")
        return result if (text in wanted if wanted else text) else None

    found = await until(answer, f"{component['name']}.{variable['name']} in {wanted}")
    assert found is not None
    return found


def event(component: dict[str, Any], variable: str, value: str) -> Any:
    def matches(payload: dict[str, Any]) -> bool:
        return any(
            data["component"] == component and data["variable"]["name"] == variable and data["actualValue"] == value
            for data in payload["eventData"]
        )

    return matches


@pytest.mark.requirement("B05.FR.01")
async def test_a_target_is_in_the_fan_before_it_is_accepted_and_the_fan_follows(
    station: StationSession, control: Control
) -> None:
    since = await control.position()
    result = await set_target(station, "450")
    assert result["attributeStatus"] == "Accepted"
    writes = await control.writes(since, "fan")
    assert [(w["point"], w["value"]) for w in writes][:1] == [("duty", 0.45)]
    answer = next(m for m in reversed(station.messages) if m.kind == "result" and m.action == "SetVariables")
    assert writes[0]["t"] <= answer.time
    await reads(station, FAN, SPEED, *(str(rpm) for rpm in range(440, 461)))


async def test_a_target_above_max_set_is_rejected_and_nothing_is_written(
    station: StationSession, control: Control
) -> None:
    assert (await set_target(station, "450"))["attributeStatus"] == "Accepted"
    since = await control.position()
    result = await set_target(station, "600")
    assert result["attributeStatus"] == "Rejected"
    assert result["attributeStatusInfo"]["reasonCode"] == "ValueTooHigh"
    assert await control.writes(since, "fan") == []
    assert (await get(station, FAN, SPEED, "Target"))["attributeValue"] == "450"


async def test_what_is_measured_is_reported_inside_the_limits_or_not(
    station: StationSession, control: Control
) -> None:
    for rpm in (502, 1002):
        await control("POST", "/bench/device/fan/point/rpm", {"value": rpm})
        await reads(station, FAN, SPEED, str(rpm))


@pytest.mark.requirement("B06.FR.13")
async def test_a_meter_that_is_offline_is_a_problem_without_a_value_until_it_is_back(
    station: StationSession, control: Control
) -> None:
    power = {"name": "Power"}
    await reads(station, METER, power)
    since = station.last
    await control("POST", "/bench/device/meter-1/fault", {"kind": "offline"})
    await station.wait_for("NotifyEvent", event(METER, "Problem", "true"), since, PATIENCE)

    async def is_empty() -> bool:
        # Each value ages by itself: the one that was read last is the last to go.
        result = await get(station, METER, power)
        assert result["attributeStatus"] == "Accepted"
        return result.get("attributeValue", "") == ""

    await until(is_empty, "an empty value")
    since = station.last
    await control("POST", "/bench/device/meter-1/fault", {"kind": "none"})
    await station.wait_for("NotifyEvent", event(METER, "Problem", "false"), since, PATIENCE)
    await reads(station, METER, power)


@pytest.mark.parametrize("state", ["power", "kill"])
async def test_a_target_outlives_the_agent_and_is_written_before_the_boot(
    station: StationSession, control: Control, state: str
) -> None:
    assert (await set_target(station, "450"))["attributeStatus"] == "Accepted"
    since, position = station.last, await control.position()
    if state == "power":
        await control("POST", "/bench/power", {"state": "cycle"})
    else:
        await control("POST", "/bench/agent", {"state": "kill"})
    boot = await station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    assert boot["reason"] == ("PowerUp" if state == "power" else "ApplicationReset")
    message = station.calls("BootNotification", since)[0]
    writes = await control.writes(position, "fan")
    assert (writes[0]["point"], writes[0]["value"]) == ("duty", 0.45)
    assert writes[0]["t"] < message.time
    assert (await get(station, FAN, SPEED, "Target"))["attributeValue"] == "450"


async def test_the_fan_on_pins_has_the_same_story(station: StationSession, control: Control) -> None:
    fan = {**FAN, "instance": "2"}
    data = {"component": fan, "variable": SPEED, "attributeType": "Target", "attributeValue": "300"}
    since = await control.position()
    answer = await station.call("SetVariables", {"setVariableData": [data]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
    assert 0.3 in [write["value"] for write in await control.writes(since, "fan-2")]
    await control("POST", "/bench/device/fan-2/point/rpm", {"value": 600})

    async def turns() -> bool:
        text = (await get(station, fan, SPEED)).get("attributeValue")
        return bool(text) and abs(float(text) - 600) < 20

    await until(turns)


async def test_a_line_that_was_cut_is_connected_again_without_a_boot(
    station: StationSession, control: Control
) -> None:
    since = station.last
    await control("POST", "/bench/network", {"state": "down"})
    await station.until_connected(False, PATIENCE)
    await control("POST", "/bench/network", {"state": "up"})
    await station.until_connected(True, PATIENCE)
    await get(station, FAN, SPEED)
    assert station.calls("BootNotification", since) == []


@pytest.mark.parametrize("fault", ["offline", "garbage", "slow", "exception"])
async def test_a_target_is_not_accepted_by_a_fan_that_does_not_answer(
    station: StationSession, control: Control, fault: str
) -> None:
    assert (await set_target(station, "450"))["attributeStatus"] == "Accepted"
    await control("POST", "/bench/device/fan/fault", {"kind": fault})
    assert (await set_target(station, "300"))["attributeStatus"] == "Rejected"
    assert (await get(station, FAN, SPEED, "Target"))["attributeValue"] == "450"
    await control("POST", "/bench/device/fan/fault", {"kind": "none"})

    async def restored() -> bool:
        return (await control("GET", "/bench"))["device"]["fan"]["point"]["duty"]["value"] == 0.45

    await until(restored, "the old Target in the fan")


async def test_a_second_bench_runs_the_same_station_with_what_it_kept(
    csms: Csms, bench: Bench, station: StationSession
) -> None:
    assert (await set_target(station, "450"))["attributeStatus"] == "Accepted"
    await bench.stop()
    since = station.last
    second = Bench("bench-ac", csms_url=csms.url, identity=IDENTITY, state_dir=bench.state_dir)
    await second.start()
    try:
        boot = await station.wait_for("BootNotification", since=since, timeout=PATIENCE)
        assert boot["reason"] == "PowerUp"
        assert (await get(station, FAN, SPEED, "Target"))["attributeValue"] == "450"
    finally:
        await second.stop()


async def test_an_agent_that_was_hung_up_is_stopped_in_an_orderly_way(bench: Bench, station: StationSession) -> None:
    await asyncio.wait_for(bench.until_ready(), PATIENCE)
    await bench.set_agent("hang")
    await bench.stop()
    assert bench.agent.pid is None
    assert bench.agent.exit_codes == [0]


async def test_a_plug_a_lock_that_is_held_and_a_card_reach_the_device_model(
    control: Control, station: StationSession
) -> None:
    place = {"id": 2, "connectorId": 1}
    pilot, plug = {"name": "CPPWMController", "evse": place}, {"name": "Connector", "evse": place}
    await reads(station, pilot, {"name": "State"}, "A")
    await control("POST", "/bench/evse/2/connector/1/plug", {"ev": {"ready": False}, "cable_current": 20})
    await reads(station, pilot, {"name": "State"}, "B")
    await reads(station, plug, {"name": "Plugged"}, "true")
    assert float((await reads(station, plug, {"name": "CableCurrent"}))["attributeValue"]) == 20
    await control("POST", "/bench/device/charger-2-1/point/locked", {"value": True})
    await reads(station, {"name": "ConnectorPlugRetentionLock", "evse": place}, {"name": "Active"}, "true")
    await control("POST", "/bench/evse/2/bay", {"occupied": True})
    await reads(station, {"name": "BayOccupancySensor", "evse": {"id": 2}}, {"name": "Active"}, "true")
    await control("POST", "/bench/device/reader-2/point/token", {"value": "04A1B2C3"})
    await reads(station, {"name": "TokenReader", "evse": {"id": 2}}, {"name": "Token"}, "04A1B2C3")
