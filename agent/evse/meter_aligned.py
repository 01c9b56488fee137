"""Clock-aligned meter values outside of transactions (J01): of the station's meter and of EVSEs without transaction.

Those of an EVSE with a transaction go with its TransactionEvents (J01.FR.22, `agent.evse.metering.Sampling`).
"""

from collections.abc import Callable, Mapping

from agent.clock import Clock
from agent.evse.meter_reading import Meter
from agent.evse.meter_times import Instants
from agent.evse.records import MeterValue
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel

ALIGNED = "AlignedDataCtrlr"


class Aligned:
    """`meters` by EVSE id, 0 for the station's; `busy` tells whether an EVSE has a transaction."""

    def __init__(
        self,
        model: DeviceModel,
        meters: Mapping[int, Meter],
        clock: Clock,
        busy: Callable[[int], bool],
    ) -> None:
        self._model = model
        self._settings = EvseSettings(model)
        self._meters = dict(sorted(meters.items()))
        self._clock = clock
        self._busy = busy
        self._instants = Instants(clock)

    def due(self) -> float | None:
        """The monotonic time of the next thing to do, as the clock goes now: ask again after it was corrected."""
        return self._instants.due(interval(self._settings))

    def step(self) -> list[tuple[int, MeterValue]]:
        """What is to be sent now: (EVSE id, value) of each MeterValuesRequest (J01.FR.14)."""
        at = self._instants.fire(interval(self._settings))
        if at is None:
            return []
        running = {evse for evse in self._meters if evse and self._busy(evse)}
        if running and idle_only(self._model, None):  # J01.FR.20
            return []
        signed = self._settings.flag(ALIGNED, "SignReadings")
        return [
            (evse, MeterValue(at, value.samples))
            for evse in self._meters
            if evse not in running and (value := self._sample(evse, "Sample.Clock", signed=signed)) is not None
        ]

    def trigger(self, evse: int | None = None) -> list[tuple[int, MeterValue]]:
        """The measurements of now, of `evse` or of all (F06.FR.06, F06.FR.11)."""
        wanted = [one for one in self._meters if evse is None or one == evse]
        signed = self._settings.flag(ALIGNED, "SignReadings")
        return [(one, value) for one in wanted if (value := self._sample(one, "Trigger", signed=signed)) is not None]

    def _sample(self, evse: int, context: str, *, signed: bool) -> MeterValue | None:
        meter = self._meters[evse]
        key = self._settings.text("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue") == "EveryMeterValue"
        return meter.sample(self._settings.members(ALIGNED, "Measurands"), context, signed=signed, public_key=key)


def interval(settings: EvseSettings, variable: str = "Interval") -> int:
    """Seconds between clock-aligned values; 0 for none."""
    return max(0, settings.integer(ALIGNED, variable)) if settings.flag(ALIGNED, "Enabled", True) else 0


def idle_only(model: DeviceModel, evse: int | None) -> bool:
    """SendDuringIdle of that EVSE, or of the whole station."""
    found = model.get(Component(ALIGNED, evse=evse), "SendDuringIdle")
    return found is not None and found.actual.current is True
