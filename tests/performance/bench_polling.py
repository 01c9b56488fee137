"""CPU time of polling Modbus TCP meters through the driver, and through bare pymodbus, in the same run.

    python tests/performance/bench_polling.py [--meters 20] [--seconds 20]

The meters live in a process of their own. Both clients read the same registers of each meter once a second, in the
same blocks, and turn them into values. Goal: the driver needs at most 1.5 times the CPU time of bare pymodbus.
Exits 1 if it needs more.
"""

import argparse
import asyncio
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

GOAL = 1.5
BLOCKS = ((0, 18), (52, 24))
"""The two reads that the driver makes with the profile eastron-sdm630."""
FLOATS = {0: 230.1, 6: 16.02, 12: 3686.2, 52: 11058.6, 70: 49.98, 72: 12345.678, 74: 0.5}
POINTS = 13


def serve(count: int, ports: "multiprocessing.Queue[list[int]]") -> None:
    """The meters: pymodbus servers, one port each."""
    import logging
    import struct

    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # clients leave in the midst of a request
    words = [0] * 80
    for at, value in FLOATS.items():
        words[at : at + 2] = struct.unpack(">HH", struct.pack(">f", value))

    def meter() -> SimDevice:
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        data = [SimData(0, values=words, datatype=DataType.REGISTERS)]
        return SimDevice(id=1, simdata=(bits, bits, data, data))

    async def main() -> None:
        found = []
        for _ in range(count):
            server = ModbusTcpServer(meter(), address=("127.0.0.1", 0))
            await server.listen()
            found.append(server.transport.sockets[0].getsockname()[1])
        ports.put(found)
        await asyncio.Event().wait()

    asyncio.run(main())


async def through_the_driver(ports: list[int], seconds: float) -> int:
    import yaml

    from drivers import Reading, open_bus
    from drivers.settings import ModbusProfile, ModbusTcpSettings, ProfileDevice

    text = (ROOT / "boards" / "profiles" / "eastron-sdm630.yaml").read_text()
    profiles = {"sdm": ModbusProfile.model_validate(yaml.safe_load(text))}
    count = 0

    def sink(device: str, point: str, reading: Reading) -> None:
        nonlocal count
        count += reading.value is not None

    buses = []
    for number, port in enumerate(ports):
        settings = ModbusTcpSettings(driver="modbus-tcp", host="127.0.0.1", port=port)
        devices = {f"meter-{number}": ProfileDevice(bus="b", profile="sdm", unit=1)}
        buses.append(open_bus(f"bus-{number}", settings, devices, profiles, time.monotonic))
    await for_a_while([bus.run(sink) for bus in buses], seconds)
    return count // POINTS


async def through_bare_pymodbus(ports: list[int], seconds: float) -> int:
    from pymodbus.client import AsyncModbusTcpClient

    count = 0

    async def poll(port: int) -> None:
        nonlocal count
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=1, retries=0)
        await client.connect()
        due = time.monotonic()
        try:
            while True:
                for start, size in BLOCKS:
                    reply = await client.read_input_registers(start, count=size, device_id=1)
                    client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32)
                count += 1
                due += 1.0
                await asyncio.sleep(due - time.monotonic())
        finally:
            client.close()

    await for_a_while([poll(port) for port in ports], seconds)
    return count


async def for_a_while(coroutines: list[Any], seconds: float) -> None:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await asyncio.sleep(seconds)
    while tasks:  # Python 3.11's wait_for, inside pymodbus, can swallow a cancellation
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=0.1)
        tasks = list(pending)


CLIENTS = {"driver": through_the_driver, "pymodbus": through_bare_pymodbus}


def measure(name: str, ports: list[int], seconds: float, results: "multiprocessing.Queue[tuple[float, int]]") -> None:
    """CPU time without imports and connecting: what a longer run has more than a short one."""

    async def main() -> None:
        await CLIENTS[name](ports, 1.5)
        before = time.process_time()
        polls = await CLIENTS[name](ports, seconds)
        results.put((time.process_time() - before, polls))

    asyncio.run(main())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ports_queue: multiprocessing.Queue[list[int]] = context.Queue()
    server = context.Process(target=serve, args=(options.meters, ports_queue), daemon=True)
    server.start()
    ports = ports_queue.get(timeout=60)
    cost = {}
    try:
        for name in CLIENTS:
            results: multiprocessing.Queue[tuple[float, int]] = context.Queue()
            client = context.Process(target=measure, args=(name, ports, options.seconds, results), daemon=True)
            client.start()
            cpu, polls = results.get(timeout=options.seconds + 60)
            client.join()
            cost[name] = cpu / polls
            share = cpu / options.seconds
            print(f"{name:9} {polls:6} polls of a meter, {1e6 * cost[name]:7.0f} us CPU each, {share:6.2%} of a core")
    finally:
        server.terminate()
        server.join()
    ratio = cost["driver"] / cost["pymodbus"]
    print(f"ratio {ratio:.2f} (goal: at most {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
