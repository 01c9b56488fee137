"""What the sources of outgoing messages and the session share: a CALL to make, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.ocpp.messages import Request
from agent.ocpp.rpc import CallFailed, CallResult


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer came: in time, or before the connection was lost. The CSMS may or may not have seen the CALL."""

    reason: str
    timed_out: bool = False
    """Whether it stayed out while the line stood (E13)."""


Result = CallResult | CallFailed | Unanswered


@dataclass(frozen=True, slots=True)
class Call:
    """A CALL to make: `payload` is JSON, `done` hears what became of it."""

    action: str
    payload: str
    done: Callable[[Result, float], None]
    """Takes (result, monotonic time)."""

    @classmethod
    def of(cls, request: Request, done: Callable[[Result, float], None]) -> "Call":
        return cls(request.action, request.to_json(), done)


class Source(Protocol):
    """Something that has messages to send. Pure: it is asked, it never sends."""

    def next_call(self, now: float, /) -> Call | None:
        """The next CALL, if one is due at monotonic time `now`; it is then under way until its `done`."""
        ...

    def due(self) -> float | None:
        """The monotonic time from which `next_call` has something; None while it has nothing."""
        ...
