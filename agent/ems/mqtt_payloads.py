"""What an energy management system writes to the MQTT topics, taken apart. Pure; nothing in it is believed.

A message is one JSON object. Limits: `limit` (a number from 0), `unit` (W or A), or `release`: true. For both: `ts`
(ISO 8601 with a zone, or seconds since 1970), `ttl` (s), `master` (a name).
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.charging.limits import Command, Unit

LARGEST = 4096
"""Bytes of a payload; larger ones are not looked at."""
LONGEST_NAME = 64
MASTER = "mqtt"
"""Who it is that gives no name: MQTT itself tells no sender."""

_EVSE = re.compile(r"evse/([1-9][0-9]{0,3})/limit")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_402_300_799.0


class Unreadable(Exception):
    """The message is no limit and no release; the text says why, in few and fixed words."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a master wants of a scope. `value` None: it releases; `ttl` is None where it gives none of its own."""

    master: str
    value: float | None
    unit: Unit = "W"
    stamp: datetime | None = None
    ttl: float | None = None

    def age(self, now: datetime) -> float:
        """Seconds since its time stamp, negative where that is ahead; 0 without one."""
        return 0.0 if self.stamp is None else (now - self.stamp).total_seconds()

    def command(self, now: datetime, ttl: float) -> Command:
        """A limit as the source takes it; `ttl` where it has none. Its duration is not above 0 when it is too old."""
        lasting = ttl if self.ttl is None else self.ttl
        return Command(self.value or 0.0, self.unit, lasting - max(0.0, self.age(now)))

    def stale(self, now: datetime, ttl: float) -> bool:
        """Whether its time is over."""
        return self.age(now) >= (ttl if self.ttl is None else self.ttl)


def scope_of(below: str) -> int | None:
    """The scope of a topic (without its prefix) that takes limits: 0 the station, n an EVSE; None for any other."""
    if below == "limit":
        return 0
    found = _EVSE.fullmatch(below)
    return int(found[1]) if found else None


def wish(payload: bytes) -> Wish:
    """A limit or a release. Raises Unreadable."""
    said = _members(payload)
    master, stamp, ttl = _name(said), _time(said.get("ts")), said.get("ttl")
    if ttl is not None:
        ttl = _number(ttl, "ttl")
        if ttl <= 0:
            raise Unreadable("ttl is not above 0")
    if "release" in said:
        if said["release"] is not True or "limit" in said:
            raise Unreadable("release is not true, or stands beside a limit")
        return Wish(master, None, "W", stamp, ttl)
    if "limit" not in said:
        raise Unreadable("there is neither limit nor release")
    value, unit = _number(said["limit"], "limit"), said.get("unit", "W")
    if value < 0:
        raise Unreadable("limit is negative")
    if unit not in ("W", "A"):
        raise Unreadable("unit is neither W nor A")
    return Wish(master, value, unit, stamp, ttl)


def heartbeat(payload: bytes) -> tuple[str, datetime | None]:
    """Whose heartbeat it is, and its time. Any payload is one; one that is no object gives no name.

    Raises Unreadable for an object with a wrong name or time.
    """
    if len(payload) > LARGEST:
        raise Unreadable("it is larger than 4 kB")
    try:
        said = _members(payload)
    except Unreadable:
        return MASTER, None
    return _name(said), _time(said.get("ts"))


def _members(payload: bytes) -> dict[str, Any]:
    if len(payload) > LARGEST:
        raise Unreadable("it is larger than 4 kB")
    try:
        said = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON") from None
    if not isinstance(said, dict):
        raise Unreadable("it is not an object")
    return said


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{what} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Unreadable(f"{what} is not a finite number")
    return number


def _name(said: dict[str, Any]) -> str:
    name = said.get("master", MASTER)
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise Unreadable("master is not a name of 1 to 64 characters")
    return name


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            stamp = datetime.fromisoformat(value)
            if stamp.tzinfo is None:
                raise Unreadable("ts has no zone")
            return stamp.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unreadable("ts is not a time of ISO 8601") from None
    seconds = _number(value, "ts")
    if not 0 <= seconds <= _LATEST:
        raise Unreadable("ts is not in seconds since 1970")
    return _EPOCH + timedelta(seconds=seconds)
