"""What an EMS may expect of the plugs: the limits that it had acknowledged, and when, against what is there."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

VOLTS = 230.0
SLACK = 1.01
"""The bench's grid has not its nominal voltage all the time: by less than this."""
RESOLUTION = 0.05
"""A that a plug may be above a limit: a register counts tenths."""
KEPT = 20.0
"""Seconds for which limits that hold no longer are remembered."""


class Order(NamedTuple):
    """A per phase, or W in all."""

    value: float
    unit: str


class Plug(NamedTuple):
    """A per phase that a car is offered, or draws, on so many phases."""

    evse: int
    amperes: float
    phases: int


@dataclass
class _Held:
    """Orders by (master, scope). They may hold from when they were `sent` until the next ones are acknowledged."""

    sent: float
    acknowledged: float
    orders: dict[tuple[str, int], Order]


class Ledger:
    """The limits of all masters over time (monotonic s)."""

    def __init__(self) -> None:
        self._held: deque[_Held] = deque([_Held(0.0, 0.0, {})])

    def write(self, master: str, scope: int, order: Order | None, sent: float, acknowledged: float) -> None:
        """A limit, or a release, was acknowledged. Of masters that write at once, in the order of the answers."""
        orders = dict(self._held[-1].orders)
        if order is None:
            orders.pop((master, scope), None)
        else:
            orders[master, scope] = order
        self._add(_Held(sent, acknowledged, orders))

    def failsafe(self, watts: float, sent: float, acknowledged: float) -> None:
        """Every master is silent for too long at that time, which may be in the future."""
        self._add(_Held(sent, acknowledged, {("", 0): Order(watts, "W")}))

    def _add(self, held: _Held) -> None:
        if ("", 0) in held.orders and ("", 0) in self._held[-1].orders:
            del held.orders["", 0]  # who speaks again ends the failsafe
        self._held.append(held)
        while len(self._held) > 1 and self._held[1].acknowledged < held.acknowledged - KEPT:
            self._held.popleft()

    def broken(self, plugs: Sequence[Plug], now: float, grace: float) -> str | None:
        """Which limit is exceeded, where one is in each state that there was within the last `grace` s; else None."""
        ends = [*(one.acknowledged for one in islice(self._held, 1, None)), now + 1]
        found = None
        for held, end in zip(reversed(self._held), reversed(ends), strict=True):
            if end < now - grace:
                break
            if held.sent <= now:
                wrong = _exceeded(held.orders, plugs)
                if wrong is None:
                    return None
                found = found or wrong
        return found


def _exceeded(orders: dict[tuple[str, int], Order], plugs: Sequence[Plug]) -> str | None:
    for (_, scope), order in orders.items():
        within = [plug for plug in plugs if scope in (0, plug.evse)]
        if order.unit == "A":
            there, slack = sum(plug.amperes for plug in within), RESOLUTION
        else:
            there, slack = sum(plug.amperes * plug.phases * VOLTS for plug in within), RESOLUTION * 3 * VOLTS
        if there > order.value * SLACK + slack:
            place = f"EVSE {scope}" if scope else "the station"
            return f"{there:.1f} {order.unit} at {place}, limited to {order.value:.1f} {order.unit}"
    return None
