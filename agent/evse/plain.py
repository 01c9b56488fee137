"""Tokens as plain values, as they are kept in JSON."""

from typing import Any

from agent.evse.records import IdToken


def token_plain(token: IdToken | None) -> Any:
    """`token` as a list; None for none."""
    return None if token is None else [token.id, token.type, [list(pair) for pair in token.additional_info]]


def token_from(plain: Any) -> IdToken | None:
    """What `token_plain` gave. Raises ValueError or TypeError for anything else."""
    if plain is None:
        return None
    text, kind, additional = plain
    if not isinstance(text, str) or not isinstance(kind, str):
        raise ValueError(f"{plain} is no token")
    return IdToken(text, kind, tuple((str(one), str(two)) for one, two in additional))


def known_token(plain: Any) -> IdToken:
    """A token that must be there. Raises ValueError or TypeError."""
    token = token_from(plain)
    if token is None:
        raise ValueError("a token is missing")
    return token
