"""A short, seeded share of tests/soak/power_cuts.py."""

import pytest

from tests.soak.power_cuts import power_cuts


@pytest.mark.soak
@pytest.mark.requirement("B01.FR.03")
async def test_no_accepted_value_is_lost_in_a_power_cut() -> None:
    said: list[str] = []
    result = await power_cuts(5, seed=7, say=said.append)
    assert result.lost == 0, said
    assert result.cuts == 5 and result.accepted > 5
