"""The speed of a fan, from the times of its tacho's edges; no I/O.

The rule: RPM = 60 / (pulses per turn × period), in whole RPM. The period is the median of what half the edges of the
last 2 s took, edge by edge, so that neither a late edge nor a lost one moves it, and the number of edges in a window,
which is whole, does not show. An edge every 2 s is the slowest that counts (15 RPM with two pulses a turn); without
an edge for 2 s the fan stands still: 0 RPM. Until the first two edges, or those 2 s, nothing is known. Edges that
follow each other without any rhythm are noise, and no speed.
"""

import threading
from collections import deque
from itertools import pairwise
from statistics import median

WINDOW = 2.0
"""Seconds of edges that count, and seconds without one after which the fan stands still."""

UNEVEN = 0.6
"""A period shorter than this share of its neighbour is uneven: a rotor has inertia, and uneven marks differ less."""

NOISE = 0.25
"""The share of uneven neighbours from which on edges are noise; among random pulses it is 0.75."""

_ENOUGH = 16
"""Edges from which on their rhythm is judged."""

_MAX_EDGES = 1024
"""Edges kept; more than this in a window only shortens it."""


class NoRhythm(Exception):
    """The edges are those of no rotor."""


class Tachometer:
    """Edges in, from any thread; RPM out."""

    def __init__(self, pulses: int, now: float) -> None:
        """`pulses` a turn; `now` in seconds of the clock that `edge` and `rpm` are given."""
        self._pulses = pulses
        self._since = now
        self._last: float | None = None
        self._edges: deque[float] = deque(maxlen=_MAX_EDGES)
        self._lock = threading.Lock()

    def edge(self, ticks: float, now: float) -> None:
        """An edge, at `ticks` seconds of the pin's own clock (the kernel's, on real pins), seen at `now`."""
        with self._lock:
            if self._last is not None and now - self._last > WINDOW:
                self._edges.clear()  # it stood still: the pause is no period
            self._last = now
            self._edges.append(ticks)
            while len(self._edges) > 2 and self._edges[0] < ticks - WINDOW:
                self._edges.popleft()

    def rpm(self, now: float) -> int | None:
        """The speed at `now`, in whole RPM; None while nothing is known. Raises NoRhythm for noise."""
        with self._lock:
            edges, last = list(self._edges), self._last
        if now - (self._since if last is None else last) >= WINDOW:
            return 0
        if len(edges) < 2:
            return None
        if len(edges) >= _ENOUGH and _unevenness(edges) > NOISE:
            raise NoRhythm("its edges have no rhythm: noise on the tacho's line")
        stride = len(edges) // 2
        period = median(later - earlier for earlier, later in zip(edges, edges[stride:], strict=False)) / stride
        return round(60 / (self._pulses * period)) if period > 0 else None


def _unevenness(edges: list[float]) -> float:
    periods = [later - earlier for earlier, later in pairwise(edges)]
    uneven = sum(min(pair) < UNEVEN * max(pair) for pair in pairwise(periods))
    return uneven / (len(periods) - 1)
