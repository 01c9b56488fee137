"""Clock-aligned meter values outside of transactions."""

from datetime import UTC, datetime

import pytest

from agent.evse.metering import Aligned, Meter
from tests.evse.meter_parts import REGISTER, Bench, values

QUARTER = datetime(2026, 3, 1, 12, 15, tzinfo=UTC)


class Station(Bench):
    """Three meters at 10 000, 1000 and 2000 Wh; `running` are the EVSEs with a transaction."""

    def __init__(self, interval: int = 900) -> None:
        super().__init__(AlignedDataCtrlr_Measurands=REGISTER, AlignedDataCtrlr_Interval=interval)
        self.running: set[int] = set()
        self.set("ElectricalFeed.EnergyImportRegister", 10_000.0)
        self.read(1000.0)
        self.read(2000.0, evse=2)
        meters = {evse: Meter(self.model, evse, self.clock) for evse in (2, 0, 1)}
        self.aligned = Aligned(self.model, meters, self.clock, self.running.__contains__)

    def next(self) -> list[tuple[int, float]]:
        """(EVSE, register) of what is sent at the next instant."""
        due = self.aligned.due()
        assert due is not None
        self.clock.move(due - self.clock.monotonic())
        return [(evse, number) for evse, value in self.aligned.step() for _, _, number in values(value)]


@pytest.mark.requirement("J01.FR.01", "J01.FR.02", "J01.FR.03", "J01.FR.14", "J01.FR.17")
def test_the_main_meter_and_every_evse_speak_at_each_instant() -> None:
    station = Station()
    due = station.aligned.due()
    assert due is not None and station.aligned.step() == []
    station.clock.move(due - station.clock.monotonic())
    sent = station.aligned.step()
    assert [(evse, value.timestamp, values(value)) for evse, value in sent] == [
        (0, QUARTER, [(REGISTER, None, 10_000.0)]),
        (1, QUARTER, [(REGISTER, None, 1000.0)]),
        (2, QUARTER, [(REGISTER, None, 2000.0)]),
    ]
    assert {sample.context for _, value in sent for sample in value.samples} == {"Sample.Clock"}
    assert station.aligned.step() == []


def test_an_interval_of_0_or_not_enabled_is_none() -> None:
    assert Station(0).aligned.due() is None
    station = Station()
    station.set("AlignedDataCtrlr.Enabled", False)
    assert station.aligned.due() is None


def test_a_silent_meter_is_left_out() -> None:
    station = Station()
    station.silence()
    assert station.next() == [(0, 10_000.0), (2, 2000.0)]


@pytest.mark.requirement("J01.FR.22")
def test_an_evse_with_a_transaction_speaks_through_that() -> None:
    station = Station()
    station.running.add(1)
    assert station.next() == [(0, 10_000.0), (2, 2000.0)]
    station.running.clear()
    assert station.next() == [(0, 10_000.0), (1, 1000.0), (2, 2000.0)]


@pytest.mark.requirement("J01.FR.20")
def test_one_transaction_silences_the_whole_station_where_only_an_idle_one_shall_speak() -> None:
    station = Station()
    station.set("AlignedDataCtrlr.SendDuringIdle", True)
    station.running.add(1)
    assert station.next() == []
    station.running.clear()
    assert len(station.next()) == 3


@pytest.mark.requirement("J01.FR.19")
def test_idle_only_of_one_evse_leaves_the_others_alone() -> None:
    station = Station()
    station.set("AlignedDataCtrlr@1.SendDuringIdle", True)
    station.running.add(1)
    assert station.next() == [(0, 10_000.0), (2, 2000.0)]


def test_a_corrected_clock_moves_the_instants_and_repeats_none() -> None:
    station = Station()
    assert station.next() != []
    station.clock.correct(-60)
    due = station.aligned.due()
    assert due is not None and due - station.clock.monotonic() == 16 * 60
    station.clock.correct(600)
    due = station.aligned.due()
    assert due is not None and due - station.clock.monotonic() == 6 * 60


@pytest.mark.requirement("F06.FR.06", "F06.FR.09", "F06.FR.11")
def test_a_trigger_tells_now_of_one_evse_or_of_all() -> None:
    station = Station(0)
    station.running.add(1)
    ((evse, value),) = station.aligned.trigger(1)
    assert evse == 1 and value.timestamp == station.clock.now() and value.samples[0].context == "Trigger"
    assert [evse for evse, _ in station.aligned.trigger()] == [0, 1, 2]
    assert station.aligned.trigger(9) == []
    station.set("AlignedDataCtrlr.Measurands", "")
    assert station.aligned.trigger() == []


@pytest.mark.requirement("J01.FR.21")
@pytest.mark.parametrize(
    ("when", "key"), [("Never", ""), ("OncePerTransaction", ""), ("EveryMeterValue", "MzA1OUFC")]
)
def test_signed_where_the_csms_wants_it(when: str, key: str) -> None:
    station = Station()
    station.signing()
    station.set("AlignedDataCtrlr.SignReadings", True)
    station.set("OCPPCommCtrlr.PublicKeyWithSignedMeterValue", when)
    aligned = Aligned(
        station.model, {1: station.meter, 2: Meter(station.model, 2, station.clock)}, station.clock, bool
    )
    (_, first), (_, second) = aligned.trigger()
    signed = first.samples[0].signed
    assert signed is not None and signed.public_key == key
    assert second.samples[0].signed is None
