"""The API as programs outside this repository use it: a bench in a process of its own, over real HTTP."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.bench.parts import PATIENCE, request

ROOT = Path(__file__).parents[2]
Api = Callable[..., tuple[int, Any]]


def start(*arguments: str, errors: int | None = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agent", "bench", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
    )


def control_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("bench ready control=http://127.0.0.1:")
    return line.strip().partition("control=")[2]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = start("bench-ac", "--control", "127.0.0.1:0", "--state-dir", str(tmp_path_factory.mktemp("state")))
    try:
        yield control_of(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def api(control: str) -> Api:
    return lambda method, path, body=None: request(control + path, method, body)


def wait_until(question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pid_of(api: Api) -> int | None:
    return api("GET", "/bench")[1]["agent"]["pid"]


def test_the_world_is_shown_in_the_agreed_shape(api: Api) -> None:
    status, world = api("GET", "/bench")
    assert status == 200
    assert list(world) == ["power", "network", "time", "agent", "evse", "device", "ems", "grid"]
    assert (world["power"], world["network"]) == ("on", "up")
    assert world["time"].endswith("Z")
    assert isinstance(world["agent"]["pid"], int)
    assert {evse: set(told["connector"]) for evse, told in world["evse"].items()} == {"1": {"1", "2"}, "2": {"1"}}
    assert world["evse"]["1"]["bay"] == {"occupied": False}
    assert world["evse"]["1"]["connector"]["1"] == {
        "plugged": False,
        "ev": None,
        "pilot": "A",
        "locked": False,
        "jammed": False,
        "contactor": False,
        "offered_a": 0.0,
        "current_a": [0.0, 0.0, 0.0],
        "power_w": 0.0,
    }
    assert world["device"]["fan"] == {
        "fault": "none",
        "point": {"rpm": {"value": 0.0, "held": False}, "duty": {"value": 0.0, "held": False}},
    }
    assert world["ems"] == {"modbus": {"limit_w": None}, "mqtt": {"limit_w": None}, "relay": {"limit_w": None}}
    assert world["grid"] == {"import_w": 0.0, "phases": [0.0, 0.0, 0.0]}


CONTROLLER = ("pilot", "plugged", "contactor_closed", "locked", "cable_current", "fault", "offered_current")
POINTS = {
    "fan": {"rpm", "duty"},
    "fan-2": {"rpm", "duty"},
    "rcd-1": {"tripped", "test"},
    "rcd-2": {"tripped", "test"},
    "meter-1": {*(f"{kind}_l{n}" for kind in ("voltage", "current") for n in (1, 2, 3)), "power", "energy_import"},
    "meter-2": {*(f"{kind}_l{n}" for kind in ("voltage", "current") for n in (1, 2, 3)), "power", "energy_import"},
    "grid-meter": {"power_import", "energy_import", "current_l1", "current_l2", "current_l3"},
    "cabinet": {"temperature"},
    "charger-1-1": {*CONTROLLER},
    "charger-1-2": {*CONTROLLER},
    "charger-2-1": {*CONTROLLER},
    "buttons": {"stop_1", "stop_2", "emergency_stop"},
    "bays": {"occupied_1", "occupied_2"},
    "reader": {"token", "token_type"},
    "reader-1": {"token", "token_type"},
    "reader-2": {"token", "token_type"},
}


def test_every_device_has_the_agreed_points(api: Api) -> None:
    devices = api("GET", "/bench")[1]["device"]
    for device, points in POINTS.items():
        assert points <= devices[device]["point"].keys()


def test_a_point_is_held_and_given_back(api: Api) -> None:
    path = "/bench/device/fan/point/rpm"
    assert api("POST", path, {"value": 502}) == (200, {"value": 502.0, "held": True})
    time.sleep(0.3)
    assert api("GET", "/bench")[1]["device"]["fan"]["point"]["rpm"] == {"value": 502.0, "held": True}
    status, answer = api("DELETE", path)
    assert (status, answer["held"]) == (200, False)


def test_a_boolean_point_is_held(api: Api) -> None:
    path = "/bench/device/rcd-1/point/tripped"
    assert api("POST", path, {"value": True}) == (200, {"value": True, "held": True})
    assert api("DELETE", path) == (200, {"value": False, "held": False})


def test_a_fault_is_shown_logged_and_healed(api: Api) -> None:
    since = api("GET", "/bench/log")[1]["next"]
    assert api("POST", "/bench/device/meter-2/fault", {"kind": "slow"})[1]["fault"] == "slow"
    assert api("POST", "/bench/device/meter-2/fault", {"kind": "none"})[1]["fault"] == "none"
    faults = [e for e in api("GET", f"/bench/log?since={since}")[1]["entries"] if e["what"] == "fault"]
    assert [(e["device"], e["kind"]) for e in faults] == [("meter-2", "slow"), ("meter-2", "none")]


@pytest.mark.parametrize("device", POINTS)
@pytest.mark.parametrize("kind", ["offline", "garbage", "slow", "exception"])
def test_every_wire_takes_the_faults_that_it_can_have(api: Api, device: str, kind: str) -> None:
    has_protocol_errors = device in ("fan", "meter-1", "meter-2") or "charger" in device
    status, answer = api("POST", f"/bench/device/{device}/fault", {"kind": kind})
    assert status == (422 if kind == "exception" and not has_protocol_errors else 200)
    assert "error" in answer if status == 422 else answer["fault"] == kind
    assert api("POST", f"/bench/device/{device}/fault", {"kind": "none"})[0] == 200


def test_what_the_building_draws_is_what_the_grid_meter_sees(api: Api) -> None:
    body = {"import_w": 9000, "phases": [2000, 3000, 4000]}
    assert api("POST", "/bench/grid", body) == (200, {"import_w": 9000.0, "phases": [2000.0, 3000.0, 4000.0]})
    points = api("GET", "/bench")[1]["device"]["grid-meter"]["point"]
    assert points["power_import"]["value"] == 9000.0
    assert api("POST", "/bench/grid", {"import_w": 300}) == (200, {"import_w": 300.0, "phases": [100.0] * 3})
    assert api("POST", "/bench/grid", {"phases": [0, 0, 0]})[0] == 200


def test_a_car_comes_to_the_fixed_cable_and_goes(api: Api) -> None:
    place = "/bench/evse/1/connector/2"
    status, answer = api("POST", f"{place}/plug", {"ev": {"soc": 55, "ready": False}})
    assert (status, answer["plugged"], answer["pilot"], answer["ev"]["soc"]) == (200, True, "B", 55)
    assert api("POST", f"{place}/plug")[0] == 409
    assert api("GET", "/bench")[1]["evse"]["1"]["connector"]["2"] == answer
    assert api("POST", f"{place}/ev", {"ready": "yes"})[0] == 422
    assert api("POST", f"{place}/unplug", {"side": "station"})[1]["plugged"] is False
    assert api("POST", f"{place}/unplug")[0] == 409


def test_a_swipe_a_button_and_a_bay(api: Api) -> None:
    assert api("POST", "/bench/evse/0/token", {"idToken": "04A1"})[1]["point"]["token"]["value"] == "04A1"
    assert api("POST", "/bench/evse/1/stop-button", {}) == (200, {"value": True, "held": False})
    assert api("POST", "/bench/evse/2/bay", {"occupied": True}) == (200, {"occupied": True})
    assert api("GET", "/bench")[1]["evse"]["2"]["bay"] == {"occupied": True}
    assert api("POST", "/bench/evse/2/bay", {"occupied": False})[0] == 200


def test_the_log_goes_on_where_the_last_answer_ended(api: Api) -> None:
    first = api("GET", "/bench/log?since=0")[1]
    assert first["entries"][0]["n"] == 1
    assert first["next"] == first["entries"][-1]["n"] + 1
    for entry in first["entries"]:
        assert {"n", "t", "at", "what"} <= entry.keys()
        assert entry["at"].endswith("Z")
    api("POST", "/bench/network", {"state": "up"})
    then = api("GET", f"/bench/log?since={first['next']}")[1]["entries"]
    assert then[0]["n"] == first["next"]
    assert "network" in [entry["what"] for entry in then]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/bench/nothing"),
        ("POST", "/bench/device/fan/point/torque"),
        ("POST", "/bench/device/lamp/point/rpm"),
        ("DELETE", "/bench/device/lamp/point/rpm"),
        ("POST", "/bench/device/lamp/fault"),
        ("POST", "/bench/evse/9/connector/1/plug"),
    ],
)
def test_an_unknown_place_is_404_whatever_the_body(api: Api, method: str, path: str) -> None:
    for body in (None, {"value": 1}, b"{"):
        status, answer = api(method, path, body)
        if body == b"{" and status == 422:
            continue  # what is no JSON at all may be told first
        assert (status, list(answer)) == (404, ["error"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/bench/power", {"state": "half"}),
        ("/bench/power", {}),
        ("/bench/power", None),
        ("/bench/power", []),
        ("/bench/power", b"{state: off}"),
        ("/bench/power", b"\xff\xfe"),
        ("/bench/power", {"state": "off", "reason": "none"}),
        ("/bench/agent", {"state": ["kill"]}),
        ("/bench/network", {"state": None}),
        ("/bench/device/fan/point/rpm", {}),
        ("/bench/device/fan/point/rpm", {"value": None}),
        ("/bench/device/fan/point/rpm", {"value": "502"}),
        ("/bench/device/fan/point/rpm", {"value": True}),
        ("/bench/device/fan/point/rpm", b'{"value": NaN}'),
        ("/bench/device/fan/point/rpm", b'{"value": 1e999}'),
        ("/bench/device/fan/point/rpm", b'{"value": 1' + b"0" * 400 + b"}"),
        ("/bench/device/fan/point/rpm", {"value": 1, "unit": "RPM"}),
        ("/bench/device/rcd-1/point/tripped", {"value": 1}),
        ("/bench/device/fan/fault", {"kind": "fire"}),
        ("/bench/device/fan/fault", {"kind": 3}),
        ("/bench/grid", {}),
        ("/bench/grid", {"import_w": "9000"}),
        ("/bench/grid", {"phases": [1, 2]}),
        ("/bench/grid", {"phases": [1, 2, None]}),
        ("/bench/grid", {"import_w": 1000, "phases": [1000, 1000, 1000]}),
    ],
)
def test_a_bad_body_is_422_and_nothing_is_done(api: Api, path: str, body: Any) -> None:
    before = api("GET", "/bench")[1]
    status, answer = api("POST", path, body)
    assert (status, list(answer)) == (422, ["error"])
    after = api("GET", "/bench")[1]
    for part in ("power", "network", "grid", "agent"):
        assert after[part] == before[part]
    assert after["device"]["fan"]["point"]["rpm"]["held"] is False
    assert {told["fault"] for told in after["device"].values()} == {"none"}


def test_the_log_refuses_a_number_that_is_none(api: Api) -> None:
    assert api("GET", "/bench/log?since=x")[0] == 422


def test_a_method_that_a_place_does_not_take_is_refused(api: Api) -> None:
    assert api("GET", "/bench/power")[0] == 405


def test_a_connection_serves_many_requests_and_survives_bad_ones(control: str) -> None:
    parts = urlsplit(control)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    for body, status in (('{"state": "up"}', 200), ("nonsense", 422), ('{"state": "up"}', 200)):
        connection.request("POST", "/bench/network", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_a_request_that_is_no_http_is_refused_and_the_next_one_is_served(control: str, api: Api) -> None:
    parts = urlsplit(control)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", "/bench/network", "x", {"Content-Length": "99999999"})
    assert connection.getresponse().status == 413
    connection.close()
    assert api("GET", "/bench")[0] == 200


def test_power_off_kills_the_agent_and_on_starts_it_again(api: Api) -> None:
    pid = pid_of(api)
    assert pid is not None
    status, answer = api("POST", "/bench/power", {"state": "off"})
    assert (status, answer["power"]) == (200, "off")
    assert gone(pid)
    assert pid_of(api) is None
    assert api("POST", "/bench/agent", {"state": "kill"})[0] == 409
    time.sleep(1.0)
    assert pid_of(api) is None, "nothing restarts what has no power"
    assert api("POST", "/bench/power", {"state": "on"})[1]["power"] == "on"
    assert pid_of(api) not in (None, pid)


def test_power_cycle_leaves_the_power_on_with_a_new_agent(api: Api) -> None:
    pid = pid_of(api)
    since = api("GET", "/bench/log")[1]["next"]
    assert api("POST", "/bench/power", {"state": "cycle"})[1]["power"] == "on"
    assert pid_of(api) not in (None, pid)
    entries = api("GET", f"/bench/log?since={since}")[1]["entries"]
    assert [e["state"] for e in entries if e["what"] == "power"] == ["off", "on"]


def test_a_killed_agent_is_started_again_while_the_power_stays_on(api: Api) -> None:
    pid = pid_of(api)
    assert api("POST", "/bench/agent", {"state": "kill"})[0] == 200
    wait_until(lambda: pid_of(api) not in (None, pid))
    assert api("GET", "/bench")[1]["power"] == "on"


def test_a_hung_agent_is_killed_by_the_watchdog_and_started_again(api: Api) -> None:
    since = api("GET", "/bench/log")[1]["next"]
    assert api("POST", "/bench/power", {"state": "cycle"})[0] == 200
    # Controllers are armed before the agent is ready; that they get a command is later, and then the watchdog counts.
    wait_until(lambda: any(e.get("point") == "enable" for e in api("GET", f"/bench/log?since={since}")[1]["entries"]))
    pid = pid_of(api)
    assert api("POST", "/bench/agent", {"state": "hang"})[0] == 200
    wait_until(lambda: pid_of(api) not in (None, pid))
    assert pid is not None
    assert gone(pid)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench-ac", "--control", "0.0.0.0:0"], "loopback"),
        (["bench-ac", "--control", "127.0.0.1"], "HOST:PORT"),
        (["bench-acdc"], "bench-acdc"),
        (["bench-ac", "--control", "127.0.0.1:0", "--set", "TxCtrlr.Nothing=1"], "TxCtrlr.Nothing"),
        (["bench-ac", "--control", "127.0.0.1:0", "--set", "nonsense"], "nonsense"),
        (["bench-ac", "--control", "127.0.0.1:0", "--password", "short"], "password"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path: Path, arguments: list[str], said: str) -> None:
    process = start(*arguments, "--state-dir", str(tmp_path), errors=subprocess.PIPE)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert (out, said in errors) == ("", True), errors


def test_a_killed_bench_takes_its_agent_along(tmp_path: Path) -> None:
    process = start("bench-ac", "--control", "127.0.0.1:0", "--state-dir", str(tmp_path / "state"))
    control = control_of(process)
    pid = request(control + "/bench")[1]["agent"]["pid"]
    process.kill()
    process.wait()
    wait_until(lambda: gone(pid) or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
