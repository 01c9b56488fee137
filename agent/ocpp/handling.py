"""What the handlers of the CSMS's CALLs share: what they are given, and how they answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.model import Component, VariableName
from agent.ocpp.host import Host
from agent.ocpp.messages import Request, Response
from agent.ocpp.messages.base import ComponentType, StatusInfoType, VariableType
from agent.ocpp.reports import Reports
from agent.ocpp.rpc import CallReceived, ErrorCode
from agent.ocpp.variables import Settings

if TYPE_CHECKING:
    from agent.ocpp.messages.remote_control import TriggerMessageRequest


class CallRefused(Exception):
    """The CALL is answered with a CALLERROR of this code and description."""

    def __init__(self, code: ErrorCode, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to a CALL, and what is to happen once it has been sent."""

    response: Response
    then: Callable[[], None] | None = None


class Triggers(Protocol):
    """Who sends messages that the CSMS asks for."""

    @property
    def accepted(self) -> bool:
        """Whether the CSMS has accepted the station since its start."""
        ...

    def may_trigger(self, request: "TriggerMessageRequest") -> bool:
        """Whether the message can be sent now."""
        ...

    def trigger(self, request: "TriggerMessageRequest") -> None:
        """Send it."""
        ...

    def send(self, request: Request) -> None:
        """Send `request` as soon as the line is free, once."""
        ...

    def transaction_messages(self, transaction_id: str | None) -> bool:
        """Whether TransactionEvents wait for an answer: of that transaction, or of any (E14)."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler is given besides the CALL."""

    host: Host
    settings: Settings
    reports: Reports
    triggers: Triggers


Handler = Callable[[Context, CallReceived], Awaitable[Reply]]


def check_size(context: Context, call: CallReceived, items: int) -> None:
    """Raises CallRefused for more elements or bytes than DeviceDataCtrlr allows the action (B06.FR.16, FR.17)."""
    limit = context.settings.bytes_limit(call.action)
    if call.size > limit:
        raise CallRefused(ErrorCode.FORMAT_VIOLATION, f"{call.size} bytes, BytesPerMessage is {limit}")
    limit = context.settings.items_limit(call.action)
    if items > limit:
        raise CallRefused(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, f"{items} elements, ItemsPerMessage is {limit}")


def address(component: ComponentType, variable: VariableType) -> tuple[Component, VariableName]:
    """The model's address of what a message names; an empty instance is none (B06.FR.15)."""
    evse = component.evse
    return (
        Component(
            component.name,
            component.instance or None,
            evse.id if evse else None,
            evse.connector_id if evse else None,
        ),
        VariableName(variable.name, variable.instance or None),
    )


def status_info(code: str, info: str = "") -> StatusInfoType | None:
    """A StatusInfoType within its limits; None where there is nothing to say."""
    if not code and not info:
        return None
    return StatusInfoType(reason_code=(code or "Unspecified")[:20], additional_info=info[:512] or None)
