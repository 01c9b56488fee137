"""Functional block C: questions to the CSMS about tokens, and the handler of ClearCache."""

import asyncio
from collections import deque

from pydantic import ValidationError

from agent.evse.records import IdToken, IdTokenInfo
from agent.ocpp.calls import Call, Result
from agent.ocpp.handling import Context, Reply
from agent.ocpp.messages.authorization import AuthorizeRequest, AuthorizeResponse, ClearCacheResponse
from agent.ocpp.rpc import CallReceived, CallResult
from agent.ocpp.transactions import info_of, token_to


class NotAnswered(Exception):
    """The CSMS could not be asked, or did not answer; the message says why."""


class Questions:
    """Authorize requests that wait for their turn and for their answers (C01.FR.01)."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[AuthorizeRequest, asyncio.Future[IdTokenInfo]]] = deque()
        self._under_way: asyncio.Future[IdTokenInfo] | None = None

    def ask(self, token: IdToken) -> "asyncio.Future[IdTokenInfo]":
        """What will hold the answer; it raises NotAnswered. Raises it at once for a token that cannot be sent."""
        try:
            request = AuthorizeRequest(id_token=token_to(token))
        except ValidationError:
            raise NotAnswered("the token fits into no message") from None
        answer: asyncio.Future[IdTokenInfo] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        return answer

    def clear(self, reason: str) -> None:
        """Nobody can be asked any more."""
        while self._waiting:
            _fail(self._waiting.popleft()[1], reason)

    def next_call(self, _now: float) -> Call | None:
        while self._waiting:
            request, answer = self._waiting.popleft()
            if not answer.done():  # whoever asked may have gone
                self._under_way = answer
                return Call.of(request, self._done)
        return None

    def due(self) -> float | None:
        return 0.0 if self._waiting else None

    def _done(self, result: Result, _now: float) -> None:
        answer, self._under_way = self._under_way, None
        if answer is None or answer.done():
            return
        if isinstance(result, CallResult) and isinstance(result.response, AuthorizeResponse):
            answer.set_result(info_of(result.response.id_token_info))
        else:
            _fail(answer, getattr(result, "reason", "") or getattr(result, "description", "") or "refused")


def _fail(answer: "asyncio.Future[IdTokenInfo]", reason: str) -> None:
    if not answer.done():
        answer.set_exception(NotAnswered(reason))


async def clear_cache(context: Context, call: CallReceived) -> Reply:
    """C11."""
    del call
    charging = context.host.charging
    done = charging is not None and await charging.clear_cache()
    return Reply(ClearCacheResponse(status="Accepted" if done else "Rejected"))
