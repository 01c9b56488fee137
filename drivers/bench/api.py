"""The bench's API: which request does what, and what each body must be."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from drivers.bench.charger import Charger
from drivers.bench.ev import EvSettings
from drivers.bench.points import device_state, finite, point_state
from drivers.bench.proxy import STATES
from drivers.bench.refusals import InTheWay, Refusal, Unusable
from drivers.bench.world import FAULTS

if TYPE_CHECKING:
    from drivers.bench.bench import Bench

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]
Place = tuple[str, ...]
Action = Callable[["Api", Place, Body], Awaitable[dict[str, Any]]]

CABLES = (13, 20, 32, 63)
"""A that a cable may carry (IEC 61851-1, annex B)."""

TOKEN_TYPES = ("ISO14443", "ISO15693", "Central", "eMAID", "KeyCode", "Local", "MacAddress")
"""IdTokenEnumType (part 2) as far as one can be held to a reader; the first is meant where none is said."""

_EVSE = "/bench/evse/([^/]+)"
_CONNECTOR = f"{_EVSE}/connector/([^/]+)"


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

    async def ems(self, place: Place, body: Body) -> dict[str, Any]:
        systems = self.bench.rig.ems
        systems.system(place[0])
        _only(body, "limit", "unit", "duration", "release")
        if "release" in body:
            _flag(body, "release")
            if not body["release"]:
                raise Unusable("release: expected true")
            return await systems.release(place[0])
        unit = body.get("unit", "W")
        if unit not in ("W", "A"):
            raise Unusable("unit: expected W or A")
        duration = body.get("duration")
        seconds = None if duration is None else finite(duration)
        if duration is not None and seconds is None:
            raise Unusable("duration: expected seconds, or null")
        limit = finite(body.get("limit"))
        if limit is None:
            raise Unusable("expected a limit, a number in W or A, or release")
        return await systems.impose(place[0], limit, unit, seconds)

    # --- at the EVSEs ----------------------------------------------------------------------------------------------

    async def plug(self, place: Place, body: Body) -> dict[str, Any]:
        charger = self._connector(place)
        _only(body, "ev", "cable_current")
        carries = body.get("cable_current")
        if "cable_current" in body and carries not in CABLES:
            raise Unusable(f"cable_current: expected one of {', '.join(map(str, CABLES))} (A)")
        settings = None
        if "ev" in body:
            settings = EvSettings().changed(_object(body["ev"], "ev"))
        charger.plug(settings, None if carries is None else float(carries))
        return self._settled(charger)

    async def unplug(self, place: Place, body: Body) -> dict[str, Any]:
        charger = self._connector(place)
        charger.unplug(_choice({"side": "station", **body}, "side", ("station", "ev")))
        return self._settled(charger)

    async def ev(self, place: Place, body: Body) -> dict[str, Any]:
        charger = self._connector(place)
        if not body:
            raise Unusable("expected what the EV changes, such as ready, max_current or soc")
        charger.change(body)
        return self._settled(charger)

    async def lock(self, place: Place, body: Body) -> dict[str, Any]:
        charger = self._connector(place)
        charger.need_lock()
        charger.jammed = _flag(body, "jammed")
        return self._settled(charger)

    async def token(self, place: Place, body: Body) -> dict[str, Any]:
        reader = self.bench.world.places.reader(_number(place[0]))
        _only(body, "idToken", "type")
        token, kind = body.get("idToken"), body.get("type", TOKEN_TYPES[0])
        if not isinstance(token, str) or not 1 <= len(token) <= 255 or not token.isprintable():
            raise Unusable("idToken: expected a text of 1 to 255 printable characters")
        if not isinstance(kind, str) or kind not in TOKEN_TYPES:
            raise Unusable(f"type: expected one of {', '.join(TOKEN_TYPES)}")
        if not self.bench.world.powered:
            raise InTheWay("the power is off: a reader without a supply reads nothing")
        reader.swipe(token, kind)
        self.bench.world.touched(reader.device)
        return device_state(self.bench.world.device(reader.device))

    async def stop_button(self, place: Place, body: Body) -> dict[str, Any]:
        button = self.bench.world.places.button(_number(place[0]))
        _only(body)
        button.press()
        self.bench.world.touched(button.contact.device)
        return point_state(button.contact.point)

    async def bay(self, place: Place, body: Body) -> dict[str, Any]:
        bay = self.bench.world.places.bay(_number(place[0]))
        bay.set(_flag(body, "occupied"))
        self.bench.world.touched(bay.device)
        return {"occupied": bay.on}

    def _connector(self, place: Place) -> Charger:
        return self.bench.world.places.connector(_number(place[0]), _number(place[1]))

    def _settled(self, charger: Charger) -> dict[str, Any]:
        """The connector as it is now that everybody has seen the change."""
        self.bench.world.touched(None)
        return charger.state()


_ROUTES: list[tuple[re.Pattern[str], dict[str, Action]]] = [
    (re.compile("/bench"), {"GET": Api.world}),
    (re.compile("/bench/log"), {"GET": Api.log}),
    (re.compile("/bench/power"), {"POST": Api.power}),
    (re.compile("/bench/agent"), {"POST": Api.agent}),
    (re.compile("/bench/network"), {"POST": Api.network}),
    (re.compile("/bench/device/([^/]+)/point/([^/]+)"), {"POST": Api.hold, "DELETE": Api.release}),
    (re.compile("/bench/device/([^/]+)/fault"), {"POST": Api.fault}),
    (re.compile("/bench/grid"), {"POST": Api.grid}),
    (re.compile("/bench/ems/([^/]+)"), {"POST": Api.ems}),
    (re.compile(f"{_CONNECTOR}/plug"), {"POST": Api.plug}),
    (re.compile(f"{_CONNECTOR}/unplug"), {"POST": Api.unplug}),
    (re.compile(f"{_CONNECTOR}/ev"), {"POST": Api.ev}),
    (re.compile(f"{_CONNECTOR}/lock"), {"POST": Api.lock}),
    (re.compile(f"{_EVSE}/token"), {"POST": Api.token}),
    (re.compile(f"{_EVSE}/stop-button"), {"POST": Api.stop_button}),
    (re.compile(f"{_EVSE}/bay"), {"POST": Api.bay}),
]


def _route(path: str) -> tuple[dict[str, Action], Place] | None:
    for pattern, methods in _ROUTES:
        match = pattern.fullmatch(path.rstrip("/"))
        if match is not None:
            return methods, match.groups()
    return None


def _object(body: Any, what: str = "the body") -> Body:
    if body is None and what == "the body":
        return {}
    if not isinstance(body, dict):
        raise Unusable(f"{what}: expected a JSON object")
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


def _flag(body: Body, key: str) -> bool:
    _only(body, key)
    value = body.get(key)
    if not isinstance(value, bool):
        raise Unusable(f"{key}: expected true or false")
    return value


def _number(text: str) -> int:
    """Of an EVSE or a connector; -1, which none has, where it is no number."""
    return int(text) if re.fullmatch("0|[1-9][0-9]{0,8}", text) else -1
