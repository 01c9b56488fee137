"""What comes over MQTT, without a broker: messages are understood or refused, put together, and never believed."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.external import ExternalSource
from agent.charging.failsafe import FailsafeSettings
from agent.charging.limits import Command, State
from agent.ems.mqtt import MqttEms, plain
from agent.ems.mqtt_intake import MOST, Intake
from agent.ems.mqtt_payloads import LARGEST, Unreadable, Wish, heartbeat, scope_of, wish
from agent.ems.telemetry import EvseTelemetry, Telemetry

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TTL = 60.0


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time - 1000)


class Desk:
    """A real source behind an intake, and what was told."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.told: list[str] = []
        self.seen: list[float | None] = []
        self.source = ExternalSource(
            "mqtt", kind="EMS", failsafe=FailsafeSettings(), clock=self.clock, scopes=(0, 1, 2), changed=self._changed
        )
        self.intake = Intake(self.source, ttl=TTL, clock=self.clock, tell=self.told.append)

    def _changed(self) -> None:
        self.seen.append(self.value())

    def value(self, scope: int = 0) -> float | None:
        """The lowest limit of a scope, in its unit."""
        for limit in self.source.limits(self.clock.monotonic()):
            if limit.scope == scope:
                return limit.value
        return None

    def take(self, below: str, said: Any, *, retained: bool = False) -> bool:
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self.intake.take(below, payload, retained=retained)

    def say(self, said: Any, below: str = "limit", *, retained: bool = False) -> None:
        if self.take(below, said, retained=retained):
            while self.intake.act():
                pass

    def stamp(self, ago: float = 0.0) -> str:
        return (self.clock.now() - timedelta(seconds=ago)).isoformat()


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- payloads ---


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ('{"limit": 4200}', Wish("mqtt", 4200.0)),
        ('{"limit": 16, "unit": "A", "master": "home"}', Wish("home", 16.0, "A")),
        ('{"limit": 0, "ttl": 30, "ts": "2026-11-25T12:00:00Z"}', Wish("mqtt", 0.0, "W", NOW, 30.0)),
        ('{"limit": 1.5, "ts": "2026-11-25T13:00:00+01:00"}', Wish("mqtt", 1.5, "W", NOW)),
        ('{"release": true, "ts": 1795608000}', Wish("mqtt", None, "W", NOW)),
    ],
)
def test_what_is_understood(payload: str, found: Wish) -> None:
    assert wish(payload.encode()) == found


@pytest.mark.parametrize(
    "payload",
    [
        b"4200", b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"limit"', b"[" * LARGEST, b'{"limit": "4200"}',
        b'{"limit": NaN}', b'{"limit": Infinity}', b'{"limit": -Infinity}', b'{"limit": 1e999}', b'{"limit": -1}',
        b'{"limit": true}', b'{"limit": null}', b'{"limit": [1]}', b'{"limit": ' + b"9" * 4000 + b"}",
        b'{"limit": 1, "unit": "kW"}', b'{"limit": 1, "unit": []}', b'{"limit": 1, "ttl": 0}',
        b'{"limit": 1, "ttl": "60"}', b'{"limit": 1, "ts": "noon"}', b'{"limit": 1, "ts": "2026-11-25T12:00:00"}',
        b'{"limit": 1, "ts": 1795608000000}', b'{"limit": 1, "ts": -1}', b'{"limit": 1, "ts": {}}',
        b'{"limit": 1, "ts": "0001-01-01T00:00:00+14:00"}', b'{"limit": 1, "master": ""}',
        b'{"limit": 1, "master": "a\\nb"}', b'{"limit": 1, "master": 7}', b'{"limit": 1, "release": true}',
        b'{"release": 1}', b'{"limit": 1, "x": "' + b"x" * LARGEST + b'"}',
    ],
)  # fmt: skip
def test_what_is_not_understood_is_told_in_fixed_words(payload: bytes) -> None:
    with pytest.raises(Unreadable) as error:
        wish(payload)
    assert len(str(error.value)) < 80


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda one: st.lists(one),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(("limit", "unit", "ts", "ttl", "release", "master")), _JSON) | _JSON)
def test_whatever_comes_is_a_finite_limit_or_is_refused(said: Any) -> None:
    try:
        found = wish(json.dumps(said).encode())
    except Unreadable:
        return
    assert found.value is None or (math.isfinite(found.value) and found.value >= 0)
    assert found.ttl is None or 0 < found.ttl < math.inf
    assert found.stamp is None or found.stamp.tzinfo is not None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_heartbeat_or_refused(payload: bytes) -> None:
    try:
        assert heartbeat(payload)[0]
    except Unreadable:
        pass


def test_the_topics_that_limit() -> None:
    assert [scope_of(one) for one in ("limit", "evse/1/limit", "evse/12/limit")] == [0, 1, 12]
    assert [scope_of(one) for one in ("", "evse/0/limit", "evse/-1/limit", "evse/x/limit", "evse/1/limit/x")] == [
        None
    ] * 5
    assert scope_of("evse/99999/limit") is None and scope_of("evse/1\n/limit") is None


def test_a_prefix_has_no_wildcards() -> None:
    with pytest.raises(ValueError, match="prefix"):
        MqttEms(
            Desk().source, host="", port=1, topic="a/#", telemetry=lambda: Telemetry(None, (None,) * 3, None, "", ()),
            clock=Hands(),
        )  # fmt: skip


def test_telemetry_is_plain_json_without_nan() -> None:
    evse = EvseTelemetry(1, "C", True, True, True, 16.0, 16.0, 6.0, 32.0, power_w=math.nan, energy_wh=1.23456)
    told = plain(Telemetry(math.inf, (1.0, 2.0, None), None, "mqtt", (evse,)), State.ACTIVE)
    text = json.dumps(told, allow_nan=False)
    assert told["state"] == "Active" and told["power_w"] is None and told["current_a"] == [1.0, 2.0, None]
    assert json.loads(text)["evses"][0]["power_w"] is None and told["evses"][0]["energy_wh"] == 1.235


# --- from messages to the source ---


def test_a_limit_holds_until_its_ttl_is_over_counted_from_its_time_stamp(desk: Desk) -> None:
    desk.say({"limit": 4200, "ts": desk.stamp(ago=10), "ttl": 30})
    assert (desk.value(), desk.source.state) == (4200, State.ACTIVE)
    desk.clock.time += 19
    desk.say(b"", "heartbeat")
    assert desk.value() == 4200
    desk.clock.time += 2
    assert (desk.value(), desk.source.state) == (None, State.RELEASED)


def test_a_limit_without_a_ttl_lasts_as_long_as_the_board_says(desk: Desk) -> None:
    desk.say({"limit": 16, "unit": "A"}, "evse/1/limit")
    assert desk.value(1) == 16
    desk.clock.time += TTL + 1
    assert desk.value(1) is None


def test_a_release_ends_a_limit(desk: Desk) -> None:
    desk.say({"limit": 4200})
    desk.say({"release": True})
    assert (desk.value(), desk.source.state) == (None, State.RELEASED)


@pytest.mark.parametrize(
    "said",
    [
        {"limit": 9000},
        {"limit": 9000, "ts": "2026-11-25T11:58:00Z"},
        {"limit": 9000, "ts": "2026-11-25T11:59:50Z", "ttl": 5},
        {"limit": 9000, "ts": "2027-11-25T12:00:00Z"},
        {"release": True},
        {"release": True, "ts": "2026-11-25T11:58:00Z"},
    ],
)
def test_a_retained_limit_that_is_old_or_without_a_time_is_not_taken(desk: Desk, said: Any) -> None:
    desk.say(said, retained=True)
    assert desk.source.state is State.INIT
    assert len(desk.told) == 1


def test_a_retained_limit_whose_ttl_is_not_over_holds_for_the_rest_of_it(desk: Desk) -> None:
    desk.say({"limit": 6000, "ts": desk.stamp(ago=300), "ttl": 330}, retained=True)
    assert (desk.value(), desk.source.state) == (6000, State.ACTIVE)
    desk.clock.time += 31
    assert desk.value() is None


def test_a_retained_limit_that_the_broker_sends_again_is_no_replay(desk: Desk) -> None:
    said = {"limit": 4200, "ts": desk.stamp(), "ttl": 100}
    for retained in (False, True, True):
        desk.clock.time += 1
        desk.say(said, retained=retained)
    assert (desk.value(), desk.told, desk.source.problem) == (4200, [], None)


def test_a_message_that_is_sent_again_is_not_taken_again(desk: Desk) -> None:
    first = {"limit": 9000, "ts": desk.stamp()}
    desk.say(first)
    desk.clock.time += 1
    desk.say({"limit": 4200, "ts": desk.stamp()})
    desk.say(first)
    assert desk.value() == 4200
    assert desk.source.problem is not None and "again" in desk.source.problem


def test_a_retained_heartbeat_and_one_of_long_ago_are_none(desk: Desk) -> None:
    desk.say(b"x", "heartbeat", retained=True)
    desk.say({"ts": desk.stamp(ago=3600)}, "heartbeat")
    assert desk.source.age(desk.clock.monotonic()) is None
    assert len(desk.told) == 2
    desk.say({"ts": desk.stamp(ago=1)}, "heartbeat")
    assert desk.source.age(desk.clock.monotonic()) == 0


@pytest.mark.parametrize("payload", [b"{", b'{"limit": NaN}', b'{"limit": -5}', b"[" * 4000, b"x" * 5000])
def test_what_is_not_understood_changes_nothing_and_shows(desk: Desk, payload: bytes) -> None:
    desk.say({"limit": 4200})
    desk.say(payload)
    assert desk.value() == 4200
    assert len(desk.told) >= 1
    assert desk.source.problem is not None and "refused" in desk.source.problem


def test_an_evse_that_is_not_there_is_told(desk: Desk) -> None:
    desk.say({"limit": 4200}, "evse/9/limit")
    assert desk.told == ["a limit: there is no scope 9"]
    desk.say({"limit": 4200}, "nothing/known")
    assert len(desk.told) == 2


def test_a_retained_message_that_is_deleted_says_nothing(desk: Desk) -> None:
    desk.say({"limit": 4200})
    desk.say(b"")
    assert (desk.value(), desk.told) == (4200, [])


def test_of_a_burst_the_lowest_is_not_passed_over_and_the_last_counts(desk: Desk) -> None:
    for value in (11000, 4200, 9000):
        desk.take("limit", {"limit": value})
    desk.seen.clear()
    assert desk.intake.act()
    assert not desk.intake.act()
    assert desk.seen == [4200, 9000]


def test_the_lowest_is_found_across_units(desk: Desk) -> None:
    desk.take("limit", {"limit": 6, "unit": "A"})
    desk.take("limit", {"release": True})
    desk.take("limit", {"limit": 5000})
    assert desk.intake.act()
    assert desk.value() == 6
    desk.intake.act()
    assert desk.value() == 5000


def test_two_masters_are_kept_apart(desk: Desk) -> None:
    desk.say({"limit": 9000, "master": "a"})
    desk.say({"limit": 5000, "master": "b"})
    desk.say({"release": True, "master": "a"})
    assert desk.value() == 5000


def test_a_flood_of_names_costs_a_bounded_amount(desk: Desk) -> None:
    for number in range(5000):
        desk.take("limit", {"limit": 9000, "master": f"m{number}"})
        desk.take("heartbeat", {"master": f"m{number}"})
    assert len(desk.intake._bursts) == len(desk.intake._beats) == MOST
    desk.intake.act()
    assert desk.source.problem is not None and "masters" in desk.source.problem


def test_a_command_that_is_too_old_has_no_duration() -> None:
    assert wish(b'{"limit": 1, "ts": 0}').command(NOW, TTL).duration < 0  # type: ignore[operator]
    assert wish(b'{"limit": 1}').command(NOW, TTL) == Command(1.0, "W", TTL)
