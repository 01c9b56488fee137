"""Functional block K: charging profiles and limits, to and from the station's own terms.

Whether a profile can be followed is the host's to judge; what the schema forbids never comes here.
A salesTariff (ISO 15118) is not kept, and so not reported.
"""

import math
from collections.abc import Iterable, Iterator

from agent.charging.notices import Notice
from agent.charging.profiles import Period, Profile, Schedule
from agent.clock import Clock
from agent.ocpp.handling import CallRefused, Context, Reply, status_info
from agent.ocpp.host import SmartCharging
from agent.ocpp.messages import Request
from agent.ocpp.messages.charging_profile import (
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
)
from agent.ocpp.messages.smart_charging import (
    ChargingLimitType,
    ClearChargingProfileRequest,
    ClearChargingProfileResponse,
    ClearedChargingLimitRequest,
    CompositeScheduleType,
    GetChargingProfilesRequest,
    GetChargingProfilesResponse,
    GetCompositeScheduleRequest,
    GetCompositeScheduleResponse,
    NotifyChargingLimitRequest,
    ReportChargingProfilesRequest,
    SetChargingProfileRequest,
    SetChargingProfileResponse,
)
from agent.ocpp.rpc import CallReceived, ErrorCode
from agent.ocpp.variables_smart import ENABLED

BYTES = 60_000
"""Size of the profiles in one ReportChargingProfiles at most, unless a single profile is larger."""

GRID = "SO"
"""The source whose limits are critical for the grid: the system operator."""

Installed = tuple[int, str, Profile]
"""EVSE id, ChargingLimitSourceEnumType, profile."""


def smart_charging(context: Context) -> SmartCharging | None:
    """Charging profiles and limits; None where there are none, or SmartChargingCtrlr.Enabled is false."""
    charging = context.host.charging
    if charging is None:
        return None
    variable = context.settings.variable(ENABLED)
    return None if variable is not None and variable.actual.current is False else charging.smart_charging


def _supported(context: Context) -> SmartCharging:
    """Raises CallRefused without smart charging (K01.FR.29)."""
    found = smart_charging(context)
    if found is None:
        raise CallRefused(ErrorCode.NOT_SUPPORTED, "smart charging is not enabled")
    return found


# --- the CSMS's CALLs ----------------------------------------------------------------------------------------------


async def set_charging_profile(context: Context, call: CallReceived) -> Reply:
    """K01."""
    request = call.request
    assert isinstance(request, SetChargingProfileRequest)
    answer = await _supported(context).set_profile(request.evse_id, profile_of(request.charging_profile))
    return Reply(
        SetChargingProfileResponse(
            status=answer.status,  # type: ignore[arg-type]
            status_info=status_info(answer.reason_code, answer.info),
        )
    )


async def get_charging_profiles(context: Context, call: CallReceived) -> Reply:
    """K09: the response first, then the report. Before the CSMS accepted the station nothing is sent (B02.FR.02)."""
    request = call.request
    assert isinstance(request, GetChargingProfilesRequest)
    charging, wanted = _supported(context), request.charging_profile
    if not context.triggers.accepted:
        return Reply(GetChargingProfilesResponse(status="NoProfiles", status_info=status_info("CSNotAccepted")))
    found = charging.profiles(
        evse=request.evse_id,
        ids=wanted.charging_profile_id or (),
        purpose=wanted.charging_profile_purpose,
        stack=wanted.stack_level,
        sources=wanted.charging_limit_source or (),
    )
    if not found:
        return Reply(GetChargingProfilesResponse(status="NoProfiles"))
    messages = report(request.request_id, found)

    def send() -> None:
        for message in messages:
            context.triggers.send(message)

    return Reply(GetChargingProfilesResponse(status="Accepted"), send)


async def clear_charging_profile(context: Context, call: CallReceived) -> Reply:
    """K10: an id alone counts (K10.FR.03); what is not named matches, so without any criterion all go (K10.FR.04)."""
    request = call.request
    assert isinstance(request, ClearChargingProfileRequest)
    clear, criteria = _supported(context).clear_profiles, request.charging_profile_criteria
    if request.charging_profile_id is not None:
        found = await clear(id=request.charging_profile_id)
    elif criteria is None:
        found = await clear()
    else:
        found = await clear(
            evse=criteria.evse_id, purpose=criteria.charging_profile_purpose, stack=criteria.stack_level
        )
    return Reply(ClearChargingProfileResponse(status="Accepted" if found else "Unknown"))


async def get_composite_schedule(context: Context, call: CallReceived) -> Reply:
    """K08."""
    request = call.request
    assert isinstance(request, GetCompositeScheduleRequest)
    charging = _supported(context)
    if request.charging_rate_unit not in (None, *charging.units):  # K08.FR.07
        return _no_schedule("UnsupportedRateUnit")
    if request.duration <= 0:
        return _no_schedule("ValueOutOfRange", "duration is not above 0")
    found = charging.composite(request.evse_id, request.duration, request.charging_rate_unit)
    if found is None:
        return _no_schedule("UnknownEvse", f"there is no EVSE {request.evse_id}")
    start, schedule = found
    told = CompositeScheduleType(
        evse_id=request.evse_id,
        schedule_start=start,
        duration=request.duration if schedule.duration is None else schedule.duration,
        charging_rate_unit=schedule.unit,
        charging_schedule_period=tuple(map(_period_to, schedule.periods)),
    )
    return Reply(GetCompositeScheduleResponse(status="Accepted", schedule=told))


def _no_schedule(code: str, info: str = "") -> Reply:
    """K08.FR.05."""
    return Reply(GetCompositeScheduleResponse(status="Rejected", status_info=status_info(code, info)))


# --- reports -------------------------------------------------------------------------------------------------------


def report(request_id: int, found: Iterable[Installed]) -> list[ReportChargingProfilesRequest]:
    """K09: at least one message for each EVSE and source, with tbc in all but the last (K09.FR.01, FR.02)."""
    groups: dict[tuple[int, str], list[ChargingProfileType]] = {}
    for evse, source, profile in found:
        groups.setdefault((evse, source), []).append(profile_to(profile))
    parts = [(place, part) for place, group in groups.items() for part in _parts(group)]
    return [
        ReportChargingProfilesRequest(
            request_id=request_id,
            charging_limit_source=source,  # type: ignore[arg-type]
            charging_profile=part,
            tbc=number < len(parts),
            evse_id=evse,
        )
        for number, ((evse, source), part) in enumerate(parts, start=1)
    ]


def _parts(profiles: Iterable[ChargingProfileType]) -> Iterator[tuple[ChargingProfileType, ...]]:
    part: list[ChargingProfileType] = []
    size = 0
    for profile in profiles:
        length = len(profile.to_json()) + 1
        if part and size + length > BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(profile)
        size += length
    if part:
        yield tuple(part)


def limit_message(notice: Notice, *, with_schedules: bool, clock: Clock) -> Request:
    """What the CSMS is told of an external limit that came, changed (K11, K12) or went (K13).

    The limit itself is told `with_schedules` alone (K11.FR.03, K12.FR.03), from now on, rounded down to a tenth.
    """
    evse = notice.evse or None
    if notice.value is None:
        return ClearedChargingLimitRequest(charging_limit_source=notice.source, evse_id=evse)  # type: ignore[arg-type]
    schedule = None
    if with_schedules:
        left = None if notice.until is None else max(1, math.ceil(notice.until - clock.monotonic()))
        periods = (ChargingSchedulePeriodType(start_period=0, limit=math.floor(notice.value * 10 + 1e-6) / 10),)
        schedule = ChargingScheduleType(
            id=1,
            start_schedule=clock.now(),
            duration=left,
            charging_rate_unit=notice.unit,
            charging_schedule_period=periods,
        )
    return NotifyChargingLimitRequest(
        charging_limit=ChargingLimitType(
            charging_limit_source=notice.source,  # type: ignore[arg-type]
            is_grid_critical=True if notice.source == GRID else None,
        ),
        evse_id=evse,
        charging_schedule=None if schedule is None else (schedule,),
    )


# --- profiles ------------------------------------------------------------------------------------------------------


def profile_of(told: ChargingProfileType) -> Profile:
    """The charging profile of a message."""
    return Profile(
        told.id,
        told.charging_profile_purpose,
        told.charging_profile_kind,
        told.stack_level,
        tuple(map(_schedule_of, told.charging_schedule)),
        told.recurrency_kind,
        told.valid_from,
        told.valid_to,
        told.transaction_id,
    )


def _schedule_of(told: ChargingScheduleType) -> Schedule:
    return Schedule(
        told.id,
        told.charging_rate_unit,
        tuple(
            Period(one.start_period, one.limit, one.number_phases, one.phase_to_use)
            for one in told.charging_schedule_period
        ),
        told.start_schedule,
        told.duration,
        told.min_charging_rate,
    )


def profile_to(profile: Profile) -> ChargingProfileType:
    """A charging profile as a message has it."""
    return ChargingProfileType(
        id=profile.id,
        stack_level=profile.stack,
        charging_profile_purpose=profile.purpose,  # type: ignore[arg-type]
        charging_profile_kind=profile.kind,  # type: ignore[arg-type]
        recurrency_kind=profile.recurrency,  # type: ignore[arg-type]
        valid_from=profile.valid_from,
        valid_to=profile.valid_to,
        charging_schedule=tuple(map(_schedule_to, profile.schedules)),
        transaction_id=profile.transaction,
    )


def _schedule_to(schedule: Schedule) -> ChargingScheduleType:
    return ChargingScheduleType(
        id=schedule.id,
        start_schedule=schedule.start,
        duration=schedule.duration,
        charging_rate_unit=schedule.unit,
        charging_schedule_period=tuple(map(_period_to, schedule.periods)),
        min_charging_rate=schedule.min_rate,
    )


def _period_to(period: Period) -> ChargingSchedulePeriodType:
    return ChargingSchedulePeriodType(
        start_period=period.start,
        limit=period.limit,
        number_phases=period.phases,
        phase_to_use=period.phase,
    )
