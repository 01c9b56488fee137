"""Signed meter values of a transaction: which samples are signed, which carry the key, what the end waits for."""

import pytest

from agent.evse.metering import Sampling
from tests.evse.meter_parts import OCMF, REGISTER, Bench, keys, signing_bench


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("Never", [""] * 5),
        ("EveryMeterValue", ["MzA1OUFC"] * 5),
        ("OncePerTransaction", ["MzA1OUFC", "", "", "", ""]),
    ],
)
@pytest.mark.requirement("E02.FR.14", "E03.FR.10", "E04.FR.10", "E12.FR.10", "J02.FR.21")
def test_the_public_key_goes_along_as_the_csms_wants_it(when: str, expected: list[str]) -> None:
    station = signing_bench(when)
    sampling = station.sampling()
    events = [sampling.started(), *((value,) for _, value in station.run(sampling, 120)), sampling.ended()]
    assert [key for event in events for key in keys(event)] == expected


def test_each_transaction_has_the_key_once() -> None:
    station = signing_bench("OncePerTransaction")
    assert [keys(station.sampling().started()) for _ in range(2)] == [["MzA1OUFC"], ["MzA1OUFC"]]


def test_the_key_waits_until_it_is_known() -> None:
    station = signing_bench("OncePerTransaction")
    station.set("FiscalMetering@1.PublicKey", None)
    sampling = station.sampling()
    assert keys(sampling.started()) == [""]
    station.set("FiscalMetering@1.PublicKey", "3059AB")
    assert keys(sampling.ended()) == ["MzA1OUFC", ""]


def test_nothing_is_signed_where_the_csms_does_not_want_it() -> None:
    station = signing_bench(SampledDataCtrlr_SignReadings=False)
    sampling = station.sampling()
    assert keys((*sampling.started(), *sampling.ended())) == [None] * 3


@pytest.mark.requirement("J01.FR.21")
def test_clock_aligned_values_are_signed_by_a_setting_of_their_own() -> None:
    station = signing_bench(SampledDataCtrlr_SignReadings=False, AlignedDataCtrlr_SignReadings=True)
    for name, value in (("Measurands", REGISTER), ("Interval", 600)):
        station.set(f"AlignedDataCtrlr.{name}", value)
    updates = station.run(station.sampling(), 200)
    signed = {reason: keys((value,)) for reason, value in updates}
    assert signed == {"MeterValuePeriodic": [None], "MeterValueClock": [""]}


# --- the signature of the end -------------------------------------------------------------------------------------


def end_keys(station: Bench, sampling: Sampling) -> list[str | None]:
    """The keys of the register samples at the end."""
    ended = sampling.ended()
    return keys(tuple(value for value in ended if value.samples[0].context == "Transaction.End"))


@pytest.mark.requirement("E07.FR.12", "E08.FR.12", "E09.FR.08", "E10.FR.07")
def test_the_end_waits_until_the_meter_has_signed_all_that_flowed() -> None:
    """The transaction's end is told once the register's time is that of the open contactor, or later."""
    station = signing_bench("EveryMeterValue")
    sampling = station.sampling()
    sampling.started()
    station.run(sampling, 10)
    opened = station.clock.monotonic()
    station.signs = False
    station.clock.move(1)
    station.read(1011.0)
    register = station.meter.register()
    assert register is not None and register.time < opened
    station.clock.move(1)
    station.set("FiscalMetering@1.SignedReading", OCMF)
    station.read(1011.0)
    register = station.meter.register()
    assert register is not None and register.time >= opened
    assert end_keys(station, sampling) == ["MzA1OUFC"]


def test_an_end_that_was_not_signed_in_time_is_unsigned_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    station = signing_bench("EveryMeterValue")
    sampling = station.sampling()
    sampling.started()
    station.signs = False
    station.run(sampling, 10)
    assert end_keys(station, sampling) == [None]
    assert "did not sign the end in time" in caplog.text


def test_a_meter_that_signs_no_more_is_not_waited_for() -> None:
    station = signing_bench()
    station.set("FiscalMetering@1.SignedReading", None)
    station.signs = False
    station.clock.move(1)
    station.read(1001.0)
    register = station.meter.register()
    assert register is not None and register.time == station.clock.monotonic()


def test_a_signature_is_not_waited_for_where_nobody_wants_it() -> None:
    station = signing_bench(SampledDataCtrlr_SignReadings=False)
    station.signs = False
    station.clock.move(1)
    station.read(1001.0)
    register = station.meter.register()
    assert register is not None and register.time == station.clock.monotonic()
