"""The hands of the station: they bring each connector's hardware to what its command says, and keep it there."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Protocol

from agent.clock import Clock
from agent.evse.connector import Connector
from agent.model import Component, Problems, Value


class Buses(Protocol):
    """Where the commands go."""

    async def write(self, output: tuple[str, str], value: Value) -> None:
        """Hand `value` to (device, point). Raises an exception that says why it is not there."""
        ...

    def outputs(self, connector: Connector) -> Mapping[str, tuple[str, str]]:
        """Role → (device, point) of the connector."""
        ...

    def generation(self, output: tuple[str, str]) -> int:
        """Changes when the device may have lost what it was told."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `write` raises."""
        ...


class Hands:
    """Brings one connector's hardware to what its command says, and again where it may have been lost."""

    LOOK = 0.25
    """Seconds after which a command that was not done, or not believed, is looked at again."""
    AGAIN = 1.0
    """Seconds between two tries where the feedback says otherwise."""

    def __init__(self, connector: Connector, buses: Buses, problems: Problems) -> None:
        self._connector, self._buses, self._problems = connector, buses, problems
        self._done: dict[str, tuple[Value, int]] = {}
        self._seen: tuple[bool, float, bool] | None = None
        self._move = asyncio.Event()
        self._component = Component("CPPWMController", None, connector.evse, connector.connector)

    def look(self) -> None:
        """The EVSE has decided: move at once where the command is another than before."""
        command = self._connector.command
        now = (command.enable, command.offered, command.lock)
        if now != self._seen:
            self._seen = now
            self._move.set()

    async def run(self, clock: Clock) -> None:
        told = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.LOOK):
                    await self._move.wait()
            self._move.clear()
            connector = self._connector
            if connector.pilot is None:
                continue  # what is going on there is not known yet: a live session is adopted
            if clock.monotonic() - told > self.AGAIN and self._disagrees():
                told = clock.monotonic()
                self._done.pop("enable", None)
                self._done.pop("offered_current", None)
                self._done.pop("lock", None)
            failed = ""
            for role, value in self._wanted():
                failed = failed or await self._write(role, value)
            if failed:
                self._problems.open(self._component, "command", failed)
            else:
                self._problems.close(self._component, "command")

    def _disagrees(self) -> bool:
        connector = self._connector
        asked = connector.command.enable and connector.command.offered > 0 and connector.asks
        closed = connector.closed
        lock = connector.has_lock and connector.locked is not None and connector.locked != connector.command.lock
        return lock or (closed is not None and ((asked and not closed) or (closed and not connector.command.enable)))

    def _wanted(self) -> list[tuple[str, Value]]:
        """Role and value, in the order in which they are safe: open before all, close after all."""
        command = self._connector.command
        enable, offered = ("enable", command.enable), ("offered_current", command.offered)
        lock = ("lock", command.lock)
        if command.enable:
            return [lock, offered, enable]
        return [enable, offered, lock] if self._connector.fault else [offered, enable, lock]

    async def _write(self, role: str, value: Value) -> str:
        output = self._buses.outputs(self._connector).get(role)
        if output is None:
            return ""
        generation = self._buses.generation(output)
        if self._done.get(role) == (value, generation):
            return ""
        try:
            await self._buses.write(output, value)
        except self._buses.errors as error:
            self._done.pop(role, None)
            return f"{role} could not be set to {value}: {error}"
        self._done[role] = (value, generation)
        return ""
