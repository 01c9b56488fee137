"""What a meter says, from the Device Model: samples by measurand, and the registers that were read last.

An EVSE's meter is the component FiscalMetering of that EVSE. The station's own, EVSE 0, is its FiscalMetering, else
its ElectricalFeed (J01.FR.04). A value that the model no longer has, since it became too old, is absent: never zero.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.clock import Clock
from agent.evse.meter_signing import key_text, signed_value
from agent.evse.records import MeterValue, Sample, SignedValue
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel, Value, Variable

IMPORT_REGISTER = "Energy.Active.Import.Register"
EXPORT_REGISTER = "Energy.Active.Export.Register"
REGISTERS = (IMPORT_REGISTER, EXPORT_REGISTER)

_MEASURED: dict[str, tuple[tuple[str, ...], str]] = {
    IMPORT_REGISTER: (("EnergyImportRegister",), "Wh"),
    EXPORT_REGISTER: (("EnergyExportRegister",), "Wh"),
    "Power.Active.Import": (("Power",), "W"),
    "Current.Import": (("ACCurrent", "DCCurrent"), "A"),
    "Voltage": (("ACVoltage", "DCVoltage"), "V"),
    "Frequency": (("Frequency",), "Hz"),
}
"""Measurand → the variables that it is read from, and its unit."""

CURRENT_OFFERED, POWER_OFFERED = "Current.Offered", "Power.Offered"

MEASURANDS = (*_MEASURED, CURRENT_OFFERED, POWER_OFFERED)
"""The values of MeasurandEnumType that this station can give, where its meters have the variables."""

_LINES = ("L1", "L2", "L3")
_PHASES = (*_LINES, "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1")
"""PhaseEnumType: the instances of a variable that are phases."""

_THOUSANDS = ("kWh", "kW")

SIGNED_READING, PUBLIC_KEY = "SignedReading", "PublicKey"

FLOWING = 1.0
"""A: a phase counts as used above it."""


@dataclass(frozen=True, slots=True)
class Register:
    """The energy register: `wh`, read at the monotonic `time`, which the wall clock calls `at`; not `fresh` where
    the meter has been silent since. Where the CSMS wants it signed, `time` is not later than the meter signed it.
    """

    wh: float
    time: float
    at: datetime
    fresh: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """Samples with the wall time `at` which they were taken, and the monotonic `time`, None where that was before
    this process.
    """

    at: datetime
    time: float | None
    samples: tuple[Sample, ...]

    def value(self, clock: Clock) -> MeterValue:
        """With the wall time as the clock has it now: it may have been wrong when they were taken."""
        if self.time is None:
            return MeterValue(self.at, self.samples)
        at = wall(clock, self.time)
        same = abs((at - self.at).total_seconds()) < 0.5
        return MeterValue(self.at if same else at, self.samples)

    def dated(self, at: datetime) -> "Taken":
        """As taken at `at`, by the clock of then."""
        shifted = None if self.time is None else self.time - (self.at - at).total_seconds()
        return Taken(at, shifted, self.samples)

    def only(self, measurands: Sequence[str]) -> "Taken | None":
        """Without samples of other measurands; None where nothing is left."""
        samples = tuple(sample for sample in self.samples if sample.measurand in measurands)
        return replace(self, samples=samples) if samples else None


def wall(clock: Clock, time: float) -> datetime:
    """What the clock now calls the monotonic `time`."""
    return clock.now() - timedelta(seconds=clock.monotonic() - time)


def supported(model: DeviceModel, evse_ids: Iterable[int]) -> tuple[str, ...]:
    """The measurands that the meters of these EVSEs (0: the station's) can give: the valuesList of the variables that
    choose among them.
    """
    found: set[str] = set()
    for evse in evse_ids:
        found.update(_supported(_variables(model, evse), evse))
    return tuple(measurand for measurand in MEASURANDS if measurand in found)


def signing(model: DeviceModel, evse_ids: Iterable[int]) -> bool:
    """Whether a meter of these EVSEs (0: the station's) signs: there are the variables of signed values then."""
    return any(_find(_variables(model, evse), SIGNED_READING) is not None for evse in evse_ids)


class Meter:
    """The meter of one EVSE, or of the station (`evse` 0).

    A reading that no one looked at while it stayed the same leaves no trace when the meter goes silent: `look` at
    least every few seconds, so that the time of the last good register is known. Every other method looks too.
    """

    def __init__(self, model: DeviceModel, evse: int, clock: Clock) -> None:
        self.model = model
        self.evse = evse
        self.offered: Callable[[], float | None] = lambda: None
        """What the EV is offered, A per phase; to be set by who knows it."""
        self._clock = clock
        self._settings = EvseSettings(model)
        self._location = "Outlet" if evse else "Inlet"
        self._variables = _variables(model, evse)
        self._measurands = _supported(self._variables, evse)
        self._registers = {
            measurand: tuple(_with_phase(self._variables, _MEASURED[measurand][0])) for measurand in REGISTERS
        }
        self._last: dict[Variable, tuple[float, float]] = {}
        """The last good (value, monotonic time) of each register."""
        self._moved: dict[Variable, float] = {}
        """When the value of each register was read first."""
        self._signed = _find(self._variables, SIGNED_READING)
        self._key = _find(self._variables, PUBLIC_KEY)
        for found in self._registers.values():
            for variable, _ in found:
                variable.listen(self._hear)
        self.look()

    @property
    def can_sign(self) -> bool:
        """Whether this meter gives signed readings at all."""
        return self._signed is not None

    @property
    def measurands(self) -> tuple[str, ...]:
        """What it can give."""
        return self._measurands

    def look(self) -> None:
        """Note when each register was read last."""
        for found in self._registers.values():
            for variable, _ in found:
                self._note(variable, variable.actual.value)

    def _hear(self, variable: Variable, old: Value | None, new: Value | None) -> None:
        del old
        self._note(variable, new)

    def _note(self, variable: Variable, value: Value | None) -> None:
        number = _number(variable, value)
        if number is not None:
            time = variable.actual.time
            time = self._clock.monotonic() if time is None else time
            if variable not in self._last or self._last[variable][0] != number:
                self._moved[variable] = time
            self._last[variable] = number, time

    # --- samples --------------------------------------------------------------------------------------------------

    def sample(
        self, measurands: Sequence[str], context: str, *, signed: bool = False, public_key: bool = False
    ) -> MeterValue | None:
        """What can be told of `measurands` now, all phases of each (J §2.3, erratum 2.34); None for nothing.

        `signed` puts the meter's signature on the energy register where there is one, `public_key` its key with it.
        """
        samples = self.samples(measurands, context, signed=signed, public_key=public_key)
        return MeterValue(self._clock.now(), samples) if samples else None

    def samples(
        self, measurands: Sequence[str], context: str, *, signed: bool = False, public_key: bool = False
    ) -> tuple[Sample, ...]:
        """As `sample`, without the time."""
        self.look()
        samples: list[Sample] = []
        for measurand in measurands:
            samples += self._offered(measurand, context)
            names, unit = _MEASURED.get(measurand, ((), ""))
            for variable, phase in self._reported(measurand, names):
                number = _number(variable, variable.actual.value)
                if number is not None:
                    samples.append(Sample(number, measurand, context, phase, self._location, unit))
        return tuple(self._sign(samples, public_key)) if signed else tuple(samples)

    def silent(self, measurand: str) -> bool:
        """Whether `measurand` is one that this meter gives, and does not now."""
        return measurand in self._measurands and not self.samples((measurand,), "")

    def last_registers(self, measurands: Sequence[str], context: str) -> tuple[Taken, ...]:
        """The last good values of those of `measurands` that are registers, each with the time when it was read."""
        self.look()
        by_time: dict[float, list[Sample]] = {}
        for measurand in measurands:
            for variable, phase in self._reported(
                measurand, _MEASURED[measurand][0] if measurand in REGISTERS else ()
            ):
                if variable in self._last:
                    number, time = self._last[variable]
                    sample = Sample(number, measurand, context, phase, self._location, _MEASURED[measurand][1])
                    by_time.setdefault(time, []).append(sample)
        return tuple(
            Taken(wall(self._clock, time), time, tuple(samples)) for time, samples in sorted(by_time.items())
        )

    def _reported(self, measurand: str, names: tuple[str, ...]) -> Iterator[tuple[Variable, str | None]]:
        """The variables of `measurand` with their phases: of a register perhaps the total alone (part 2 §2.7.18)."""
        found = tuple(_with_phase(self._variables, names))
        total = tuple(one for one in found if one[1] is None)
        if (
            total
            and measurand in REGISTERS
            and self._settings.flag("SampledDataCtrlr", "RegisterValuesWithoutPhases")
        ):
            found = total
        for variable, phase in found:
            # Between one line and neutral is what a voltage "of L1" is.
            yield variable, f"{phase}-N" if measurand == "Voltage" and phase in _LINES else phase

    def _offered(self, measurand: str, context: str) -> Iterator[Sample]:
        if measurand not in (CURRENT_OFFERED, POWER_OFFERED) or measurand not in self._measurands:
            return
        amperes = self.offered()
        if amperes is None:
            return
        if measurand == CURRENT_OFFERED:
            yield Sample(amperes, measurand, context, None, self._location, "A")
            return
        voltages = self.voltages()
        if voltages is not None or amperes == 0:
            yield Sample(_rounded(amperes * sum(voltages or ())), measurand, context, None, self._location, "W")

    def _sign(self, samples: list[Sample], public_key: bool) -> Iterator[Sample]:
        reading = self.signed_reading(public_key=public_key)
        for sample in samples:
            whole = sample.measurand == IMPORT_REGISTER and sample.phase is None
            yield replace(sample, signed=reading) if whole and reading is not None else sample

    def signed_reading(self, *, public_key: bool = False) -> SignedValue | None:
        """What the meter signed last; None where it cannot be had (E01.FR.04)."""
        reading = None if self._signed is None else self._signed.actual.current
        return signed_value(str(reading), self.public_key if public_key else "") if reading is not None else None

    @property
    def signed_since_it_moved(self) -> bool:
        """Whether the meter signed after its import register moved last: nothing that flowed is missing in it."""
        if self._signed is None or self._signed.actual.current is None:
            return False
        signed = self._signed.actual.time
        moved = [self._moved.get(variable, -math.inf) for variable in _whole(self._registers[IMPORT_REGISTER])]
        return signed is None or all(time <= signed for time in moved)

    @property
    def public_key(self) -> str:
        """In base64; "" where it is not known."""
        key = None if self._key is None else self._key.actual.current
        return "" if key is None else key_text(str(key))

    # --- single quantities ----------------------------------------------------------------------------------------

    def register(self) -> Register | None:
        """The last good energy register; None where it was never read. Of three registers their sum, when the first
        of them was read. A meter that signs in time is waited for where the CSMS wants signed values: as long as it
        has not signed what it says now, the register is as old as can be.
        """
        self.look()
        variables = _whole(self._registers[IMPORT_REGISTER])
        if not variables or any(variable not in self._last for variable in variables):
            return None
        time = min(self._last[variable][1] for variable in variables)
        wh = _rounded(sum(self._last[variable][0] for variable in variables))
        fresh = all(_number(variable, variable.actual.value) is not None for variable in variables)
        at = wall(self._clock, time)
        if self._settings.flag("SampledDataCtrlr", "SignReadings") and self.signed_reading() is not None:
            signed = self._signed.actual.time if self._signed is not None else None
            time = min(time, time if signed is None else signed) if self.signed_since_it_moved else -math.inf
        return Register(wh, time, at, fresh)

    def currents(self) -> tuple[float, ...] | None:
        """A per phase, L1 first; None where one is not known."""
        return self._lines("ACCurrent", "DCCurrent")

    def voltages(self) -> tuple[float, ...] | None:
        """V per phase to neutral, L1 first; None where one is not known."""
        return self._lines("ACVoltage", "DCVoltage")

    def power(self) -> float | None:
        """W."""
        return self._sum(_whole(tuple(_with_phase(self._variables, ("Power",)))))

    def phases_used(self) -> int | None:
        """On how many phases current flows (E02.FR.18)."""
        currents = self.currents()
        return None if currents is None else sum(current > FLOWING for current in currents)

    def _lines(self, *names: str) -> tuple[float, ...] | None:
        found = {phase: variable for variable, phase in _with_phase(self._variables, names)}
        per_line = [found.get(line, found.get(f"{line}-N")) for line in _LINES]
        variables = [one for one in per_line if one is not None] or [found[one] for one in found if one is None]
        numbers = [_number(variable, variable.actual.value) for variable in variables]
        known = tuple(number for number in numbers if number is not None)
        return known if known and len(known) == len(numbers) else None

    def _sum(self, variables: Sequence[Variable]) -> float | None:
        numbers = [_number(variable, variable.actual.value) for variable in variables]
        known = [number for number in numbers if number is not None]
        return _rounded(sum(known)) if known and len(known) == len(numbers) else None


def _variables(model: DeviceModel, evse: int) -> tuple[Variable, ...]:
    """The variables of the meter of `evse`; none where it has no meter."""
    names = ("FiscalMetering",) if evse else ("FiscalMetering", "ElectricalFeed")
    for name in names:
        found = tuple(model.variables(Component(name, evse=evse or None)))
        if found:
            return found
    return ()


def _find(variables: Sequence[Variable], name: str) -> Variable | None:
    return next((one for one in variables if one.name.key == (name.casefold(), "")), None)


def _supported(variables: Sequence[Variable], evse: int) -> tuple[str, ...]:
    found = [measurand for measurand, (names, _) in _MEASURED.items() if any(_with_phase(variables, names))]
    if evse:
        found.append(CURRENT_OFFERED)
        if "Voltage" in found:
            found.append(POWER_OFFERED)
    return tuple(found)


def _with_phase(variables: Sequence[Variable], names: Sequence[str]) -> Iterator[tuple[Variable, str | None]]:
    """The variables of the first of `names` that there is, each with its phase; None is all phases together."""
    for name in names:
        found = [
            (variable, variable.name.instance.upper() if variable.name.instance else None)
            for variable in variables
            if variable.name.key[0] == name.casefold()
        ]
        found = [(variable, phase) for variable, phase in found if phase is None or phase in _PHASES]
        if found:
            yield from found
            return


def _whole(found: Sequence[tuple[Variable, str | None]]) -> list[Variable]:
    """What makes the whole of a quantity: its total, else its lines."""
    total = [variable for variable, phase in found if phase is None]
    return total or [variable for variable, phase in found if phase in _LINES]


def _number(variable: Variable, value: Value | None) -> float | None:
    """`value` in Wh, W, A or V; None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return _rounded(value * 1000.0) if variable.characteristics.unit in _THOUSANDS else float(value)


def _rounded(number: float) -> float:
    """To the 15 digits that binary floats keep: the source's resolution without the noise of the arithmetic."""
    return float(f"{number:.15g}")
