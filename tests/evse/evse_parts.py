"""What the tests of EVSEs share: EVSE 1 of bench-ac, with hardware that follows its commands."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.board import load
from agent.board.wiring import ConnectorWiring, wire
from agent.evse.connector import Connector
from agent.evse.evse import Evse
from agent.evse.metering import Meter
from agent.evse.power_path import Protections
from agent.evse.records import IdToken, TransactionEvent
from agent.model import Value, Variable
from tests.evse.meter_parts import Bench

TICK = 0.25

ANN = IdToken("ANN", "ISO14443")
BOB = IdToken("BOB", "ISO14443")

POINTS = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")

LIMIT = 32.0


def connectors(bench: Bench) -> dict[int, Connector]:
    """EVSE 1's connectors on the variables of `bench`."""
    found = {}
    for one in wire(load("bench-ac")).connectors:
        if one.evse == 1:
            found[one.connector] = Connector(
                1, one.connector, socket=one.socket, inputs=inputs(bench, one), outputs=frozenset(one.outputs)
            )
    return found


def inputs(bench: Bench, one: ConnectorWiring) -> dict[str, Variable]:
    """The variables of a connector's roles in the model of `bench`."""
    found = {}
    for role, variable in one.inputs.items():
        here = bench.model.get(variable.component, variable.name)
        assert here is not None
        found[role] = here
    return found


class Plant:
    """The hardware of one connector, which follows `command` within a tick; `broken` roles read what they are given
    there (None: silence).
    """

    def __init__(self, connector: Connector, variables: Mapping[str, Variable]) -> None:
        self.connector, self.variables = connector, variables
        self.pilot = "A"
        self.cable = False
        self.draws = True
        """Whether a car that asks takes current."""
        self.broken: dict[str, Value | None] = {}
        self.locked = False
        self.closed = False

    @property
    def amperes(self) -> float:
        command = self.connector.command
        return command.offered if self.closed and self.draws and self.pilot in ("C", "D") else 0.0

    def follow(self) -> None:
        command = self.connector.command
        self.locked = command.lock
        self.closed = command.enable and self.pilot in ("C", "D")

    def read(self, time: float) -> None:
        readings: dict[str, Value | None] = {
            "pilot": self.pilot,
            "plugged": self.cable,
            "cable_current": 32.0 if self.cable else 0.0,
            "contactor_closed": self.closed,
            "locked": self.locked,
            "fault": 0,
        }
        for role, variable in self.variables.items():
            variable.update(self.broken.get(role, readings[role]), time)


class Rig:
    """EVSE 1 of bench-ac at work; `settings` are variables of controllers, `TxCtrlr_TxStartPoint=...`."""

    def __init__(self, *, charge_without_storage: bool = False, **settings: Value) -> None:
        self.bench = Bench(**settings)
        self.clock = self.bench.clock
        self.wires = {one.connector: one for one in wire(load("bench-ac")).connectors if one.evse == 1}
        self.limit = LIMIT
        self.protections = Protections()
        self.bay = False
        self.disk = True
        """Whether what is to be kept gets to the disk at once; False: it never gets there."""
        self.wh = 1000.0
        self.metered = True
        self.events: list[TransactionEvent] = []
        self.texts: list[str] = []
        """What was on disk after each step, the last one last."""
        self._ids = 0
        self._without = charge_without_storage
        self.evse = self._evse()
        self.plants = {
            number: Plant(one, inputs(self.bench, self.wires[number])) for number, one in self.evse.connectors.items()
        }
        self._look()

    def _evse(self) -> Evse:
        return Evse(
            1,
            connectors(self.bench),
            settings=self.bench.settings,
            meter=Meter(self.bench.model, 1, self.clock),
            clock=self.clock,
            new_id=self._new_id,
            protections=lambda: self.protections,
            limit=lambda connector: self.limit,
            bay=lambda: self.bay,
            charge_without_storage=self._without,
        )

    def _new_id(self) -> str:
        self._ids += 1
        return f"tx-{self._ids}"

    # --- time -------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        time = self.clock.monotonic()
        for plant in self.plants.values():
            plant.read(time)
        amperes = sum(plant.amperes for plant in self.plants.values())
        if self.metered:
            self.bench.read(self.wh, amperes)
        else:
            self.bench.silence()
        self.evse.step()
        self.collect()

    def collect(self) -> None:
        """What the shell does after a step: keep, and tell that it was kept."""
        taken = self.evse.take()
        self.events += [event for event, text in taken]
        if self.disk:
            text = self.evse.to_json()
            if not self.texts or text != self.texts[-1]:
                self.texts.append(text)
            self.evse.kept(self.evse.version, True)

    def tick(self) -> None:
        """The hardware follows, a quarter of a second passes, the EVSE looks."""
        for plant in self.plants.values():
            plant.follow()
        self.clock.move(TICK)
        self.wh += sum(plant.amperes for plant in self.plants.values()) * 3 * 230 * TICK / 3600
        self._look()

    def run(self, seconds: float = 1.0) -> None:
        for _ in range(round(seconds / TICK)):
            self.tick()

    # --- what happens -----------------------------------------------------------------------------------------------

    @property
    def plant(self) -> Plant:
        """Connector 1: a socket."""
        return self.plants[1]

    @property
    def fixed(self) -> Plant:
        """Connector 2: a fixed cable."""
        return self.plants[2]

    @property
    def command(self) -> Any:
        return self.plant.connector.command

    def plug(self, plant: Plant | None = None, pilot: str = "C") -> None:
        """A cable with a car at its end."""
        one = plant or self.plant
        one.cable, one.pilot = True, pilot
        self.run()

    def unplug(self, plant: Plant | None = None) -> None:
        """The car leaves with the cable."""
        one = plant or self.plant
        one.cable, one.pilot = False, "A"
        self.run()

    def car_unplugs(self) -> None:
        """The cable is pulled out of the car; it stays in the socket."""
        self.plant.pilot = "A"
        self.run()

    def present(self, token: IdToken = ANN, **more: Any) -> None:
        assert self.evse.authorize(token, **more)
        self.run()

    def charge(self, plant: Plant | None = None) -> None:
        """Plug in and authorize, until energy flows."""
        self.plug(plant)
        self.present()
        self.run(2)
        assert self.evse.state == "Charging"

    def stop(self, cause: str, token: IdToken | None = None, seconds: float = 10.0) -> None:
        self.evse.end_authorization(cause, token)
        self.run(seconds)

    def restart(self, text: str | None = None, *, power_lost: bool, resume: bool = True) -> None:
        """A new process takes up what the last one kept; after a power cut the hardware has let go."""
        kept = self.texts[-1] if text is None else text
        self.evse = self._evse()
        for number, plant in self.plants.items():
            plant.connector = self.evse.connectors[number]
            if power_lost:
                plant.closed = plant.locked = False
        if kept:
            self.evse.restore(kept, power_lost=power_lost, resume=resume)

    # --- what was told ----------------------------------------------------------------------------------------------

    @property
    def types(self) -> list[str]:
        return [event.event_type for event in self.events]

    @property
    def triggers(self) -> list[str]:
        return [event.trigger_reason for event in self.events]

    @property
    def started(self) -> TransactionEvent:
        found = [event for event in self.events if event.event_type == "Started"]
        assert len(found) == 1, self.types
        return found[0]

    @property
    def ended(self) -> TransactionEvent:
        found = [event for event in self.events if event.event_type == "Ended"]
        assert len(found) == 1, self.types
        return found[0]

    @property
    def last(self) -> TransactionEvent:
        return self.events[-1]


def sound(events: Sequence[TransactionEvent]) -> None:
    """Check what holds for the events of any session: each transaction starts and ends once, its seqNo has no gap."""
    numbers: dict[str, list[int]] = {}
    for event in events:
        numbers.setdefault(event.transaction_id, []).append(event.seq_no)
        first = event.seq_no == 0
        assert (event.event_type == "Started") == first, event
        assert (event.stopped_reason is not None) == (event.event_type == "Ended"), event
    for transaction, seen in numbers.items():
        assert seen == list(range(len(seen))), transaction
        of_one = [event for event in events if event.transaction_id == transaction]
        assert all(event.event_type == "Updated" for event in of_one[1:-1])
        tokens = [event for event in of_one if event.charging_state is None]
        assert not tokens
