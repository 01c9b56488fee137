"""A thousand limits a minute, and whatever else an EMS may do, while two cars charge.

    python -m tests.soak.limits --seconds 3600 --rate 1000 --seed 1

An EMS, a real Modbus client, limits the station and its EVSEs in W and A, releases, pauses, writes what is no limit,
and now and then falls silent for 12 s, which is more than the station's 10. All the time what is offered at the plugs
must be within the limits that were acknowledged more than a second ago, what is drawn within those of 5 s ago, and
the CSMS must get an answer every 5 s. At the end: CPU, bytes written, memory, messages. Exits 1 where anything is
wrong.
"""

import argparse
import asyncio
import contextlib
import math
import os
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from drivers.bench.bench import Bench
from drivers.bench.csms import CallError
from drivers.bench.ev import EvSettings
from tests.soak.limits_ledger import VOLTS, Ledger, Order, Plug

SIGNIFICANCE = 10.0
"""% by which a limit, or what is offered, must change to be told to the CSMS."""
SETTINGS = {
    "SampledDataCtrlr.TxUpdatedInterval": "60",
    "SmartChargingCtrlr.LimitChangeSignificance": f"{SIGNIFICANCE:g}",
}
PLACES = ((1, 1), (2, 1))
STATION, LIMIT_A, LIMIT_W, LIMIT_FLOAT, HEARTBEAT = 255, 200, 202, 205, 204
RELEASE = 0xFFFF

GRACE, CAR_GRACE = 1.0, 5.0
"""Seconds after which a lower limit is at the plug, and what a car draws is within it."""
ASK, PATIENCE = 5.0, 3.0
"""Seconds between two questions of the CSMS, and until the answer."""
FAILSAFE, AFTER = 4200.0, 10.0
"""W of the board's failsafe limit, and the seconds of silence after which it holds."""
SILENCE = 12.0
LOW, HIGH = 13.0, 64.0
"""A of the station between which limits are: enough for two cars. What is lower pauses one, and that is seldom."""
STILL, CALM = 1 / 80, 2.0
"""How often a limit stands still for a while, and the seconds for which it does, at most: only then is it seen by all
that it is kept, and not one of the many others. What was not written meanwhile comes faster then.
"""
GROWTH = 8.0
"""MB by which the agent's memory may grow."""
NOTICES = 5
"""Messages about one limit that may follow each other at once; then one each 10 s."""
SCOPES = (0, 1, 2)


@dataclass
class Result:
    """What a run saw; `problems` must be empty."""

    seconds: float = 0.0
    writes: int = 0
    refused: int = 0
    silences: int = 0
    charged: float = 0.0
    """The share of the time in which both cars could charge."""
    cpu: float = 0.0
    """s of CPU time of the agent's process."""
    written: int = 0
    """Bytes that it had written to the disk."""
    memory: tuple[float, float] = (0.0, 0.0)
    """MB resident, early and late."""
    slowest: float = 0.0
    """Seconds for the CSMS's slowest answer."""
    offers: int = 0
    """How often a plug was offered something else."""
    significant: int = 0
    """Of these, such as differ by more than the significance from the last one that did."""
    messages: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        minutes = max(self.seconds, 1) / 60
        rows = [
            ("seconds", f"{self.seconds:.0f}"),
            ("limits written", f"{self.writes} ({self.writes / minutes:.0f} a minute)"),
            ("writes refused", f"{self.refused}"),
            ("silences of 12 s", f"{self.silences}"),
            ("other offers at the plugs", f"{self.offers} ({self.significant} significant)"),
            ("both cars could charge", f"{100 * self.charged:.0f} % of the time"),
            ("CPU of the agent", f"{self.cpu:.1f} s ({100 * self.cpu / max(self.seconds, 1):.1f} %)"),
            ("written to the disk", f"{self.written / 1e6:.2f} MB ({self.written / 1e3 / minutes:.0f} kB a minute)"),
            ("memory, early and late", f"{self.memory[0]:.1f} MB, {self.memory[1]:.1f} MB"),
            ("slowest answer to the CSMS", f"{1000 * self.slowest:.0f} ms"),
        ]
        rows += [(f"messages: {name}", f"{count}") for name, count in sorted(self.messages.items())]
        return "\n".join(f"{name:32} {value}" for name, value in [*rows, ("problems", str(len(self.problems)))])


class Master:
    """One EMS: a Modbus client at the local address `name`, whose acknowledged limits go into the ledger."""

    def __init__(self, name: str, port: int, ledger: Ledger, result: Result) -> None:
        self.name, self._port, self._ledger, self._result = name, port, ledger, result
        self._client: AsyncModbusTcpClient | None = None
        self.heard = (0.0, 0.0)
        """When the last write that was taken was sent, and acknowledged."""

    async def limit(self, scope: int, order: Order | None) -> bool:
        """Write it; whether the station took it."""
        if order is None or order.unit == "A":
            register = RELEASE if order is None else int(10 * order.value)
            words, place = [register], LIMIT_A
            order = order and Order(register / 10, "A")
        else:
            words, place = [int(order.value) >> 16, int(order.value) & 0xFFFF], LIMIT_W
            order = Order(float(int(order.value)), "W")
        taken = await self.write(scope, place, words)
        self._result.writes += 1
        if taken is not None:
            self._ledger.write(self.name, scope, order, *taken)
        return taken is not None

    async def beat(self) -> None:
        await self.write(0, HEARTBEAT, [1])

    async def write(self, scope: int, place: int, words: list[int]) -> tuple[float, float] | None:
        """When it was sent and acknowledged, None where it was refused."""
        sent = time.monotonic()
        answer = await self._ask(lambda one: one.write_registers(place, words, device_id=scope or STATION))
        if answer.isError():
            self._result.refused += 1
            return None
        self.heard = (sent, time.monotonic())
        return self.heard

    async def noise(self, dice: random.Random) -> None:
        """What is no limit: the station must refuse it, and change nothing."""
        kind = dice.choice(("nan", "infinite", "negative", "absurd", "both", "half", "read-only", "bytes"))
        if kind == "bytes":
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(self.name, 0))
            writer.write(b"\xff\xfe\xff\xff" + dice.randbytes(40))
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.read()
            writer.close()
            return
        number = {"nan": float("nan"), "infinite": float("inf"), "negative": -6.0}.get(kind)
        place, words = {
            "absurd": (LIMIT_W, [0xFFFF, 0xFFFE]),
            "both": (LIMIT_A, [100, 1, 0, 6000]),
            "half": (LIMIT_W, [1]),
            "read-only": (111, [1]),
        }.get(kind, (LIMIT_FLOAT, list(struct.unpack(">HH", struct.pack(">f", number or 0.0)))))
        if await self.write(dice.choice(SCOPES), place, words) is not None:
            self._result.problems.append(f"a write that is no limit ({kind}) was taken")

    async def silent(self, seconds: float) -> None:
        """Say nothing for so long; of a single master, with what follows."""
        sent, acknowledged = self.heard
        if seconds > AFTER:
            self._ledger.failsafe(FAILSAFE, sent + AFTER, acknowledged + AFTER)
            self._result.silences += 1
        await asyncio.sleep(max(0.0, acknowledged + seconds - time.monotonic()))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _ask(self, request: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]]) -> ModbusPDU:
        if self._client is None:
            self._client = AsyncModbusTcpClient(
                "127.0.0.1", port=self._port, timeout=3, retries=0, source_address=(self.name, 0)
            )
            if not await self._client.connect():
                raise OSError("the station's Modbus interface is not there")
        return await request(self._client)


class Street:
    """The station with its cars, what an EMS was promised, and what is seen of it."""

    def __init__(self, bench: Bench, result: Result) -> None:
        assert bench.csms is not None
        self.bench, self.result, self.ledger = bench, result, Ledger()
        self.station = bench.csms.station(bench.identity)
        self._plugs = {evse: bench.world.places.connector(evse, one) for evse, one in PLACES}
        self._looks = self._both = 0
        self._logged = bench.world.log.next
        self._offers: dict[int, float] = {}

    def master(self, name: str = "127.0.0.1") -> Master:
        return Master(name, self.bench.rig.overlay["ems"]["modbus"]["port"], self.ledger, self.result)

    async def charge(self) -> None:
        """A car on three phases and one on a single phase come, and charge."""
        for number, (evse, plug) in enumerate(self._plugs.items(), 1):
            plug.plug(EvSettings(phases=3 if evse == 1 else 1, soc=10, capacity_wh=1e9))
            told = {"idToken": {"idToken": f"CAR{evse}", "type": "Central"}, "remoteStartId": number, "evseId": evse}
            await self.station.call("RequestStartTransaction", told)
        async with asyncio.timeout(30):
            while not all(plug.ev is not None and plug.ev.current[0] > 5 for plug in self._plugs.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def watch(self) -> None:
        """Look at the plugs ten times a second, until cancelled."""
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            there = {evse: plug.ev for evse, plug in self._plugs.items() if plug.ev is not None}
            offered = [Plug(evse, self._plugs[evse].duty, ev.settings.phases) for evse, ev in there.items()]
            drawn = [Plug(evse, max(ev.current), ev.settings.phases) for evse, ev in there.items()]
            for what, plugs, grace in (("offered", offered, GRACE), ("drawn", drawn, CAR_GRACE)):
                broken = self.ledger.broken(plugs, now, grace)
                if broken is not None and len(self.result.problems) < 20:
                    self.result.problems.append(f"{what} for more than {grace:g} s: {broken}")
            self._looks += 1
            self._both += all(plug.amperes >= 6 for plug in offered)
            if self._looks % 10 == 0:
                self._count_offers()

    def _count_offers(self) -> None:
        """All of the last second: the log keeps the newest only."""
        log = self.bench.world.log
        for entry in log.since(self._logged):
            if entry["what"] != "offered":
                continue
            self.result.offers += 1
            before = self._offers.setdefault(entry["evse"], entry["value"])
            if abs(entry["value"] - before) > 0.99 * before * SIGNIFICANCE / 100:
                self._offers[entry["evse"]] = entry["value"]
                self.result.significant += 1
        self._logged = log.next

    async def ask(self, every: float) -> None:
        """The CSMS asks, until cancelled."""
        wanted = {"component": {"name": "SmartChargingCtrlr", "evse": {"id": 1}}, "variable": {"name": "LimitSource"}}
        while True:
            started = time.monotonic()
            try:
                answer = await self.station.call("GetVariables", {"getVariableData": [wanted]}, timeout=PATIENCE)
                if answer["getVariableResult"][0]["attributeStatus"] != "Accepted":
                    self.result.problems.append(f"the CSMS asked for a limit's source: {answer}")
            except (CallError, OSError) as error:
                self.result.problems.append(f"the CSMS got no answer: {error!r}")
            self.result.slowest = max(self.result.slowest, time.monotonic() - started)
            await asyncio.sleep(every)

    @contextlib.asynccontextmanager
    async def observed(self, every: float = ASK) -> AsyncIterator[None]:
        """While it is so, everything is watched and reckoned up."""
        pid, since, started = self.bench.agent.pid, self.station.last, time.monotonic()
        assert pid is not None
        early, cpu, written = memory(pid), cpu_seconds(pid), disk_bytes(pid)
        tasks = [asyncio.create_task(one) for one in (self.watch(), self.ask(every))]
        self._logged, self._offers = (
            self.bench.world.log.next,
            {evse: plug.duty for evse, plug in self._plugs.items()},
        )
        yield
        await asyncio.sleep(1)
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        result = self.result
        result.seconds = time.monotonic() - started
        result.charged = self._both / max(1, self._looks)
        if self.bench.agent.pid != pid or self.station.connections != 1:
            result.problems.append("the agent or its line did not last")
            return
        result.cpu, result.written = cpu_seconds(pid) - cpu, disk_bytes(pid) - written
        result.memory = (early, memory(pid))
        result.messages = Counter(
            one.action for one in self.station.messages[since:] if (one.direction, one.kind) == ("in", "call")
        )
        for event in self.station.calls("TransactionEvent", since):
            result.messages[f"TransactionEvent {event.payload['triggerReason']}"] += 1
        self._count_offers()
        result.problems += self._judge()

    def _judge(self) -> list[str]:
        assert self.bench.csms is not None
        result, found = self.result, [f"violation: {one}" for one in self.bench.csms.violations]
        if result.memory[1] - result.memory[0] > GROWTH:
            found.append("the agent's memory grows")
        limits = result.messages["NotifyChargingLimit"] + result.messages["ClearedChargingLimit"]
        if limits > len(SCOPES) * (NOTICES + result.seconds / 10):
            found.append(f"{limits} messages about limits")
        if result.messages["TransactionEvent ChargingRateChanged"] > result.significant + len(PLACES):
            found.append("more ChargingRateChanged than rates that changed significantly")
        return found

    def troubles(self, since: int) -> int:
        """How often the CSMS was told of a problem with the EMS after message `since`."""
        return sum(
            event["component"]["name"] == "ExternalControlSystem"
            and event["variable"]["name"] == "Problem"
            and event["actualValue"] == "true"
            for message in self.station.calls("NotifyEvent", since)
            for event in message.payload["eventData"]
        )


@contextlib.asynccontextmanager
async def street(folder: Path, result: Result) -> AsyncIterator[Street]:
    """A station whose EMS is whoever comes from 127.0.0.1 to 127.0.0.7; two cars charge."""
    bench = Bench("bench-ac", state_dir=folder / "state", overrides=SETTINGS, agent_log=folder / "agent.log")
    start = bench.rig.start

    async def with_more_masters() -> None:
        await start()
        bench.rig.overlay["ems"]["modbus"]["allow"] = ["127.0.0.0/29"]

    bench.rig.start = with_more_masters  # type: ignore[method-assign]
    await bench.start()
    try:
        bench.world.set_fault("ems", "offline")  # the bench's own EMS: others take its place
        await bench.until_ready()
        one = Street(bench, result)
        await one.station.wait_for("StatusNotification", timeout=30)
        first = one.master()
        await first.limit(0, None)
        beating = asyncio.create_task(_beat(first))
        await one.charge()
        beating.cancel()
        first.close()
        yield one
        log = (folder / "agent.log").read_text()
        result.problems += ["the agent's log has a traceback"] if "Traceback" in log else []
    finally:
        await bench.stop()


async def _beat(master: Master) -> None:
    while True:
        await master.beat()
        await asyncio.sleep(1)


async def many_limits(street: Street, seconds: float, rate: float, dice: random.Random) -> None:
    """`rate` limits a minute, for so long."""
    master, end = street.master(), time.monotonic() + seconds
    quiet = time.monotonic() + (min(seconds / 3, dice.uniform(200, 400)) if seconds > 2 * SILENCE else math.inf)
    regime, ceiling, due = 0.0, HIGH, time.monotonic()
    while (now := time.monotonic()) < end:
        if now > regime:
            regime, ceiling = now + dice.uniform(2, 6), dice.uniform(LOW + 2, HIGH)
            if dice.random() < 0.01:
                ceiling = dice.uniform(1, LOW)  # pauses a car, or both
        if now > quiet:
            await master.silent(SILENCE)
            due = time.monotonic()
            quiet = due + dice.uniform(240, 480)
        if dice.random() < 0.01:
            await master.noise(dice)
        else:
            await master.limit(*_some_limit(dice, ceiling))
        if dice.random() < STILL and now < end - CALM:
            await master.limit(0, Order(min(LOW, ceiling), "A"))
            await asyncio.sleep(dice.uniform(GRACE, CALM))
        due = max(due + 60 / rate, time.monotonic() - CALM)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    master.close()


def _some_limit(dice: random.Random, ceiling: float) -> tuple[int, Order | None]:
    """A scope, and a limit of it up to `ceiling` A of the station, or none."""
    scope = dice.choice((0, 0, 1, 2))
    if dice.random() < 0.03 and scope:
        return scope, None
    amperes = dice.uniform(0.6, 1) * ceiling if ceiling < LOW else dice.uniform(LOW, ceiling)
    amperes /= 2 if scope else 1
    unit = dice.choice("AW")
    return scope, Order(amperes if unit == "A" else amperes * 3 * VOLTS, unit)


async def limits(seconds: float, rate: float, seed: int) -> Result:
    """The whole run."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        async with street(Path(folder), result) as there, there.observed():
            await many_limits(there, seconds, rate, random.Random(seed))
    return result


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def disk_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def memory(pid: int) -> float:
    """MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=1000, help="limits a minute")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    result = asyncio.run(limits(args.seconds, args.rate, args.seed))
    print(result)
    for problem in result.problems:
        print(f"PROBLEM: {problem}")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
