"""The OCPP-J framing (part 4 §4): frames in, events out, and the frames to send, without any I/O.

One `Rpc` serves one connection. The session hands it every frame that arrives and sends every text it returns.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from agent.ocpp.messages import FROM_CSMS, KNOWN_ACTIONS, TO_CSMS, Actions, Request, Response
from agent.ocpp.messages.base import Message

CALL, CALLRESULT, CALLERROR = 2, 3, 4
MAX_ID = 36
MAX_DESCRIPTION = 255
UNREADABLE_ID = "-1"  # part 4 §4.2.3: the id of a CALLERROR when the message's own could not be read
DEFAULT_MAX_SIZE = 256 * 1024

_HEAD_BYTES = 160  # enough for the longest head: type, id and action
_HEAD = re.compile(
    rb'[ \t\r\n]*\[[ \t\r\n]*(?P<type>\d{1,3})[ \t\r\n]*,[ \t\r\n]*"(?P<id>[ !#-\[\]-~]{0,36})"[ \t\r\n]*'
    rb'(?P<action>,[ \t\r\n]*"[A-Za-z0-9]+"[ \t\r\n]*,)?'
)


class ErrorCode(StrEnum):
    """The allowed error codes (part 4 §4.3, table 8).

    §4.4 once writes MessageTypeErrorSupported; the table is normative and has MessageTypeNotSupported.
    """

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC_ERROR = "GenericError"
    INTERNAL_ERROR = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL_ERROR = "ProtocolError"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    SECURITY_ERROR = "SecurityError"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"


VIOLATIONS: dict[str, ErrorCode] = {
    "missing": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "too_short": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "too_long": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    "enum": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "finite_number": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "greater_than_equal": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "less_than": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "literal_error": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "string_too_long": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "value_error": ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
    "bool_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "float_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "int_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "model_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "string_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "tuple_type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    # The payload is correct JSON (so no FormatViolation), but its structure is not the message's.
    "extra_forbidden": ErrorCode.PROTOCOL_ERROR,
}
"""Pydantic's kinds of error and what part 4 §4.3 calls them; any other kind is a FormatViolation."""


@dataclass(frozen=True, slots=True)
class CallReceived:
    """The CSMS calls: answer with `Rpc.reply` or `Rpc.reply_error`. `size` is that of the frame, in bytes."""

    message_id: str
    action: str
    request: Request
    size: int


@dataclass(frozen=True, slots=True)
class CallResult:
    """The CSMS answered the outstanding CALL."""

    message_id: str
    action: str
    response: Response


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The outstanding CALL was answered with a CALLERROR, or with a result that is not valid.

    `code` is what the CSMS sent, so possibly none of `ErrorCode`.
    """

    message_id: str
    action: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class CallTimedOut:
    """The outstanding CALL got no answer in time (part 4 §4.1.1); one that comes later is ignored."""

    message_id: str
    action: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The frame was refused: send `text`, a CALLERROR with `code` and `description`."""

    text: str
    code: ErrorCode
    description: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The frame changes nothing and is not answered: an error about an answer could go on forever."""

    reason: str


Event = CallReceived | CallResult | CallFailed | Answer | Ignored


class CallOutstanding(RuntimeError):
    """A CALL was made before the one before it was answered or timed out (part 4 §4.1.1)."""


class UnknownMessageId(LookupError):
    """A reply to a CALL that is not being handled: it never came, or was answered before."""


@dataclass(frozen=True, slots=True)
class _Outstanding:
    message_id: str
    action: str
    deadline: float


class Rpc:
    """One connection's CALLs in both directions.

    `message_timeout` (seconds) may be changed at any time, and counts from the next CALL. `max_size` is in bytes.
    """

    def __init__(
        self,
        message_timeout: float,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        accepts: Actions = FROM_CSMS,
        sends: Actions = TO_CSMS,
    ) -> None:
        self.message_timeout = message_timeout
        self._max_size = max_size
        self._new_id = new_id
        self._accepts = accepts
        self._sends = sends
        self._outstanding: _Outstanding | None = None
        self._handling: dict[str, str] = {}  # message id: action

    # --- our CALLs ---

    @property
    def outstanding(self) -> str | None:
        """The message id of our CALL that waits for its answer."""
        return self._outstanding.message_id if self._outstanding else None

    @property
    def deadline(self) -> float | None:
        """The monotonic time at which the outstanding CALL times out."""
        return self._outstanding.deadline if self._outstanding else None

    def call(self, request: Request, now: float, message_id: str | None = None) -> str:
        """The frame that calls `request`. Raises CallOutstanding."""
        return self.call_json(request.action, request.to_json(), now, message_id)

    def call_json(self, action: str, payload: str, now: float, message_id: str | None = None) -> str:
        """As `call`, with a payload that was made by `Request.to_json` earlier. Raises CallOutstanding."""
        if self._outstanding:
            raise CallOutstanding(f"{action} must wait for the answer to {self._outstanding.action}")
        if action not in self._sends:
            raise ValueError(f"{action} is no action this station sends")
        message_id = self._new_id() if message_id is None else message_id
        if len(message_id) > MAX_ID:
            raise ValueError(f"the message id has more than {MAX_ID} characters")
        self._outstanding = _Outstanding(message_id, action, now + self.message_timeout)
        return f'[{CALL},{json.dumps(message_id)},"{action}",{payload}]'

    def expired(self, now: float) -> CallTimedOut | None:
        """The outstanding CALL if its time is over at `now`; it is then outstanding no longer."""
        call = self._outstanding
        if call is None or now < call.deadline:
            return None
        self._outstanding = None
        return CallTimedOut(call.message_id, call.action)

    # --- the CSMS's CALLs ---

    def reply(self, message_id: str, response: Response) -> str:
        """The CALLRESULT to a CALL received. Raises UnknownMessageId, and TypeError for another action's response."""
        expected = self._accepts[self._handled(message_id)][1]
        if not isinstance(response, expected):
            raise TypeError(f"{expected.__name__} expected, not {type(response).__name__}")
        del self._handling[message_id]
        return f"[{CALLRESULT},{json.dumps(message_id)},{response.to_json()}]"

    def reply_error(self, message_id: str, code: ErrorCode, description: str = "") -> str:
        """The CALLERROR to a CALL received; the description is cut to its 255 characters. Raises UnknownMessageId."""
        self._handled(message_id)
        del self._handling[message_id]
        return _error_frame(message_id, code, description)

    def _handled(self, message_id: str) -> str:
        if message_id not in self._handling:
            raise UnknownMessageId(f"no CALL with the id {message_id!r} is being handled")
        return self._handling[message_id]

    # --- frames from the CSMS ---

    def receive(self, frame: str | bytes) -> Event:
        """What one frame means; never raises, whatever it holds."""
        data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
        if len(data) > self._max_size:
            # B05.FR.12, B06.FR.17, B08.FR.18 name this code for a message of too many bytes
            return self._unreadable(
                data, ErrorCode.FORMAT_VIOLATION, f"the message has more than {self._max_size} bytes"
            )
        try:
            message = from_json(data, allow_inf_nan=False)
        except ValueError as error:
            head = _HEAD.match(data[:_HEAD_BYTES])
            # With a head that can be read it is the payload that is no JSON.
            code = ErrorCode.FORMAT_VIOLATION if head and head["action"] else ErrorCode.RPC_FRAMEWORK_ERROR
            return self._unreadable(data, code, f"not valid JSON: {error}")
        match message:
            case [int(kind), str(message_id), *rest] if type(kind) is int and len(message_id) <= MAX_ID:
                return self._dispatch(kind, message_id, rest, len(data))
            case [3 | 4, *_]:
                return Ignored("an answer without a message id")
            case [_, str(message_id), *_] if len(message_id) <= MAX_ID:
                return _refuse(message_id, ErrorCode.RPC_FRAMEWORK_ERROR, "the message type should be an integer")
            case [_, *_]:
                description = f"the message id should be a text of at most {MAX_ID} characters"
                return _refuse(UNREADABLE_ID, ErrorCode.RPC_FRAMEWORK_ERROR, description)
        return _refuse(
            UNREADABLE_ID,
            ErrorCode.RPC_FRAMEWORK_ERROR,
            "the message should be a JSON array of a type, an id and more",
        )

    def _dispatch(self, kind: int, message_id: str, rest: list[Any], size: int) -> Event:
        if kind == CALL:
            return self._call_received(message_id, rest, size)
        if kind == CALLRESULT:
            return self._result_received(message_id, rest)
        if kind == CALLERROR:
            return self._error_received(message_id, rest)
        # part 4 §4.1.3, §4.4: the payload is ignored
        description = "the message type should be 2, 3 or 4"
        return _refuse(message_id, ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, description)

    def _call_received(self, message_id: str, rest: list[Any], size: int) -> Event:
        if message_id in self._handling:
            # part 4 §4.2.3, situation 2
            description = "a CALL with this message id is being handled already"
            return _refuse(message_id, ErrorCode.RPC_FRAMEWORK_ERROR, description)
        match rest:
            case [str(action), payload]:
                pass
            case _:
                description = "a CALL should be [2, message id, action, payload]"
                return _refuse(message_id, ErrorCode.RPC_FRAMEWORK_ERROR, description)
        if action not in self._accepts:
            if action in KNOWN_ACTIONS:
                return _refuse(message_id, ErrorCode.NOT_SUPPORTED, f"{action}Request not supported")
            return _refuse(message_id, ErrorCode.NOT_IMPLEMENTED, "the action is no action of OCPP 2.0.1")
        request = _parse(self._accepts[action][0], payload)
        if isinstance(request, _Violation):
            return _refuse(message_id, request.code, request.description)
        self._handling[message_id] = action
        return CallReceived(message_id, action, request, size)

    def _result_received(self, message_id: str, rest: list[Any]) -> Event:
        call = self._answered(message_id)
        if call is None:
            return Ignored("a CALLRESULT that no CALL waits for")
        if len(rest) != 1:
            description = "a CALLRESULT should be [3, message id, payload]"
            return CallFailed(call.message_id, call.action, ErrorCode.RPC_FRAMEWORK_ERROR, description)
        response = _parse(self._sends[call.action][1], rest[0])
        if isinstance(response, _Violation):
            return CallFailed(call.message_id, call.action, response.code, response.description)
        return CallResult(call.message_id, call.action, response)

    def _error_received(self, message_id: str, rest: list[Any]) -> Event:
        call = self._answered(message_id)
        if call is None:
            return Ignored("a CALLERROR that no CALL waits for")
        match rest:
            case [str(code), str(description), *_]:
                return CallFailed(call.message_id, call.action, code[:MAX_DESCRIPTION], description[:MAX_DESCRIPTION])
        # Whatever it lacks, it does say that the CALL failed.
        description = "a CALLERROR should be [4, message id, code, description, details]"
        return CallFailed(call.message_id, call.action, ErrorCode.GENERIC_ERROR, description)

    def _unreadable(self, data: bytes, code: ErrorCode, description: str) -> Event:
        head = _HEAD.match(data[:_HEAD_BYTES])
        if head is None:
            return _refuse(UNREADABLE_ID, code, description)
        message_id = head["id"].decode("ascii")
        if int(head["type"]) not in (CALLRESULT, CALLERROR):
            return _refuse(message_id, code, description)
        call = self._answered(message_id)
        if call is None:
            return Ignored("an unreadable answer that no CALL waits for")
        return CallFailed(call.message_id, call.action, code, description)

    def _answered(self, message_id: str) -> _Outstanding | None:
        call = self._outstanding
        if call is None or call.message_id != message_id:
            return None
        self._outstanding = None
        return call


@dataclass(frozen=True, slots=True)
class _Violation:
    code: ErrorCode
    description: str


_MessageT = TypeVar("_MessageT", bound=Message)


def _parse(model: type[_MessageT], payload: Any) -> _MessageT | _Violation:
    if payload is None:
        payload = {}  # part 4 §4.1.5: null is another notation for no payload
    if not isinstance(payload, dict):
        return _Violation(ErrorCode.PROTOCOL_ERROR, "the payload should be a JSON object")
    try:
        return model.from_json(to_json(payload))
    except ValidationError as error:
        return _violation(error.errors(include_url=False, include_context=False)[0])


def _violation(error: ErrorDetails) -> _Violation:
    # Names the field and what was expected of it, never its value, which may be a secret.
    path = ".".join(str(part)[:MAX_ID] for part in error["loc"])
    kind = error["type"]
    if kind in ("enum", "literal_error") and not isinstance(error["input"], str):
        return _Violation(ErrorCode.TYPE_CONSTRAINT_VIOLATION, f"{path}: Input should be a valid string")
    return _Violation(VIOLATIONS.get(kind, ErrorCode.FORMAT_VIOLATION), f"{path}: {error['msg']}")


def _refuse(message_id: str, code: ErrorCode, description: str) -> Answer:
    return Answer(_error_frame(message_id, code, description), code, description[:MAX_DESCRIPTION])


def _error_frame(message_id: str, code: ErrorCode, description: str) -> str:
    return json.dumps([CALLERROR, message_id, code, description[:MAX_DESCRIPTION], {}], separators=(",", ":"))
