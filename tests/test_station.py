"""The station put together: its Device Model, what it restores, why it says it starts, and what it outlives."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agent.board import Board, load
from agent.boot import boot_reason
from agent.model import (
    AttributeType,
    Component,
    DataType,
    DeviceModel,
    Mutability,
    Variable,
    VariableName,
    parse_place,
)
from agent.model.restoring import restore
from agent.ocpp.variables import BASIC_AUTH_PASSWORD
from agent.station import CannotStart, Station, build_model, run
from agent.store import Store

RO, RW, WO = Mutability.READ_ONLY, Mutability.READ_WRITE, Mutability.WRITE_ONLY
INTEGER, BOOLEAN, STRING = DataType.INTEGER, DataType.BOOLEAN, DataType.STRING
SEQUENCE, MEMBERS, OPTION = DataType.SEQUENCE_LIST, DataType.MEMBER_LIST, DataType.OPTION_LIST

GENERAL = {
    # part 2, "Referenced Components and Variables" §2.1: marked as required, with erratum 2.57
    "OCPPCommCtrlr.ActiveNetworkProfile": (INTEGER, RO, None),
    "OCPPCommCtrlr.MessageTimeout[Default]": (INTEGER, RO, "s"),
    "OCPPCommCtrlr.FileTransferProtocols": (MEMBERS, RO, None),
    "OCPPCommCtrlr.NetworkConfigurationPriority": (SEQUENCE, RW, None),
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts": (INTEGER, RW, None),
    "OCPPCommCtrlr.OfflineThreshold": (INTEGER, RW, "s"),
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": (INTEGER, RW, None),
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": (INTEGER, RW, "s"),
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect": (BOOLEAN, RW, None),
    "OCPPCommCtrlr.ResetRetries": (INTEGER, RW, None),
    "DeviceDataCtrlr.ItemsPerMessage[GetReport]": (INTEGER, RO, None),
    "DeviceDataCtrlr.ItemsPerMessage[GetVariables]": (INTEGER, RO, None),
    "DeviceDataCtrlr.BytesPerMessage[GetReport]": (INTEGER, RO, None),
    "DeviceDataCtrlr.BytesPerMessage[GetVariables]": (INTEGER, RO, None),
    "DeviceDataCtrlr.ItemsPerMessage[SetVariables]": (INTEGER, RO, None),
    "DeviceDataCtrlr.BytesPerMessage[SetVariables]": (INTEGER, RO, None),
    "ClockCtrlr.DateTime": (DataType.DATE_TIME, RO, None),
    "ClockCtrlr.TimeSource": (SEQUENCE, RW, None),
}
SECURITY = {
    # §2.2: required, and those that profile 1 cannot do without
    "SecurityCtrlr.OrganizationName": (STRING, RW, None),
    "SecurityCtrlr.CertificateEntries": (INTEGER, RO, None),
    "SecurityCtrlr.SecurityProfile": (INTEGER, RO, None),
    "SecurityCtrlr.Identity": (STRING, RO, None),
    "SecurityCtrlr.BasicAuthPassword": (STRING, WO, None),
}
CONNECTION = {
    # part 4 §8
    "OCPPCommCtrlr.RetryBackOffRepeatTimes": (INTEGER, RW, None),
    "OCPPCommCtrlr.RetryBackOffRandomRange": (INTEGER, RW, "s"),
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": (INTEGER, RW, "s"),
    "OCPPCommCtrlr.WebSocketPingInterval": (INTEGER, RW, "s"),
}
INFRASTRUCTURE = {
    # §2.13 with erratum 2.66
    **{
        f"{component}.{name}": (data_type, RO, None)
        for component in ("ChargingStation", "EVSE@1", "EVSE@2", "Connector@1,1", "Connector@1,2", "Connector@2,1")
        for name, data_type in (("Available", BOOLEAN), ("AvailabilityState", OPTION), ("SupplyPhases", INTEGER))
    },
    **{f"Connector@{place}.ConnectorType": (STRING, RO, None) for place in ("1,1", "1,2", "2,1")},
    **{f"EVSE@{evse}.Power": (DataType.DECIMAL, RO, "W") for evse in (1, 2)},
}
REQUIRED = GENERAL | SECURITY | CONNECTION | INFRASTRUCTURE


@pytest.fixture(scope="module")
def bench_ac() -> Board:
    return load("bench-ac")


@pytest.fixture
def model(bench_ac: Board) -> DeviceModel:
    return build_model(bench_ac, {"identity": "CS001", "security_profile": "1"}).model


def at(model: DeviceModel, place: str) -> Variable:
    return model.find(*parse_place(place))


# --- the model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", REQUIRED)
def test_a_required_variable_is_there_and_typed(model: DeviceModel, place: str) -> None:
    variable = at(model, place)
    found = (variable.characteristics.data_type, variable.actual.mutability, variable.characteristics.unit)
    assert found == REQUIRED[place]


@pytest.mark.parametrize("place", sorted(REQUIRED.keys() - {"SecurityCtrlr.BasicAuthPassword"}))
def test_a_required_variable_has_a_value_or_is_told_by_the_hardware(model: DeviceModel, place: str) -> None:
    told_later = place.endswith((".AvailabilityState", ".Power"))
    may_be_empty = {"OCPPCommCtrlr.FileTransferProtocols", "SecurityCtrlr.OrganizationName"}
    assert told_later or place in may_be_empty or at(model, place).actual.text()


def test_the_power_of_an_evse_is_what_it_can_offer(model: DeviceModel) -> None:
    assert at(model, "EVSE@1.Power").characteristics.max_limit == 3 * 230 * 32


def test_availability_states_are_those_of_part_2(model: DeviceModel) -> None:
    states = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
    assert at(model, "Connector@1,1.AvailabilityState").characteristics.values == states


def test_identity_and_security_profile_are_the_units_own(model: DeviceModel) -> None:
    assert at(model, "SecurityCtrlr.Identity").actual.value == "CS001"
    assert at(model, "SecurityCtrlr.SecurityProfile").actual.value == 1


def test_a_battery_cabinet_is_no_charging_station() -> None:
    """Part 1 §6: managed over OCPP without a ChargingStation component."""
    model = build_model(load("bench-battery")).model
    names = {component.name for component in model.components()}
    assert names.isdisjoint({"ChargingStation", "EVSE", "Connector"})
    for place in GENERAL | SECURITY | CONNECTION:
        assert at(model, place)


# --- what is restored -----------------------------------------------------------------------------------------

SPEED = "AirCoolingSystem.FanSpeed"
KINDS = (AttributeType.TARGET, AttributeType.MIN_SET, AttributeType.MAX_SET)


def restored(model: DeviceModel, **stored: str) -> list[object]:
    """[Target, MinSet, MaxSet] of the fan (0..1000; 200, 500) after `stored` was restored."""
    kinds = {"target": "Target", "min_set": "MinSet", "max_set": "MaxSet"}
    restore(model, {(SPEED, kinds[name]): text for name, text in stored.items()})
    return [at(model, SPEED).value(kind) for kind in KINDS]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"target": "450"}, [450, 200, 500]),
        ({"target": "900", "max_set": "1000"}, [900, 200, 1000]),
        ({"target": "900", "max_set": "1000", "min_set": "600"}, [900, 600, 1000]),
        ({"target": "450", "max_set": "300"}, [300, 200, 300]),
        ({"target": "250", "min_set": "300"}, [300, 300, 500]),
        ({"min_set": "450", "max_set": "460", "target": "455"}, [455, 450, 460]),
    ],
    ids=str,
)
def test_targets_and_limits_come_back(model: DeviceModel, stored: Mapping[str, str], expected: list[float]) -> None:
    assert restored(model, **stored) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"target": "1500"}, [None, 200, 500]),
        ({"target": "fast"}, [None, 200, 500]),
        ({"max_set": "1500"}, [None, 200, 500]),
        ({"max_set": "much", "target": "600"}, [500, 200, 500]),
        ({"min_set": "-1"}, [None, 200, 500]),
        ({"min_set": "700"}, [None, 200, 500]),
        ({"min_set": "700", "max_set": "1500", "target": "900"}, [500, 200, 500]),
    ],
    ids=str,
)
def test_what_no_longer_fits_the_board_does_not_come_back(
    model: DeviceModel, stored: Mapping[str, str], expected: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    assert restored(model, **stored) == expected
    assert SPEED in caplog.text


def test_the_boards_own_target_moves_with_a_max_set_that_was_stored() -> None:
    model = build_model(load("bench-battery")).model
    assert at(model, SPEED).value(AttributeType.TARGET) == 600
    restore(model, {(SPEED, "MaxSet"): "500"})
    assert at(model, SPEED).value(AttributeType.TARGET) == 500


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("Nozzle.FanSpeed", "Target"),
        ("RCD@1.Tripped", "Target"),
        ("RCD@1.Tripped", "Actual"),
        ("ClockCtrlr.DateTime", "Actual"),
        ("OCPPCommCtrlr.OfflineThreshold", "Wish"),
    ],
)
def test_what_this_board_cannot_set_is_left_out_and_said(
    model: DeviceModel, place: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    restore(model, {(place, kind): "true"})
    assert f"{place} {kind} was stored" in caplog.text
    assert at(model, "RCD@1.Tripped").actual.value is None


def test_settings_come_back_whatever_the_case_of_their_names(model: DeviceModel) -> None:
    restore(model, {("ocppcommctrlr.offlinethreshold", "Actual"): "90"})
    assert at(model, "OCPPCommCtrlr.OfflineThreshold").actual.value == 90


def test_a_password_is_never_logged(model: DeviceModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "a-secret-of-20-chars"
    restore(model, {("SecurityCtrlr.BasicAuthPassword", "Actual"): secret})
    assert at(model, "SecurityCtrlr.BasicAuthPassword").actual.value == secret
    too_long = secret * 3
    for place in ("SecurityCtrlr.BasicAuthPassword", "SecurityCtrlr.OldPassword"):
        restore(model, {(place, "Actual"): too_long})
        assert place in caplog.text
    assert secret not in caplog.text


# --- why it starts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "computer", "expected"),
    [
        ({}, "a", "PowerUp"),
        ({"boot_id": "a", "stopped": "0"}, "b", "PowerUp"),
        ({"boot_id": "a", "stopped": "1"}, "b", "PowerUp"),
        ({"boot_id": "a", "stopped": "0"}, "a", "ApplicationReset"),
        ({"boot_id": "a", "stopped": "1"}, "a", "LocalReset"),
        ({"boot_id": "a", "stopped": "1", "next_boot_reason": ""}, "a", "LocalReset"),
        ({"boot_id": "a", "stopped": "1", "next_boot_reason": "RemoteReset"}, "a", "RemoteReset"),
        ({"boot_id": "a", "stopped": "1", "next_boot_reason": "RemoteReset"}, "b", "RemoteReset"),
        ({"boot_id": "", "stopped": "1"}, "", "PowerUp"),
    ],
    ids=str,
)
def test_the_boot_reason_follows_from_what_the_last_process_left(
    settings: Mapping[str, str], computer: str, expected: str
) -> None:
    assert boot_reason(settings, computer) == expected


# --- a station without wires ------------------------------------------------------------------------------------

BARE = """\
station: {vendor: Acme, model: Bare, serial: "from:%s"}
components:
  - name: Cabinet
    variables:
      Note: {type: string, access: ReadWrite, value: none}
"""

UNIT = {"csms_url": "ws://127.0.0.1:9/ocpp", "identity": "CS001", "security_profile": "1"}


@pytest.fixture
def bare(tmp_path: Path) -> Board:
    path = tmp_path / "bare.yaml"
    path.write_text(BARE % (tmp_path / "no-serial"))
    return load(str(path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    yield store
    store.close()


async def life(board: Board, store: Store, *, reason: str = "") -> str:
    """One life of the station, which ends in an orderly way; the reason it gave for its boot."""
    station = Station(board, store, "computer")
    running = asyncio.create_task(station.run())
    await asyncio.sleep(0.05)
    if reason:
        station.request_reset(reason)
    else:
        station.stop()
    assert await asyncio.wait_for(running, 20) == (3 if reason else 0)
    return station.boot_reason


async def test_every_orderly_end_is_remembered_also_one_like_the_last(bare: Board, store: Store) -> None:
    store.save_now(UNIT, {})
    reasons = [await life(bare, store, reason=end) for end in ("", "", "", "RemoteReset", "RemoteReset", "")]
    reasons.append(await life(bare, store))
    assert reasons == [
        "PowerUp",
        "LocalReset",
        "LocalReset",
        "LocalReset",
        "RemoteReset",
        "RemoteReset",
        "LocalReset",
    ]


async def test_a_process_that_died_is_an_application_reset_also_after_orderly_ones(bare: Board, store: Store) -> None:
    store.save_now(UNIT, {})
    await life(bare, store)
    await life(bare, store)
    running = asyncio.create_task(Station(bare, store, "computer").run())
    while store.settings()["stopped"] == "1":  # noqa: ASYNC110 - the disk calls nobody
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert Station(bare, store, "computer").boot_reason == "ApplicationReset"


async def test_notes_on_the_board_are_logged_at_start(
    bare: Board, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.save_now(UNIT, {})
    Station(bare, store, "computer")
    assert "station.serial: none" in caplog.text


async def test_the_password_that_the_csms_set_is_the_one_to_connect_with(bare: Board, store: Store) -> None:
    place = (".".join(BASIC_AUTH_PASSWORD[:2]), "Actual")
    store.save_now(UNIT, {place: "password-of-the-unit"})
    station = Station(bare, store, "computer")
    assert station.connection().password == "password-of-the-unit"
    password = station.model.find(Component("SecurityCtrlr"), VariableName("BasicAuthPassword"))
    outcome = await station.set_attribute(password, AttributeType.ACTUAL, "password-of-the-csms", 5.0)
    assert outcome.status == "Accepted"
    assert station.connection().password == "password-of-the-csms"
    assert Station(bare, store, "computer").connection().password == "password-of-the-csms"


async def test_without_its_trust_file_a_station_lives_but_trusts_nobody(
    bare: Board, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.save_now({**UNIT, "csms_url": "wss://localhost/ocpp", "trust": str(tmp_path / "gone.pem")}, {})
    station = Station(bare, store, "computer")
    tls = station.connection().tls
    assert tls is not None and tls.cert_store_stats()["x509"] == 0 and tls.check_hostname
    assert "gone.pem" in caplog.text
    assert station.connection() == station.connection()


async def test_settings_that_were_emptied_count_as_none(bare: Board, store: Store) -> None:
    store.save_now({**UNIT, "proxy": "", "trust": ""}, {})
    profile = Station(bare, store, "computer").connection()
    assert profile.proxy is None and profile.tls is None and profile.password is None


def test_a_station_that_was_never_set_up_says_how(bare: Board, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no CSMS is set up; run: station-agent setup --state-dir"):
        run(str(bare.path), tmp_path / "state", None)


@pytest.mark.parametrize("place", ["/proc/agent", "{tmp}/file/state"])
def test_a_state_directory_that_cannot_be_written_is_said(bare: Board, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="give a directory that this user may write"):
        run(str(bare.path), Path(place.format(tmp=tmp_path)), None)


async def test_a_station_whose_disk_is_full_lives_on_and_refuses_what_it_cannot_keep(
    bare: Board, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.save_now(UNIT, {})
    station = Station(bare, store, "computer")
    store._run(lambda c: c.execute("PRAGMA query_only=1").fetchall()).result()  # as a medium that went read-only
    running = asyncio.create_task(station.run())
    await asyncio.sleep(0.05)
    note = station.model.find(Component("Cabinet"), VariableName("Note"))
    outcome = await station.set_attribute(note, AttributeType.ACTUAL, "new", 5.0)
    assert (outcome.status, outcome.code) == ("Rejected", "OutOfStorage")
    assert note.actual.value == "none" and not running.done()
    station.stop()
    assert await asyncio.wait_for(running, 20) == 0
    assert "readonly" in caplog.text
