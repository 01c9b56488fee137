"""Whatever a file says, loading it gives a board or names mistakes that lie within the file; it never breaks."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.board import BoardError, load
from tests.board.parts import GOOD, written

WORDS = [
    "",
    "null",
    "true",
    "on",
    "1:30",
    "-1",
    "1e999",
    ".nan",
    "3s",
    "[]",
    "{}",
    "[1, [2]]",
    "{a: {b: c}}",
    "*x",
    "é",
    "fan.rpm",
]
TOKENS = [match.span() for match in re.finditer(r"[\w./-]+", GOOD)]


@settings(deadline=None, max_examples=150)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(TOKENS), st.sampled_from(WORDS) | st.text(max_size=8)), min_size=1, max_size=3
    )
)
def test_a_board_with_anything_in_the_place_of_a_word_loads_or_is_told_of(
    changes: list[tuple[tuple[int, int], str]],
) -> None:
    text = GOOD
    for (start, end), word in sorted(changes, reverse=True):
        text = text[:start] + word + text[end:]
    text = text.encode("utf-8", "replace").decode()
    with tempfile.TemporaryDirectory() as folder:
        try:
            load(str(written(Path(folder), text)))
        except BoardError as error:
            lines = text.splitlines() or [""]
            assert error.mistakes
            assert all(1 <= mistake.line <= len(lines) + 1 and mistake.column >= 1 for mistake in error.mistakes)
