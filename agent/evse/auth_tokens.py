"""Tokens as authorization keeps them: which are well formed, and what is known of one, as a short text."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.evse.records import NO_AUTHORIZATION, IdToken, IdTokenInfo
from agent.model import format_date_time, parse_date_time

TYPES = frozenset(
    ("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", NO_AUTHORIZATION.type)
)
"""IdTokenEnumType (part 2 §3.43)."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,36}")

Pairs = tuple[tuple[str, str], ...]


def well_formed(token: IdToken) -> bool:
    """Whether `token` could be sent: a type of the enumeration and 1 to 36 characters of an identifierString
    (part 2 §2.1.4); NoAuthorization has no characters at all (C02.FR.01).
    """
    if token.type == NO_AUTHORIZATION.type:
        return token.id == ""
    return token.type in TYPES and _IDENTIFIER.fullmatch(token.id) is not None


@dataclass(frozen=True, slots=True)
class Entry:
    """What list or cache keep of a token: `additional_info` is the token's own (part 2 C §1.1.1)."""

    info: IdTokenInfo
    additional_info: Pairs = ()


def encode(entry: Entry) -> str:
    """`entry` as JSON in ASCII, without what is absent."""
    info = entry.info
    fields: dict[str, Any] = {
        "status": info.status,
        "expiry": None if info.cache_expiry is None else format_date_time(info.cache_expiry),
        "group": None if info.group is None else [info.group.id, info.group.type, *info.group.additional_info],
        "evses": info.evse_ids,
        "languages": None if info.language1 is None and info.language2 is None else [info.language1, info.language2],
        "priority": info.charging_priority,
        "message": info.message,
        "additional": entry.additional_info,
    }
    return json.dumps({key: value for key, value in fields.items() if value not in (None, ())}, separators=(",", ":"))


def decode(text: str) -> Entry:
    """The entry that `text` stands for; fields that are not known are passed over. Raises ValueError."""
    try:
        fields = json.loads(text)
        expiry, group = fields.get("expiry"), fields.get("group")
        language1, language2 = fields.get("languages", (None, None))
        info = IdTokenInfo(
            fields["status"],
            None if expiry is None else parse_date_time(expiry),
            None if group is None else IdToken(group[0], group[1], _pairs(group[2:])),
            tuple(fields.get("evses", ())),
            language1,
            language2,
            fields.get("priority"),
            fields.get("message"),
        )
        return Entry(info, _pairs(fields.get("additional", ())))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"no entry: {error!r}") from error


def _pairs(items: Iterable[Any]) -> Pairs:
    return tuple((str(value), str(kind)) for value, kind in items)
