"""The panel's keys: which request each makes of the bench's API, by what the world looks like. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Place = tuple[int, int]
Request = tuple[str, str, dict[str, Any] | None]
"""(method, path, body), as over HTTP."""

TOKENS = ("04A1B2C3D4E5F6", "04FFEEDDCCBBAA")
"""The two cards that whoever sits at the panel has."""


@dataclass(frozen=True)
class Seat:
    """What whoever sits at the panel has before him: the world as `GET /bench` shows it, and the connector chosen.

    `readers` are those that there are (0: the station's), `rcds` what is to be held where an RCD trips: device,
    point and value, by EVSE.
    """

    world: Mapping[str, Any]
    chosen: Place
    readers: frozenset[int] = frozenset()
    rcds: Mapping[int, tuple[str, str, bool]] | None = None

    @property
    def evse(self) -> str:
        return f"/bench/evse/{self.chosen[0]}"

    @property
    def connector(self) -> str:
        return f"{self.evse}/connector/{self.chosen[1]}"

    @property
    def now(self) -> Mapping[str, Any]:
        """The chosen connector."""
        evse, connector = self.chosen
        found: Mapping[str, Any] = self.world["evse"][str(evse)]["connector"][str(connector)]
        return found


def _plug(seat: Seat) -> Request:
    if seat.now["ev"] is None:
        return "POST", f"{seat.connector}/plug", {}
    return "POST", f"{seat.connector}/unplug", {"side": "station"}


def _pull(seat: Seat) -> Request:
    side = "station" if seat.now["ev"] is None else "ev"
    return "POST", f"{seat.connector}/unplug", {"side": side}


def _ready(seat: Seat) -> Request:
    ev = seat.now["ev"]
    return "POST", f"{seat.connector}/ev", {"ready": not (ev or {"ready": False})["ready"]}


def _jam(seat: Seat) -> Request:
    return "POST", f"{seat.connector}/lock", {"jammed": not seat.now["jammed"]}


def _swipe(token: str) -> Callable[[Seat], Request]:
    def swipe(seat: Seat) -> Request:
        reader = seat.chosen[0] if seat.chosen[0] in seat.readers else 0
        return "POST", f"/bench/evse/{reader}/token", {"idToken": token}

    return swipe


def _rcd(seat: Seat) -> Request | None:
    told = (seat.rcds or {}).get(seat.chosen[0])
    if told is None:
        return None
    device, point, tripped = told
    path = f"/bench/device/{device}/point/{point}"
    held = seat.world["device"][device]["point"][point]["held"]
    return ("DELETE", path, None) if held else ("POST", path, {"value": tripped})


def _line(seat: Seat) -> Request:
    return "POST", "/bench/network", {"state": "down" if seat.world["network"] == "up" else "up"}


def _power(seat: Seat) -> Request:
    return "POST", "/bench/power", {"state": "off" if seat.world["power"] == "on" else "on"}


KEYS: dict[str, tuple[str, Callable[[Seat], Request | None]]] = {
    "p": ("plug in / out", _plug),
    "u": ("pull the plug at the car", _pull),
    "e": ("the car is ready / not", _ready),
    "f": ("the car is full", lambda seat: ("POST", f"{seat.connector}/ev", {"soc": 100})),
    "s": ("swipe a card", _swipe(TOKENS[0])),
    "t": ("swipe another card", _swipe(TOKENS[1])),
    "b": ("stop button", lambda seat: ("POST", f"{seat.evse}/stop-button", {})),
    "r": ("RCD trips / is sound", _rcd),
    "j": ("lock jams / moves", _jam),
    "l": ("line to the CSMS down / up", _line),
    "o": ("power off / on", _power),
    "k": ("kill the agent", lambda seat: ("POST", "/bench/agent", {"state": "kill"})),
}
"""Key → what it does, and the request that does it; None where this board has no such thing."""

QUIT = "q"
NEXT = "\t"


def choose(key: str, chosen: Place, places: list[Place]) -> Place:
    """The connector that is chosen after `key`: Tab takes the next one, a digit that one; else the old one."""
    if key == NEXT:
        return places[(places.index(chosen) + 1) % len(places)]
    if key.isascii() and key.isdigit() and 1 <= int(key) <= len(places):
        return places[int(key) - 1]
    return chosen


def request_of(key: str, seat: Seat) -> Request | None:
    """What `key` asks of the bench; None where it asks nothing."""
    told = KEYS.get(key)
    return None if told is None else told[1](seat)
