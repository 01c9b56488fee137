"""Messages of functional block K, smart charging."""

from typing import Literal

from agent.ocpp.messages.base import (
    DateTime,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    OneToFour,
    Request,
    Response,
    StatusInfoType,
)
from agent.ocpp.messages.charging_profile import (
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
)

LimitSource = Literal["EMS", "Other", "SO", "CSO"]
"""ChargingLimitSourceEnumType."""

Purpose = Literal["ChargingStationExternalConstraints", "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"]
"""ChargingProfilePurposeEnumType."""


class SetChargingProfileRequest(Request):
    """K01: install or replace a charging profile."""

    evse_id: Integer
    charging_profile: ChargingProfileType


class SetChargingProfileResponse(Response):
    """K01."""

    status: Literal["Accepted", "Rejected"]
    status_info: Omissible[StatusInfoType] = None


class ChargingProfileCriterionType(Message):
    """Which charging profiles are asked for."""

    charging_profile_purpose: Omissible[Purpose] = None
    stack_level: Omissible[Integer] = None
    charging_profile_id: Omissible[OneOrMore[Integer]] = None
    charging_limit_source: Omissible[OneToFour[LimitSource]] = None


class GetChargingProfilesRequest(Request):
    """K09: report charging profiles."""

    request_id: Integer
    evse_id: Omissible[Integer] = None
    charging_profile: ChargingProfileCriterionType


class GetChargingProfilesResponse(Response):
    """K09."""

    status: Literal["Accepted", "NoProfiles"]
    status_info: Omissible[StatusInfoType] = None


class ReportChargingProfilesRequest(Request):
    """K09: profiles of one EVSE and one source; `tbc` tells that more messages follow."""

    request_id: Integer
    charging_limit_source: LimitSource
    charging_profile: OneOrMore[ChargingProfileType]
    tbc: Omissible[bool] = None
    evse_id: Integer


class ReportChargingProfilesResponse(Response):
    """K09."""


class ClearChargingProfileType(Message):
    """Which charging profiles are to go."""

    evse_id: Omissible[Integer] = None
    charging_profile_purpose: Omissible[Purpose] = None
    stack_level: Omissible[Integer] = None


class ClearChargingProfileRequest(Request):
    """K10: remove charging profiles."""

    charging_profile_id: Omissible[Integer] = None
    charging_profile_criteria: Omissible[ClearChargingProfileType] = None


class ClearChargingProfileResponse(Response):
    """K10."""

    status: Literal["Accepted", "Unknown"]
    status_info: Omissible[StatusInfoType] = None


class GetCompositeScheduleRequest(Request):
    """K08: what limits an EVSE for `duration` s."""

    duration: Integer
    charging_rate_unit: Omissible[Literal["W", "A"]] = None
    evse_id: Integer


class CompositeScheduleType(Message):
    """Limits of an EVSE, from `schedule_start` on."""

    charging_schedule_period: OneOrMore[ChargingSchedulePeriodType]
    evse_id: Integer
    duration: Integer
    schedule_start: DateTime
    charging_rate_unit: Literal["W", "A"]


class GetCompositeScheduleResponse(Response):
    """K08."""

    status: Literal["Accepted", "Rejected"]
    status_info: Omissible[StatusInfoType] = None
    schedule: Omissible[CompositeScheduleType] = None


class ChargingLimitType(Message):
    """Who limits."""

    charging_limit_source: LimitSource
    is_grid_critical: Omissible[bool] = None


class NotifyChargingLimitRequest(Request):
    """K11, K12: an external system limits the station, or an EVSE."""

    charging_schedule: Omissible[OneOrMore[ChargingScheduleType]] = None
    evse_id: Omissible[Integer] = None
    charging_limit: ChargingLimitType


class NotifyChargingLimitResponse(Response):
    """K11, K12."""


class ClearedChargingLimitRequest(Request):
    """K13: an external limit is gone."""

    charging_limit_source: LimitSource
    evse_id: Omissible[Integer] = None


class ClearedChargingLimitResponse(Response):
    """K13."""
