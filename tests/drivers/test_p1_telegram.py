"""P1 telegrams: what is cut out of the bytes, and what never is."""

from decimal import Decimal

import pytest
from dsmr_parser import telegram_specifications
from dsmr_parser.parsers import TelegramParser
from hypothesis import given
from hypothesis import strategies as st

from drivers.p1_telegram import MAX_LENGTH, BadTelegram, Telegram, TelegramReader, crc16
from tests.drivers.telegrams import DSMR2, DSMR4, DSMR5, with_crc


def read(data: bytes, chunk: int = 10_000) -> list[Telegram | BadTelegram]:
    reader = TelegramReader()
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    return [found for piece in pieces for found in reader.feed(piece)]


@pytest.mark.parametrize(
    ("data", "specification"), [(DSMR4, telegram_specifications.V4), (DSMR5, telegram_specifications.V5)]
)
def test_every_number_is_the_one_that_an_independent_parser_reads(data, specification):
    [telegram] = read(data)
    oracle = TelegramParser(specification).parse(data.decode())
    names = {
        "1-0:1.8.1": "ELECTRICITY_USED_TARIFF_1",
        "1-0:1.8.2": "ELECTRICITY_USED_TARIFF_2",
        "1-0:2.8.1": "ELECTRICITY_DELIVERED_TARIFF_1",
        "1-0:2.8.2": "ELECTRICITY_DELIVERED_TARIFF_2",
        "1-0:1.7.0": "CURRENT_ELECTRICITY_USAGE",
        "1-0:2.7.0": "CURRENT_ELECTRICITY_DELIVERY",
        "1-0:31.7.0": "INSTANTANEOUS_CURRENT_L1",
        "1-0:51.7.0": "INSTANTANEOUS_CURRENT_L2",
        "1-0:71.7.0": "INSTANTANEOUS_CURRENT_L3",
        "1-0:32.7.0": "INSTANTANEOUS_VOLTAGE_L1",
        "1-0:52.7.0": "INSTANTANEOUS_VOLTAGE_L2",
        "1-0:72.7.0": "INSTANTANEOUS_VOLTAGE_L3",
    }
    compared = 0
    for obis, name in names.items():
        theirs = getattr(oracle, name, None)
        assert telegram.number(obis) == (None if theirs is None else theirs.value), obis
        compared += theirs is not None
    assert compared >= 9


def test_the_checksum_is_the_one_that_an_independent_parser_computes():
    assert crc16(DSMR5.partition(b"!")[0] + b"!") == TelegramParser.crc16(DSMR5.decode().partition("!")[0] + "!")


def test_the_last_bracket_is_the_value_and_its_unit_is_cut_off():
    [telegram] = read(DSMR4)
    assert telegram.lines["0-1:24.2.1"] == ("101209110000W", "12785.123*m3")
    assert telegram.number("0-1:24.2.1") == Decimal("12785.123")


def test_a_text_stays_as_it_stands():
    [telegram] = read(DSMR4)
    assert telegram.text("0-0:96.1.1") == "4B384547303034303436333935353037"
    assert telegram.text("9-9:9.9.9") is None


def test_an_empty_bracket_is_no_number():
    [telegram] = read(with_crc(b"/ISk5\\2MT382-1000\r\n\r\n1-0:1.7.0()\r\n1-0:2.7.0(1e3*kW)\r\n!"))
    assert telegram.number("1-0:1.7.0") is None
    assert telegram.number("1-0:2.7.0") is None


@given(st.integers(1, 200))
def test_it_does_not_matter_in_which_pieces_the_bytes_come(chunk):
    assert read(DSMR4 + DSMR5, chunk) == read(DSMR4) + read(DSMR5)


def test_a_port_opened_in_the_middle_of_a_telegram_gives_the_next_one():
    assert read(DSMR5[100:] + DSMR4) == read(DSMR4)


def test_a_telegram_without_its_end_costs_only_itself():
    cut, whole = read(DSMR5[:300] + b"\r\n" + DSMR4)
    assert cut == BadTelegram("cut short by the next telegram")
    assert [whole] == read(DSMR4)


def test_a_telegram_without_a_checksum_is_refused():
    [bad] = read(DSMR2)
    assert isinstance(bad, BadTelegram)
    assert "DSMR 2.2" in bad.reason


def test_a_wrong_checksum_is_named():
    [bad] = read(DSMR5[:-6] + b"0000\r\n")
    assert isinstance(bad, BadTelegram)
    assert bad.reason.startswith("bad CRC: 0000 received")


def test_noise_without_end_is_dropped():
    reader = TelegramReader()
    found = [bad for _ in range(10 * MAX_LENGTH // 1000) for bad in reader.feed(b"\x55" * 1000)]
    assert found
    assert all(isinstance(bad, BadTelegram) for bad in found)
    assert len(reader._buffer) <= MAX_LENGTH
    list(reader.feed(b"\r\n"))
    assert list(reader.feed(DSMR4)) == read(DSMR4)


@given(st.binary(max_size=400))
def test_noise_never_raises_and_never_becomes_a_telegram(noise):
    assert not any(isinstance(found, Telegram) for found in read(noise))


def test_no_single_changed_byte_yields_another_value():
    truth = read(DSMR5)
    for at in range(len(DSMR5)):
        for change in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
            damaged = DSMR5[:at] + bytes([DSMR5[at] ^ change]) + DSMR5[at + 1 :]
            found = [one for one in read(damaged) if isinstance(one, Telegram)]
            # What remains is the truth: a letter of the checksum in lower case, or a changed byte behind it.
            assert found in ([], truth), (at, change)


def test_no_cut_yields_a_value():
    for end in range(len(DSMR5) - 2):
        assert not any(isinstance(found, Telegram) for found in read(DSMR5[:end]))
        assert not any(isinstance(found, Telegram) for found in read(DSMR5[:end] + b"\r\n"))


@given(st.integers(0, len(DSMR5) - 10), st.integers(1, 16))
def test_a_gap_never_yields_another_value(at, length):
    damaged = DSMR5[:at] + DSMR5[at + length :]
    found = [one for one in read(damaged) if isinstance(one, Telegram)]
    assert found in ([], read(DSMR5))
