"""What a meter says: samples by measurand, phase, unit and location, and what it says when it is silent."""

import json
from base64 import b64decode
from datetime import timedelta

import pytest

from agent.evse.metering import Meter, supported
from agent.model import Characteristics, Component, DataType, Variable
from tests.evse.meter_parts import OCMF, REGISTER, START, Bench, values


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.read(1234.5)
    return bench


@pytest.mark.requirement("J01.FR.10", "J01.FR.11", "J02.FR.06", "J02.FR.07")
def test_every_phase_of_a_measurand_is_told(bench: Bench) -> None:
    value = bench.meter.sample(("Current.Import", "Voltage", "Power.Active.Import"), "Sample.Periodic")
    assert value is not None
    assert values(value) == [
        ("Current.Import", "L1", 16.0),
        ("Current.Import", "L2", 16.0),
        ("Current.Import", "L3", 16.0),
        ("Voltage", "L1-N", 230.0),
        ("Voltage", "L2-N", 230.0),
        ("Voltage", "L3-N", 230.0),
        ("Power.Active.Import", None, 11040.0),
    ]


@pytest.mark.requirement(
    "J01.FR.05",
    "J01.FR.06",
    "J01.FR.07",
    "J01.FR.08",
    "J01.FR.09",
    "J02.FR.02",
    "J02.FR.03",
    "J02.FR.04",
    "J02.FR.05",
)
def test_a_sample_says_what_where_why_and_in_which_unit(bench: Bench) -> None:
    value = bench.meter.sample((REGISTER,), "Trigger")
    assert value is not None and value.timestamp == START
    (sample,) = value.samples
    assert (sample.measurand, sample.context, sample.location) == (REGISTER, "Trigger", "Outlet")
    assert (sample.value, sample.unit, sample.multiplier, sample.phase) == (1234.5, "Wh", 0, None)


@pytest.mark.requirement("J01.FR.03", "J01.FR.04")
def test_the_station_as_a_whole_is_the_main_meter_at_the_inlet(bench: Bench) -> None:
    bench.set("ElectricalFeed.EnergyImportRegister", 9e6)
    value = Meter(bench.model, 0, bench.clock).sample((REGISTER, "Current.Offered"), "Sample.Clock")
    assert value is not None and values(value) == [(REGISTER, None, 9e6)]
    assert value.samples[0].location == "Inlet"


def test_an_evse_without_a_meter_of_its_own_never_borrows_the_stations(bench: Bench) -> None:
    bench.set("ElectricalFeed.EnergyImportRegister", 9e6)
    meter = Meter(bench.model, 3, bench.clock)
    assert meter.sample((REGISTER,), "Trigger") is None
    assert meter.register() is None and meter.power() is None and meter.currents() is None


def test_a_silent_meter_gives_nothing_and_never_zero(bench: Bench) -> None:
    bench.silence()
    assert bench.meter.sample((REGISTER, "Current.Import", "Power.Active.Import"), "Sample.Periodic") is None
    assert bench.meter.currents() is None and bench.meter.power() is None and bench.meter.phases_used() is None


def test_one_phase_that_is_not_known_leaves_the_others_but_no_total_picture(bench: Bench) -> None:
    bench.set("FiscalMetering@1.ACCurrent[L2]", None)
    value = bench.meter.sample(("Current.Import",), "Trigger")
    assert value is not None and [phase for _, phase, _ in values(value)] == ["L1", "L3"]
    assert bench.meter.currents() is None


@pytest.mark.requirement("J02.FR.17")
def test_the_register_is_told_as_it_was_read_and_measured_zero_is_a_value(bench: Bench) -> None:
    bench.read(0.0, 0.0)
    value = bench.meter.sample((REGISTER, "Current.Import"), "Trigger")
    assert value is not None and [number for _, _, number in values(value)] == [0.0, 0.0, 0.0, 0.0]
    bench.read(1234567.891)
    register = bench.meter.register()
    assert register is not None and register.wh == 1234567.891


def test_kilowatt_hours_become_watt_hours_without_noise(bench: Bench) -> None:
    place = Component("FiscalMetering", evse=7)
    for name, unit, number in (("EnergyImportRegister", "kWh", 1.1), ("Power", "kW", 2.3)):
        bench.model.add(Variable(place, name, Characteristics(DataType.DECIMAL, unit))).update(number)
    meter = Meter(bench.model, 7, bench.clock)
    value = meter.sample((REGISTER, "Power.Active.Import"), "Trigger")
    assert value is not None and [(s.value, s.unit) for s in value.samples] == [(1100.0, "Wh"), (2300.0, "W")]
    assert meter.power() == 2300.0


@pytest.mark.parametrize("junk", [True, "12", float("nan"), float("inf")])
def test_what_is_no_number_is_absent(bench: Bench, junk: float) -> None:
    bench.set("FiscalMetering@1.Power", junk)
    assert bench.meter.power() is None
    assert bench.meter.sample(("Power.Active.Import",), "Trigger") is None


def test_the_last_good_register_keeps_its_own_time(bench: Bench) -> None:
    bench.clock.move(60)
    bench.read(2000.0)
    bench.clock.move(1)
    bench.silence()
    bench.clock.move(30)
    register = bench.meter.register()
    assert register is not None and not register.fresh
    assert (register.wh, register.time, register.at) == (2000.0, 1060.0, START + timedelta(seconds=60))
    bench.read(2100.0)
    register = bench.meter.register()
    assert register is not None and register.fresh and register.wh == 2100.0


def test_a_register_that_stood_still_was_read_when_it_was_looked_at_last(bench: Bench) -> None:
    for _ in range(3):
        bench.clock.move(10)
        bench.read(1234.5)
        bench.meter.look()
    bench.clock.move(3)
    bench.silence()
    register = bench.meter.register()
    assert register is not None and register.time == 1030.0


def test_the_time_of_a_register_follows_a_corrected_clock(bench: Bench) -> None:
    bench.silence()
    bench.clock.move(5)
    bench.clock.correct(3600)
    register = bench.meter.register()
    assert register is not None and register.at == START + timedelta(hours=1)


@pytest.mark.parametrize(
    ("amperes", "phases"), [((16, 16, 16), 3), ((16, 0.2, 0), 1), ((0, 0, 0), 0), ((6, 6, 0.9), 2)]
)
@pytest.mark.requirement("E02.FR.18", "E02.FR.19")
def test_phases_are_used_where_current_flows(bench: Bench, amperes: tuple[float, ...], phases: int) -> None:
    for line, current in zip(("L1", "L2", "L3"), amperes, strict=True):
        bench.set(f"FiscalMetering@1.ACCurrent[{line}]", float(current))
    assert bench.meter.phases_used() == phases


def test_a_meter_of_one_phase_without_instance(bench: Bench) -> None:
    bench.set("FiscalMetering@3.ACCurrent", 10.0)
    bench.set("FiscalMetering@3.ACVoltage", 229.0)
    meter = Meter(bench.model, 3, bench.clock)
    assert (meter.currents(), meter.voltages(), meter.phases_used()) == ((10.0,), (229.0,), 1)
    value = meter.sample(("Current.Import", "Voltage"), "Trigger")
    assert value is not None and values(value) == [("Current.Import", None, 10.0), ("Voltage", None, 229.0)]


def test_registers_per_phase_and_the_total_alone_where_the_csms_wants_that(bench: Bench) -> None:
    for line, wh in (("L1", 400.0), ("L2", 410.0), ("L3", 424.5)):
        bench.set(f"FiscalMetering@1.EnergyImportRegister[{line}]", wh)
    meter = Meter(bench.model, 1, bench.clock)
    every = meter.sample((REGISTER,), "Trigger")
    assert every is not None and [phase for _, phase, _ in values(every)] == [None, "L1", "L2", "L3"]
    bench.set("SampledDataCtrlr.RegisterValuesWithoutPhases", True)
    total = meter.sample((REGISTER,), "Trigger")
    assert total is not None and values(total) == [(REGISTER, None, 1234.5)]


def test_three_registers_without_a_total_add_up(bench: Bench) -> None:
    for line, wh in (("L1", 0.1), ("L2", 0.2), ("L3", 0.3)):
        bench.set(f"FiscalMetering@3.EnergyImportRegister[{line}]", wh)
        bench.clock.move(1)
    meter = Meter(bench.model, 3, bench.clock)
    register = meter.register()
    assert register is not None and (register.wh, register.time, register.fresh) == (0.6, 1000.0, True)


def test_what_is_offered_is_told_by_who_knows_it(bench: Bench) -> None:
    assert bench.meter.sample(("Current.Offered", "Power.Offered"), "Trigger") is None
    bench.meter.offered = lambda: 10.0
    value = bench.meter.sample(("Current.Offered", "Power.Offered"), "Trigger")
    assert value is not None and [(s.value, s.unit) for s in value.samples] == [(10.0, "A"), (6900.0, "W")]
    bench.silence()
    value = bench.meter.sample(("Current.Offered", "Power.Offered"), "Trigger")
    assert value is not None and values(value) == [("Current.Offered", None, 10.0)]
    bench.meter.offered = lambda: 0.0
    assert (value := bench.meter.sample(("Power.Offered",), "Trigger")) is not None and values(value)[0][2] == 0.0


def test_the_measurands_on_offer_are_those_that_a_meter_has_variables_for(bench: Bench) -> None:
    assert supported(bench.model, [1, 2]) == (
        REGISTER,
        "Power.Active.Import",
        "Current.Import",
        "Voltage",
        "Current.Offered",
        "Power.Offered",
    )
    assert supported(bench.model, [0]) == (REGISTER, "Power.Active.Import", "Current.Import")
    assert supported(bench.model, []) == ()
    bench.set("FiscalMetering@1.Frequency", 50.0)
    assert "Frequency" in supported(bench.model, [1])


# --- signed -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("E02.FR.14", "J01.FR.21", "J02.FR.21")
def test_a_signing_meter_signs_its_total_register(bench: Bench) -> None:
    bench.signing()
    assert bench.meter.can_sign
    value = bench.meter.sample((REGISTER, "Voltage"), "Transaction.End", signed=True, public_key=True)
    assert value is not None
    signed = value.samples[0].signed
    assert signed is not None and b64decode(signed.data).decode() == OCMF
    assert (signed.encoding_method, signed.signing_method) == ("OCMF", "ECDSA-brainpool256r1-SHA256")
    assert b64decode(signed.public_key) == b"3059AB"
    assert [sample.signed for sample in value.samples[1:]] == [None, None, None]


def test_the_key_is_an_empty_text_where_it_is_not_to_be_sent(bench: Bench) -> None:
    bench.signing()
    reading = bench.meter.signed_reading()
    assert reading is not None and reading.public_key == ""


def test_a_meter_that_cannot_sign_signs_nothing(bench: Bench) -> None:
    assert not bench.meter.can_sign and bench.meter.signed_reading() is None
    value = bench.meter.sample((REGISTER,), "Trigger", signed=True)
    assert value is not None and value.samples[0].signed is None


@pytest.mark.parametrize(
    ("reading", "method"),
    [
        ('OCMF|{}|{"SD":"00"}', "ECDSA-secp256r1-SHA256"),
        ('OCMF|{"x":"a|b"}|{"SA":"ECDSA-secp192k1-SHA256"}', "ECDSA-secp192k1-SHA256"),
        ("OCMF|{}|rubbish", ""),
        ("OCMF|{}|[]", ""),
        ("OCMF|{}|" + json.dumps({"SA": 5}), ""),
    ],
)
def test_the_method_is_what_the_signature_names(bench: Bench, reading: str, method: str) -> None:
    bench.signing()
    bench.set("FiscalMetering@1.SignedReading", reading)
    signed = bench.meter.signed_reading()
    assert signed is not None and signed.signing_method == method


@pytest.mark.parametrize("reading", ["", "SML 1b1b1b1b", "OCMF|" + "x" * 2000])
def test_what_cannot_be_sent_whole_is_not_sent_as_signed(bench: Bench, reading: str) -> None:
    bench.signing()
    bench.set("FiscalMetering@1.SignedReading", reading)
    value = bench.meter.sample((REGISTER,), "Trigger", signed=True)
    assert value is not None and value.samples[0].signed is None and value.samples[0].value == 1234.5


def test_a_signed_reading_that_is_too_old_is_absent(bench: Bench) -> None:
    bench.signing()
    bench.set("FiscalMetering@1.SignedReading", None)
    assert bench.meter.can_sign and bench.meter.signed_reading() is None
