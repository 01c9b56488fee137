"""`station-agent buses` and `station-agent trace`: how devices answer, and what passes on a wire, decoded.

The running agent is asked (agent/onsite_buses.py has the form of its answers); decoding happens here.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, TextIO

from agent.cli_terminal import Style, clean, reader_may_leave, show, table
from agent.onsite import OnsiteError, ask
from drivers.trace import OUT, Record
from drivers.trace_decode import decode, unit_of
from drivers.trace_file import header_line, record_line

EVERY = 1.0
"""Seconds between two looks of `buses --watch`."""

LOOK = 0.25
"""Seconds between two questions of `trace`."""

MANY = 100
"""Records in one answer after which there may be more at once."""

TOGETHER = 0.1
"""Seconds between two pieces that may belong to one frame or line."""

_RED = "31"


def add_buses_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `buses`."""
    parser.add_argument("--json", action="store_true", help="print what the agent answers, for programs")
    parser.add_argument("--watch", action="store_true", help=f"again every {EVERY:g} s, until Ctrl-C")
    parser.set_defaults(call=buses)


def add_trace_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `trace`."""
    parser.add_argument("of", metavar="DEVICE|BUS", help="whose wire; of a Modbus device, what it is asked and says")
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="end after so long; left out, at Ctrl-C")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write all that passes on the bus, for `bench --replay`"
    )
    parser.set_defaults(call=trace)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds")
    return seconds


# --- buses --------------------------------------------------------------------------------------------------------


def buses(args: argparse.Namespace) -> int:
    """`buses`: ask the running agent once, or again and again."""
    with reader_may_leave():
        style = Style.of_stdout()
        first = True
        while True:
            try:
                found = ask(args.state_dir, "buses")
            except OnsiteError as error:
                if first:
                    print(f"station-agent: {error}", file=sys.stderr)
                    return 1
                # It may be starting again. What was shown is no longer true.
                if args.json:
                    print(f"station-agent: {error}", file=sys.stderr)
                else:
                    show([str(error)], style)
            else:
                if args.json:
                    print(json.dumps(found, indent=None if args.watch else 2), flush=True)
                elif args.watch:
                    show(page(found, style), style)
                else:
                    print("\n".join(page(found, style)))
            if not args.watch:
                return 0
            first = False
            time.sleep(EVERY)


def page(report: Mapping[str, Any], style: Style, zone: tzinfo | None = None) -> list[str]:
    """A line for each device; times of errors in `zone`, None for the computer's own."""
    rows = [["device", "bus", "wire", "requests", "answers", "errors", "p50", "p95", "max", "last error"]]
    colours = [""]
    for bus, wire in report["buses"].items():
        for device, told in wire["devices"].items():
            response, errors = told["response"], told["errors"]
            said = ", ".join(f"{count} {kind}" for kind, count in sorted(errors.items())) or style.none()
            last = style.none()
            if told["last_error"] is not None:
                at = datetime.fromisoformat(told["last_error_at"]).astimezone(zone)
                last = f"{at:%H:%M:%S} {told['last_error']}"
            times = [_milliseconds(response[key], style) for key in ("p50", "p95", "max")]
            asked = str(told["requests"]) if told["requests"] else style.none()
            rows.append([device, bus, wire["driver"], asked, str(told["answers"]), said, *times, last])
            colours.append(_RED if errors and not told["answers"] else "")
    if len(rows) == 1:
        return ["no devices"]
    return [
        line[: style.width] if style.terminal and not style.colours else line for line in table(rows, style, colours)
    ]


def _milliseconds(seconds: float | None, style: Style) -> str:
    if seconds is None:
        return style.none()
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


# --- trace --------------------------------------------------------------------------------------------------------


def trace(args: argparse.Namespace) -> int:
    """`trace`: follow one wire until Ctrl-C, or for some seconds."""
    with reader_may_leave():
        try:
            found = ask(args.state_dir, "trace", of=args.of)
            if args.record is None:
                _follow(args, found, None)
            else:
                with args.record.open("w") as file:
                    file.write(header_line(found["board"], found["bus"], found["driver"], found["time"]))
                    _follow(args, found, file)
        except OnsiteError as error:
            print(f"station-agent: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            print(f"station-agent: {error.filename or args.record}: {error.strerror}", file=sys.stderr)
            return 1
    return 0


def _follow(args: argparse.Namespace, found: Mapping[str, Any], file: TextIO | None) -> None:
    """Show, and write to `file`, what comes after `found`, the first answer."""
    start = found["monotonic"]
    wall = datetime.fromisoformat(found["time"])
    until = None if args.seconds is None else time.monotonic() + args.seconds
    view = View(found["driver"], found["unit"], wall, start)
    since = found["next"]
    last = False
    while not last:
        left = LOOK if until is None else min(LOOK, until - time.monotonic())
        time.sleep(max(0.0, left))
        last = until is not None and time.monotonic() >= until
        more = True
        while more:
            found = ask(args.state_dir, "trace", of=args.of, since=since)
            if found["monotonic"] < start or found["next"] < since:
                raise OnsiteError("the agent was started again")
            if found["lost"]:
                print(f"station-agent: {found['lost']} records were lost", file=sys.stderr)
            records = [(at, direction, bytes.fromhex(data)) for at, direction, data in found["records"]]
            if file is not None:
                file.writelines(record_line((max(0.0, at - start), way, data)) for at, way, data in records)
                file.flush()
            since, more = found["next"], len(records) >= MANY
            for line in view.take(records, found["monotonic"], last=last and not more):
                print(line, flush=True)


class View:
    """The records of one wire as lines; pieces of one frame are put together, and wait for the rest of it."""

    def __init__(
        self, driver: str, unit: int | None, wall: datetime, start: float, zone: tzinfo | None = None
    ) -> None:
        """`wall` is the time at monotonic `start`; with a `unit` only what this Modbus unit is asked, and says."""
        self._driver, self._unit = driver, unit
        self._wall, self._start, self._zone = wall, start, zone
        self._open: Record | None = None
        self._until = 0.0
        self._ours = unit is None

    def take(self, records: Sequence[Record], now: float, *, last: bool = False) -> Iterator[str]:
        """The lines that `records` complete; `now` is the wire's monotonic time, with `last` nothing is held back."""
        for at, direction, data in records:
            if self._open is not None:
                if direction == self._open[1] != OUT and at - self._until < TOGETHER:
                    self._open, self._until = (self._open[0], direction, self._open[2] + data), at
                    continue
                yield from self._lines(self._open)
            self._open, self._until = (at, direction, data), at
        if self._open is not None and (last or now - self._until >= TOGETHER):
            yield from self._lines(self._open)
            self._open = None

    def _lines(self, record: Record) -> Iterator[str]:
        at, direction, data = record
        if self._unit is not None and direction == OUT:
            self._ours = unit_of(self._driver, data) == self._unit
        if not self._ours:
            return
        moment = (self._wall + timedelta(seconds=at - self._start)).astimezone(self._zone)
        head = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} {'->' if direction == OUT else '<-'} "
        for line in decode(self._driver, data, direction).split("\n"):
            yield head + clean(line)
            head = " " * len(head)
