"""What a reading costs on its way into the Device Model while no monitor is set.

    python tests/performance/bench_model.py [--updates 200000]

The way is the station's own: a driver's sink, (device, point) → bindings → Variable.update. Each run is repeated and
the best counts. A bare dict assignment of the same readings is measured in the same run, for comparison with other
computers. Goal: at most 10 µs a reading, and no more than twice as much with 10,000 variables as with 100.
Exits 1 if the goal is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.board.wiring import ReadingBinding  # noqa: E402
from agent.clock import SystemClock  # noqa: E402
from agent.control import Readings  # noqa: E402
from agent.model import Characteristics, Component, DataType, DeviceModel, Problems, Variable  # noqa: E402
from drivers import Reading  # noqa: E402

SIZES = (100, 1_000, 10_000)
REPEATS = 5
GOAL = 10.0
"""µs per reading."""
GROWTH = 2.0
POINTS_PER_DEVICE = 10

Told = tuple[str, str, Reading]


def station(variables: int) -> tuple[Readings, list[tuple[str, str]]]:
    """Readings into a model of so many measured variables, every other one with a change of units."""
    model = DeviceModel()
    bindings: dict[tuple[str, str], tuple[ReadingBinding, ...]] = {}
    for number in range(variables):
        variable = Variable(
            Component("Meter", str(number // POINTS_PER_DEVICE)),
            f"Value{number % POINTS_PER_DEVICE}",
            Characteristics(DataType.DECIMAL, unit="W", max_limit=1000),
            max_age=3.0,
        )
        model.add(variable)
        source = (f"meter-{number // POINTS_PER_DEVICE}", f"value_{number % POINTS_PER_DEVICE}")
        bindings[source] = (ReadingBinding(variable, factor=1000.0 if number % 2 else 1.0),)
    problems = Problems(model, lambda variable, cause, text: None)
    return Readings(bindings, problems, SystemClock()), list(bindings)


def best(told: list[Told], rounds: int, run: Callable[[list[Told], int], float]) -> float:
    """µs per reading, of the best of several runs."""
    return min(run(told, rounds) for _ in range(REPEATS)) / (rounds * len(told)) * 1e6


def into_a_dict(told: list[Told], rounds: int) -> float:
    values: dict[tuple[str, str], Reading] = {}
    started = time.perf_counter()
    for _ in range(rounds):
        for device, point, reading in told:
            values[(device, point)] = reading
    return time.perf_counter() - started


def into(readings: Readings) -> Callable[[list[Told], int], float]:
    def run(told: list[Told], rounds: int) -> float:
        take = readings.take
        started = time.perf_counter()
        for _ in range(rounds):
            for device, point, reading in told:
                take(device, point, reading)
        return time.perf_counter() - started

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=200_000, help="readings in each run")
    options = parser.parse_args()
    print(f"{'variables':>9}  {'model':>9}  {'dict':>9}  ratio")
    costs = []
    for size in SIZES:
        readings, sources = station(size)
        told = [(*source, Reading(230.5 + number, "W", float(number))) for number, source in enumerate(sources)]
        rounds = max(1, options.updates // size)
        cost, bare = best(told, rounds, into(readings)), best(told, rounds, into_a_dict)
        costs.append(cost)
        print(f"{size:>9}  {cost:>6.3f} µs  {bare:>6.3f} µs  {cost / bare:>5.1f}")
    growth = costs[-1] / costs[0]
    print(f"growth from {SIZES[0]} to {SIZES[-1]} variables: {growth:.2f} (goal: at most {GROWTH:g})")
    print(f"dearest reading: {max(costs):.3f} µs (goal: at most {GOAL:g})")
    return 0 if max(costs) <= GOAL and growth <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
