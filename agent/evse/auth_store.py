"""Where authorization keeps what it knows, and the one error that says that it could not."""

from collections.abc import Iterable, Sequence
from typing import Protocol

Change = tuple[str, str | None, str | None]
"""(room, key, value): a value of None forgets the key, a key of None the whole room."""


class TokenStore(Protocol):
    """What survives a power cut; `agent.store.Store` is one."""

    def kept(self, room: str) -> dict[str, str]:
        """What `room` keeps: key → value. Blocks: for the start only."""
        ...

    async def keep(self, changes: Iterable[Change], messages: Sequence[tuple[str, str]] = ()) -> list[int]:
        """Make `changes` in their order, all or nothing, in one synced commit."""
        ...

    async def look_up(self, room: str, key: str) -> str | None:
        """What `room` keeps under `key`, None for nothing."""
        ...


class StoreFailed(Exception):
    """The store could not read or write; the message is its own."""


class TokenShelf:
    """A `TokenStore` whose every failure after the start is a StoreFailed, whatever it raises itself."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    def kept(self, room: str) -> dict[str, str]:
        """What `room` keeps. Raises what the store raises: without it there is no start."""
        return self._store.kept(room)

    async def keep(self, changes: Sequence[Change]) -> None:
        """Make `changes`, all or nothing. Raises StoreFailed."""
        try:
            await self._store.keep(changes)
        except Exception as error:
            raise StoreFailed(str(error)) from error

    async def look_up(self, room: str, key: str) -> str | None:
        """What `room` keeps under `key`. Raises StoreFailed."""
        try:
            return await self._store.look_up(room, key)
        except Exception as error:
            raise StoreFailed(str(error)) from error
