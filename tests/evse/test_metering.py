"""The meter values of a transaction: which event takes which, when, signed or not, and over a power cut."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evse.meter_kept import Intermediate, weight
from agent.evse.meter_reading import Meter, Taken
from agent.evse.metering import Sampling
from agent.evse.records import Sample, SignedValue
from tests.evse.meter_parts import REGISTER, START, Bench, bench, contexts, keys, signing_bench, values

CURRENT = "Current.Import"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


# --- Started ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E01.FR.09", "E02.FR.09", "E03.FR.07", "E04.FR.05")
def test_the_configured_measurands_come_with_the_start() -> None:
    station = bench(SampledDataCtrlr_TxStartedMeasurands=f"{REGISTER},Power.Active.Import")
    (value,) = station.sampling().started()
    assert values(value) == [(REGISTER, None, 1000.0), ("Power.Active.Import", None, 11040.0)]
    assert contexts((value,)) == ["Transaction.Begin"] and value.timestamp == START


def test_without_measurands_for_the_start_none_come_with_it() -> None:
    assert bench(SampledDataCtrlr_TxStartedMeasurands="").sampling().started() == ()


def test_sampled_data_that_is_not_enabled_is_not_sampled() -> None:
    settings = {f"SampledDataCtrlr_Tx{when}Measurands": REGISTER for when in ("Started", "Updated", "Ended")}
    station = bench(SampledDataCtrlr_Enabled=False, SampledDataCtrlr_TxUpdatedInterval=60, **settings)
    sampling = station.sampling()
    assert sampling.started() == () == sampling.ended() and station.run(sampling, 300) == []


def test_a_silent_meter_starts_with_nothing_and_tells_the_begin_late_with_its_time() -> None:
    station = bench(SampledDataCtrlr_TxStartedMeasurands=REGISTER, SampledDataCtrlr_TxEndedMeasurands=REGISTER)
    station.silence()
    sampling = station.sampling()
    assert sampling.started() == () and sampling.start_wh is None and sampling.energy() is None
    station.clock.move(40)
    station.read(1010.0)
    assert sampling.step() == []
    station.clock.move(60)
    station.read(1100.0)
    begin, end = sampling.ended()
    assert (begin.timestamp, values(begin)) == (at(40), [(REGISTER, None, 1010.0)])
    assert (end.timestamp, values(end)) == (at(100), [(REGISTER, None, 1100.0)])
    assert sampling.energy() == 90.0


# --- Updated ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("J02.FR.11", "J02.FR.10", "J02.FR.16", "E02.FR.10", "E03.FR.08", "E04.FR.06", "E12.FR.03")
def test_an_updated_comes_every_interval_from_the_start() -> None:
    station = bench(SampledDataCtrlr_TxUpdatedMeasurands=REGISTER, SampledDataCtrlr_TxUpdatedInterval=60)
    updates = station.run(station.sampling(), 200)
    assert [reason for reason, _ in updates] == ["MeterValuePeriodic"] * 3
    assert [value.timestamp for _, value in updates] == [at(60), at(120), at(180)]
    assert [values(value) for _, value in updates] == [[(REGISTER, None, 1000.0 + n)] for n in (60, 120, 180)]
    assert contexts(tuple(value for _, value in updates)) == ["Sample.Periodic"] * 3


def test_an_interval_of_0_is_none() -> None:
    station = bench(SampledDataCtrlr_TxUpdatedMeasurands=REGISTER, SampledDataCtrlr_TxUpdatedInterval=0)
    sampling = station.sampling()
    assert sampling.due() is None and station.run(sampling, 3600) == []


def test_a_silent_meter_makes_no_values_up() -> None:
    station = bench(SampledDataCtrlr_TxUpdatedMeasurands=REGISTER, SampledDataCtrlr_TxUpdatedInterval=60)
    sampling = station.sampling()
    station.silence()
    assert station.run(sampling, 130, None) == []
    station.read(1500.0)
    assert [values(value) for _, value in station.run(sampling, 60, 0.0)] == [[(REGISTER, None, 1500.0)]]


def test_what_the_csms_changes_counts_from_the_next_sample_on() -> None:
    station = bench(SampledDataCtrlr_TxUpdatedMeasurands=REGISTER, SampledDataCtrlr_TxUpdatedInterval=60)
    sampling = station.sampling()
    station.run(sampling, 60)
    station.set("SampledDataCtrlr.TxUpdatedMeasurands", "Power.Active.Import")
    station.set("SampledDataCtrlr.TxUpdatedInterval", 10)
    updates = station.run(sampling, 10)
    assert [values(value)[0][0] for _, value in updates] == ["Power.Active.Import"]


@pytest.mark.requirement("J01.FR.22", "J02.FR.22")
def test_clock_aligned_values_of_a_busy_evse_go_with_its_transaction() -> None:
    station = bench(AlignedDataCtrlr_Measurands=REGISTER, AlignedDataCtrlr_Interval=900)
    station.read(77.0, evse=2)
    updates = station.run(station.sampling(), 1800)
    assert [reason for reason, _ in updates] == ["MeterValueClock"] * 2
    first, second = (value for _, value in updates)
    assert first.timestamp == datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    assert second.timestamp == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert contexts((first,)) == ["Sample.Clock"] and values(first) == [(REGISTER, None, 1480.0)]


def test_a_clock_aligned_value_keeps_the_instant_when_it_is_sampled_just_after_it() -> None:
    station = bench(AlignedDataCtrlr_Measurands=REGISTER, AlignedDataCtrlr_Interval=900)
    sampling = station.sampling()
    station.clock.move(480.8)
    ((_, value),) = sampling.step()
    assert value.timestamp == datetime(2026, 3, 1, 12, 15, tzinfo=UTC)


@pytest.mark.requirement("J01.FR.19", "J01.FR.20")
@pytest.mark.parametrize("place", ["AlignedDataCtrlr", "AlignedDataCtrlr@1"])
def test_a_busy_evse_is_silent_where_only_idle_ones_shall_speak(place: str) -> None:
    station = bench(AlignedDataCtrlr_Measurands=REGISTER, AlignedDataCtrlr_Interval=60)
    station.set(f"{place}.SendDuringIdle", True)
    assert station.run(station.sampling(), 300) == []


def test_both_kinds_of_updates_are_due_in_their_own_time() -> None:
    station = bench(
        SampledDataCtrlr_TxUpdatedMeasurands=REGISTER,
        SampledDataCtrlr_TxUpdatedInterval=200,
        AlignedDataCtrlr_Measurands=CURRENT,
        AlignedDataCtrlr_Interval=300,
    )
    updates = station.run(station.sampling(), 500)
    assert [(reason, value.timestamp) for reason, value in updates] == [
        ("MeterValueClock", at(180)),
        ("MeterValuePeriodic", at(200)),
        ("MeterValuePeriodic", at(400)),
        ("MeterValueClock", at(480)),
    ]


@pytest.mark.requirement("F06.FR.07", "F06.FR.09")
def test_a_trigger_takes_the_measurands_of_updates_now() -> None:
    station = bench(SampledDataCtrlr_TxUpdatedMeasurands=f"{REGISTER},{CURRENT}")
    sampling = station.sampling()
    station.clock.move(7)
    station.read(1007.0)
    value = sampling.trigger()
    assert value is not None and value.timestamp == at(7) and contexts((value,)) == ["Trigger"]
    assert values(value)[0] == (REGISTER, None, 1007.0) and len(value.samples) == 4
    station.silence()
    assert sampling.trigger() is None


# --- Ended --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E06.FR.11", "E12.FR.07")
def test_interval_0_tells_begin_and_end() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=REGISTER, SampledDataCtrlr_TxEndedInterval=0)
    sampling = station.sampling()
    assert sampling.started() == ()
    station.run(sampling, 3600)
    ended = sampling.ended()
    assert contexts(ended) == ["Transaction.Begin", "Transaction.End"]
    assert values(ended) == [(REGISTER, None, 1000.0), (REGISTER, None, 4600.0)]
    assert [value.timestamp for value in ended] == [START, at(3600)]


def test_without_measurands_for_the_end_nothing_is_told() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands="", SampledDataCtrlr_TxEndedInterval=10)
    sampling = station.sampling()
    station.run(sampling, 60)
    assert sampling.ended() == ()


@pytest.mark.requirement("E06.FR.11", "J02.FR.18")
def test_samples_in_between_come_with_the_end_alone() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=REGISTER, SampledDataCtrlr_TxEndedInterval=100)
    sampling = station.sampling()
    sampling.started()
    assert station.run(sampling, 350) == []
    ended = sampling.ended()
    assert contexts(ended) == ["Transaction.Begin", *["Sample.Periodic"] * 3, "Transaction.End"]
    assert [number for _, _, number in values(ended)] == [1000.0, 1100.0, 1200.0, 1300.0, 1350.0]


def test_clock_aligned_samples_for_the_end_stand_between_the_others_in_order() -> None:
    station = bench(
        SampledDataCtrlr_TxEndedMeasurands=REGISTER,
        AlignedDataCtrlr_TxEndedMeasurands=CURRENT,
        AlignedDataCtrlr_TxEndedInterval=900,
    )
    sampling = station.sampling()
    sampling.started()
    assert station.run(sampling, 1500) == []
    ended = sampling.ended()
    assert contexts(ended) == ["Transaction.Begin", "Sample.Clock", "Sample.Clock", "Transaction.End"]
    assert [value.timestamp for value in ended] == [START, at(480), at(1380), at(1500)]


@pytest.mark.requirement("E06.FR.11")
def test_the_last_good_register_ends_a_transaction_whose_meter_is_silent() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=f"{REGISTER},{CURRENT}")
    sampling = station.sampling()
    sampling.started()
    station.run(sampling, 600)
    station.clock.move(1)
    station.read(1601.0)
    station.clock.move(2)
    station.silence()
    station.clock.move(300)
    begin, end = sampling.ended()
    assert contexts((begin, end)) == ["Transaction.Begin", "Transaction.End"]
    assert values(end) == [(REGISTER, None, 1601.0)] and end.timestamp == at(601)
    assert sampling.energy() == 601.0


def test_what_else_is_known_at_the_end_has_its_own_time() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=f"{REGISTER},{CURRENT}")
    sampling = station.sampling()
    sampling.started()
    station.set("FiscalMetering@1.EnergyImportRegister", None)
    station.clock.move(20)
    _, register, currents = sampling.ended()
    assert values(register) == [(REGISTER, None, 1000.0)] and register.timestamp == START
    assert [one[0] for one in values(currents)] == [CURRENT] * 3 and currents.timestamp == at(20)


def test_a_meter_that_was_never_heard_ends_with_nothing() -> None:
    station = Bench(SampledDataCtrlr_TxStartedMeasurands=REGISTER, SampledDataCtrlr_TxEndedMeasurands=REGISTER)
    sampling = station.sampling()
    assert sampling.started() == () == sampling.ended()


def test_a_clock_that_was_wrong_at_the_beginning_is_right_in_what_the_end_tells_of_it() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=REGISTER, SampledDataCtrlr_TxEndedInterval=60)
    sampling = station.sampling()
    sampling.started()
    station.run(sampling, 60)
    station.clock.correct(7200)
    station.run(sampling, 30)
    assert [value.timestamp for value in sampling.ended()] == [at(7200), at(7260), at(7290)]


# --- bounded memory -----------------------------------------------------------------------------------------------


def taken(number: int, samples: int = 1) -> Taken:
    return Taken(at(number), float(number), (Sample(float(number), REGISTER, "Sample.Periodic"),) * samples)


@pytest.mark.requirement("E06.FR.12", "E06.FR.13", "E12.FR.08", "E12.FR.09", "J02.FR.20")
def test_every_second_intermediate_value_goes_when_there_are_too_many() -> None:
    kept = Intermediate(limit=4)
    for number in range(1, 6):
        kept.add(taken(number))
    assert [one.at for one in kept] == [at(2), at(4)]
    kept.add(taken(6))
    assert [one.at for one in kept] == [at(2), at(4), at(6)]


@given(st.integers(0, 500), st.integers(1, 5), st.integers(5, 40))
@pytest.mark.requirement("E06.FR.13")
def test_what_is_left_is_spread_evenly_over_the_whole_and_within_the_limit(
    count: int, samples: int, limit: int
) -> None:
    kept = Intermediate(limit)
    for number in range(1, count + 1):
        kept.add(taken(number, samples))
    numbers = [one.samples[0].value for one in kept]
    assert sum(map(weight, kept)) <= limit
    if count:
        step = numbers[0] if numbers else count + 1
        assert numbers == [step * n for n in range(1, len(numbers) + 1)]
        assert count - (numbers[-1] if numbers else 0) < step


def test_begin_and_end_stay_however_long_the_transaction() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=REGISTER, SampledDataCtrlr_TxEndedInterval=1)
    sampling = station.sampling()
    sampling.started()
    station.run(sampling, 5000)
    ended = sampling.ended()
    assert contexts(ended)[0] == "Transaction.Begin" and contexts(ended)[-1] == "Transaction.End"
    numbers = [number for _, _, number in values(ended)]
    assert numbers[0] == 1000.0 and numbers[-1] == 6000.0 and len(numbers) <= 302
    assert len({following - one for one, following in pairwise(numbers[1:-1])}) == 1


def test_a_signed_sample_weighs_more() -> None:
    signed = SignedValue("x" * 1600, "", "OCMF", "")
    assert weight(Taken(START, 0.0, (Sample(1.0, REGISTER, "Sample.Periodic", signed=signed),))) == 12


# --- over a power cut ---------------------------------------------------------------------------------------------


def reboot(station: Bench, sampling: Sampling, seconds: float) -> tuple[Bench, Sampling]:
    """The next process, `seconds` later, its meter not heard yet; what was kept went through JSON's text."""
    kept = json.loads(json.dumps(sampling.to_json()))
    after = Bench()
    after.clock.wall = station.clock.wall + timedelta(seconds=seconds)
    after.clock.time = 5.0
    for variable in station.model.variables():
        if variable.component.name.endswith("DataCtrlr") or variable.component.name == "OCPPCommCtrlr":
            after.set(f"{variable.component}.{variable.name}", variable.actual.value)
    after.meter = Meter(after.model, 1, after.clock)
    return after, Sampling.from_json(kept, after.settings, after.meter, after.clock)


def test_begin_and_interval_go_on_after_a_power_cut() -> None:
    station = bench(
        SampledDataCtrlr_TxUpdatedMeasurands=REGISTER,
        SampledDataCtrlr_TxUpdatedInterval=60,
        SampledDataCtrlr_TxEndedMeasurands=f"{REGISTER},{CURRENT}",
    )
    sampling = station.sampling()
    sampling.started()
    station.run(sampling, 90)
    after, sampling = reboot(station, sampling, 200)
    after.read(1100.0)
    assert [value.timestamp for _, value in after.run(sampling, 100)] == [at(300), at(360)]
    assert (sampling.start_wh, sampling.energy()) == (1000.0, 200.0)
    begin, end = sampling.ended()
    assert begin.timestamp == START and contexts((begin, end)) == ["Transaction.Begin", "Transaction.End"]
    assert values(begin)[:2] == [(REGISTER, None, 1000.0), (CURRENT, "L1", 16.0)] and values(end)[0][2] == 1200.0
    assert begin.samples[1].unit == "A" and begin.samples[1].location == "Outlet"


@pytest.mark.requirement("E06.FR.11")
def test_the_last_register_before_a_power_cut_ends_a_transaction_of_a_meter_that_stays_silent() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=REGISTER)
    sampling = station.sampling()
    sampling.started()
    station.clock.move(90)
    station.read(1090.0)
    _, sampling = reboot(station, sampling, 500)
    assert sampling.energy() == 90.0
    begin, end = sampling.ended()
    assert (begin.timestamp, end.timestamp) == (START, at(90))
    assert values((begin, end)) == [(REGISTER, None, 1000.0), (REGISTER, None, 1090.0)]
    again = json.loads(json.dumps(sampling.to_json()))
    assert again["last"][0]["at"] == "2026-03-01T12:08:30.000Z"


def test_a_second_power_cut_loses_nothing_more() -> None:
    station = signing_bench("OncePerTransaction")
    sampling = station.sampling()
    sampling.started()
    once = sampling.to_json()
    after, sampling = reboot(station, sampling, 10)
    assert sampling.to_json() == once
    after.signing()
    sampling = Sampling.from_json(once, after.settings, after.meter, after.clock)
    after.read(1001.0)
    assert keys(sampling.ended()) == ["", ""]


def test_a_begin_that_was_still_missing_is_taken_after_the_power_cut() -> None:
    station = bench(SampledDataCtrlr_TxEndedMeasurands=REGISTER)
    station.silence()
    sampling = station.sampling()
    sampling.started()
    after, sampling = reboot(station, sampling, 10)
    after.read(1005.0)
    sampling.step()
    assert sampling.start_wh == 1005.0


def test_what_is_kept_is_small() -> None:
    station = signing_bench(SampledDataCtrlr_TxEndedInterval=1)
    sampling = station.sampling()
    sampling.started()
    station.run(sampling, 300)
    assert len(json.dumps(sampling.to_json())) < 1500


@pytest.mark.parametrize("data", [None, [], {}, {"started": "yesterday"}, "text"])
def test_what_is_no_sampling_is_refused(data: object) -> None:
    station = bench()
    with pytest.raises(ValueError):
        Sampling.from_json(data, station.settings, station.meter, station.clock)
