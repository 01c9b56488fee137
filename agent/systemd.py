"""What the service manager is told: ready, stopping, and that the event loop still turns (sd_notify(3)); and how its
journal learns what is a warning.
"""

import asyncio
import logging
import os
import socket
from typing import TextIO

log = logging.getLogger(__name__)

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """Each line begins with its priority, for `journalctl -p` (sd-daemon(3)); the journal has the time itself."""

    def __init__(self) -> None:
        super().__init__("%(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(priority + line for line in super().format(record).splitlines())


def is_journal(stream: TextIO) -> bool:
    """Whether `stream` goes to the journal: $JOURNAL_STREAM is its device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:  # one that is in memory has no number
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def notify(state: str) -> None:
    """Send `state`, such as READY=1, to $NOTIFY_SOCKET; nothing happens where no service manager listens.

    It neither waits nor raises: a service manager that does not hear must not stop the station.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.connect(address)
            sender.send(state.encode())
    except OSError as error:
        log.warning("the service manager does not hear %s: %s", state, error)


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, half of what the service manager waits; None where it does not wait.

    $WATCHDOG_PID, where it is set, says whose signs it waits for (sd_watchdog_enabled(3)).
    """
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000


async def feed_watchdog(interval: float) -> None:
    """Feed the watchdog each `interval` seconds, from the event loop itself: a loop that hangs is restarted."""
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)
