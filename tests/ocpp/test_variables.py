"""The controllers' variables of charging: which there are, what they may be set to, and what is refused."""

import pytest

from agent.evse.settings import EvseSettings
from agent.model import (
    AttributeType,
    Component,
    DeviceModel,
    Mutability,
    Refusal,
    Variable,
    VariableName,
    check,
)
from agent.model.catalogue import lookup, variable_names
from agent.model.rules import check_value
from agent.ocpp.rpc import DEFAULT_MAX_SIZE
from agent.ocpp.variables import MEASURANDS, QUESTIONS, TX_START_POINT, TX_STOP_POINT, Settings, controllers
from tests.ocpp.official import schema
from tests.ocpp.parts import FakeClock

COMPONENTS = (
    *("TxCtrlr", "AuthCtrlr", "AuthCacheCtrlr", "LocalAuthListCtrlr"),
    *("SampledDataCtrlr", "AlignedDataCtrlr", "ReservationCtrlr", "SmartChargingCtrlr"),
)
SIGNING = (
    "SampledDataCtrlr.SignReadings",
    "AlignedDataCtrlr.SignReadings",
    "OCPPCommCtrlr.PublicKeyWithSignedMeterValue",
)
LISTS = (
    *(f"SampledDataCtrlr.Tx{when}Measurands" for when in ("Started", "Updated", "Ended")),
    *("AlignedDataCtrlr.Measurands", "AlignedDataCtrlr.TxEndedMeasurands"),
)


def made(evses: tuple[int, ...] = (1, 2), **more: object) -> dict[str, Variable]:
    """The controllers' variables by their address."""
    variables = controllers(FakeClock(), "CS001", 1, evses=evses, **more)  # type: ignore[arg-type]
    found = {str(variable): variable for variable in variables}
    assert len(found) == len(variables)
    return found


def refusal(place: str, text: str, variables: dict[str, Variable] | None = None) -> str:
    """Why the CSMS may not set it; "" if it may."""
    variable = (variables or made())[place]
    answer = check(variable, AttributeType.ACTUAL, text)
    if isinstance(answer, Refusal):
        return answer.code
    question = QUESTIONS.get((variable.component.name, variable.name.name, variable.name.instance))
    further = None if question is None else question(text)
    return "" if further is None else further.code


# --- which there are ----------------------------------------------------------------------------------------------


def test_a_station_without_evses_has_none_of_them() -> None:
    names = {variable.component.name for variable in made(()).values()}
    assert names == {"OCPPCommCtrlr", "DeviceDataCtrlr", "ClockCtrlr", "SecurityCtrlr", "MonitoringCtrlr"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_the_standard_requires_of_each_controller_is_there_with_a_value(component: str) -> None:
    variables = made()
    required = [name for name in variable_names(component) if (one := lookup(component, name)) and one.required]
    for name in required:
        assert variables[f"{component}.{name}"].actual.value is not None, name


def test_every_variable_is_what_the_standard_says_of_it() -> None:
    for place, variable in made(signing=True).items():
        standard = lookup(variable.component.name, variable.name.name, variable.name.instance)
        if variable.component.name not in COMPONENTS or place == "LocalAuthListCtrlr.SupportsExpiryDateTime":
            continue  # that one is in part 2 §2.5.8, but not in the appendices
        assert standard is not None, place
        assert standard.data_type is variable.characteristics.data_type, place
        if standard.units:
            assert variable.characteristics.unit in standard.units, place


def test_every_factory_value_is_one_that_may_be_set() -> None:
    """Or of what only the station changes, one of its kind and within its limits."""
    for place, variable in made(signing=True).items():
        if variable.actual.value is None:
            continue
        answer = check_value(variable, AttributeType.ACTUAL, variable.actual.text())
        assert not isinstance(answer, Refusal), (place, answer)
        if variable.actual.mutability is not Mutability.READ_ONLY:
            assert refusal(place, variable.actual.text(), made(signing=True)) == "", place


def test_a_fresh_station_starts_and_stops_where_its_contract_says() -> None:
    model = DeviceModel()
    for variable in made().values():
        model.add(variable)
    settings = EvseSettings(model)
    assert settings.members("TxCtrlr", "TxStartPoint") == ("PowerPathClosed",)
    assert settings.members("TxCtrlr", "TxStopPoint") == ("EVConnected", "Authorized")
    assert settings.integer("TxCtrlr", "EVConnectionTimeOut") == 60
    assert settings.flag("TxCtrlr", "StopTxOnInvalidId") and settings.flag("AuthCtrlr", "Enabled")
    assert not settings.flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", True)


def test_what_the_csms_may_set_survives_a_power_cut_and_what_it_may_not_is_not_stored() -> None:
    for variable in made(signing=True).values():
        assert variable.actual.persistent is (variable.actual.mutability is not Mutability.READ_ONLY), variable


@pytest.mark.requirement("D01.FR.12")
def test_a_local_list_says_how_long_it_may_be_and_what_a_message_can_carry() -> None:
    variables = made()
    entries = variables["LocalAuthListCtrlr.Entries"]
    assert (entries.actual.value, entries.characteristics.max_limit) == (0, 50_000)
    assert variables["LocalAuthListCtrlr.BytesPerMessage"].actual.value == DEFAULT_MAX_SIZE
    assert Settings(DeviceModel()).integer(("LocalAuthListCtrlr", "BytesPerMessage", None)) == DEFAULT_MAX_SIZE


# --- meters and bays ----------------------------------------------------------------------------------------------


def test_without_a_meter_that_signs_nothing_about_signatures_is_reported() -> None:
    variables = made()
    assert not any(place in variables for place in SIGNING)
    assert refusal("TxCtrlr.TxStartPoint", "DataSigned", variables) == "InvalidValue"


def test_with_a_meter_that_signs_signatures_can_be_asked_for() -> None:
    variables = made(signing=True)
    assert all(place in variables for place in SIGNING)
    assert [variables[place].actual.text() for place in SIGNING] == ["false", "false", "Never"]
    assert refusal("TxCtrlr.TxStartPoint", "DataSigned", variables) == "InvalidValue"
    assert refusal("TxCtrlr.TxStopPoint", "DataSigned", variables) == "InvalidValue"
    assert refusal(SIGNING[2], "EveryMeterValue", variables) == ""
    assert refusal(SIGNING[2], "Always", variables) == "InvalidValue"


@pytest.mark.parametrize("place", LISTS)
def test_a_list_of_measurands_takes_what_the_meters_can_give_and_nothing_else(place: str) -> None:
    variables = made(measurands=("Energy.Active.Import.Register", "Voltage"))
    assert variables[place].characteristics.values_list == "Energy.Active.Import.Register,Voltage"
    assert refusal(place, "Voltage,Energy.Active.Import.Register", variables) == ""
    assert refusal(place, "", variables) == ""  # none at all
    assert refusal(place, "Voltage,SoC", variables) == "InvalidValue"
    assert refusal(place, "Voltage,Voltage", variables) == "InvalidValue"


@pytest.mark.parametrize("place", LISTS)
def test_where_no_energy_is_measured_the_factory_asks_for_none(place: str) -> None:
    assert made(measurands=("Voltage",))[place].actual.text() == ""


def test_where_nothing_is_measured_no_list_can_be_filled() -> None:
    variables = made(measurands=())
    assert [refusal(place, "Voltage", variables) for place in LISTS] == ["ReadOnly"] * len(LISTS)


def test_the_measurands_are_the_standards() -> None:
    known = schema("MeterValuesRequest")["definitions"]["MeasurandEnumType"]["enum"]
    assert set(MEASURANDS) <= set(known)


def test_each_evse_says_for_itself_whether_it_sends_during_idle() -> None:
    places = {place for place in made((1, 2, 3)) if place.endswith("SendDuringIdle")}
    assert places == {f"AlignedDataCtrlr{tier}.SendDuringIdle" for tier in ("", "@1", "@2", "@3")}


def test_a_bay_that_is_not_seen_starts_and_stops_nothing() -> None:
    for place in ("TxCtrlr.TxStartPoint", "TxCtrlr.TxStopPoint"):
        assert refusal(place, "ParkingBayOccupancy", made(bays=True)) == ""
        assert refusal(place, "ParkingBayOccupancy", made(bays=False)) == "InvalidValue"


def test_a_fresh_station_takes_charging_profiles_in_both_units_and_obeys_external_systems() -> None:
    variables = made((1, 2))
    values = {
        place.partition(".")[2]: variable.actual.text()
        for place, variable in variables.items()
        if variable.component.name == "SmartChargingCtrlr" and variable.component.evse is None
    }
    assert values == {
        "Enabled": "true",
        "Available": "true",
        "Phases3to1": "false",
        "ProfileStackLevel": "20",
        "RateUnit": "A,W",
        "PeriodsPerSchedule": "1024",
        "ExternalControlSignalsEnabled": "true",
        "NotifyChargingLimitWithSchedules": "false",
        "Entries[ChargingProfiles]": "0",
        "LimitChangeSignificance": "1",
    }
    entries = variables["SmartChargingCtrlr.Entries[ChargingProfiles]"]
    assert entries.characteristics.max_limit == 100
    for evse in (1, 2):
        assert variables[f"SmartChargingCtrlr@{evse}.ACPhaseSwitchingSupported"].actual.value is False


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [TX_START_POINT, TX_STOP_POINT])
def test_a_transaction_must_be_able_to_start_and_to_end(path: tuple[str, str, None]) -> None:
    place = f"{path[0]}.{path[1]}"
    for text in ("", " "):
        assert refusal(place, text) == "InvalidValue"
        refused = QUESTIONS[path](text)
        assert refused is not None and "no transaction would ever" in refused.info
    assert refusal(place, "EVConnected,Authorized,PowerPathClosed,EnergyTransfer,ParkingBayOccupancy") == ""
    assert refusal(place, "Plugged") == "InvalidValue"


@pytest.mark.parametrize(
    ("place", "text", "code"),
    [
        ("TxCtrlr.EVConnectionTimeOut", "0", "ValueTooLow"),
        ("TxCtrlr.EVConnectionTimeOut", "3600", ""),
        ("TxCtrlr.MaxEnergyOnInvalidId", "-1", "ValueTooLow"),
        ("AuthCtrlr.MasterPassGroupId", "G" * 36, ""),
        ("AuthCtrlr.MasterPassGroupId", "G" * 37, "TooLargeElement"),
        ("AuthCtrlr.MasterPassGroupId", "", ""),
        ("AuthCacheCtrlr.Policy", "LFU", "InvalidValue"),
        ("AuthCacheCtrlr.Available", "false", "ReadOnly"),
        ("AuthCacheCtrlr.Storage", "0", "ReadOnly"),
        ("AuthCacheCtrlr.LifeTime", "-1", "ValueTooLow"),
        ("LocalAuthListCtrlr.Entries", "0", "ReadOnly"),
        ("LocalAuthListCtrlr.Enabled", "no", "InvalidValue"),
        ("SampledDataCtrlr.TxUpdatedInterval", "0", ""),
        ("AlignedDataCtrlr.Interval", "86401", "ValueTooHigh"),
        ("ReservationCtrlr.Enabled", "false", ""),
        ("ReservationCtrlr.NonEvseSpecific", "false", "ReadOnly"),
        ("SmartChargingCtrlr.Enabled", "false", ""),
        ("SmartChargingCtrlr.ProfileStackLevel", "1", "ReadOnly"),
        ("SmartChargingCtrlr.RateUnit", "W", "ReadOnly"),
        ("SmartChargingCtrlr.ExternalControlSignalsEnabled", "false", ""),
        ("SmartChargingCtrlr.NotifyChargingLimitWithSchedules", "true", ""),
        ("SmartChargingCtrlr.LimitChangeSignificance", "0", ""),
        ("SmartChargingCtrlr.LimitChangeSignificance", "2.5", ""),
        ("SmartChargingCtrlr.LimitChangeSignificance", "-0.1", "ValueTooLow"),
        ("SmartChargingCtrlr.LimitChangeSignificance", "NaN", "InvalidValue"),
    ],
)
def test_what_the_csms_may_set_has_its_limits(place: str, text: str, code: str) -> None:
    assert refusal(place, text) == code


def test_every_question_is_about_a_variable_that_there_is() -> None:
    model = DeviceModel()
    for variable in made().values():
        model.add(variable)
    for component, name, instance in QUESTIONS:
        assert model.get(Component(component), VariableName(name, instance)) is not None
