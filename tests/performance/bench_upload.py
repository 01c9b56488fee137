"""What memory the upload of a large log takes: `python tests/performance/bench_upload.py`.

A bundle of 50 MB (compressed) goes by HTTP to a server in another process. Goal: the process that uploads grows by
5 MB at most. Its loop is asked to turn each 10 ms meanwhile, as polling and the line to the CSMS want it to.
"""

import asyncio
import base64
import contextlib
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.clock import SystemClock
from agent.diagnostics.bundle import Bundle
from agent.diagnostics.ends import Way
from agent.diagnostics.job import LogRequest, LogUploads
from agent.diagnostics.rings import LastLines, LastMessages
from agent.model import DeviceModel
from agent.store import Store

SIZE = 50 * 2**20
LINE = 1500

SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as one:
    print(one.getsockname()[1], flush=True)
    while True:
        line, _ = one.accept()
        with line:
            head = b""
            while b"\\r\\n\\r\\n" not in head:
                head += line.recv(4096)
            line.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
            size, end = 0, b""
            while not end.endswith(b"0\\r\\n\\r\\n"):
                data = line.recv(1 << 16)
                size += len(data)
                end = (end + data)[-5:]
            line.sendall(b"HTTP/1.1 201 Created\\r\\nContent-Length: 0\\r\\n\\r\\n")
            print(size, flush=True)
"""


def lines(size: int):
    """As many lines as make `size` bytes that zlib cannot make smaller than they were before base64."""
    now = datetime.now(UTC)
    for _ in range(size // (LINE * 3 // 4) + 1):
        yield now, base64.b64encode(os.urandom(LINE * 3 // 4)).decode()


def peak() -> float:
    """Megabytes that were resident at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(folder: Path, port: int) -> tuple[float, float, list[float]]:
    clock, told, size = SystemClock(), asyncio.Queue[str](), 0

    def events():
        return lines(size)

    bundle = Bundle(
        DeviceModel(), clock, {}, LastMessages(clock), LastLines(clock.now), dated={"events.jsonl": events}
    )
    with contextlib.closing(Store(folder)) as store:
        logs = {"DiagnosticsLog": bundle}
        uploads = LogUploads(store, clock, logs, Way, lambda status, _: told.put_nowait(status), "bench")
        run = asyncio.create_task(uploads.run())

        async def upload(number: int) -> None:
            answer = await uploads.request(
                LogRequest(number, "DiagnosticsLog", f"http://127.0.0.1:{port}/", retries=0)
            )
            assert answer.then is not None
            answer.then()
            while (status := await told.get()) == "Uploading":
                pass
            assert status == "Uploaded", status

        size = 2 * 2**20
        await upload(1)  # the modules are there, and what the allocator keeps
        before, began, late = peak(), time.perf_counter(), list[float]()

        async def turn() -> None:
            while True:
                due = time.perf_counter() + 0.01
                await asyncio.sleep(0.01)
                late.append(time.perf_counter() - due)

        turning = asyncio.create_task(turn())
        size = SIZE
        await upload(2)
        turning.cancel()
        run.cancel()
        await asyncio.gather(turning, run, return_exceptions=True)
    return peak() - before, time.perf_counter() - began, late


def main() -> None:
    import tempfile

    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            with tempfile.TemporaryDirectory() as folder:
                grown, seconds, late = asyncio.run(measure(Path(folder), port))
            server.stdout.readline()
            sent = int(server.stdout.readline())
        finally:
            server.kill()
    late.sort()
    print(f"{sent / 2**20:.1f} MB uploaded in {seconds:.1f} s; memory + {grown:.1f} MB (goal 5)")
    print(f"the loop turned {late[len(late) // 2] * 1e3:.2f} ms late at the median, {late[-1] * 1e3:.0f} ms at most")
    if sent < SIZE or grown > 5:
        raise SystemExit("the goal is missed")


if __name__ == "__main__":
    main()
