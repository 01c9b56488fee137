"""The store: what was acknowledged is there after a power cut, and nothing else is ever written."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.store import SCHEMA_VERSION, Store, StoreError


async def test_what_was_saved_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.save_attributes({("FanSpeed", "Target"): "450", ("FanSpeed", "MinSet"): "200"})
    await store.save_settings({"identity": "CS1"})
    number = await store.add_message("NotifyEvent", "{}")
    store.close()
    store = Store(tmp_path)
    assert store.attributes() == {("FanSpeed", "Target"): "450", ("FanSpeed", "MinSet"): "200"}
    assert store.settings() == {"identity": "CS1"}
    assert store.messages() == [(number, "NotifyEvent", "{}")]
    await store.remove_message(number)
    assert store.messages() == []
    store.close()


async def test_message_numbers_are_never_used_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = await store.add_message("NotifyEvent", "{}")
    await store.remove_message(first)
    assert await store.add_message("NotifyEvent", "{}") > first
    store.close()


async def test_writes_that_arrive_together_are_all_answered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    numbers = await asyncio.gather(*(store.add_message("NotifyEvent", str(i)) for i in range(200)))
    assert sorted(numbers) == sorted(set(numbers))
    assert [payload for _, _, payload in store.messages()] == [str(i) for i in range(200)]
    store.close()


def test_a_second_agent_is_refused_the_state_directory(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="another agent is running"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_file_that_is_no_store_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "station.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="move the file away"):
        Store(tmp_path)


def test_a_store_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "station.db")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1000}")
    connection.close()
    with pytest.raises(StoreError, match="newer agent"):
        Store(tmp_path)


def test_additions_of_a_newer_agent_stay_readable_after_a_rollback(tmp_path: Path) -> None:
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "station.db")
    connection.executescript(f"CREATE TABLE later (x); PRAGMA user_version={SCHEMA_VERSION + 1};")
    connection.close()
    store = Store(tmp_path)
    assert store.attributes() == {}
    store.close()


WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from agent.store import Store

    async def main():
        store = Store(Path(sys.argv[1]))
        n = max((int(v) for v in store.attributes().values()), default=0)
        while True:
            n += 1
            await store.save_attributes({("FanSpeed", "Target"): str(n)})
            print(n, flush=True)

    asyncio.run(main())
""")


def test_no_acknowledged_value_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert process.stdout is not None
        for _ in range(20):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split())])
        process.stdout.close()
        process.wait()
        store = Store(tmp_path)
        assert int(store.attributes()[("FanSpeed", "Target")]) >= acknowledged
        store.close()


async def test_a_full_disk_is_an_error_and_the_store_lives_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.save_settings({"identity": "CS1"})
    store._run(lambda c: c.execute("PRAGMA max_page_count=1")).result()
    with pytest.raises(StoreError, match="full"):
        for _ in range(50):
            await store.save_settings({"filler": "x" * 100_000})
    store._run(lambda c: c.execute("PRAGMA max_page_count=1000000")).result()
    await store.save_settings({"identity": "CS2"})
    assert store.settings()["identity"] == "CS2"
    store.close()


async def test_many_writers_at_once_are_all_answered_and_keep_their_last_values(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._connection.execute("PRAGMA synchronous=OFF")  # speed: the threads are what this is about

    async def write(name: str) -> None:
        for n in range(1000):
            await store.save_attributes({(name, "Target"): str(n), (name, "MaxSet"): str(n)})
            await store.save_settings({name: str(n)})

    names = [f"Fan{i}" for i in range(6)]
    await asyncio.gather(*map(write, names))
    assert store.attributes() == {(name, kind): "999" for name in names for kind in ("Target", "MaxSet")}
    assert store.settings() == dict.fromkeys(names, "999")
    store.close()


async def test_a_text_that_cannot_be_stored_is_an_error_and_the_next_write_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError):
        await store.save_settings({"identity": "\ud800"})
    await store.save_settings({"identity": "CS1"})
    assert store.settings() == {"identity": "CS1"}
    store.close()


def test_a_damaged_table_is_told_with_a_remedy(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._run(lambda c: c.execute("DROP TABLE attribute").close()).result()
    with pytest.raises(StoreError, match="move the file away"):
        store.attributes()
    store.close()
