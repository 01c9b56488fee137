"""A charging profile, as RequestStartTransaction may bring it (part 2, block K)."""

from typing import Annotated, Literal, TypeVar

from pydantic import Field, WithJsonSchema

from agent.ocpp.messages.base import DateTime, Decimal, Integer, Message, Omissible, Text36

_T = TypeVar("_T")
OneToThree = Annotated[tuple[_T, ...], Field(min_length=1, max_length=3)]
OneTo1024 = Annotated[tuple[_T, ...], Field(min_length=1, max_length=1024)]
Text32 = Annotated[str, Field(max_length=32)]
NotNegative = Annotated[Integer, Field(ge=0), WithJsonSchema({"type": "integer", "minimum": 0})]


class ChargingSchedulePeriodType(Message):
    """A limit from `start_period` (s) on."""

    start_period: Integer
    limit: Decimal
    number_phases: Omissible[Integer] = None
    phase_to_use: Omissible[Integer] = None


class RelativeTimeIntervalType(Message):
    """When a tariff applies."""

    start: Integer
    duration: Omissible[Integer] = None


class CostType(Message):
    """A cost of one kind."""

    cost_kind: Literal["CarbonDioxideEmission", "RelativePricePercentage", "RenewableGenerationPercentage"]
    amount: Integer
    amount_multiplier: Omissible[Integer] = None


class ConsumptionCostType(Message):
    """Costs from a power on."""

    start_value: Decimal
    cost: OneToThree[CostType]


class SalesTariffEntryType(Message):
    """A tariff of an interval."""

    relative_time_interval: RelativeTimeIntervalType
    e_price_level: Omissible[NotNegative] = None
    consumption_cost: Omissible[OneToThree[ConsumptionCostType]] = None


class SalesTariffType(Message):
    """A tariff for the car (ISO 15118)."""

    id: Integer
    sales_tariff_description: Omissible[Text32] = None
    num_e_price_levels: Omissible[Integer] = None
    sales_tariff_entry: OneTo1024[SalesTariffEntryType]


class ChargingScheduleType(Message):
    """Limits over time."""

    id: Integer
    start_schedule: Omissible[DateTime] = None
    duration: Omissible[Integer] = None
    charging_rate_unit: Literal["W", "A"]
    charging_schedule_period: OneTo1024[ChargingSchedulePeriodType]
    min_charging_rate: Omissible[Decimal] = None
    sales_tariff: Omissible[SalesTariffType] = None


class ChargingProfileType(Message):
    """A charging profile."""

    id: Integer
    stack_level: Integer
    charging_profile_purpose: Literal[
        "ChargingStationExternalConstraints", "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"
    ]
    charging_profile_kind: Literal["Absolute", "Recurring", "Relative"]
    recurrency_kind: Omissible[Literal["Daily", "Weekly"]] = None
    valid_from: Omissible[DateTime] = None
    valid_to: Omissible[DateTime] = None
    charging_schedule: OneToThree[ChargingScheduleType]
    transaction_id: Omissible[Text36] = None
