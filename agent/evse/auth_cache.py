"""The authorization cache (C10, C11): the latest that the CSMS said of each token, the least recently used first out.

In memory each entry is the text that is on disk; it is read when it is used. Tokens are known by a hash, so that the
file holds no ids in the clear (C10.FR.12); a hash hides no short id from who tries them all.

A use is no write. A power cut therefore takes no entry, only some of the order: after it an entry counts as last used
when what the CSMS said of it was last written, which is when that changed, or once an hour at the most while the CSMS
repeats it. With a LifeTime, an entry can then expire by that hour (a tenth of LifeTime if less) too early.
"""

from base64 import urlsafe_b64encode
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b

from agent.clock import Clock
from agent.evse.auth_store import Change, StoreFailed, TokenShelf
from agent.evse.auth_tokens import Entry, decode, encode, well_formed
from agent.evse.records import NO_AUTHORIZATION, IdToken, IdTokenInfo
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel, format_date_time, parse_date_time

ROOM = "cache"
CONTROLLER = "AuthCacheCtrlr"

MAX_BYTES = 2_500_000
"""Of keys and values, where the model's Storage has no maxLimit: more than 10,000 entries."""

NEVER_CACHED = frozenset((NO_AUTHORIZATION.type, "Central"))
"""C02.FR.03, C03.FR.02, C05.FR.02."""

_TIME = len("2026-01-01T00:00:00.000Z")
"""A value on disk is the time of the CSMS's answer, then the entry: values sort by time."""


def key_of(token: IdToken) -> str:
    """What `token` is kept under: 22 characters, equal for equal tokens (C01.FR.25)."""
    digest = blake2b(token.key.encode(), digest_size=16).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


class AuthCache:
    """Read from `shelf` at once; every method that writes has changed the memory even where it raises StoreFailed.

    What could not be written is written with the next change. Storage in `model` is kept at the bytes used.
    """

    def __init__(self, model: DeviceModel, clock: Clock, shelf: TokenShelf) -> None:
        self._settings = EvseSettings(model)
        self._clock = clock
        self._shelf = shelf
        self._storage = model.get(Component(CONTROLLER), "Storage")
        rows = sorted(shelf.kept(ROOM).items(), key=lambda row: row[1][:_TIME])
        self._entries = OrderedDict(rows)
        """Key → text, least recently used first."""
        self._refreshed: dict[str, datetime] = {}
        """When the CSMS said the same again, where that is not on disk."""
        self._bytes = _size(self._entries)
        self._behind = bool(self._make_room())
        """Whether the disk lacks something that the memory has."""
        self._report()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, IdToken) and key_of(token) in self._entries

    @property
    def bytes(self) -> int:
        """Of keys and values."""
        return self._bytes

    @property
    def enabled(self) -> bool:
        """A change of it alters no content (part 2, AuthCacheEnabled)."""
        return self._settings.flag(CONTROLLER, "Enabled")

    async def use(self, token: IdToken) -> Entry | None:
        """What is cached of `token`, which is then the most recently used; what has expired is removed
        (C10.FR.10, C10.FR.13). Raises StoreFailed.
        """
        key = key_of(token)
        text = self._entries.get(key) if self.enabled else None
        if text is None:
            return None
        try:
            entry, updated = decode(text[_TIME:]), parse_date_time(text[:_TIME])
        except ValueError:  # written by who knows better: as good as absent
            entry = None
        if entry is None or self._expired(entry, self._refreshed.get(key, updated)):
            self._drop(key)
            await self._save([(ROOM, key, None)])
            return None
        self._entries.move_to_end(key)
        return entry

    async def put(self, token: IdToken, info: IdTokenInfo) -> None:
        """The CSMS said `info` of `token` (C10.FR.01, C10.FR.04). Raises StoreFailed.

        The personal message is not kept, since it may tell a tariff (C10.FR.09).
        """
        if not self.enabled or token.type in NEVER_CACHED or not well_formed(token):
            return
        key, now = key_of(token), self._clock.now()
        entry = Entry(replace(info, message=None), token.additional_info)
        old = self._entries.get(key)
        if self._expired(entry, now):  # C10.FR.10: kept out, and removed where it was
            if old is not None:
                self._drop(key)
                await self._save([(ROOM, key, None)])
            return
        text = encode(entry)
        if old is not None and old[_TIME:] == text and self._fresh(old, now):
            self._refreshed[key] = now
            self._entries.move_to_end(key)
            return
        if old is not None:
            self._drop(key)
        self._entries[key] = format_date_time(now) + text
        self._bytes += len(key) + len(self._entries[key])
        gone = self._make_room()
        kept: list[Change] = [(ROOM, key, self._entries.get(key))]
        await self._save([*((ROOM, one, None) for one in gone if one != key), *kept])

    def peek(self, token: IdToken) -> Entry | None:
        """What is kept of `token`, enabled or not, expired or not; that is no use of it (N09)."""
        text = self._entries.get(key_of(token))
        try:
            return None if text is None else decode(text[_TIME:])
        except ValueError:
            return None

    async def forget(self, token: IdToken) -> None:
        """Remove what is kept of `token` (N10.FR.03, FR.06). Raises StoreFailed."""
        key = key_of(token)
        if key in self._entries:
            self._drop(key)
            await self._save([(ROOM, key, None)])
        elif self._behind:  # an earlier attempt took it from the memory alone
            await self._save([])

    async def clear(self) -> None:
        """C11. Raises StoreFailed, and then nothing is cleared."""
        before = self._entries, self._refreshed
        self._entries, self._refreshed, self._bytes = OrderedDict(), {}, 0
        try:
            await self._shelf.keep([(ROOM, None, None)])
        except StoreFailed:
            came, (self._entries, self._refreshed) = self._entries, before
            for key, text in came.items():
                self._entries.pop(key, None)
                self._refreshed.pop(key, None)
                self._entries[key] = text
            self._bytes = _size(self._entries)
            raise
        finally:
            self._report()
        self._behind = False

    def _expired(self, entry: Entry, updated: datetime) -> bool:
        now = self._clock.now()
        if entry.info.cache_expiry is not None:
            return now > entry.info.cache_expiry
        life_time = self._settings.integer(CONTROLLER, "LifeTime", -1)
        return life_time >= 0 and (now - updated).total_seconds() > life_time

    def _fresh(self, text: str, now: datetime) -> bool:
        """Whether `text` was written so lately that the same need not be written again: an hour, or a tenth of a
        short LifeTime. What was written by a clock that was ahead is not.
        """
        life_time = self._settings.integer(CONTROLLER, "LifeTime", -1)
        seconds = min(3600.0, life_time / 10) if life_time >= 0 else 3600.0
        return format_date_time(now - timedelta(seconds=seconds)) < text[:_TIME] <= format_date_time(now)

    def _make_room(self) -> list[str]:
        """Drop the least recently used until the bytes fit (C10.FR.07); the keys dropped."""
        limit = None if self._storage is None else self._storage.characteristics.max_limit
        gone = []
        while self._bytes > (MAX_BYTES if limit is None else limit):
            gone.append(next(iter(self._entries)))
            self._drop(gone[-1])
        return gone

    def _drop(self, key: str) -> None:
        self._bytes -= len(key) + len(self._entries.pop(key))
        self._refreshed.pop(key, None)

    async def _save(self, changes: list[Change]) -> None:
        self._report()
        everything = self._behind
        if everything:
            changes = [(ROOM, None, None), *((ROOM, *row) for row in self._entries.items())]
        try:
            await self._shelf.keep(changes)
        except BaseException:  # also where the waiting was given up: whether it was written is then unknown
            self._behind = True
            raise
        if everything:
            self._behind = False

    def _report(self) -> None:
        if self._storage is not None and self._storage.actual.value != self._bytes:
            self._storage.update(self._bytes)


def _size(entries: OrderedDict[str, str]) -> int:
    return sum(len(key) + len(text) for key, text in entries.items())
