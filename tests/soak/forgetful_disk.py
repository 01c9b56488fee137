"""Power cuts on a disk that forgets what was not synced: nothing that the store acknowledged may ever be lost.

    python tests/soak/forgetful_disk.py --cuts 200 --seed 1
    python tests/soak/forgetful_disk.py --cuts 20 --synchronous off     # must find losses

SIGKILL is not a power cut: the kernel still writes what the process left in the page cache. Here a process writes
with `agent.store.Store` while forgetful_disk.c, preloaded into it, writes down every operation on its files; it dies
after a random one of them. Of all that came after the last sync of a file, or of the directory for its entries, a
random part is then forgotten, sector by sector, and the store is opened on what remains. The next process goes on
from there. `-shm` is memory that processes share (SQLite builds it anew), so a power cut always takes it.

Needs a C compiler (`cc`). Exits 1 when an acknowledged value is not there, one appears that was never written, half
of a write is there, or the file is corrupt.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.store import Store, StoreError

SECTORS = (512, 4096)
KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How much of what was not synced is there after the cut; one of these each time."""

SLOTS = 3
MESSAGES = 8
LONGEST_PAYLOAD = 40_000
LONGEST_RUN = 3000
"""Operations before the cut; enough for several checkpoints of the WAL."""

RECORD = struct.Struct("@IIqq")


# --- the process that writes ----------------------------------------------------------------------------------------


def tell(event: str, what: str, n: int) -> None:
    os.write(1, (json.dumps([event, what, n]) + "\n").encode())


def payload(n: int) -> str:
    return f"{n} " + "x" * (n * 7919 % LONGEST_PAYLOAD)


async def write(directory: Path, first: int, synchronous: str) -> None:
    """Write numbers from `first` on, for ever; each is told before it is attempted and after it was acknowledged."""
    if first % 4 == 0:
        Store(directory).close()
    store = Store(directory)
    store._connection.execute(f"PRAGMA synchronous={synchronous}")
    numbers = itertools.count(first)

    async def attributes(slot: str) -> None:
        for n in numbers:
            tell("begin", slot, n)
            await store.save_attributes({(slot, "Target"): str(n), (slot, "MaxSet"): str(n)})
            tell("done", slot, n)

    async def settings() -> None:
        for n in numbers:
            tell("begin", "setting", n)
            await store.save_settings({"setting": str(n)})
            tell("done", "setting", n)

    async def messages() -> None:
        kept = [(number, int(text.split()[0])) for number, _, text in store.messages()]
        for n in numbers:
            tell("begin", "add", n)
            kept.append((await store.add_message("NotifyEvent", payload(n)), n))
            tell("done", "add", n)
            while len(kept) > MESSAGES:
                number, old = kept.pop(0)
                tell("begin", "remove", old)
                await store.remove_message(number)
                tell("done", "remove", old)

    await asyncio.gather(settings(), messages(), *(attributes(f"slot {i}") for i in range(SLOTS)))


# --- the disk -------------------------------------------------------------------------------------------------------


def apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """One operation on a file: `data` written at `offset`, or None for a file cut or stretched to `offset` bytes."""
    size = offset if data is None else max(len(content), offset + len(data))
    content.extend(bytes(max(0, size - len(content))))
    if data is None:
        del content[size:]
    else:
        content[offset : offset + len(data)] = data


@dataclass(eq=False)
class File:
    """What is on the medium, what a reader sees now, and what lies between the two."""

    synced: bytearray
    seen: bytearray
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def do(self, offset: int, data: bytes | None) -> None:
        apply(self.seen, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        self.synced[:] = self.seen
        self.pending.clear()

    def after_cut(self, dice: random.Random, kept: float, sector: int) -> bytes:
        content = bytearray(self.synced)
        for offset, data in self.pending:
            if data is None:
                if dice.random() < kept:
                    apply(content, offset, None)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), (offset + start) // sector * sector + sector - offset)
                if dice.random() < kept:
                    apply(content, offset + start, data[start:end])
                start = end
        return bytes(content)


class Disk:
    """One directory, its files and entries, as a journal of forgetful_disk.c describes them."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._database = str(directory / "station.db")
        contents = {str(path): path.read_bytes() for path in directory.iterdir()}
        self.seen = {path: File(bytearray(data), bytearray(data)) for path, data in contents.items()}
        self._synced = dict(self.seen)
        self._pending: list[dict[str, File | None]] = []
        self._open: dict[int, File | None] = {}
        """By number of the open; None is the directory itself."""
        self.checkpoints = 0
        """How often the database file itself was synced: that is when the WAL goes into it."""

    def replay(self, journal: Path) -> Iterator[list[Any]]:
        """Do what the journal says; yields what the process told on its standard output."""
        data, at, told = journal.read_bytes(), 0, b""
        while at < len(data):
            kind, number, offset, length = RECORD.unpack_from(data, at)
            body = data[at + RECORD.size : at + RECORD.size + length]
            at += RECORD.size + length
            if kind == ord("P"):
                *lines, told = (told + body).split(b"\n")
                yield from map(json.loads, lines)
            else:
                self._do(chr(kind), number, offset, body)

    def _do(self, kind: str, number: int, offset: int, body: bytes) -> None:
        if kind == "O":
            self._opened(number, body.decode(), offset)
        elif kind == "U":
            self._entries({body.decode(): None})
        elif kind == "R":
            old, new = body.decode().split("\n")
            self._entries({new: self.seen[old], old: None})
        elif kind == "S":
            self._sync(self._open[number])
        else:
            file = self._open[number]
            assert file is not None
            file.do(offset, body if kind == "W" else None)

    def _opened(self, number: int, path: str, flags: int) -> None:
        if path == self._directory:
            self._open[number] = None
            return
        if path not in self.seen:
            self._entries({path: File(bytearray(), bytearray())})
        self._open[number] = file = self.seen[path]
        if flags & os.O_TRUNC and file.seen:
            file.do(0, None)

    def _entries(self, changes: dict[str, File | None]) -> None:
        self._pending.append(changes)
        _change(self.seen, changes)

    def _sync(self, file: File | None) -> None:
        if file is not None:
            self.checkpoints += file is self.seen.get(self._database) and bool(file.pending)
            file.sync()
        else:
            self._synced = dict(self.seen)
            self._pending.clear()

    def compare(self) -> None:
        """Hold the whole journal against the real files. Raises AssertionError when an operation escaped it."""
        real = {str(path): path.read_bytes() for path in Path(self._directory).iterdir()}
        noted = {path: bytes(file.seen) for path, file in self.seen.items()}
        differing = [path for path in real.keys() | noted.keys() if real.get(path) != noted.get(path)]
        assert all(path.endswith("-shm") for path in differing), f"the journal misses writes to {differing}"

    def cut(self, dice: random.Random, into: Path) -> int:
        """Make `into` what is left after a power cut; how many operations were not synced."""
        kept, sector = dice.choice(KEPT), dice.choice(SECTORS)
        entries = dict(self._synced)
        for changes in self._pending:
            if dice.random() < kept:
                _change(entries, changes)
        for path, file in entries.items():
            if not path.endswith("-shm"):
                (into / Path(path).name).write_bytes(file.after_cut(dice, kept, sector))
        return len(self._pending) + sum(len(file.pending) for file in entries.values())


def _change(entries: dict[str, File], changes: dict[str, File | None]) -> None:
    for path, file in changes.items():
        if file is None:
            entries.pop(path, None)
        else:
            entries[path] = file


# --- what must be there ---------------------------------------------------------------------------------------------


class Promises:
    """What the store has acknowledged so far, and what it was asked for without an answer."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.messages: set[int] = set()
        self._asked: dict[str, int] = {}

    def hear(self, event: str, what: str, n: int) -> None:
        if event == "begin":
            self._asked[what] = n
            return
        del self._asked[what]
        if what == "add":
            self.messages.add(n)
        elif what == "remove":
            self.messages.remove(n)
        else:
            self.values[what] = n

    def compare(self, directory: Path) -> list[str]:
        """What is wrong with the store in `directory`, in words; from now on its content is what must be there."""
        try:
            attributes, settings, messages = _content(directory)
        except (StoreError, sqlite3.Error) as error:
            return [f"corrupt: {error}"]
        wrong = []
        values: dict[str, int] = {}
        slots = [f"slot {i}" for i in range(SLOTS)]
        found_at = {slot: [attributes.get((slot, kind)) for kind in ("Target", "MaxSet")] for slot in slots}
        for what, found in [*found_at.items(), ("setting", [settings.get("setting")])]:
            if len(set(found)) != 1:
                wrong.append(f"half of a write: {what} is {found}")
            told = {self.values.get(what), self._asked.get(what, self.values.get(what))}
            if (found[0] and int(found[0])) not in told:
                wrong.append(f"LOST: {what} was acknowledged with {self.values.get(what)}, is {found[0]}")
            if found[0]:
                values[what] = int(found[0])
        there = {int(text.split()[0]) for text in messages}
        wrong += [f"not as written: {text:.40}" for text in messages if text != payload(int(text.split()[0]))]
        wrong += [f"LOST: message {n}" for n in sorted(self.messages - there - {self._asked.get("remove")})]
        wrong += [f"never promised: message {n}" for n in sorted(there - self.messages - {self._asked.get("add")})]
        self.values, self.messages, self._asked = values, there, {}
        return wrong


def _content(directory: Path) -> tuple[dict[tuple[str, str], str], dict[str, str], list[str]]:
    store = Store(directory)
    try:
        content = store.attributes(), store.settings(), [text for _, _, text in store.messages()]
        verdict = store._connection.execute("PRAGMA integrity_check").fetchall()
        if verdict != [("ok",)]:
            raise sqlite3.DatabaseError(str(verdict[0][0]))
        return content
    finally:
        store.close()


# --- the run --------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What a run saw."""

    cuts: int = 0
    operations: int = 0
    forgettable: int = 0
    acknowledged: int = 0
    checkpoints: int = 0
    bad: int = 0


def forgetful_disk(cuts: int, seed: int, synchronous: str = "full", say: Any = print) -> Result:
    """Cut the power `cuts` times; the result's `bad` cuts must be 0. Raises OSError where there is no `cc`."""
    result, dice = Result(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        library = folder / "forgetful_disk.so"
        source = Path(__file__).with_suffix(".c")
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-ldl", "-lpthread"]
        subprocess.run(["cc", source, "-o", library, *flags], check=True)
        state, promises = folder / "state", Promises()
        state.mkdir()
        for cut in range(1, cuts + 1):
            if dice.random() < 0.15:  # fresh from the factory: the making of the file is cut, too
                _replace(state, None)
                promises = Promises()
            disk = Disk(state)
            limit = dice.randint(1, dice.choice((60, LONGEST_RUN)))
            first = cut * 1_000_000 + dice.randrange(4)
            _run_and_die(library, state, folder / "journal", limit, first, synchronous)
            for told in disk.replay(folder / "journal"):
                promises.hear(*told)
                result.acknowledged += told[0] == "done"
            disk.compare()
            (folder / "left").mkdir()
            result.forgettable += disk.cut(dice, folder / "left")
            _replace(state, folder / "left")
            # The store is judged on a copy, so that the next process finds the directory as the cut has left it.
            shutil.copytree(state, folder / "copy")
            wrong = promises.compare(folder / "copy")
            shutil.rmtree(folder / "copy")
            result.cuts, result.operations = cut, result.operations + limit
            result.checkpoints += disk.checkpoints
            if wrong:
                result.bad += 1
                say(f"cut {cut}, after operation {limit}: {'; '.join(wrong[:3])}")
                _replace(state, None)
                promises = Promises()
            if cut % 50 == 0:
                say(f"{cut} cuts: {result.acknowledged} writes acknowledged, {result.bad} cuts with a loss")
    return result


def _replace(state: Path, by: Path | None) -> None:
    shutil.rmtree(state)
    if by is None:
        state.mkdir()
    else:
        by.rename(state)


def _run_and_die(library: Path, state: Path, journal: Path, limit: int, first: int, synchronous: str) -> None:
    journal.unlink(missing_ok=True)
    settings = {"LD_PRELOAD": library, "FORGETFUL_DIRECTORY": state, "FORGETFUL_JOURNAL": journal}
    environment = {**os.environ, **{key: str(value) for key, value in settings.items()}, "FORGETFUL_CUT": str(limit)}
    command = [sys.executable, __file__, "--write", str(state), str(first), synchronous]
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=120)
    if ended.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the writer ended with {ended.returncode} instead of being killed")


def main() -> int:
    if sys.argv[1:2] == ["--write"]:
        directory, first, synchronous = sys.argv[2:]
        asyncio.run(write(Path(directory), int(first), synchronous))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synchronous", choices=("full", "normal", "off"), default="full", help="of the writer")
    args = parser.parse_args()
    if shutil.which("cc") is None:
        print("there is no C compiler here (cc)", file=sys.stderr)
        return 2
    started = time.monotonic()
    result = forgetful_disk(args.cuts, args.seed, args.synchronous)
    print(
        f"{result.cuts} power cuts in {time.monotonic() - started:.0f} s: {result.operations} operations, "
        f"{result.checkpoints} checkpoints, {result.acknowledged} writes acknowledged, "
        f"{result.forgettable} operations not synced when the power went, {result.bad} cuts with a loss"
    )
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
