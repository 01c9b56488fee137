"""Start-up, memory and idle CPU of the station on bench-ac.

    python tests/performance/bench_start.py

Start: from the start of the process until BootNotification arrives at the CSMS, against a process that only imports
the packages the station uses, in turn (goal ≤ 1.5 ×). All modules are compiled beforehand, as an installation has
them. Then, after 20 s of settling, resident memory (≤ 60 MB) and
the share of one core over 30 s (≤ 3 %).
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.demo.rig import PASSWORD, BenchRig, running_bench
from drivers.bench.csms import Csms

RUNS = 5

LISTING = r"""
import sys
before = set(sys.modules)
import agent.station, drivers.modbus, drivers.p1, drivers.gpio, drivers.gpio_link, drivers.sysfs
own = ("agent", "drivers", "boards")
names = [m for m in sys.modules if m not in before and m.partition(".")[0] not in own]
print(f"import contextlib\nfor n in {names}:\n    with contextlib.suppress(ImportError):\n        __import__(n)")
"""
"""Prints the import of every module, not our own, that the station of bench-ac loads: the packages alone."""


def import_seconds(packages: str) -> float:
    """How long a fresh process needs to import `packages` alone."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", packages], check=True)
    return time.monotonic() - started


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS")


async def boot_seconds(rig: BenchRig) -> float:
    """How long the station needs from its start until its BootNotification is at the CSMS."""
    await rig.bench("POST", "/bench/power", {"state": "off"})
    since = rig.mark()
    started = time.monotonic()
    await rig.bench("POST", "/bench/power", {"state": "on"})
    await rig.heard("BootNotification", lambda _: True, since, 30)
    return time.monotonic() - started


def compiled(folder: Path) -> None:
    """Keep bytecode in `folder` for this process and its children, ours too, whatever the environment says."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    subprocess.run(
        [sys.executable, "-c", f"{LISTING}\nimport agent.cli, agent.ocpp.handlers"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        compiled(Path(folder))
        return await measure()


async def measure() -> int:
    packages = subprocess.run([sys.executable, "-c", LISTING], check=True, capture_output=True, text=True).stdout
    async with Csms(password=PASSWORD) as csms:
        with tempfile.TemporaryDirectory() as folder:
            async with running_bench(csms, Path(folder)) as rig:
                await rig.heard("BootNotification", lambda _: True, 0, 30)
                ratios, boots, imports = [], [], []
                for _ in range(RUNS):
                    imports.append(import_seconds(packages))
                    boots.append(await boot_seconds(rig))
                    ratios.append(boots[-1] / imports[-1])
                ratio = statistics.median(ratios)
                print(
                    f"start until BootNotification {statistics.median(boots):.2f} s, "
                    f"imports alone {statistics.median(imports):.2f} s: {ratio:.2f} × (goal ≤ 1.5)"
                )
                await asyncio.sleep(20)
                pid = (await rig.bench("GET", "/bench"))["agent"]["pid"]
                before, started = cpu_seconds(pid), time.monotonic()
                await asyncio.sleep(30)
                share = (cpu_seconds(pid) - before) / (time.monotonic() - started)
                memory = resident_megabytes(pid)
                print(f"idle on bench-ac: {memory:.1f} MB resident (goal ≤ 60), {share:.1%} of a core (goal ≤ 3 %)")
    return 0 if ratio <= 1.5 and memory <= 60 and share <= 0.03 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
