"""What the OCPP side needs from the rest of the station: one small protocol, which `agent.station` fulfils."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agent.clock import Clock
from agent.model import AttributeType, DeviceModel, Outcome, Variable


@dataclass(frozen=True, slots=True)
class ConnectionProfile:
    """Where the CSMS is and as whom to connect; a profile that differs makes the link connect anew.

    `csms_url` is the OCPP-J endpoint without the identity (part 4 §3.1.1), `proxy` the URL of an HTTP CONNECT proxy.
    """

    csms_url: str
    identity: str
    password: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BootInfo:
    """Who the station is (B01.FR.01)."""

    model: str
    vendor: str
    serial: str | None = None
    firmware: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """The status of one connector; `status` is one of ConnectorStatusEnumType."""

    evse: int
    connector: int
    status: str


class CorrectableClock(Clock, Protocol):
    """The station's clock, which takes the CSMS's time."""

    def correct(self, utc: datetime) -> float:
        """Take `utc` as the time now; returns by how many seconds the wall time moved."""
        ...


class MessageStore(Protocol):
    """Where messages wait on disk for their answer; `agent.store.Store` is one."""

    def messages(self) -> list[tuple[int, str, str]]:
        """What still waits, oldest first: (number, action, payload)."""
        ...

    async def add_message(self, action: str, payload: str) -> int:
        """Keep a message; returns its number once it is on disk."""
        ...

    async def remove_message(self, number: int) -> None:
        """Forget a message."""
        ...


class Host(Protocol):
    """The station, as the OCPP side sees it."""

    @property
    def model(self) -> DeviceModel:
        """The Device Model, controllers' variables included (`agent.ocpp.variables.controllers`)."""
        ...

    @property
    def clock(self) -> CorrectableClock: ...

    @property
    def store(self) -> MessageStore: ...

    @property
    def boot_info(self) -> BootInfo: ...

    @property
    def boot_reason(self) -> str:
        """Why this process started, one of BootReasonEnumType (B01.FR.09)."""
        ...

    def connection(self) -> ConnectionProfile:
        """The profile to connect with now."""
        ...

    def connectors(self) -> Sequence[ConnectorState]:
        """Every connector with its status now."""
        ...

    async def set_attribute(self, variable: Variable, kind: AttributeType, text: str, seconds: float) -> Outcome:
        """Set an attribute as B05 asks, and answer within `seconds`."""
        ...

    def request_reset(self, reason: str) -> None:
        """Restart the station soon; `reason` is what the next BootNotification tells."""
        ...
