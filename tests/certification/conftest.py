"""One bench for each file of cases: its station keeps running, and every test puts all back as it was."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.certification.parts import Stand, standing


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("certification")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    async with standing("bench-ac", tmp_path_factory.mktemp("certification")) as stand:
        yield stand


@pytest_asyncio.fixture(loop_scope="module")
async def stand(_stand: Stand) -> AsyncIterator[Stand]:
    """The bench as every case begins: nothing plugged, no transaction, cache and list empty, factory settings."""
    await _stand.begin()
    yield _stand
    await _stand.end()
    assert _stand.csms.violations == []
