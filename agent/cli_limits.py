"""`station-agent limits`: who limits the charging now, whose limit wins, what the next day allows; and the record.

The running agent is asked for `limits` (agent/onsite.py). Its report; seconds count from now, currents are per phase:

    {"time": ISO 8601,
     "sources": [{"name", "kind", "scope": 0 (station) | EVSE, "state", "value": number | null, "unit": "A" | "W",
                  "phases": [A, A, A] | null, "age": s | null, "until": s | null, "problem": text | null}],
     "evses": [{"id", "current": A, "reason": name of the source that wins, "offered": A,
                "status": state of the charge, "active": bool, "available": A}],
     "plan": {"seconds": s, "scopes": [{"evse": 0 | EVSE, "unit": "A" | "W", "periods": [[start s, limit], …]}]}}
"""

import argparse
import csv
import io
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, NoReturn

from agent.cli_terminal import Style, clean, reader_may_leave, show, span, table
from agent.onsite import OnsiteError, ask

HEIGHT = 4
"""Lines of a plot."""

EVERY = 1.0
"""Seconds between two looks of `--watch`."""

HOURS = 3
"""Between two marks below a plot."""

BLOCKS = " ▁▂▃▄▅▆▇█"
PLAIN = " ___====#"
"""What stands for 0/8 … 8/8 of a line."""

_MARGIN = 7
_BOLD, _RED = "1", "31"
_TROUBLE = {"Stale", "Failsafe"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `limits`, and its subcommand `log`."""
    parser.add_argument("--json", action="store_true", help="print what the agent answers, for programs")
    parser.add_argument("--watch", action="store_true", help=f"again every {EVERY:g} s, until Ctrl-C")
    parser.set_defaults(call=limits)
    record = parser.add_subparsers(dest="action", metavar="[log]").add_parser(
        "log",
        help="print the record of the grid operator's signals",
        description="Print the record of the grid operator's signals; no agent needs to run.",
    )
    record.add_argument("--state-dir", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="as for limits")
    record.add_argument(
        "--since", type=since, metavar="DATE", help="only what came later: 2026-11-25 or 2026-11-25T14:00, local time"
    )
    record.add_argument("--csv", action="store_true", help="as CSV in UTC, which is also what a file or pipe gets")
    record.set_defaults(call=log)


def since(text: str) -> datetime:
    """A date, or a date and time; local time unless it says otherwise."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        message = f"{text!r} is no date, such as 2026-11-25 or 2026-11-25T14:00"
        raise argparse.ArgumentTypeError(message) from None


def limits(args: argparse.Namespace) -> int:
    """`limits`: ask the running agent once, or again and again."""
    with reader_may_leave():
        style = Style.of_stdout()
        try:
            found = ask(args.state_dir, "limits")
        except OnsiteError as error:
            print(f"station-agent: {error}", file=sys.stderr)
            return 1
        if not args.watch:
            print(json.dumps(found, indent=2) if args.json else "\n".join(page(found, style)))
            return 0
        _watch(args.state_dir, found, style, as_json=args.json)
    return 0


def _watch(state_dir: Path, found: Any, style: Style, *, as_json: bool) -> NoReturn:
    while True:
        if as_json:
            print(json.dumps(found), flush=True)
        else:
            show(page(found, style), style)
        found = None
        while found is None:
            time.sleep(EVERY)
            try:
                found = ask(state_dir, "limits")
            except OnsiteError as error:
                # It may be starting again. What was shown is no longer true.
                if as_json:
                    print(f"station-agent: {error}", file=sys.stderr)
                else:
                    show([str(error)], style)


def log(args: argparse.Namespace) -> int:
    """`limits log`: the record of the signals, as a table on a terminal, else as CSV."""
    from agent.ems.signals import export

    out = io.StringIO()
    try:
        os.listdir(args.state_dir)  # noqa: PTH208 - what may not be read must not look like an empty record
        found = export(args.state_dir, out, args.since)
    except OSError as error:
        print(f"station-agent: {error.filename or args.state_dir}: {error.strerror}", file=sys.stderr)
        return 1
    with reader_may_leave():
        if args.csv or not sys.stdout.isatty():
            sys.stdout.write(out.getvalue())
        elif not found.lines:
            print("no signals" if args.since is None else f"no signals since {args.since:%Y-%m-%d %H:%M}")
        else:
            rows = list(csv.reader(io.StringIO(out.getvalue())))
            local = [
                [f"{datetime.fromisoformat(row[0]).astimezone():%Y-%m-%d %H:%M:%S}", *row[1:]] for row in rows[1:]
            ]
            print("\n".join(table([rows[0], *local], Style.of_stdout())))
        sys.stdout.flush()
    if found.damaged:
        print(f"station-agent: {found.damaged} damaged lines are left out", file=sys.stderr)
    return 0


# --- the page -----------------------------------------------------------------------------------------------------


def page(report: Mapping[str, Any], style: Style, zone: tzinfo | None = None) -> list[str]:
    """The lines that show `report`; times in `zone`, None for the computer's own."""
    start = datetime.fromisoformat(report["time"]).astimezone(zone)
    lines = [f"{start:%Y-%m-%d %H:%M:%S}", ""]
    lines += _sources(report, style)
    lines += ["", *_evses(report, style)]
    for scope in report["plan"]["scopes"]:
        lines += ["", *_plan(scope, float(report["plan"]["seconds"]), start, style, zone)]
    return lines


def _sources(report: Mapping[str, Any], style: Style) -> list[str]:
    if not report["sources"]:
        return ["nobody limits but the board"]
    rows: list[list[str]] = [["source", "kind", "scope", "state", "limit", "age", "until", "wins"]]
    colours, below = [""], dict[int, str]()
    for one in report["sources"]:
        wins = [
            evse["id"]
            for evse in report["evses"]
            if evse["reason"] == one["name"] and one["scope"] in (0, evse["id"]) and one["value"] is not None
        ]
        rows.append([
            one["name"],
            one["kind"],
            scope_name(one["scope"]),
            one["state"],
            _limit(one, style),
            style.none() if one["age"] is None else span(one["age"]),
            style.none() if one["until"] is None else f"in {span(one['until'])}",
            ", ".join(f"EVSE {number}" for number in wins),
        ])  # fmt: skip
        colours.append(_RED if one["problem"] or one["state"] in _TROUBLE else _BOLD if wins else "")
        if one["problem"]:
            below[len(rows) - 1] = style.paint(f"  {clean(one['problem'])}", _RED)
    return table(rows, style, colours, below)


def _evses(report: Mapping[str, Any], style: Style) -> list[str]:
    rows = [["EVSE", "limit", "by", "offered", "available", "charge"]]
    for one in report["evses"]:
        charge = one["status"] if one["active"] or not one["status"] else f"{one['status']}, no car asks"
        rows.append([
            str(one["id"]),
            f"{one['current']:g} A" if one["current"] > 0 else ("paused" if one["active"] else "0 A"),
            one["reason"],
            f"{one['offered']:g} A",
            f"{one['available']:g} A",
            charge or style.none(),
        ])  # fmt: skip
    return table(rows, style)


def _limit(one: Mapping[str, Any], style: Style) -> str:
    if one["value"] is None:
        return style.none()
    if one["phases"] is not None and len(set(one["phases"])) > 1:
        return "/".join(f"{amps:g}" for amps in one["phases"]) + " A"
    return f"{one['value']:g} {one['unit']}"


def scope_name(scope: int) -> str:
    return "station" if scope == 0 else f"EVSE {scope}"


# --- the plan -----------------------------------------------------------------------------------------------------


def _plan(
    scope: Mapping[str, Any], seconds: float, start: datetime, style: Style, zone: tzinfo | None
) -> Iterator[str]:
    name, unit, periods = scope_name(scope["evse"]), scope["unit"], scope["periods"]
    ahead = f"next {span(seconds)}"
    if not periods:
        yield f"{name}, {ahead}: no plan"
        return
    if len(periods) == 1 and periods[0][0] <= 0:
        yield f"{name}, {ahead}: {periods[0][1]:g} {unit}"
        return
    yield f"{name}, {ahead}, {unit}"
    # Whole columns for an hour where there is room.
    room = style.width - _MARGIN - 1
    width = next((columns for columns in (96, 72, 48, 24) if columns <= room), max(8, room))
    yield from plot(periods, seconds, width, HEIGHT, start=start, zone=zone, plain=style.plain)
    yield _steps(periods, unit, start, style, zone)


def _steps(periods: Sequence[Sequence[float]], unit: str, start: datetime, style: Style, zone: tzinfo | None) -> str:
    """The steps in numbers, as many as fit on a line."""
    between = ", " if style.plain else " · "
    line = ""
    for number, (begin, limit) in enumerate(periods):
        step = f"{_at(start, begin, zone):%H:%M} {limit:g} {unit}"
        rest = f"{between}{len(periods) - number} more"
        if line and len(line) + len(between) + len(step) + len(rest) > style.width - _MARGIN:
            line += rest
            break
        line += between + step if line else step
    return " " * _MARGIN + line


def plot(
    periods: Sequence[Sequence[float]],
    seconds: float,
    width: int,
    height: int,
    *,
    start: datetime | None = None,
    zone: tzinfo | None = None,
    plain: bool = False,
) -> list[str]:
    """`height` lines of `width` columns that show what the limit allows, with a scale, and below them the hours.

    `periods` are (start in s, limit), ascending; a column shows the lowest limit of its time, a dot where there is
    none. The hours are those of the clock in `zone` where `start` is known, else from now. `plain`: ASCII.
    """
    lowest = _columns(periods, seconds, width)
    top = max((one for one in lowest if one is not None), default=0.0) or 1.0
    levels = [None if one is None else _eighths(one / top, height) for one in lowest]
    signs = PLAIN if plain else BLOCKS
    lines = list[str]()
    for row in reversed(range(height)):
        nothing = " " if row else "." if plain else "·"
        cells = "".join(nothing if level is None else signs[min(8, max(0, level - 8 * row))] for level in levels)
        scale = _scale(top * (row + 1) / height) if row == height - 1 or row % 2 else ""
        lines.append((f"{scale:>{_MARGIN - 2}} " + ("|" if plain else "│" if not scale else "┤") + cells).rstrip())
    marks = _marks(seconds, width, start, zone)
    rule, tick, corner = ("-", "+", "+") if plain else ("─", "┴", "└")
    lines.append(f"{'0':>{_MARGIN - 2}} {corner}" + "".join(tick if one in marks else rule for one in range(width)))
    lines.append(" " * _MARGIN + _labels(marks, width))
    return [line.rstrip() for line in lines]


def _columns(periods: Sequence[Sequence[float]], seconds: float, width: int) -> list[float | None]:
    """The lowest limit within each column's time, None where no period has begun."""
    lowest: list[float | None] = [None] * width
    ends = [*(one[0] for one in periods[1:]), seconds]
    for (begin, limit), end in zip(periods, ends, strict=False):
        first = max(0, math.floor(begin * width / seconds))
        last = min(width, math.ceil(end * width / seconds))
        for column in range(first, last):
            known = lowest[column]
            lowest[column] = limit if known is None else min(known, limit)
    return lowest


def _eighths(share: float, height: int) -> int:
    """How many eighths of a line `share` of the plot's height is: never none for what is something."""
    return 0 if share <= 0 else max(1, round(share * height * 8))


def _scale(value: float) -> str:
    """At most five characters."""
    if value >= 99_999:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}".removesuffix(".0")


def _marks(seconds: float, width: int, start: datetime | None, zone: tzinfo | None) -> dict[int, str]:
    """Column → label, every few hours."""
    marks = dict[int, str]()
    if start is None:
        for hour in range(0, int(seconds // 3600) + 1, HOURS):
            marks[int(hour * 3600 * width / seconds)] = f"+{hour}h"
        return {column: label for column, label in marks.items() if column < width}
    # Every zone's hours begin on a quarter of an hour of UTC.
    begin = start.timestamp()
    for moment in range(math.ceil(begin / 900) * 900, math.ceil(begin + seconds), 900):
        local = datetime.fromtimestamp(moment, UTC).astimezone(zone)
        if local.minute == 0 and local.hour % HOURS == 0:
            marks.setdefault(int((moment - begin) * width / seconds), f"{local:%H:%M}")
    return marks


def _labels(marks: Mapping[int, str], width: int) -> str:
    line = ""
    for column, label in sorted(marks.items()):
        if column >= len(line) + bool(line) and column + len(label) <= width:
            line = line.ljust(column) + label
    return line


def _at(start: datetime, seconds: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(start.timestamp() + seconds, UTC).astimezone(zone)
