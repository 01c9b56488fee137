"""The desk: who presents a token, or is sent by the CSMS, is authorized here and finds an EVSE (blocks C, F, H)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from agent.evse.authorization import Authorizer, Decision
from agent.evse.availability import Availability
from agent.evse.evse import Evse
from agent.evse.records import IdToken, IdTokenInfo
from agent.evse.reservations import Reservations
from agent.evse.transaction import Authorization
from agent.model import DeviceModel, Value, Variable
from agent.ocpp.authorization import NotAnswered
from agent.ocpp.host import RemoteStart, StartAnswer

log = logging.getLogger(__name__)

UNLOCK_SECONDS = 5.0
"""How long a plug is let go for."""

END_SECONDS = 8.0
"""How long the next driver, or a reset, waits for a transaction that ends."""


_Asked = list[IdTokenInfo | None]
"""What the CSMS answered since a token was presented: nothing yet, or one answer."""


class Asking(Protocol):
    """The line to the CSMS, as far as the desk needs it."""

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        """Ask the CSMS (C01). Raises NotAnswered."""
        ...


class Desk:
    """`floating` is the driver who was authorized before an EVSE was chosen; `wake` makes the EVSEs be looked at,
    `background` runs a coroutine, `keep` stores that a reservation was used."""

    def __init__(
        self,
        model: DeviceModel,
        evses: Mapping[int, Evse],
        floating: Evse,
        *,
        line: Asking,
        authorizer: Authorizer,
        availability: Availability,
        reservations: Reservations,
        wake: Callable[[], None],
        background: Callable[[Coroutine[Any, Any, Any]], None],
        keep: Callable[[], Coroutine[Any, Any, bool]],
    ) -> None:
        self._model, self.evses, self._floating, self._line = model, evses, floating, line
        self.authorizer, self.availability, self.reservations = authorizer, availability, reservations
        self._wake, self._background, self._keep = wake, background, keep
        self._all = [*evses.values(), floating]
        self.online = False
        self.closed = False
        """Whether nobody new is taken: the station is about to restart."""
        for variable in model.variables():
            component, name = variable.component, variable.name.key
            if component.name == "TokenReader" and name == ("token", ""):
                variable.listen(self._token_heard)
            elif component.name == "UIInput" and (component.instance or "").casefold() == "stop":
                variable.listen(self._stop_pressed)

    # --- the driver ------------------------------------------------------------------------------------------------

    def _token_heard(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        if not isinstance(new, str) or not new:
            return
        kind = self._model.get(variable.component, "TokenType")
        token = IdToken(new, str(kind.actual.value) if kind is not None and kind.actual.value else "ISO14443")
        self._background(self.present(token, variable.component.evse))

    def _stop_pressed(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        evse = self.evses.get(variable.component.evse or 0)
        if old is False and new is True and evse is not None and evse.auth is not None:
            evse.end_authorization("button")
            self._wake()

    async def present(self, token: IdToken, place: int | None) -> None:
        """A token was held to the reader of EVSE `place`, or to the station's (C01, E07, C16)."""
        evses = [self.evses[place]] if place is not None and place in self.evses else list(self.evses.values())
        for evse in evses:
            if evse.held_by is not None and token.same(evse.held_by) and evse.auth is None:
                evse.unlock(UNLOCK_SECONDS)  # E09.FR.03, E05.FR.11
                return
        asked: _Asked = []
        if await self._stops(token, evses, asked):
            return
        chosen = self._choose(place)
        if chosen is None:
            decision = await self._decide(token, None, asked)  # it may be a master pass
            if self.authorizer.is_master_pass(decision.info):
                self._master_pass(token)
            return
        for _ in range(int(END_SECONDS / 0.1)):
            if chosen.free:
                break
            await asyncio.sleep(0.1)
        if not chosen.open_to(token):
            log.info("EVSE %d: the transaction that runs there is somebody else's", chosen.id)
            return
        decision = await self._decide(token, chosen.id or None, asked)
        if self.authorizer.is_master_pass(decision.info):
            self._master_pass(token)
        elif decision.accepted:
            self._begin(chosen, decision.token or token, decision.info)
        else:
            status = None if decision.info is None else decision.info.status
            log.info("a token was not accepted: %s", status)

    async def _stops(self, token: IdToken, evses: Sequence[Evse], asked: _Asked) -> bool:
        """Whether `token` ends an authorization: its own, one of its group, or with a master pass every one."""
        users = [evse for evse in (*evses, self._floating) if evse.auth is not None]
        users.sort(key=lambda evse: not token.same(evse.auth.token if evse.auth else None))
        for evse in users:
            auth = evse.auth
            if auth is None:
                continue  # it ended while the CSMS was asked
            decision = await self._may_stop(token, auth, asked)
            if not decision.accepted:
                continue
            if self.authorizer.is_master_pass(decision.info):
                self._master_pass(token)
            elif evse.auth is auth:
                evse.end_authorization("token", token)
                self._wake()
            return True
        return False

    def _choose(self, place: int | None) -> Evse | None:
        """The EVSE a driver at this reader means; the floating one where any will do, None where none is free."""
        if place is not None and place in self.evses:
            evse = self.evses[place]
            return evse if evse.auth is None and self.availability.usable(place) else None
        free = [one for one in self.evses.values() if one.auth is None and self.availability.usable(one.id)]
        waiting = [one for one in free if one.connected]
        if waiting:
            return waiting[-1]
        if len(free) == 1:
            return free[0]
        return self._floating if free and self._floating.auth is None else None

    def _begin(self, evse: Evse, token: IdToken, info: IdTokenInfo | None, remote: RemoteStart | None = None) -> None:
        group = None if info is None else info.group
        if remote is not None:
            group = remote.group or group
        if not evse.open_to(token) or (evse.id and not self.open_to(evse, token, group)):
            log.info("EVSE %d is kept for somebody else, or cannot be used", evse.id)
            return
        reservation = self.reservations.claim(evse.id or None, token, group)
        evse.authorize(
            token,
            group,
            remote_start_id=None if remote is None else remote.remote_start_id,
            reservation_id=reservation,
            evse_ids=() if info is None else info.evse_ids,
            priority=0 if info is None else info.charging_priority or 0,
        )
        if reservation is not None:
            self._background(self._keep())
        self._wake()

    def open_to(self, evse: Evse, token: IdToken, group: IdToken | None) -> bool:
        usable = self.availability.usable(evse.id)
        return usable and not self.closed and not self.reservations.blocks(evse.id, token, group)

    def _master_pass(self, token: IdToken) -> None:
        """C16.FR.02: without a display every transaction is stopped."""
        for evse in self._all:
            if evse.auth is not None or evse.tx is not None:
                evse.end_authorization("master pass", token)
        self._wake()

    # --- authorization ---------------------------------------------------------------------------------------------

    async def _ask(self, token: IdToken, asked: _Asked) -> IdTokenInfo | None:
        """What the CSMS says of `token`, asked once for all that hangs on it; None where it does not answer."""
        if not asked:
            try:
                info = await self._line.authorize(token)
            except NotAnswered as error:
                log.warning("the CSMS was not asked: %s", error)
                asked.append(None)
            else:
                await self.authorizer.answered(token, info)
                asked.append(info)
        return asked[0]

    async def _decide(self, token: IdToken, evse: int | None, asked: _Asked, *, remote: bool = False) -> Decision:
        decide = partial(self.authorizer.decide, token, evse=evse, remote=remote)
        decision = await decide(online=self.online)
        if decision.verdict != "ask":
            return decision
        info = await self._ask(decision.token or token, asked)
        return await decide(online=False) if info is None else self.authorizer.judge(token, info, evse)

    async def _may_stop(self, token: IdToken, auth: Authorization, asked: _Asked) -> Decision:
        decide = partial(self.authorizer.may_stop, token, auth.token, auth.group)
        decision = await decide(online=self.online)
        if decision.verdict != "ask":
            return decision
        info = await self._ask(decision.token or token, asked)
        return await decide(online=False) if info is None else self.authorizer.judge_stop(token, info, auth.group)

    # --- the CSMS --------------------------------------------------------------------------------------------

    def request_start(self, request: RemoteStart) -> StartAnswer:
        evse = self._place_for(request)
        if isinstance(evse, StartAnswer):
            return evse
        transaction = None if evse.tx is None else evse.tx.id
        return StartAnswer(
            "Accepted",
            transaction_id=transaction,
            then=lambda: self._background(self._remote_start(evse, request)),
        )

    def _place_for(self, request: RemoteStart) -> "Evse | StartAnswer":
        def usable(one: Evse) -> bool:
            return one.open_to(request.id_token) and self.open_to(one, request.id_token, request.group)

        if request.evse is None:
            free = [one for one in self.evses.values() if usable(one)]
            connected = [one for one in free if one.connected]
            found = next(iter(connected or free), None)
            return StartAnswer("Rejected", "NoEvse", "no EVSE is free") if found is None else found
        evse = self.evses.get(request.evse)
        if evse is None:
            return StartAnswer("Rejected", "UnknownEvse")
        if not usable(evse):
            return StartAnswer("Rejected", "TxInProgress" if evse.auth is not None else "InvalidState")
        return evse

    async def _remote_start(self, evse: Evse, request: RemoteStart) -> None:
        decision = await self._decide(request.id_token, evse.id, [], remote=True)
        if decision.accepted:
            self._begin(evse, decision.token or request.id_token, decision.info, request)
        else:
            log.info("a remote start was not authorized")
