"""A short, seeded share of the noise run on a Modbus RTU line (tests/soak/rtu_noise.py)."""

import pytest

from tests.soak.rtu_noise import soak


@pytest.mark.soak
async def test_no_wrong_value_comes_out_of_a_noisy_line() -> None:
    judge = await soak(seconds=6, seed=20)
    assert judge.wrong == []
    assert judge.counts["polled good"] and judge.counts["read good"] and judge.counts["written good"]
