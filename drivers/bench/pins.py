"""The far end of the pins: levels, pulses and what the agent's outputs do, over the link's socket."""

import time
from collections import deque
from pathlib import Path
from typing import Any

from drivers.bench.points import Device
from drivers.bench.world import World
from drivers.gpio_link import LinkServer
from drivers.settings import GpioSettings, InputPin, OutputPin, Pins, PwmFan

LAG = 5.0
"""Seconds by which a slow device's levels and pulses come late: pins have no time-out that one could answer after."""

NOISE_HZ = 333.0
"""Pulses a second, at random times, on an input that talks noise: none of its levels stands still for long."""


class PinsEnd:
    """Everything that is connected to the computer's pins."""

    faults = frozenset({"offline", "garbage", "slow"})

    def __init__(self, world: World, bus: str, settings: GpioSettings, folder: Path) -> None:  # noqa: ARG002
        self._world = world
        self._path = folder / f"{bus}.socket"
        self._fans: dict[str, PwmFan] = {}
        self._inputs: dict[tuple[str, str], InputPin] = {}
        self._outputs: dict[int, tuple[str, str]] = {}
        self._active_low: set[int] = set()
        self._shown: set[int] = set()
        self._past: dict[str, deque[tuple[float, float]]] = {}
        for name, device in world.board.devices.items():
            if device.bus != bus:
                continue
            if isinstance(device, PwmFan):
                self._fans[name] = device
                self._outputs[device.pwm] = (name, "duty")
            elif isinstance(device, Pins):
                self._add(name, device)

    def _add(self, name: str, device: Pins) -> None:
        for point, pin in device.points.items():
            if isinstance(pin, OutputPin):
                self._outputs[pin.output] = (name, point)
                if pin.active == "low":
                    self._active_low.add(pin.output)
            else:
                self._inputs[name, point] = pin

    async def start(self) -> dict[str, Any]:
        self._server = LinkServer(self._path, self._written, self._released)
        self.refresh()
        await self._server.start()
        return {"factory": "link", "socket": str(self._path)}

    def refresh(self) -> None:
        for (device, point), pin in self._inputs.items():
            self._show_input(device, point, pin)
        for name, fan in self._fans.items():
            self._show_fan(name, fan)

    def touched(self, device: str) -> None:  # noqa: ARG002  # all at once cost little
        self.refresh()

    async def close(self) -> None:
        await self._server.close()

    def _show_input(self, device: str, point: str, pin: InputPin) -> None:
        found = self._world.devices[device]
        self._server.set_noise(pin.input, NOISE_HZ if found.fault == "garbage" else 0)
        if found.fault == "garbage":
            return
        value = bool(self._seen(found, point))
        level = None if found.fault == "offline" else value == (pin.active == "high")
        if pin.input not in self._shown or self._server.level(pin.input) is not level:
            self._shown.add(pin.input)
            self._server.set_level(pin.input, level)

    def _show_fan(self, name: str, fan: PwmFan) -> None:
        found = self._world.devices[name]
        self._server.set_noise(fan.tacho, NOISE_HZ if found.fault == "garbage" else 0)
        turns = found.fault not in ("garbage", "offline")
        self._server.set_tacho(fan.tacho, max(0.0, self._seen(found, "rpm")) / 60 * fan.pulses if turns else 0)

    def _seen(self, device: Device, point: str) -> float:
        """What the wire shows of a point: its value now, or that of a while ago where the device is slow."""
        now, key = time.monotonic(), f"{device.name}.{point}"
        past = self._past.setdefault(key, deque())
        past.append((now, device.points[point].number))
        while len(past) > 1 and past[1][0] <= now - LAG:
            past.popleft()
        return past[0][1] if device.fault == "slow" else past[-1][1]

    def _written(self, pin: int, value: float) -> None:
        if pin not in self._outputs:
            return
        device, point = self._outputs[pin]
        boolean = self._world.devices[device].points[point].info.kind == "boolean"
        told = (value >= 0.5) != (pin in self._active_low) if boolean else round(value, 6)
        self._world.write(device, point, told)

    def _released(self, pin: int) -> None:
        if pin in self._outputs:
            self._world.let_go(*self._outputs[pin])
