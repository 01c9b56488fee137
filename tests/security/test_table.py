"""The table of security events against the appendix and against the code that raises them."""

import re
from pathlib import Path

import pytest

from agent.security.table import EVENT_TYPES

AGENT = Path(__file__).parents[2] / "agent"

NOT_CRITICAL = {
    "FailedToAuthenticateAtCsms",
    "CsmsFailedToAuthenticate",
    "ReconfigurationOfSecurityParameters",
    "InvalidMessages",
    "AttemptedReplayAttacks",
}


def source(by: str) -> str:
    path = AGENT / (by.replace(".", "/") + ".py")
    # What a refused connection means stands beside the line.
    more = AGENT / "ocpp/line_failures.py" if by == "ocpp.link" else path
    return path.read_text() + more.read_text()


def test_there_are_the_twenty_of_the_appendix_and_five_are_not_critical() -> None:
    assert len(EVENT_TYPES) == 20
    assert {name for name, one in EVENT_TYPES.items() if not one.critical} == NOT_CRITICAL
    assert all(len(name) <= 50 for name in EVENT_TYPES)


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_each_is_raised_where_the_table_says_or_has_a_reason(name: str) -> None:
    one = EVENT_TYPES[name]
    assert bool(one.by) != bool(one.missing)
    if one.by:
        assert f'"{name}"' in source(one.by)


def test_nothing_raises_one_that_the_table_does_not_have() -> None:
    pattern = re.compile(r'(?:_security|\.record|security)\(\s*"(\w+)"|return "(\w+)", (?:reason|error|f")')
    raised = set[str]()
    for path in (AGENT / "ocpp", AGENT / "security"):
        for file in path.glob("*.py"):
            raised |= {one or other for one, other in pattern.findall(file.read_text())}
    assert len(raised) >= 8
    assert raised <= EVENT_TYPES.keys()
