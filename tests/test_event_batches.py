"""Events of monitors and of the station: what they say, what goes together, what waits, and what is behind what."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.events import Events, Trips
from agent.events.batches import BYTES, EVENTS, MOMENT
from agent.events.causes import WITHIN
from agent.events.recent import KEPT
from agent.evse.availability import Availability
from agent.model import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Problems,
    Variable,
    VariableName,
)
from agent.monitoring import Fired, Kind, Monitor, MonitorRequest, Monitors, MonitorType, Trigger
from agent.ocpp.messages import Request
from agent.ocpp.outbox import DROPPED, Message
from tests.ocpp.official import check_payload
from tests.ocpp.parts import FakeClock

BOOLEAN = Characteristics(DataType.BOOLEAN)
STATES = Characteristics(DataType.OPTION_LIST, values=("Available", "Occupied", "Reserved", "Unavailable", "Faulted"))
RCD = Component("RCD", evse=1)
CONNECTOR = Component("Connector", None, 1, 1)
CONTACTOR = Component("PowerContactor", None, 1, 1)
METER = Component("FiscalMetering", evse=1)


def monitored(
    severity: int = 5, kind: Kind = Kind.CUSTOM_MONITOR, actual: str = "51", component: Component = METER
) -> Fired:
    monitor = Monitor(7, component, VariableName("Power"), MonitorType.UPPER_THRESHOLD, 50, severity, kind)
    time = FakeClock().now()
    return Fired(monitor, component, monitor.variable, Trigger.ALERTING, actual, None, severity, time, kind)


class World:
    """A charging place with an RCD, monitors, and the queue that takes what is told."""

    def __init__(self) -> None:
        self.clock, self.model = FakeClock(), DeviceModel()
        self.online, self.queuing = True, 4
        self.sent: list[tuple[bool, dict[str, Any]]] = []
        self.messages: list[Message] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        for component in (Component("ChargingStation"), Component("EVSE", evse=1), CONNECTOR):
            self.model.add(Variable(component, "AvailabilityState", STATES))
        self.tripped = self.model.add(Variable(RCD, "Tripped", BOOLEAN))
        self.fault = self.model.add(
            Variable(Component("CPPWMController", None, 1, 1), "FaultCode", Characteristics(DataType.INTEGER))
        )
        self.model.add(Variable(CONTACTOR, "Problem", BOOLEAN, Attribute(value=False)))
        self.power = self.model.add(Variable(METER, "Power", Characteristics(DataType.DECIMAL), Attribute(0.0)))
        self.events = Events(
            self.model,
            self.clock,
            lambda _: None,
            {},
            queue=self.queue,
            later=lambda seconds, call: self.timers.append((self.clock.seconds + seconds, call)),
            online=lambda: self.online,
            queuing=lambda: self.queuing,
            transaction={1: "tx-1"}.get,
        )
        self.events.reserve()
        self.problems = Problems(self.model, self.events.problem)
        Trips(self.model, self.problems)
        self.availability = Availability(self.model, lambda *_: None)
        self.monitors = Monitors(self.model, self.clock, fire=self.events.fired, change=lambda _: None)
        self.monitors.restore({})
        self.monitors.online(True)

    def queue(self, request: Request, /, *, keep: bool, rank: int) -> Message:
        payload = request.to_json()
        check_payload("NotifyEventRequest", json.loads(payload))
        self.sent.append((keep, json.loads(payload)))
        self.messages.append(Message(request.action, payload, keep=keep, rank=rank))
        return self.messages[-1]

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds
        due = [timer for timer in self.timers if timer[0] <= self.clock.seconds + 1e-9]
        for timer in due:
            self.timers.remove(timer)
            timer[1]()

    def watch(
        self, component: Component, variable: str, type: MonitorType, value: float = 0, severity: int = 5
    ) -> int:
        request = MonitorRequest(component, VariableName(variable), type, value, severity)
        result = self.monitors.set(request)
        assert result.accepted and result.id is not None, result
        return result.id

    @property
    def told(self) -> list[dict[str, Any]]:
        self.events.flush()
        return [event for _, payload in self.sent for event in payload["eventData"]]

    def chain(self) -> dict[str, str | None]:
        """component.variable=value → the same of what is told to be behind it."""
        names = {
            e["eventId"]: f"{e['component']['name']}.{e['variable']['name']}={e['actualValue']}" for e in self.told
        }
        return {names[e["eventId"]]: names[e["cause"]] if "cause" in e else None for e in self.told}


@pytest.fixture
def world() -> World:
    return World()


# --- what an event says ----------------------------------------------------------------------------


@pytest.mark.requirement("N07.FR.06")
@pytest.mark.requirement("N07.FR.07")
def test_an_event_of_a_monitor_says_which_monitor_where_and_in_which_transaction(world: World) -> None:
    id = world.watch(METER, "Power", MonitorType.UPPER_THRESHOLD, 50)
    world.power.update(51.5)
    ((_, payload),) = world.sent
    assert payload["seqNo"] == 0 and "tbc" not in payload
    (event,) = payload["eventData"]
    del event["eventId"]
    assert event == {
        "timestamp": "2026-01-31T12:00:00.000Z",
        "trigger": "Alerting",
        "actualValue": "51.5",
        "eventNotificationType": "CustomMonitor",
        "component": {"name": "FiscalMetering", "evse": {"id": 1}},
        "variable": {"name": "Power"},
        "transactionId": "tx-1",
        "variableMonitoringId": id,
    }


@pytest.mark.requirement("N08.FR.04")
@pytest.mark.requirement("N08.FR.05")
def test_a_periodic_event_is_triggered_periodically_and_first_of_its_message(world: World) -> None:
    world.watch(METER, "Power", MonitorType.PERIODIC, 10)
    world.clock.seconds += 10
    world.monitors.step()
    ((_, payload),) = world.sent
    assert payload["seqNo"] == 0
    assert [event["trigger"] for event in payload["eventData"]] == ["Periodic"]


@pytest.mark.requirement("N07.FR.10")
def test_an_event_of_what_can_only_be_written_says_no_value(world: World) -> None:
    secret = Attribute("a-password", Mutability.WRITE_ONLY)
    place = Component("SecurityCtrlr")
    variable = world.model.add(
        Variable(place, "BasicAuthPassword", Characteristics(DataType.STRING, max_limit=40), secret)
    )
    world.watch(place, "BasicAuthPassword", MonitorType.DELTA, 1)
    variable.update("another-password")
    (event,) = world.told
    assert event["actualValue"] == "" and event["trigger"] == "Delta"
    assert world.events.recent()[-1]["value"] == ""


@pytest.mark.parametrize("kind", list(Kind))
def test_an_event_says_who_made_its_monitor(world: World, kind: Kind) -> None:
    world.events.fired(monitored(kind=kind))
    assert world.told[0]["eventNotificationType"] == kind


def test_a_fault_that_a_controller_reports_has_its_code(world: World) -> None:
    world.fault.update(17)
    world.problems.open(CONTACTOR, "hardware", "the controller reports error 17")
    world.fault.update(0)
    world.problems.close(CONTACTOR, "hardware")
    assert [(e.get("techCode"), e.get("techInfo")) for e in world.told] == [
        ("17", "the controller reports error 17"),
        (None, None),
    ]


def test_a_value_of_any_length_fits(world: World) -> None:
    world.events.fired(replace(monitored(actual="x" * 9000), tech_code="c" * 99, tech_info="i" * 900))
    (event,) = world.told
    assert [len(event[key]) for key in ("actualValue", "techCode", "techInfo")] == [2500, 50, 500]


# --- what goes together ----------------------------------------------------------------------------


def test_a_lone_event_goes_at_once_and_those_that_follow_within_a_moment_together(world: World) -> None:
    for _ in range(20):
        world.events.fired(monitored())
    assert [len(payload["eventData"]) for _, payload in world.sent] == [1]
    world.wait(MOMENT / 2)
    world.events.fired(monitored())
    assert len(world.sent) == 1
    world.wait(MOMENT / 2)
    assert [len(payload["eventData"]) for _, payload in world.sent] == [1, 20]
    assert all(payload["seqNo"] == 0 and "tbc" not in payload for _, payload in world.sent)
    world.wait(MOMENT)
    world.events.fired(monitored())
    assert len(world.sent) == 3 and world.timers == []


@pytest.mark.requirement("N07.FR.07")
@pytest.mark.requirement("N08.FR.04")
def test_more_events_than_one_message_holds_go_in_parts_that_count_from_0(world: World) -> None:
    for _ in range(2 * EVENTS + 2):
        world.events.fired(monitored())
    world.wait(MOMENT)
    parts = [(len(payload["eventData"]), payload["seqNo"], payload.get("tbc")) for _, payload in world.sent[1:]]
    assert parts == [(EVENTS, 0, True), (EVENTS, 1, True), (1, 2, None)]
    ids = [event["eventId"] for event in world.told]
    assert ids == sorted(ids) and len(set(ids)) == 2 * EVENTS + 2


@given(st.lists(st.integers(0, 2500), min_size=2, max_size=120), st.sampled_from(["x", "ü", '"', "\n"]))
def test_a_message_is_never_longer_than_60_kb_and_nothing_is_lost(lengths: list[int], letter: str) -> None:
    world = World()
    for length in lengths:
        world.events.fired(monitored(actual=letter * length))
    world.events.flush()
    assert all(len(message.payload.encode()) <= BYTES + 200 for message in world.messages)
    assert [len(event["actualValue"]) for event in world.told] == lengths


# --- what is kept ----------------------------------------------------------------------------


@pytest.mark.requirement("N07.FR.04")
@pytest.mark.requirement("N08.FR.03")
@pytest.mark.parametrize(
    ("severity", "kind", "online", "expected"),
    [
        (4, Kind.CUSTOM_MONITOR, False, [True]),
        (5, Kind.CUSTOM_MONITOR, False, []),
        (4, Kind.CUSTOM_MONITOR, True, [True]),
        (5, Kind.CUSTOM_MONITOR, True, [False]),
        (9, Kind.HARD_WIRED_MONITOR, False, []),
        (9, Kind.HARD_WIRED_NOTIFICATION, False, [True]),
    ],
)
def test_what_must_be_queued_goes_to_the_disk_and_the_rest_only_to_a_csms_that_is_there(
    world: World, severity: int, kind: Kind, online: bool, expected: list[bool]
) -> None:
    world.online = online
    world.events.fired(monitored(severity, kind))
    assert [keep for keep, _ in world.sent] == expected
    state = world.events.recent()[-1]["state"]
    assert state == ("queued" if expected else DROPPED)


def test_what_is_kept_and_what_is_not_go_in_messages_of_their_own(world: World) -> None:
    world.events.fired(monitored())
    for severity in (9, 2, 8, 3):
        world.events.fired(monitored(severity, actual=str(severity)))
    world.wait(MOMENT)
    assert [(keep, [e["actualValue"] for e in payload["eventData"]]) for keep, payload in world.sent[1:]] == [
        (True, ["2", "3"]),
        (False, ["9", "8"]),
    ]
    assert [payload["seqNo"] for _, payload in world.sent] == [0, 0, 0]


# --- what is behind what ----------------------------------------------------------------------------


@pytest.mark.requirement("N07.FR.05")
def test_a_trip_causes_the_connectors_problem_which_causes_its_state(world: World) -> None:
    world.watch(CONNECTOR, "AvailabilityState", MonitorType.DELTA)
    world.watch(Component("EVSE", evse=1), "AvailabilityState", MonitorType.DELTA)
    world.tripped.update(False)
    world.tripped.update(True)
    assert world.chain() == {
        "RCD.Tripped=true": None,
        "Connector.Problem=true": "RCD.Tripped=true",
        "Connector.AvailabilityState=Faulted": "Connector.Problem=true",
        "EVSE.AvailabilityState=Faulted": "Connector.AvailabilityState=Faulted",
    }
    assert [e.get("techInfo") for e in world.told][:2] == [None, "RCD@1 tripped"]
    world.sent.clear()
    world.clock.seconds += 1
    world.tripped.update(False)
    assert world.chain() == {
        "RCD.Tripped=false": None,
        "Connector.Problem=false": "RCD.Tripped=false",
        "Connector.AvailabilityState=Available": "Connector.Problem=false",
        "EVSE.AvailabilityState=Available": "Connector.AvailabilityState=Available",
    }


@pytest.mark.requirement("N07.FR.05")
@pytest.mark.parametrize(("later", "caused"), [(WITHIN - 0.1, True), (WITHIN + 0.1, False)])
def test_what_comes_much_later_or_elsewhere_has_another_cause(world: World, later: float, caused: bool) -> None:
    other = Component("PowerContactor", None, 2, 1)
    world.model.add(Variable(other, "Problem", BOOLEAN, Attribute(value=False)))
    world.tripped.update(True)
    world.clock.seconds += later
    world.problems.open(CONTACTOR, "hardware", "the controller reports error 3")
    world.problems.open(other, "hardware", "the controller reports error 4")
    mine, others = world.told[-2:]
    assert mine.get("cause") == (world.told[0]["eventId"] if caused else None)
    assert "cause" not in others


@pytest.mark.requirement("N07.FR.05")
def test_an_event_that_the_csms_never_saw_is_no_cause(world: World) -> None:
    world.online = False
    world.events.fired(
        replace(monitored(9, component=Component("EVSE", evse=1)), variable=VariableName("Problem"), actual="true")
    )
    world.online = True
    state = replace(monitored(component=CONNECTOR), variable=VariableName("AvailabilityState"), actual="Faulted")
    world.events.fired(state)
    assert "cause" not in world.told[-1]


def test_a_trip_that_cannot_be_read_for_a_while_is_no_second_problem(world: World) -> None:
    for reading in (True, None, True, None, False):
        world.tripped.update(reading)
    told = [(e["component"]["name"], e["actualValue"]) for e in world.told]
    assert told == [("RCD", "true"), ("Connector", "true"), ("RCD", "false"), ("Connector", "false")]


def test_a_trip_that_outlives_a_restart_is_not_told_again_nor_are_its_problems() -> None:
    first = World()
    first.tripped.update(True)
    assert len(first.told) == 2
    second = World()
    second.events._told = dict.fromkeys(json.loads(first.events.state()["events_open"]), True)
    second.tripped.update(True)
    second.events.settle()
    assert second.told == []
    second.tripped.update(False)
    assert [e["actualValue"] for e in second.told] == ["false", "false"]


# --- who is on site ----------------------------------------------------------------------------


def test_the_last_events_are_remembered_with_what_became_of_them(world: World) -> None:
    for number in range(KEPT + 10):
        world.events.fired(monitored(actual=str(number)))
    world.events.flush()
    world.messages[-1].state = "sent"
    recent = world.events.recent()
    assert json.loads(json.dumps(recent)) == recent
    assert len(recent) == KEPT and recent[-1]["value"] == str(KEPT + 9)
    assert recent[-1]["state"] == "sent" and recent[0]["state"] == "queued"
    assert recent[-1]["component"] == "FiscalMetering@1" and recent[-1]["monitor"] == 7
    assert [json.loads(line) for _, line in world.events.dated()] == recent  # as the diagnostics log has them


def test_a_storm_makes_a_few_messages_a_second(world: World) -> None:
    """1,000 events a second for ten seconds, half of them of no weight."""
    for tick in range(10_000):
        world.events.fired(monitored(severity=3 + 6 * (tick % 2), actual=str(tick)))
        world.wait(0.001)
    told = [int(event["actualValue"]) for event in world.told]
    assert sorted(told) == list(range(10_000))
    for keep in (True, False):
        mine = [int(e["actualValue"]) for kept, payload in world.sent if kept is keep for e in payload["eventData"]]
        assert mine == sorted(mine)
    assert len(world.sent) <= 10 / MOMENT * 4 + 4
