"""What the tests of metering share: a clock that can be corrected, and bench-ac's meters with their settings."""

from datetime import UTC, datetime, timedelta

from agent.board import load
from agent.board.wiring import wire
from agent.evse.metering import Meter, Sampling
from agent.evse.records import MeterValue
from agent.evse.settings import EvseSettings
from agent.model import Characteristics, Component, DataType, DeviceModel, Value, Variable, parse_place

START = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)

REGISTER = "Energy.Active.Import.Register"

OCMF = (
    'OCMF|{"FV":"1.0","RD":[{"RV":1.5,"RI":"1-b:1.8.0","RU":"kWh"}]}|{"SA":"ECDSA-brainpool256r1-SHA256","SD":"30"}'
)

_TYPES = {bool: DataType.BOOLEAN, int: DataType.INTEGER, str: DataType.STRING, float: DataType.DECIMAL}


class Clock:
    """Monotonic time from 1000 s, wall time from START; `correct` moves the wall time alone."""

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

    def correct(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


class Bench:
    """bench-ac's Device Model, its meters read by hand."""

    def __init__(self, **settings: Value) -> None:
        self.clock = Clock()
        self.model: DeviceModel = wire(load("bench-ac")).model
        self.settings = EvseSettings(self.model)
        self.evse_1 = Component("FiscalMetering", evse=1)
        for path, value in settings.items():
            self.set(path.replace("_", "."), value)
        self.meter = Meter(self.model, 1, self.clock)
        self.signs = False

    def set(self, place: str, value: Value | None) -> None:
        """Give a variable, named as in a board file, a value as of now; add it where it is missing."""
        component, name = parse_place(place)
        variable = self.model.get(component, name)
        if variable is None:
            assert value is not None
            variable = self.model.add(Variable(component, name, Characteristics(_TYPES[type(value)])))
        variable.update(value, None if value is None else self.clock.monotonic())

    def read(self, wh: float | None, amperes: float | None = 16.0, evse: int = 1) -> None:
        """A read-out of an EVSE's meter, or its silence."""
        place = f"FiscalMetering@{evse}"
        self.set(f"{place}.EnergyImportRegister", wh)
        self.set(f"{place}.Power", None if amperes is None else amperes * 3 * 230.0)
        for line in ("L1", "L2", "L3"):
            self.set(f"{place}.ACCurrent[{line}]", amperes)
            self.set(f"{place}.ACVoltage[{line}]", None if amperes is None else 230.0)
        if self.signs and evse == 1:
            self.set("FiscalMetering@1.SignedReading", OCMF)

    def silence(self) -> None:
        self.read(None, None)

    def signing(self, **settings: Value) -> None:
        """Give EVSE 1 a meter that signs at each read-out."""
        self.signs = True
        self.set("FiscalMetering@1.SignedReading", OCMF)
        self.set("FiscalMetering@1.PublicKey", "3059AB")
        self.meter = Meter(self.model, 1, self.clock)

    def sampling(self) -> Sampling:
        return Sampling(self.settings, self.meter, self.clock)

    def run(
        self, sampling: Sampling, seconds: float, wh_per_second: float | None = 1.0
    ) -> list[tuple[str, MeterValue]]:
        """Let the time pass from due to due, the meter running on, or silent where it is None."""
        end = self.clock.monotonic() + seconds
        updates: list[tuple[str, MeterValue]] = []
        while True:
            due = sampling.due()
            to = end if due is None or due > end else due
            self._pass(to - self.clock.monotonic(), wh_per_second)
            updates += sampling.step()
            if due is None or due > end:
                return updates

    def _pass(self, seconds: float, wh_per_second: float | None) -> None:
        self.clock.move(seconds)
        register = self.meter.register()
        if wh_per_second is not None and register is not None:
            self.read(register.wh + seconds * wh_per_second)


def values(meter_values: MeterValue | tuple[MeterValue, ...]) -> list[tuple[str, str | None, float]]:
    """(measurand, phase, value) of each sample."""
    many = meter_values if isinstance(meter_values, tuple) else (meter_values,)
    return [(one.measurand, one.phase, one.value) for value in many for one in value.samples]


def contexts(meter_values: tuple[MeterValue, ...]) -> list[str]:
    """The context of each, which is the same for all its samples."""
    for value in meter_values:
        assert len({sample.context for sample in value.samples}) == 1
    return [value.samples[0].context for value in meter_values]


def bench(**settings: str | int | bool) -> Bench:
    """A meter at 1000 Wh; settings as SampledDataCtrlr_TxUpdatedInterval=60."""
    made = Bench(**settings)
    made.read(1000.0)
    return made


def signing_bench(when: str = "Never", **settings: str | int | bool) -> Bench:
    settings.setdefault("SampledDataCtrlr_SignReadings", True)
    station = bench(
        SampledDataCtrlr_TxStartedMeasurands=REGISTER,
        SampledDataCtrlr_TxUpdatedMeasurands=REGISTER,
        SampledDataCtrlr_TxUpdatedInterval=60,
        SampledDataCtrlr_TxEndedMeasurands=REGISTER,
        OCPPCommCtrlr_PublicKeyWithSignedMeterValue=when,
        **settings,
    )
    station.signing()
    return station


def keys(meter_values: tuple[MeterValue, ...]) -> list[str | None]:
    """The public key of each register sample; None where it is not signed."""
    samples = [sample for value in meter_values for sample in value.samples if sample.measurand == REGISTER]
    return [None if sample.signed is None else sample.signed.public_key for sample in samples]
