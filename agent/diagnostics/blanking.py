"""What no log may tell: passwords go, and who charged becomes a pseudonym.

A token's pseudonym is the same throughout one start of the agent, so that an engineer can follow a card, and another
one in the next: the key is random and never leaves the process, or who tries all ids would find them.
"""

import json
import re
import secrets
from hashlib import blake2b
from typing import Any

_KEY = secrets.token_bytes(16)

GONE = "***"

_PASSWORDS = frozenset(
    ("password", "apnpassword", "apnusername", "basicauthpassword", "simpin", "privatekey", "sharedsecret", "key")
)
"""Fields and variables whose value nobody may see."""

_PERSONS = frozenset(("idtoken", "additionalidtoken", "customeridentifier", "emaid"))
"""Fields whose text names a customer."""

_PERSON_VARIABLES = frozenset(("masterpassgroupid", "token"))
"""Variables whose value is a token: MasterPassGroupId, and Token of a reader."""

_VALUES = frozenset(("attributevalue", "actualvalue", "value"))

_CREDENTIALS = re.compile(r"(?<=://)[^/\s\"']*@")
_YAML_SECRET = re.compile(r"(?im)^(\s*(?:-\s*)?[\w-]*(?:password|secret|passphrase|psk)[\w-]*\s*:[ \t]*)(\S.*)$")


def pseudonym(text: str) -> str:
    """What stands for a token; equal for equal tokens (part 2 §2.1.4: case does not count)."""
    return "#" + blake2b(text.casefold().encode(), key=_KEY, digest_size=6).hexdigest()


def without_credentials(text: str) -> str:
    """`text` without the user and password of any URL in it."""
    return _CREDENTIALS.sub(f"{GONE}@", text)


def yaml_blanked(text: str) -> str:
    """A board file or device profile without passwords."""
    return without_credentials(_YAML_SECRET.sub(rf"\1{GONE}", text))


def variable_value(name: str, text: str) -> str:
    """The value of the variable `name` as a log may tell it."""
    key = name.casefold()
    if key in _PASSWORDS:
        return GONE
    if text and key in _PERSON_VARIABLES:
        return pseudonym(text)
    return without_credentials(text)


def blanked(frame: str) -> str:
    """A frame of OCPP-J without secrets. Raises ValueError for what is no JSON."""
    message = json.loads(frame)
    kind = message[2] if isinstance(message, list) and len(message) > 2 and message[0] == 2 else ""
    return json.dumps(_walk(message, None, personal=kind == "NotifyCustomerInformation"), separators=(",", ":"))


def _walk(node: Any, variable: str | None, *, personal: bool) -> Any:
    """`node` blanked; `variable` is the one whose values stand here, `personal` tells that `data` is a customer's."""
    if isinstance(node, list):
        return [_walk(one, variable, personal=personal) for one in node]
    if isinstance(node, str):
        return without_credentials(node)
    if not isinstance(node, dict):
        return node
    named = node.get("variable")
    if isinstance(named, dict) and isinstance(named.get("name"), str):
        variable = named["name"]
    plain: dict[str, Any] = {}
    for field, value in node.items():
        key = field.casefold()
        if not isinstance(value, str):
            plain[field] = _walk(value, variable, personal=personal)
        elif key in _PASSWORDS:
            plain[field] = GONE
        elif value and (key in _PERSONS or (personal and key == "data")):
            plain[field] = pseudonym(value)
        elif variable is not None and key in _VALUES:
            plain[field] = variable_value(variable, value)
        else:
            plain[field] = without_credentials(value)
    return plain
