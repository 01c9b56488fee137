"""For the tests of the bench's contract: a bench with its station that a whole module shares, and its variables."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from drivers.bench.bench import Bench
from drivers.bench.csms import Csms, StationSession
from tests.bench.parts import IDENTITY, PASSWORD, PATIENCE, SETTINGS, Control, until

Address = tuple[str, str]
"""(component, variable), each as a person writes it: ("FiscalMetering@1", "ACVoltage[L1]")."""


class Stage:
    """A bench, its control, its CSMS and the session of its station."""

    def __init__(self, csms: Csms, bench: Bench, log: Path) -> None:
        self.csms, self.bench, self.log = csms, bench, log
        self.control = Control(bench.control_url)

    @property
    def station(self) -> StationSession:
        return self.csms.station(IDENTITY)

    async def registered(self, since: int = 0) -> StationSession:
        """The station, when it has told the last of its connectors."""
        await self.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
        await self.station.wait_for("StatusNotification", lambda p: p["evseId"] == 2, since, PATIENCE)
        return self.station


@contextlib.asynccontextmanager
async def stage(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """bench-ac with its station and a CSMS; every message that went over the line was valid."""
    async with Csms(password=PASSWORD) as csms:
        bench = Bench(
            "bench-ac",
            csms_url=csms.url,
            identity=IDENTITY,
            password=PASSWORD,
            state_dir=folder / "state",
            overrides={**SETTINGS, **(settings or {})},
            agent_log=folder / "agent.log",
        )
        await bench.start()
        try:
            yield Stage(csms, bench, folder / "agent.log")
        finally:
            await bench.stop()
            print((folder / "agent.log").read_text())
        assert csms.violations == []


def _split(text: str) -> tuple[str, str | None]:
    name, _, instance = text.rstrip("]").partition("[")
    return name, instance or None


def asked(address: Address, kind: str = "Actual") -> dict[str, Any]:
    """The element of GetVariables for one attribute."""
    place, _, evse = address[0].partition("@")
    name, instance = _split(place)
    component: dict[str, Any] = {"name": name}
    if instance:
        component["instance"] = instance
    if evse:
        number, _, connector = evse.partition(",")
        component["evse"] = {"id": int(number)} | ({"connectorId": int(connector)} if connector else {})
    name, instance = _split(address[1])
    variable = {"name": name} | ({"instance": instance} if instance else {})
    return {"component": component, "variable": variable, "attributeType": kind}


async def values(station: StationSession, addresses: Iterable[Address]) -> dict[Address, str]:
    """The Actuals, "" where there is none. Every one of them is there."""
    wanted = list(addresses)
    answer = await station.call("GetVariables", {"getVariableData": [asked(one) for one in wanted]})
    results = answer["getVariableResult"]
    assert {one["attributeStatus"] for one in results} == {"Accepted"}
    return {address: one.get("attributeValue", "") for address, one in zip(wanted, results, strict=True)}


async def value(station: StationSession, address: Address) -> str:
    return (await values(station, [address]))[address]


async def reaches(station: StationSession, wanted: Mapping[Address, str]) -> None:
    """Wait until the Actuals are those."""
    found: dict[Address, str] = {}

    async def there() -> bool:
        found.update(await values(station, wanted))
        return found == wanted

    try:
        await until(there)
    except AssertionError:
        raise AssertionError({a: (found[a], wanted[a]) for a in wanted if found[a] != wanted[a]}) from None


async def set_one(station: StationSession, address: Address, text: str, kind: str = "Actual") -> dict[str, Any]:
    """What SetVariables makes of one attribute."""
    data = {**asked(address, kind), "attributeValue": text}
    answer = await station.call("SetVariables", {"setVariableData": [data]})
    result: dict[str, Any] = answer["setVariableResult"][0]
    return result


async def report(station: StationSession, action: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """The reportData of the whole report that `action` asks for; its parts are numbered as they must be."""
    since = station.last
    answer = await station.call(action, payload)
    assert answer["status"] == "Accepted", answer
    of_this = lambda p: p["requestId"] == payload["requestId"]  # noqa: E731
    await station.wait_for("NotifyReport", lambda p: of_this(p) and not p.get("tbc", False), since, PATIENCE)
    parts = [m.payload for m in station.calls("NotifyReport", since) if of_this(m.payload)]
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert [part.get("tbc", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    return [data for part in parts for data in part["reportData"]]


def address_of(data: Mapping[str, Any]) -> Address:
    """Where a reportData, or a result, belongs."""
    component, variable = data["component"], data["variable"]
    place = component["name"] + (f"[{component['instance']}]" if "instance" in component else "")
    evse = component.get("evse")
    if evse is not None:
        place += f"@{evse['id']}" + (f",{evse['connectorId']}" if "connectorId" in evse else "")
    return place, variable["name"] + (f"[{variable['instance']}]" if "instance" in variable else "")
