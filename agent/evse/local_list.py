"""The Local Authorization List (D01, D02): kept on disk alone and looked up there: its length costs no memory.

What is told of the whole list (version, entries, bytes) is a key of its own, written in the commit that changes the
list: both are always of the same list.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.clock import Clock
from agent.evse.auth_store import Change, StoreFailed, TokenShelf
from agent.evse.auth_tokens import Entry, decode, encode, well_formed
from agent.evse.records import IdToken, IdTokenInfo
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel

ROOM = "local_list"
HEAD_ROOM, HEAD = "local_list_head", "head"
CONTROLLER = "LocalAuthListCtrlr"

MAX_ENTRIES = 50_000
"""Where the model's Entries has no maxLimit."""

ACCEPTED, FAILED, VERSION_MISMATCH = "Accepted", "Failed", "VersionMismatch"


class Head(NamedTuple):
    """What is told of the whole list; `version` is 0 where no list was ever sent (D02.FR.02)."""

    version: int = 0
    entries: int = 0
    bytes: int = 0


class LocalList:
    """The list in `shelf`; Entries and Storage in `model` are kept true."""

    def __init__(self, model: DeviceModel, clock: Clock, shelf: TokenShelf) -> None:
        self._model = model
        self._settings = EvseSettings(model)
        self._clock = clock
        self._shelf = shelf
        self._busy = False
        self._report(_head(shelf.kept(HEAD_ROOM).get(HEAD)))

    @property
    def enabled(self) -> bool:
        """D01.FR.13."""
        return self._settings.flag(CONTROLLER, "Enabled")

    async def version(self) -> int:
        """D02: 0 where there is no list, or it is not enabled. Raises StoreFailed."""
        return (await self._read_head()).version if self.enabled else 0

    async def find(self, token: IdToken) -> Entry | None:
        """The entry of `token`. Raises StoreFailed where it cannot be read."""
        text = await self._shelf.look_up(ROOM, token.key) if self.enabled else None
        try:
            return None if text is None else decode(text)
        except ValueError as error:
            raise StoreFailed(f"an entry of the local list: {error}") from error

    def expired(self, entry: Entry) -> bool:
        """Whether `entry` counts no longer; never unless SupportsExpiryDateTime is true (C13, C14)."""
        expiry = entry.info.cache_expiry
        supported = self._settings.flag(CONTROLLER, "SupportsExpiryDateTime")
        return supported and expiry is not None and self._clock.now() > expiry

    async def change(
        self, version: int, entries: Sequence[tuple[IdToken, IdTokenInfo | None]], *, full: bool, size: int
    ) -> str:
        """D01: Accepted and on disk, or Failed or VersionMismatch and all is as it was. Raises StoreFailed.

        `size` is the request's, in bytes. An entry without info is to be removed, which only a differential may ask.
        """
        if self._busy or not self.enabled:
            return FAILED
        self._busy = True
        try:
            return await self._change(version, entries, full, size)
        finally:
            self._busy = False

    async def _change(
        self, version: int, entries: Sequence[tuple[IdToken, IdTokenInfo | None]], full: bool, size: int
    ) -> str:
        before = await self._read_head()
        if not full and version <= before.version:  # D01.FR.19
            return VERSION_MISMATCH
        if version <= 0 or not self._fits_a_message(len(entries), size) or not _sound(entries, full):
            return FAILED
        changes: list[Change] = [(ROOM, None, None)] if full else []
        count, used = (0, 0) if full else (before.entries, before.bytes)
        for token, info in entries:
            key = token.key
            old = None if full else await self._shelf.look_up(ROOM, key)
            new = None if info is None else encode(Entry(info, token.additional_info))
            count += (new is not None) - (old is not None)
            used += _bytes(key, new) - _bytes(key, old)
            changes.append((ROOM, key, new))
        # A list that shrinks is taken even where it is still too large: the limit may have been lowered.
        if count > max(self._limit("Entries", MAX_ENTRIES), before.entries):
            return FAILED
        if used > max(self._limit("Storage", used), before.bytes):
            return FAILED
        after = Head(version, count, used)
        await self._shelf.keep([*changes, (HEAD_ROOM, HEAD, " ".join(map(str, after)))])
        self._report(after)
        return ACCEPTED

    def _fits_a_message(self, items: int, size: int) -> bool:
        """D01.FR.11."""
        most_items = self._settings.integer(CONTROLLER, "ItemsPerMessage", items)
        return items <= most_items and size <= self._settings.integer(CONTROLLER, "BytesPerMessage", size)

    def _limit(self, variable: str, otherwise: int) -> float:
        found = self._model.get(Component(CONTROLLER), variable)
        limit = None if found is None else found.characteristics.max_limit
        return otherwise if limit is None else limit

    async def _read_head(self) -> Head:
        return _head(await self._shelf.look_up(HEAD_ROOM, HEAD))

    def _report(self, head: Head) -> None:
        for name, value in (("Entries", head.entries), ("Storage", head.bytes)):
            variable = self._model.get(Component(CONTROLLER), name)
            if variable is not None:
                variable.update(value)


def _sound(entries: Sequence[tuple[IdToken, IdTokenInfo | None]], full: bool) -> bool:
    """Whether every token is well formed and there once (D01.FR.06), and has an info in a full list."""
    if len({token.key for token, _ in entries}) < len(entries):
        return False
    return all(well_formed(token) and not (full and info is None) for token, info in entries)


def _bytes(key: str, text: str | None) -> int:
    return 0 if text is None else len(key) + len(text)


def _head(text: str | None) -> Head:
    return Head() if text is None else Head(*map(int, text.split(" ")))
