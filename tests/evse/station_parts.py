"""What the tests of availability and reservations share: the model of a station of some EVSEs, nothing else on it."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.evse.availability import Availability
from agent.model import Attribute, Characteristics, Component, DataType, DeviceModel, Variable
from agent.store import Store

STATES = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")

TWO: Mapping[int, Sequence[str]] = {1: ("sType2", "cCCS2"), 2: ("sType2",)}
"""EVSE 1 with two connectors, EVSE 2 with one."""

Told = list[tuple[int, int, str]]


def station(evses: Mapping[int, Sequence[str]] = TWO) -> DeviceModel:
    """A station whose EVSEs have an RCD each; reservations are on, of any kind."""
    model = DeviceModel()
    places = [Component("ChargingStation")]
    for evse, types in evses.items():
        model.add(Variable(Component("RCD", evse=evse), "Tripped", Characteristics(DataType.BOOLEAN)))
        places.append(Component("EVSE", evse=evse))
        places += [Component("Connector", evse=evse, connector=number) for number in range(1, len(types) + 1)]
    for place in places:
        model.add(Variable(place, "AvailabilityState", Characteristics(DataType.OPTION_LIST, values=STATES)))
    for name in ("Enabled", "NonEvseSpecific"):
        variable = Variable(Component("ReservationCtrlr"), name, Characteristics(DataType.BOOLEAN), Attribute(True))
        model.add(variable)
    return model


def find(model: DeviceModel, component: Component, name: str) -> Variable:
    found = model.get(component, name)
    assert found is not None
    return found


def rcd(model: DeviceModel, evse: int) -> Variable:
    return find(model, Component("RCD", evse=evse), "Tripped")


def state(model: DeviceModel, evse: int | None = None) -> object:
    """The AvailabilityState of an EVSE, or of the station."""
    component = Component("ChargingStation") if evse is None else Component("EVSE", evse=evse)
    return find(model, component, "AvailabilityState").actual.value


class Transactions:
    """On which EVSEs a transaction runs (None: on none yet)."""

    def __init__(self) -> None:
        self.running: set[int | None] = set()

    def busy(self, evse: int | None) -> bool:
        return bool(self.running) if evse is None else evse in self.running


def started(model: DeviceModel) -> tuple[Availability, Told, Transactions]:
    told: Told = []
    availability = Availability(model, lambda *change: told.append(change))
    transactions = Transactions()
    availability.busy = transactions.busy
    return availability, told, transactions


def power_cut(folder: Path, text: str) -> str:
    """What is left of `text` after it was stored and the process has ended."""
    store = Store(folder)
    asyncio.run(store.keep([("room", "key", text)]))
    store.close()
    store = Store(folder)
    left = store.kept("room")["key"]
    store.close()
    return left


World = tuple[Availability, Told, Transactions]


def states(availability: Availability) -> list[str]:
    """Of the connectors (1, 1), (1, 2) and (2, 1)."""
    return [one for _, _, one in availability.connectors()]
