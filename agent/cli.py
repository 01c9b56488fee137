"""The `station-agent` command: what it can do, and nothing imported for what it was not asked."""

import argparse
import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

DEFAULT_STATE = Path("/var/lib/station-agent")

EPILOG = """\
first steps:
  station-agent demo                     see it work on the built-in bench
  station-agent board check FILE         what is right and wrong with a board file
  station-agent board probe FILE         read every point of a connected board once
  station-agent setup                    CSMS URL, identity and password of this unit
  station-agent run BOARD                be the charging station
"""


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="station-agent",
        description="Makes an OCPP 2.0.1 charging station out of hardware.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="be the charging station that BOARD describes", description=_run.__doc__)
    _board_argument(run)
    _state_argument(run)
    run.add_argument(
        "--overlay", type=Path, metavar="FILE", help="JSON that replaces end points of buses (a bench's)"
    )
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    run.set_defaults(call=_run)

    setup = commands.add_parser(
        "setup", help="store this unit's CSMS URL, identity and password", description=_setup.__doc__
    )
    _state_argument(setup)
    setup.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="JSON with csms_url, identity, password, …; - is stdin",
    )
    setup.set_defaults(call=_setup)

    board = commands.add_parser("board", help="check, describe and probe board files")
    actions = board.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what is right and wrong with a board file")
    _board_argument(check)
    check.set_defaults(call=_board_check)
    schema = actions.add_parser("schema", help="print the JSON Schema of board files, for editors")
    schema.set_defaults(call=_board_schema)
    probe = actions.add_parser("probe", help="read every point of a connected board once")
    _board_argument(probe)
    _state_argument(probe)
    probe.add_argument("--overlay", type=Path, metavar="FILE", help="JSON that replaces end points of buses")
    probe.set_defaults(call=_board_probe)

    model = commands.add_parser(
        "model",
        help="print the Device Model, of a board file or of the running agent",
        description="Show every variable that BOARD makes; without BOARD, what the running agent reads, with ages.",
    )
    _state_argument(model)
    events = commands.add_parser(
        "events",
        help="ask the running agent for the last events",
        description="Show what the station told the CSMS of problems, protections and monitors, oldest first.",
    )
    _state_argument(events)
    limits = commands.add_parser(
        "limits",
        help="ask the running agent who limits the charging, now and over the next day",
        description="Show every source of limits, which one wins for each plug, and what the next day allows.",
    )
    _state_argument(limits)
    buses = commands.add_parser(
        "buses",
        help="ask the running agent how its wires and devices answer",
        description="Show requests, errors and response times of every device.",
    )
    _state_argument(buses)
    trace = commands.add_parser(
        "trace",
        help="show the bytes that pass on a wire of the running agent, decoded",
        description="Show what is said on a wire, with times; --record keeps it for `bench --replay`.",
    )
    _state_argument(trace)

    bench = commands.add_parser("bench", help="run a station against simulated hardware, at wire level")
    demo = commands.add_parser("demo", help="bench, station and CSMS in one, with a live view")
    for name, sub in (("bench", bench), ("demo", demo)):
        sub.set_defaults(call=_bench if name == "bench" else _demo)
    late = {"bench": bench, "demo": demo, "limits": limits, "buses": buses, "trace": trace}
    _late_arguments(words, {**late, "model": model, "events": events})
    return parser


_LATE = {
    "bench": "drivers.bench.cli:add_arguments",
    "demo": "agent.demo.command:add_arguments",
    "events": "agent.cli_watch:add_events_arguments",
    "limits": "agent.cli_limits:add_arguments",
    "model": "agent.cli_watch:add_model_arguments",
    "buses": "agent.cli_buses:add_buses_arguments",
    "trace": "agent.cli_buses:add_trace_arguments",
}
"""Where the own arguments of some commands come from."""


def _late_arguments(words: Sequence[str], parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    """The own arguments of some commands, asked of them only when one of them was called."""
    asked = next((word for word in words if not word.startswith("-")), "")
    if asked in parsers:
        module, _, name = _LATE[asked].partition(":")
        getattr(import_module(module), name)(parsers[asked])


def _board_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "board", metavar="BOARD", help="a board's name, such as bench-ac, or the path of a board file"
    )


def _state_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=DEFAULT_STATE,
        metavar="DIR",
        help=f"what the station keeps over a power cut (default {DEFAULT_STATE})",
    )


def _run(args: argparse.Namespace) -> int:
    """Run the station until SIGTERM (exit code 0) or a reset (exit code 3: start me again)."""
    # What is made at start stays: looking through it again and again for garbage is a tenth of the start-up time.
    # The station turns collection on again once it runs.
    gc.disable()
    from agent.systemd import JournalFormatter, is_journal

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JournalFormatter()
        if is_journal(sys.stderr)
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    logging.basicConfig(level=args.log_level.upper(), handlers=[handler])
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    from agent.station import CannotStart, run

    try:
        return run(args.board, args.state_dir, args.overlay)
    except CannotStart as error:
        print(f"station-agent: {error}", file=sys.stderr)
        return 1


def _setup(args: argparse.Namespace) -> int:
    """Store what is per unit in the state directory. Passwords come from a prompt or a file, never from arguments."""
    from agent.cli_setup import setup

    return setup(args.state_dir, args.source)


def _board_check(args: argparse.Namespace) -> int:
    from agent.cli_board import check
    from agent.cli_terminal import reader_may_leave

    with reader_may_leave():
        return check(args.board)


def _board_schema(_: argparse.Namespace) -> int:
    from agent.cli_board import schema
    from agent.cli_terminal import reader_may_leave

    with reader_may_leave():
        return schema()


def _board_probe(args: argparse.Namespace) -> int:
    from agent.cli_board import probe
    from agent.cli_terminal import reader_may_leave

    with reader_may_leave():
        return probe(args.board, args.state_dir, args.overlay)


def _bench(args: argparse.Namespace) -> int:
    from drivers.bench import cli as bench_cli

    return bench_cli.main(args)


def _demo(args: argparse.Namespace) -> int:
    from agent.demo import command

    return command.main(args)


_EXTRAS = {"rich": "bench", "ocpp": "bench", "jsonschema": "bench", "gpiozero": "pi", "lgpio": "pi"}
"""Which extra brings a package that `pip install station-agent` leaves out."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0 well, 1 failed, 2 unusable arguments."""
    try:
        return _command(argv)
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"station-agent: {error.name} is not installed: pip install 'station-agent[{extra}]'", file=sys.stderr)
        return 1


def _command(argv: Sequence[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    parser = _parser(words)
    args = parser.parse_args(words)
    if args.version:
        from agent import __version__

        print(__version__)
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    call: Callable[[argparse.Namespace], int] = args.call
    return call(args)
