"""A Modbus RTU line with everything wrong on it, for as long as one likes: no wrong value may ever come out.

    python tests/soak/rtu_noise.py [--minutes 10] [--seed N]

A slave made by hand sits on a pty and answers, at random, rightly, late, not at all, with noise, cut off, twice, as
another unit, with another count, function or checksum. Every register tells its own unit and address and how many
requests the slave had seen, so that any answer handed to another request shows. Reads and writes run beside the
polls, and some of their callers leave early. Prints a summary; exits 1 if a single value was wrong, if a write
counted as done that was not, or if nothing was read at all.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from drivers import NoAnswer, Quality, Reading, Refused
from drivers.modbus import ModbusBus
from tests.drivers.modbus_parts import Answer, Sunk, framed, make_bus, profile, rtu, running, slave_on_pty

TIMEOUT, QUIET = 0.06, 0.3
LATEST = TIMEOUT + QUIET / 3
"""The slowest answer; `timeout` + `quiet` is what the driver's setting promises to cover."""
UNITS = (1, 2)
SETPOINT = 900
FAULTS = (
    "late",
    "missing",
    "noise",
    "noise first",
    "cut",
    "cut, rest late",
    "twice",
    "other unit",
    "other count",
    "other function",
    "bad checksum",
    "refused",
    "refused late",
    "in pieces",
    "stray before",
)

# three blocks of the same shape per table, so that only the content tells one answer from another
POINTS = {
    f"{table}_{at}": {"at": at, "type": "uint32", "table": table}
    for table in ("holding", "input")
    for start in (0, 200, 400)
    for at in (start, start + 2)
}
PROFILE = profile({**POINTS, "setpoint": {"at": SETPOINT, "type": "uint16", "access": "w"}}, poll="30ms")


class Line:
    """The slave's side: what the registers hold, and which fault comes next."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.generation = 0
        self.setpoints = dict.fromkeys(UNITS, 0)
        self.faults: Counter[str] = Counter()

    def words(self, unit: int, at: int, count: int) -> bytes:
        """Each pair of registers holds unit, address and the number of this request."""
        pairs = [((unit << 28) | ((at + 2 * n) << 16) | self.generation % 65536) for n in range((count + 1) // 2)]
        return b"".join(pair.to_bytes(4, "big") for pair in pairs)[: 2 * count]

    def answer(self, unit: int, pdu: bytes) -> Answer:
        self.generation += 1
        draw = self.random
        fault = draw.choice(FAULTS) if draw.random() < 0.5 else "none"
        self.faults[fault] += 1
        code, at, count = pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        late = draw.uniform(TIMEOUT * 1.05, LATEST)
        if fault.startswith("refused"):
            return [
                (
                    late if fault == "refused late" else 0,
                    framed(unit, bytes([code | 0x80, draw.choice([2, 4, 6, 6])])),
                )
            ]
        if code == 6:
            body = pdu
            if fault != "missing" or draw.random() < 0.5:
                self.setpoints[unit] = count
        else:
            body = bytes([code, 2 * count]) + self.words(unit, at, count)
        good = framed(unit, body)
        match fault:
            case "late":
                return [(late, good)]
            case "missing":
                return []
            case "noise":
                return [(0, draw.randbytes(draw.randint(1, 60)))]
            case "noise first":
                return [(0, draw.randbytes(draw.randint(1, 3)) + good)]
            case "cut":
                return [(0, good[: draw.randint(1, len(good) - 1)])]
            case "cut, rest late":
                cut = draw.randint(1, len(good) - 1)
                return [(0, good[:cut]), (late, good[cut:])]
            case "twice":
                return [(0, good + good)]
            case "other unit":
                return [(0, framed(draw.choice([u for u in UNITS if u != unit]), body))]
            case "other count":
                more = 1 if code == 6 else count + draw.choice([-1, 1, 2])
                return [(0, framed(unit, bytes([code, 2 * more]) + self.words(unit, at, more)))]
            case "other function":
                return [(0, framed(unit, bytes([7 - code if code in (3, 4) else 5]) + body[1:]))]
            case "bad checksum":
                spoilt = bytearray(good)
                spoilt[draw.randrange(len(spoilt))] ^= 1 << draw.randrange(8)
                return [(0, bytes(spoilt))]
            case "in pieces":
                return [(0, good[:4]), (0.01, good[4:6]), (0.02, good[6:])]
            case "stray before":  # a late answer of long ago, right in front of this one, and from elsewhere
                return [(0, framed(unit, bytes([code, 2]) + b"\0\1") + good)]
            case _:
                return [(draw.choice([0, 0, draw.uniform(0, 0.8 * TIMEOUT)]), good)]


class Judge(Sunk):
    """A sink that knows what each value must be."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.line = line
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    def __call__(self, device: str, point: str, reading: Reading) -> None:
        self.counts[f"polled {reading.quality.value}"] += 1
        self.check(device, point, reading)

    def check(self, device: str, point: str, reading: Reading) -> None:
        if reading.quality is Quality.BAD:
            return
        at = int(point.split("_")[1])
        expected = (int(device[1:]) << 28) | (at << 16) | self.line.generation % 65536
        if reading.value != expected:
            self.wrong.append(f"{device}.{point}: {reading.value!r} instead of {expected}")


async def reader(bus: ModbusBus, judge: Judge, draw: random.Random) -> None:
    """Reads single points without end; one in five callers leaves early."""
    while True:
        await asyncio.sleep(draw.uniform(0, 0.05))
        device, point = f"u{draw.choice(UNITS)}", draw.choice(list(POINTS))
        patience = draw.uniform(0, 0.05) if draw.random() < 0.2 else None
        try:
            reading = await asyncio.wait_for(bus.read(device, point), patience)
        except TimeoutError:
            judge.counts["readers left"] += 1
        except (NoAnswer, Refused) as error:
            judge.counts[f"read {type(error).__name__}"] += 1
        else:
            judge.counts["read good"] += 1
            judge.check(device, point, reading)


async def writer(bus: ModbusBus, judge: Judge, draw: random.Random) -> None:
    """Writes ever new values: done means done, refused means untouched."""
    value = 0
    while True:
        await asyncio.sleep(draw.uniform(0, 0.1))
        unit = draw.choice(UNITS)
        value = value % 65535 + 1
        before = judge.line.setpoints[unit]
        try:
            await bus.write(f"u{unit}", "setpoint", value)
        except Refused:
            judge.counts["written Refused"] += 1
            if judge.line.setpoints[unit] != before:
                judge.wrong.append(f"u{unit}.setpoint: refused, but {before} became {judge.line.setpoints[unit]}")
        except NoAnswer:
            judge.counts["written NoAnswer"] += 1
        else:
            judge.counts["written good"] += 1
            if judge.line.setpoints[unit] != value:
                judge.wrong.append(f"u{unit}.setpoint: {judge.line.setpoints[unit]}, not {value} as acknowledged")


async def soak(seconds: float, seed: int) -> Judge:
    """Run the line for `seconds`; the judge knows what came out."""
    line = Line(seed)
    judge = Judge(line)
    draw = random.Random(seed + 1)
    async with slave_on_pty(line.answer) as (_, port):
        bus = make_bus(
            rtu(port, timeout=f"{TIMEOUT}s", quiet=f"{QUIET}s", gap="5ms"),
            {f"u{unit}": (unit, PROFILE) for unit in UNITS},
        )
        async with running(bus, judge) as run:
            await asyncio.sleep(QUIET / 2)
            others = [asyncio.create_task(task(bus, judge, draw)) for task in (reader, writer)]
            await asyncio.wait([run, *others], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in others:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if run.done():
                run.result()
    return judge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    judge = asyncio.run(soak(60 * options.minutes, options.seed))
    print(f"seed {options.seed}, {judge.line.generation} requests")
    for title, counts in (("answers of the slave", judge.line.faults), ("what came out", judge.counts)):
        print(f"{title}:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    for text in judge.wrong[:20]:
        print("WRONG", text)
    print(f"{len(judge.wrong)} wrong values")
    return 1 if judge.wrong or not judge.counts["polled good"] else 0


if __name__ == "__main__":
    sys.exit(main())
