"""What the commands share that show something on a terminal: style, tables, pages that are drawn over, `| head`."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence

_DIM = "2"


class Style:
    """What the reader can show: blocks or plain characters, colours or none; `width` in columns."""

    def __init__(self, *, plain: bool, colours: bool, width: int = 80, terminal: bool = False) -> None:
        self.plain, self.colours, self.width, self.terminal = plain, colours, width, terminal

    @classmethod
    def of_stdout(cls) -> "Style":
        """A terminal that speaks UTF-8 gets blocks; one that does not, a file and a pipe get plain characters."""
        terminal = sys.stdout.isatty()
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        colours = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        return cls(
            plain=not (terminal and utf8),
            colours=colours,
            width=shutil.get_terminal_size().columns if terminal else 80,
            terminal=terminal and os.environ.get("TERM") != "dumb",
        )

    def none(self) -> str:
        """Stands for what there is not."""
        return "-" if self.plain else "—"

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colours and colour else text


def span(seconds: float) -> str:
    """A duration as one says it: 12 s, 5 min, 3 h, 2 d."""
    for unit, size, upto in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if abs(seconds) < size * upto:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86_400)} d"


def clean(text: str) -> str:
    """`text` without what a terminal would obey: some of it comes from other computers."""
    return "".join(one if one.isprintable() else "?" for one in text)


def table(
    rows: Sequence[Sequence[str]], style: Style, colours: Sequence[str] = (), below: Mapping[int, str] | None = None
) -> list[str]:
    """Columns aligned, the first row is the heading; `below` has a line that follows a row."""
    shown = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = list[str]()
    for number, row in enumerate(shown):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(style.paint(line, _DIM if number == 0 else colours[number] if colours else ""))
        if below and number in below:
            lines.append(below[number])
    return lines


def show(lines: Sequence[str], style: Style) -> None:
    """Draw over what was there; on no terminal, one page after the other."""
    if not style.terminal:
        print("\n".join(lines), end="\n\n", flush=True)
        return
    room = shutil.get_terminal_size().lines - 1
    print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines[:room]) + "\x1b[J", end="", flush=True)


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """`| head` ends the command, without a word."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What the interpreter still flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
