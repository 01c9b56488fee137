"""What the station keeps of one customer, for who asks to see it or to have it forgotten (N09, N10).

Of the transactions that ended, only messages are left, and only until the CSMS has answered them. They are what it is
owed, so they are reported and not removed; what it answers to the last of them may be cached again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from agent.evse import local_list
from agent.evse.auth_store import StoreFailed
from agent.evse.auth_tokens import Entry, decode, encode
from agent.evse.authorization import Authorizer
from agent.evse.plain import known_token
from agent.evse.records import IdToken
from agent.evse.reservations import Reservations
from agent.evse.transaction import Authorization, Transaction


class Kept(Protocol):
    """The store, as far as customers are in it."""

    def messages(self) -> list[tuple[int, str, str]]: ...

    async def look_up(self, room: str, key: str) -> str | None: ...


class Place(Protocol):
    """Where somebody may charge; `agent.evse.ledger.Ledger` is one."""

    id: int
    auth: Authorization | None
    tx: Transaction | None


class Customers:
    """Fulfils `agent.ocpp.host_diagnostics.Customers`. `cancel` forgets a reservation, `ended` tells the CSMS (id,
    status) of it.
    """

    def __init__(
        self,
        *,
        store: Kept,
        authorizer: Authorizer,
        reservations: Reservations,
        places: Iterable[Place],
        cancel: Callable[[int], Awaitable[bool]],
        ended: Callable[[int, str], None],
    ) -> None:
        self._store, self._authorizer, self._reservations = store, authorizer, reservations
        self._places = tuple(places)
        self._cancel, self._ended = cancel, ended

    def charging(self, token: IdToken) -> bool:
        """Whether an authorization or a transaction of `token` goes on."""
        return any(_is_at(one, token) for one in self._places)

    async def known(self, token: IdToken) -> Sequence[dict[str, Any]]:
        """All that is kept of `token`. Raises StoreFailed."""
        found: list[dict[str, Any]] = []
        cached = self._authorizer.cache.peek(token)
        if cached is not None:
            found.append({"kept": "authorization cache", **_plain(cached)})
        listed = await self._listed(token)
        if listed is not None:
            found.append({"kept": "local authorization list", "cleared": "by SendLocalList alone", **_plain(listed)})
        found += [
            {"kept": "transaction" if one.tx else "authorization", "evse": one.id, "id": one.tx and one.tx.id}
            for one in self._places
            if _is_at(one, token)
        ]
        for one in self._reserved(token):
            found.append({"kept": "reservation", **{key: one[key] for key in ("id", "evse", "expiry")}})
        return [*found, *await self._queued(token)]

    async def forget(self, token: IdToken) -> None:
        """Remove what may be removed. Raises StoreFailed."""
        await self._authorizer.cache.forget(token)
        for one in self._reserved(token):
            if not await self._cancel(one["id"]):
                raise StoreFailed(f"reservation {one['id']} cannot be removed")
            self._ended(one["id"], "Removed")

    async def _listed(self, token: IdToken) -> Entry | None:
        """Also where the list is not enabled: it is kept all the same."""
        try:
            text = await self._store.look_up(local_list.ROOM, token.key)
            return None if text is None else decode(text)
        except Exception as error:
            raise StoreFailed(f"the local list: {error}") from error

    def _reserved(self, token: IdToken) -> list[dict[str, Any]]:
        all_of_them = json.loads(self._reservations.to_json())
        return [one for one in all_of_them if known_token(one["token"]).same(token)]

    async def _queued(self, token: IdToken) -> list[dict[str, Any]]:
        """The messages of each transaction that names the token, as far as they wait for their answer."""
        try:
            waiting = await asyncio.to_thread(self._store.messages)
        except Exception as error:
            raise StoreFailed(f"the messages that wait: {error}") from error
        events = [json.loads(payload) for _, action, payload in waiting if action == "TransactionEvent"]
        whose = {one["transactionInfo"]["transactionId"] for one in events if _names(one, token)}
        found: dict[str, dict[str, Any]] = {}
        for one in events:
            number = one["transactionInfo"]["transactionId"]
            if number in whose:
                entry = found.setdefault(
                    number,
                    {"kept": "messages, until they are answered", "transaction": number, "from": one["timestamp"]},
                )
                entry["count"] = entry.get("count", 0) + 1
                entry["to"] = one["timestamp"]
        return list(found.values())


def _names(event: dict[str, Any], token: IdToken) -> bool:
    told = event.get("idToken")
    return told is not None and IdToken(told["idToken"], told["type"]).same(token)


def _is_at(place: Place, token: IdToken) -> bool:
    return (place.auth is not None and place.auth.token.same(token)) or (
        place.tx is not None and token.same(place.tx.token)
    )


def _plain(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(encode(entry))
    return plain
