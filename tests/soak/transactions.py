"""Random power cuts while cars come, charge and go: every transaction must reach the CSMS whole, and once.

    python tests/soak/transactions.py --cuts 500 --seed 1

On both EVSEs drivers plug, swipe, press stop, pull cables and are started and stopped by the CSMS, while the line
comes and goes. At random moments, some of them right after a commit or a message, the power is cut or the agent
killed (SIGKILL). At the end, with every car gone and the line up, each transaction at the CSMS must have one Started
and one Ended, each seqNo from 0 on, and registers that never fall and say what the bench's meter counted meanwhile;
what every transaction of an EVSE says together must be all that its meter counted. Exits 1 where anything is missing.
"""

import argparse
import asyncio
import contextlib
import random
import sqlite3
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from agent.model import parse_date_time
from drivers.bench.bench import Bench
from drivers.bench.csms import CallError, StationSession
from drivers.bench.ev import EvSettings
from drivers.bench.refusals import InTheWay
from drivers.bench.transactions import Transaction

SETTINGS = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": "0",
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
    "SampledDataCtrlr.TxUpdatedInterval": "2",
    "TxCtrlr.EVConnectionTimeOut": "5",
}

POINTS = (
    ("PowerPathClosed", "EVConnected,Authorized"),
    ("EVConnected", "EVConnected"),
    ("Authorized", "Authorized"),
    ("EVConnected,Authorized", "PowerPathClosed"),
)
"""TxStartPoint and TxStopPoint that a run takes turns with. Not EnergyTransfer: energy flows before its start."""

PLACES = ((1, 1), (1, 2), (2, 1))
CARDS = ("04A1B2C3D4E5F6", "04FFEEDDCCBBAA", "04112233445566")
STATION_CUTS = 100
"""Cuts after which a run goes on with a new station."""

RESOLUTION = 0.002
"""Wh: a meter's register is a 32-bit float in kWh, exact to this below 16 kWh, and read twice."""

FULL = 16_000.0
"""Wh that no register may reach here, for that."""


Mark = tuple[float, str]
"""Something that happened at that wall time."""


@dataclass
class Result:
    """What a run saw."""

    cuts: int = 0
    killed: int = 0
    """Of the cuts, those in which only the agent died."""
    transactions: int = 0
    cut: int = 0
    """Of the transactions, those that a cut fell into."""
    unmetered: int = 0
    """Those without any register, and without energy: over before the meter was heard."""
    events: int = 0
    repeats: int = 0
    lines: int = 0
    """How often the line went down."""
    energy: float = 0.0
    """kWh counted by the meters."""
    problems: list[str] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def __str__(self) -> str:
        return (
            f"{self.cuts} cuts ({self.killed} of the agent alone), {self.lines} of the line: "
            f"{self.transactions} transactions ({self.cut} with a cut in them, "
            f"{self.unmetered} over before the meter was heard), {self.events} events, "
            f"{self.repeats} told again, {self.energy:.2f} kWh, {len(self.problems)} problems"
        )


class MeterBook:
    """What the meter of one EVSE counted, and when (wall time)."""

    def __init__(self, bench: Bench, evse: int) -> None:
        self._point = bench.world.point(f"meter-{evse}", "energy_import")
        self._times = [time.time()]
        self._values = [self._point.number]
        bench.world.processes.append(self._note)

    def _note(self, *_: float) -> None:
        if self._point.number != self._values[-1]:
            self._times.append(time.time())
            self._values.append(self._point.number)

    def at(self, moment: float) -> float:
        """Wh at that time."""
        return self._values[max(0, bisect_right(self._times, moment) - 1)]

    @property
    def total(self) -> float:
        return self._values[-1] - self._values[0]

    @property
    def last(self) -> float:
        return self._values[-1]


class Street:
    """Whoever comes by at one EVSE, whether or not there is power."""

    def __init__(self, bench: Bench, evse: int, dice: random.Random) -> None:
        assert bench.csms is not None
        self._bench, self._evse, self._dice = bench, evse, dice
        self._station = bench.csms.station(bench.identity)
        self._connectors = [place for place in PLACES if place[0] == evse]
        self._calls: set[asyncio.Task[None]] = set()
        self._card = CARDS[0]

    async def run(self) -> None:
        try:
            while True:
                self._act()
                await asyncio.sleep(self._dice.choice((0.05, 0.3, 0.8, 1.6)))
        finally:
            for task in self._calls:
                task.cancel()

    def _act(self) -> None:
        dice, places = self._dice, self._bench.world.places
        place = dice.choice(self._connectors)
        charger = places.connector(*place)
        there = any(places.connector(*one).cable for one in self._connectors)
        acts: list[tuple[Callable[[], None], float]] = [
            (self._swipe, 3 if there else 1),
            (self._remote_start, 1),
        ]
        if charger.ev is None:
            acts.append((lambda: charger.plug(None if charger.cable else self._car()), 8))
        if charger.cable:
            acts += [
                (lambda: charger.unplug(dice.choice(("station", "ev"))), 1.5),
                (places.button(self._evse).press, 0.5),
                (self._remote_stop, 0.5),
            ]
        if charger.ev is not None:
            acts.append((lambda: charger.change({"ready": dice.random() < 0.7}), 1))
        (act,) = dice.choices([act for act, _ in acts], [weight for _, weight in acts])
        with contextlib.suppress(InTheWay):  # such as a plug that is locked
            act()

    def _car(self) -> EvSettings:
        dice = self._dice
        return EvSettings(
            max_current=dice.choice((6.0, 16.0, 32.0)),
            phases=dice.choice((1, 3)),
            soc=dice.choice((20.0, 60.0, 99.99)),
            ready=dice.random() < 0.9,
        )

    def _swipe(self) -> None:
        if self._dice.random() < 0.4:
            self._card = self._dice.choice(CARDS)
        reader = self._dice.choice((0, self._evse, self._evse))
        self._bench.world.places.reader(reader).swipe(self._card, "ISO14443")

    def _remote_start(self) -> None:
        token = {"idToken": self._dice.choice(CARDS), "type": "Central"}
        number = self._dice.randrange(1, 10_000)
        self._call("RequestStartTransaction", {"idToken": token, "remoteStartId": number, "evseId": self._evse})

    def _remote_stop(self) -> None:
        running = [one.id for one in self._station.transactions().values() if not one.ended]
        if running:
            self._call("RequestStopTransaction", {"transactionId": self._dice.choice(running)})

    def _call(self, action: str, payload: dict[str, Any]) -> None:
        async def call() -> None:
            # A station that hangs up, or that still boots, does not answer.
            with contextlib.suppress(ConnectionError, CallError, TimeoutError):
                await self._station.call(action, payload)

        if self._station.connected and not self._calls:
            task = asyncio.create_task(call())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)


class Cutter:
    """Cuts the power, kills the agent, and takes the line away, at random moments."""

    def __init__(self, bench: Bench, dice: random.Random, result: Result) -> None:
        assert bench.csms is not None
        self._bench, self._dice, self._result = bench, dice, result
        self._station = bench.csms.station(bench.identity)
        self.moments: list[float] = []
        """The wall time of each cut."""

    async def line(self) -> None:
        """Let the line come and go, until cancelled."""
        while True:
            await asyncio.sleep(self._dice.uniform(0, 6))
            await self._bench.set_network("down")
            self._result.lines += 1
            await asyncio.sleep(self._dice.choice((0.1, 1.0, 3.0)))
            await self._bench.set_network("up")

    async def cut(self) -> None:
        """One cut: of the agent alone, or of the power. Returns when the agent is started again."""
        await self._moment()
        agent, starts = self._bench.agent, self._bench.agent.starts
        self._result.cuts += 1
        self.moments.append(time.time())
        if self._dice.random() < 0.4 and agent.pid is not None:
            self._result.killed += 1
            await self._bench.set_agent("kill")
        else:
            await self._bench.set_power("off")
            if self._dice.random() < 0.2:
                await asyncio.sleep(self._dice.uniform(0, 1.5))
            await self._bench.set_power("on")
        while agent.starts == starts:  # noqa: ASYNC110 - the bench has no event for it
            await asyncio.sleep(0.02)
        if self._dice.random() < 0.8:
            await asyncio.wait_for(agent.ready.wait(), 30)  # else the next cut falls into the start

    async def _moment(self) -> None:
        kind = self._dice.choice(("any", "soon", "commit", "commit", "message"))
        if kind == "any":
            await asyncio.sleep(self._dice.uniform(0, 4))
        elif kind == "soon":
            await asyncio.sleep(self._dice.uniform(0, 1))
        else:
            await asyncio.sleep(self._dice.uniform(0, 2.5))
            look = self._written if kind == "commit" else self._told
            before = look()
            for _ in range(400):
                if look() != before:
                    break
                await asyncio.sleep(0.005)
            await asyncio.sleep(self._dice.choice((0, 0, 0.002, 0.01)))

    def _written(self) -> object:
        with contextlib.suppress(FileNotFoundError):
            return (self._bench.state_dir / "station.db-wal").stat().st_mtime_ns
        return None

    def _told(self) -> object:
        return len(self._station.calls("TransactionEvent"))


async def transaction_cuts(cuts: int, seed: int, say: Any = print) -> Result:
    """Cut the power `cuts` times, on one station after the other; the result's `problems` must be empty."""
    dice, result = random.Random(seed), Result()
    turn = dice.randrange(len(POINTS))
    while result.cuts < cuts:
        part = min(STATION_CUTS, cuts - result.cuts)
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            log = Path(folder, "agent.log")
            points = POINTS[turn % len(POINTS)]
            one = await _station(part, dice, points, log, Path(folder, "state"))
            one.problems += _mistakes(log)
            for problem in one.problems:
                say(f"PROBLEM: {'/'.join(points)}: {problem}")
        result.add(one)
        turn += 1
        say(f"{result}")
    return result


async def _station(cuts: int, dice: random.Random, points: tuple[str, str], log: Path, state: Path) -> Result:
    result = Result()
    more = {"TxCtrlr.TxStartPoint": points[0], "TxCtrlr.TxStopPoint": points[1]}
    bench = Bench("bench-ac", state_dir=state, overrides=SETTINGS | more, agent_log=log)
    await bench.start()
    try:
        assert bench.csms is not None
        station = bench.csms.station(bench.identity)
        await asyncio.wait_for(bench.agent.ready.wait(), 30)
        meters = {evse: MeterBook(bench, evse) for evse in (1, 2)}
        cutter = Cutter(bench, dice, result)
        running = [Street(bench, evse, random.Random(dice.random())).run() for evse in meters]
        tasks = [asyncio.create_task(one) for one in (*running, cutter.line())]
        while result.cuts < cuts:
            await cutter.cut()
            for task in tasks:
                if task.done():
                    task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _quiet(bench, station)
        codes = bench.agent.exit_codes
        if len(codes) > result.cuts or {*codes} - {-9}:
            result.problems.append(f"the agent ended by itself or hung: {codes} after {result.cuts} cuts")
    finally:
        await bench.stop()
    switched = [
        (parse_date_time(entry["at"]).timestamp(), f"contactor {entry['evse']}/{entry['connector']} {entry['value']}")
        for entry in bench.world.log.since(1)
        if entry["what"] == "contactor"
    ]
    _judge(station, meters, [(moment, "CUT") for moment in cutter.moments] + switched, result)
    result.problems += _left(state)
    result.problems += [f"violation: {text}" for text in bench.csms.violations]
    return result


async def _quiet(bench: Bench, station: StationSession) -> None:
    """The line is up, every car goes, and everything is told."""
    await bench.set_network("up")
    await asyncio.wait_for(bench.agent.ready.wait(), 30)
    await asyncio.sleep(1.5)
    for place in PLACES:
        charger = bench.world.places.connector(*place)
        if charger.ev is not None:
            charger.unplug("ev")
    for _ in range(300):
        for place in PLACES:
            charger = bench.world.places.connector(*place)
            if charger.cable:
                with contextlib.suppress(InTheWay):
                    charger.unplug("station")
        if station.connected and not any(not one.ended for one in station.transactions().values()):
            break
        await asyncio.sleep(0.1)
    for _ in range(300):
        if not any(_left(bench.state_dir)):
            return
        await asyncio.sleep(0.1)


def _mistakes(log: Path) -> Iterator[str]:
    """What the agent's log says that no cut explains."""
    lines = log.read_text().splitlines()
    for number, line in enumerate(lines):
        if "Traceback" in line or "cannot be read" in line or "given up" in line:
            yield f"log: {' | '.join(lines[number : number + 12])}"


def _left(state: Path) -> Iterator[str]:
    """What is still on the disk of a station that has told everything."""
    with contextlib.closing(sqlite3.connect(state / "station.db")) as connection:
        for action, count in connection.execute("SELECT action, count(*) FROM message GROUP BY action"):
            yield f"{count} {action} are still on the disk"
        for key, value in connection.execute("SELECT key, value FROM kept WHERE room = 'transaction'"):
            yield f"EVSE {key} still keeps {value:.300}"


def _judge(station: StationSession, meters: dict[int, MeterBook], marks: list[Mark], result: Result) -> None:
    told: dict[int, float] = dict.fromkeys(meters, 0.0)
    ends: dict[int, float] = dict.fromkeys(meters, 0.0)
    transactions = sorted(station.transactions().values(), key=lambda one: str(one.events[0]["timestamp"]))
    for one in transactions:
        result.transactions += 1
        result.events += len(one.events)
        result.repeats += one.repeats
        begin, end = _moment_of(one.events[0]), _moment_of(one.events[-1])
        result.cut += any(begin < moment < end and what == "CUT" for moment, what in marks)
        found = one.problems()
        if one.events[0]["seqNo"] != 0:
            found.append(f"transaction {one.id}: begins with seqNo {one.events[0]['seqNo']}")
        result.problems += [f"{text}: {_story(one, marks)}" for text in found]
        evses = {event["evse"]["id"] for event in one.events if "evse" in event}
        registers = sorted(pair for event in one.events for pair in _registers(event))
        if len(evses) > 1:
            result.problems.append(f"transaction {one.id}: EVSEs {evses}: {_story(one, marks)}")
        if len(evses) != 1:
            continue  # its driver never came to a car
        (evse,) = evses
        counted = meters[evse].at(end) - meters[evse].at(begin)
        values = [value for _, value in registers]
        if not values:
            result.unmetered += 1  # the meter was not heard between a start of the agent and the transaction's end
            values = [ends[evse]]
        told[evse] += values[-1] - values[0]
        if values != sorted(values):
            result.problems.append(f"transaction {one.id}: the register fell: {values}: {_story(one, marks)}")
        if values[0] < ends[evse] - RESOLUTION:
            result.problems.append(f"transaction {one.id}: begins at {values[0]} Wh, {ends[evse]} was told before")
        ends[evse] = values[-1]
        if one.ended and abs(values[-1] - values[0] - counted) > RESOLUTION:
            result.problems.append(
                f"transaction {one.id}: {values[-1] - values[0]:.3f} Wh were told, the meter counted {counted:.3f}: "
                f"{_story(one, marks)}"
            )
    for evse, meter in meters.items():
        result.energy += meter.total / 1000
        if meter.last > FULL:
            result.problems.append(f"EVSE {evse}: {meter.last} Wh is more than can be judged: make fewer cuts")
        if abs(told[evse] - meter.total) > RESOLUTION * (1 + result.transactions):
            result.problems.append(f"EVSE {evse}: {told[evse]:.3f} Wh were told, the meter counted {meter.total:.3f}")


def _moment_of(event: dict[str, Any]) -> float:
    return parse_date_time(event["timestamp"]).timestamp()


def _registers(event: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """The energy register in an event: (wall time, Wh)."""
    for value in event.get("meterValue", ()):
        for sample in value["sampledValue"]:
            if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register":
                unit = sample.get("unitOfMeasure", {})
                kilo = 1000.0 if unit.get("unit") == "kWh" else 1.0
                yield _moment_of(value), sample["value"] * kilo * 10 ** unit.get("multiplier", 0)


def _story(one: Transaction, marks: Sequence[Mark]) -> str:
    """What the CSMS was told, among the marks that fall into it, by the seconds since its start."""
    start = _moment_of(one.events[0])
    lines = [(_moment_of(event) - start, _line(event, start)) for event in one.events]
    lines += [(moment - start, what) for moment, what in marks if -1 < moment - start < lines[-1][0] + 1]
    return "".join(f"\n    {moment:7.2f} {line}" for moment, line in sorted(lines))


def _line(event: dict[str, Any], start: float) -> str:
    info = event["transactionInfo"]
    told = [event["eventType"], event["triggerReason"], info.get("chargingState"), info.get("stoppedReason")]
    told += ["offline"] * bool(event.get("offline"))
    told += [f"{value:.3f} Wh at {moment - start:.2f}" for moment, value in _registers(event)]
    return f"{event['seqNo']:3} {' '.join(filter(None, told))}"


async def _benches(cuts: int, seed: int, benches: int) -> Result:
    result = Result()
    share = -(-cuts // benches)
    for one in await asyncio.gather(*(transaction_cuts(share, seed + number) for number in range(benches))):
        result.add(one)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--benches", type=int, default=2, help="so many at a time")
    args = parser.parse_args()
    started = time.monotonic()
    result = asyncio.run(_benches(args.cuts, args.seed, args.benches))
    print(f"in {time.monotonic() - started:.0f} s: {result}")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
