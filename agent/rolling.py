"""What records on the disk share: numbered files of lines with check sums, and thrift with what comes too often."""

import binascii
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar


def checked(text: bytes) -> bytes:
    """The line of `text`, which has no line feed: with its check sum, ended."""
    return b"%s,%08x\n" % (text, binascii.crc32(text))


def unchecked(line: bytes) -> bytes:
    """The text of a line, with or without its end. Raises ValueError for one that is torn or damaged."""
    text, _, check = line.strip(b"\n").rpartition(b",")
    if not check or int(check, 16) != binascii.crc32(text):
        raise ValueError("check sum")
    return text


class Segments:
    """Files such as `signals-000001.csv` in `folder`, only ever appended to, the oldest first.

    A power cut costs at most the line that it tore: the next one begins on a line of its own.
    """

    def __init__(self, folder: Path, prefix: str, suffix: str) -> None:
        self.folder, self._prefix, self._suffix = folder, prefix, suffix

    def files(self) -> list[Path]:
        """Those that are there. An older one than the first may still go at any time."""
        found = self.folder.glob(f"{self._prefix}-*{self._suffix}")
        return sorted(one for one in found if one.stem.rpartition("-")[2].isdecimal())

    def append(self, lines: Iterable[bytes], *, fresh: bool = False, sync: bool = True) -> Path | None:
        """Write ended lines to the last file, or to a new one; returns the file that was begun. Raises OSError.

        Without `sync` they are on the disk when the system finds time.
        """
        files = self.files()
        begun = fresh or not files
        if begun:
            number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 1
            last = self.folder / f"{self._prefix}-{number:06}{self._suffix}"
        else:
            last = files[-1]
        with last.open("ab") as file:
            data = b"".join(lines)
            file.write(data if begun or _whole(last) else b"\n" + data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if not begun:
            return None
        _sync_folder(self.folder)
        return last


def _whole(segment: Path) -> bool:
    """Whether its last line was written to its end."""
    with segment.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Counted(Protocol):
    """What can stand for several of its source, the last of which it tells."""

    @property
    def source(self) -> str: ...

    @property
    def times(self) -> int: ...

    def counting(self, times: int) -> Self:
        """The same, standing for `times`."""
        ...


Item = TypeVar("Item", bound=Counted)


class Thrift(Generic[Item]):
    """Lets `burst` items of a source through at once, then one in `refill` s. What is held back is counted."""

    def __init__(self, burst: int, refill: float) -> None:
        self._burst, self._refill = burst, refill
        self._spent: dict[str, float] = {}
        self._held: dict[str, Item] = {}

    def give(self, item: Item, now: float) -> Item | None:
        """The one to tell now, if any."""
        held = self._held.pop(item.source, None)
        if held is not None:
            item = item.counting(held.times + item.times)
        if self._afford(item.source, now):
            return item
        self._held[item.source] = item
        return None

    def ripe(self, now: float) -> Iterator[Item]:
        """What was held back and may be told by now."""
        for source in [one for one in self._held if self._afford(one, now)]:
            yield self._held.pop(source)

    def rest(self) -> Iterator[Item]:
        """All that was held back: it is the end."""
        while self._held:
            yield self._held.popitem()[1]

    def due(self) -> float | None:
        """When something that was held back may be told."""
        return min((self._spent[one] - (self._burst - 1) * self._refill for one in self._held), default=None)

    def _afford(self, source: str, now: float) -> bool:
        until = max(self._spent.get(source, now), now)
        if until - now > (self._burst - 1) * self._refill:
            return False
        self._spent[source] = until + self._refill
        return True
