"""The Local Authorization List: versions, full and differential updates, what is refused, what a power cut leaves."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evse.auth_store import StoreFailed, TokenShelf
from agent.evse.local_list import ROOM, LocalList
from agent.evse.records import IdToken, IdTokenInfo
from agent.store import Store
from tests.evse.auth_parts import BLOCKED, EVERYTHING, OK, START, Clock, Settings, card, lose_table, read_only

Entries = Sequence[tuple[IdToken, IdTokenInfo | None]]
ENTRIES, STORAGE = "LocalAuthListCtrlr.Entries", "LocalAuthListCtrlr.Storage"


class World:
    """A list on a real store, which can lose its power."""

    def __init__(self, folder: Path, limits: dict[str, float] | None = None) -> None:
        self.folder, self.clock, self.settings = folder, Clock(), Settings(limits)
        self._open()

    def _open(self) -> None:
        self.store = Store(self.folder)
        self.list = LocalList(self.settings.model, self.clock, TokenShelf(self.store))

    def power_cut(self) -> None:
        self.store.close()
        self.settings.set(ENTRIES, None)
        self.settings.set(STORAGE, None)
        self._open()

    async def full(self, version: int, *entries: tuple[IdToken, IdTokenInfo | None], size: int = 0) -> str:
        return await self.list.change(version, entries, full=True, size=size)

    async def differential(self, version: int, *entries: tuple[IdToken, IdTokenInfo | None], size: int = 0) -> str:
        return await self.list.change(version, entries, full=False, size=size)

    async def seen(self, *numbers: int) -> list[IdTokenInfo | None]:
        found = [await self.list.find(card(number)) for number in numbers]
        return [None if entry is None else entry.info for entry in found]

    async def agrees(self) -> bool:
        """Whether what is told of the list is what is on disk."""
        told = (self.settings.get(ENTRIES), self.settings.get(STORAGE))
        return told == await self.store.size(ROOM)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.mark.requirement("D02.FR.02")
async def test_without_any_list_the_version_is_0(world: World) -> None:
    assert await world.list.version() == 0
    assert await world.seen(1) == [None] and await world.agrees()


@pytest.mark.requirement("D01.FR.15", "D01.FR.12", "D02.FR.01", "D01.FR.10")
async def test_a_full_list_replaces_the_old_one_and_is_there_after_a_power_cut(world: World) -> None:
    assert await world.full(7, (card(1), OK), (card(2), BLOCKED)) == "Accepted"
    assert await world.full(3, (card(2), OK), (card(3), EVERYTHING)) == "Accepted"
    for _ in range(2):
        assert await world.list.version() == 3
        assert await world.seen(1, 2, 3) == [None, OK, EVERYTHING]
        assert world.settings.get(ENTRIES) == 2 and await world.agrees()
        world.power_cut()


async def test_a_tokens_additional_info_is_kept(world: World) -> None:
    await world.full(1, (IdToken("abc", "eMAID", (("card 7", "print"),)), OK))
    entry = await world.list.find(IdToken("ABC", "eMAID"))
    assert entry is not None and entry.additional_info == (("card 7", "print"),)


@pytest.mark.requirement("D01.FR.16", "D01.FR.17")
async def test_a_differential_update_adds_changes_and_removes(world: World) -> None:
    await world.full(1, (card(1), OK), (card(2), OK), (card(3), OK))
    assert (
        await world.differential(2, (card(2), BLOCKED), (card(3), None), (card(4), OK), (card(9), None)) == "Accepted"
    )
    assert await world.seen(1, 2, 3, 4) == [OK, BLOCKED, None, OK]
    assert await world.list.version() == 2 and world.settings.get(ENTRIES) == 3 and await world.agrees()


async def test_a_differential_update_is_a_list_where_there_was_none(world: World) -> None:
    assert await world.differential(1, (card(1), OK)) == "Accepted"
    assert await world.list.version() == 1 and await world.seen(1) == [OK]


@pytest.mark.requirement("D01.FR.04")
async def test_an_empty_full_list_clears_and_has_its_version(world: World) -> None:
    await world.full(1, (card(1), OK))
    assert await world.full(2) == "Accepted"
    assert await world.list.version() == 2 and await world.seen(1) == [None]
    assert world.settings.get(ENTRIES) == 0 == world.settings.get(STORAGE)


@pytest.mark.requirement("D01.FR.05")
async def test_an_empty_differential_update_changes_the_version_alone(world: World) -> None:
    await world.full(1, (card(1), OK))
    assert await world.differential(2) == "Accepted"
    assert await world.list.version() == 2 and await world.seen(1) == [OK] and await world.agrees()


@pytest.mark.requirement("D01.FR.19")
@pytest.mark.parametrize("version", [5, 4, 0, -1])
async def test_a_differential_update_of_no_greater_version_is_refused(world: World, version: int) -> None:
    await world.full(5, (card(1), OK))
    assert await world.differential(version, (card(1), BLOCKED)) == "VersionMismatch"
    assert await world.list.version() == 5 and await world.seen(1) == [OK]


@pytest.mark.requirement("D01.FR.18")
@pytest.mark.parametrize("version", [0, -1])
async def test_a_full_list_without_a_version_is_refused(world: World, version: int) -> None:
    await world.full(5, (card(1), OK))
    assert await world.full(version, (card(2), OK)) == "Failed"
    assert await world.list.version() == 5 and await world.seen(1, 2) == [OK, None]


_WRONG: dict[str, Entries] = {
    "twice": [(card(2), OK), (card("abc"), OK), (card("ABC"), BLOCKED)],
    "empty id": [(card(2), OK), (card(""), OK)],
    "long id": [(card(2), OK), (card("x" * 37), OK)],
    "blank": [(card(2), OK), (card("a b"), OK)],
    "unknown type": [(card(2), OK), (card(3, "RFID"), OK)],
}


@pytest.mark.requirement("D01.FR.06")
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("wrong", _WRONG)
async def test_a_list_with_a_wrong_token_is_refused_as_a_whole(world: World, wrong: str, full: bool) -> None:
    await world.full(1, (card(1), OK))
    assert await world.list.change(2, _WRONG[wrong], full=full, size=0) == "Failed"
    assert await world.list.version() == 1 and await world.seen(1, 2) == [OK, None] and await world.agrees()


async def test_a_full_list_has_nothing_to_remove(world: World) -> None:
    assert await world.full(1, (card(1), OK), (card(2), None)) == "Failed"
    assert await world.list.version() == 0


@pytest.mark.requirement("D01.FR.11")
@pytest.mark.parametrize("full", [True, False])
async def test_a_message_of_more_items_or_bytes_than_told_is_refused(world: World, full: bool) -> None:
    entries = [(card(number), OK) for number in range(101)]
    assert await world.list.change(1, entries, full=full, size=1000) == "Failed"
    assert await world.list.change(1, entries[:100], full=full, size=65_537) == "Failed"
    assert await world.list.version() == 0
    assert await world.list.change(1, entries[:100], full=full, size=65_536) == "Accepted"


@pytest.mark.parametrize("full", [True, False])
async def test_a_list_of_more_entries_than_told_is_refused(tmp_path: Path, full: bool) -> None:
    world = World(tmp_path, {ENTRIES: 3})
    await world.full(1, (card(1), OK))
    first = [] if full else [(card(1), BLOCKED)]
    more: Entries = [*first, *((card(number), OK) for number in range(2, 6 if full else 5))]
    assert await world.list.change(2, more, full=full, size=0) == "Failed"
    assert await world.list.version() == 1 and await world.seen(1, 2) == [OK, None]
    assert await world.list.change(2, more[:-1], full=full, size=0) == "Accepted"
    assert world.settings.get(ENTRIES) == 3 and await world.agrees()


async def test_a_list_of_more_bytes_than_told_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {STORAGE: 100})
    assert await world.full(1, (card(1), OK), (card(2), OK)) == "Accepted"
    assert await world.differential(2, (card(1), EVERYTHING)) == "Failed"
    assert await world.seen(1) == [OK] and await world.agrees()
    assert await world.differential(2, (card(1), None), (card(3), OK)) == "Accepted"


async def test_a_list_beyond_a_lowered_limit_may_shrink(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.full(1, *((card(number), OK) for number in range(10)))
    world.settings = Settings({ENTRIES: 3})
    world.power_cut()
    assert await world.differential(2, (card(10), OK)) == "Failed"
    assert await world.differential(2, (card(0), None), (card(1), None)) == "Accepted"
    assert world.settings.get(ENTRIES) == 8


@pytest.mark.requirement("D01.FR.13", "D02.FR.03")
async def test_a_list_that_is_off_has_no_version_and_no_entries_and_takes_none(world: World) -> None:
    await world.full(1, (card(1), OK))
    world.settings.set("LocalAuthListCtrlr.Enabled", False)
    assert await world.list.version() == 0 and await world.seen(1) == [None]
    assert await world.full(2) == "Failed"
    world.settings.set("LocalAuthListCtrlr.Enabled", True)
    assert await world.list.version() == 1 and await world.seen(1) == [OK]


async def test_an_entry_expires_where_that_is_supported(world: World) -> None:
    await world.full(1, (card(1), IdTokenInfo("Accepted", START + timedelta(seconds=10))), (card(2), OK))
    limited, endless = await world.list.find(card(1)), await world.list.find(card(2))
    assert limited is not None and endless is not None
    world.clock.move(10)
    assert not world.list.expired(limited)
    world.clock.move(1)
    assert world.list.expired(limited) and not world.list.expired(endless)
    world.settings.set("LocalAuthListCtrlr.SupportsExpiryDateTime", False)
    assert not world.list.expired(limited)


@pytest.mark.requirement("D01.FR.09")
async def test_an_expired_entry_stays_in_the_list(world: World) -> None:
    await world.full(1, (card(1), IdTokenInfo("Accepted", START - timedelta(seconds=1))))
    assert world.settings.get(ENTRIES) == 1 and (await world.seen(1))[0] is not None


async def test_a_disk_that_refuses_leaves_the_list_as_it_was(world: World) -> None:
    await world.full(1, (card(1), OK))
    read_only(world.store)
    with pytest.raises(StoreFailed, match="readonly"):
        await world.full(2, (card(2), OK))
    assert await world.list.version() == 1 and await world.seen(1, 2) == [OK, None] and await world.agrees()
    read_only(world.store, False)
    assert await world.full(2, (card(2), OK)) == "Accepted"


async def test_what_cannot_be_read_is_not_taken_for_absent(world: World) -> None:
    await world.full(1, (card(1), OK))
    await world.store.keep([(ROOM, card(1).key, "{")])
    with pytest.raises(StoreFailed, match="entry of the local list"):
        await world.list.find(card(1))
    lose_table(world.store)
    with pytest.raises(StoreFailed):
        await world.list.find(card(1))


async def test_of_two_updates_at_once_one_is_refused(world: World) -> None:
    answers = await asyncio.gather(world.differential(1, (card(1), OK)), world.differential(2, (card(2), OK)))
    assert answers == ["Accepted", "Failed"]
    assert await world.seen(1, 2) == [OK, None] and await world.agrees()
    assert await world.differential(2, (card(2), OK)) == "Accepted"


async def test_an_update_that_no_one_waits_for_any_more_leaves_the_list_whole(world: World) -> None:
    for version in range(1, 30):
        task = asyncio.ensure_future(world.differential(version, (card(version), OK)))
        for _ in range(version % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    entries, _ = await world.store.size(ROOM)
    world.power_cut()
    assert world.settings.get(ENTRIES) == entries and await world.agrees()
    assert await world.differential(30, (card(30), OK)) == "Accepted" and await world.agrees()


# --- a power cut -------------------------------------------------------------------------------------------------

_SENDER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from agent.evse.records import IdTokenInfo
    from tests.evse.auth_parts import card
    from tests.evse.test_local_list import World

    async def main():
        world = World(Path(sys.argv[1]), {})
        version = await world.list.version()
        while True:
            version += 1
            info = IdTokenInfo("Accepted", message=str(version))
            entries = [(card(number), info) for number in range(version % 2, 100, 2)]
            assert await world.full(version, *entries) == "Accepted"
            print(version, flush=True)

    asyncio.run(main())
    """
)


@pytest.mark.requirement("D01.FR.10")
@pytest.mark.parametrize("rounds", [2, 7, 20])
def test_a_kill_in_the_middle_leaves_one_list_as_a_whole(tmp_path: Path, rounds: int) -> None:
    command = [sys.executable, "-c", _SENDER, str(tmp_path)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    for _ in range(rounds):
        told = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    told = max([told, *map(int, process.stdout.read().split())])
    process.wait()

    async def check() -> None:
        world = World(tmp_path)
        version = await world.list.version()
        assert version in (told, told + 1)
        mark = IdTokenInfo("Accepted", message=str(version))
        assert await world.seen(*range(100)) == [mark if n % 2 == version % 2 else None for n in range(100)]
        assert await world.agrees()

    asyncio.run(check())


# --- against a model ---------------------------------------------------------------------------------------------

_INFO = st.sampled_from((OK, BLOCKED, EVERYTHING))
_CHANGE = st.tuples(
    st.booleans(),
    st.integers(-1, 12),
    st.lists(st.tuples(st.integers(0, 5), st.none() | _INFO), max_size=5),
    st.booleans(),
)


@given(st.lists(_CHANGE, max_size=15))
@settings(max_examples=40, deadline=None)
def test_it_is_a_dictionary_with_a_version(
    changes: list[tuple[bool, int, list[tuple[int, IdTokenInfo | None]], bool]],
) -> None:
    most = 4

    async def run(folder: Path) -> None:
        world = World(folder, {ENTRIES: most})
        model: dict[int, IdTokenInfo] = {}
        at = 0
        for full, version, entries, cut in changes:
            answer = await world.list.change(version, [(card(n), info) for n, info in entries], full=full, size=0)
            after = {} if full else dict(model)
            for number, info in entries:
                after.pop(number, None)
                if info is not None:
                    after[number] = info
            doubled = len({number for number, _ in entries}) < len(entries)
            if not full and version <= at:
                assert answer == "VersionMismatch"
            elif version <= 0 or doubled or (full and None in dict(entries).values()) or len(after) > most:
                assert answer == "Failed"
            else:
                assert answer == "Accepted"
                model, at = after, version
            if cut:
                world.power_cut()
            assert await world.list.version() == at
            assert await world.seen(*range(6)) == [model.get(number) for number in range(6)]
            assert world.settings.get(ENTRIES) == len(model) and await world.agrees()
        world.store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
