"""Where people touch the station, and the points behind it: connectors, card readers, stop buttons, parking bays."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.board import Board
from agent.board.spec import ROLES
from agent.board.wiring import points_of_connector
from drivers import Value
from drivers.bench.charger import Charger
from drivers.bench.ev import NOTHING, Phases
from drivers.bench.points import Device, Point
from drivers.bench.refusals import NoSuchPlace
from drivers.settings import points_of

PRESS = 0.3
"""Seconds for which a button is pressed."""

SWIPE = 0.5
"""Seconds for which a card is held to a reader."""

_WATCHDOG = ("watchdog", "fallback_current")
"""Points of a controller that no role of the station is: the agent's driver sets them by itself."""

Swipe = Callable[[str, str], None]


@dataclass(frozen=True)
class Contact:
    """A point that a component's variable is read from; `invert` turns a boolean one."""

    device: str
    name: str
    point: Point
    invert: bool

    @property
    def on(self) -> bool:
        """What the variable says."""
        return self.point.true != self.invert

    def set(self, on: bool) -> None:
        """What it is by itself; a held point stays what it is."""
        self.point.natural = on != self.invert


@dataclass
class Button:
    """A push button, which springs back by itself."""

    contact: Contact
    left: float = 0.0
    """Seconds for which it is still pressed."""

    def press(self) -> None:
        """For `PRESS` seconds."""
        self.left = PRESS
        self.contact.set(True)

    def step(self, seconds: float) -> None:
        """Let `seconds` pass."""
        if self.left > 0:
            self.left -= seconds
            if self.left <= 0:
                self.contact.set(False)


@dataclass
class CardReader:
    """A reader with a card on it, or none. `tells` is its wire: it says each card as it comes."""

    device: str
    token: Point
    token_type: Point | None
    tells: Swipe | None = None
    left: float = 0.0

    def swipe(self, token: str, kind: str) -> None:
        """Hold a card to it for `SWIPE` seconds."""
        self.left = SWIPE
        self.token.natural = token
        if self.token_type is not None:
            self.token_type.natural = kind
        if self.tells is not None:
            self.tells(token, kind)

    def step(self, seconds: float) -> None:
        """Let `seconds` pass."""
        if self.left > 0:
            self.left -= seconds
            if self.left <= 0:
                self.token.natural = ""


class Places:
    """All of them on one board, by the numbers of their EVSEs and connectors; reader 0 is the station's."""

    def __init__(self, board: Board, devices: Mapping[str, Device], log: Callable[..., None]) -> None:
        self._board, self._devices = board, devices
        self.connectors: dict[tuple[int, int], Charger] = {}
        self._controlled: dict[str, list[Charger]] = {}
        """The connectors that a device has to do with, and those that it is the controller of."""
        self._alive: dict[str, list[Charger]] = {}
        for number, evse in board.evses.items():
            for one in evse.connectors:
                self.connectors[number, one] = self._charger(number, one, evse.phases or 1, log)
        self.readers: dict[int, CardReader] = {}
        self.buttons: dict[int, Button] = {}
        self.bays: dict[int, Contact] = {}
        for number in (0, *board.evses):
            self._furnish(number)
        self.meters = self._meters()
        """Device of an EVSE's meter → the EVSEs behind it."""

    def _charger(self, number: int, one: int, phases: int, log: Callable[..., None]) -> Charger:
        settings = self._board.evses[number].connectors[one]
        places: dict[str, str] = {}
        if settings.controller is not None:
            # The hardware has its registers even where the station makes no use of them, as of a fixed cable's lock.
            has = points_of(self._board.devices[settings.controller], self._board.profiles)
            places = {role: f"{settings.controller}.{role}" for role in (*ROLES, *_WATCHDOG) if role in has}
        places |= points_of_connector(self._board, settings)
        points: dict[str, Point] = {}
        for role, place in places.items():
            device, _, point = place.partition(".")
            points[role] = self._devices[device].points[point]

        def note(what: str, value: Value) -> None:
            log(what, evse=number, connector=one, value=value)

        charger = Charger(points, note, socket=settings.is_socket, phases=phases)
        for device in {place.partition(".")[0] for place in places.values()}:
            self._controlled.setdefault(device, []).append(charger)
        if settings.controller is not None:
            self._alive.setdefault(settings.controller, []).append(charger)
        return charger

    def _furnish(self, number: int) -> None:
        evse = number or None
        token = self.source("TokenReader", "Token", evse)
        if token is not None:
            kind = self.source("TokenReader", "TokenType", evse)
            self.readers[number] = CardReader(token.device, token.point, None if kind is None else kind.point)
            token.point.natural = ""
            if kind is not None:
                kind.point.natural = "ISO14443"
        if evse is None:
            return
        stop = self.source("UIInput", "Operated", evse, "Stop")
        if stop is not None:
            self.buttons[number] = Button(stop)
        bay = self.source("BayOccupancySensor", "Active", evse)
        if bay is not None:
            self.bays[number] = bay
        for contact in (stop, bay):
            if contact is not None:
                contact.set(False)

    def source(self, component: str, variable: str, evse: int | None, instance: str | None = None) -> Contact | None:
        """The point that the variable is read from, if the board measures it."""
        for spec in self._board.components:
            if (spec.name.casefold(), spec.evse) != (component.casefold(), evse) or spec.instance != instance:
                continue
            for name, told in spec.variables.items():
                if name.casefold() == variable.casefold() and told.actual is not None:
                    device, _, point = told.actual.source.partition(".")
                    return Contact(device, point, self._devices[device].points[point], told.actual.invert)
        return None

    def _meters(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for spec in self._board.components:
            if spec.name.casefold() != "fiscalmetering" or spec.evse is None:
                continue
            for told in spec.variables.values():
                if told.actual is not None:
                    evses = found.setdefault(told.actual.source.partition(".")[0], [])
                    if spec.evse not in evses:
                        evses.append(spec.evse)
        return found

    # --- time and the agent ----------------------------------------------------------------------------------------

    def step(self, seconds: float, now: float, powered: bool) -> None:
        """Let `seconds` pass until `now`."""
        for charger in self.connectors.values():
            charger.step(seconds, now, powered)
        for button in self.buttons.values():
            button.step(seconds)
        for reader in self.readers.values():
            reader.step(seconds)

    def written(self, device: str, alive: bool, now: float, powered: bool) -> None:
        """The agent wrote to `device`, or let go of it; was it a sign of life? What hangs on it follows at once."""
        if alive:
            for charger in self._alive.get(device, ()):
                charger.heard()
        for charger in self._controlled.get(device, ()):
            charger.step(0.0, now, powered)

    def flow(self, device: str) -> Phases | None:
        """What flows through the connectors behind a meter, in W per phase; None where none are.

        A meter without an EVSE may be part of a connector's controller.
        """
        if device in self.meters:
            return total(self.load(evse) for evse in self.meters[device])
        if device in self._alive:
            return total(charger.power() for charger in self._alive[device])
        return None

    def load(self, evse: int) -> Phases:
        """What flows into the cars at an EVSE, in W per phase."""
        return total(charger.power() for (number, _), charger in self.connectors.items() if number == evse)

    def unmetered(self) -> Phases:
        """The same of all EVSEs that have no meter of their own."""
        metered = {evse for evses in self.meters.values() for evse in evses}
        return total(self.load(evse) for evse in self._board.evses if evse not in metered)

    # --- whoever stands at the bench -------------------------------------------------------------------------------

    def connector(self, evse: int, connector: int) -> Charger:
        """Raises `NoSuchPlace`."""
        found = self.connectors.get((evse, connector))
        if found is None:
            there = ", ".join(f"{one}/{two}" for one, two in self.connectors)
            raise NoSuchPlace(f"no connector {evse}/{connector}; there are {there or 'none'}")
        return found

    def reader(self, evse: int) -> CardReader:
        """Of an EVSE, or with 0 the station's own. Raises `NoSuchPlace`."""
        found = self.readers.get(evse)
        if found is None:
            raise NoSuchPlace(f"no card reader {evse}; there are {_numbers(self.readers)} (0: the station's)")
        return found

    def button(self, evse: int) -> Button:
        """The stop button of an EVSE. Raises `NoSuchPlace`."""
        found = self.buttons.get(evse)
        if found is None:
            raise NoSuchPlace(f"no stop button at EVSE {evse}; there are {_numbers(self.buttons)}")
        return found

    def bay(self, evse: int) -> Contact:
        """The sensor of an EVSE's parking bay. Raises `NoSuchPlace`."""
        found = self.bays.get(evse)
        if found is None:
            raise NoSuchPlace(f"no bay sensor at EVSE {evse}; there are {_numbers(self.bays)}")
        return found

    def state(self) -> dict[str, Any]:
        """The EVSEs in the form of `GET /bench`."""
        return {
            str(number): {
                "bay": {"occupied": number in self.bays and self.bays[number].on},
                "connector": {str(one): self.connectors[number, one].state() for one in evse.connectors},
            }
            for number, evse in self._board.evses.items()
        }


def total(flows: Iterable[Phases]) -> Phases:
    """Phase by phase."""
    one, two, three = (sum(parts) for parts in zip(NOTHING, *flows, strict=True))
    return (one, two, three)


def _numbers(there: Mapping[int, object]) -> str:
    return ", ".join(map(str, there)) or "none"
