"""Security events as they happen: to the log, to the CSMS where critical, and in a storm in few words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.computer.storage import DISK, MEMORY
from agent.model import Attribute, Characteristics, Component, DataType, DeviceModel, Problems, Variable
from agent.ocpp.messages.base import Request
from agent.security.events import SecurityEvents
from agent.security.log import SecurityLog
from agent.security.table import EVENT_TYPES
from tests.ocpp.official import check_payload
from tests.security.parts import Hands, read, until


class Bench:
    """SecurityEvents with a real log, and a list in the outbox's place."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.clock = Hands()
        self.log = SecurityLog(folder, self.clock, retry=0.01)
        self.posted: list[dict[str, Any]] = []
        self.events = SecurityEvents(self.log, self.clock, self._post, **more)

    def _post(self, request: Request) -> None:
        payload = json.loads(request.to_json())
        check_payload("SecurityEventNotificationRequest", payload)
        assert request.action == "SecurityEventNotification"
        self.posted.append(payload)

    def logged(self) -> list[dict[str, Any]]:
        return read(self.log)


@pytest.fixture
def bench(tmp_path: Path):
    bench = Bench(tmp_path)
    yield bench
    bench.log.close()


@pytest.mark.requirement("A04.FR.01", "A04.FR.04")
@pytest.mark.parametrize("type", EVENT_TYPES)
def test_every_event_is_logged_and_a_critical_one_is_sent_too(bench: Bench, type: str) -> None:
    bench.events.record(type, "why")
    assert [(one["type"], one["techInfo"]) for one in bench.logged()] == [(type, "why")]
    sent = {"type": type, "timestamp": "2026-11-25T12:00:00.000Z", "techInfo": "why"}
    assert bench.posted == ([sent] if EVENT_TYPES[type].critical else [])


def test_what_is_no_security_event_is_a_mistake(bench: Bench) -> None:
    with pytest.raises(ValueError, match="no security event"):
        bench.events.record("SomethingElse")


@given(st.text(max_size=400))
def test_whatever_tech_info_holds_is_logged_and_sent(tmp_path_factory: pytest.TempPathFactory, info: str) -> None:
    bench = Bench(tmp_path_factory.mktemp("log"))
    bench.events.record("ResetOrReboot", info)
    (line,) = bench.logged()
    assert line.get("techInfo", "") == bench.posted[0].get("techInfo", "")
    assert len(line.get("techInfo", "")) == min(255, len(info))
    bench.log.close()


def test_a_storm_fills_neither_disk_nor_line_and_every_event_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, burst=5, refill=600.0)
    for number in range(2000):  # one each second, for a good half hour
        bench.clock.time += 1.0
        bench.events.record("MaintenanceLoginFailed", f"attempt {number}")
        bench.events.step()
    bench.events.record("ResetOrReboot", "RemoteReset")  # another type is told at once all the same
    assert bench.posted[-1]["type"] == "ResetOrReboot"
    bench.events.rest()
    stormy = [one for one in bench.logged() if one["type"] == "MaintenanceLoginFailed"]
    assert len(stormy) <= 5 + 2000 // 600 + 1
    assert sum(one.get("times", 1) for one in stormy) == 2000
    assert stormy[-1]["techInfo"] == "attempt 1999"
    sent = [one for one in bench.posted if one["type"] == "MaintenanceLoginFailed"]
    assert len(sent) == len(stormy)
    assert sent[-1]["techInfo"] == f"{stormy[-1]['times']} times, at last: attempt 1999"
    bench.log.close()


def test_what_was_held_back_is_told_by_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, burst=1, refill=60.0)
    for _ in range(3):
        bench.events.record("ResetOrReboot", "again")
    assert len(bench.posted) == 1
    bench.clock.time += 59
    bench.events.step()
    assert len(bench.posted) == 1
    bench.clock.time += 2
    bench.events.step()
    assert [one["techInfo"] for one in bench.posted] == ["again", "2 times, at last: again"]
    bench.log.close()


@pytest.mark.parametrize(
    ("reason", "type"),
    [("PowerUp", "StartupOfTheDevice"), ("RemoteReset", "ResetOrReboot"), ("ApplicationReset", "ResetOrReboot")],
)
def test_a_start_is_one_event_by_its_reason(bench: Bench, reason: str, type: str) -> None:
    bench.events.started(reason)
    assert [(one["type"], one["techInfo"]) for one in bench.posted] == [(type, reason)]


def test_a_log_that_is_gone_at_the_start_was_cleared(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.events.started("PowerUp", logged=False)
    first.log.close()
    second = Bench(tmp_path)
    second.events.started("PowerUp", logged=True)
    assert [one["type"] for one in second.posted] == ["StartupOfTheDevice"]
    second.log.close()
    for file in tmp_path.iterdir():
        file.unlink()
    third = Bench(tmp_path)
    third.events.started("PowerUp", logged=True)
    assert [one["type"] for one in third.posted] == ["SecurityLogWasCleared", "StartupOfTheDevice"]
    assert [one["type"] for one in third.logged()] == ["SecurityLogWasCleared", "StartupOfTheDevice"]
    third.log.close()


def test_a_new_password_is_told_by_its_name_alone(bench: Bench) -> None:
    model = DeviceModel()
    password = Variable(
        Component("SecurityCtrlr"), "BasicAuthPassword", Characteristics(DataType.STRING), Attribute("old-secret")
    )
    other = Variable(Component("ClockCtrlr"), "TimeZone", Characteristics(DataType.STRING), Attribute("CET"))
    for one in (password, other):
        model.add(one)
    bench.events.watch(model)
    other.update("UTC")
    password.update("old-secret")
    assert bench.logged() == []
    password.update("new-secret")
    (line,) = bench.logged()
    assert (line["type"], line["critical"]) == ("ReconfigurationOfSecurityParameters", False)
    assert "BasicAuthPassword" in line["techInfo"]
    assert "secret" not in json.dumps(line)


def test_a_case_that_is_opened_was_tampered_with(bench: Bench) -> None:
    model = DeviceModel()
    case = Variable(Component("CaseAccessSensor"), "Active", Characteristics(DataType.BOOLEAN), Attribute(None))
    model.add(case)
    bench.events.watch(model)
    for value in (False, None, False, True, False):
        case.update(value)
    assert [one["type"] for one in bench.posted] == ["TamperDetectionActivated"]


@pytest.mark.parametrize("place", [DISK, MEMORY])
def test_too_little_disk_or_memory_is_told_when_it_begins(bench: Bench, place: Component) -> None:
    model = DeviceModel()
    for component in (place, Component("AirCoolingSystem")):
        model.add(Variable(component, "Problem", Characteristics(DataType.BOOLEAN), Attribute(False)))
    bench.events.watch(model)
    problems = Problems(model, lambda *_: None)
    problems.open(Component("AirCoolingSystem"), "lost", "no answer")
    assert bench.posted == []
    problems.open(place, "disk", "4 % are free")
    problems.close(place, "disk")
    assert [(one["type"], one["techInfo"]) for one in bench.posted] == [
        ("MemoryExhaustion", f"{place} is getting full")
    ]


def test_a_disk_that_is_full_is_told_once_while_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.log.full = True
    for _ in range(3):
        bench.events.step()
    assert [one["type"] for one in bench.posted] == ["MemoryExhaustion"]
    until(lambda: not bench.log.full)  # its line was written
    bench.events.step()
    bench.log.full = True
    bench.events.step()
    assert [one["type"] for one in bench.posted] == ["MemoryExhaustion"] * 2
    bench.log.close()
