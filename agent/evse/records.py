"""What passes between EVSEs and the rest of the station: tokens, their status, meter values, transaction events.

Plain values without behaviour. Texts that name something are OCPP's own enumeration values (part 2, chapter 3), so
that `agent.ocpp` turns a record into a message without a table.
"""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class IdToken:
    """IdTokenType. Two are the same token when id and type are (C01.FR.25); an id's case does not count
    (identifierString, part 2 §2.1.4). `type` is one of IdTokenEnumType.
    """

    id: str
    type: str
    additional_info: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Pairs of (additionalIdToken, type)."""

    @property
    def key(self) -> str:
        """What it is looked up by: equal for equal tokens."""
        return f"{self.type}:{self.id.casefold()}"

    def same(self, other: "IdToken | None") -> bool:
        """Whether `other` is the same token."""
        return other is not None and self.key == other.key


NO_AUTHORIZATION = IdToken("", "NoAuthorization")
"""Who charges where no authorization is asked for (C02, C01.FR.24)."""


@dataclass(frozen=True, slots=True)
class IdTokenInfo:
    """IdTokenInfoType as far as a station uses it. `status` is one of AuthorizationStatusEnumType."""

    status: str
    cache_expiry: datetime | None = None
    group: IdToken | None = None
    evse_ids: tuple[int, ...] = ()
    """The EVSEs the token is valid for; empty: all (C01.FR.22)."""
    language1: str | None = None
    language2: str | None = None
    charging_priority: int | None = None
    message: str | None = None
    """PersonalMessage's content."""

    @property
    def accepted(self) -> bool:
        return self.status == "Accepted"


@dataclass(frozen=True, slots=True)
class Sample:
    """SampledValueType: `value` in `unit` × 10^`multiplier`; "" as unit is none."""

    value: float
    measurand: str
    context: str
    phase: str | None = None
    location: str | None = None
    unit: str = ""
    multiplier: int = 0
    signed: "SignedValue | None" = None


@dataclass(frozen=True, slots=True)
class SignedValue:
    """SignedMeterValueType: texts as they are sent."""

    data: str
    signing_method: str
    encoding_method: str
    public_key: str


@dataclass(frozen=True, slots=True)
class MeterValue:
    """MeterValueType: samples that were taken together."""

    timestamp: datetime
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """TransactionEventRequest, before it is a message. `evse` and `connector` are None where they are not sent
    (E01.FR.16); `charging_state` is there whenever it changed (E02.FR.13).
    """

    event_type: str
    timestamp: datetime
    trigger_reason: str
    seq_no: int
    transaction_id: str
    offline: bool = False
    charging_state: str | None = None
    stopped_reason: str | None = None
    time_spent_charging: int | None = None
    remote_start_id: int | None = None
    evse: int | None = None
    connector: int | None = None
    id_token: IdToken | None = None
    reservation_id: int | None = None
    number_of_phases_used: int | None = None
    cable_max_current: int | None = None
    meter_values: tuple[MeterValue, ...] = ()
