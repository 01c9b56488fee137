"""What survives a power cut: an SQLite file in the state directory, written in a thread of its own.

Every write is acknowledged only after a synced commit (WAL, synchronous=FULL); writes that arrive together share
one. Nothing that a sensor measures comes here. Four tables: `attribute` (Targets, MinSet, MaxSet and controllers'
settings), `setting` (what is per unit: CSMS URL, identity, password), `message` (what must still reach the CSMS) and
`kept` (what a room of the agent wants to find again: transactions, tokens, reservations, availability).
"""

import asyncio
import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

# The thousands change when an older agent could no longer read the file; the rest counts additions that it can.
# An update may be rolled back (design §6), so additions never change what is there.
SCHEMA_VERSION = 1001

_TABLES = """
CREATE TABLE IF NOT EXISTS attribute (address TEXT, kind TEXT, value TEXT NOT NULL, PRIMARY KEY (address, kind));
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS message (
    n INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS kept (room TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (room, key)) WITHOUT ROWID;
"""

Change = tuple[str, str | None, str | None]
"""(room, key, value) of what is kept: a value of None forgets the key, a key of None the whole room."""


class StoreError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version // 1000 > SCHEMA_VERSION // 1000:
        connection.close()
        raise StoreError(f"{path}: written by a newer agent (schema {version}); install that one again")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if version < SCHEMA_VERSION:
        connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
    return connection


class Store:
    """The state directory of one station, locked for this process until `close`.

    Raises StoreError where the directory cannot be made, is in use by another agent, or holds a file that is no
    store or comes from a newer agent.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
            self._lock = (directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise StoreError(f"{directory}: another agent is running with this state directory") from None
        except OSError as error:
            raise StoreError(f"{directory}: {error.strerror}; give a directory that this user may write") from None
        try:
            self._connection = _open(directory / "station.db")
        except sqlite3.Error as error:
            self._lock.close()
            raise StoreError(f"{directory / 'station.db'}: {error}; move the file away to start afresh") from None
        except StoreError:
            self._lock.close()
            raise
        self._jobs: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the writes under way and give the directory free."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()
        self._lock.close()

    # --- reading: at start, before anything else uses the connection's thread ---------------------------------

    def attributes(self) -> dict[tuple[str, str], str]:
        """Every stored attribute: (address, kind) → text. Raises StoreError."""
        rows = self._rows("SELECT address, kind, value FROM attribute")
        return {(address, kind): value for address, kind, value in rows}

    def settings(self) -> dict[str, str]:
        """Every stored setting. Raises StoreError."""
        return dict(self._rows("SELECT key, value FROM setting"))

    def messages(self) -> list[tuple[int, str, str]]:
        """The messages that still wait for an answer, oldest first: (number, action, payload). Raises StoreError."""
        return self._rows("SELECT n, action, payload FROM message ORDER BY n")

    def kept(self, room: str) -> dict[str, str]:
        """What `room` keeps: key → value. Raises StoreError."""
        return dict(self._rows("SELECT key, value FROM kept WHERE room = ?", (room,)))

    def _rows(self, query: str, values: tuple[str, ...] = ()) -> list[Any]:
        try:
            return self._run(lambda c: c.execute(query, values).fetchall()).result()
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.directory / 'station.db'}: {error}; move the file away to start afresh"
            ) from error

    # --- writing: returns after the synced commit --------------------------------------------------------------

    async def save_attributes(self, values: Mapping[tuple[str, str], str]) -> None:
        """Store attributes, all or none: (address, kind) → text. Raises StoreError."""
        await self._write(_put_attributes(values))

    async def save_settings(self, values: Mapping[str, str]) -> None:
        """Store settings, all or none. Raises StoreError."""
        await self._write(_put_settings(values))

    def save_now(self, settings: Mapping[str, str], attributes: Mapping[tuple[str, str], str]) -> None:
        """Store both in one commit, from outside an event loop. Raises StoreError."""

        def job(connection: sqlite3.Connection) -> None:
            _put_settings(settings)(connection)
            _put_attributes(attributes)(connection)

        try:
            self._run(job).result()
        except sqlite3.Error as error:
            raise StoreError(f"{self.directory}: {error}") from error

    async def add_message(self, action: str, payload: str) -> int:
        """Keep a message until it has been answered; returns its number. Raises StoreError."""
        sql = "INSERT INTO message (action, payload) VALUES (?, ?)"
        number: int = await self._write(lambda c: c.execute(sql, (action, payload)).lastrowid or 0)
        return number

    async def remove_message(self, number: int) -> None:
        """Forget a message that was answered. Raises StoreError."""
        await self._write(_executemany("DELETE FROM message WHERE n = ?", [(number,)]))

    async def keep(self, changes: Iterable[Change], messages: Sequence[tuple[str, str]] = ()) -> list[int]:
        """Make `changes` in their order and keep `messages` (action, payload), all or nothing, in one commit.

        Returns the messages' numbers. Raises StoreError.
        """
        rows = list(changes)

        def job(connection: sqlite3.Connection) -> list[int]:
            for room, key, value in rows:
                if key is None:
                    connection.execute("DELETE FROM kept WHERE room = ?", (room,))
                elif value is None:
                    connection.execute("DELETE FROM kept WHERE room = ? AND key = ?", (room, key))
                else:
                    connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (room, key, value))
            sql = "INSERT INTO message (action, payload) VALUES (?, ?)"
            return [connection.execute(sql, message).lastrowid or 0 for message in messages]

        return await self._write(job)

    async def look_up(self, room: str, key: str) -> str | None:
        """What `room` keeps under `key`, None for nothing. Raises StoreError."""
        sql = "SELECT value FROM kept WHERE room = ? AND key = ?"
        rows: list[tuple[str]] = await self._write(lambda c: c.execute(sql, (room, key)).fetchall())
        return rows[0][0] if rows else None

    async def size(self, room: str) -> tuple[int, int]:
        """How many keys `room` keeps, and how many bytes of keys and values. Raises StoreError."""
        sql = "SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM kept WHERE room = ?"
        rows: list[tuple[int, int]] = await self._write(lambda c: c.execute(sql, (room,)).fetchall())
        return rows[0]

    # --- the thread ----------------------------------------------------------------------------------------------

    async def _write(self, job: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            # Shielded: a caller that goes away does not undo a write whose commit is under way.
            return await asyncio.shield(asyncio.wrap_future(self._run(job)))
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"{self.directory}: {error}") from error

    def _run(self, job: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        while True:
            first = self._jobs.get()
            if first is None:
                return
            group = [first]
            stopping = False
            while not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    stopping = True
                    break
                group.append(following)
            self._commit(group)
            if stopping:
                return

    def _commit(self, group: Sequence[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]]) -> None:
        """Run the jobs of `group` in one transaction; answer them after its commit."""
        done: list[tuple[Future[Any], Any]] = []
        execute = self._connection.execute
        several = len(group) > 1  # then each can fail without the others
        try:
            execute("BEGIN")
            for job, future in group:
                if several:
                    execute("SAVEPOINT job")
                try:
                    done.append((future, job(self._connection)))
                except Exception as error:  # noqa: BLE001 - it is its caller's; the thread must live on
                    execute("ROLLBACK TO job" if several else "ROLLBACK")
                    future.set_exception(error)
                if several:
                    execute("RELEASE job")
            if self._connection.in_transaction:
                execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in done:
            future.set_result(result)


def _executemany(sql: str, rows: list[tuple[Any, ...]]) -> Callable[[sqlite3.Connection], None]:
    def job(connection: sqlite3.Connection) -> None:
        # The cursor ends here. Given to the event loop as a result and freed there, it would reset a statement
        # that this thread is using again: Python 3.11 shares them between cursors.
        connection.executemany(sql, rows)

    return job


def _put_attributes(values: Mapping[tuple[str, str], str]) -> Callable[[sqlite3.Connection], None]:
    rows: list[tuple[Any, ...]] = [(address, kind, text) for (address, kind), text in values.items()]
    return _executemany("INSERT OR REPLACE INTO attribute VALUES (?, ?, ?)", rows)


def _put_settings(values: Mapping[str, str]) -> Callable[[sqlite3.Connection], None]:
    return _executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", list(values.items()))
