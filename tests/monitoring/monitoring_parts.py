"""A small station with monitors, its clock, what it told and what it kept."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from agent.model import (
    Attribute,
    Characteristics,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Variable,
    VariableName,
)
from agent.monitoring import Change, Fired, Monitor, MonitorRequest, Monitors, MonitorType, SetResult
from agent.monitoring.monitors import Kind

START = datetime(2026, 6, 1, 12, 7, 30, tzinfo=UTC)
UPPER, LOWER, DELTA = MonitorType.UPPER_THRESHOLD, MonitorType.LOWER_THRESHOLD, MonitorType.DELTA
PERIODIC, ALIGNED = MonitorType.PERIODIC, MonitorType.PERIODIC_CLOCK_ALIGNED
CABINET = Component("Cabinet")
EVSE = Component("EVSE", evse=1)
SECRET = Component("SecurityCtrlr")
TEMPERATURE = VariableName("Temperature")


class ManualClock:
    def __init__(self) -> None:
        self.time = 1000.0
        self.wall = START

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return self.wall

    def move(self, seconds: float) -> None:
        self.time += seconds
        self.wall += timedelta(seconds=seconds)


def example_model() -> DeviceModel:
    """One variable per data type on the cabinet, named as its type; an EVSE; a password; three fans."""
    model = DeviceModel()
    for kind in DataType:
        model.add(Variable(CABINET, kind.value, Characteristics(kind)))
    limits = Characteristics(DataType.DECIMAL, "Celsius", -40, 120)
    model.add(Variable(CABINET, TEMPERATURE, limits, Attribute(20.0), max_age=10))
    model.add(Variable(CABINET, "Deaf", Characteristics(DataType.INTEGER, supports_monitoring=False)))
    model.add(Variable(CABINET, "Age", Characteristics(DataType.INTEGER), Attribute(source=lambda: 7)))
    model.add(Variable(EVSE, "AvailabilityState", Characteristics(DataType.OPTION_LIST), Attribute("Available")))
    model.add(Variable(EVSE, "Power", Characteristics(DataType.DECIMAL, "W"), Attribute(0.0)))
    model.add(
        Variable(
            SECRET,
            "BasicAuthPassword",
            Characteristics(DataType.STRING),
            Attribute("before", Mutability.WRITE_ONLY),
        )
    )
    for instance, evse, connector in ((None, None, None), ("a", 1, None), ("b", 1, 2)):
        for name in (VariableName("Speed", "x"), VariableName("Speed", "y"), VariableName("Active")):
            integer = Characteristics(DataType.INTEGER)
            model.add(Variable(Component("Fan", instance, evse, connector), name, integer, Attribute(0)))
    return model


class Station:
    """Monitors that have begun; `room` is what a store would hold by now."""

    def __init__(
        self,
        hard_wired: Sequence[Monitor] = (),
        preconfigured: Sequence[Monitor] = (),
        *,
        most: int = 100,
        room: dict[str, str] | None = None,
    ) -> None:
        self.declared = (hard_wired, preconfigured)
        self.most = most
        self.clock = ManualClock()
        self.room: dict[str, str] = {} if room is None else room
        self.charging: set[int | None] = set()
        self.boot(example_model())
        self.monitors.online(True)

    def boot(self, model: DeviceModel) -> None:
        """A restart with `model`: nothing is left but the room."""
        self.model = model
        self.fired: list[Fired] = []
        self.monitors = Monitors(
            model,
            self.clock,
            hard_wired=self.declared[0],
            preconfigured=self.declared[1],
            fire=self.fired.append,
            change=self._keep,
            transactions=lambda evse: evse in self.charging,
            most=self.most,
        )
        self.troubles = self.monitors.restore(dict(self.room))

    def _keep(self, changes: Sequence[Change]) -> None:
        for key, text in changes:
            if text is None:
                self.room.pop(key, None)
            else:
                self.room[key] = text

    def variable(self, component: Component, name: str) -> Variable:
        return self.model.find(component, VariableName(name))

    def set(
        self,
        type: MonitorType,
        value: float = 1,
        severity: int = 5,
        *,
        on: tuple[Component, str] = (CABINET, "Temperature"),
        id: int | None = None,
        transaction: bool = False,
    ) -> SetResult:
        component, name = on
        return self.monitors.set(
            MonitorRequest(component, VariableName(name), type, value, severity, id, transaction)
        )

    def put(
        self,
        type: MonitorType,
        value: float = 1,
        severity: int = 5,
        on: tuple[Component, str] = (CABINET, "Temperature"),
    ) -> int:
        """Set one that must be accepted; its id."""
        result = self.set(type, value, severity, on=on)
        assert result.accepted and result.id is not None, result
        return result.id

    def read(self, *values: object, on: tuple[Component, str] = (CABINET, "Temperature")) -> list[str]:
        """Take readings; what was told of them."""
        before = len(self.fired)
        for value in values:
            self.variable(*on).update(value)  # type: ignore[arg-type]
        return self.told(before)

    def told(self, since: int = 0) -> list[str]:
        return [
            f"{'cleared' if one.cleared else one.trigger.value} {one.actual}".strip() for one in self.fired[since:]
        ]

    def run(self, seconds: float, step: float = 1.0) -> list[str]:
        """Let time pass, stepping as a station does; the wall times at which something was told."""
        before = len(self.fired)
        end = self.clock.time + seconds
        while self.clock.time < end:
            self.clock.move(min(step, end - self.clock.time))
            self.monitors.step()
        return [one.time.strftime("%H:%M:%S") for one in self.fired[before:]]


def declared(
    id: int,
    type: MonitorType = UPPER,
    value: float = 60,
    severity: int = 3,
    on: tuple[Component, str] = (CABINET, "Temperature"),
    hysteresis: float | None = None,
) -> Monitor:
    return Monitor(
        id, on[0], VariableName(on[1]), type, value, severity, Kind.PRECONFIGURED_MONITOR, hysteresis=hysteresis
    )
