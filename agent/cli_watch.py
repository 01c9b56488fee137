"""`station-agent model` and `station-agent events`: what the running agent reads, and what it has told the CSMS.

The running agent is asked (agent/onsite_model.py has the form of its answers). `model BOARD` asks no agent: it shows
what a board file makes.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, NoReturn

from agent.cli_terminal import Style, clean, reader_may_leave, show, span
from agent.onsite import OnsiteError, ask

EVERY = 1.0
"""Seconds between two looks."""

LAST = 20
"""Events that are shown unless told otherwise."""

WIDEST = 40
"""Columns of a value on a terminal; the rest is cut."""

_BOLD, _RED, _YELLOW, _DIM = "1", "31", "33", "2"

SEVERITIES = (
    "danger", "hardware", "system", "critical", "error", "alert", "warning", "notice", "info", "debug",
)  # fmt: skip
"""Names of 0 to 9 (part 2 N04: severity)."""

Cell = tuple[str, str]
"""A text and its colour."""


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `model`."""
    parser.add_argument(
        "board",
        nargs="?",
        metavar="BOARD",
        help="a board's name, such as bench-ac, or the path of a board file; left out, the running agent is asked",
    )
    parser.add_argument("--match", metavar="TEXT", help="only addresses with TEXT in them, such as fan or @1,2")
    parser.add_argument(
        "--watch", nargs="?", const="", metavar="TEXT", help=f"again every {EVERY:g} s, until Ctrl-C; TEXT as --match"
    )
    parser.add_argument("--json", action="store_true", help="for programs: a line for each variable")
    parser.set_defaults(call=lambda args: model(parser, args))


def add_events_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `events`."""
    parser.add_argument("-n", dest="most", type=_count, default=LAST, metavar="N", help=f"the last N ({LAST})")
    parser.add_argument("--follow", "-f", action="store_true", help="and those to come, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="for programs: a line for each event")
    parser.set_defaults(call=events)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of events")
    return int(text)


# --- model --------------------------------------------------------------------------------------------------------


def model(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """`model`: that of a board file, or of the running agent, once or again and again."""
    asked = args.watch is not None or args.match is not None or args.json
    if args.board is not None:
        if asked:
            parser.error("BOARD is a file; --watch, --match and --json are for the running agent: leave BOARD out")
        from agent.cli_board import model as of_board

        with reader_may_leave():
            return of_board(args.board)
    match = args.watch or args.match or ""
    with reader_may_leave():
        try:
            if args.watch is not None:
                _watch(args.state_dir, match, as_json=args.json)
            style = Style.of_stdout()
            report = whole(args.state_dir, match)
        except OnsiteError as error:
            print(f"station-agent: {error}", file=sys.stderr)
            return 1
        if args.json:
            print("".join(f"{json.dumps(row)}\n" for row in report["variables"]), end="")
        else:
            print("\n".join([*model_page(report, style), "", _counted(report, match)]))
    return 0


def whole(state_dir: Path, match: str, since: int | None = None) -> dict[str, Any]:
    """Every page of an answer as one; its version is that of the first page. Raises OnsiteError."""
    report: dict[str, Any] = ask(state_dir, "model", match=match, since=since)
    while report["next"] is not None:
        more = ask(state_dir, "model", match=match, since=since, **{"from": report["next"]})
        report["variables"] += more["variables"]
        report["next"] = more["next"]
    return report


def _watch(state_dir: Path, match: str, *, as_json: bool) -> NoReturn:
    style = Style.of_stdout()
    if style.terminal and not as_json:
        _watch_screen(state_dir, match, style)
    else:
        _watch_lines(state_dir, match, as_json=as_json)


def _watch_screen(state_dir: Path, match: str, style: Style) -> NoReturn:
    """One screen, drawn over and over; what changed since the look before stands out."""
    before: dict[str, str | None] | None = None
    first = True
    while True:
        # The line of the time, the heading, the line of the number.
        room = max(1, shutil.get_terminal_size().lines - 4)
        try:
            report = ask(state_dir, "model", match=match, most=room)
        except OnsiteError as error:
            if first:
                raise
            # It may be starting again. What was shown is no longer true.
            show([str(error)], style)
        else:
            style.width = shutil.get_terminal_size().columns
            at = datetime.fromisoformat(report["time"]).astimezone()
            lines = [f"{at:%Y-%m-%d %H:%M:%S}", *model_page(report, style, before), _counted(report, match)]
            show(lines, style)
            before = {row["address"]: row["value"] for row in report["variables"]}
        first = False
        time.sleep(EVERY)


def _watch_lines(state_dir: Path, match: str, *, as_json: bool) -> NoReturn:
    """Every variable once, then a line whenever one has changed."""
    since: int | None = None
    known: dict[str, dict[str, Any]] = {}
    told = ""
    while True:
        try:
            report = whole(state_dir, match, since)
        except OnsiteError as error:
            if since is None:
                raise
            if str(error) != told:
                print(f"station-agent: {error}", file=sys.stderr)
                told = str(error)
        else:
            since, told = report["version"], ""
            for row in report["variables"]:
                # A page behind the first may tell again what it told before.
                same = {key: one for key, one in row.items() if key != "age"}
                if known.get(row["address"]) != same:
                    known[row["address"]] = same
                    print(json.dumps({"time": report["time"], **row}) if as_json else _line(report["time"], row))
            sys.stdout.flush()
        time.sleep(EVERY)


def _line(now: str, row: Mapping[str, Any]) -> str:
    """A variable on one line, for a pipe or a file."""
    parts = [f"{datetime.fromisoformat(now).astimezone():%Y-%m-%d %H:%M:%S}", row["address"], "=", _value(row, "-")]
    parts += [row["unit"]] if row["unit"] and row["value"] else []
    parts += [f"target {row['target']}"] if row["target"] else []
    parts += [f"({row['problem']})"] if row["problem"] else []
    return clean(" ".join(parts))


def model_page(report: Mapping[str, Any], style: Style, before: Mapping[str, str | None] | None = None) -> list[str]:
    """A line for each variable of `report`; what has another value than in `before` stands out."""
    rows: list[list[Cell]] = [
        [(head, _DIM) for head in ("component", "variable", "value", "unit", "age", "target", "min..max", "problem")]
    ]
    for row in report["variables"]:
        name = row["variable"] + (f"[{row['variable_instance']}]" if row["variable_instance"] else "")
        changed = before is not None and before.get(row["address"]) != row["value"]
        value = _value(row, style.none())
        if style.terminal and len(value) > WIDEST:
            value = value[: WIDEST - 2] + ".."
        rows.append([
            (row["address"][: -len(name) - 1], ""),
            (name, ""),
            (value, _DIM if row["secret"] else _BOLD if changed else ""),
            (row["unit"] or "", ""),
            _age(row, style),
            (row["target"] or "", ""),
            (f"{row['min_set'] or ''}..{row['max_set'] or ''}" if row["min_set"] or row["max_set"] else "", ""),
            (row["problem"] or "", _RED),
        ])  # fmt: skip
    return cells(rows, style) if len(rows) > 1 else ["no variables"]


def _value(row: Mapping[str, Any], none: str) -> str:
    return "(secret)" if row["secret"] else row["value"] or none


def _age(row: Mapping[str, Any], style: Style) -> Cell:
    """How long ago it was measured: red where it no longer counts, yellow where it soon will not."""
    age, most = row["age"], row["max_age"]
    if most is None:
        return "", ""
    if age is None:
        return style.none(), _RED
    stale = age > most or not row["value"]
    return f"{age:.1f} s" if age < 10 else span(age), _RED if stale else _YELLOW if age > most / 2 else ""


def _counted(report: Mapping[str, Any], match: str) -> str:
    shown, matching, total = len(report["variables"]), report["matching"], report["total"]
    line = f"{matching} of {total} variables match {clean(match)}" if match else f"{total} variables"
    return line if shown == matching else f"{line}; the first {shown} (--watch TEXT shows others)"


def cells(rows: Sequence[Sequence[Cell]], style: Style, widths: Sequence[int] = ()) -> list[str]:
    """Columns aligned, at least `widths` wide, each cell in its colour; cut at the edge of a terminal."""
    least = [*widths, *[0] * (len(rows[0]) - len(widths))]
    columns = [
        max(low, *(len(text) for text, _ in column))
        for low, column in zip(least, zip(*rows, strict=True), strict=True)
    ]
    return ["".join(_painted(row, columns, style)).rstrip() for row in rows]


def _painted(row: Sequence[Cell], columns: Sequence[int], style: Style) -> Iterator[str]:
    room = style.width if style.terminal else sys.maxsize
    last = max((number for number, (text, _) in enumerate(row) if text), default=-1)
    for number, ((text, colour), width) in enumerate(zip(row[: last + 1], columns, strict=False)):
        shown = clean(text)[:room]
        gap = "" if number == last else " " * min(width + 2 - len(shown), room - len(shown))
        room -= len(shown) + len(gap)
        yield (style.paint(shown, colour) if shown else "") + gap
        if room <= 0:
            return


# --- events -------------------------------------------------------------------------------------------------------


def events(args: argparse.Namespace) -> int:
    """`events`: the last ones, and with --follow those to come."""
    with reader_may_leave():
        table = EventLines(Style.of_stdout())
        try:
            last, shown = _take(args.state_dir, table, as_json=args.json, most=args.most)
        except OnsiteError as error:
            print(f"station-agent: {error}", file=sys.stderr)
            return 1
        if args.follow:
            _follow(args.state_dir, last, table, as_json=args.json)
        if not shown and not args.json:
            print("no events")
    return 0


def _follow(state_dir: Path, last: int | None, table: "EventLines", *, as_json: bool) -> NoReturn:
    told = ""
    while True:
        sys.stdout.flush()
        time.sleep(EVERY)
        try:
            # Where there was none, all are new.
            last, _ = _take(state_dir, table, as_json=as_json, since=last)
            told = ""
        except OnsiteError as error:
            # It may be starting again.
            if str(error) != told:
                print(f"station-agent: {error}", file=sys.stderr)
                told = str(error)


def _take(
    state_dir: Path, table: "EventLines", *, as_json: bool, since: int | None = None, most: int | None = None
) -> tuple[int | None, int]:
    """Print what came after `since`, or the last `most`; returns the id to go on with, and how many there were.

    Raises OnsiteError.
    """
    shown, more, last = 0, True, since
    while more:
        found = ask(state_dir, "events", since=since, most=most)
        if found["lost"]:
            print(f"station-agent: after {since} some may be missing: the agent keeps the last ones", file=sys.stderr)
        for line in map(json.dumps, found["events"]) if as_json else table.lines(found["events"]):
            print(line)
        shown += len(found["events"])
        last = found["last"] if found["last"] is not None else last
        more = found["more"] and bool(found["events"])
        if found["events"]:
            since = last = found["events"][-1]["id"]
    return last, shown


class EventLines:
    """Events as lines of one table, whose columns only get wider: those to come are not known when it begins."""

    def __init__(self, style: Style, zone: tzinfo | None = None) -> None:
        """Times in `zone`, None for the computer's own."""
        self._style, self._zone = style, zone
        self._widths: list[int] = []

    def lines(self, found: Sequence[Mapping[str, Any]]) -> list[str]:
        """The lines of `found`, with a heading before the first."""
        if not found:
            return []
        rows = [self._row(one) for one in found]
        if not self._widths:
            heads = ("id", "time", "severity", "component", "variable", "value", "trigger", "cause", "CSMS", "what")
            rows.insert(0, [(head, _DIM) for head in heads])
        # The last column is as wide as it is.
        wide = [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)][:-1]
        self._widths = [max(pair) for pair in zip(wide, self._widths or wide, strict=True)]
        return cells(rows, self._style, self._widths)

    def _row(self, event: Mapping[str, Any]) -> list[Cell]:
        at = datetime.fromisoformat(event["time"]).astimezone(self._zone)
        severity = event["severity"]
        name = SEVERITIES[severity] if severity in range(len(SEVERITIES)) else str(severity)
        colour = _DIM if event["cleared"] else _RED if severity <= 4 else _YELLOW if severity <= 6 else ""
        value = "(secret)" if event["value"] is None else str(event["value"])
        if self._style.terminal and len(value) > WIDEST:
            value = value[: WIDEST - 2] + ".."
        what = [
            *(["cleared"] if event["cleared"] else []),
            *([event["tech_info"]] if event["tech_info"] else []),
            *([f"monitor {event['monitor']}"] if event["monitor"] is not None else []),
        ]
        return [
            (str(event["id"]), ""),
            (f"{at:%Y-%m-%d %H:%M:%S}", ""),
            (f"{severity} {name}", colour),
            (str(event["component"]), ""),
            (str(event["variable"]), ""),
            (value or self._style.none(), ""),
            (str(event["trigger"]), ""),
            ("" if event["cause"] is None else f"by {event['cause']}", ""),
            (str(event.get("state") or ""), ""),
            (", ".join(what), colour),
        ]  # fmt: skip
