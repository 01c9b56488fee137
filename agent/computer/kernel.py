"""What the kernel tells by calls and not by files: an interface's address, whether the clock is synchronised."""

import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_TIME_ERROR = 5  # sys/timex.h: the clock is not synchronised
_TIMEX_BYTES = 512  # more than `struct timex` has on any architecture; modes = 0 only asks


class Room(NamedTuple):
    """A file system's size, what an unprivileged process may still write, both in bytes, and its device number."""

    total: int
    free: int
    device: int


class Kernel:
    """The kernel of this machine. A test's root tree has one of its own."""

    def address(self, interface: str) -> str | None:
        """The first IPv4 address of `interface`, or None."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            request = struct.pack("16s24x", interface.encode()[:15])
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
            except OSError:  # no such interface, or it has no address
                return None
        return socket.inet_ntoa(answer[20:24])

    def synchronised(self) -> bool | None:
        """Whether something such as NTP disciplines the clock (adjtimex); None where the kernel does not say."""
        import ctypes  # the start of the agent needs it not

        try:
            state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        except (OSError, AttributeError):
            return None
        return None if state < 0 else bool(state != _TIME_ERROR)

    def room(self, folder: Path) -> Room | None:
        """The file system that `folder` is on."""
        try:
            found, device = os.statvfs(folder), folder.stat().st_dev
        except OSError:
            return None
        return Room(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, device)
