"""The command `station-agent bench` as others start it: a process of its own, with a CSMS from outside."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import drivers
from drivers.bench.cli import add_arguments
from drivers.bench.csms import Csms, StationSession
from tests.bench.contract_parts import address_of, reaches, report, set_one, value
from tests.bench.parts import PASSWORD, PATIENCE, Control, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(drivers.__file__).parents[1]
FAN = ("AirCoolingSystem", "FanSpeed")


class Running:
    """A bench in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, control: Control, station: StationSession) -> None:
        self.process, self.control, self.station = process, control, station

    async def pid(self) -> int | None:
        pid: int | None = (await self.control("GET", "/bench"))["agent"]["pid"]
        return pid


@contextlib.asynccontextmanager
async def running(
    csms: Csms, state: Path, *arguments: str, board: str = "bench-ac", stop: signal.Signals = signal.SIGTERM
) -> AsyncIterator[Running]:
    """Started, ready; in the end stopped by `stop`, with exit code 0 and not a word more on standard output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "bench", board),
        *("--csms", csms.url, "--identity", "OUTSIDE-1", "--control", "127.0.0.1:0", "--state-dir", str(state)),
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("bench ready control=http://127.0.0.1:")
        yield Running(process, Control(line.strip().partition("control=")[2]), csms.station("OUTSIDE-1"))
        process.send_signal(stop)
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.read() == b""
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert csms.violations == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def csms() -> AsyncIterator[Csms]:
    async with Csms() as csms:
        yield csms


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(csms: Csms, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    quick = ("--set", "OCPPCommCtrlr.RetryBackOffWaitMinimum=1", "--set", "OCPPCommCtrlr.RetryBackOffRandomRange=1")
    async with running(csms, tmp_path_factory.mktemp("command") / "state", *quick) as bench:
        await bench.station.wait_for("BootNotification", timeout=PATIENCE)
        yield bench


async def log(bench: Running, since: int, what: str) -> list[dict[str, Any]]:
    entries = (await bench.control("GET", f"/bench/log?since={since}"))["entries"]
    return [entry for entry in entries if entry["what"] == what]


async def test_the_defaults_are_those_of_the_contract() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    told = parser.parse_args(["bench-ac"])
    assert (told.control, told.security_profile, told.csms, told.state_dir) == (("127.0.0.1", 9800), 1, None, None)


async def test_whatever_the_csms_may_write_can_be_set_from_the_start(csms: Csms, tmp_path: Path) -> None:
    """Every variable of the ConfigurationInventory with an Actual to write, in a station fresh from the factory."""
    async with running(csms, tmp_path / "first", stop=signal.SIGINT) as first:
        await first.station.wait_for("BootNotification", timeout=PATIENCE)
        wanted = {"requestId": 1, "reportBase": "ConfigurationInventory"}
        settable = {address_of(one): one for one in await report(first.station, "GetBaseReport", wanted)}
    texts: dict[tuple[str, str], str] = {}
    for address, data in settable.items():
        actual = next(a for a in data["variableAttribute"] if a["type"] == "Actual")
        if actual.get("mutability", "ReadWrite") != "ReadOnly":
            texts[address] = changed(data, actual.get("value", ""))
    assert len(texts) > 10
    texts["SecurityCtrlr", "BasicAuthPassword"] = "set-from-the-start"
    csms.passwords["OUTSIDE-1"] = "set-from-the-start"
    options = [part for (c, v), text in texts.items() for part in ("--set", f"{c}.{v}={text}")]
    since = csms.station("OUTSIDE-1").last
    async with running(csms, tmp_path / "second", *options) as second:
        await second.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
        del texts["SecurityCtrlr", "BasicAuthPassword"]
        texts["OCPPCommCtrlr", "HeartbeatInterval"] = "300"  # the CSMS named one when it accepted the boot
        await reaches(second.station, texts)
    del csms.passwords["OUTSIDE-1"]


def changed(data: dict[str, Any], old: str) -> str:
    """Another value that the variable may have."""
    characteristics = data["variableCharacteristics"]
    kind = characteristics["dataType"]
    if kind == "boolean":
        return "false" if old == "true" else "true"
    if kind == "integer":
        return str(int(old or 0) + 1)
    if kind == "decimal":
        return f"{float(old or 0) + 1:g}"
    if kind in ("MemberList", "OptionList"):
        return next((one for one in characteristics["valuesList"].split(",") if one != old), old)
    if kind == "SequenceList":
        return ",".join(reversed(characteristics["valuesList"].split(",")))
    return "a = b, c.d"


async def test_set_is_for_a_station_that_is_factory_fresh(csms: Csms, tmp_path: Path) -> None:
    address, option = ("SecurityCtrlr", "OrganizationName"), "securityctrlr.ORGANIZATIONNAME="
    for text in ("first", "second"):
        since = csms.station("OUTSIDE-1").last
        async with running(csms, tmp_path / "state", "--set", option + text) as bench:
            await bench.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
            assert await value(bench.station, address) == "first"


async def test_the_password_is_that_of_the_argument(csms: Csms, tmp_path: Path) -> None:
    csms.passwords["OUTSIDE-1"] = PASSWORD
    refusals, since = csms.refusals, csms.station("OUTSIDE-1").last
    async with running(csms, tmp_path / "state", "--password", PASSWORD) as bench:
        await bench.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    assert csms.refusals == refusals
    del csms.passwords["OUTSIDE-1"]


async def test_any_board_runs_by_the_path_of_its_file(csms: Csms, tmp_path: Path) -> None:
    since = csms.station("OUTSIDE-1").last
    async with running(csms, tmp_path / "state", board=str(ROOT / "boards" / "bench-battery.yaml")) as bench:
        await bench.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
        assert (await bench.control("GET", "/bench"))["evse"] == {}
        wanted = {"requestId": 2, "reportBase": "FullInventory"}
        inventory = await report(bench.station, "GetBaseReport", wanted)
        assert "ChargingStation" not in {one["component"]["name"] for one in inventory}


# --- power, agent --------------------------------------------------------------------------------------------------


async def test_power_takes_the_controllers_along_and_leaves_meters_and_the_world(bench: Running) -> None:
    control, station = bench.control, bench.station
    assert (await set_one(station, FAN, "500", "Target"))["attributeStatus"] == "Accepted"
    await until(lambda: turns_at(bench, 400), "a fan that turns")
    await control("POST", "/bench/device/meter-1/point/power", {"value": 3_600_000})
    await control("POST", "/bench/device/cabinet/fault", {"kind": "offline"})
    await control("POST", "/bench/device/meter-1/point/current_l1", {"value": 7.5})
    await control("POST", "/bench/grid", {"import_w": 600})
    await asyncio.sleep(1)
    await control("DELETE", "/bench/device/meter-1/point/power")
    since = station.last
    await control("POST", "/bench/power", {"state": "off"})
    off = await control("GET", "/bench")
    assert (off["power"], off["agent"]["pid"]) == ("off", None)
    fan = off["device"]["fan"]["point"]
    assert fan["duty"] == {"value": 0.0, "held": False}
    assert 0 < fan["rpm"]["value"] < 500, "it coasts"
    energy = off["device"]["meter-1"]["point"]["energy_import"]["value"]
    assert energy >= 500
    assert (await control("POST", "/bench/power", {"state": "off"}))["power"] == "off"
    await until(lambda: turns_below(bench, fan["rpm"]["value"] / 2), "a fan that runs down")
    await control("POST", "/bench/power", {"state": "on"})
    pid = await bench.pid()
    assert (await control("POST", "/bench/power", {"state": "on"}))["agent"]["pid"] == pid
    on = await control("GET", "/bench")
    assert on["device"]["cabinet"]["fault"] == "offline"
    assert on["device"]["meter-1"]["point"]["current_l1"] == {"value": 7.5, "held": True}
    assert on["device"]["meter-1"]["point"]["energy_import"]["value"] >= energy
    assert on["grid"]["import_w"] == 600
    boot = await station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    assert boot["reason"] == "PowerUp"
    await until(lambda: turns_at(bench, 400), "the fan at its Target again")
    await control("POST", "/bench/device/cabinet/fault", {"kind": "none"})
    await control("DELETE", "/bench/device/meter-1/point/current_l1")


async def turns_at(bench: Running, rpm: float) -> bool:
    return await speed(bench) >= rpm


async def turns_below(bench: Running, rpm: float) -> bool:
    return await speed(bench) < rpm


async def speed(bench: Running) -> float:
    rpm: float = (await bench.control("GET", "/bench"))["device"]["fan"]["point"]["rpm"]["value"]
    return rpm


async def test_an_agent_that_ends_by_itself_is_started_again_while_the_power_stays_on(bench: Running) -> None:
    pid, since, position = await bench.pid(), bench.station.last, await bench.control.position()
    assert (await bench.station.call("Reset", {"type": "Immediate"}))["status"] == "Accepted"
    boot = await bench.station.wait_for("BootNotification", since=since, timeout=PATIENCE)
    assert boot["reason"] == "RemoteReset"
    assert await bench.pid() not in (None, pid)
    assert await log(bench, position, "power") == []


async def test_a_network_that_is_down_stays_down_over_a_power_cut(bench: Running) -> None:
    since = bench.station.last
    await bench.control("POST", "/bench/network", {"state": "down"})
    await bench.control("POST", "/bench/power", {"state": "cycle"})
    assert (await bench.control("GET", "/bench"))["network"] == "down"
    await asyncio.sleep(2)
    assert bench.station.calls("BootNotification", since) == []
    await bench.control("POST", "/bench/network", {"state": "up"})
    await bench.station.wait_for("BootNotification", since=since, timeout=PATIENCE)


# --- log, points ---------------------------------------------------------------------------------------------------


async def test_each_write_is_in_the_log_also_one_that_repeats_the_old_value(bench: Running) -> None:
    await set_one(bench.station, FAN, "300", "Target")
    position = await bench.control.position()
    for _ in range(3):
        assert (await set_one(bench.station, FAN, "300", "Target"))["attributeStatus"] == "Accepted"
    writes = await log(bench, position, "write")
    mine = [w for w in writes if (w["device"], w["point"], w["value"]) == ("fan", "duty", 0.3)]
    assert len(mine) >= 3


async def test_the_logs_times_run_forward_in_both_clocks(bench: Running) -> None:
    entries = (await bench.control("GET", "/bench/log"))["entries"]
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    times = [e["t"] for e in entries]
    assert times == sorted(times)
    walls = [datetime.fromisoformat(e["at"]) for e in entries]
    assert all(wall.tzinfo is not None for wall in walls)
    kinds = {"write", "lock", "contactor", "offered", "pilot", "fault", "power", "network", "ems", "firmware"}
    assert {e["what"] for e in entries} <= kinds
    assert (await bench.control("GET", f"/bench/log?since={len(entries) + 99}"))["entries"] == []


async def test_a_point_is_read_with_the_resolution_of_its_wire(bench: Running) -> None:
    """Held as given; the wire carries what its register, its telegram or its file can."""
    held = {
        ("fan", "rpm", 321.4): (FAN, "321"),
        ("grid-meter", "power_import", 1234.4): (("ElectricalFeed", "Power"), "1234"),
        ("grid-meter", "current_l2", 7.126): (("ElectricalFeed", "ACCurrent[L2]"), "7.13"),
        ("grid-meter", "energy_import", 4711.4): (("ElectricalFeed", "EnergyImportRegister"), "4711"),
        ("cabinet", "temperature", 21.0624): (("TemperatureSensor", "Temperature"), "21.062"),
        ("meter-2", "current_l1", 0.25): (("FiscalMetering@2", "ACCurrent[L1]"), "0.25"),
    }
    for device, point, number in held:
        told = await bench.control("POST", f"/bench/device/{device}/point/{point}", {"value": number})
        assert told == {"value": number, "held": True}
    await reaches(bench.station, dict(held.values()))
    for device, point, _ in held:
        await bench.control("DELETE", f"/bench/device/{device}/point/{point}")


async def test_what_the_building_draws_is_in_the_device_model(bench: Running) -> None:
    await bench.control("POST", "/bench/grid", {"import_w": 9000, "phases": [2300, 2300, 4400]})
    await reaches(bench.station, {("ElectricalFeed", "Power"): "9000"})
    await bench.control("POST", "/bench/grid", {"import_w": 0})
    await reaches(bench.station, {("ElectricalFeed", "Power"): "0"})
