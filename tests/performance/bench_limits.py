"""What charging schedules cost: a composite schedule of a day, and the limit that holds now.

    python tests/performance/bench_limits.py [--profiles 100] [--periods 24]

A quarter of the profiles are ChargingStationMaxProfiles, the rest TxDefaultProfiles and TxProfiles of two EVSEs.
`covered` ones repeat each day without a gap; of the `layered` ones none covers the day, so that all are looked into.
The bare peer sorts as many changes of limits and walks over them once, with no rule of OCPP. The limit now is looked
up while it holds, beside a bare dict, and with a clock that jumps to where another one holds.
Goals: a composite schedule in at most 5 ms, a limit in at most 20 µs. Exits 1 if one is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.charging.book import Book  # noqa: E402
from agent.charging.composite import Use, composite, limit_at  # noqa: E402
from agent.charging.profiles import STATION_MAX, TX, TX_DEFAULT, Period, Profile, Schedule  # noqa: E402

GOAL_COMPOSITE = 5.0
"""ms."""
GOAL_LIMIT = 20.0
"""µs."""
DAY = 86_400
REPEATS = 7
START = datetime(2026, 3, 28, 12, 0, 0, 250_000, tzinfo=UTC)
USES = {evse: Use(32.0, f"tx-{evse}", START - timedelta(seconds=900)) for evse in (1, 2)}


def schedule(number: int, periods: int, step: int, duration: int | None) -> Schedule:
    """Limits that differ from one to the next, every `step` s."""
    told = tuple(Period(at * step, 6.0 + (at * 7 + number) % 26) for at in range(periods))
    return Schedule(1, "A", told, START - timedelta(seconds=number * 61), duration)


def filled(profiles: int, periods: int, covered: bool) -> Book:
    book = Book(
        {1: 3, 2: 3}, voltage=230.0, max_stack=profiles, max_periods=periods, max_profiles=profiles, units=("A", "W")
    )
    for number in range(profiles):
        purpose, evse = ((STATION_MAX, 0), (TX_DEFAULT, 0), (TX, 1), (TX, 2))[number % 4]
        repeats = covered or number % 2
        if covered:
            made = schedule(number, periods, DAY // periods, None)
        else:
            made = schedule(number * 13, periods, 300, 2400 + number * 20)
        profile = Profile(
            number + 1,
            purpose,
            "Recurring" if repeats else "Absolute",
            number,
            (made,),
            "Daily" if repeats else None,
            transaction=f"tx-{evse}" if purpose == TX else None,
        )
        refused = book.check(evse, profile, transactions={1: "tx-1", 2: "tx-2"})
        if refused is not None:
            sys.exit(refused.info)
        book.install(evse, profile)
    return book


def best(run: Callable[[], object], rounds: int) -> float:
    """Seconds of one, of the best of several runs."""

    def once() -> float:
        started = time.perf_counter()
        for _ in range(rounds):
            run()
        return (time.perf_counter() - started) / rounds

    return min(once() for _ in range(REPEATS))


def bare_walk(changes: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The changes, sorted and walked over once."""
    walked: list[tuple[int, float]] = []
    lowest = 32.0
    for second, limit in sorted(changes):
        lowest = min(32.0, limit)
        if not walked or walked[-1][1] != lowest:
            walked.append((second, lowest))
    return walked


def changes_of(book: Book) -> list[tuple[int, float]]:
    """Every period of every profile, as seconds of the day."""
    return [
        (hash((one.id, period.start)) % DAY, period.limit)
        for _, one in book.find()
        for period in one.schedules[0].periods
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=100)
    parser.add_argument("--periods", type=int, default=24, help="of each profile")
    options = parser.parse_args()
    good = True
    for name, covered in (("covered", True), ("layered", False)):
        book = filled(options.profiles, options.periods, covered)
        changes = changes_of(book)
        bare = best(lambda: bare_walk(changes), 50) * 1e3  # noqa: B023
        for scope in (1, 0):
            cost = best(lambda: composite(book, scope, START, DAY, "A", USES), 5) * 1e3  # noqa: B023
            found = composite(book, scope, START, DAY, "A", USES)
            print(
                f"composite of 24 h, {options.profiles} {name} profiles, {'EVSE 1 ' if scope else 'station'}: "
                f"{cost:.2f} ms, {len(found.periods)} periods; bare walk {bare:.2f} ms: {cost / bare:.1f} ×"
            )
            good &= cost <= GOAL_COMPOSITE
    for name, covered in (("covered", True), ("layered", False)):
        book = filled(options.profiles, options.periods, covered)
        known = {1: limit_at(book, 1, START, USES[1])}
        bare = best(lambda: known.get(1), 20_000) * 1e6  # noqa: B023
        holds = best(lambda: limit_at(book, 1, START, USES[1]), 20_000) * 1e6  # noqa: B023
        jumps = [START + timedelta(seconds=(number * 7919) % DAY) for number in range(500)]

        def jump() -> None:
            for when in jumps:  # noqa: B023
                limit_at(book, 1, when, USES[1])  # noqa: B023

        lost = best(jump, 2) / len(jumps) * 1e6
        print(
            f"limit now, {options.profiles} {name} profiles: {holds:.2f} µs while it holds ({holds / bare:.0f} × a "
            f"dict's), {lost:.2f} µs when the clock jumps"
        )
        good &= holds <= GOAL_LIMIT and lost <= GOAL_LIMIT
    print(f"goals: composite ≤ {GOAL_COMPOSITE:g} ms, limit ≤ {GOAL_LIMIT:g} µs: {'met' if good else 'missed'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
