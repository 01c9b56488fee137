"""A short, seeded share of tests/soak/transactions.py."""

import pytest

from tests.soak.transactions import transaction_cuts


@pytest.mark.soak
@pytest.mark.requirement("E01.FR.07", "E01.FR.09", "E06.FR.11", "E04.FR.01", "E04.FR.02")
async def test_every_transaction_reaches_the_csms_whole_over_power_cuts() -> None:
    said: list[str] = []
    result = await transaction_cuts(8, seed=7, say=said.append)
    assert result.problems == [], "\n".join(said)
    assert result.cuts == 8 and result.lines and result.transactions > 1 and result.events > 2 * result.transactions
