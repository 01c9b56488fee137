"""Ports that speak by themselves: opened for one owner alone, listened to in the event loop; what a hang-up is."""

import asyncio
import os
from collections.abc import Callable

import serial

from drivers import DriverError

_CHUNK = 4096


def open_port(port: str, baudrate: int, parity: str = "N") -> serial.Serial:
    """A serial port, locked against a second agent and against `board probe`. Raises `DriverError`."""
    try:
        return serial.Serial(port, baudrate, parity=parity, timeout=0, exclusive=True)
    except (OSError, ValueError) as error:
        raise DriverError(f"{port}: cannot be opened: {error}") from error


def listen(fd: int, port: str, heard: Callable[[bytes], None]) -> "asyncio.Future[None]":
    """Hand to `heard` what arrives at `fd`; the result holds a `DriverError` once `port` has hung up.

    Raises OSError for a file that cannot be waited for. Who calls removes the reader in the end.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            data = os.read(fd, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            data, reason = b"", error.strerror
        else:
            reason = "hung up"
        if data:
            heard(data)
        else:
            loop.remove_reader(fd)
            ended.set_exception(DriverError(f"{port}: {reason} (unplugged?)"))

    loop.add_reader(fd, readable)
    return ended
