"""Each Modbus profile against a device that holds the words its maker documents, over a real wire."""

import struct
from collections.abc import Mapping

import pytest
from pymodbus.client import AsyncModbusTcpClient

from agent.board.spec import ROLES
from drivers import Quality
from drivers.settings import ProfileDevice, points_of
from tests.drivers.modbus_parts import (
    PROFILES,
    Sunk,
    device,
    load_profile,
    make_bus,
    rtu,
    rtu_server,
    running,
    tcp,
    tcp_server,
)


def floats(values: Mapping[int, float]) -> dict[int, int]:
    words = {}
    for at, value in values.items():
        words[at], words[at + 1] = struct.unpack(">HH", struct.pack(">f", value))
    return words


def low_word_first(values: Mapping[int, int]) -> dict[int, int]:
    words = {}
    for at, value in values.items():
        words[at + 1], words[at] = struct.unpack(">HH", struct.pack(">i", value))
    return words


# name → (table, the words at the addresses that the maker publishes, what they mean in base units)
METERS: dict[str, tuple[str, dict[int, int], dict[str, float]]] = {
    "eastron-sdm630": (
        "input",
        floats(
            {0: 230.1, 2: 231.2, 4: 229.3, 6: 16.01, 8: 15.9, 10: 16.2, 12: 3680.5, 14: 3670, 16: 3700.25}
            | {52: 11050.75, 70: 49.98, 72: 1234.567, 74: 0.5}
        ),
        {
            "voltage_l1": 230.1,
            "voltage_l2": 231.2,
            "voltage_l3": 229.3,
            "current_l1": 16.01,
            "current_l2": 15.9,
            "current_l3": 16.2,
            "power_l1": 3680.5,
            "power_l2": 3670.0,
            "power_l3": 3700.25,
            "power": 11050.75,
            "frequency": 49.98,
            "energy_import": 1234567.0,
            "energy_export": 500.0,
        },
    ),
    "eastron-sdm230": (
        "input",
        floats({0: 230.1, 6: 10.05, 12: 2311.5, 70: 50.01, 72: 99.125, 74: 0}),
        {
            "voltage_l1": 230.1,
            "current_l1": 10.05,
            "power_l1": 2311.5,
            "power": 2311.5,
            "frequency": 50.01,
            "energy_import": 99125.0,
            "energy_export": 0.0,
        },
    ),
    "carlo-gavazzi-em24": (
        "holding",
        low_word_first(
            {0x00: 2301, 0x02: 2312, 0x04: 2293, 0x0C: 16010, 0x0E: 15900, 0x10: 70000}
            | {0x12: 36805, 0x14: -36700, 0x16: 161000, 0x28: 161105, 0x34: 12345678, 0x4E: 5}
        )
        | {0x33: 499},
        {
            "voltage_l1": 230.1,
            "voltage_l2": 231.2,
            "voltage_l3": 229.3,
            "current_l1": 16.01,
            "current_l2": 15.9,
            "current_l3": 70.0,
            "power_l1": 3680.5,
            "power_l2": -3670.0,
            "power_l3": 16100.0,
            "power": 16110.5,
            "frequency": 49.9,
            "energy_import": 1234567800,
            "energy_export": 500,
        },
    ),
    "abb-b23": (
        "holding",
        {0x5000: 0, 0x5001: 1, 0x5002: 0xE240, 0x5003: 0x0001}  # 0x00000001E2400001 × 0.01 kWh
        | {0x5004: 0xFFFF, 0x5005: 0xFFFF, 0x5006: 0xFFFF, 0x5007: 0xFFFF}
        | {0x5B00: 0, 0x5B01: 2301, 0x5B02: 0, 0x5B03: 2312, 0x5B04: 0, 0x5B05: 2293}
        | {0x5B0C: 0, 0x5B0D: 1601, 0x5B0E: 0, 0x5B0F: 1590, 0x5B10: 0, 0x5B11: 1620}
        | {0x5B14: 0xFFFF, 0x5B15: 0xFF9C, 0x5B16: 0x0005, 0x5B17: 0x9DB2}  # -100, 368050
        | {0x5B18: 0, 0x5B19: 5, 0x5B1A: 0x7FFF, 0x5B1B: 0xFFFF, 0x5B2C: 4998},
        {
            "energy_import": 80908124170,
            "voltage_l1": 230.1,
            "voltage_l2": 231.2,
            "voltage_l3": 229.3,
            "current_l1": 16.01,
            "current_l2": 15.9,
            "current_l3": 16.2,
            "power": -1.0,
            "power_l1": 3680.5,
            "power_l2": 0.05,
            "frequency": 49.98,
        },
    ),
    "sunspec-meter": (
        "holding",
        {40069: 203, 40070: 105, 40071: 4811, 40072: 1601, 40073: 1590, 40074: 1620, 40075: 0xFFFE}  # 10^-2
        | {40077: 2301, 40078: 2312, 40079: 0x8000, 40084: 0xFFFF, 40085: 4998, 40086: 0xFFFE}
        | {40087: 1105, 40088: 0xFF9C, 40089: 367, 40090: 370, 40091: 1}  # 10^1
        | {40107: 0, 40108: 5, 40115: 0x0012, 40116: 0xD687, 40123: 0},
        {
            "current_l1": 16.01,
            "current_l2": 15.9,
            "current_l3": 16.2,
            "voltage_l1": 230.1,
            "voltage_l2": 231.2,
            "frequency": 49.98,
            "power": 11050,
            "power_l1": -1000,
            "power_l2": 3670,
            "power_l3": 3700,
            "energy_export": 5,
            "energy_import": 1234567,
        },
    ),
}
NOT_AVAILABLE = {"abb-b23": {"energy_export", "power_l3"}, "sunspec-meter": {"voltage_l3"}}
UNITS = {"voltage": "V", "current": "A", "power": "W", "energy": "Wh", "frequency": "Hz"}


async def check_meter(name: str, bus_settings: object) -> None:
    _, _, expected = METERS[name]
    profile = load_profile(name)
    sink = Sunk()
    bus = make_bus(bus_settings, {"meter": (7, profile)})  # type: ignore[arg-type]
    async with running(bus, sink):
        await sink.until(lambda: len(sink.last) == len(profile.points))
    good = {p: r for (_, p, r) in sink.log if r.quality is Quality.GOOD}
    assert {p: r.value for p, r in good.items()} == expected
    assert {p: repr(r.value) for p, r in good.items()} == {p: repr(v) for p, v in expected.items()}
    assert {p: r.unit for p, r in good.items()} == {p: UNITS[p.split("_")[0]] for p in expected}
    bad = {p for (_, p, r) in sink.log if r.quality is Quality.BAD and r.reason == "not available"}
    assert bad == NOT_AVAILABLE.get(name, set())


@pytest.mark.parametrize("name", METERS)
async def test_a_meter_on_modbus_tcp_reads_as_its_maker_documents(name: str) -> None:
    table, words, _ = METERS[name]
    async with tcp_server(device(7, **{table: words})) as port:
        await check_meter(name, tcp(port))


@pytest.mark.parametrize("name", ["eastron-sdm630", "eastron-sdm230", "abb-b23"])
async def test_a_meter_on_modbus_rtu_reads_as_its_maker_documents(name: str) -> None:
    table, words, _ = METERS[name]
    async with rtu_server(device(7, **{table: words})) as port:
        await check_meter(name, rtu(port, timeout="1s", quiet="10ms"))


async def test_the_relay_module_switches_its_relays_and_shows_its_inputs_on_rtu() -> None:
    inputs = [True, False, False, True, False, False, False, True]
    relays = device(1, coils=[False, True] + [False] * 6, discrete=inputs)
    async with rtu_server(relays) as port:
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="1s", quiet="10ms"), {"io": (1, load_profile("waveshare-relay-8ch"))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 16)
            assert [sink.last[f"io.input_{n}"].value for n in range(1, 9)] == inputs
            assert [sink.last[f"io.relay_{n}"].value for n in (1, 2, 3)] == [False, True, False]
            await bus.write("io", "relay_3", True)
            await bus.write("io", "relay_2", False)
            assert (await bus.read("io", "relay_3")).value is True
            assert (await bus.read("io", "relay_2")).value is False
            assert (await bus.read("io", "relay_1")).value is False


async def test_the_fan_controller_takes_its_duty_and_tells_its_speed() -> None:
    async with rtu_server(device(3, input={0: 1002}, holding={0: 250})) as port:
        sink = Sunk()
        bus = make_bus(rtu(port, timeout="1s", quiet="10ms"), {"fan": (3, load_profile("fan-controller"))})
        async with running(bus, sink):
            await sink.until(lambda: len(sink.last) == 2)
            assert (sink.last["fan.rpm"].value, sink.last["fan.rpm"].unit) == (1002, "RPM")
            assert sink.last["fan.duty"].value == 0.25
            await bus.write("fan", "duty", 0.4567)
            assert (await bus.read("fan", "duty")).value == 0.457


# name → (the words of its holding registers, what they mean once it is armed)
CONTROLLERS: dict[str, tuple[dict[int, int], dict[str, object]]] = {
    "iec61851-controller": (
        {0: 3, 1: 0b101, 2: 32, 3: 0, 16: 1600, 17: 0, 18: 0, 19: 0},
        {"pilot": "C", "plugged": True, "contactor_closed": False, "locked": True, "cable_current": 32, "fault": 0}
        | {"offered_current": 16},
    ),
    "phoenix-contact-ev-cc-ac1": (
        {24000: 0x4232, 24001: 20, 24003: 6, 24025: 2048, 22000: 13, 4000: 1, 4002: 3},
        {"pilot": "B", "cable_current": 20, "pilot_current": 6, "fault": 2048, "offered_current": 13}
        | {"release_by": 3, "lock_by": 3},
    ),
    "phoenix-contact-charx": (
        {1293: 0x0800, 1294: 2, 1297: 10, 1298: 32, 1299: 0x4332, 1300: 1, 1301: 10, 1303: 0, 1306: 16, 1307: 65535}
        | {1232: 3, 1233: 0x82D4, 1234: 3, 1235: 0x82D5, 1236: 3, 1237: 0x82D6}  # 230100, 230101, 230102 mV
        | {1238: 0, 1239: 16010, 1240: 0xFFFF, 1241: 0xFFFF, 1242: 0, 1243: 0, 1244: 0x0038, 1245: 0x360C}
        | {1250: 0, 1251: 0, 1252: 0x12, 1253: 0xD687},
        {"pilot": "C", "cable_current": 32, "pilot_current": 10, "fault": 0x0800, "warnings": 2}
        | {"offered_current": 10, "voltage_l1": 230.1, "voltage_l2": 230.101, "voltage_l3": 230.102}
        | {"current_l1": 16.01, "current_l3": 0, "power": 3683.852, "energy_import": 1234567},
    ),
}
NOT_THERE = {"phoenix-contact-charx": {"current_l2"}}


@pytest.mark.parametrize("name", CONTROLLERS)
async def test_a_charge_controller_reads_as_its_maker_documents(name: str) -> None:
    words, expected = CONTROLLERS[name]
    profile = load_profile(name)
    async with tcp_server(device(7, holding=words, coils=[False] * 20100)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"car": (7, profile)})
        async with running(bus, sink):
            await sink.until(lambda: {p for _, p, _ in sink.log} == set(expected) | NOT_THERE.get(name, set()))
    assert {p: r.value for _, p, r in sink.log if r.quality is Quality.GOOD} == expected
    for role, kind in points_of(ProfileDevice(bus="b", profile=name), {name: profile}).items():
        if role in ROLES:
            assert (kind.kind, kind.unit) == (ROLES[role].kind, ROLES[role].unit)
            assert kind.writable if ROLES[role].written else kind.readable
    assert {"pilot", "offered_current", "enable"} <= set(profile.points)


@pytest.mark.parametrize(
    ("name", "held", "told"),
    [
        ("iec61851-controller", {16: 1600, 17: 10, 18: 0}, {"offered_current": 16}),
        ("phoenix-contact-ev-cc-ac1", {22000: 15, 4000: 3, 4002: 3}, {"offered_current": 15.9}),
        ("phoenix-contact-charx", {1300: 1, 1301: 15, 1306: 6, 1307: 10}, {"offered_current": 15.9}),
    ],
)
async def test_a_charge_controller_is_armed_and_then_commanded(
    name: str, held: dict[int, int], told: dict[str, float]
) -> None:
    words, _ = CONTROLLERS[name]
    profile = load_profile(name)
    coils = name != "phoenix-contact-charx"
    async with tcp_server(device(7, holding=words, coils=[False] * 20100)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"car": (7, profile)})
        async with running(bus, sink):
            await sink.until(lambda: sink.good("car.pilot"))
            for point, value in told.items():
                await bus.write("car", point, value)
            await bus.write("car", "enable", True)
            await bus.write("car", "lock", True)
        peer = AsyncModbusTcpClient("127.0.0.1", port=port)
        await peer.connect()
        for at, value in held.items():
            assert (await peer.read_holding_registers(at, device_id=7)).registers == [value], at
        if coils:
            for role in ("enable", "lock"):
                coil = await peer.read_coils(profile.points[role].at, count=1, device_id=7)
                assert coil.bits[0] is True
        else:
            assert (await peer.read_holding_registers(1303, device_id=7)).registers == [1]
        peer.close()


@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        ("carlo-gavazzi-em24", {0x000B: 1651}, 1651),
        ("abb-b23", {0x8960: 0x4232, 0x8961: 0x3320}, 0x42323320),
        ("sunspec-meter", {40069: 203}, 203),
    ],
)
async def test_a_meter_says_what_it_is(name: str, words: dict[int, int], found: int) -> None:
    profile = load_profile(name)
    assert profile.identity is not None
    async with tcp_server(device(7, holding=words)) as port:
        sink = Sunk()
        bus = make_bus(tcp(port), {"meter": (7, profile)})
        async with running(bus, sink):
            await sink.until(lambda: bool(sink.last))
            assert await bus.identity("meter") == found
    assert found in profile.identity.equals


def test_every_modbus_profile_names_its_source_and_can_be_planned() -> None:
    names = [path.stem for path in PROFILES.glob("*.yaml") if "kind: modbus" in path.read_text()]
    assert set(METERS) | set(CONTROLLERS) | {"waveshare-relay-8ch", "fan-controller"} <= set(names)
    for name in names:
        make_bus(tcp(502), {"device": (1, load_profile(name))})
        assert load_profile(name).source
