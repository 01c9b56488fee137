"""What the station on bench-ac says it has, what it reads and what it takes: all agree, and with the contract."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.bench.contract_parts import Address, Stage, address_of, report, set_one, stage, value
from tests.bench.parts import PASSWORD, PATIENCE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ["Actual", "Target", "MinSet", "MaxSet"]
PASSWORD_AT: Address = ("SecurityCtrlr", "BasicAuthPassword")

Report = dict[Address, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("inventory")) as shared:
        await shared.registered()
        await until(lambda: has_been_read(shared), "every quantity")
        # What is measured stands still, so that two readings can be compared.
        for device, told in (await shared.control("GET", "/bench"))["device"].items():
            for point, state in told["point"].items():
                if point not in ("duty", "test"):
                    still = {"value": state["value"]}
                    await shared.control("POST", f"/bench/device/{device}/point/{point}", still)
        await asyncio.sleep(2.5)
        yield shared


async def has_been_read(shared: Stage) -> bool:
    full = await base(shared, "FullInventory")
    unread = {a for a in full if a not in NO_VALUE and text(full[a], "Actual") in ("", None)}
    return unread == set()


NO_VALUE: set[Address] = {
    ("AuthCtrlr", "MasterPassGroupId"),  # no such group
    ("AlignedDataCtrlr", "TxEndedMeasurands"),
    ("OCPPCommCtrlr", "FileTransferProtocols"),
    ("SecurityCtrlr", "OrganizationName"),
    *((f"TokenReader{place}", "Token") for place in ("", "@1", "@2")),  # no card is on any of them
    PASSWORD_AT,
}


async def base(shared: Stage, name: str, number: int = 1) -> Report:
    data = await report(shared.station, "GetBaseReport", {"requestId": number, "reportBase": name})
    found = {address_of(one): one for one in data}
    assert len(found) == len(data), "a variable twice"
    return found


def text(data: dict[str, Any], kind: str) -> str | None:
    return next((a.get("value") for a in data["variableAttribute"] if a["type"] == kind), None)


def mutability(data: dict[str, Any]) -> dict[str, str]:
    return {a["type"]: a.get("mutability", "ReadWrite") for a in data["variableAttribute"]}


async def get_all(shared: Stage, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for start in range(0, len(asked), 50):
        answer = await shared.station.call("GetVariables", {"getVariableData": asked[start : start + 50]})
        results += answer["getVariableResult"]
    return results


@pytest.mark.requirement("B06.FR.08", "B06.FR.09", "B06.FR.10", "B07.FR.08")
async def test_get_variables_says_of_every_attribute_what_the_full_inventory_says(shared: Stage) -> None:
    full = await base(shared, "FullInventory")
    places = [(address, data, kind) for address, data in full.items() for kind in KINDS]
    asked = [
        {"component": data["component"], "variable": data["variable"], "attributeType": kind}
        for _, data, kind in places
    ]
    for (address, data, kind), result in zip(places, await get_all(shared, asked), strict=True):
        has = mutability(data)
        expected = (
            "NotSupportedAttributeType" if kind not in has else "Rejected" if has[kind] == "WriteOnly" else "Accepted"
        )
        assert (address, kind, result["attributeStatus"]) == (address, kind, expected)
        if expected == "Accepted" and address != ("ClockCtrlr", "DateTime"):
            assert (address, result.get("attributeValue", "")) == (address, text(data, kind))
        else:
            assert expected == "Accepted" or "attributeValue" not in result
    assert text(full[PASSWORD_AT], "Actual") is None


@pytest.mark.requirement("B07.FR.07")
async def test_the_configuration_inventory_has_what_can_be_set_and_nothing_else(shared: Stage) -> None:
    full, configuration = await base(shared, "FullInventory"), await base(shared, "ConfigurationInventory", 2)
    settable = {address for address, data in full.items() if set(mutability(data).values()) != {"ReadOnly"}}
    assert set(configuration) == settable
    assert all(configuration[address] == full[address] for address in settable)
    for address, data in full.items():
        for kind, how in mutability(data).items():
            old = text(data, kind)
            if address == PASSWORD_AT:
                old = PASSWORD
            if old in (None, ""):
                old = "300" if address[1] == "FanSpeed" else ""
            result = await set_one(shared.station, address, old or "", kind)
            status, info = result["attributeStatus"], result.get("attributeStatusInfo", {})
            if how == "ReadOnly":
                assert (address, kind, status, info.get("reasonCode")) == (address, kind, "Rejected", "ReadOnly")
            else:
                assert (address, kind, status) == (address, kind, "Accepted"), info


@pytest.mark.requirement("B07.FR.09")
async def test_the_summary_shows_what_is_wrong_and_what_is_available(shared: Stage) -> None:
    since = shared.station.last
    await shared.control("POST", "/bench/device/rcd-1/point/tripped", {"value": True})
    await shared.control("POST", "/bench/device/cabinet/fault", {"kind": "offline"})
    await shared.station.wait_for(
        "NotifyEvent",
        lambda p: any(one["component"]["name"] == "TemperatureSensor" for one in p["eventData"]),
        since,
        PATIENCE,
    )
    await until(lambda: tripped(shared), "the trip")
    summary, full = await base(shared, "SummaryInventory", 3), await base(shared, "FullInventory")
    assert set(summary) < set(full)
    for address in (("RCD@1", "Tripped"), ("TemperatureSensor", "Problem")):
        assert text(summary[address], "Actual") == "true"
    available = {address for address in full if address[1] == "AvailabilityState"}
    assert {a[0] for a in available} == {"ChargingStation", "EVSE@1", "EVSE@2"} | {
        f"Connector@{place}" for place in ("1,1", "1,2", "2,1")
    }
    assert available <= set(summary)
    problem = {address_of(one)[0] for one in await criterion(shared, "Problem")}
    assert problem == {"TemperatureSensor", "Connector@1,1", "Connector@1,2"}
    await shared.control("POST", "/bench/device/cabinet/fault", {"kind": "none"})
    await shared.control("POST", "/bench/device/rcd-1/point/tripped", {"value": False})
    await until(lambda: is_well(shared), "all well")
    again = await base(shared, "SummaryInventory", 5)
    assert {text(data, "Actual") for address, data in again.items() if address[1] == "Problem"} <= {"false"}


async def criterion(shared: Stage, name: str) -> list[dict[str, Any]]:
    return await report(shared.station, "GetReport", {"requestId": 4, "componentCriteria": [name]})


async def tripped(shared: Stage) -> bool:
    return await value(shared.station, ("RCD@1", "Tripped")) == "true"


async def is_well(shared: Stage) -> bool:
    return await value(shared.station, ("TemperatureSensor", "Problem")) == "false" and not await tripped(shared)


async def test_the_model_is_that_of_the_contract(shared: Stage) -> None:
    full = await base(shared, "FullInventory")
    for fan in ("AirCoolingSystem", "AirCoolingSystem[2]"):
        speed = full[fan, "FanSpeed"]
        characteristics = speed["variableCharacteristics"]
        assert (characteristics["minLimit"], characteristics["maxLimit"]) == (0, 1000)
        assert characteristics["unit"] == "RPM"
        assert (text(speed, "MinSet"), text(speed, "MaxSet")) == ("200", "500")
        assert set(mutability(speed)) == set(KINDS)
        assert mutability(speed)["Actual"] == "ReadOnly"
        assert (fan, "Problem") in full
    for evse in (1, 2):
        assert {"Tripped", "Problem"} <= of(full, f"RCD@{evse}")
        phases = {f"{name}[L{n}]" for name in ("ACVoltage", "ACCurrent") for n in (1, 2, 3)}
        assert {*phases, "Power", "EnergyImportRegister", "Problem"} <= of(full, f"FiscalMetering@{evse}")
    feed = {"Power", "EnergyImportRegister", "Problem", *(f"ACCurrent[L{n}]" for n in (1, 2, 3))}
    assert feed <= of(full, "ElectricalFeed")
    assert {"Temperature", "Problem"} <= of(full, "TemperatureSensor")
    fuses = [text(full["DistributionPanel", f"Fuse[{n}]"], "Actual") for n in (1, 2, 3)]
    assert fuses == ["63", "63", "63"]
    units = {"Power": "W", "EnergyImportRegister": "Wh", "ACVoltage[L1]": "V", "ACCurrent[L1]": "A"}
    for variable, unit in units.items():
        assert full["FiscalMetering@1", variable]["variableCharacteristics"]["unit"] == unit
    assert full["TemperatureSensor", "Temperature"]["variableCharacteristics"]["unit"] == "Celsius"
    assert text(full["SecurityCtrlr", "SecurityProfile"], "Actual") == "1"
    assert mutability(full[PASSWORD_AT]) == {"Actual": "WriteOnly"}
    assert text(full["OCPPCommCtrlr", "ActiveNetworkProfile"], "Actual") == "1"
    assert text(full["OCPPCommCtrlr", "NetworkConfigurationPriority"], "Actual") == "1"
    assert text(full["Connector@1,1", "ConnectorType"], "Actual") == "sType2"
    assert text(full["Connector@1,2", "ConnectorType"], "Actual") == "cType2"
    assert {a for a in full if a[1] == "SupplyPhases" and text(full[a], "Actual") != "3"} == set()


def of(full: Report, component: str) -> set[str]:
    return {variable for place, variable in full if place == component}


async def test_no_measured_quantity_and_no_target_is_out_of_what_it_says_of_itself(shared: Stage) -> None:
    """Every text is one of its data type, and a list's values are those it allows."""
    forms = {"integer": int, "decimal": float}
    for address, data in (await base(shared, "FullInventory")).items():
        characteristics = data["variableCharacteristics"]
        for attribute in data["variableAttribute"]:
            shown = attribute.get("value", "")
            kind = characteristics["dataType"]
            if shown and kind in forms:
                forms[kind](shown)
            elif shown and kind == "boolean":
                assert shown in ("true", "false"), address
            elif shown and kind in ("OptionList", "MemberList", "SequenceList"):
                assert set(shown.split(",")) <= set(characteristics["valuesList"].split(",")), address
