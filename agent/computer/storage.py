"""Memory and the disk with the state directory; components with own names, as the appendices have none for them.

Standard is only `Storage`, an integer of bytes, which ends at 2 GiB: sizes here are decimals with names of their own.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from agent.computer.files import exists, number, text, whole
from agent.computer.kernel import Kernel
from agent.computer.parts import Part, Values, gauge, problem, size
from agent.model import Component, DataType, Value, Variable

MEMORY = Component("Memory")
DISK = Component("Disk")

_PAGE = os.sysconf("SC_PAGE_SIZE")


def parts(root: Path, state_dir: Path, kernel: Kernel) -> Iterator[Part]:
    """`Memory`, and `Disk`, the file system that `state_dir` is on. Free memory is what the kernel calls available:
    caches that it would give up count.
    """
    yield from _memory(root)
    yield from _disk(root, state_dir, kernel)


def _memory(root: Path) -> Iterator[Part]:
    path, own = root / "proc/meminfo", root / "proc/self/statm"
    total = _meminfo(path).get("MemTotal")
    if not total:
        return
    free = gauge(MEMORY, "Free", DataType.DECIMAL, "B")
    percent = gauge(MEMORY, "Percent", DataType.DECIMAL, "Percent", instance="Free")
    resident = gauge(MEMORY, "Used", DataType.DECIMAL, "B", instance="Agent")

    def read() -> Values:
        left = _meminfo(path).get("MemAvailable")
        fields = (text(own) or "").split()
        pages = whole(fields[1]) if len(fields) > 1 else None
        return {
            free: left,
            percent: share(left, total),
            resident: None if pages is None else float(pages * _PAGE),
        }

    yield Part((problem(MEMORY), size(MEMORY, "Total", total), free, percent, resident), read)


def _meminfo(path: Path) -> dict[str, float]:
    """The lines of /proc/meminfo that are wanted, in bytes."""
    found: dict[str, float] = {}
    for line in (text(path) or "").splitlines():
        key, _, rest = line.partition(":")
        if key in ("MemTotal", "MemAvailable"):
            kilobytes = whole(rest.removesuffix("kB").strip())
            if kilobytes is not None:
                found[key] = kilobytes * 1024.0
    return found


def _disk(root: Path, state_dir: Path, kernel: Kernel) -> Iterator[Part]:
    room = kernel.room(state_dir)
    if room is None or not room.total:
        return
    total = float(room.total)
    free = gauge(DISK, "Free", DataType.DECIMAL, "B")
    percent = gauge(DISK, "Percent", DataType.DECIMAL, "Percent", instance="Free")

    def read() -> Values:
        now = kernel.room(state_dir)
        left = None if now is None else float(now.free)
        return {free: left, percent: share(left, total)}

    yield Part((problem(DISK), size(DISK, "Total", total), free, percent), read)
    yield from _wear(root, room.device)


def _wear(root: Path, number_of: int) -> Iterator[Part]:
    """How much an eMMC says it is used up, and how much ext4 wrote in its life. A card in a slot tells neither."""
    block = root / f"sys/dev/block/{os.major(number_of)}:{os.minor(number_of)}"
    if not exists(block):
        return
    block = block.resolve()
    whole_disk = block.parent if exists(block / "partition") else block
    life, written = whole_disk / "device/life_time", root / "sys/fs/ext4" / block.name / "lifetime_write_kbytes"
    wear = gauge(DISK, "Percent", DataType.DECIMAL, "Percent", instance="Wear")
    volume = gauge(DISK, "Written", DataType.DECIMAL, "B")
    there: list[Variable] = [
        variable
        for variable, is_there in ((wear, used_up(text(life)) is not None), (volume, exists(written)))
        if is_there
    ]

    def read() -> Values:
        found: dict[Variable, Value | None] = {}
        if wear in there:
            found[wear] = used_up(text(life))
        if volume in there:
            kilobytes = number(written)
            found[volume] = None if kilobytes is None else kilobytes * 1024.0
        return found

    if there:
        yield Part(tuple(there), read)


def used_up(content: str | None) -> float | None:
    """`life_time` of an eMMC ("0x02 0x01": types A and B, in steps of 10 %) as the worst percentage of both.

    0 stands for "not told", 11 for "beyond what it was made for", which is 100 here.
    """
    steps = [whole(one, 0) for one in (content or "").split()]
    known = [one for one in steps if one is not None and 1 <= one <= 11]
    return min(max(known) * 10.0, 100.0) if known else None


def share(left: float | None, total: float) -> float | None:
    """`left` of `total` in percent, to a hundredth."""
    return None if left is None else round(left / total * 100, 2)
