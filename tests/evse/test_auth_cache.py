"""The authorization cache: what it takes, how long it keeps it, what goes first, and what a power cut leaves."""

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evse.auth_cache import ROOM, AuthCache
from agent.evse.auth_store import StoreFailed, TokenShelf
from agent.evse.auth_tokens import Entry, decode, encode, well_formed
from agent.evse.records import NO_AUTHORIZATION, IdToken, IdTokenInfo
from agent.store import Store
from tests.evse.auth_parts import BLOCKED, EVERYTHING, OK, START, Clock, Settings, card, read_only

STORAGE = "AuthCacheCtrlr.Storage"


class World:
    """A cache on a real store, which can lose its power."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder, self.clock = folder, Clock()
        self.settings = Settings({} if limit is None else {STORAGE: limit})
        self._open()

    def _open(self) -> None:
        self.store = Store(self.folder)
        self.cache = AuthCache(self.settings.model, self.clock, TokenShelf(self.store))

    def power_cut(self) -> None:
        self.store.close()
        self._open()

    def rows(self) -> dict[str, str]:
        return self.store.kept(ROOM)

    async def info(self, token: IdToken) -> IdTokenInfo | None:
        entry = await self.cache.use(token)
        return None if entry is None else entry.info


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.mark.requirement("C10.FR.01", "C10.FR.02", "C12.FR.06")
async def test_the_latest_of_every_token_is_there_after_a_power_cut_whatever_its_status(world: World) -> None:
    statuses = ["Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid", "NoCredit", "Unknown"]
    for number, status in enumerate(statuses):
        await world.cache.put(card(number), IdTokenInfo("NotAtThisTime"))
        await world.cache.put(card(number), IdTokenInfo(status))
    for _ in range(2):
        assert [await world.info(card(number)) for number in range(7)] == [IdTokenInfo(one) for one in statuses]
        world.power_cut()


@pytest.mark.requirement("C10.FR.09")
async def test_everything_but_the_personal_message_is_kept_through_a_power_cut(world: World) -> None:
    token = IdToken("abc", "eMAID", (("card 7", "print"), ("2", "version")))
    await world.cache.put(token, EVERYTHING)
    world.power_cut()
    entry = await world.cache.use(IdToken("ABC", "eMAID"))
    assert entry == Entry(replace(EVERYTHING, message=None), token.additional_info)
    assert entry.info.group is not None and entry.info.group.additional_info == (("account-7", "billing"),)


@pytest.mark.requirement("C01.FR.25")
async def test_a_token_is_its_id_in_any_case_and_its_type(world: World) -> None:
    await world.cache.put(card("04a2B3"), OK)
    assert await world.info(IdToken("04A2b3", "ISO14443", (("more", "info"),))) == OK
    assert await world.info(card("04a2B3", "ISO15693")) is None


@pytest.mark.requirement("C10.FR.12")
async def test_no_id_is_on_disk_in_the_clear(world: World) -> None:
    await world.cache.put(card("SECRETSECRET"), OK)
    files = b"".join(file.read_bytes() for file in world.folder.glob("station.db*"))
    assert len(world.rows()) == 1 and b"secret" not in files.lower()


@pytest.mark.requirement("C02.FR.03", "C03.FR.02", "C05.FR.02")
@pytest.mark.parametrize(
    "token",
    [NO_AUTHORIZATION, card("X", "Central"), card(""), card("x" * 37), card("a b"), card("ä"), card(1, "RFID")],
)
async def test_what_is_no_token_of_a_driver_is_not_kept(world: World, token: IdToken) -> None:
    await world.cache.put(token, OK)
    assert len(world.cache) == 0 == len(world.rows())


@pytest.mark.requirement("C10.FR.08", "C10.FR.10")
async def test_an_entry_is_gone_when_its_life_time_has_passed_since_the_csms_spoke_of_it(world: World) -> None:
    world.settings.set("AuthCacheCtrlr.LifeTime", 1000)
    await world.cache.put(card(1), OK)
    world.clock.move(600)
    await world.cache.use(card(1))  # a use is no word of the CSMS
    world.clock.move(400)
    assert await world.info(card(1)) == OK
    world.clock.move(1)
    assert await world.info(card(1)) is None
    assert world.rows() == {} and world.settings.get(STORAGE) == 0


async def test_the_same_answer_again_starts_the_life_time_anew(world: World) -> None:
    world.settings.set("AuthCacheCtrlr.LifeTime", 1000)
    await world.cache.put(card(1), OK)
    for _ in range(30):
        world.clock.move(90)
        await world.cache.put(card(1), OK)
    world.clock.move(1000)
    assert await world.info(card(1)) == OK
    await world.cache.put(card(1), OK)
    world.clock.move(90)
    await world.cache.put(card(1), OK)
    world.clock.move(1000)
    assert await world.info(card(1)) == OK
    await world.cache.put(card(1), OK)
    world.power_cut()  # at most a tenth of the life time of freshness is lost
    world.clock.move(900)
    assert await world.info(card(1)) == OK


async def test_without_a_life_time_nothing_expires(world: World) -> None:
    world.settings.set("AuthCacheCtrlr.LifeTime", None)
    await world.cache.put(card(1), OK)
    world.clock.move(1e9)
    assert await world.info(card(1)) == OK


async def test_a_clock_that_lost_its_time_expires_nothing(world: World) -> None:
    world.settings.set("AuthCacheCtrlr.LifeTime", 10)
    await world.cache.put(card(1), OK)
    world.clock.move(-1e8)
    assert await world.info(card(1)) == OK


async def test_what_a_clock_that_was_ahead_wrote_is_written_again(world: World) -> None:
    world.clock.move(1e9)
    await world.cache.put(card(1), OK)
    world.clock.move(-1e9)
    await world.cache.put(card(1), OK)
    world.power_cut()
    world.clock.move(86_401)
    assert await world.info(card(1)) is None


@pytest.mark.requirement("C10.FR.13")
async def test_an_expiry_from_the_csms_goes_before_the_life_time(world: World) -> None:
    world.settings.set("AuthCacheCtrlr.LifeTime", 10)
    await world.cache.put(card(1), IdTokenInfo("Accepted", START + timedelta(hours=1)))
    world.power_cut()
    world.clock.move(3600)
    assert await world.info(card(1)) is not None
    world.clock.move(1)
    assert await world.info(card(1)) is None and world.rows() == {}


@pytest.mark.requirement("C10.FR.10")
async def test_an_expiry_in_the_past_keeps_a_token_out_and_takes_it_out(world: World) -> None:
    past = IdTokenInfo("Accepted", START - timedelta(seconds=1))
    await world.cache.put(card(1), past)
    assert len(world.cache) == 0
    await world.cache.put(card(1), OK)
    await world.cache.put(card(1), past)
    assert len(world.cache) == 0 == len(world.rows())


@pytest.mark.requirement("C10.FR.11")
async def test_a_cache_that_is_off_says_and_learns_nothing_and_forgets_nothing(world: World) -> None:
    await world.cache.put(card(1), OK)
    world.settings.set("AuthCacheCtrlr.Enabled", False)
    await world.cache.put(card(1), BLOCKED)
    await world.cache.put(card(2), OK)
    assert await world.info(card(1)) is None is await world.info(card(2))
    world.settings.set("AuthCacheCtrlr.Enabled", True)
    assert await world.info(card(1)) == OK and await world.info(card(2)) is None


@pytest.mark.requirement("C10.FR.07")
async def test_a_full_cache_drops_what_was_used_least_recently(tmp_path: Path) -> None:
    sample = World(tmp_path / "sample")
    await sample.cache.put(card(0), OK)
    world = World(tmp_path / "full", limit=3 * sample.cache.bytes)
    for number in range(3):
        await world.cache.put(card(number), OK)
    await world.cache.use(card(0))
    await world.cache.put(card(3), OK)
    assert [number for number in range(4) if card(number) in world.cache] == [0, 2, 3]
    assert len(world.rows()) == 3 and world.settings.get(STORAGE) == world.cache.bytes == 3 * sample.cache.bytes


@pytest.mark.requirement("C10.FR.07")
async def test_the_same_answer_again_is_a_use(tmp_path: Path) -> None:
    world = World(tmp_path, limit=3 * 70)
    for number in (0, 1, 2, 0, 3):
        await world.cache.put(card(number), OK)
    assert [number for number in range(4) if card(number) in world.cache] == [0, 2, 3]


async def test_after_a_power_cut_what_was_written_first_goes_first(tmp_path: Path) -> None:
    world = World(tmp_path, limit=10 * 70)
    for number in range(10):
        world.clock.move(1)
        await world.cache.put(card(number), OK)
    world.power_cut()
    for number in range(10, 15):
        await world.cache.put(card(number), OK)
        assert [one for one in range(15) if card(one) in world.cache] == list(range(number - 9, number + 1))


async def test_an_entry_larger_than_the_cache_is_not_kept_and_its_old_one_neither(tmp_path: Path) -> None:
    world = World(tmp_path, limit=100)
    await world.cache.put(card(1), OK)
    assert card(1) in world.cache
    await world.cache.put(card(1), EVERYTHING)
    assert len(world.cache) == 0 == len(world.rows()) == world.cache.bytes


async def test_a_use_and_a_repeated_answer_write_nothing(world: World) -> None:
    await world.cache.put(card(1), OK)
    before = world.store._run(lambda c: c.total_changes).result()
    for _ in range(100):
        world.clock.move(1)
        await world.cache.use(card(1))
        await world.cache.put(card(1), OK)
    assert world.store._run(lambda c: c.total_changes).result() == before


async def test_a_change_writes_one_row(world: World) -> None:
    for number in range(20):
        await world.cache.put(card(number), OK)
    before = world.store._run(lambda c: c.total_changes).result()
    await world.cache.put(card(3), BLOCKED)
    assert world.store._run(lambda c: c.total_changes).result() == before + 1


@pytest.mark.requirement("C11.FR.01")
async def test_clearing_clears_memory_and_disk(world: World) -> None:
    await world.cache.put(card(1), OK)
    await world.cache.clear()
    assert len(world.cache) == 0 == world.settings.get(STORAGE) and world.rows() == {}


async def test_what_the_disk_refused_is_in_memory_and_goes_along_with_the_next_write(world: World) -> None:
    await world.cache.put(card(1), OK)
    read_only(world.store)
    for token, info in ((card(1), BLOCKED), (card(2), OK)):
        with pytest.raises(StoreFailed):
            await world.cache.put(token, info)
    with pytest.raises(StoreFailed):
        await world.cache.clear()
    assert await world.info(card(1)) == BLOCKED and await world.info(card(2)) == OK
    read_only(world.store, False)
    await world.cache.put(card(3), OK)
    world.power_cut()
    assert [await world.info(card(number)) for number in (1, 2, 3)] == [BLOCKED, OK, OK]
    assert world.settings.get(STORAGE) == world.cache.bytes == (await world.store.size(ROOM))[1]


async def test_a_write_that_succeeds_does_not_stand_for_one_that_failed_meanwhile(world: World) -> None:
    read_only(world.store)
    first = asyncio.ensure_future(world.cache.put(card(1), OK))
    await asyncio.sleep(0)  # its write is on its way
    world.store._run(lambda c: c.execute("PRAGMA query_only = OFF").fetchall())
    answers = await asyncio.gather(first, world.cache.put(card(2), OK), return_exceptions=True)
    assert isinstance(answers[0], StoreFailed) and answers[1] is None
    await world.cache.put(card(3), OK)
    world.power_cut()
    assert [await world.info(card(number)) for number in (1, 2, 3)] == [OK, OK, OK]


async def test_an_entry_that_cannot_be_read_is_none(world: World) -> None:
    await world.cache.put(card(1), OK)
    (key,) = world.rows()
    for text in ("", "what?", "2026-01-01T00:00:00.000Z[]", '2026-01-01T00:00:00.000Z{"group":[]}'):
        await world.store.keep([(ROOM, key, text)])
        world.power_cut()
        assert await world.info(card(1)) is None and world.rows() == {}


async def test_entries_that_arrive_while_it_is_cleared_stay(world: World) -> None:
    await world.cache.put(card(1), OK)
    await asyncio.gather(world.cache.clear(), world.cache.put(card(2), OK))
    assert card(2) in world.cache and card(1) not in world.cache
    assert world.settings.get(STORAGE) == world.cache.bytes == (await world.store.size(ROOM))[1]
    read_only(world.store)
    await asyncio.gather(world.cache.clear(), world.cache.put(card(3), OK), return_exceptions=True)
    assert card(2) in world.cache and card(3) in world.cache


# --- against a model ---------------------------------------------------------------------------------------------

_INFOS = (OK, BLOCKED, EVERYTHING)
_STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 7), st.sampled_from(range(len(_INFOS)))),
    st.tuples(st.just("use"), st.integers(0, 7), st.just(0)),
    st.tuples(st.just("clear"), st.just(0), st.just(0)),
    st.tuples(st.just("cut"), st.just(0), st.just(0)),
)


@given(st.lists(_STEPS, max_size=40), st.integers(140, 500))
@settings(max_examples=80, deadline=None)
def test_it_is_a_dictionary_that_forgets_the_least_recently_used(
    steps: list[tuple[str, int, int]], limit: int
) -> None:
    async def run(folder: Path) -> None:
        world = World(folder, limit)
        model: OrderedDict[int, IdTokenInfo] = OrderedDict()
        written: list[int] = []
        """In the order in which they were written: what remains of the order after a power cut."""

        def cost(number: int) -> int:
            return 22 + 24 + len(encode(Entry(replace(model[number], message=None))))

        for step, number, which in steps:
            world.clock.move(1)
            if step == "put":
                info = _INFOS[which]
                if model.get(number) != info:
                    written = [one for one in written if one != number] + [number]
                model[number] = info
                model.move_to_end(number)
                await world.cache.put(card(number), info)
                while sum(map(cost, model)) > limit:
                    model.popitem(last=False)
            elif step == "use":
                seen = await world.info(card(number))
                expected = model.get(number)
                assert seen == (None if expected is None else replace(expected, message=None))
                if number in model:
                    model.move_to_end(number)
            elif step == "clear":
                await world.cache.clear()
                model.clear()
            else:
                world.power_cut()
                model = OrderedDict((one, model[one]) for one in written if one in model)
            used = sum(map(cost, model))
            assert {one for one in range(8) if card(one) in world.cache} == set(model)
            assert world.cache.bytes == world.settings.get(STORAGE) == used <= limit
            assert await world.store.size(ROOM) == (len(model), used)
        world.store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


_TEXT = st.text(max_size=8)
_TOKEN = st.builds(IdToken, _TEXT, _TEXT, st.lists(st.tuples(_TEXT, _TEXT), max_size=2).map(tuple))
_TIME = st.integers(0, 10**12).map(lambda ms: START + timedelta(milliseconds=ms))


@given(
    st.builds(
        IdTokenInfo,
        _TEXT,
        st.none() | _TIME,
        st.none() | _TOKEN,
        st.lists(st.integers(), max_size=3).map(tuple),
        st.none() | _TEXT,
        st.none() | _TEXT,
        st.none() | st.integers(-9, 9),
        st.none() | _TEXT,
    ),
    st.lists(st.tuples(_TEXT, _TEXT), max_size=2).map(tuple),
)
def test_what_is_encoded_is_decoded(info: IdTokenInfo, additional: tuple[tuple[str, str], ...]) -> None:
    entry = decode(encode(Entry(info, additional)))
    assert entry == Entry(info, additional) and encode(entry).isascii()
    if info.group is not None:
        assert entry.info.group is not None and entry.info.group.additional_info == info.group.additional_info


@given(st.text(max_size=40), st.sampled_from(["ISO14443", "KeyCode", "Local"]))
def test_a_well_formed_token_has_1_to_36_characters_of_an_identifier(text: str, kind: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*-_=:+|@.")
    assert well_formed(IdToken(text, kind)) == (1 <= len(text) <= 36 and set(text) <= allowed)
