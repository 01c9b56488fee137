"""Water into connected vessels: equal levels, as high as linear constraints let them be (max-min fair)."""

from collections.abc import Sequence

EPSILON = 1e-7
"""A or W: less than this is no room, and neither is NaN."""


def fits(weights: Sequence[float], amount: float, room: Sequence[float]) -> bool:
    """Whether so many A more stay within the room of every constraint."""
    for k, weight in enumerate(weights):  # noqa: SIM110 - all() costs twice as much
        if weight > 0 and not weight * amount <= room[k] + EPSILON:
            return False
    return True


def take(weights: Sequence[float], amount: float, room: list[float]) -> None:
    for k, weight in enumerate(weights):
        room[k] -= weight * amount


def _full(weights: Sequence[float], room: Sequence[float]) -> bool:
    for k, weight in enumerate(weights):  # noqa: SIM110 - as above
        if weight > 0 and not room[k] > EPSILON:
            return True
    return False


def fill(levels: list[float], tops: Sequence[float], weights: Sequence[Sequence[float]], room: list[float]) -> None:
    """Raises `levels` (A) in place, the lowest first and then together, each until its top or until a constraint that
    it has a weight in has no room left. `room` is what the constraints have left beyond the levels; it is used up.
    """
    pending = sorted((i for i, level in enumerate(levels) if level < tops[i]), key=lambda i: -levels[i])
    rising: list[int] = []
    slopes, members = [0.0] * len(room), [0] * len(room)
    water = 0.0
    while pending or rising:
        if not rising:
            water = levels[pending[-1]]
        while pending and levels[pending[-1]] <= water:
            i = pending.pop()
            if not _full(weights[i], room):
                rising.append(i)
                for k, weight in enumerate(weights[i]):
                    if weight > 0:
                        slopes[k] += weight
                        members[k] += 1
        if not rising:
            continue
        mark = min([tops[i] for i in rising])
        if pending:
            mark = min(mark, levels[pending[-1]])
        for k, slope in enumerate(slopes):
            if members[k]:
                mark = min(mark, water + max(0.0, room[k]) / slope)
        for k, slope in enumerate(slopes):
            if members[k]:
                room[k] -= slope * (mark - water)
        water = mark
        still = []
        for i in rising:
            mine = weights[i]
            if tops[i] > water and not _full(mine, room):
                still.append(i)
                continue
            levels[i] = water
            for k, weight in enumerate(mine):
                if weight > 0:
                    slopes[k] -= weight
                    members[k] -= 1
        rising = still
