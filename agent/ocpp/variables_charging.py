"""The controllers' variables of a station that charges cars: transactions, authorization, metering, reservation.

Sources: part 2, "Referenced Components and Variables" §2.3 to §2.8, in the spelling of the appendices.
What the specification leaves open (what is supported, what the factory sets) is decided here, with its reason.
"""

from collections.abc import Sequence

from agent.evse.auth_cache import MAX_BYTES
from agent.evse.local_list import MAX_ENTRIES
from agent.model import DataType
from agent.ocpp.rpc import DEFAULT_MAX_SIZE
from agent.ocpp.variables_table import BOOLEAN, DAY, INTEGER, READ_ONLY, READ_WRITE, STRING, Path, Row

TX_START_POINT: Path = ("TxCtrlr", "TxStartPoint", None)
TX_STOP_POINT: Path = ("TxCtrlr", "TxStopPoint", None)

ENERGY = "Energy.Active.Import.Register"
MEASURANDS = (ENERGY, "Power.Active.Import", "Current.Import", "Voltage", "Current.Offered")
"""MeasurandEnumType: what an AC station with the usual meter can give."""

LIST_BYTES = 1000 * MAX_ENTRIES
"""Of keys and values of the local list: no entry is that long, so that `Entries` is what limits it."""

_POINTS = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")


def rows(
    evses: Sequence[int], measurands: Sequence[str] = MEASURANDS, *, bays: bool = True, signing: bool = False
) -> tuple[Row, ...]:
    """The rows of a station with `evses`.

    `measurands` are those that its meters can give, `bays` tells whether every EVSE sees its parking bay, `signing`
    whether a meter signs what it measures: without, nothing about signatures is reported (§2.7.3, §2.7.14).
    """
    return (
        *_transactions(bays),
        *_authorization(),
        *_lists(),
        *_metering(evses, tuple(measurands), signing),
        _flag("ReservationCtrlr", "Available", settable=False),
        _flag("ReservationCtrlr", "Enabled"),
        _flag("ReservationCtrlr", "NonEvseSpecific", settable=False),
    )


def _flag(component: str, name: str, *, on: bool = True, settable: bool = True, evse: int | None = None) -> Row:
    mutability = READ_WRITE if settable else READ_ONLY
    return Row((component, name, None), BOOLEAN, mutability, "true" if on else "false", evse=evse)


def _seconds(component: str, name: str, default: int, least: int = 0, most: int | None = None) -> Row:
    return Row((component, name, None), INTEGER, READ_WRITE, str(default), "s", least, most)


def _told(component: str, name: str, value: int, unit: str | None = None, most: int | None = None) -> Row:
    """A number that only the station changes."""
    return Row((component, name, None), INTEGER, READ_ONLY, str(value), unit, 0, most)


def _transactions(bays: bool) -> tuple[Row, ...]:
    # Without DataSigned: no transaction here waits for a signature to start, and none ends by it (§2.6.6.2).
    points = _POINTS if bays else _POINTS[1:]
    members = DataType.MEMBER_LIST
    return (
        _seconds("TxCtrlr", "EVConnectionTimeOut", 60, least=1),
        _flag("TxCtrlr", "StopTxOnEVSideDisconnect"),
        _flag("TxCtrlr", "StopTxOnInvalidId"),
        Row(("TxCtrlr", "MaxEnergyOnInvalidId", None), INTEGER, READ_WRITE, "0", "Wh", min_limit=0),
        Row(TX_START_POINT, members, READ_WRITE, "PowerPathClosed", values=points),
        Row(TX_STOP_POINT, members, READ_WRITE, "EVConnected,Authorized", values=points),
    )


def _authorization() -> tuple[Row, ...]:
    return (
        _flag("AuthCtrlr", "Enabled"),
        Row(("AuthCtrlr", "AdditionalInfoItemsPerMessage", None), INTEGER, READ_ONLY, "10", min_limit=0),
        _flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", on=False),  # nobody pays for whom nobody knows
        _flag("AuthCtrlr", "AuthorizeRemoteStart"),
        _flag("AuthCtrlr", "LocalAuthorizeOffline"),
        _flag("AuthCtrlr", "LocalPreAuthorize", on=False),  # while the CSMS can be asked, its word is the newest
        Row(("AuthCtrlr", "MasterPassGroupId", None), STRING, READ_WRITE, "", max_limit=36),
        _flag("AuthCtrlr", "DisableRemoteAuthorization", on=False),
    )


def _lists() -> tuple[Row, ...]:
    """§2.4 and §2.5. Storage and Entries are told by the cache and the list themselves."""
    cache, local = "AuthCacheCtrlr", "LocalAuthListCtrlr"
    return (
        _flag(cache, "Available", settable=False),
        _flag(cache, "Enabled"),
        _seconds(cache, "LifeTime", 30 * DAY),
        _told(cache, "Storage", 0, "B", MAX_BYTES),
        Row((cache, "Policy", None), DataType.OPTION_LIST, READ_WRITE, "LRU", values=("LRU",)),
        _flag(cache, "DisablePostAuthorize", on=False),
        _flag(local, "Available", settable=False),
        _flag(local, "Enabled"),
        _told(local, "Entries", 0, most=MAX_ENTRIES),
        _told(local, "Storage", 0, "B", LIST_BYTES),
        _told(local, "ItemsPerMessage", 1000),
        _told(local, "BytesPerMessage", DEFAULT_MAX_SIZE),
        _flag(local, "DisablePostAuthorize", on=False),
        _flag(local, "SupportsExpiryDateTime", settable=False),
    )


def _metering(evses: Sequence[int], measurands: tuple[str, ...], signing: bool) -> tuple[Row, ...]:
    sampled, aligned = "SampledDataCtrlr", "AlignedDataCtrlr"
    usual = ENERGY if ENERGY in measurands else ""
    result = [
        _flag(sampled, "Available", settable=False),
        _flag(sampled, "Enabled"),
        _measurands(sampled, "TxStartedMeasurands", usual, measurands),
        _measurands(sampled, "TxUpdatedMeasurands", usual, measurands),
        _seconds(sampled, "TxUpdatedInterval", 300),
        _measurands(sampled, "TxEndedMeasurands", usual, measurands),
        _seconds(sampled, "TxEndedInterval", 0),  # start and end alone, as §2.7.5 recommends
        _flag(sampled, "RegisterValuesWithoutPhases", on=False),
        _flag(aligned, "Available", settable=False),
        _flag(aligned, "Enabled"),
        _measurands(aligned, "Measurands", usual, measurands),
        _seconds(aligned, "Interval", 0, most=DAY),  # none until somebody asks for them
        _measurands(aligned, "TxEndedMeasurands", "", measurands),
        _seconds(aligned, "TxEndedInterval", 0, most=DAY),
        _flag(aligned, "SendDuringIdle", on=False),
        *(_flag(aligned, "SendDuringIdle", on=False, evse=evse) for evse in evses),
    ]
    if signing:
        result += [_flag(sampled, "SignReadings", on=False), _flag(aligned, "SignReadings", on=False)]
        path = ("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue", None)
        values = ("Never", "OncePerTransaction", "EveryMeterValue")
        result.append(Row(path, DataType.OPTION_LIST, READ_WRITE, "Never", values=values))
    return tuple(result)


def _measurands(component: str, name: str, default: str, measurands: tuple[str, ...]) -> Row:
    """A list that the CSMS may set; one that nothing can be put in stays empty."""
    mutability = READ_WRITE if measurands else READ_ONLY
    # A text that is set is at most 1000 characters long (SetVariableDataType).
    return Row((component, name, None), DataType.MEMBER_LIST, mutability, default, max_limit=1000, values=measurands)
