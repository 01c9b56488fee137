"""What the tests of reservations share: a small station with its reservations, which can lose its power."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from agent.evse.records import IdToken
from agent.evse.reservations import Reservation, Reservations
from agent.model import Component, Value
from tests.evse.auth_parts import Clock, card, group
from tests.evse.station_parts import TWO, find, power_cut, started, station

ALICE, BOB, EVE, STRANGER = card(1), card(2), card(3), card(99)
FAMILY = group("FAMILY")
HOUR = timedelta(hours=1)
THREE: Mapping[int, Sequence[str]] = {1: ("sType2", "cCCS2"), 2: ("sType2",), 3: ("cCCS2",)}


class World:
    """A station with its reservations, which can lose its power."""

    def __init__(self, evses: Mapping[int, Sequence[str]] = TWO, clock: Clock | None = None) -> None:
        self.evses = evses
        self.clock = clock or Clock()
        self.model = station(evses)
        self.availability, self.told, self.transactions = started(self.model)
        self.reservations = Reservations(self.model, self.clock, self.availability, evses)

    def reserve(
        self,
        number: int,
        token: IdToken,
        evse: int | None = None,
        kind: str | None = None,
        *,
        family: IdToken | None = None,
        expiry: timedelta = HOUR,
    ) -> str:
        return self.reservations.reserve(Reservation(number, self.clock.now() + expiry, token, family, evse, kind))

    def set(self, name: str, value: Value | None) -> None:
        find(self.model, Component("ReservationCtrlr"), name).update(value)

    def plug(self, evse: int, on: bool = True, connector: int = 1) -> None:
        self.availability.set_occupied(evse, connector, on)
        assert self.reservations.step() == []

    def states(self) -> list[str]:
        """Of the EVSEs; their connectors agree as far as no cable is there."""
        return [self.availability.status(evse) for evse in self.evses]

    def restarted(self, folder: Path, away: float) -> "World":
        """The station after a power cut of `away` seconds."""
        again = World(self.evses, self.clock)
        text = power_cut(folder, self.reservations.to_json())
        self.clock.move(away)
        again.reservations.from_json(text)
        return again
