"""SetVariables of a Target until its response, against a bare peer that does the same work.

    python tests/performance/bench_set_target.py

A CSMS on loopback sends SetVariables; the station checks the Target, writes it to a Modbus TCP device, stores it so
that it survives a power cut, and answers. The bare peer is a WebSocket client that writes the same register with
pymodbus and echoes the frame: no check, no store. The durable peer also commits the value to SQLite, synced. All run
in processes of their own, in turn, against the same device. Goal: at most 1.5 × the bare peer's median; the part of
the distance that is the disk's shows in the durable peer.
"""

import asyncio
import contextlib
import json
import multiprocessing
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

COUNT = 300
WARM_UP = 30
GOAL = 1.5

BOARD = """\
station: {{vendor: Bench, model: Latency}}
buses:
  lan: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}}}
devices:
  fan: {{bus: lan, unit: 1, profile: fan-controller}}
components:
  - name: AirCoolingSystem
    variables:
      FanSpeed:
        limits: [0, 1000]
        target: {{to: fan.duty, min_set: 200, max_set: 500, curve: [[0, 0], [1000, 1]]}}
"""


def device(port: "multiprocessing.Queue[int]") -> None:
    """A Modbus TCP device with a few holding registers."""
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    async def main() -> None:
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        registers = [SimData(0, values=[0] * 16, datatype=DataType.REGISTERS)]
        simulated = SimDevice(id=1, simdata=(bits, bits, registers, registers))
        server = ModbusTcpServer(simulated, address=("127.0.0.1", 0))
        await server.listen()
        port.put(server.transport.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


def bare_peer(url: str, port: int, database: str | None = None) -> None:
    """For each frame: a register written with pymodbus, with a `database` a synced commit, the frame sent back."""
    connection = sqlite3.connect(database or ":memory:", isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (k PRIMARY KEY, v);")
    from pymodbus.client import AsyncModbusTcpClient

    async def main() -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        async with connect(url, subprotocols=["ocpp2.0.1"], proxy=None) as socket:  # type: ignore[list-item]
            async for frame in socket:
                await client.write_register(0, 300, device_id=1)
                if database is not None:
                    connection.execute("INSERT OR REPLACE INTO t VALUES (1, ?)", (frame,))
                await socket.send(frame)

    asyncio.run(main())


class Line:
    """The CSMS's end: whoever connects is asked, in turn."""

    def __init__(self) -> None:
        self.sockets: dict[str, ServerConnection] = {}
        self.answers: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        name = socket.request.path.rpartition("/")[2]
        self.sockets[name] = socket
        with contextlib.suppress(ConnectionClosed):
            await self._hear(socket, name)

    async def _hear(self, socket: ServerConnection, name: str) -> None:
        async for text in socket:
            assert isinstance(text, str)
            frame = json.loads(text)
            if name == "STATION" and frame[0] == 2:
                now = "2026-01-01T00:00:00Z"
                boot = {"currentTime": now, "interval": 3600, "status": "Accepted"}
                replies = {"BootNotification": boot, "Heartbeat": {"currentTime": now}}
                await socket.send(json.dumps([3, frame[1], replies.get(frame[2], {})]))
            else:
                self.answers.put_nowait(text)

    async def ask(self, name: str, number: int) -> float:
        """Seconds from the request to the answer."""
        data = {
            "component": {"name": "AirCoolingSystem"},
            "variable": {"name": "FanSpeed"},
            "attributeType": "Target",
            "attributeValue": str(200 + number % 300),
        }
        frame = json.dumps([2, f"{name}-{number}", "SetVariables", {"setVariableData": [data]}])
        started = time.perf_counter()
        await self.sockets[name].send(frame)
        answer = await asyncio.wait_for(self.answers.get(), 10)
        taken = time.perf_counter() - started
        if name == "STATION" and '"Accepted"' not in answer:
            raise RuntimeError(answer)
        return taken


async def main() -> int:
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    fan = multiprocessing.Process(target=device, args=(ports,), daemon=True)
    fan.start()
    port = ports.get(timeout=20)
    line = Line()
    async with serve(line.serve, "127.0.0.1", 0, subprotocols=["ocpp2.0.1"]) as server:  # type: ignore[list-item]
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with tempfile.TemporaryDirectory() as folder:
            board, state, settings = (Path(folder, name) for name in ("board.yaml", "state", "setup.json"))
            board.write_text(BOARD.format(port=port))
            settings.write_text(json.dumps({"csms_url": url, "identity": "STATION"}))
            agent = [sys.executable, "-m", "agent"]
            command = [*agent, "setup", "--state-dir", str(state), "--from", str(settings)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            peers = [
                multiprocessing.Process(target=bare_peer, args=(f"{url}/PEER", port), daemon=True),
                multiprocessing.Process(
                    target=bare_peer, args=(f"{url}/DURABLE", port, f"{folder}/peer.db"), daemon=True
                ),
            ]
            for peer in peers:
                peer.start()
            command = [*agent, "run", str(board), "--state-dir", str(state), "--log-level", "warning"]
            station = await asyncio.create_subprocess_exec(*command)
            try:
                while len(line.sockets) < 3:
                    await asyncio.sleep(0.1)
                await asyncio.sleep(2)
                taken: dict[str, list[float]] = {"STATION": [], "PEER": [], "DURABLE": []}
                for number in range(COUNT + WARM_UP):
                    for name, times in taken.items():
                        seconds = await line.ask(name, number)
                        if number >= WARM_UP:
                            times.append(seconds)
            finally:
                station.terminate()
                await station.wait()
                for process in (*peers, fan):
                    process.kill()
    ours, bare, durable = (statistics.median(times) * 1000 for times in taken.values())
    ratio = statistics.median(a / b for a, b in zip(taken["STATION"], taken["PEER"], strict=True))
    fair = statistics.median(a / b for a, b in zip(taken["STATION"], taken["DURABLE"], strict=True))
    print(f"SetVariables Target → register → stored → response: {ours:.2f} ms")
    print(f"bare peer {bare:.2f} ms: median of the ratios {ratio:.2f} (goal ≤ {GOAL})")
    print(f"durable peer {durable:.2f} ms: median of the ratios {fair:.2f}")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
