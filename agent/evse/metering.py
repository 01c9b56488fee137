"""Meter values of a transaction (part 2, J02 and E): what is sampled when, and which event takes it.

`meter_reading` is the meter, `meter_aligned` what is sent outside of transactions, `meter_times` when it is due.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from agent.clock import Clock
from agent.evse.meter_aligned import ALIGNED, Aligned, idle_only, interval
from agent.evse.meter_kept import Intermediate, taken_from_json, taken_to_json
from agent.evse.meter_reading import (
    IMPORT_REGISTER,
    MEASURANDS,
    REGISTERS,
    Meter,
    Register,
    Taken,
    signing,
    supported,
)
from agent.evse.meter_times import Instants, Periodic
from agent.evse.records import MeterValue, Sample
from agent.evse.settings import EvseSettings
from agent.model import format_date_time, parse_date_time

__all__ = ["MEASURANDS", "Aligned", "Meter", "Register", "Sampling", "signing", "supported"]

_log = logging.getLogger(__name__)

SAMPLED = "SampledDataCtrlr"
BEGIN, END, PERIODIC, CLOCK = "Transaction.Begin", "Transaction.End", "Sample.Periodic", "Sample.Clock"


class Sampling:
    """The sampling of one transaction on the EVSE of `meter`; made when the transaction starts, or its EVSE is known.

    Over a power cut the begin and the last registers are kept (`to_json`), not the intermediate values that wait for
    the event Ended (TxEndedInterval): what an Updated told is on disk anyway.
    """

    def __init__(self, settings: EvseSettings, meter: Meter, clock: Clock) -> None:
        self._settings = settings
        self._meter = meter
        self._clock = clock
        self._started = Taken(clock.now(), clock.monotonic(), ())
        """When, no more."""
        self._begin: list[Taken] = []
        self._missing: tuple[str, ...] | None = None
        """The registers that the meter did not tell at the beginning; None before that was asked."""
        self._restored: tuple[Taken, ...] = ()
        """The last registers before a power cut."""
        self._samples = Intermediate()
        self._clock_samples = Intermediate()
        self._key_sent = False
        self._set_times(clock.monotonic())

    def _set_times(self, anchor: float) -> None:
        self._updated = Periodic(self._clock, anchor)
        self._for_end = Periodic(self._clock, anchor)
        self._instants = Instants(self._clock)
        self._instants_for_end = Instants(self._clock)

    # --- what the events take -------------------------------------------------------------------------------------

    def started(self) -> tuple[MeterValue, ...]:
        """For the event Started, or the Updated in which the EVSE became known (E01.FR.09, E01.FR.17)."""
        wanted = self._measurands("TxStartedMeasurands")
        self._take_begin()
        return self._send(one for taken in self._begin if (one := taken.only(wanted)) is not None)

    def ended(self) -> tuple[MeterValue, ...]:
        """For the event Ended, oldest first (E06.FR.11): begin, intermediate values and end of TxEndedMeasurands, and
        the clock-aligned ones.

        A register of a meter that is silent now is the last good one, in a MeterValue of the time when it was read.
        """
        wanted = self._measurands("TxEndedMeasurands")
        found: list[Taken] = []
        if wanted:
            self._take_begin()
            found += [one for taken in self._begin if (one := taken.only(wanted)) is not None]
            found += self._samples
        if self._aligned_for_end():
            found += self._clock_samples
        if wanted:
            silent = [measurand for measurand in wanted if measurand in REGISTERS and self._meter.silent(measurand)]
            found += self._last_registers(silent)
            found += self._take(wanted, END)
        return self._send(sorted(found, key=lambda taken: taken.value(self._clock).timestamp))

    def trigger(self) -> MeterValue | None:
        """For TriggerMessage (F06.FR.07)."""
        return next(iter(self._send(self._take(self._measurands("TxUpdatedMeasurands"), "Trigger"))), None)

    def due(self) -> float | None:
        """The monotonic time of the next thing to do, as the clock goes now: ask again after it was corrected."""
        self._meter.look()
        times = (
            self._updated.due(self._updated_interval()),
            self._for_end.due(self._interval_for_end()),
            self._instants.due(self._aligned_interval()),
            self._instants_for_end.due(self._aligned_for_end()),
        )
        return min((time for time in times if time is not None), default=None)

    def step(self) -> list[tuple[str, MeterValue]]:
        """Take what is due; (trigger reason, value) of each event Updated to be sent now (J02.FR.11, J01.FR.22)."""
        self._meter.look()
        if self._missing:
            self._take_begin()
        updates: list[tuple[str, MeterValue]] = []
        if self._updated.fire(self._updated_interval()):
            found = self._take(self._measurands("TxUpdatedMeasurands"), PERIODIC)
            updates += [("MeterValuePeriodic", value) for value in self._send(found)]
        if self._for_end.fire(self._interval_for_end()):
            for one in self._take(self._measurands("TxEndedMeasurands"), PERIODIC):
                self._samples.add(one)
        at = self._instants.fire(self._aligned_interval())
        if at is not None:
            found = self._take(self._settings.members(ALIGNED, "Measurands"), CLOCK, ALIGNED)
            updates += [("MeterValueClock", value) for value in self._send(one.dated(at) for one in found)]
        at = self._instants_for_end.fire(self._aligned_for_end())
        if at is not None:
            for one in self._take(self._settings.members(ALIGNED, "TxEndedMeasurands"), CLOCK, ALIGNED):
                self._clock_samples.add(one.dated(at))
        return updates

    # --- the energy of the transaction ----------------------------------------------------------------------------

    @property
    def start_wh(self) -> float | None:
        """The energy register at the beginning; later where the meter was silent then, None where it still is."""
        return _wh(self._begin)

    def energy(self) -> float | None:
        """Wh since the beginning, by the last good register."""
        start, register = self.start_wh, self._meter.register()
        last = _wh(self._restored) if register is None else register.wh
        return None if start is None or last is None else float(f"{last - start:.15g}")

    # --- over a power cut -----------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """JSON's own types. To be kept again after the clock was corrected: it dates what it tells anew."""
        last = self._last_registers(REGISTERS)
        return {
            "started": format_date_time(self._started.value(self._clock).timestamp),
            "begin": [taken_to_json(taken, self._clock) for taken in self._begin],
            "missing": None if self._missing is None else list(self._missing),
            "last": [taken_to_json(taken, self._clock) for taken in last],
            "key_sent": self._key_sent,
        }

    @classmethod
    def from_json(cls, data: Any, settings: EvseSettings, meter: Meter, clock: Clock) -> "Sampling":
        """From what `to_json` gave, in the next process; what came due in between is lost. Raises ValueError."""
        sampling = cls(settings, meter, clock)
        try:
            sampling._started = Taken(parse_date_time(data["started"]), None, ())
            sampling._begin = [taken_from_json(one) for one in data["begin"]]
            missing = data["missing"]
            sampling._missing = None if missing is None else tuple(str(one) for one in missing)
            sampling._restored = tuple(taken_from_json(one) for one in data["last"])
            sampling._key_sent = bool(data["key_sent"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no sampling: {error!r}") from error
        elapsed = (clock.now() - sampling._started.at).total_seconds()
        sampling._set_times(clock.monotonic() - max(0.0, elapsed))
        return sampling

    # --- inside ---------------------------------------------------------------------------------------------------

    def _take_begin(self) -> None:
        """Once, and again for the registers of a meter that was silent: late, with the time when it spoke."""
        if self._missing is None:
            wanted = (
                *self._measurands("TxStartedMeasurands"),
                *self._measurands("TxEndedMeasurands"),
                IMPORT_REGISTER,
            )
            wanted = tuple(dict.fromkeys(wanted))
        else:
            wanted = self._missing
        if not wanted:
            return
        self._begin += self._take(wanted, BEGIN)
        told = {sample.measurand for taken in self._begin for sample in taken.samples}
        gives = self._meter.measurands
        self._missing = tuple(one for one in wanted if one in REGISTERS and one in gives and one not in told)

    def _take(self, measurands: Sequence[str], context: str, controller: str = SAMPLED) -> list[Taken]:
        """One or none; signed where `controller` asks for it (E02.FR.14, J01.FR.21, J02.FR.21).

        The end only with a signature that covers all that flowed: an older one would tell of less.
        """
        signed = self._settings.flag(controller, "SignReadings")
        if signed and context == END and self._meter.can_sign and not self._meter.signed_since_it_moved:
            _log.warning("EVSE %d: the meter did not sign the end in time; it is told unsigned", self._meter.evse)
            signed = False
        samples = self._meter.samples(measurands, context, signed=signed)
        return [Taken(self._clock.now(), self._clock.monotonic(), samples)] if samples else []

    def _last_registers(self, measurands: Sequence[str]) -> list[Taken]:
        """Of this process, else of before the power cut."""
        found = list(self._meter.last_registers(measurands, END))
        told = {sample.measurand for taken in found for sample in taken.samples}
        rest = [measurand for measurand in measurands if measurand not in told]
        return [one for taken in self._restored if (one := taken.only(rest)) is not None] + found

    def _send(self, found: Iterable[Taken]) -> tuple[MeterValue, ...]:
        """`found` as it goes into an event, the meter's public key with it as PublicKeyWithSignedMeterValue says."""
        values = [taken.value(self._clock) for taken in found]
        return tuple(replace(value, samples=tuple(map(self._with_key, value.samples))) for value in values)

    def _with_key(self, sample: Sample) -> Sample:
        when = self._settings.text("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", "Never")
        once = when == "OncePerTransaction" and not self._key_sent
        if sample.signed is None or not (once or when == "EveryMeterValue"):
            return sample
        key = self._meter.public_key
        self._key_sent = self._key_sent or bool(key)
        return replace(sample, signed=replace(sample.signed, public_key=key))

    def _measurands(self, variable: str) -> tuple[str, ...]:
        return self._settings.members(SAMPLED, variable) if self._settings.flag(SAMPLED, "Enabled", True) else ()

    def _updated_interval(self) -> int:
        return max(0, self._settings.integer(SAMPLED, "TxUpdatedInterval"))

    def _interval_for_end(self) -> int:
        return max(0, self._settings.integer(SAMPLED, "TxEndedInterval"))

    def _aligned_interval(self) -> int:
        model, evse = self._meter.model, self._meter.evse
        silent = idle_only(model, None) or idle_only(model, evse)  # J01.FR.19, J01.FR.20
        return 0 if silent else interval(self._settings)

    def _aligned_for_end(self) -> int:
        wanted = self._settings.members(ALIGNED, "TxEndedMeasurands")
        return interval(self._settings, "TxEndedInterval") if wanted else 0


def _wh(taken: Iterable[Taken]) -> float | None:
    """The energy import register among `taken`: its total, else the sum of its phases."""
    found = [sample for one in taken for sample in one.samples if sample.measurand == IMPORT_REGISTER]
    total = [sample.value for sample in found if sample.phase is None] or [sample.value for sample in found]
    return float(f"{sum(total):.15g}") if total else None
