"""What it costs to share the station's limits among EVSEs, against a plain loop that sums what they draw.

    python tests/performance/bench_sharing.py [--rounds 2000]

Four constraints (three phases in A, the total in W); every other EVSE has a car on one phase. Each round another
capacity and another demand, so that nothing can be remembered; with 4 A for each EVSE not all can charge, and turns
rotate. The loop multiplies and adds the same weights and currents, once. Each case is repeated and the best counts.
Goals: at most 100 µs for 4 EVSEs, 1 ms for 32. Exits 1 if one is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.charging.sharing import Claim, Sharing  # noqa: E402

GOALS = {4: 100.0, 32: 1000.0}
"""µs, by EVSEs."""
REPEATS = 9
VOLTAGE = 230.0
SCARCE = 4.0
"""A for each EVSE where not all can charge."""
PLENTY = 12.0

Round = tuple[list[Claim], list[float]]


def round_of(evses: int, each: float, number: int) -> Round:
    claims = []
    for evse in range(1, evses + 1):
        phases = (1.0, 0.0, 0.0) if evse % 2 else (1.0, 1.0, 1.0)
        weights = (*phases, sum(phases) * VOLTAGE)
        claims.append(Claim(evse, 6.0, 32.0, 8.0 + (evse * 7 + number) % 24, 0, weights))
    amps = evses * (each + number % 3 / 10)
    return claims, [amps, amps, amps, amps * 2 * VOLTAGE]


def sharing(rounds: list[Round]) -> float:
    ours = Sharing(by_priority=False, rotate=60.0)
    started = time.perf_counter()
    for number, (claims, capacities) in enumerate(rounds):
        ours.share(claims, capacities, float(number))
    return time.perf_counter() - started


def summing(rounds: list[Round]) -> float:
    started = time.perf_counter()
    for claims, capacities in rounds:
        sums = [0.0] * len(capacities)
        for claim in claims:
            for k, weight in enumerate(claim.weights):
                sums[k] += weight * claim.demand
    return time.perf_counter() - started


def best(run: Callable[[list[Round]], float], rounds: list[Round]) -> float:
    """µs per round, of the best of several runs."""
    return min(run(rounds) for _ in range(REPEATS)) / len(rounds) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    options = parser.parse_args()
    print(f"{'EVSEs':>5}  {'A each':>6}  {'sharing':>10}  {'loop':>9}  ratio  goal")
    missed = False
    for evses, goal in GOALS.items():
        for each in (PLENTY, SCARCE):
            rounds = [round_of(evses, each, number) for number in range(options.rounds)]
            cost, bare = best(sharing, rounds), best(summing, rounds)
            missed |= cost > goal
            print(f"{evses:>5}  {each:>6g}  {cost:>7.1f} µs  {bare:>6.2f} µs  {cost / bare:>5.1f}  {goal:g} µs")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
