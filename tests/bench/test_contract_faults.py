"""Every device of bench-ac with every fault of its wire, and quantities at their extremes: never a wrong value."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.bench.contract_parts import Address, Stage, reaches, stage, values
from tests.bench.parts import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMPTY_WITHIN = 5.0
"""Seconds: max_age, which is 3 s, and two more."""

BACK_WITHIN = 10.0


@dataclass(frozen=True)
class Held:
    """A device, its component, and its points: their variable and two values that its wire carries exactly."""

    component: str
    points: dict[str, tuple[str, float | bool, float | bool]]


def _meter(evse: int, base: float) -> Held:
    names = [f"{kind}_l{n}" for kind in ("voltage", "current") for n in (1, 2, 3)]
    variables = [f"{kind}[L{n}]" for kind in ("ACVoltage", "ACCurrent") for n in (1, 2, 3)]
    points: dict[str, tuple[str, float | bool, float | bool]] = {
        name: (variable, base + i + 0.5, base + i + 20.25)
        for i, (name, variable) in enumerate(zip(names, variables, strict=True))
    }
    points["power"] = ("Power", base * 100, base * 100 + 7)
    points["energy_import"] = ("EnergyImportRegister", base * 1000, base * 1000 + 500)
    return Held(f"FiscalMetering@{evse}", points)


DEVICES = {
    "fan": Held("AirCoolingSystem", {"rpm": ("FanSpeed", 321, 432)}),
    "meter-1": _meter(1, 100),
    "meter-2": _meter(2, 200),
    "grid-meter": Held(
        "ElectricalFeed",
        {
            "power_import": ("Power", 5432, 6543),
            "energy_import": ("EnergyImportRegister", 1_234_567, 2_345_678),
            "current_l1": ("ACCurrent[L1]", 7.25, 17.25),
            "current_l2": ("ACCurrent[L2]", 8.25, 18.25),
            "current_l3": ("ACCurrent[L3]", 9.25, 19.25),
        },
    ),
    "cabinet": Held("TemperatureSensor", {"temperature": ("Temperature", 31.5, 42.125)}),
    "rcd-1": Held("RCD@1", {"tripped": ("Tripped", False, True)}),
    "rcd-2": Held("RCD@2", {"tripped": ("Tripped", True, False)}),
}
FAN_2: Address = ("AirCoolingSystem[2]", "FanSpeed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("faults")) as shared:
        await shared.registered()
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared: Stage) -> AsyncIterator[Stage]:
    """Every point held at its first value, which the model shows."""
    await hold(shared, 0, *DEVICES)
    await reaches(shared.station, {a: text for device in DEVICES for a, text in shown(device, 0).items()})
    yield shared
    await shared.control("POST", "/bench/device/fan-2/fault", {"kind": "none"})
    for device, held in DEVICES.items():
        await shared.control("POST", f"/bench/device/{device}/fault", {"kind": "none"})
        for point in held.points:
            await shared.control("DELETE", f"/bench/device/{device}/point/{point}")


async def hold(shared: Stage, which: int, *devices: str) -> None:
    for device in devices:
        for point, (_, *both) in DEVICES[device].points.items():
            await shared.control("POST", f"/bench/device/{device}/point/{point}", {"value": both[which]})


def text_of(number: float | bool) -> str:
    return str(number).lower() if isinstance(number, bool) else f"{number:g}" if number < 1e5 else str(int(number))


def shown(device: str, which: int) -> dict[Address, str]:
    held = DEVICES[device]
    return {(held.component, variable): text_of(both[which]) for variable, *both in held.points.values()}


def problem(device: str) -> Address:
    return DEVICES[device].component, "Problem"


ALL = [*(a for device in DEVICES for a in shown(device, 0)), *(problem(device) for device in DEVICES)]

# Two devices share the RS-485 line: one of them fails while the other must not suffer.
ROUNDS = {
    "offline": ("offline", ["meter-1", "meter-2", "grid-meter", "cabinet"]),
    "offline fan": ("offline", ["fan"]),
    "garbage": ("garbage", ["meter-1", "meter-2", "grid-meter", "cabinet", "rcd-1"]),
    "garbage fan": ("garbage", ["fan", "rcd-2"]),
    "slow": ("slow", ["meter-1", "meter-2", "grid-meter", "cabinet"]),
    "slow fan": ("slow", ["fan"]),
    "exception": ("exception", ["meter-1", "meter-2"]),
    "exception fan": ("exception", ["fan"]),
}


@pytest.mark.requirement("B06.FR.13")
@pytest.mark.parametrize(("kind", "faulty"), ROUNDS.values(), ids=ROUNDS)
async def test_a_fault_empties_its_own_values_and_no_others_and_heals(
    world: Stage, kind: str, faulty: list[str]
) -> None:
    station = world.station
    sound = {a: t for device in DEVICES if device not in faulty for a, t in shown(device, 0).items()}
    sound |= {problem(device): "false" for device in DEVICES if device not in faulty}
    before = {a: text for device in faulty for a, text in shown(device, 0).items()}
    after = {a: text for device in faulty for a, text in shown(device, 1).items()}
    empty = dict.fromkeys(before, "") | {problem(device): "true" for device in faulty}

    async def look(allowed: dict[Address, set[str]]) -> dict[Address, str]:
        found = await values(station, ALL)
        assert {a: found[a] for a in sound} == sound
        assert {a: found[a] for a, texts in allowed.items() if found[a] not in texts} == {}
        return found

    since, began = station.last, time.monotonic()
    for device in faulty:
        await world.control("POST", f"/bench/device/{device}/fault", {"kind": kind})
    missing = dict(empty)
    while missing:
        asked = time.monotonic()
        found = await look({a: {text, ""} for a, text in before.items()})
        missing = {a: text for a, text in missing.items() if found[a] != text}
        assert not missing or asked - began < EMPTY_WITHIN, {a: found[a] for a in missing}
        await asyncio.sleep(0.1)
    # What is true changes behind the fault: nothing of it may be seen, and nothing old after it. A smart meter that
    # is slow sends seldom, but then what is true.
    seldom = set(shown("grid-meter", 0)) if kind == "slow" else set()
    await hold(world, 1, *faulty)
    quiet_until = time.monotonic() + 1.5
    while time.monotonic() < quiet_until:
        await look({a: {"", text} if a in seldom else {""} for a, text in after.items()})
        await asyncio.sleep(0.1)
    healed = time.monotonic()
    for device in faulty:
        await world.control("POST", f"/bench/device/{device}/fault", {"kind": "none"})
    well = after | {problem(device): "false" for device in faulty}
    while True:
        asked = time.monotonic()
        found = await look({a: {text, ""} for a, text in after.items()})
        if {a: found[a] for a in well} == well:
            break
        assert asked - healed < BACK_WITHIN, {a: found[a] for a in well if found[a] != well[a]}
        await asyncio.sleep(0.1)
    for device in faulty:
        name, _, evse = DEVICES[device].component.partition("@")
        component = {"name": name, **({"evse": {"id": int(evse)}} if evse else {})}
        texts: list[str] = []

        def told(component: dict[str, Any] = component, texts: list[str] = texts) -> bool:
            events = [data for m in station.calls("NotifyEvent", since) for data in m.payload["eventData"]]
            problems = [e for e in events if e["component"] == component and e["variable"] == {"name": "Problem"}]
            texts[:] = [e["actualValue"] for e in problems]
            return texts[-1:] == ["false"]

        await until(told, f"events of {device}")
        assert texts == ["true", "false"] * (len(texts) // 2)
        assert len(texts) == 2 or seldom


@pytest.mark.parametrize("kind", ["garbage", "offline", "slow"])
async def test_a_tacho_with_a_fault_shows_no_speed_that_never_was(world: Stage, kind: str) -> None:
    station = world.station
    await world.control("POST", "/bench/device/fan-2/point/rpm", {"value": 600})
    await until(lambda: near(world, 600), "600 RPM")
    await world.control("POST", "/bench/device/fan-2/fault", {"kind": kind})
    ends = {"garbage": "", "offline": "0", "slow": None}[kind]  # slow: what was a while ago
    began = time.monotonic()
    while True:
        text = (await values(station, [FAN_2]))[FAN_2]
        if text == ends or (ends is None and time.monotonic() - began > 3):
            break
        assert text == "" or 0 <= float(text) < 800, text  # a few spikes among the last two seconds of pulses
        assert time.monotonic() - began < EMPTY_WITHIN, text
        await asyncio.sleep(0.1)
    await world.control("POST", "/bench/device/fan-2/fault", {"kind": "none"})
    await until(lambda: near(world, 600), "600 RPM again")
    await reaches(station, {(FAN_2[0], "Problem"): "false"})
    await world.control("DELETE", "/bench/device/fan-2/point/rpm")


async def near(world: Stage, rpm: float) -> bool:
    text = (await values(world.station, [FAN_2]))[FAN_2]
    return text != "" and abs(float(text) - rpm) <= max(2.0, rpm * 0.02)


@dataclass(frozen=True)
class Extreme:
    value: float
    shown: str


EXTREMES: dict[str, dict[str, list[Extreme]]] = {
    "fan": {
        # A register of 16 bits, unsigned: what does not fit stands at its end.
        "rpm": [
            Extreme(0, "0"),
            Extreme(1002, "1002"),
            Extreme(65535, "65535"),
            Extreme(-3, "0"),
            Extreme(1e9, "65535"),
        ]
    },
    "meter-1": {
        "voltage_l1": [Extreme(0, "0"), Extreme(400.5, "400.5")],
        "current_l1": [Extreme(0, "0"), Extreme(-32.5, "-32.5"), Extreme(65535, "65535")],
        "power": [Extreme(0, "0"), Extreme(-1e6, "-1000000"), Extreme(1e6, "1000000"), Extreme(2**24, "16777216")],
        "energy_import": [Extreme(0, "0"), Extreme(16_777_215_000, "16777215000")],
    },
    "meter-2": {
        "power": [Extreme(0, "0"), Extreme(-1e6, "-1000000"), Extreme(1e6, "1000000"), Extreme(-0.5, "-0.5")],
        "current_l3": [Extreme(-0.0, "0"), Extreme(-40.25, "-40.25")],
    },
    "grid-meter": {
        "power_import": [Extreme(0, "0"), Extreme(99_999, "99999"), Extreme(1e6, "1000000"), Extreme(3, "3")],
        "energy_import": [Extreme(0, "0"), Extreme(999_999_999, "999999999"), Extreme(1_000_001, "1000001")],
        "current_l1": [Extreme(0, "0"), Extreme(999.99, "999.99"), Extreme(0.01, "0.01")],
    },
    "cabinet": {"temperature": [Extreme(0, "0"), Extreme(-40.125, "-40.125"), Extreme(84.999, "84.999")]},
}


async def test_quantities_at_their_extremes_are_reported_as_measured(world: Stage) -> None:
    """All devices at once, one value of each point after the other."""
    longest = max(len(extremes) for points in EXTREMES.values() for extremes in points.values())
    for index in range(longest):
        wanted: dict[Address, str] = {}
        for device, points in EXTREMES.items():
            for point, extremes in points.items():
                if index < len(extremes):
                    body = {"value": extremes[index].value}
                    await world.control("POST", f"/bench/device/{device}/point/{point}", body)
                    wanted[DEVICES[device].component, DEVICES[device].points[point][0]] = extremes[index].shown
        await reaches(world.station, wanted)
    assert set((await values(world.station, [problem(d) for d in DEVICES])).values()) == {"false"}


@pytest.mark.parametrize("rpm", [0, 60, 1002, 3000])
async def test_a_tacho_is_read_from_standing_still_to_racing(world: Stage, rpm: float) -> None:
    await world.control("POST", "/bench/device/fan-2/point/rpm", {"value": rpm})
    await until(lambda: near(world, rpm), f"{rpm} RPM")
    await world.control("DELETE", "/bench/device/fan-2/point/rpm")


@pytest.mark.parametrize("celsius", [85, -127])
async def test_what_a_one_wire_chip_says_when_it_has_not_measured_is_no_temperature(
    world: Stage, celsius: float
) -> None:
    temperature: Address = ("TemperatureSensor", "Temperature")
    await world.control("POST", "/bench/device/cabinet/point/temperature", {"value": celsius})
    allowed = {"31.5", ""}

    async def empty() -> bool:
        text = (await values(world.station, [temperature]))[temperature]
        assert text in allowed
        return text == ""

    await until(empty)
    await reaches(world.station, {problem("cabinet"): "true"})
    await world.control("POST", "/bench/device/cabinet/point/temperature", {"value": 20})
    await reaches(world.station, {temperature: "20", problem("cabinet"): "false"})
