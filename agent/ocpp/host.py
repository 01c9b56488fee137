"""What the OCPP side needs from the rest of the station: one small protocol, which `agent.station` fulfils."""

import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from agent.charging.limits import Unit
from agent.clock import Clock
from agent.evse.records import IdToken, IdTokenInfo, MeterValue
from agent.evse.reservations import Reservation
from agent.model import AttributeType, DeviceModel, Outcome, Variable
from agent.store import Change

if TYPE_CHECKING:
    from agent.charging.profiles import Profile, Schedule


Security = Callable[[str, str], None]
"""Takes a security event: (its name in part 2's appendix 1, techInfo)."""


def nobody(_type: str, _tech_info: str) -> None:
    """Takes security events where nobody records them."""


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


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """What RequestStartTransaction asks for (F01, F02)."""

    remote_start_id: int
    id_token: IdToken
    group: IdToken | None = None
    evse: int | None = None
    profile: "Profile | None" = None
    """For the transaction that comes of it (K05)."""


@dataclass(frozen=True, slots=True)
class ProfileAnswer:
    """Whether a charging profile was taken: `status` is Accepted or Rejected."""

    status: str
    reason_code: str = ""
    info: str = ""


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """The answer to a `RemoteStart`: `status` is Accepted or Rejected; `then` is to be called after the response."""

    status: str
    reason_code: str = ""
    info: str = ""
    transaction_id: str | None = None
    """Of the transaction that runs already, not yet authorized (F01.FR.13)."""
    then: Callable[[], None] | None = None


class SmartCharging(Protocol):
    """Charging profiles and limits, as the OCPP side sees them (block K)."""

    @property
    def units(self) -> Sequence[Unit]:
        """The charging rate units that are taken (RateUnit)."""
        ...

    async def set_profile(self, evse: int, profile: "Profile") -> ProfileAnswer:
        """K01: install it, on disk before it is Accepted."""
        ...

    def profiles(
        self,
        *,
        evse: int | None = None,
        ids: Sequence[int] = (),
        purpose: str | None = None,
        stack: int | None = None,
        sources: Sequence[str] = (),
    ) -> Sequence[tuple[int, str, "Profile"]]:
        """K09: (EVSE id, ChargingLimitSourceEnumType, profile) of all that match, those of external systems too."""
        ...

    async def clear_profiles(
        self, *, id: int | None = None, evse: int | None = None, purpose: str | None = None, stack: int | None = None
    ) -> bool:
        """K10: whether there was one. External constraints are never cleared."""
        ...

    def composite(self, evse: int, seconds: int, unit: Unit | None) -> "tuple[datetime, Schedule] | None":
        """K08: the schedule from now on and when it starts; None for an EVSE or a unit that is not there."""
        ...


class Charging(Protocol):
    """The EVSEs, as the OCPP side sees them: what the CSMS may ask of them, and what its answers mean to them.

    Every method that answers with a status gives it in the words of that message's status enumeration.
    """

    @property
    def smart_charging(self) -> SmartCharging:
        """Charging profiles and limits."""
        ...

    def request_start(self, request: RemoteStart) -> StartAnswer:
        """F01, F02."""
        ...

    def request_stop(self, transaction_id: str) -> StartAnswer:
        """F03: Accepted where that transaction is active; it is stopped by `then`."""
        ...

    def ongoing(self, transaction_id: str) -> bool:
        """Whether that transaction has not ended yet (E14)."""
        ...

    async def unlock(self, evse: int, connector: int) -> str:
        """F05: Unlocked, UnlockFailed, OngoingAuthorizedTransaction or UnknownConnector."""
        ...

    async def change_availability(self, evse: int | None, connector: int | None, operative: bool) -> str:
        """G03, G04: Accepted, Rejected or Scheduled."""
        ...

    async def reserve(self, reservation: Reservation) -> str:
        """H01: Accepted, Faulted, Occupied, Rejected or Unavailable."""
        ...

    async def cancel_reservation(self, reservation_id: int) -> bool:
        """H02: whether there was one."""
        ...

    async def clear_cache(self) -> bool:
        """C11: whether the cache was emptied."""
        ...

    async def list_version(self) -> int:
        """D02: 0 without a list."""
        ...

    async def send_list(
        self, version: int, *, full: bool, entries: Sequence[tuple[IdToken, IdTokenInfo | None]], size: int
    ) -> str:
        """D01: Accepted, Failed or VersionMismatch; an entry without info is to be removed (Differential)."""
        ...

    def transaction_answered(
        self, transaction_id: str, token: IdToken | None, info: IdTokenInfo | None, priority: int | None
    ) -> None:
        """The CSMS answered a TransactionEvent that named `token`; `info` is what it says of it (E05, C10), and
        `priority` the chargingPriority of this transaction alone (K03.FR.05).
        """
        ...

    def trigger_transactions(self, evse: int | None) -> bool:
        """F06.FR.07: send a TransactionEvent of each transaction (of that EVSE); False where there is none."""
        ...

    def trigger_meter_values(self, evse: int | None) -> Sequence[tuple[int, MeterValue]]:
        """F06.FR.06: (EVSE id, values) to be sent now."""
        ...

    def online(self, online: bool) -> None:
        """The CSMS can be reached and has accepted the station, or no more."""
        ...

    def may_reset(self, evse: int | None, on_idle: bool) -> str:
        """B11, B12: Accepted, Scheduled (after the transactions that run) or Rejected."""
        ...

    def reset(self, evse: int | None, on_idle: bool) -> None:
        """After the response: end transactions (Immediate) or wait for their end (OnIdle), then restart."""
        ...


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

    def kept(self, room: str) -> dict[str, str]:
        """What `room` keeps: key → value."""
        ...

    async def add_message(self, action: str, payload: str) -> int:
        """Keep a message; returns its number once it is on disk."""
        ...

    async def remove_message(self, number: int) -> None:
        """Forget a message."""
        ...

    async def keep(self, changes: Iterable[Change], messages: Sequence[tuple[str, str]] = ()) -> list[int]:
        """Make `changes` and keep `messages` in one commit; returns the messages' numbers. Raises StoreError."""
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
    def charging(self) -> Charging | None:
        """The EVSEs; None for what charges no cars (part 1 §6)."""
        ...

    @property
    def boot_info(self) -> BootInfo: ...

    @property
    def computer(self) -> str:
        """What tells this start of the computer from every other; "" where that is not known."""
        ...

    @property
    def boot_reason(self) -> str:
        """Why this process started, one of BootReasonEnumType (B01.FR.09)."""
        ...

    def connection(self) -> ConnectionProfile:
        """The profile to connect with now."""
        ...

    @property
    def heard(self) -> bool:
        """Whether the connectors' states follow from the hardware yet: before, they are not worth telling."""
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
