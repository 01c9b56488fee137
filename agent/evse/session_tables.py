"""What part 2 says of transactions, as literal tables: when they start and stop, why, and the state of a charge."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A value of TxStartPoint and TxStopPoint (part 2, referenced variables §2.6.6): it holds while all of `facts`
    do. A transaction starts when it begins to hold, and stops when it no longer does (E01, E06).
    """

    name: str
    facts: tuple[str, ...]


POINTS = (
    Point("ParkingBayOccupancy", ("bay occupied",)),  # E01.FR.01, E06.FR.01
    Point("EVConnected", ("connected",)),  # E01.FR.02, E06.FR.02
    Point("Authorized", ("authorized",)),  # E01.FR.03, E06.FR.03
    Point("PowerPathClosed", ("authorized", "connected", "locked")),  # E01.FR.05, E06.FR.06, G05.FR.01
    Point("EnergyTransfer", ("flowing",)),  # E01.FR.06, E06.FR.07
)
"""DataSigned is not among them: it can start a transaction where a meter signs, and stops none (erratum 2.24)."""


@dataclass(frozen=True, slots=True)
class State:
    """A value of ChargingStateEnumType, which holds when all of `facts` do and no row above does; None: no change."""

    name: str | None
    facts: tuple[str, ...]


CHARGING_STATES = (
    State("Idle", ("not connected",)),
    State("EVConnected", ("not authorized",)),
    State("EVConnected", ("not offering", "offer awaited")),
    State("SuspendedEVSE", ("not offering",)),
    State("Charging", ("flowing",)),
    State("SuspendedEV", ("patience over",)),
    State(None, ()),
)
"""ChargingStateEnumType (part 2 §3.16), read from the top: the first row that fits is the state."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why authorization, and with it perhaps the transaction, ends: what the CSMS is told of it."""

    trigger: str
    """TriggerReasonEnumType."""
    reason: str
    """ReasonEnumType."""
    ends_transaction: bool = False
    """Whether it ends the transaction whatever TxStopPoint says."""


CAUSES = {
    "token": Cause("StopAuthorized", "Local"),  # E07.FR.02, E07.FR.05
    "button": Cause("StopAuthorized", "Local"),
    "master pass": Cause("StopAuthorized", "MasterPass"),  # C16, erratum 2.22
    "remote": Cause("RemoteStop", "Remote"),  # F03.FR.02, F03.FR.03
    "deauthorized": Cause("Deauthorized", "DeAuthorized"),  # E05.FR.09, E05.FR.10
    "cable": Cause("EVCommunicationLost", "EVDisconnected"),  # E09.FR.01
    "bay": Cause("EVDeparted", "EVDisconnected"),  # E06.FR.01
    "timeout": Cause("EVConnectTimeout", "Timeout"),  # E03.FR.05, E03.FR.15, C01.FR.26
    "energy by EV": Cause("ChargingStateChanged", "StoppedByEV"),  # E06.FR.07
    "energy by EVSE": Cause("ChargingStateChanged", "Other"),
    "energy refused": Cause("ChargingStateChanged", "DeAuthorized"),  # E05.FR.02 with TxStopPoint EnergyTransfer
    "lock": Cause("AbnormalCondition", "Other"),  # G05.FR.01
    "fault": Cause("AbnormalCondition", "Other", ends_transaction=True),  # E06.FR.16
    "ground fault": Cause("AbnormalCondition", "GroundFault", ends_transaction=True),
    "emergency": Cause("AbnormalCondition", "EmergencyStop", ends_transaction=True),
    "power loss": Cause("AbnormalCondition", "PowerLoss", ends_transaction=True),
    "reset": Cause("ResetCommand", "ImmediateReset", ends_transaction=True),  # B12.FR.04
}


def hold(facts: frozenset[str]) -> frozenset[str]:
    """The points that hold while `facts` do."""
    return frozenset(point.name for point in POINTS if facts.issuperset(point.facts))


def charging_state(facts: frozenset[str], present: str) -> str:
    """The charging state while `facts` hold, coming from `present`; "not X" holds while X does not."""
    for state in CHARGING_STATES:
        if all((fact[4:] not in facts) if fact.startswith("not ") else fact in facts for fact in state.facts):
            return present if state.name is None else state.name
    raise AssertionError("the last row always fits")
