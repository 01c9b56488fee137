"""Whatever a file says, loading it gives a board or names mistakes that lie within the file; it never breaks."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.board import BoardError, load, wire
from tests.board.parts import CHARGING, GOOD, written

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


def spoiled(text: str) -> st.SearchStrategy[str]:
    """`text` with anything in the place of one to three of its words."""
    words = st.sampled_from([match.span() for match in re.finditer(r"[\w./-]+", text)])
    changes = st.lists(st.tuples(words, st.sampled_from(WORDS) | st.text(max_size=8)), min_size=1, max_size=3)

    def made(changes: list[tuple[tuple[int, int], str]]) -> str:
        result = text
        for (start, end), word in sorted(changes, reverse=True):
            result = result[:start] + word + result[end:]
        return result.encode("utf-8", "replace").decode()

    return changes.map(made)


@settings(deadline=None, max_examples=200)
@given(text=spoiled(GOOD) | spoiled(CHARGING))
def test_a_board_with_anything_in_the_place_of_a_word_can_be_wired_or_is_told_of(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            wire(load(str(written(Path(folder), text))))
        except BoardError as error:
            lines = text.splitlines() or [""]
            assert error.mistakes
            assert all(1 <= mistake.line <= len(lines) + 1 and mistake.column >= 1 for mistake in error.mistakes)
