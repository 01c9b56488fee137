"""Whatever happens, the monitors tell what the slow oracle says; aligned ones through any jumps of the clock."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import VariableName
from agent.monitoring import BASES, MonitorType
from agent.monitoring.periods import LATE, boundaries
from tests.monitoring.monitoring_parts import ALIGNED, CABINET, Station, declared, example_model
from tests.monitoring.oracle import SLOTS, Oracle

SEVERITIES = st.integers(2, 5)
STEPS = st.one_of(
    st.tuples(st.just("read"), st.one_of(st.none(), st.integers(0, 12))),
    st.tuples(st.just("read"), st.integers(0, 12)),
    st.tuples(st.just("set"), st.sampled_from(SLOTS), st.integers(1, 11), SEVERITIES, st.none()),
    st.tuples(st.just("set"), st.sampled_from(SLOTS), st.integers(1, 11), SEVERITIES, st.integers(0, 5)),
    st.tuples(st.just("clear"), st.integers(0, 5)),
    st.tuples(st.just("tick"), st.integers(1, 25)),
    st.tuples(st.just("jump"), st.integers(-10_000, 10_000)),
    st.tuples(st.just("level"), SEVERITIES),
    st.tuples(st.just("online"), st.booleans()),
    st.tuples(st.just("queue"), SEVERITIES),
    st.tuples(st.just("base"), st.sampled_from(BASES)),
    st.tuples(st.just("reboot")),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_monitors_tell_what_the_rules_say(steps: list[tuple[Any, ...]]) -> None:
    hard = declared(1, MonitorType.UPPER_THRESHOLD, 9, 2)
    soft = [declared(2, MonitorType.LOWER_THRESHOLD, 4, 3), declared(3, MonitorType.DELTA, 2, 4)]
    station = Station([hard], soft)
    oracle = Oracle({one.id: (one.type.value, Decimal(one.value), one.severity) for one in soft})
    oracle.put(1, "UpperThreshold", Decimal(9), 2, custom=False)
    oracle.base("All")
    station.monitors.queue_up_to(3)
    oracle.queuing = 3
    expected, seen = oracle.ask(), 0
    for step in [("tick", 1), *steps]:
        expected += perform(step, station, oracle)
        told = station.fired if step[0] == "reboot" else station.fired[seen:]
        got = Counter((one.monitor.id, one.trigger.value, one.actual, one.cleared) for one in told if one.monitor)
        assert got == expected, step
        assert {one.id for one in station.monitors.report()} == set(oracle.entries)
        expected, seen = Counter(), len(station.fired)


def perform(step: tuple[Any, ...], station: Station, oracle: Oracle) -> Counter[tuple[Any, ...]]:
    """Do one step on both sides; what the oracle says of it."""
    monitors = station.monitors
    match step:
        case ("read", value):
            station.variable(CABINET, "Temperature").update(value)
            oracle.actual = value
        case ("set", type, value, severity, nth):
            ids = sorted(oracle.entries)
            id = None if nth is None or not ids else ids[nth % len(ids)]
            result = station.set(MonitorType(type), value, severity, id=id)
            if id == 1:
                assert result.status == "Rejected"
            elif not oracle.free(type, severity, id):
                assert result.status == "Duplicate"
            else:
                assert result.id is not None and (result.id == id if id else result.id not in oracle.entries)
                oracle.put(result.id, type, Decimal(value), severity)
        case ("clear", nth):
            id = sorted(oracle.entries)[nth % len(oracle.entries)]
            assert monitors.clear(id) == ("Rejected" if id == 1 else "Accepted")
            if id != 1:
                del oracle.entries[id]
        case ("tick", seconds):
            told: Counter[tuple[Any, ...]] = Counter()
            for _ in range(seconds):
                station.clock.move(1)
                oracle.time += 1
                monitors.step()
                told += oracle.ask(ticked=True)
            return told
        case ("jump", seconds):
            station.clock.wall += timedelta(seconds=seconds)
            monitors.step()
        case ("level", level):
            assert monitors.set_level(level)
            oracle.level = level
        case ("online", online):
            monitors.online(online)
            oracle.online = online
        case ("queue", severity):
            monitors.queue_up_to(severity)
            oracle.queuing = severity
        case ("base", base):
            assert monitors.set_base(base)
            oracle.base(base)
        case _:
            model = example_model()
            model.find(CABINET, VariableName("Temperature")).update(None)
            station.boot(model)
            assert station.troubles == []
            station.monitors.queue_up_to(oracle.queuing)
            oracle.reboot()
            oracle.online = False
    return oracle.ask()


JUMPS = st.one_of(st.just(0.0), st.floats(-5, 5), st.floats(-5000, 5000), st.floats(-1e6, 1e6))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4000), st.lists(st.tuples(JUMPS, st.floats(0.1, 40)), max_size=60))
def test_aligned_through_any_jumps(interval: int, moves: list[tuple[float, float]]) -> None:
    station = Station()
    station.put(ALIGNED, interval)
    late = timedelta(seconds=min(LATE, interval / 2))
    told: list[datetime] = []
    lowest = station.clock.wall
    """How far the clock went back since the last event."""
    for jump, seconds in moves:
        station.clock.wall += timedelta(seconds=jump)
        lowest = min(lowest, station.clock.wall)
        for move in (0.0, seconds):
            before = station.clock.wall
            station.clock.move(move)
            seen = len(station.fired)
            station.monitors.step()
            now = station.clock.wall
            boundary, following = boundaries(now, interval)
            new = station.fired[seen:]
            assert len(new) <= 1
            if new:
                assert new[0].time == now and now - boundary <= late
                assert not told or boundary > told[-1] or lowest < told[-1] - late
                told.append(boundary)
                lowest = now
            elif move and before < boundary and now - boundary <= late:
                # Passed without a word: only when it was told before, or might have been, before the clock went back.
                assert station.clock.wall != lowest and any(one >= boundary for one in told)
            due = station.monitors.due()
            assert (
                due is not None
                and due - station.clock.time <= (following - now).total_seconds() + late.total_seconds() + interval
            )
