"""What control systems may read of the station, gathered from the EVSEs as they are now."""

from collections.abc import Mapping

from agent.charging.arbiter import Arbiter
from agent.charging.car import Rating
from agent.ems.telemetry import EvseTelemetry, Phases, Telemetry
from agent.evse.evse import Evse
from agent.evse.metering import Meter


def telemetry(
    evses: Mapping[int, Evse], meters: Mapping[int, Meter], ratings: Mapping[int, Rating], arbiter: Arbiter
) -> Telemetry:
    """A picture of this moment."""
    found = tuple(_evse(evse, meters[number], ratings[number], arbiter) for number, evse in evses.items())
    powers = [one.power_w for one in found if one.power_w is not None]
    watts = max((one.phases * one.voltage for one in ratings.values()), default=1.0)  # of one A on all phases
    amps = [
        (limit.value if limit.unit == "A" else limit.value / watts, limit.source)
        for limit in arbiter.limits
        if limit.scope == 0 and limit.value is not None
    ]
    tight, source = min(amps, default=(None, ""))
    return Telemetry(
        power_w=sum(powers) if len(powers) == len(found) else None,
        current_a=_sum(found),
        limit_a=tight,
        source=source,
        evses=found,
    )


def _evse(evse: Evse, meter: Meter, rating: Rating, arbiter: Arbiter) -> EvseTelemetry:
    active = evse.active
    pilot = active or next(iter(evse.connectors.values()))
    decision, register = arbiter.decisions[evse.id], meter.register()
    return EvseTelemetry(
        id=evse.id,
        status=pilot.raw or "",
        connected=evse.connected,
        charging=evse.state == "Charging",
        enabled=evse.auth is not None,
        offered_a=0.0 if active is None else active.command.offered,
        limit_a=decision.current,
        min_a=rating.least,
        max_a=rating.most,
        voltage_v=_lines(meter.voltages()),
        current_a=_lines(meter.currents()),
        power_w=meter.power(),
        energy_wh=None if register is None else register.wh,
        session_wh=None if evse.sampling is None else evse.sampling.energy(),
        phases=meter.phases_used() if evse.state == "Charging" else None,
        token="" if evse.auth is None else evse.auth.token.id,
        reason=decision.reason,
    )


def _lines(values: tuple[float, ...] | None) -> Phases:
    padded = [*(values or ()), None, None, None]
    return padded[0], padded[1], padded[2]


def _sum(evses: tuple[EvseTelemetry, ...]) -> Phases:
    """A of each line; of an EVSE on one phase the others are 0."""
    if any(one.current_a[0] is None for one in evses):
        return None, None, None
    one, two, three = (sum(evse.current_a[line] or 0.0 for evse in evses) for line in range(3))
    return one, two, three
