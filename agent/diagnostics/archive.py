"""A tar.gz made piece by piece: no more of it is in memory than one part of one member.

A tar wants a member's size before its bytes. What has more than `PART` bytes is therefore cut at the end of a line
into members of their own, `model-001.jsonl`, `model-002.jsonl`, …, which `cat` joins again.
"""

import io
import tarfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import PurePosixPath

PART = 512 * 1024
CHUNK = 64 * 1024
"""Bytes of the compressed stream that are handed on at once, about."""

_GZIP = 31
"""zlib's window bits for a gzip stream."""

Member = tuple[str, Iterable[str]]
"""A name and its lines, without their ends."""


def gzipped(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    """`pieces` as one gzip stream."""
    press = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    waiting = bytearray()
    for piece in pieces:
        waiting += press.compress(piece)
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    waiting += press.flush()
    yield bytes(waiting)


def tar(members: Iterable[Member], time: float) -> Iterator[bytes]:
    """A tar of `members`, dated `time` (seconds since 1970)."""
    for name, lines in members:
        for part, data in _parts(name, lines):
            info = tarfile.TarInfo(part)
            info.size, info.mtime, info.mode = len(data), int(time), 0o640
            yield info.tobuf(tarfile.GNU_FORMAT)
            yield data
            yield bytes(-len(data) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _parts(name: str, lines: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    buffer, number = io.BytesIO(), 0
    for line in lines:
        if buffer.tell() >= PART:
            number += 1
            yield _numbered(name, number), buffer.getvalue()
            buffer = io.BytesIO()
        buffer.write(line.encode(errors="replace") + b"\n")
    yield name if number == 0 else _numbered(name, number + 1), buffer.getvalue()


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{number:03}{path.suffix}"))
