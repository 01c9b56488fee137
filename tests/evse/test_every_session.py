"""What holds for every session, however it begins and ends: numbers, reasons, meter values, tokens."""

from collections.abc import Callable

import pytest

from agent.evse.evse import Evse
from agent.evse.metering import Meter
from tests.evse.evse_parts import ANN, Rig, sound

REGISTER = "Energy.Active.Import.Register"


def cable_first(rig: Rig) -> None:
    rig.plug()
    rig.present()


def token_first(rig: Rig) -> None:
    rig.present()
    rig.plug()


def remote_cable_first(rig: Rig) -> None:
    rig.plug()
    rig.present(remote_start_id=7)


def remote_first(rig: Rig) -> None:
    rig.present(remote_start_id=7)
    rig.plug()


def reserved(rig: Rig) -> None:
    rig.plug()
    rig.present(reservation_id=5)


def by_token(rig: Rig) -> None:
    rig.stop("token", ANN)


def by_cable(rig: Rig) -> None:
    rig.unplug()
    rig.run(10)


def by_remote(rig: Rig) -> None:
    rig.stop("remote")


def refused(rig: Rig) -> None:
    assert rig.evse.tx is not None
    rig.evse.refused(rig.evse.tx.id)
    rig.run(10)


BEGINS = (cable_first, token_first, remote_cable_first, remote_first, reserved)
ENDS = (by_token, by_cable, by_remote, refused)


def session_that_runs() -> Rig:
    rig = Rig(TxCtrlr_TxStopPoint="EVConnected,Authorized")
    rig.evse.online = True
    rig.charge()
    return rig


def session(begin: Callable[[Rig], None], end: Callable[[Rig], None], *, online: bool = True) -> Rig:
    rig = Rig(
        TxCtrlr_TxStartPoint="PowerPathClosed",
        TxCtrlr_TxStopPoint="EVConnected,Authorized",
        SampledDataCtrlr_TxStartedMeasurands=REGISTER,
        SampledDataCtrlr_TxUpdatedMeasurands=REGISTER,
        SampledDataCtrlr_TxEndedMeasurands=REGISTER,
        SampledDataCtrlr_TxUpdatedInterval=10,
    )
    rig.evse.online = online
    begin(rig)
    rig.run(25)
    assert rig.evse.state == "Charging"
    end(rig)
    assert rig.evse.tx is None
    return rig


def registers(rig: Rig, context: str) -> list[float]:
    return [
        sample.value
        for event in rig.events
        for value in event.meter_values
        for sample in value.samples
        if sample.context == context and sample.measurand == REGISTER
    ]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.requirement(
    "E02.FR.07", "E03.FR.06", "E04.FR.04", "E05.FR.04", "E06.FR.14", "E07.FR.11", "E08.FR.04", "E08.FR.08"
)
@pytest.mark.requirement("E09.FR.04", "E10.FR.03", "C06.FR.01", "E07.FR.06")
def test_seq_nos_have_no_gap_and_it_starts_and_ends_once(begin, end):
    rig = session(begin, end)
    sound(rig.events)
    assert rig.events[0].event_type == "Started"
    assert rig.events[-1].event_type == "Ended"


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.requirement("E05.FR.05", "E09.FR.05", "E10.FR.04", "E08.FR.09", "E07.FR.08", "F03.FR.04")
@pytest.mark.requirement("F01.FR.14", "F01.FR.15", "F02.FR.02", "F02.FR.03", "E11.FR.03", "E08.FR.07")
def test_begin_and_end_and_what_is_between_have_meter_values(begin, end, online):
    rig = session(begin, end, online=online)
    started, ended = rig.events[0], rig.events[-1]
    (first,) = {sample.value for value in started.meter_values for sample in value.samples}
    last = [sample.value for value in ended.meter_values for sample in value.samples][-1]
    assert registers(rig, "Transaction.Begin")[0] == first
    assert registers(rig, "Transaction.End")[-1] == last > first
    between = registers(rig, "Sample.Periodic")
    assert between and first <= min(between) <= max(between) <= last
    assert {event.offline for event in rig.events} == {not online}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.requirement("E01.FR.15", "E02.FR.15", "F01.FR.17", "F03.FR.09", "C05.FR.03", "C05.FR.05", "F02.FR.21")
@pytest.mark.requirement("E03.FR.13", "E03.FR.14")
def test_every_event_has_its_reason_and_what_is_told_once_is_told_once(begin, end):
    rig = session(begin, end)
    remote = "remote" in begin.__name__
    first = {"cable_first": "Authorized", "reserved": "Authorized", "token_first": "CablePluggedIn"}
    assert rig.events[0].trigger_reason == ("RemoteStart" if remote else first[begin.__name__])
    assert [event.remote_start_id for event in rig.events if event.remote_start_id is not None] == [7] * remote
    starting = [event for event in rig.events if event.id_token is not None and event.event_type != "Ended"]
    assert [event.id_token for event in starting] == [ANN]
    assert [event.number_of_phases_used for event in rig.events if event.number_of_phases_used] == [3]


@pytest.mark.requirement("E01.FR.13", "E02.FR.03", "E03.FR.03", "F02.FR.06", "H01.FR.15")
def test_a_reservation_that_was_used_is_told_once():
    rig = session(reserved, by_token)
    assert [event.reservation_id for event in rig.events if event.reservation_id is not None] == [5]


@pytest.mark.requirement("C01.FR.23")
def test_another_token_does_not_take_over_a_transaction():
    rig = Rig(TxCtrlr_TxStartPoint="EVConnected", TxCtrlr_TxStopPoint="EVConnected")
    rig.charge()
    rig.stop("token", ANN)
    assert rig.evse.tx is not None
    assert not rig.evse.authorize(ANN.__class__("BOB", "ISO14443"))
    assert rig.evse.authorize(ANN)


@pytest.mark.requirement("C16.FR.07")
def test_a_master_pass_is_the_reason_that_is_told():
    rig = Rig(TxCtrlr_TxStopPoint="EVConnected,Authorized")
    rig.charge()
    rig.stop("master pass")
    assert (rig.ended.trigger_reason, rig.ended.stopped_reason) == ("StopAuthorized", "MasterPass")


@pytest.mark.requirement("E01.FR.17", "E02.FR.21", "E03.FR.11", "E04.FR.11", "E05.FR.08")
def test_the_begin_is_told_when_charging_starts_where_the_evse_came_later():
    rig = Rig(
        TxCtrlr_TxStartPoint="Authorized",
        SampledDataCtrlr_TxStartedMeasurands=REGISTER,
    )
    floating = Evse(
        0,
        {},
        settings=rig.bench.settings,
        meter=Meter(rig.bench.model, 0, rig.clock),
        clock=rig.clock,
        new_id=lambda: "tx-0",
    )
    assert floating.authorize(ANN)
    floating.step()
    (started,) = [event for event, _ in floating.take()]
    assert started.event_type == "Started" and started.evse is None and not started.meter_values
    rig.plug()
    rig.evse.take_over(floating)
    rig.run(5)
    charging = next(event for event in rig.events if event.charging_state == "Charging")
    assert [value.samples[0].context for value in charging.meter_values] == ["Transaction.Begin"]


@pytest.mark.requirement("E08.FR.07", "E04.FR.03")
def test_an_end_that_came_offline_is_told_so_though_the_meter_answers_later():
    rig = session_that_runs()
    rig.evse.online = False
    rig.evse.end_authorization("token", ANN)
    rig.evse.online = True
    rig.run(10)
    assert rig.ended.offline
