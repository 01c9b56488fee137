"""The external control systems around a station on the bench: each limits it over its own real interface."""

import asyncio
import socket
from pathlib import Path
from typing import Any, Protocol

from agent.board.limits_spec import ContactEms, ModbusEms, MqttEms
from drivers import PointInfo
from drivers.bench.points import Device, Point
from drivers.bench.refusals import NoSuchPlace, Unusable
from drivers.bench.world import World

DEVICE, POINT = "ems", "limit_w"
"""The Modbus control system as a device of the bench: what it imposes, in W, and what is wrong with its wire."""

UNLIMITED = -1.0
"""What that point is while nothing is imposed."""


class System(Protocol):
    """One control system."""

    @property
    def limit_w(self) -> float | None:
        """What it imposes, in W; None for nothing."""
        ...

    async def impose(self, limit: float, unit: str = "W", duration: float | None = None) -> None:
        """Raises Refusal."""
        ...

    async def release(self) -> None:
        """Raises Refusal."""
        ...


class Relay:
    """The grid operator's contact: any limit gives the signal; what it means is for the station to know."""

    def __init__(self, world: World, spec: ContactEms) -> None:
        device, _, point = spec.signal.partition(".")
        self._world, self._device, self._watts = world, device, spec.limit
        self._point = world.devices[device].points[point]
        self._ending: asyncio.TimerHandle | None = None

    @property
    def limit_w(self) -> float | None:
        return self._watts if self._point.true else None

    async def impose(self, limit: float, unit: str = "W", duration: float | None = None) -> None:  # noqa: ARG002
        self._set(True)
        if duration is not None:
            self._ending = asyncio.get_running_loop().call_later(duration, self._set, False)

    async def release(self) -> None:
        self._set(False)

    def _set(self, given: bool) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._point.natural = given
        self._world.touched(self._device)


class Systems:
    """All of them, by the board's names."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: list[asyncio.Task[None]] = []
        self._systems: dict[str, System] = {}
        self._wires: list[Any] = []
        for name, spec in world.board.ems.items():
            if isinstance(spec, ContactEms):
                self._systems[name] = Relay(world, spec)
        self._modbus: Any = None
        if any(isinstance(spec, ModbusEms) for spec in world.board.ems.values()):
            info = PointInfo(POINT, "W")
            world.devices[DEVICE] = Device(DEVICE, DEVICE, {POINT: Point(info, UNLIMITED)})
            world.fault_kinds = {**world.fault_kinds, DEVICE: frozenset({"offline", "garbage", "slow"})}

    async def start(self, folder: Path) -> dict[str, Any]:
        """Open the wires; what leads the agent to them, by the board's names."""
        overlay: dict[str, Any] = {}
        for name, spec in self._world.board.ems.items():
            if isinstance(spec, ModbusEms):
                from drivers.bench.ems_modbus import ModbusEms as BenchModbus

                port = free_port()
                self._modbus = self._systems[name] = BenchModbus("127.0.0.1", port)
                self._tasks.append(asyncio.create_task(self._modbus.run()))
                overlay[name] = {"listen": "127.0.0.1", "port": port, "allow": ["127.0.0.1"]}
            elif isinstance(spec, MqttEms):
                from drivers.bench.ems_mqtt import MqttEms as BenchMqtt

                broker = BenchMqtt(spec.topic)
                self._systems[name] = broker
                self._wires.append(broker)
                overlay[name] = {"host": "127.0.0.1", "port": await broker.start(folder) or free_port()}
        return overlay

    async def close(self) -> None:
        """Take them down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wire in self._wires:
            await wire.close()

    def touched(self, device: str) -> None:
        """Somebody held the point of the Modbus control system, gave it back, or changed its fault."""
        if device != DEVICE or self._modbus is None:
            return
        point, fault = self._world.devices[DEVICE].points[POINT], self._world.devices[DEVICE].fault
        if self._modbus.fault != fault:
            self._modbus.set_fault(fault)
        wanted = point.number
        imposed = UNLIMITED if self._modbus.limit_w is None else self._modbus.limit_w
        if wanted != imposed:
            work = self._modbus.release() if wanted < 0 else self._modbus.impose(wanted)
            self._tasks.append(asyncio.create_task(work))

    # --- what the API asks for -------------------------------------------------------------------------------------

    def system(self, name: str) -> System:
        """Raises NoSuchPlace."""
        try:
            return self._systems[name]
        except KeyError:
            known = ", ".join(self._systems) or "none"
            raise NoSuchPlace(f"no control system {name!r} on this board; there are {known}") from None

    async def impose(self, name: str, limit: float, unit: str, duration: float | None) -> dict[str, Any]:
        """Raises Refusal."""
        system = self.system(name)
        if limit < 0 or (duration is not None and duration <= 0):
            raise Unusable("expected a limit of 0 or more, and a duration of more than 0 s")
        await system.impose(limit, unit, duration)
        return self._said(name)

    async def release(self, name: str) -> dict[str, Any]:
        """Raises Refusal."""
        await self.system(name).release()
        return self._said(name)

    def _said(self, name: str) -> dict[str, Any]:
        state = {"limit_w": self._systems[name].limit_w}
        self.refresh()
        self._world.log.add("ems", system=name, **state)
        return state

    def refresh(self) -> None:
        """Let the device of the Modbus control system show what that imposes by itself."""
        if self._modbus is not None and self._world.devices[DEVICE].points[POINT].held is None:
            imposed = self._modbus.limit_w
            self._world.devices[DEVICE].points[POINT].natural = UNLIMITED if imposed is None else imposed

    def state(self) -> dict[str, Any]:
        """In the form of `GET /bench`."""
        names = dict.fromkeys((*self._world.board.ems, "modbus", "mqtt", "relay"))
        found = {name: self._systems.get(name) for name in names}
        return {name: {"limit_w": None if one is None else one.limit_w} for name, one in found.items()}


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
