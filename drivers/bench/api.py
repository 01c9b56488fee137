"""The bench's API: which request does what, and what each body must be."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from drivers.bench.proxy import STATES
from drivers.bench.refusals import Refusal, Unusable
from drivers.bench.world import FAULTS, finite

if TYPE_CHECKING:
    from drivers.bench.bench import Bench

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]
Place = tuple[str, ...]
Action = Callable[["Api", Place, Body], Awaitable[dict[str, Any]]]


class Api:
    """Turns requests into what the bench does: 200 and the new state, or {"error": …} and nothing done."""

    def __init__(self, bench: "Bench") -> None:
        self.bench = bench

    async def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """What is answered to a request: its status and a JSON value. Never raises."""
        found = _route(path)
        if found is None:
            return 404, {"error": f"there is no {path} on this bench"}
        methods, place = found
        action = methods.get(method)
        if action is None:
            return 405, {"error": f"{path} takes {', '.join(methods)}"}
        try:
            return 200, await action(self, place, query if method == "GET" else _object(body))
        except Refusal as refusal:
            return refusal.status, {"error": str(refusal)}
        except Exception:  # noqa: BLE001  # told to the log and to whoever asked
            _log.exception("%s %s: a mistake in the bench", method, path)
            return 500, {"error": "a mistake in the bench; its log has more"}

    # --- one method per route; an unknown place comes before a bad body -------------------------------------------

    async def world(self, _place: Place, _query: Body) -> dict[str, Any]:
        return self.bench.snapshot()

    async def log(self, _place: Place, query: Body) -> dict[str, Any]:
        since = query.get("since", "0")
        if not re.fullmatch(r"[0-9]{1,18}", since):
            raise Unusable("since: expected a number, such as the `next` of the last answer")
        entries = self.bench.world.log.since(int(since))
        return {"next": self.bench.world.log.next, "entries": entries}

    async def power(self, _place: Place, body: Body) -> dict[str, Any]:
        return await self.bench.set_power(_choice(body, "state", ("off", "on", "cycle")))

    async def agent(self, _place: Place, body: Body) -> dict[str, Any]:
        return await self.bench.set_agent(_choice(body, "state", ("kill", "hang")))

    async def network(self, _place: Place, body: Body) -> dict[str, Any]:
        return await self.bench.set_network(_choice(body, "state", STATES))

    async def hold(self, place: Place, body: Body) -> dict[str, Any]:
        device, point = place
        self.bench.world.point(device, point)
        _only(body, "value")
        if "value" not in body:
            raise Unusable("value is missing")
        return self.bench.world.hold(device, point, body["value"])

    async def release(self, place: Place, body: Body) -> dict[str, Any]:
        device, point = place
        self.bench.world.point(device, point)
        _only(body)
        return self.bench.world.release(device, point)

    async def fault(self, place: Place, body: Body) -> dict[str, Any]:
        self.bench.world.device(place[0])
        return self.bench.world.set_fault(place[0], _choice(body, "kind", FAULTS))

    async def grid(self, _place: Place, body: Body) -> dict[str, Any]:
        _only(body, "import_w", "phases")
        import_w = _watts("import_w", body["import_w"]) if "import_w" in body else None
        if "phases" not in body:
            return self.bench.world.set_grid(import_w, None)
        phases = body["phases"]
        if not isinstance(phases, list) or len(phases) != 3:
            raise Unusable("phases: expected three numbers in W")
        one, two, three = (_watts("phases", phase) for phase in phases)
        return self.bench.world.set_grid(import_w, (one, two, three))


_ROUTES: list[tuple[re.Pattern[str], dict[str, Action]]] = [
    (re.compile("/bench"), {"GET": Api.world}),
    (re.compile("/bench/log"), {"GET": Api.log}),
    (re.compile("/bench/power"), {"POST": Api.power}),
    (re.compile("/bench/agent"), {"POST": Api.agent}),
    (re.compile("/bench/network"), {"POST": Api.network}),
    (re.compile("/bench/device/([^/]+)/point/([^/]+)"), {"POST": Api.hold, "DELETE": Api.release}),
    (re.compile("/bench/device/([^/]+)/fault"), {"POST": Api.fault}),
    (re.compile("/bench/grid"), {"POST": Api.grid}),
]


def _route(path: str) -> tuple[dict[str, Action], Place] | None:
    for pattern, methods in _ROUTES:
        match = pattern.fullmatch(path.rstrip("/"))
        if match is not None:
            return methods, match.groups()
    return None


def _object(body: Any) -> Body:
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise Unusable("the body: expected a JSON object")
    return body


def _only(body: Body, *keys: str) -> None:
    for key in body:
        if key not in keys:
            raise Unusable(f"{key:.40}: not known here; expected {', '.join(keys) or 'nothing'}")


def _choice(body: Body, key: str, choices: tuple[str, ...]) -> str:
    _only(body, key)
    value = body.get(key)
    if not isinstance(value, str) or value not in choices:
        raise Unusable(f"{key}: expected one of {', '.join(choices)}")
    return value


def _watts(key: str, value: Any) -> float:
    number = finite(value)
    if number is None:
        raise Unusable(f"{key}: expected a number in W")
    return number
