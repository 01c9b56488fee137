"""A sink for tests: it remembers the readings, and lets a test wait for the one it is about."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from drivers import Bus, Quality, Reading

PATIENCE = 20.0


class Seen:
    """Readings by (device, point), in the order in which they came."""

    def __init__(self) -> None:
        self.readings: dict[tuple[str, str], list[Reading]] = {}

    def __call__(self, device: str, point: str, reading: Reading) -> None:
        self.readings.setdefault((device, point), []).append(reading)

    def all(self, device: str, point: str) -> list[Reading]:
        return self.readings.get((device, point), [])

    def values(self, device: str, point: str) -> list[object]:
        return [reading.value for reading in self.all(device, point)]

    def last(self, device: str, point: str) -> Reading | None:
        readings = self.all(device, point)
        return readings[-1] if readings else None

    def forget(self) -> None:
        self.readings.clear()

    async def until(self, device: str, point: str, holds: Callable[[Reading], bool]) -> Reading:
        """The newest reading of the point, once `holds` of it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                last = self.last(device, point)
                if last is not None and holds(last):
                    return last
                await asyncio.sleep(0.005)

    async def value(self, device: str, point: str, value: object) -> Reading:
        return await self.until(device, point, lambda reading: reading.value == value)

    async def bad(self, device: str, point: str) -> Reading:
        return await self.until(device, point, lambda reading: reading.quality is Quality.BAD)


async def until(holds: Callable[[], bool]) -> None:
    """Return once `holds`."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # what a test waits for has no event
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(bus: Bus) -> AsyncIterator[Seen]:
    """The bus running, and what it says."""
    seen = Seen()
    task = asyncio.create_task(bus.run(seen))
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
