"""Lines of card readers, without a reader: no input makes a token that nobody presented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.reader_lines import MAX_LENGTH, STALL, Garbage, LineReader, Presence, Token, token_of


def lines(*pieces: bytes) -> list[str]:
    reader = LineReader()
    return [line for piece in pieces for line in reader.feed(piece, 0.0) if isinstance(line, str)]


@pytest.mark.parametrize(
    "said",
    [b"04A1\r\n", b"04A1\n", b"04A1\r", b"\x0204A1\x03", b"\x0204A1\r\n\x03", b"\r\n  04A1 \r\n", b"x\x0204A1\r"],
)
def test_a_line_is_the_same_whatever_is_around_it(said: bytes) -> None:
    assert lines(said) == ["04A1"]


def test_half_a_line_and_the_next_one_are_no_third() -> None:
    reader = LineReader()
    assert list(reader.feed(b"04A1", 0.0)) == []
    late = list(reader.feed(b"B2C3\r", STALL + 0.1))
    assert isinstance(late[0], Garbage)
    assert late[1:] == ["B2C3"]


def test_what_has_no_end_is_dropped_up_to_the_next_end_or_after_a_pause() -> None:
    reader = LineReader()
    long = list(reader.feed(b"1" * (MAX_LENGTH + 1), 0.0))
    assert [type(one) for one in long] == [Garbage]
    assert list(reader.feed(b"22\r33\r", 0.0)) == ["33"]
    list(reader.feed(b"1" * 1000, 1.0))
    assert list(reader.feed(b"44\r", 1.0 + STALL + 0.1)) == ["44"]


@given(st.lists(st.binary(max_size=400), max_size=8))
def test_no_bytes_break_it_and_all_that_comes_out_is_short_printable_text(pieces: list[bytes]) -> None:
    for line in lines(*pieces):
        assert 0 < len(line) <= MAX_LENGTH
        assert line.isprintable()
        assert line.isascii()


@given(st.lists(st.text("0123456789ABCDEF", min_size=1, max_size=20), min_size=1), st.integers(1, 7))
def test_lines_come_out_as_they_went_in_however_they_are_cut(tokens: list[str], size: int) -> None:
    said = "".join(f"{token}\r\n" for token in tokens).encode()
    assert lines(*(said[at : at + size] for at in range(0, len(said), size))) == tokens


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("04A1", Token("04A1", "Local")),
        ("ISO15693:E004", Token("E004", "ISO15693")),
        ("emaid: DE-8AA-C1", Token("DE-8AA-C1", "eMAID")),
        ("AA:BB:CC:DD:EE:FF", Token("AA:BB:CC:DD:EE:FF", "Local")),
        ("MacAddress:AA:BB:CC:DD:EE:FF", Token("AA:BB:CC:DD:EE:FF", "MacAddress")),
    ],
)
def test_a_line_is_a_token_or_a_type_and_a_token(line: str, token: Token) -> None:
    assert token_of(line, None, "Local") == token


@pytest.mark.parametrize("line", ["NoAuthorization:1", "ISO14443:", "ISO14443: "])
def test_a_type_without_a_token_and_no_authorization_are_no_tokens(line: str) -> None:
    assert isinstance(token_of(line, None, "Local"), Garbage)


def test_the_same_card_again_only_stays_longer() -> None:
    there = Presence(1.0, "Local")
    card = Token("1", "Local")
    assert there.swipe(card, 0.0) == [("token_type", "Local"), ("token", "1")]
    assert there.swipe(card, 0.9) == []
    assert there.expire(1.5) == []
    assert there.expire(1.9) == [("token", "")]
    assert there.swipe(card, 2.0) == [("token_type", "Local"), ("token", "1")]
