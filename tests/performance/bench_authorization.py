"""What authorization costs: a local list of 50,000 entries sent, looked up, and a cache of 10,000 entries used.

    python tests/performance/bench_authorization.py [--entries 50000] [--items 100]

The list comes as a Full message and Differential ones of `items` entries each, as a CSMS sends them, into the real
store: synced commits, in a folder that is deleted afterwards (TMPDIR chooses the disk). A bare peer writes the same
rows to SQLite with the same commits. The message's own way (WebSocket, JSON, validation) is not in these numbers.
Goals: the list in at most 60 s and 8 MB more memory; a use of the cache, and a change of it, at most twice as dear
with 10,000 entries as with 100; the cache at most 8 MB. Exits 1 if one is missed.
"""

import argparse
import asyncio
import gc
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.clock import SystemClock  # noqa: E402
from agent.evse.auth_tokens import Entry, encode  # noqa: E402
from agent.evse.authorization import Authorizer  # noqa: E402
from agent.evse.records import IdToken, IdTokenInfo  # noqa: E402
from agent.model import Attribute, Characteristics, Component, DataType, DeviceModel, Value, Variable  # noqa: E402
from agent.store import Store  # noqa: E402

GOAL_SECONDS = 60.0
GOAL_MEMORY = 8.0
"""MB, of the list while it comes and of the cache."""
GROWTH = 2.0
CACHE_SIZES = (100, 10_000)
SAMPLES = 500

Message = list[tuple[IdToken, IdTokenInfo | None]]


def model(entries: int, items: int) -> DeviceModel:
    settings: dict[str, tuple[Value, int | None]] = {
        "AuthCtrlr.LocalPreAuthorize": (True, None),
        "AuthCacheCtrlr.Enabled": (True, None),
        "AuthCacheCtrlr.Storage": (0, None),
        "LocalAuthListCtrlr.Enabled": (True, None),
        "LocalAuthListCtrlr.Entries": (0, entries),
        "LocalAuthListCtrlr.Storage": (0, None),
        "LocalAuthListCtrlr.ItemsPerMessage": (items, None),
    }
    made = DeviceModel()
    for path, (value, limit) in settings.items():
        component, name = path.split(".")
        kind = DataType.BOOLEAN if isinstance(value, bool) else DataType.INTEGER
        made.add(Variable(Component(component), name, Characteristics(kind, max_limit=limit), Attribute(value)))
    return made


def card(number: int) -> IdToken:
    """A card of seven bytes; neighbours in number are no neighbours on disk, as in life."""
    return IdToken(f"04{number * 2654435761 % 2**32:08X}{number % 2**16:04X}", "ISO14443")


def info(number: int) -> IdTokenInfo:
    expiry = SystemClock().now() + timedelta(days=365)
    return IdTokenInfo(
        "Accepted", expiry, IdToken(f"ACCOUNT-{number // 3}", "Central"), language1="de", language2="en"
    )


def messages(entries: int, items: int) -> Iterator[Message]:
    for first in range(0, entries, items):
        yield [(card(number), info(number)) for number in range(first, min(first + items, entries))]


def resident() -> float:
    """MB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def send(authorizer: Authorizer, entries: int, items: int) -> tuple[float, float, float]:
    """(seconds in all, of the dearest message, MB more than before at the most)."""
    before, most, total, dearest = resident(), 0.0, 0.0, 0.0
    for version, message in enumerate(messages(entries, items), 1):
        started = time.perf_counter()
        status = await authorizer.send_list(version, full=version == 1, entries=message, size=0)
        taken = time.perf_counter() - started
        if status != "Accepted":
            raise RuntimeError(f"message {version}: {status}")
        total, dearest, most = total + taken, max(dearest, taken), max(most, resident() - before)
    return total, dearest, most


def bare(folder: Path, entries: int, items: int) -> float:
    """Seconds for the same rows and commits without any check."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID;"
    )
    total = 0.0
    for message in messages(entries, items):
        started = time.perf_counter()
        rows = [(token.key, encode(Entry(one))) for token, one in message if one is not None]
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", rows)
        connection.execute("COMMIT")
        total += time.perf_counter() - started
    connection.close()
    return total


async def median(work: Callable[[int], Awaitable[object]]) -> float:
    """µs of `work`, with a number that differs each time."""
    times = []
    for number in range(SAMPLES):
        started = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


async def the_list(folder: Path, entries: int, items: int) -> bool:
    store = Store(folder / "list")
    authorizer = Authorizer(model(entries, items), SystemClock(), store)
    seconds, dearest, memory = await send(authorizer, entries, items)
    peer = bare(folder, entries, items)
    found = await median(lambda n: authorizer.decide(card(n * 97 % entries), online=True))
    absent = await median(lambda n: authorizer.decide(card(entries + n), online=True))
    kept, used = await store.size("local_list")
    store.close()
    if kept != entries:
        raise RuntimeError(f"{kept} entries on disk")
    print(f"local list, {entries} entries ({used / 1e6:.1f} MB) in messages of {items}:")
    print(f"  {seconds:.1f} s, the dearest message {dearest * 1000:.0f} ms (goal: at most {GOAL_SECONDS:g} s)")
    print(f"  bare SQLite {peer:.1f} s: ratio {seconds / peer:.1f}")
    print(f"  memory + {memory:.1f} MB at the most (goal: at most {GOAL_MEMORY:g} MB)")
    print(f"  a decision: {found:.0f} µs for a listed token, {absent:.0f} µs for another")
    return seconds <= GOAL_SECONDS and memory <= GOAL_MEMORY


async def the_cache(folder: Path) -> bool:
    costs: list[tuple[float, float]] = []
    memory = 0.0
    for size in CACHE_SIZES:
        store = Store(folder / f"cache-{size}")
        variables = model(0, 0)
        authorizer = Authorizer(variables, SystemClock(), store)
        gc.collect()
        before = resident()
        for number in range(size):
            await authorizer.answered(card(number), info(number))
        memory = resident() - before
        cache = authorizer.cache
        use = await median(lambda n, size=size, cache=cache: cache.use(card(n * 97 % size)))  # type: ignore[misc]
        # Each one new and the cache full: one row comes, one goes.
        storage = variables.get(Component("AuthCacheCtrlr"), "Storage")
        assert storage is not None
        storage.characteristics = Characteristics(DataType.INTEGER, max_limit=cache.bytes)
        put = await median(lambda n, size=size, cache=cache: cache.put(card(size + n), info(n)))  # type: ignore[misc]
        store.close()
        started = time.perf_counter()
        store = Store(folder / f"cache-{size}")
        Authorizer(model(0, 0), SystemClock(), store)
        start = time.perf_counter() - started
        store.close()
        costs.append((use, put))
        print(
            f"cache, {size:>6} entries: use {use:.1f} µs, change on disk {put:.0f} µs, "
            f"memory {memory:.1f} MB, read at start {start * 1000:.0f} ms"
        )
    growth = [large / small for small, large in zip(*costs, strict=True)]
    print(f"  growth: use {growth[0]:.2f}, change {growth[1]:.2f} (goal: at most {GROWTH:g})")
    return max(growth) <= GROWTH and memory <= GOAL_MEMORY


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=50_000, help="in the local list")
    parser.add_argument("--items", type=int, default=100, help="entries in each message")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        good = [await the_list(Path(name), options.entries, options.items), await the_cache(Path(name))]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
