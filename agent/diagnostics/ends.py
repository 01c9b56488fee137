"""How an upload ends, and the way that it takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Ended = Literal["Uploaded", "UploadFailure", "PermissionDenied", "BadMessage", "NotSupportedOperation"]
"""The ends among UploadLogStatusEnumType."""


@dataclass(frozen=True, slots=True)
class End:
    """How an upload ended, and why; `again` tells whether a further attempt may end otherwise."""

    status: Ended
    why: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """How the station reaches others: `proxy` as in `ConnectionProfile`, `trust` a file of root certificates,
    `folder` one for temporary files.
    """

    proxy: str | None = None
    trust: str | None = None
    folder: Path | None = None
