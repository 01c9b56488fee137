"""How fast a FullInventory is built, and what memory it takes: `python tests/performance/bench_reports.py`.

Ours: every NotifyReport payload of a model, as it goes on the wire. The `ocpp` package: the same content as its data
classes, serialized, and validated against the official schemas as that package does with each message it sends.
Goals: ten times faster; 8 MB of memory at most for 10,000 variables.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.model import Attribute, Characteristics, Component, DataType, DeviceModel, Mutability, Variable
from agent.ocpp.reports import payloads

NOW = datetime(2026, 1, 31, tzinfo=UTC)
SAMPLE = 10
"""Messages that the `ocpp` package is timed with; its time grows linearly."""


def model(count: int) -> DeviceModel:
    """A station with `count` variables, ten to a component, a tenth of them with a Target and limits."""
    result = DeviceModel()
    for number in range(count):
        component = Component("Sensor", f"rack-{number // 10}", 1 + number // 10 % 4, 1 + number // 10 % 2)
        fan = number % 10 == 0
        kind = (DataType.DECIMAL, DataType.INTEGER, DataType.OPTION_LIST, DataType.BOOLEAN)[0 if fan else number % 4]
        characteristics = Characteristics(
            kind,
            "RPM" if fan else None,
            0.0 if fan else None,
            1000.0 if fan else None,
            ("Idle", "Running", "Faulted") if kind is DataType.OPTION_LIST else (),
        )
        value = {DataType.DECIMAL: number + 0.25, DataType.INTEGER: number, DataType.BOOLEAN: True}.get(kind, "Idle")
        more = {
            name: Attribute(500.0, Mutability.READ_WRITE, persistent=True)
            for name in ("target", "min_set", "max_set")
            if fan
        }
        result.add(Variable(component, f"Value{number % 10}", characteristics, Attribute(value), **more))
    return result


def ours(station: DeviceModel) -> tuple[float, int, int]:
    """Seconds, messages and bytes of one report."""
    began = time.perf_counter()
    messages = size = 0
    for payload in payloads(station.variables(), 1, NOW, 2500):
        messages += 1
        size += len(payload)
    return time.perf_counter() - began, messages, size


def theirs(station: DeviceModel) -> float:
    """Seconds that the `ocpp` package would take for all messages, from a sample of them."""
    from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
    from ocpp.messages import Call, validate_payload
    from ocpp.v201 import call, datatypes

    every = [json.loads(payload) for payload in payloads(station.variables(), 1, NOW, 2500)]
    sample = every[:SAMPLE]

    def evse(data: dict) -> datatypes.EVSEType:
        return datatypes.EVSEType(data["id"], data.get("connectorId"))

    def message(data: dict) -> call.NotifyReport:
        items = [
            datatypes.ReportDataType(
                component=datatypes.ComponentType(
                    item["component"]["name"], item["component"]["instance"], evse(item["component"]["evse"])
                ),
                variable=datatypes.VariableType(item["variable"]["name"]),
                variable_attribute=[
                    datatypes.VariableAttributeType(
                        type=one["type"],
                        value=one["value"],
                        mutability=one["mutability"],
                        persistent=one.get("persistent"),
                    )
                    for one in item["variableAttribute"]
                ],
                variable_characteristics=datatypes.VariableCharacteristicsType(
                    data_type=item["variableCharacteristics"]["dataType"],
                    supports_monitoring=item["variableCharacteristics"]["supportsMonitoring"],
                    unit=item["variableCharacteristics"].get("unit"),
                    min_limit=item["variableCharacteristics"].get("minLimit"),
                    max_limit=item["variableCharacteristics"].get("maxLimit"),
                    values_list=item["variableCharacteristics"].get("valuesList"),
                ),
            )
            for item in data["reportData"]
        ]
        return call.NotifyReport(data["requestId"], data["generatedAt"], data["seqNo"], items, data["tbc"])

    async def send(data: dict) -> dict:
        # As ocpp.charge_point.ChargePoint.call does.
        payload = remove_nones(snake_to_camel_case(serialize_as_dict(message(data))))
        frame = Call("1", "NotifyReport", payload)
        await validate_payload(frame, "2.0.1")
        return json.loads(frame.to_json())[3]

    async def run() -> float:
        warm = await send(sample[0])
        assert warm == sample[0]
        began = time.perf_counter()
        for data in sample:
            await send(data)
        return time.perf_counter() - began

    return asyncio.run(run()) * len(every) / len(sample)


def memory(count: int) -> None:
    """Print the peak of Python's memory while a report is built, and of the process, above what they were before."""
    station = model(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    for _ in payloads(station.variables(), 1, NOW, 2500):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{peak / 2**20:.2f} {(after - before) / 1024:.2f}")


def main() -> int:
    missed = 0
    for count in (2_000, 10_000):
        station = model(count)
        seconds, messages, size = min(ours(station) for _ in range(5))
        other = theirs(station)
        output = subprocess.run([sys.executable, __file__, str(count)], check=True, capture_output=True, text=True)
        peak, process = map(float, output.stdout.split())
        ratio = other / seconds
        missed += ratio < 10 or max(peak, process) > 8
        print(
            f"{count:6} variables: {messages} messages, {size / 1e6:.2f} MB; ours {seconds * 1e3:.1f} ms, "
            f"ocpp package {other * 1e3:.0f} ms ({ratio:.0f} times); memory +{peak:.2f} MB traced, "
            f"+{process:.2f} MB of the process"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        memory(int(sys.argv[1]))
    else:
        sys.exit(main())
