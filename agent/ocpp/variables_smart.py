"""SmartChargingCtrlr: the variables of smart charging of a station with EVSEs.

Source: part 2, "Referenced Components and Variables" §2.9, in the spelling of the appendices.
What the specification leaves open is decided here, with its reason.
"""

from collections.abc import Sequence

from agent.model import DataType
from agent.ocpp.variables_table import BOOLEAN, INTEGER, READ_ONLY, READ_WRITE, Path, Row

COMPONENT = "SmartChargingCtrlr"

ENABLED: Path = (COMPONENT, "Enabled", None)

MAX_STACK, MAX_PERIODS, MAX_PROFILES = 20, 1024, 100
"""Highest stackLevel, periods in a schedule, profiles at any time; as in `agent.chargepoint.smart_charging`."""


def rows(evses: Sequence[int]) -> tuple[Row, ...]:
    """The rows of a station with `evses`."""
    return (
        Row(ENABLED, BOOLEAN, READ_WRITE, "true"),
        Row((COMPONENT, "Available", None), BOOLEAN, READ_ONLY, "true"),
        # No contactor here switches single phases.
        *(
            Row((COMPONENT, "ACPhaseSwitchingSupported", None), BOOLEAN, READ_ONLY, "false", evse=one)
            for one in evses
        ),
        Row((COMPONENT, "Phases3to1", None), BOOLEAN, READ_ONLY, "false"),
        Row((COMPONENT, "ProfileStackLevel", None), INTEGER, READ_ONLY, str(MAX_STACK)),
        Row((COMPONENT, "RateUnit", None), DataType.MEMBER_LIST, READ_ONLY, "A,W", values=("A", "W")),
        Row((COMPONENT, "PeriodsPerSchedule", None), INTEGER, READ_ONLY, str(MAX_PERIODS)),
        Row((COMPONENT, "ExternalControlSignalsEnabled", None), BOOLEAN, READ_WRITE, "true"),
        Row((COMPONENT, "NotifyChargingLimitWithSchedules", None), BOOLEAN, READ_WRITE, "false"),
        Row((COMPONENT, "Entries", "ChargingProfiles"), INTEGER, READ_ONLY, "0", min_limit=0, max_limit=MAX_PROFILES),
        Row(
            (COMPONENT, "LimitChangeSignificance", None),
            DataType.DECIMAL,
            READ_WRITE,
            "1.0",  # a change that a meter can tell
            "Percent",
            min_limit=0,
        ),
    )
