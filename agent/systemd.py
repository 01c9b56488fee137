"""What the service manager is told: ready, stopping, and that the event loop still turns (sd_notify(3))."""

import asyncio
import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as READY=1, to $NOTIFY_SOCKET; nothing happens where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.send(state.encode())


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, half of what the service manager waits; None where it does not wait."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    return int(microseconds) / 2_000_000 if microseconds else None


async def feed_watchdog(interval: float) -> None:
    """Feed the watchdog each `interval` seconds, from the event loop itself: a loop that hangs is restarted."""
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)
