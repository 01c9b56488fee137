"""Reservations (part 2, block H): whose EVSE is kept, until when, and which EVSEs are shown Reserved for it.

A reservation keeps one EVSE, or, without `evse`, any that is free (with a connector of its type). Of the latter kind
no EVSE belongs to anyone: an EVSE is refused to others, and shown Reserved, exactly where its loss would leave one
reservation fewer with an EVSE of its own. H01.FR.20 and .24 count the same for one kind of reservation alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.clock import Clock
from agent.evse.availability import AVAILABLE, FAULTED, OCCUPIED, RESERVED, UNAVAILABLE, Availability
from agent.evse.plain import known_token, token_from, token_plain
from agent.evse.records import IdToken
from agent.evse.settings import EvseSettings
from agent.model import DeviceModel

ACCEPTED = "Accepted"
REJECTED = "Rejected"
EXPIRED = "Expired"
REMOVED = "Removed"


@dataclass(frozen=True, slots=True)
class Reservation:
    """What ReserveNow asks for (H01). `evse` None is any; `connector_type` one of ConnectorEnumType."""

    id: int
    expiry: datetime
    id_token: IdToken
    group: IdToken | None = None
    evse: int | None = None
    connector_type: str | None = None

    def is_for(self, token: IdToken, group: IdToken | None) -> bool:
        """Whether who presents `token`, which belongs to `group`, may use it (H03.FR.01 to .06)."""
        return self.id_token.same(token) or (self.group is not None and self.group.same(group))


class Reservations:
    """The reservations of one station, in the order in which they were accepted.

    `evses` gives the connector types of each EVSE, connector 1 first. Call `step` after everything that may change
    what is free (a cable, a fault, a transaction, a new clock), and when it is `due`.
    """

    def __init__(
        self, model: DeviceModel, clock: Clock, availability: Availability, evses: Mapping[int, Sequence[str]]
    ) -> None:
        self._settings = EvseSettings(model)
        self._clock = clock
        self._availability = availability
        self._evses = evses
        self._all: dict[int, Reservation] = {}
        self._shown: frozenset[int] = frozenset()
        self._operative = self._operative_connectors()

    # --- what the CSMS asks for ----------------------------------------------------------------------------------

    def reserve(self, new: Reservation) -> str:
        """Make a reservation, in place of the one with the same id (H01.FR.02); one of ReserveNowStatusEnumType.

        Rejected: reservations are switched off (H01.FR.01), without EVSE not supported (H01.FR.19), no such EVSE or
        no such connector there, expired already. Whatever is not Accepted changes nothing.
        """
        if not self._settings.flag("ReservationCtrlr", "Enabled", True):
            return REJECTED
        if new.evse is None and not self._settings.flag("ReservationCtrlr", "NonEvseSpecific"):
            return REJECTED
        targets = [evse for evse in self._evses if self._suits(evse, new)]
        if not targets or new.expiry <= self._clock.now():
            return REJECTED
        others = [one for one in self._live() if one.id != new.id]
        if not self._has_room(new, others):
            return self._why_not(new, targets)
        self._all.pop(new.id, None)
        self._all[new.id] = new
        self._operative |= self._operative_connectors()
        self._show()
        return ACCEPTED

    def cancel(self, reservation_id: int) -> bool:
        """H02: forget a reservation; False where there is none (H02.FR.01)."""
        found = self._all.pop(reservation_id, None)
        self._show()
        return found is not None

    # --- who comes -----------------------------------------------------------------------------------------------

    def match(self, evse: int | None, token: IdToken, group: IdToken | None = None) -> Reservation | None:
        """The reservation of this token that is good for this EVSE (None: for any): the most special one, which is
        the first to expire of several.
        """
        found = [one for one in self._live() if one.is_for(token, group) and (evse is None or self._suits(evse, one))]
        return min(found, key=lambda one: (one.evse is None, one.connector_type is None, one.expiry), default=None)

    def blocks(self, evse: int, token: IdToken, group: IdToken | None = None) -> bool:
        """Whether this EVSE is kept for somebody else (H01.FR.07, .09, erratum 2.32's remark on H03)."""
        own = self.match(evse, token, group)
        if own is not None and own.evse is not None:
            return False
        if any(one.evse == evse for one in self._live()):
            return True
        pool, free = _pool(self._live()), self._free(self._live())
        others = [one for one in pool if one is not own]
        served = self._served(others, free - {evse}) + (own is not None)
        return served < self._served(pool, free)

    def claim(self, evse: int | None, token: IdToken, group: IdToken | None = None) -> int | None:
        """A token is presented, at an EVSE or (None) not yet: the reservation that it matches is used up (H03.FR.09).

        Returns its id, for the transaction (H01.FR.15). The EVSE is Available at once, or Occupied (H03.FR.10); the
        others follow in the next `step`, when `Availability.busy` knows of the transaction.
        """
        if evse is not None and self.blocks(evse, token, group):
            return None
        found = self.match(evse, token, group)
        if found is None:
            return None
        del self._all[found.id]
        self._shown -= {evse, found.evse}
        self._availability.set_reserved(self._shown)
        return found.id

    def reserved_evses(self) -> frozenset[int]:
        """The EVSEs that are shown Reserved."""
        return self._shown

    # --- time and faults -----------------------------------------------------------------------------------------

    def step(self) -> list[tuple[int, str]]:
        """Let go of what has expired (H04) or lost its EVSE to a fault or to Inoperative (H01.FR.16, .17).

        Returns (id, ReservationUpdateStatusEnumType) of each, which the CSMS must hear.
        """
        now = self._clock.now()
        gone = [(one.id, EXPIRED) for one in self._all.values() if one.expiry <= now]
        self._drop(gone)
        operative = self._operative_connectors()
        if self._operative - operative:
            removed = [(one.id, REMOVED) for one in self._homeless()]
            self._drop(removed)
            gone += removed
        self._operative = operative
        self._show()
        return gone

    def due(self) -> float | None:
        """When the next reservation expires, in monotonic seconds; None without any."""
        if not self._all:
            return None
        first = min(one.expiry for one in self._all.values())
        return self._clock.monotonic() + max(0.0, (first - self._clock.now()).total_seconds())

    def _drop(self, gone: Iterable[tuple[int, str]]) -> None:
        for number, _ in gone:
            del self._all[number]

    def _homeless(self) -> list[Reservation]:
        """The reservations that no operative EVSE is left for; of several that compete, the later ones."""
        live = self._live()
        homeless = [one for one in live if one.evse is not None and not self._offers(one.evse, one)]
        free, kept = self._free(live), list[Reservation]()
        for one in _pool(live):
            if self._served([*kept, one], free) > len(kept):
                kept.append(one)
            else:
                homeless.append(one)
        return homeless

    # --- counting ------------------------------------------------------------------------------------------------

    def _live(self) -> list[Reservation]:
        now = self._clock.now()
        return [one for one in self._all.values() if one.expiry > now]

    def _suits(self, evse: int, one: Reservation) -> bool:
        """Whether the reservation is for this EVSE, whatever its state."""
        if evse not in self._evses or one.evse not in (None, evse):
            return False
        return one.connector_type is None or one.connector_type in self._evses[evse]

    def _offers(self, evse: int, one: Reservation) -> bool:
        """Whether this EVSE has an operative connector such as the reservation asks for."""
        return any(
            one.connector_type in (None, kind) and self._availability.usable(evse, connector)
            for connector, kind in enumerate(self._evses[evse], 1)
        )

    def _operative_connectors(self) -> set[tuple[int, int]]:
        return {
            (evse, connector)
            for evse, kinds in self._evses.items()
            for connector in range(1, len(kinds) + 1)
            if self._availability.usable(evse, connector)
        }

    def _free(self, reservations: Iterable[Reservation]) -> frozenset[int]:
        """The EVSEs that nobody uses and none of `reservations` names.

        A car that stands at a Reserved EVSE without the right to (G01.FR.09) does not use it, even where a
        transaction has begun with its cable.
        """
        named = {one.evse for one in reservations}
        return frozenset(
            evse
            for evse in self._evses
            if evse not in named
            and self._availability.status(evse) in (AVAILABLE, RESERVED)
            and (evse in self._shown or not self._availability.busy(evse))
        )

    def _served(self, pool: Sequence[Reservation], free: Iterable[int]) -> int:
        """How many of `pool` can have one of the `free` EVSEs each: a maximum bipartite matching."""
        rank = sorted(free)
        holder: dict[int, Reservation] = {}

        def place(one: Reservation, tried: set[int]) -> bool:
            for evse in rank:
                if evse in tried or not self._suits(evse, one) or not self._offers(evse, one):
                    continue
                tried.add(evse)
                if evse not in holder or place(holder[evse], tried):
                    holder[evse] = one
                    return True
            return False

        return sum(place(one, set()) for one in pool)

    def _has_room(self, new: Reservation, others: Sequence[Reservation]) -> bool:
        pool, free = _pool(others), self._free(others)
        if new.evse is None:
            return self._served([*pool, new], free) > self._served(pool, free)
        if new.evse not in free or not self._offers(new.evse, new):
            return False
        return self._served(pool, free - {new.evse}) == self._served(pool, free)

    def _why_not(self, new: Reservation, targets: Iterable[int]) -> str:
        """H01.FR.11, .12, .14; where one target is Faulted and one Unavailable, Unavailable."""
        states = {
            self._availability.status(evse, connector)
            for evse in targets
            for connector, kind in enumerate(self._evses[evse], 1)
            if new.connector_type in (None, kind)
        }
        if states <= {FAULTED}:
            return FAULTED
        return UNAVAILABLE if states <= {FAULTED, UNAVAILABLE} else OCCUPIED

    def _show(self) -> None:
        """Show Reserved what is kept. An EVSE that is let go may turn out to be Occupied, hence the loop."""
        while True:
            live = self._live()
            pool, free = _pool(live), self._free(live)
            served = self._served(pool, free)
            kept = {evse for evse in free if self._served(pool, free - {evse}) < served}
            shown = frozenset(kept | {one.evse for one in live if one.evse is not None})
            if shown == self._shown:
                return
            self._shown = shown
            self._availability.set_reserved(shown)

    # --- over a power cut ----------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """What must survive a power cut (B01.FR.13); which EVSEs are shown Reserved follows from it."""
        return json.dumps([_to_plain(one) for one in self._all.values()])

    def from_json(self, text: str) -> None:
        """Take up what `to_json` gave, with what has expired meanwhile, which the next `step` tells.

        What the board can no longer offer is left out. Raises ValueError for any other text, which changes nothing.
        """
        try:
            found = [_from_plain(one) for one in json.loads(text)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no stored reservations: {error!r}") from error
        self._all = {one.id: one for one in found if any(self._suits(evse, one) for evse in self._evses)}
        # What had failed before the start counts like what fails now.
        self._operative = {
            (evse, number) for evse, kinds in self._evses.items() for number in range(1, len(kinds) + 1)
        }
        self._show()


def _pool(reservations: Iterable[Reservation]) -> list[Reservation]:
    """Those that no EVSE is named in."""
    return [one for one in reservations if one.evse is None]


def _to_plain(one: Reservation) -> dict[str, Any]:
    return {
        "id": one.id,
        "expiry": one.expiry.astimezone(UTC).isoformat(),
        "token": token_plain(one.id_token),
        "group": token_plain(one.group),
        "evse": one.evse,
        "connector_type": one.connector_type,
    }


def _from_plain(plain: dict[str, Any]) -> Reservation:
    expiry = datetime.fromisoformat(plain["expiry"])
    if expiry.tzinfo is None:
        raise ValueError(f"{expiry} is in no time zone")
    number, evse, kind = plain["id"], plain["evse"], plain["connector_type"]
    if type(number) is not int or type(evse) not in (int, type(None)) or not isinstance(kind, str | None):
        raise ValueError(f"{plain} is no reservation")
    return Reservation(number, expiry, known_token(plain["token"]), token_from(plain["group"]), evse, kind)
