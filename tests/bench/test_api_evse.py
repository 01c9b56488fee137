"""The API at the EVSEs: plug, unplug, ev, lock, token, stop-button, bay. The wires are real; no agent is on them."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from drivers.bench.api import Api
from drivers.bench.bench import Bench
from tests.bench.parts import until

ONE, FIXED, TWO = "/bench/evse/1/connector/1", "/bench/evse/1/connector/2", "/bench/evse/2/connector/1"
CHARGER = {ONE: "charger-1-1", FIXED: "charger-1-2", TWO: "charger-2-1"}
EV = {"ready": True, "max_current": 32, "phases": 3, "soc": 40, "capacity_wh": 60000, "max_power": None}

Ask = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A bench with its wires and without a station."""
    bench = Bench("bench-ac")
    await bench.rig.start()
    yield bench
    await bench.rig.stop()
    shutil.rmtree(bench.state_dir.parent)


@pytest.fixture
def ask(bench: Bench) -> Ask:
    api = Api(bench)
    return lambda method, path, body=None: api.handle(method, path, {}, body)


async def connector(ask: Ask, place: str) -> dict[str, Any]:
    _, world = await ask("GET", "/bench")
    _, _, _, evse, _, number = place.split("/")
    found: dict[str, Any] = world["evse"][evse]["connector"][number]
    return found


def charge(bench: Bench, place: str, amperes: float = 16.0, lock: bool = True) -> None:
    """What an agent writes to the controller."""
    for point, value in (("lock", lock), ("offered_current", amperes), ("enable", True)):
        bench.world.write(CHARGER[place], point, value)


# --- plug and unplug ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [ONE, FIXED, TWO])
async def test_a_car_is_plugged_in_and_out(ask: Ask, place: str) -> None:
    idle = await connector(ask, place)
    status, answer = await ask("POST", f"{place}/plug", {})
    assert (status, answer["plugged"], answer["pilot"], answer["ev"]) == (200, True, "B", EV)
    assert await connector(ask, place) == answer
    status, answer = await ask("POST", f"{place}/unplug")
    assert (status, answer) == (200, idle)


async def test_a_car_is_what_the_body_says(ask: Ask) -> None:
    told = {"ready": False, "max_current": 10, "phases": 1, "soc": 81.5, "capacity_wh": 20000, "max_power": 2300}
    assert (await ask("POST", f"{ONE}/plug", {"ev": told}))[1]["ev"] == told
    assert (await ask("POST", f"{TWO}/plug", {"ev": {"soc": 1, "overdraw": 1.3}}))[1]["ev"] == EV | {
        "soc": 1,
        "overdraw": 1.3,
    }


async def test_a_cable_may_carry_less(ask: Ask, bench: Bench) -> None:
    await ask("POST", f"{ONE}/plug", {"cable_current": 20})
    assert bench.world.point("charger-1-1", "cable_current").value == 20
    for wrong in (0, 16, "20", True, None, [20]):
        status, _ = await ask("POST", f"{TWO}/plug", {"cable_current": wrong})
        assert status == 422


async def test_a_car_charges_and_its_energy_is_the_meters(ask: Ask, bench: Bench) -> None:
    for place in (ONE, TWO):
        await ask("POST", f"{place}/plug", {"ev": {"capacity_wh": 1000, "phases": 2 if place == TWO else 3}})
        charge(bench, place)
    before = {meter: bench.world.point(meter, "energy_import").number for meter in ("meter-1", "meter-2")}
    bench.world.step(10)
    for _ in range(100):
        bench.world.step(0.7)
    for place, meter, phases in ((ONE, "meter-1", 3), (TWO, "meter-2", 2)):
        now = await connector(ask, place)
        assert (now["pilot"], now["contactor"], now["offered_a"]) == ("C", True, 16)
        assert now["power_w"] == pytest.approx(sum(now["current_a"]) * 230)
        assert sum(1 for current in now["current_a"] if current) == phases
        counted = bench.world.point(meter, "energy_import").number - before[meter]
        assert counted == pytest.approx(10 * (now["ev"]["soc"] - 40))
        assert bench.world.point(meter, "power").number == pytest.approx(now["power_w"])
        for phase in (1, 2, 3):
            current = bench.world.point(meter, f"current_l{phase}").number
            assert current == pytest.approx(now["current_a"][phase - 1], rel=0.01)


async def test_the_grid_meter_sees_all_cars_and_the_building(ask: Ask, bench: Bench) -> None:
    await ask("POST", "/bench/grid", {"import_w": 900})
    for place in (ONE, TWO):
        await ask("POST", f"{place}/plug")
        charge(bench, place, 10)
    for _ in range(50):
        bench.world.step(0.1)
    assert bench.world.point("grid-meter", "power_import").number == pytest.approx(900 + 2 * 6900)


async def test_a_locked_plug_leaves_at_the_car_and_comes_back(ask: Ask, bench: Bench) -> None:
    await ask("POST", f"{ONE}/plug", {"ev": {"soc": 50}})
    charge(bench, ONE)
    bench.world.step(2)
    status, answer = await ask("POST", f"{ONE}/unplug", {"side": "station"})
    assert (status, "locked" in answer["error"]) == (409, True)
    assert (await connector(ask, ONE))["contactor"]
    status, answer = await ask("POST", f"{ONE}/unplug", {"side": "ev"})
    assert status == 200
    assert (answer["plugged"], answer["ev"], answer["pilot"]) == (True, None, "A")
    assert (answer["contactor"], answer["locked"], answer["power_w"]) == (False, True, 0)
    assert (await ask("POST", f"{ONE}/unplug", {"side": "ev"}))[0] == 409
    status, answer = await ask("POST", f"{ONE}/plug")
    assert (status, answer["ev"]["soc"] >= 50) == (200, True)


async def test_the_fixed_cable_leaves_the_car_at_either_side(ask: Ask, bench: Bench) -> None:
    for side in ("station", "ev"):
        await ask("POST", f"{FIXED}/plug")
        charge(bench, FIXED)
        bench.world.step(2)
        status, answer = await ask("POST", f"{FIXED}/unplug", {"side": side})
        assert (status, answer["plugged"], answer["contactor"]) == (200, False, False)


async def test_what_is_in_the_way_is_409(ask: Ask) -> None:
    assert (await ask("POST", f"{ONE}/unplug"))[0] == 409
    assert (await ask("POST", f"{ONE}/unplug", {"side": "ev"}))[0] == 409
    assert (await ask("POST", f"{ONE}/ev", {"ready": True}))[0] == 409
    assert (await ask("POST", f"{ONE}/plug"))[0] == 200
    assert (await ask("POST", f"{ONE}/plug", {"ev": {"soc": 1}}))[0] == 409
    assert (await connector(ask, ONE))["ev"]["soc"] == 40


# --- the EV and the lock --------------------------------------------------------------------------------------------


async def test_the_ev_changes_its_mind(ask: Ask, bench: Bench) -> None:
    await ask("POST", f"{ONE}/plug")
    charge(bench, ONE)
    bench.world.step(5)
    status, answer = await ask("POST", f"{ONE}/ev", {"max_current": 10})
    assert (status, answer["ev"]["max_current"]) == (200, 10)
    bench.world.step(5)
    assert (await connector(ask, ONE))["current_a"] == [10, 10, 10]
    for told in ({"ready": False}, {"ready": True, "soc": 100}):
        answer = (await ask("POST", f"{ONE}/ev", told))[1]
        assert (answer["pilot"], answer["contactor"], answer["power_w"]) == ("B", False, 0)
    assert (await ask("POST", f"{ONE}/ev", {"soc": 20}))[1]["contactor"]


async def test_a_jammed_lock_is_shown_and_does_not_move(ask: Ask, bench: Bench) -> None:
    assert (await ask("POST", f"{ONE}/lock", {"jammed": True}))[1]["jammed"] is True
    await ask("POST", f"{ONE}/plug")
    charge(bench, ONE)
    bench.world.step(5)
    assert (await connector(ask, ONE))["locked"] is False
    assert (await ask("POST", f"{ONE}/lock", {"jammed": False}))[1]["jammed"] is False
    bench.world.step(5)
    assert (await connector(ask, ONE))["locked"] is True


# --- the power ------------------------------------------------------------------------------------------------------


async def test_a_power_cut_opens_everything_and_takes_the_commands_but_not_the_cars(ask: Ask, bench: Bench) -> None:
    await ask("POST", f"{ONE}/plug")
    charge(bench, ONE)
    bench.world.step(5)
    bench.world.cut_power()
    now = await connector(ask, ONE)
    assert (now["plugged"], now["ev"]["max_current"]) == (True, 32)
    assert (now["contactor"], now["offered_a"], now["locked"], now["power_w"]) == (False, 0, False, 0)
    points = (await ask("GET", "/bench"))[1]["device"]["charger-1-1"]["point"]
    assert {name: points[name]["value"] for name in ("enable", "lock", "offered_current", "watchdog")} == {
        "enable": False,
        "lock": False,
        "offered_current": 0,
        "watchdog": 0,
    }
    bench.world.switch_on()
    bench.world.step(5)
    now = await connector(ask, ONE)
    assert (now["pilot"], now["contactor"], now["offered_a"]) == ("B", False, 0)


# --- tokens, buttons, bays ------------------------------------------------------------------------------------------


def heard(bench: Bench, bus: str) -> str:
    """What the reader on that bus has said since the last time."""
    fd = os.open(bench.rig.overlay["buses"][bus]["port"], os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.read(fd, 4096).decode(errors="replace")
    except BlockingIOError:
        return ""
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("evse", "bus", "body", "line"),
    [
        (0, "cards", {"idToken": "04A1B2C3D4E5F6"}, "ISO14443:04A1B2C3D4E5F6\r\n"),
        (1, "cards-1", {"idToken": "04A1", "type": "ISO15693"}, "ISO15693:04A1\r\n"),
        (2, "cards-2", {"idToken": "a b:ü", "type": "Local"}, "Local:a b:ü\r\n"),
        (2, "cards-2", {"idToken": "x" * 255}, f"ISO14443:{'x' * 255}\r\n"),
    ],
)
async def test_a_token_is_a_line_on_its_readers_wire(
    ask: Ask, bench: Bench, evse: int, bus: str, body: Any, line: str
) -> None:
    device = bus.replace("cards", "reader")
    status, answer = await ask("POST", f"/bench/evse/{evse}/token", body)
    assert (status, answer["point"]["token"]["value"]) == (200, body["idToken"])
    assert {name: heard(bench, name) for name in ("cards", "cards-1", "cards-2")} == {
        "cards": "",
        "cards-1": "",
        "cards-2": "",
        bus: line,
    }
    await until(lambda: bench.world.point(device, "token").value == "")


async def test_a_card_that_is_held_to_the_reader_is_said_again_and_again(ask: Ask, bench: Bench) -> None:
    await ask("POST", "/bench/device/reader-1/point/token", {"value": "04A1"})
    said: list[str] = []

    def twice() -> bool:
        said.append(heard(bench, "cards-1"))
        return "".join(said).count("ISO14443:04A1\r\n") >= 2

    await until(twice)
    await ask("DELETE", "/bench/device/reader-1/point/token")
    heard(bench, "cards-1")
    await asyncio.sleep(0.7)
    assert heard(bench, "cards-1") == ""


@pytest.mark.parametrize(("fault", "said"), [("offline", "nothing"), ("garbage", "noise"), ("slow", "later")])
async def test_a_faulty_reader_says_nothing_noise_or_later(ask: Ask, bench: Bench, fault: str, said: str) -> None:
    await ask("POST", "/bench/device/reader/fault", {"kind": fault})
    assert (await ask("POST", "/bench/evse/0/token", {"idToken": "04A1"}))[0] == 200
    at_once = heard(bench, "cards")
    assert "04A1" not in at_once
    assert (at_once != "") is (said == "noise")
    if said == "later":
        await until(lambda: heard(bench, "cards") == "ISO14443:04A1\r\n")


async def test_a_reader_without_a_supply_reads_nothing(ask: Ask, bench: Bench) -> None:
    bench.world.cut_power()
    assert (await ask("POST", "/bench/evse/1/token", {"idToken": "04A1"}))[0] == 409
    assert bench.world.point("reader-1", "token").value == ""
    assert heard(bench, "cards-1") == ""


async def test_a_stop_button_is_pressed_and_springs_back(ask: Ask, bench: Bench) -> None:
    assert await ask("POST", "/bench/evse/2/stop-button", {}) == (200, {"value": True, "held": False})
    points = (await ask("GET", "/bench"))[1]["device"]["buttons"]["point"]
    assert {name: point["value"] for name, point in points.items()} == {
        "stop_1": False,
        "stop_2": True,
        "emergency_stop": False,
    }
    await until(lambda: bench.world.point("buttons", "stop_2").value is False)


async def test_a_bay_is_occupied_until_it_is_said_otherwise(ask: Ask, bench: Bench) -> None:
    assert await ask("POST", "/bench/evse/1/bay", {"occupied": True}) == (200, {"occupied": True})
    bench.world.step(60)
    _, world = await ask("GET", "/bench")
    assert [world["evse"][evse]["bay"]["occupied"] for evse in ("1", "2")] == [True, False]
    assert world["device"]["bays"]["point"]["occupied_1"]["value"] is True
    assert await ask("POST", "/bench/evse/1/bay", {"occupied": False}) == (200, {"occupied": False})


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/bench/evse/3/connector/1/plug",
        "/bench/evse/1/connector/3/plug",
        "/bench/evse/0/connector/1/plug",
        "/bench/evse/one/connector/1/plug",
        "/bench/evse/01/connector/1/plug",
        "/bench/evse/2/connector/2/unplug",
        "/bench/evse/2/connector/2/ev",
        "/bench/evse/2/connector/2/lock",
        "/bench/evse/1/connector/2/lock",
        "/bench/evse/3/token",
        "/bench/evse/-1/token",
        "/bench/evse/0/stop-button",
        "/bench/evse/3/stop-button",
        "/bench/evse/0/bay",
        "/bench/evse/3/bay",
        "/bench/evse/1/connector/1",
        "/bench/evse/1/connector/1/kick",
    ],
)
async def test_an_unknown_place_is_404_whatever_the_body(ask: Ask, path: str) -> None:
    for body in (None, {}, {"colour": "red"}, []):
        status, answer = await ask("POST", path, body)
        assert (status == 404 or body == [], list(answer)) == (True, ["error"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{ONE}/plug", {"car": {}}),
        (f"{ONE}/plug", {"ev": None}),
        (f"{ONE}/plug", {"ev": []}),
        (f"{ONE}/plug", {"ev": {"colour": "red"}}),
        (f"{ONE}/plug", {"ev": {"soc": "40"}}),
        (f"{ONE}/plug", {"ev": {"phases": 4}}),
        (f"{ONE}/plug", {"ready": True}),
        (f"{TWO}/unplug", {"side": "left"}),
        (f"{TWO}/unplug", {"side": None}),
        (f"{TWO}/unplug", {"side": "ev", "force": True}),
        (f"{TWO}/ev", None),
        (f"{TWO}/ev", {}),
        (f"{TWO}/ev", {"soc": 101}),
        (f"{TWO}/ev", {"soc": 50, "colour": "red"}),
        (f"{TWO}/ev", {"ev": {"soc": 50}}),
        (f"{TWO}/ev", {"ready": None}),
        (f"{ONE}/lock", {}),
        (f"{ONE}/lock", {"jammed": 1}),
        (f"{ONE}/lock", {"jammed": True, "locked": True}),
        ("/bench/evse/1/token", {}),
        ("/bench/evse/1/token", {"idToken": ""}),
        ("/bench/evse/1/token", {"idToken": 4}),
        ("/bench/evse/1/token", {"idToken": "x" * 256}),
        ("/bench/evse/1/token", {"idToken": "04\r\nA1"}),
        ("/bench/evse/1/token", {"idToken": "04\u2028A1"}),
        ("/bench/evse/1/token", {"idToken": "04A1", "type": "NoAuthorization"}),
        ("/bench/evse/1/token", {"idToken": "04A1", "type": None}),
        ("/bench/evse/1/token", {"idToken": "04A1", "type": ["Local"]}),
        ("/bench/evse/1/token", {"token": "04A1"}),
        ("/bench/evse/1/stop-button", {"for": 3}),
        ("/bench/evse/1/bay", {}),
        ("/bench/evse/1/bay", {"occupied": "yes"}),
        ("/bench/evse/1/bay", {"occupied": True, "by": "a bus"}),
    ],
)
async def test_a_bad_body_is_422_and_nothing_is_done(ask: Ask, bench: Bench, path: str, body: Any) -> None:
    await ask("POST", f"{TWO}/plug")
    before = (await ask("GET", "/bench"))[1]["evse"]
    status, answer = await ask("POST", path, body)
    assert (status, list(answer)) == (422, ["error"])
    world = (await ask("GET", "/bench"))[1]
    assert world["evse"] == before
    assert {world["device"][name]["point"]["token"]["value"] for name in ("reader", "reader-1", "reader-2")} == {""}
    assert not any(point["value"] for point in world["device"]["buttons"]["point"].values())


# --- the log --------------------------------------------------------------------------------------------------------


async def test_the_log_tells_what_became_of_a_charge(ask: Ask, bench: Bench) -> None:
    since = bench.world.log.next
    await ask("POST", f"{TWO}/plug")
    charge(bench, TWO)
    bench.world.step(2)
    await ask("POST", f"{TWO}/unplug", {"side": "ev"})
    seen = [entry for entry in bench.world.log.since(since) if entry["what"] != "write"]
    assert {(entry["evse"], entry["connector"]) for entry in seen} == {(2, 1)}
    assert [(entry["what"], entry["value"]) for entry in seen] == [
        ("pilot", "B"),
        ("pilot", "C"),
        ("offered", 16),
        ("contactor", True),
        ("lock", True),
        ("pilot", "A"),
        ("contactor", False),
        ("offered", 0),
    ]


async def test_signs_of_life_are_not_in_the_log(bench: Bench) -> None:
    since = bench.world.log.next
    for value in (1, 2, 1):
        bench.world.write("charger-1-1", "alive", value)
    bench.world.write("charger-1-1", "offered_current", 16.0)
    bench.world.write("charger-1-1", "offered_current", 16.0)
    assert [(entry["point"], entry["value"]) for entry in bench.world.log.since(since)] == [
        ("offered_current", 16.0)
    ] * 2
