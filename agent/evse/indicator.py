"""What a status indicator shows of a connector or an EVSE, as a literal table; nothing here switches a lamp.

Colours are what part 2's appendices call `Color`: RRGGBB in hexadecimal. Each part is all or nothing, so that three
lamps can show every one of them.
"""

from dataclasses import dataclass

from agent.evse.connector import Connector
from agent.evse.evse import Evse

RED, GREEN, BLUE, CYAN, MAGENTA, YELLOW, WHITE = "FF0000", "00FF00", "0000FF", "00FFFF", "FF00FF", "FFFF00", "FFFFFF"


@dataclass(frozen=True, slots=True)
class Sign:
    """What is shown while all of `facts` hold and no row above fits."""

    name: str
    facts: tuple[str, ...]
    color: str
    blinks: bool = False


SIGNS = (
    Sign("Faulted", ("faulted",), RED),
    Sign("Stopped", ("stopped",), RED, blinks=True),
    Sign("Not ready", ("silent",), WHITE, blinks=True),
    Sign("Charging", ("charging",), BLUE),
    Sign("Suspended by the car", ("suspended by EV",), CYAN),
    Sign("Suspended by the station", ("suspended by EVSE",), CYAN, blinks=True),
    Sign("Preparing", ("authorized", "connected"), BLUE, blinks=True),
    Sign("Authorized, waiting for a car", ("authorized",), GREEN, blinks=True),
    Sign("Unavailable", ("unavailable",), WHITE),
    Sign("Occupied", ("in use",), YELLOW),
    Sign("Reserved", ("reserved",), MAGENTA),
    Sign("Available", (), GREEN),
)
"""Read from the top: the first row that fits is shown."""

_STATES = {"Charging": "charging", "SuspendedEV": "suspended by EV", "SuspendedEVSE": "suspended by EVSE"}


def fitting(facts: frozenset[str]) -> Sign:
    """The row that fits."""
    return next(one for one in SIGNS if facts.issuperset(one.facts))


def facts(
    evse: Evse, connector: Connector | None, status: str, *, stopped: bool = False, awaited: bool = False
) -> frozenset[str]:
    """What holds at `connector`, or without one at the EVSE as a whole.

    `status` is its ConnectorStatusEnumType, `stopped` tells of an RCD or an emergency stop, `awaited` of a driver who
    was authorized before an EVSE was chosen and may charge at this one.
    """
    found = {"in use" if status == "Occupied" else status.casefold()}
    active = evse.active
    looked_at = evse.connectors.values() if connector is None else (connector,)
    if stopped:
        found.add("stopped")
    # Of an EVSE, what its car is at; while there is none, one connector that can be used is enough.
    if connector is None and active is not None:
        looked_at = (active,)
    if not any(one.fresh and one.pilot is not None for one in looked_at):
        found.add("silent")
    if active is not None and connector not in (None, active):
        if evse.busy:
            found.add("in use")  # by the other connector: one car at a time
        return frozenset(found)
    if evse.state in _STATES:
        found.add(_STATES[evse.state])
    if evse.connected:
        found.add("connected")
    if evse.auth is not None or awaited:
        found.add("authorized")
    return frozenset(found)
