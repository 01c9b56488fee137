"""The far end of a P1 port: a smart meter that pushes a telegram each second onto a pseudo-terminal.

The form is that of the DSMR P1 companion standard 5.0.2, chapter 6; written independently of the driver's reader.
"""

import asyncio
import contextlib
import os
import random
import termios
import time
import tty
from datetime import datetime
from typing import Any

from drivers import Value
from drivers.bench.world import World
from drivers.settings import P1Point, P1Profile, P1Settings, ProfileDevice

INTERVAL = 1.0
"""Seconds from telegram to telegram (DSMR 5)."""

SLOWNESS = 1.5
"""A slow meter lets this many times the bus's time-out pass between telegrams."""

_FORMS = {"kW": "06.3f", "kWh": "010.3f", "V": "05.1f", "A": "06.2f"}
"""How wide and how fine a meter writes a unit."""

_NOISE = random.Random(2)  # the same noise in each run


def crc16(data: bytes) -> int:
    """CRC16 as the standard has it: polynomial x16+x15+x2+1, least significant bit first, start 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def lines_of(point: P1Point, value: Value) -> list[str]:
    """The telegram's lines for one point. Where several codes make the point, they add up to `value`."""
    codes = (point.obis,) if isinstance(point.obis, str) else point.obis
    if isinstance(value, str):
        return [f"{code}({value})" for code in codes]
    unit = {1000.0: f"k{point.unit}", 1.0: point.unit}.get(point.scale, "")
    # In thousandths, so that the parts add up to the digit.
    whole = round(float(value) / point.scale * 1000)
    parts = [whole // len(codes)] * len(codes)
    parts[0] += whole - sum(parts)
    return [
        f"{code}({part / 1000:{_FORMS.get(unit, '.3f')}}{unit and '*'}{unit})"
        for code, part in zip(codes, parts, strict=True)
    ]


def telegram(lines: list[str], now: datetime) -> bytes:
    """A whole telegram with its checksum."""
    stamp = f"{now:%y%m%d%H%M%S}{'S' if now.dst() else 'W'}"
    text = "\r\n".join([r"/BEN5\2STATION-BENCH", "", "1-3:0.2.8(50)", f"0-0:1.0.0({stamp})", *lines, "!"])
    body = text.encode("ascii", "replace")
    return body + f"{crc16(body):04X}\r\n".encode()


class P1End:
    """The meter, or more exactly what it pushes."""

    faults = frozenset({"offline", "garbage", "slow"})

    def __init__(self, world: World, bus: str, settings: P1Settings) -> None:
        self._world = world
        self._slow = settings.timeout * SLOWNESS
        self._meters: dict[str, P1Profile] = {}
        for name, device in world.board.devices.items():
            if device.bus == bus and isinstance(device, ProfileDevice):
                profile = world.board.profiles[device.profile]
                assert isinstance(profile, P1Profile)
                self._meters[name] = profile
        self._sent = -INTERVAL

    async def start(self) -> dict[str, Any]:
        self._fd, self._agents = os.openpty()
        tty.setraw(self._agents)
        os.set_blocking(self._fd, False)
        asyncio.get_running_loop().add_reader(self._fd, self._swallow)
        return {"port": os.ttyname(self._agents)}

    def refresh(self) -> None:
        fault = self._fault()
        now = time.monotonic()
        if fault == "offline" or now < self._sent + (self._slow if fault == "slow" else INTERVAL):
            return
        self._sent = now
        # What nobody read meanwhile is not kept: neither is it by the port of a computer.
        termios.tcflush(self._agents, termios.TCIFLUSH)
        data = _NOISE.randbytes(600) if fault == "garbage" else self._telegram()
        with contextlib.suppress(BlockingIOError):
            os.write(self._fd, data)

    def touched(self, device: str) -> None:
        """The next telegram shows it."""

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        os.close(self._agents)

    def _fault(self) -> str:
        faults = (self._world.devices[name].fault for name in self._meters)
        return next((fault for fault in faults if fault != "none"), "none")

    def _telegram(self) -> bytes:
        lines = [
            line
            for name, profile in self._meters.items()
            for point, told in profile.points.items()
            for line in lines_of(told, self._world.devices[name].points[point].value)
        ]
        return telegram(lines, datetime.now().astimezone())

    def _swallow(self) -> None:
        """A meter does not listen."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 4096)
