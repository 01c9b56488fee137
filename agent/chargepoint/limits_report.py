"""What `station-agent limits` shows: every source, what it makes of each plug, and the plan of the next day."""

from collections.abc import Mapping
from typing import Any

from agent.chargepoint.limits import Limits
from agent.chargepoint.smart_charging import SmartCharging
from agent.charging.limits import Limit
from agent.clock import Clock
from agent.evse.evse import Evse
from agent.model import format_date_time

DAY = 86_400


def report(limits: Limits, smart: SmartCharging, evses: Mapping[int, Evse], clock: Clock) -> dict[str, Any]:
    """As JSON has it; seconds count from now, currents are A per phase."""
    now = clock.monotonic()
    return {
        "time": format_date_time(clock.now()),
        "sources": [_source(limits, one, now) for one in limits.arbiter.limits],
        "evses": [
            {
                "id": number,
                "current": round(limits.arbiter.decisions[number].current, 3),
                "reason": limits.arbiter.decisions[number].reason,
                "offered": 0.0 if evse.active is None else round(evse.active.command.offered, 3),
                "status": evse.state,
                "active": evse.ready,
                "available": round(limits.arbiter.available[number], 3),
            }
            for number, evse in evses.items()
        ],
        "plan": {"seconds": DAY, "scopes": [_plan(smart, scope) for scope in (0, *evses)]},
    }


def _source(limits: Limits, one: Limit, now: float) -> dict[str, Any]:
    external = limits.externals.get(one.source)
    changed = now - one.changed if one.changed else None  # some do not tell
    age = changed if external is None else external.age(now)
    return {
        "name": one.source,
        "kind": one.kind,
        "scope": one.scope,
        "state": str(one.state),
        "value": None if one.value is None else round(one.value, 3),
        "unit": one.unit,
        "phases": None if one.phases is None else [round(amps, 3) for amps in one.phases],
        "age": None if age is None else round(age, 1),
        "until": None if one.until is None else round(one.until - now, 1),
        "problem": None if external is None else external.problem,
    }


def _plan(smart: SmartCharging, scope: int) -> dict[str, Any]:
    found = smart.composite(scope, DAY, "A")
    periods = () if found is None else found[1].periods
    return {"evse": scope, "unit": "A", "periods": [[one.start, one.limit] for one in periods]}
