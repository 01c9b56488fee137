"""What a driver waits for, and what a transaction costs the disk, against a bare peer on the same wires.

    python tests/performance/bench_charging.py [--count 15]

The station runs on the bench, on EVSE 1's first connector: polled each 250 ms, with a lock that takes 400 ms. The
bare peer is one small program on wires of its own, which does only what is measured: a card read is a frame sent, a
pilot polled with pymodbus that changed is another, a request locks, waits, offers and enables. It stores nothing and
asks nobody. Then an unplugged car's `enable` must be taken away as fast with a silent CSMS and a disk that is busy;
its contactor the controller opens by itself. Goals: medians at most 1.5 × the peer's (pairs say less: each side is
at another moment of its polls), one durable TransactionEvent at most 1.5 × the same rows by sqlite3 alone. TMPDIR
chooses the disk; its own journal comes on top of the bytes told. Exits 1 if a goal is missed.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import tty
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.board import load  # noqa: E402
from agent.evse.records import MeterValue, Sample, TransactionEvent  # noqa: E402
from agent.model import DeviceModel  # noqa: E402
from agent.ocpp.transaction_queue import TransactionQueue  # noqa: E402
from agent.ocpp.variables import Settings  # noqa: E402
from agent.store import Store  # noqa: E402
from drivers.bench.bench import Bench  # noqa: E402
from drivers.bench.ev import EvSettings  # noqa: E402
from drivers.bench.rig import Rig  # noqa: E402
from drivers.bench.world import World  # noqa: E402

GOAL = 1.5
EVENTS = 500
WEAR_SECONDS = 30
POLL = 0.25
UNIT = 11
SETTINGS = {"TxCtrlr.EVConnectionTimeOut": "5", "SampledDataCtrlr.TxUpdatedInterval": "300"}
CARD_GB, CYCLES, AMPLIFICATION = 16, 1000, 10
"""A plain SD card: GB, erasures that each of its cells takes, and bytes that it erases for each that is written."""


def bare_peer(url: str, host: str, port: int, reader: str) -> None:
    """What is measured, and nothing else."""
    from pymodbus.client import AsyncModbusTcpClient

    async def main() -> None:
        client = AsyncModbusTcpClient(host, port=port)
        await client.connect()
        cards = os.open(reader, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(cards)
        async with connect(url, proxy=None) as socket:

            def swiped() -> None:
                token = os.read(cards, 4096).decode().strip().partition(":")[2]
                frame = [2, "1", "Authorize", {"idToken": {"idToken": token, "type": "ISO14443"}}]
                sending.add(asyncio.ensure_future(socket.send(json.dumps(frame))))

            async def requests() -> None:
                async for _ in socket:
                    await client.write_coil(1, True, device_id=UNIT)
                    while not (await client.read_holding_registers(0, count=4, device_id=UNIT)).registers[1] & 4:
                        await asyncio.sleep(POLL)
                    await client.write_register(16, 3200, device_id=UNIT)
                    await client.write_coil(0, True, device_id=UNIT)

            sending: set[asyncio.Future[None]] = set()
            asyncio.get_running_loop().add_reader(cards, swiped)
            hearing = asyncio.create_task(requests())
            pilot = 1
            while not hearing.done():
                now = (await client.read_holding_registers(0, count=4, device_id=UNIT)).registers[0]
                if now != pilot and 1 in (now, pilot):
                    frame = [
                        2,
                        "2",
                        "StatusNotification",
                        {"connectorStatus": "Available" if now == 1 else "Occupied"},
                    ]
                    if now == 1:
                        await client.write_coil(0, False, device_id=UNIT)
                        await client.write_coil(1, False, device_id=UNIT)
                    await socket.send(json.dumps(frame))
                pilot = now
                await asyncio.sleep(POLL)

    with contextlib.suppress(ConnectionClosed):
        asyncio.run(main())


class Side(ABC):
    """The station or the peer: its world, what it says, and how it is asked to start."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.charger = world.places.connector(1, 1)
        self.times: dict[str, list[float]] = {}

    @abstractmethod
    def heard(self, action: str, since: float) -> float | None:
        """When it first said `action` after the monotonic time `since`."""

    @abstractmethod
    async def start(self) -> None:
        """Ask it to start a charge."""

    def seen(self, since: float, what: str, value: object, **about: object) -> float | None:
        """When the bench saw that since the monotonic time `since`."""
        for entry in self.world.log.since(1):
            found = entry["what"] == what and entry["value"] == value
            if found and entry["t"] >= since and all(entry.get(key) == one for key, one in about.items()):
                return float(entry["t"])
        return None

    async def measure(self, name: str, act: Callable[[], Any], look: Callable[[float], float | None]) -> None:
        """Seconds from `act` until `look`, which is told when that was, tells of it."""
        since = time.monotonic()
        result = act()
        if asyncio.iscoroutine(result):
            await result
        async with asyncio.timeout(15):
            while (at := look(since)) is None:
                await asyncio.sleep(0.005)
        self.times.setdefault(name, []).append(at - since)

    def disabled(self, since: float) -> float | None:
        return self.seen(since, "write", False, device="charger-1-1", point="enable")

    async def cycle(self, dice: random.Random) -> None:
        """One driver."""
        reader = self.world.places.reader(1)
        token = f"04{dice.randrange(16**8):08X}"
        await self.measure(
            "swipe → Authorize", lambda: reader.swipe(token, "ISO14443"), lambda at: self.heard("Authorize", at)
        )
        await asyncio.sleep(dice.uniform(0.5, 0.8))
        await self.measure(
            "plug → StatusNotification",
            lambda: self.charger.plug(EvSettings()),
            lambda at: self.heard("StatusNotification", at),
        )
        await asyncio.sleep(dice.uniform(0.8, 1.2))
        await self.measure(
            "remote start → contactor closed", self.start, lambda at: self.seen(at, "contactor", True, connector=1)
        )
        await asyncio.sleep(dice.uniform(0.8, 1.2))
        await self.unplug("unplug → enable taken away", dice)

    async def unplug(self, name: str, dice: random.Random) -> None:
        since = time.monotonic()
        await self.measure(name, lambda: self.charger.unplug("ev"), self.disabled)
        opened = self.seen(since, "contactor", False, connector=1)
        self.times.setdefault("unplug → contactor open", []).append(0.0 if opened is None else opened - since)
        await asyncio.sleep(dice.uniform(1.5, 1.8))
        self.charger.unplug("station")
        await asyncio.sleep(dice.uniform(0.8, 1.2))


class Station(Side):
    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.world)
        assert bench.csms is not None
        self.bench, self.csms = bench, bench.csms
        self.session = bench.csms.station(bench.identity)
        self.csms.answers["Authorize"] = lambda told: {
            "idTokenInfo": {"status": "Accepted" if told["idToken"]["type"] == "Central" else "Invalid"}
        }
        self.number = 0

    def heard(self, action: str, since: float) -> float | None:
        return next((one.time for one in self.session.calls(action) if one.time >= since), None)

    async def start(self) -> None:
        self.number += 1
        token = {"idToken": "BENCH", "type": "Central"}
        told = {"idToken": token, "remoteStartId": self.number, "evseId": 1}
        answer = await self.session.call("RequestStartTransaction", told)
        if answer["status"] != "Accepted":
            raise RuntimeError(f"{answer}")

    @contextlib.asynccontextmanager
    async def troubled(self) -> AsyncIterator[None]:
        """A line that swallows everything, and a disk on which no commit goes through."""
        await self.bench.set_network("blackhole")
        with contextlib.closing(sqlite3.connect(self.bench.state_dir / "station.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        await self.bench.set_network("down")
        await self.bench.set_network("up")

    def written(self) -> int:
        """Bytes that the agent's process had written to the disk."""
        lines = Path(f"/proc/{self.bench.agent.pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["write_bytes"])


class Peer(Side):
    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.world)
        self.socket: ServerConnection | None = None
        self.frames: list[tuple[float, str]] = []

    async def serve(self, socket: ServerConnection) -> None:
        self.socket = socket
        with contextlib.suppress(ConnectionClosed):
            async for frame in socket:
                self.frames.append((time.monotonic(), json.loads(frame)[2]))

    def heard(self, action: str, since: float) -> float | None:
        return next((at for at, what in self.frames if what == action and at >= since), None)

    async def start(self) -> None:
        assert self.socket is not None
        await self.socket.send("start")


@contextlib.asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Peer]:
    """The bare peer, running on wires of its own."""
    rig = Rig(load("bench-ac"), folder)
    await rig.start()
    one = Peer(rig)
    async with serve(one.serve, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        lan, cards = rig.overlay["buses"]["lan"], rig.overlay["buses"]["cards-1"]
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=bare_peer, args=(url, lan["host"], lan["port"], cards["port"]), daemon=True)
        process.start()
        try:
            async with asyncio.timeout(20):
                while one.socket is None:
                    await asyncio.sleep(0.05)
            yield one
        finally:
            process.kill()
            await rig.stop()


async def charging(count: int, folder: Path) -> bool:
    dice, sound = random.Random(1), True
    bench = Bench("bench-ac", state_dir=folder / "state", overrides=SETTINGS, agent_log=folder / "agent.log")
    await bench.start()
    try:
        async with peer(folder) as bare:
            ours = Station(bench)
            await asyncio.wait_for(bench.agent.ready.wait(), 30)
            await ours.session.wait_for("StatusNotification", timeout=30)
            await asyncio.sleep(2)
            for _ in range(count):
                await asyncio.gather(ours.cycle(dice), bare.cycle(dice))
            for name, times in ours.times.items():
                ratio = statistics.median(a / b if b else 1.0 for a, b in zip(times, bare.times[name], strict=True))
                told, other = statistics.median(times) * 1000, statistics.median(bare.times[name]) * 1000
                overall = told / other if other else 1.0
                good = overall <= GOAL or name.endswith("open")
                sound = sound and good
                print(f"{name}: {told:.1f} ms; bare peer {other:.1f} ms: {overall:.2f} × (of pairs {ratio:.2f} ×)")
            await troubled(ours, max(5, count // 3), dice)
            sound = statistics.median(ours.times["troubled"]) <= 1.5 * POLL and sound
        await wear(ours)
    finally:
        await bench.stop()
    return sound


async def troubled(ours: Station, count: int, dice: random.Random) -> None:
    for _ in range(count):
        await ours.measure(
            "plug", lambda: ours.charger.plug(EvSettings()), lambda at: ours.heard("StatusNotification", at)
        )
        await asyncio.sleep(0.5)
        await ours.measure("start", ours.start, lambda at: ours.seen(at, "contactor", True, connector=1))
        await asyncio.sleep(dice.uniform(1, 1.3))
        async with ours.troubled():
            await ours.measure("troubled", lambda: ours.charger.unplug("ev"), ours.disabled)
        await asyncio.sleep(2)
        ours.charger.unplug("station")
        await ours.session.until_connected()
        await asyncio.sleep(1.5)
    taken = sorted(1000 * one for one in ours.times["troubled"])
    print(
        f"unplug → enable taken away, silent CSMS and busy disk: {statistics.median(taken):.1f} ms, at most "
        f"{taken[-1]:.1f} ms (goal: median ≤ {1500 * POLL:.0f} ms, one and a half polls)"
    )


async def wear(ours: Station) -> None:
    """What a transaction writes, by events that come each second."""
    await asyncio.sleep(3)
    idle = ours.written()
    await asyncio.sleep(5)
    idle = ours.written() - idle
    data = {
        "component": {"name": "SampledDataCtrlr"},
        "variable": {"name": "TxUpdatedInterval"},
        "attributeValue": "1",
    }
    await ours.session.call("SetVariables", {"setVariableData": [data]})
    ours.charger.plug(EvSettings())
    await asyncio.sleep(1)
    await ours.start()
    await asyncio.sleep(5)
    before, since = ours.written(), ours.session.last
    await asyncio.sleep(WEAR_SECONDS)
    events = len(ours.session.calls("TransactionEvent", since))
    each = (ours.written() - before) / max(1, events)
    life = CARD_GB * 1e9 * CYCLES / AMPLIFICATION
    print(f"idle: {idle} bytes in 5 s; a TransactionEvent, answered and forgotten: {each / 1000:.1f} kB on the disk")
    for interval in (300, 60):
        hour = each * 3600 / interval
        years = life / (hour * 2 * 12 * 365)
        print(
            f"TxUpdatedInterval {interval} s: {hour / 1e6:.2f} MB per hour of a transaction; two EVSEs, 12 h a day: "
            f"{hour * 2 * 12 * 365 / 1e9:.1f} GB a year, a card of {CARD_GB} GB lasts {years:.0f} years"
        )


def event(number: int) -> TransactionEvent:
    now = datetime.now(UTC)
    sample = Sample(1234.5 + number, "Energy.Active.Import.Register", "Sample.Periodic", unit="Wh")
    return TransactionEvent(
        "Updated",
        now,
        "MeterValuePeriodic",
        number,
        "e41be4de-3458-45f0-b54f-15fed3689df9",
        charging_state="Charging",
        time_spent_charging=number,
        meter_values=(MeterValue(now, (sample,)),),
    )


async def durable(folder: Path) -> bool:
    """One TransactionEvent until it is on the disk, with what its EVSE remembers."""
    store = Store(folder / "durable")
    queue = TransactionQueue(store, Settings(DeviceModel()), lambda: None, lambda *_: None)
    with contextlib.closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as bare:
        bare.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE message (n INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT, payload TEXT);"
            "CREATE TABLE kept (room TEXT, key TEXT, value TEXT, PRIMARY KEY (room, key)) WITHOUT ROWID;"
        )
        ours, others = [], []
        for number in range(EVENTS):
            told, text = event(number), "x" * 1500 + str(number)
            started = time.perf_counter()
            if not await queue.post(told, [("transaction", "1", text)]):
                raise RuntimeError("not on the disk")
            ours.append(time.perf_counter() - started)
            payload = "y" * 430
            started = time.perf_counter()
            bare.execute("BEGIN")
            bare.execute("INSERT INTO message (action, payload) VALUES ('TransactionEvent', ?)", (payload,))
            bare.execute("INSERT OR REPLACE INTO kept VALUES ('transaction', '1', ?)", (text,))
            bare.execute("COMMIT")
            others.append(time.perf_counter() - started)
    store.close()
    ratio = statistics.median(a / b for a, b in zip(ours, others, strict=True))
    print(
        f"one durable TransactionEvent: {statistics.median(ours) * 1000:.2f} ms; the same rows by sqlite3 alone "
        f"{statistics.median(others) * 1000:.2f} ms: {ratio:.2f} × (goal ≤ {GOAL})"
    )
    return ratio <= GOAL


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fast = await durable(Path(folder))
        sound = await charging(args.count, Path(folder))
    return 0 if fast and sound else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
