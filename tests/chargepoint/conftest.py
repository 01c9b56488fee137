"""A charge point with an EMS and a grid operator, for the tests of limits."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.chargepoint.limits_parts import Station


@pytest_asyncio.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Station]:
    one = Station(tmp_path)
    await one.run()
    yield one
    await one.close()
