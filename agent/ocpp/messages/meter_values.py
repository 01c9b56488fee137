"""Messages of functional block J, and the meter values that transactions share."""

from typing import Literal

from agent.ocpp.messages.base import (
    DateTime,
    Decimal,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    Request,
    Response,
    Text20,
    Text50,
    Text2500,
)

Measurand = Literal[
    "Current.Export",
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Active.Net",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Net",
    "Energy.Apparent.Net",
    "Energy.Apparent.Import",
    "Energy.Apparent.Export",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "SoC",
    "Voltage",
]
"""MeasurandEnumType."""

Context = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Other",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
]
"""ReadingContextEnumType."""

Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
"""PhaseEnumType."""

Location = Literal["Body", "Cable", "EV", "Inlet", "Outlet"]
"""LocationEnumType."""


class SignedMeterValueType(Message):
    """What the meter signed."""

    signed_meter_data: Text2500
    signing_method: Text50
    encoding_method: Text50
    public_key: Text2500


class UnitOfMeasureType(Message):
    """Left out, it is Wh."""

    unit: Omissible[Text20] = None
    multiplier: Omissible[Integer] = None


class SampledValueType(Message):
    """One sample."""

    value: Decimal
    context: Omissible[Context] = None
    measurand: Omissible[Measurand] = None
    phase: Omissible[Phase] = None
    location: Omissible[Location] = None
    signed_meter_value: Omissible[SignedMeterValueType] = None
    unit_of_measure: Omissible[UnitOfMeasureType] = None


class MeterValueType(Message):
    """Samples of one moment."""

    sampled_value: OneOrMore[SampledValueType]
    timestamp: DateTime


class MeterValuesRequest(Request):
    """J01: values outside of transactions; `evse_id` 0 is the station's meter."""

    evse_id: Integer
    meter_value: OneOrMore[MeterValueType]


class MeterValuesResponse(Response):
    """J01."""
