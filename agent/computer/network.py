"""The lines to the world (`DataLink`): network interfaces with their addresses, counters and signal strength."""

import socket
from collections.abc import Iterator
from pathlib import Path

from agent.computer.files import exists, listed, number, real, text
from agent.computer.kernel import Kernel
from agent.computer.parts import Part, Values, gauge, told
from agent.model import Component, DataType, Value, Variable

LINKS = 3
"""Interfaces that become components, so that the model stays small on a machine with many."""

_PPP = 512  # net/if_arp.h: a modem that is dialled has no device of its own below the interface
_WIRELESS_ABSENT = -256.0


def parts(root: Path, kernel: Kernel) -> Iterator[Part]:
    """One `DataLink[interface]` for each interface with hardware; not the loopback, bridges or containers' ends."""
    for folder in interfaces(root)[:LINKS]:
        yield from _link(root, folder, kernel)


def interfaces(root: Path) -> list[Path]:
    """The folders of the interfaces that reach out of the machine."""
    return [
        folder
        for folder in listed(root / "sys/class/net")
        if exists(folder / "device") or number(folder / "type") == _PPP
    ]


def _link(root: Path, folder: Path, kernel: Kernel) -> Iterator[Part]:
    name = folder.name
    component = Component("DataLink", "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name))
    mac = text(folder / "address") if number(folder / "type") != _PPP else None
    usb = (folder / "device").resolve().parent  # of the modem, where the interface is one of its functions
    yield told(
        component,
        (
            ("MACAddress", None, mac),
            ("Manufacturer", None, text(usb / "manufacturer")),
            ("Model", None, text(usb / "product")),
        ),
    )
    active = gauge(component, "Active", DataType.BOOLEAN)
    version_4 = gauge(component, "NetworkAddress", DataType.STRING)
    version_6 = gauge(component, "NetworkAddress", DataType.STRING, instance="IPv6")
    signal = gauge(component, "SignalStrength", DataType.DECIMAL, "dBm")
    statistics = folder / "statistics"
    counters: dict[Variable, tuple[str, ...]] = {}
    if exists(statistics):
        counters = {
            gauge(component, "Received", DataType.DECIMAL, "B"): ("rx_bytes",),
            gauge(component, "Sent", DataType.DECIMAL, "B"): ("tx_bytes",),
            gauge(component, "Errors", DataType.DECIMAL): ("rx_errors", "tx_errors"),
        }
    radio = exists(folder / "wireless") or exists(folder / "phy80211")

    def read() -> Values:
        found: dict[Variable, Value | None] = {
            active: _is_up(folder),
            # No address is a fact, not a reading that failed.
            version_4: kernel.address(name) or "",
            version_6: version_6_of(root, name) or "",
        }
        if radio:
            found[signal] = signal_of(root, name)
        for variable, files in counters.items():
            counts = [number(statistics / file) for file in files]
            known = [count for count in counts if count is not None]
            found[variable] = float(sum(known)) if len(known) == len(counts) else None
        return found

    yield Part((active, version_4, version_6, *((signal,) if radio else ()), *counters), read)


def _is_up(folder: Path) -> bool | None:
    """Whether the link carries. PPP and some modems' drivers never say: there the carrier decides."""
    state = text(folder / "operstate")
    if state == "unknown":
        return number(folder / "carrier") == 1
    return None if state is None else state == "up"


def version_6_of(root: Path, name: str) -> str | None:
    """The interface's IPv6 address of the widest scope (/proc/net/if_inet6)."""
    found: list[tuple[int, str]] = []
    for line in (text(root / "proc/net/if_inet6") or "").splitlines():
        fields = line.split()
        if len(fields) == 6 and fields[5] == name:
            try:
                found.append((int(fields[3], 16), socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))))
            except ValueError:
                continue
    return min(found)[1] if found else None  # scopes: 00 global, 20 link, 40 site


def signal_of(root: Path, name: str) -> float | None:
    """The level in dBm that /proc/net/wireless tells of `name`; None while it is not associated."""
    for line in (text(root / "proc/net/wireless") or "").splitlines():
        interface, _, rest = line.strip().partition(":")
        fields = rest.split()
        if interface == name and len(fields) >= 3:
            level = real(fields[2].rstrip("."))
            return None if level is None or level <= _WIRELESS_ABSENT or level >= 0 else level
    return None
