"""A driver's authorization and the transaction it is part of: what is remembered of them, also over a power cut."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.evse.plain import known_token, token_from, token_plain
from agent.evse.records import IdToken
from agent.evse.session_tables import CAUSES, Cause


@dataclass(slots=True)
class Authorization:
    """Somebody may charge here. `since` is monotonic; `told` is whether the CSMS has been told of it."""

    token: IdToken
    group: IdToken | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    evse_ids: tuple[int, ...] = ()
    """The EVSEs that it is for; empty: all (C01.FR.22)."""
    since: float = 0.0
    told: bool = False
    priority: int = 0
    """chargingPriority, −9 to 9 (K03.FR.06)."""


@dataclass(slots=True)
class Transaction:
    """A transaction that runs. `seq_no` is that of its next message."""

    id: str
    token: IdToken | None = None
    """The token that authorized it first: no other one takes it over (C01.FR.23)."""
    seq_no: int = 0
    evse_told: bool = False
    """Whether a message named the EVSE and its connector (E01.FR.16)."""
    energised: bool = False
    """Whether the contactor has been closed within it."""
    began: bool = False
    """Whether the meter values of its begin have been sent (E01.FR.17)."""
    charged: float = 0.0
    """Seconds for which energy flowed, until the last change of state."""
    phases: int | None = None
    """The number of phases that was told last."""
    stopped: str | None = None
    """The cause (`CAUSES`) for which its authorization ended, while it still goes on."""
    ending: str | None = None
    """The cause for which it is about to end: it waits for the contactor and the meter."""
    ending_offline: bool = False
    """Whether that happened while the CSMS could not be reached (E04.FR.03, E08.FR.07)."""
    ending_token: IdToken | None = None
    invalid_from: float | None = None
    """Wh of the session at which the CSMS refused the token; energy flows up to MaxEnergyOnInvalidId beyond."""
    suspended: bool = False
    """Whether no energy is offered since the token was refused (E05.FR.02)."""

    @property
    def cause(self) -> Cause | None:
        return None if self.ending is None else CAUSES[self.ending]


_AUTHORIZATION = ("remote_start_id", "reservation_id", "told")
_TRANSACTION = (
    "id",
    "seq_no",
    "evse_told",
    "energised",
    "began",
    "charged",
    "phases",
    "stopped",
    "ending",
    "ending_offline",
    "invalid_from",
    "suspended",
)


def authorization_json(one: Authorization | None, now: float) -> Any:
    if one is None:
        return None
    data = {name: getattr(one, name) for name in _AUTHORIZATION}
    data["evse_ids"] = list(one.evse_ids)
    data["priority"] = one.priority
    return {
        **data,
        "token": token_plain(one.token),
        "group": token_plain(one.group),
        "age": round(now - one.since, 3),
    }


def authorization_from(data: Mapping[str, Any] | None, now: float) -> Authorization | None:
    if data is None:
        return None
    found = Authorization(known_token(data["token"]), token_from(data["group"]), since=now - float(data["age"]))
    for name in _AUTHORIZATION:
        setattr(found, name, data[name])
    found.evse_ids = tuple(int(one) for one in data["evse_ids"])
    found.priority = int(data.get("priority", 0))  # an older version kept none
    return found


def transaction_json(one: Transaction | None) -> Any:
    if one is None:
        return None
    return {
        **{name: getattr(one, name) for name in _TRANSACTION},
        "token": token_plain(one.token),
        "ending_token": token_plain(one.ending_token),
    }


def transaction_from(data: Mapping[str, Any] | None) -> Transaction | None:
    if data is None:
        return None
    found = Transaction(str(data["id"]))
    for name in _TRANSACTION:
        setattr(found, name, data[name])
    found.token = token_from(data["token"])
    found.ending_token = token_from(data["ending_token"])
    return found
