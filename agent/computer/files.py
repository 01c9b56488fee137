"""The kernel's small text files: a file that is not there, not readable or not understood gives None, never an error.

A thermal zone answers EINVAL while its sensor sleeps, a link that is down has no speed: absence is an ordinary answer
here, and what it means is for the caller to say.
"""

from pathlib import Path

MOST = 65_536
"""Bytes that are read of one file; /proc/meminfo and /proc/net/if_inet6 need a few thousand."""


def text(path: Path) -> str | None:
    """The file's text without blanks and NULs around it (devicetree strings end with a NUL); None for none."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST)
    except OSError:
        return None
    return content.decode("utf-8", "replace").strip(" \t\r\n\0") or None


def number(path: Path, base: int = 10) -> int | None:
    """The one whole number in the file; `base` 0 takes a 0x in front."""
    content = text(path)
    return None if content is None else whole(content, base)


def whole(content: str, base: int = 10) -> int | None:
    """`content` as a whole number, None where it is none."""
    try:
        return int(content, base)
    except ValueError:
        return None


def real(content: str) -> float | None:
    """`content` as a number, None where it is none."""
    try:
        return float(content)
    except ValueError:
        return None


def listed(folder: Path) -> list[Path]:
    """What lies in `folder`, by name; nothing where there is no such folder."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def exists(path: Path) -> bool:
    """Whether `path` is there, as far as this process may look."""
    try:
        return path.exists()
    except OSError:
        return False
