"""A storm of events: 1,000 a second for a minute, over a real line and a real disk, while ten meters are polled.

    python tests/performance/bench_event_storm.py [--rate 1000] [--seconds 60] [--meters 10]

The events come of Delta monitors, half of which must be kept (OfflineQueuingSeverity); in the middle third the CSMS
is away. The CSMS and the meters live in processes of their own. The CSMS asks for a variable ten times a second.
Goals: every event that must be kept arrives, in its order; the agent grows by at most 40 MB, and by at most 10 in the
second half of the storm; the CSMS's questions are answered in 100 ms (the 99th of 100); no meter misses a poll by
more than 0.5 s. Exits 1 if one is missed.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

GOAL_GROWTH, GOAL_LATE_GROWTH = 40.0, 10.0
"""MB."""
GOAL_ANSWER = 0.1
GOAL_POLL = 1.5
"""s, between two polls of a meter."""
ASK = 0.1
HEARTBEAT = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
KEPT, LIGHT = 3, 8


def resident() -> float:
    """MB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Csms:
    """Answers everything, notes the values of the events by the severity of their monitor, and asks."""

    def __init__(self) -> None:
        self.values: dict[str, list[int]] = {str(KEPT): [], str(LIGHT): []}
        self.messages = 0
        self.answers: list[float] = []
        self.away = False
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.connection: Any = None

    async def serve(self, connection: Any) -> None:
        if self.away:
            await connection.close()
            return
        self.connection = connection
        asking = asyncio.create_task(self.ask(connection))
        try:
            async for frame in connection:
                message = json.loads(frame)
                if message[0] != 2:
                    self.waiting.pop(message[1]).set_result(None)
                    continue
                answer: dict[str, Any] = {}
                if message[2] == "NotifyEvent":
                    self.messages += 1
                    for event in message[3]["eventData"]:
                        self.values[event["component"]["instance"]].append(int(event["actualValue"]))
                elif message[2] == "BootNotification":
                    answer = {"currentTime": "2026-01-31T12:00:00Z", "interval": 300, "status": "Accepted"}
                elif message[2] == "Heartbeat":
                    answer = {"currentTime": "2026-01-31T12:00:00Z"}
                await connection.send(json.dumps([3, message[1], answer]))
        finally:
            asking.cancel()

    async def ask(self, connection: Any) -> None:
        number = 0
        await asyncio.sleep(1.0)
        while True:
            number += 1
            began = time.monotonic()
            answered = self.waiting[str(number)] = asyncio.get_running_loop().create_future()
            call = [2, str(number), "GetVariables", {"getVariableData": [HEARTBEAT]}]
            await connection.send(json.dumps(call))
            await answered
            self.answers.append(time.monotonic() - began)
            await asyncio.sleep(ASK)


def csms(seconds: float, control: Any) -> None:
    """The process of the CSMS: gives its port, goes away when told, and at the end tells what it heard."""

    async def main() -> None:
        from websockets.asyncio.server import serve

        there = Csms()
        async with serve(there.serve, "127.0.0.1", 0, subprotocols=["ocpp2.0.1"], ping_interval=None) as server:  # type: ignore[list-item]
            control.send(next(iter(server.sockets)).getsockname()[1])
            while True:
                told = await asyncio.to_thread(control.recv)
                if told == "end":
                    break
                there.away = told == "away"
                if there.away:
                    await there.connection.close()
        control.send((there.values, there.messages, there.answers))

    asyncio.run(main())


async def poll(ports: list[int], gaps: list[float]) -> None:
    """The meters, read by the driver; `gaps` gets the seconds between two readings of each."""
    import yaml

    from drivers import Reading, open_bus
    from drivers.settings import ModbusProfile, ModbusTcpSettings, ProfileDevice

    text = (ROOT / "boards" / "profiles" / "eastron-sdm630.yaml").read_text()
    profiles = {"sdm": ModbusProfile.model_validate(yaml.safe_load(text))}
    last: dict[str, float] = {}

    def sink(device: str, point: str, reading: Reading) -> None:
        if point == "power" and reading.value is not None:
            now = time.monotonic()
            if device in last:
                gaps.append(now - last[device])
            last[device] = now

    buses = []
    for number, port in enumerate(ports):
        settings = ModbusTcpSettings(driver="modbus-tcp", host="127.0.0.1", port=port)
        devices = {f"meter-{number}": ProfileDevice(bus="b", profile="sdm", unit=1)}
        buses.append(open_bus(f"bus-{number}", settings, devices, profiles, time.monotonic))
    await asyncio.gather(*(bus.run(sink) for bus in buses))


async def storm(options: argparse.Namespace, port: int, ports: list[int], control: Any, folder: Path) -> bool:
    from agent.events import Events
    from agent.model import Attribute, Characteristics, Component, DataType, Variable, VariableName
    from agent.monitoring import MonitorRequest, Monitors, MonitorType
    from agent.store import Store
    from tests.ocpp.csms import station
    from tests.ocpp.parts import Home

    store = Store(folder)
    home = Home(store=store)
    variables = {
        severity: home.model.add(
            Variable(
                Component("Meter", str(severity)),
                "Power",
                Characteristics(DataType.INTEGER),
                Attribute(0),
                max_age=3.0,
            )
        )
        for severity in (KEPT, LIGHT)
    }
    gaps: list[float] = []
    polling = asyncio.create_task(poll(ports, gaps))
    async with station(home, port) as link:
        events = Events(
            home.model,
            home.clock,
            link.post,
            {},
            queue=link.queue,
            later=asyncio.get_running_loop().call_later,
            online=lambda: link.connected and link.accepted,
            queuing=lambda: 5,
        )
        events.reserve()
        monitors = Monitors(home.model, home.clock, fire=events.fired, change=lambda _: None)
        monitors.restore({})
        monitors.online(True)
        for severity, variable in variables.items():
            request = MonitorRequest(variable.component, VariableName("Power"), MonitorType.DELTA, 1, severity)
            assert monitors.set(request).accepted
        while not link.accepted:
            await asyncio.sleep(0.05)
        before, middle, most, longest = resident(), 0.0, 0.0, 0
        began, cpu = time.monotonic(), time.process_time()
        count, told = 0, ""
        while (passed := time.monotonic() - began) < options.seconds:
            while count < passed * options.rate / 2:
                count += 1
                for variable in variables.values():
                    variable.update(2 * count)
            if events.low:
                events.reserve()
            third = "away" if 1 <= passed * 3 / options.seconds < 2 else "back"
            if third != told:
                told = third
                control.send(told)
            if passed < options.seconds / 2:
                middle = resident()
            most, longest = max(most, resident()), max(longest, len(link._outbox))
            await asyncio.sleep(0.005)
        cpu = (time.process_time() - cpu) / options.seconds
        events.flush()
        async with asyncio.timeout(120):
            while len(link._outbox):
                await asyncio.sleep(0.1)
        drained = time.monotonic() - began - options.seconds
        control.send("end")
        values, messages, answers = await asyncio.to_thread(control.recv)
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
    left = len(store.messages())
    store.close()
    expected = list(range(2, 2 * count + 2, 2))
    kept = list(dict.fromkeys(values[str(KEPT)]))
    light = len(set(values[str(LIGHT)]))
    answers.sort()
    slow = answers[int(len(answers) * 0.99)] if answers else float("inf")
    late = max(gaps, default=float("inf"))
    growth, late_growth = most - before, most - middle
    print(
        f"{2 * count} events in {options.seconds:g} s, {messages} messages, drained {drained:.1f} s later; ", end=""
    )
    print(f"longest queue {longest} messages; {cpu:.0%} of a core")
    print(f"kept: {len(kept)} of {len(expected)} arrived{'' if kept == expected else ', NOT in order or not all'}")
    print(f"not kept: {light} of {len(expected)} arrived; left on disk: {left}")
    print(f"memory: +{growth:.1f} MB (goal {GOAL_GROWTH:g}), second half +{late_growth:.1f} ({GOAL_LATE_GROWTH:g})")
    print(f"answers: {len(answers)}, 99 % in {slow * 1e3:.0f} ms (goal {GOAL_ANSWER * 1e3:g})")
    print(f"polls: {len(gaps)}, longest gap {late:.2f} s (goal {GOAL_POLL:g})")
    return (
        kept == expected
        and left == 0
        and growth <= GOAL_GROWTH
        and late_growth <= GOAL_LATE_GROWTH
        and slow <= GOAL_ANSWER
        and late <= GOAL_POLL
    )


def main() -> int:
    from tests.performance.bench_polling import serve

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--meters", type=int, default=10)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ports_queue: multiprocessing.Queue[list[int]] = context.Queue()
    ours, theirs = context.Pipe()
    processes = [
        context.Process(target=serve, args=(options.meters, ports_queue), daemon=True),
        context.Process(target=csms, args=(options.seconds, theirs), daemon=True),
    ]
    for process in processes:
        process.start()
    ports, port = ports_queue.get(timeout=60), ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        good = asyncio.run(storm(options, port, ports, ours, Path(folder)))
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    print("good" if good else "NOT good")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
