"""What block N needs beyond `parts`: monitors and their events, uploads of logs, and customers."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boards
from drivers.bench.csms import Payload
from tests.certification.parts import PATIENCE, Stand, standing, until
from tests.certification.parts2 import named

TEMPERATURE = named("TemperatureSensor", "Temperature")
"""Part 5's "threshold monitor component variable": a number without limits."""

SPEED = named("AirCoolingSystem", "FanSpeed")
"""A number of 0 to 1000."""

READ = 4.0
"""Seconds for a point that is held to be read, whatever else the wire is busy with."""

SEVERITY = 5
"""Of a monitor that says nothing else: alert."""


HARD_WIRED, HOT, STATE = 1, 2, 3
"""The ids of the maker's monitors: above 63 degrees, above 90 degrees, the state of EVSE 1."""

MONITORS = """
monitors:
  - {id: 1, variable: TemperatureSensor.Temperature, type: UpperThreshold, value: 63, severity: 2, hard_wired: true}
  - {id: 2, variable: TemperatureSensor.Temperature, type: UpperThreshold, value: 90, severity: 3}
  - {id: 3, variable: EVSE@1.AvailabilityState, type: Delta, severity: 6}
"""

EVSE_STATE = named("EVSE", "AvailabilityState", 1)


# --- monitors ----------------------------------------------------------------------------------------------------


def monitor(
    place: Mapping[str, Any], type: str = "UpperThreshold", value: float = 50, severity: int = SEVERITY, **more: Any
) -> dict[str, Any]:
    """SetMonitoringDataType."""
    return {**place, "type": type, "value": value, "severity": severity, **more}


MAKERS = {
    HARD_WIRED: monitor(TEMPERATURE, value=63, severity=2, transaction=False),
    HOT: monitor(TEMPERATURE, value=90, severity=3, transaction=False),
    STATE: monitor(EVSE_STATE, "Delta", 1, 6, transaction=False),
}
"""What `watching`'s station has without a CSMS, as a report tells of it."""


@contextlib.asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Stand]:
    """A stand whose station is bench-ac with `MAKERS`' monitors."""
    usual = (boards.FOLDER / "bench-ac.yaml").read_text(encoding="utf-8")
    assert "\nmonitors:" not in usual
    board = folder / "bench-ac.yaml"
    board.write_text(usual + MONITORS)
    async with standing(str(board), folder) as stand:
        yield stand


async def set_monitors(stand: Stand, *data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """SetVariableMonitoring; one result for each, in order, about what was asked (N04.FR.01, FR.02)."""
    answer = await stand.call("SetVariableMonitoring", {"setMonitoringData": list(data)})
    results: list[dict[str, Any]] = answer["setMonitoringResult"]
    for asked, result in zip(data, results, strict=True):
        for key in ("component", "variable", "type", "severity"):
            assert result[key] == asked[key]
        assert ("id" in result) is (result["status"] == "Accepted")
    return results


async def install(stand: Stand, *data: Mapping[str, Any]) -> list[int]:
    """Set monitors that must be accepted; their ids."""
    results = await set_monitors(stand, *data)
    assert {one["status"] for one in results} == {"Accepted"}, results
    return [one["id"] for one in results]


async def refused(stand: Stand, data: Mapping[str, Any]) -> tuple[str, str | None]:
    """Set a monitor that must not be accepted; its status and reason code. All monitors must stay as they are."""
    before = await reported(stand)
    [result] = await set_monitors(stand, data)
    assert result["status"] != "Accepted"
    assert await reported(stand) == before
    return result["status"], result.get("statusInfo", {}).get("reasonCode")


async def clear(stand: Stand, *ids: int) -> list[str]:
    """ClearVariableMonitoring; the status of each, in order (N06.FR.05)."""
    answer = await stand.call("ClearVariableMonitoring", {"id": list(ids)})
    results = answer["clearMonitoringResult"]
    assert [one["id"] for one in results] == list(ids)
    return [one["status"] for one in results]


async def base(stand: Stand, which: str) -> None:
    """SetMonitoringBase, which must be accepted and shown."""
    assert (await stand.call("SetMonitoringBase", {"monitoringBase": which}))["status"] == "Accepted"
    assert await stand.get("MonitoringCtrlr.ActiveMonitoringBase") == which


Monitors = dict[int, dict[str, Any]]
"""By id: what `monitor` makes, with transaction."""


async def reported(stand: Stand, *criteria: str, places: list[dict[str, Any]] | None = None) -> Monitors:
    """GetMonitoringReport, put together (N02.FR.04, FR.09); empty with EmptyResultSet (N02.FR.10)."""
    since = stand.station.last
    number = since + 1
    request: dict[str, Any] = {"requestId": number}
    if criteria:
        request["monitoringCriteria"] = list(criteria)
    if places:
        request["componentVariable"] = places
    answer = await stand.call("GetMonitoringReport", request)
    if answer["status"] == "EmptyResultSet":
        return {}
    assert answer["status"] == "Accepted", answer
    await stand.station.wait_for(
        "NotifyMonitoringReport", lambda told: not told.get("tbc", False), since, timeout=PATIENCE
    )
    parts = [one.payload for one in stand.station.calls("NotifyMonitoringReport", since)]
    assert {one["requestId"] for one in parts} == {number}
    assert [one["seqNo"] for one in parts] == list(range(len(parts)))
    found: Monitors = {}
    for one in (item for part in parts for item in part["monitor"]):
        place = {"component": one["component"], "variable": one["variable"]}
        for each in map(dict, one["variableMonitoring"]):
            id = each.pop("id")
            assert id not in found
            found[id] = {**place, **each}
    return found


# --- what they do ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def level(stand: Stand, degrees: float) -> AsyncIterator[None]:
    """The cabinet has that temperature meanwhile, and the station knows."""
    try:
        await warm(stand, degrees)
        yield
    finally:
        stand.bench.world.release("cabinet", "temperature")


async def warm(stand: Stand, degrees: float) -> None:
    """The cabinet has that temperature from now on, and the station knows. The end of `level` takes it back."""
    stand.bench.world.hold("cabinet", "temperature", degrees)

    deadline = time.monotonic() + READ
    while float(await stand.get("TemperatureSensor.Temperature")) != degrees:
        assert time.monotonic() < deadline, f"{degrees} degrees were never read"
        await asyncio.sleep(0.1)


def told(stand: Stand, id: int | None, since: int) -> list[dict[str, Any]]:
    """The eventData after message `since` that a monitor caused, or, with None, that none did."""
    payloads = [one.payload for one in stand.station.calls("NotifyEvent", since)]
    return [one for each in payloads for one in each["eventData"] if one.get("variableMonitoringId") == id]


async def events(stand: Stand, id: int | None, since: int, count: int = 1, seconds: float = PATIENCE) -> list[Any]:
    """Wait until a monitor caused so many, see `told`; the first message of each series must have seqNo 0."""
    await until(lambda: len(told(stand, id, since)) >= count, f"{count} events of monitor {id}", seconds)
    expected = 0
    for one in (message.payload for message in stand.station.calls("NotifyEvent", since)):
        assert one["seqNo"] == expected  # N07.FR.07
        expected = one["seqNo"] + 1 if one.get("tbc", False) else 0
    ids = [one["eventId"] for m in stand.station.calls("NotifyEvent", since) for one in m.payload["eventData"]]
    assert len(set(ids)) == len(ids)
    return told(stand, id, since)


def about(event: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says that can be known before."""
    unknown = ("eventId", "timestamp", "actualValue")
    return {key: value for key, value in event.items() if key not in unknown}


def custom(place: Mapping[str, Any], id: int, trigger: str = "Alerting", **more: Any) -> dict[str, Any]:
    """What `about` says of a custom monitor's event (N07.FR.06)."""
    kind = {"eventNotificationType": "CustomMonitor", "variableMonitoringId": id}
    return {**place, "trigger": trigger, **kind, **more}


# --- logs --------------------------------------------------------------------------------------------------------


class Depot:
    """A web server for logs: `got` are the paths and bodies that came; it answers `status`, slowly if `held`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.status = 201
        self.asked = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.port = 0

    def url(self, path: str = "/logs/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def depot() -> Iterator[Depot]:
    one = Depot()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_PUT(self) -> None:
            one.asked += 1
            status, body = one.status, self._body()
            with contextlib.suppress(OSError):  # the station may have given up
                if one.go_on.wait(20):
                    one.got.append((self.path, body))
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
            self.close_connection = True

        do_POST = do_PUT

        def _body(self) -> bytes:
            length = self.headers.get("Content-Length")
            if length is not None:
                return self.rfile.read(int(length))
            body = b""
            while size := int(self.rfile.readline() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        one.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield one
        finally:
            one.go_on.set()
            server.shutdown()


def log_request(number: int, url: str, kind: str = "DiagnosticsLog", **more: Any) -> dict[str, Any]:
    """GetLogRequest; `more` are its retries and retryInterval."""
    return {"requestId": number, "logType": kind, "log": {"remoteLocation": url}, **more}


def statuses(stand: Stand, number: int, since: int) -> list[str]:
    """What LogStatusNotifications of that request said."""
    payloads = [one.payload for one in stand.station.calls("LogStatusNotification", since)]
    return [one["status"] for one in payloads if one.get("requestId") == number]


async def log_status(stand: Stand, number: int, status: str, since: int, seconds: float = 20) -> Payload:
    return await stand.station.wait_for(
        "LogStatusNotification", lambda told: told == {"requestId": number, "status": status}, since, seconds
    )


# --- customers ---------------------------------------------------------------------------------------------------


async def customer(stand: Stand, report: bool, clear: bool, **whom: Any) -> tuple[str, str]:
    """CustomerInformation that must be accepted; the response's status, and what was told of the customer."""
    since = stand.station.last
    number = since + 1
    request = {"requestId": number, "report": report, "clear": clear, **whom}
    answer = await stand.call("CustomerInformation", request)
    assert answer["status"] == "Accepted", answer
    await stand.station.wait_for(
        "NotifyCustomerInformation", lambda told: not told.get("tbc", False), since, PATIENCE
    )
    parts = [one.payload for one in stand.station.calls("NotifyCustomerInformation", since)]
    assert {one["requestId"] for one in parts} == {number}
    assert [one["seqNo"] for one in parts] == list(range(len(parts)))
    return answer["status"], "".join(one["data"] for one in parts)
