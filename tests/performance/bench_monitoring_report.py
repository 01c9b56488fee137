"""How a GetMonitoringReport of 10,000 monitors streams: `python tests/performance/bench_monitoring_report.py`.

Every NotifyMonitoringReport payload, as it goes on the wire, of one monitor on each of the variables of
bench_reports. Goals: like a report of as many variables, 8 MB of memory at most and no longer than that takes; the
first message at once, so that nothing else waits while the report is put together.
"""

import json
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.clock import SystemClock
from agent.model import DeviceModel
from agent.monitoring import MonitorRequest, Monitors, MonitorType
from agent.ocpp.monitoring_reports import payloads
from tests.performance.bench_reports import NOW, model
from tests.performance.bench_reports import ours as report_of_variables

COUNT = 10_000


def monitored(station: DeviceModel) -> Monitors:
    """A Delta on each variable of `station`."""
    monitors = Monitors(station, SystemClock(), fire=lambda _: None, change=lambda _: None)
    monitors.restore({})
    for variable in list(station.variables()):
        result = monitors.set(MonitorRequest(variable.component, variable.name, MonitorType.DELTA, 1, 5))
        assert result.accepted
    return monitors


def stream(monitors: Monitors) -> tuple[float, float, int, int]:
    """Seconds of one report, those of the slowest message, messages, bytes."""
    began = last = time.perf_counter()
    longest = 0.0
    messages = size = 0
    for payload in payloads(monitors.report(), 1, NOW):
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        messages += 1
        size += len(payload)
    return last - began, longest, messages, size


def memory() -> None:
    """Print the peak of Python's memory while a report is built, and of the process, above what they were before."""
    monitors = monitored(model(COUNT))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    for _ in payloads(monitors.report(), 1, NOW):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{peak / 2**20:.2f} {(after - before) / 1024:.2f}")


def main() -> int:
    station = model(COUNT)
    variables = min(report_of_variables(station)[0] for _ in range(5))
    monitors = monitored(station)
    seconds, longest, messages, size = min(stream(monitors) for _ in range(5))
    told = [json.loads(one) for one in payloads(monitors.report(), 1, NOW)]
    complete = sum(len(one["variableMonitoring"]) for part in told for one in part["monitor"]) == COUNT
    output = subprocess.run([sys.executable, __file__, "memory"], check=True, capture_output=True, text=True)
    peak, process = map(float, output.stdout.split())
    print(
        f"{COUNT} monitors: {messages} messages, {size / 1e6:.2f} MB; {seconds * 1e3:.1f} ms, the slowest message "
        f"{longest * 1e3:.2f} ms; the report of as many variables {variables * 1e3:.1f} ms; memory +{peak:.2f} MB "
        f"traced, +{process:.2f} MB of the process"
    )
    return 0 if complete and seconds <= variables and max(peak, process) <= 8 else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        memory()
    else:
        sys.exit(main())
