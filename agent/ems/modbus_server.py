"""The Modbus TCP server on which an energy management system imposes limits and reads telemetry.

The map is in `registers.py`, what a silent master means in `agent.charging.external`. Made by hand, as the bench's
end is: pymodbus's server answers only the first of several requests that arrive together, so that a lower limit in
the midst of a burst would be lost, and it does not say who asks; and what it brings along is an HTTP server.

Modbus knows no passwords. Who may connect is a list of addresses; who a master is, is its address.
"""

import asyncio
import ipaddress
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.charging.limits import Command, State
from agent.ems import registers
from agent.ems.modbus_connection import BUSY, ILLEGAL_VALUE, Connection, Write
from agent.ems.registers import Value
from agent.ems.telemetry import Telemetry

if TYPE_CHECKING:
    from agent.charging.external import ExternalSource

_log = logging.getLogger(__name__)

GAP = 0.02
"""Seconds between two acts on the source: a flood of writes costs no more than this allows, and waits for its
answers."""
MAX_CONNECTIONS = 8
IDLE = 300.0
"""Seconds without a request after which a connection is closed."""
FRESH = 0.05
"""Seconds for which telemetry may be told again."""
CONFIGURATIONS, PER = 10, 60.0
"""So many changes of the failsafe are taken in so many seconds: each is written to the disk."""
RETRY_FIRST, RETRY_MOST = 1.0, 60.0
MOST_TOLD = MOST_WISHES = 64


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a master wrote for a scope: the limit, in which register, and whether the scope is enabled at all."""

    command: Command | None = None
    register: str = ""
    enabled: bool = True

    def then(self, values: dict[str, Value]) -> "_Wish":
        """After a write of `values`."""
        wish = self
        enable = values.get("enable")
        if enable is not None:
            wish = replace(wish, enabled=bool(enable))
        named = [name for name in registers.LIMITS if name in values]
        for name in sorted(named, key=lambda name: values[name] is not None):
            value = values[name]
            command = Command(abs(float(value)), "W" if name == "limit_w" else "A") if value is not None else None
            wish = replace(wish, command=command, register=name)
        return wish

    @property
    def effective(self) -> Command | None:
        """What is asked of the source; None releases."""
        return self.command if self.enabled else Command(0.0, "A")

    def amperes(self) -> float:
        """To tell the lower of two limits, whichever unit they are in."""
        command = self.effective
        if command is None:
            return math.inf
        return command.value if command.unit == "A" else command.value / (3 * 230)

    def values(self) -> dict[str, Value]:
        told: dict[str, Value] = {"enable": int(self.enabled)}
        if self.command is not None:
            told[self.register] = self.command.value
        return told


class ModbusEmsServer:
    """Serves `telemetry` to the addresses and networks in `allow`, and hands their limits to `source`.

    The telemetry's EVSEs are the units that there are. Raises ValueError for an `allow` that is no address.
    """

    def __init__(
        self,
        source: "ExternalSource",
        *,
        listen: str,
        port: int,
        allow: Iterable[str],
        telemetry: Callable[[], Telemetry],
        max_connections: int = MAX_CONNECTIONS,
        idle: float = IDLE,
    ) -> None:
        self._source, self._telemetry = source, telemetry
        self._listen, self._wanted_port = listen, port
        self._allow = tuple(ipaddress.ip_network(one, strict=False) for one in allow)
        self._max, self._idle = max_connections, idle
        self._evses = frozenset(evse.id for evse in telemetry().evses)
        self.port: int | None = None
        """The port that it is bound to."""
        self._connections: set[Connection] = set()
        self._told: set[tuple[str, str]] = set()
        self._wishes: dict[tuple[int, str], _Wish] = {}
        self._writes: list[Write] = []
        self._carried: dict[tuple[int, str], None] = {}
        self._timer: asyncio.Handle | None = None
        self._acted = -math.inf
        self._fresh_until, self._cached = -math.inf, Telemetry(None, (None, None, None), None, "", ())
        self._configured: deque[float] = deque(maxlen=CONFIGURATIONS)
        self._refusing = ""

    async def run(self) -> None:
        """Serve until cancelled. A port that is taken is told, and tried again: the station lives on without."""
        wait = RETRY_FIRST
        loop = asyncio.get_running_loop()
        while True:
            try:
                server = await loop.create_server(lambda: Connection(self), self._listen, self._wanted_port)
            except OSError as error:
                if wait == RETRY_FIRST:
                    _log.error("EMS %s: cannot listen on %s port %d: %s; trying again",
                               self._source.name, self._listen, self._wanted_port, error)  # fmt: skip
                await asyncio.sleep(wait)
                wait = min(2 * wait, RETRY_MOST)
                continue
            break
        try:
            self.port = server.sockets[0].getsockname()[1]
            _log.info("EMS %s: Modbus TCP on %s port %d", self._source.name, self._listen, self.port)
            while True:
                await asyncio.sleep(self._idle / 4)
                for connection in list(self._connections):
                    if loop.time() - connection.heard > self._idle:
                        connection.drop()
        finally:
            self.port = None
            server.close()
            if self._timer is not None:
                self._timer.cancel()
            for connection in list(self._connections):
                connection.drop()

    # Who may, and what for

    def admit(self, connection: Connection) -> bool:
        """Whether to keep the connection; who is refused hears nothing, and the log hears of it once."""
        address = ipaddress.ip_address(connection.master)
        if not any(address in network for network in self._allow):
            self._tell(connection.master, "is not on the list of those who may")
            return False
        if len(self._connections) >= self._max:
            self._tell(connection.master, f"finds {self._max} connections, which is the most")
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def scope(self, unit: int) -> int | None:
        """What a unit id stands for: 0 the station, n an EVSE; None where there is no such unit."""
        if unit in registers.STATION_UNITS:
            return 0
        return unit if unit in self._evses else None

    def read(self, scope: int, master: str, address: int, count: int) -> list[int]:
        """What `master` reads: its own limits among them. Raises NoSuchRegister."""
        now = asyncio.get_running_loop().time()
        if now >= self._fresh_until:
            self._cached, self._fresh_until = self._telemetry(), now + FRESH
        return registers.read(self._values(scope, master), address, count)

    def take(self, write: Write) -> None:
        """Note a write: it is acted on with the others of this turn, and answered then."""
        self._writes.append(write)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._acted + GAP), self._act)

    def _values(self, scope: int, master: str) -> dict[str, Value]:
        source = self._source
        now = source.clock.monotonic()
        age, failsafe = source.age(now), source.failsafe
        return {
            **registers.telemetry_values(self._cached, scope),
            **self._wishes.get((scope, master), _Wish()).values(),
            "magic": registers.MAGIC,
            "version": registers.VERSION,
            "evses": len(self._evses),
            "scope": scope,
            "state": registers.STATES[source.state],
            "silent": age,
            "failsafe_in": max(0.0, failsafe.after - age)
            if age is not None and source.state in (State.ACTIVE, State.RELEASED)
            else None,
            "heartbeat": 0,
            "failsafe_limit": failsafe.limit,
            "failsafe_hold": failsafe.hold / 60,
            "failsafe_after": failsafe.after,
        }

    # Acting on writes

    def _act(self) -> None:
        """Act on all writes since the last time, once for each scope and master, and answer them.

        Of several limits the last one counts, but a lower one before it is not lost: it holds until the next act.
        """
        self._timer, self._acted = None, asyncio.get_running_loop().time()
        writes, self._writes = self._writes, []
        carried, self._carried = self._carried, {}
        batches: dict[tuple[int, str], list[Write]] = {key: [] for key in carried}
        for write in writes:
            if not write.refused:
                batches.setdefault((write.scope, write.connection.master), []).append(write)
        for (scope, master), batch in batches.items():
            self._act_on(scope, master, batch, carried=(scope, master) in carried)
        if self._carried:
            self._timer = asyncio.get_running_loop().call_at(self._acted + GAP, self._act)
        for write in writes:
            write.connection.answer(write)
        for connection in {write.connection for write in writes}:
            connection.work()

    def _act_on(self, scope: int, master: str, batch: list[Write], *, carried: bool) -> None:
        limiting = [write for write in batch if not write.values.keys().isdisjoint({*registers.LIMITS, "enable"})]
        for write in batch:
            if not write.values.keys().isdisjoint({"failsafe_limit", "failsafe_hold"}):
                write.refused = self._configure(write.values)
        if any(not write.refused for write in batch):
            self._source.heard(master)
        wish = self._wishes.get((scope, master), _Wish())
        steps = [wish] if carried else []
        for write in limiting:
            wish = wish.then(write.values)
            steps.append(wish)
        if not steps:
            return
        lowest = min(steps, key=_Wish.amperes)
        first = lowest if lowest.amperes() < wish.amperes() else wish
        command = first.effective
        why = self._source.release(scope, master) if command is None else self._source.limit(scope, command, master)
        if why is None:
            self._refusing = ""
            self._wishes[scope, master] = wish
            if len(self._wishes) > MOST_WISHES:
                del self._wishes[next(iter(self._wishes))]
            if first is not wish:
                self._carried[scope, master] = None
            return
        if why != self._refusing:
            self._refusing = why
            _log.warning("EMS %s: a limit of %s is refused: %s", self._source.name, master, why)
        for write in limiting:
            write.refused = BUSY

    def _configure(self, values: dict[str, Value]) -> int:
        """Hand a new failsafe to the source; returns an exception code, 0 for none."""
        limit, minutes = values.get("failsafe_limit"), values.get("failsafe_hold")
        failsafe = self._source.failsafe
        wanted_limit = failsafe.limit if limit is None else float(limit)
        wanted_hold = failsafe.hold if minutes is None else 60 * float(minutes)
        if (wanted_limit, wanted_hold) == (failsafe.limit, failsafe.hold):
            return 0
        now = asyncio.get_running_loop().time()
        if len(self._configured) == CONFIGURATIONS and now - self._configured[0] < PER:
            return BUSY
        why = self._source.configure(
            limit=None if limit is None else wanted_limit, hold=None if minutes is None else wanted_hold
        )
        if why is not None:
            return ILLEGAL_VALUE
        self._configured.append(now)
        return 0

    def _tell(self, master: str, what: str) -> None:
        if (master, what) in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add((master, what))
        _log.warning("EMS %s: a connection from %s is closed: it %s", self._source.name, master, what)
