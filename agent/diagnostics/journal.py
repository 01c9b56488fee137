"""The journal of the service, line by line, where the computer has one."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from agent.clock import Clock
from agent.diagnostics.blanking import without_credentials
from agent.diagnostics.slices import DatedLine, Slice

UNIT = "station-agent.service"
DEFAULT_SPAN = timedelta(days=1)
"""How far back it goes where no oldest time is asked for."""

MOST_LINES = 500_000


def journal(
    span: Slice, clock: Clock, otherwise: Iterable[DatedLine], *, unit: str = UNIT, program: str = "journalctl"
) -> Iterator[str]:
    """The lines of `unit`'s journal in `span`; those of `otherwise` where it has none."""
    found = False
    for line in _read(span, clock, unit, shutil.which(program)):
        found = True
        yield line
    if not found:
        yield from span.of(otherwise)


def _read(span: Slice, clock: Clock, unit: str, program: str | None) -> Iterator[str]:
    if program is None:
        return
    oldest = span.oldest or (span.latest or clock.now()) - DEFAULT_SPAN
    command = [program, "--no-pager", "--quiet", "--utc", "--output=short-iso-precise", f"--unit={unit}"]
    command += [f"--since={_time(oldest)}", f"--lines={MOST_LINES}"]
    if span.latest is not None:
        command.append(f"--until={_time(span.latest)}")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as run:
        assert run.stdout is not None
        try:
            for line in run.stdout:
                yield without_credentials(line.decode(errors="replace").rstrip("\n"))
        finally:
            run.kill()


def _time(time: datetime) -> str:
    """As journalctl reads it; seconds since 1970 mean the same in every time zone."""
    return f"@{time.astimezone(UTC).timestamp():.6f}"
