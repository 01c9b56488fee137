"""`station-agent bench`: its arguments, and the process that runs the bench until it is told to stop."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from drivers.bench.refusals import CannotStart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `station-agent bench`."""
    parser.add_argument(
        "board", metavar="BOARD", help="a board's name, such as bench-ac, or the path of a board file"
    )
    parser.add_argument(
        "--csms", metavar="URL", help="base URL of the CSMS; left out, the bench starts one of its own"
    )
    parser.add_argument("--identity", default="BENCH001", metavar="ID", help="the station's (default BENCH001)")
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="what the station keeps over a power cut; a fresh one is factory-fresh",
    )
    parser.add_argument(
        "--control", type=_address, default=("127.0.0.1", 9800), metavar="HOST:PORT", help="default 127.0.0.1:9800"
    )
    parser.add_argument("--security-profile", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument(
        "--password", metavar="TEXT", help="the station's Basic auth password; left out, a random one"
    )
    parser.add_argument(
        "--trust", type=Path, metavar="FILE", help="PEM file with the CA certificates that are trusted"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        type=_override,
        action="append",
        default=[],
        metavar="PLACE=VALUE",
        help="Actual value of a factory-fresh station: Component[instance]@evse,connector.Variable[instance]=VALUE",
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="let one bus answer as it was recorded by `station-agent trace BUS --record FILE`",
    )


def main(args: argparse.Namespace) -> int:
    """Run the bench until SIGINT or SIGTERM (exit code 0); 2 when it cannot be started like this.

    In a terminal, and with a CSMS of its own, it shows its panel; what it and the agent log goes to a file then.
    """
    log = None
    if args.csms is None and sys.stdin.isatty() and sys.stdout.isatty():
        handle, name = tempfile.mkstemp(prefix="station-bench-", suffix=".log")
        os.close(handle)
        log = Path(name)
    logging.basicConfig(
        level=logging.WARNING,
        format="bench: %(levelname)s %(name)s: %(message)s",
        handlers=[logging.StreamHandler(sys.stderr) if log is None else logging.FileHandler(log)],
    )
    try:
        asyncio.run(_run(args, log))
    except CannotStart as error:
        print(f"station-agent bench: {error}", file=sys.stderr)
        return 2
    finally:
        if log is not None and not log.stat().st_size:
            log.unlink()
    return 0


async def _run(args: argparse.Namespace, log: Path | None) -> None:
    from drivers.bench.bench import Bench

    recording = None
    if args.replay is not None:
        from drivers.trace_file import BadRecording, load

        try:
            recording = load(args.replay)
        except BadRecording as error:
            raise CannotStart(str(error)) from error
    bench = Bench(
        args.board,
        csms_url=args.csms,
        identity=args.identity,
        state_dir=args.state_dir,
        control=args.control,
        security_profile=args.security_profile,
        password=args.password,
        trust=args.trust,
        overrides=dict(args.overrides),
        agent_log=log,
    )
    if recording is not None:
        bench.rig.replay(recording)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    running = asyncio.create_task(_until_ready(bench))
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            print(f"bench ready control={bench.control_url}", flush=True)
            if log is not None:
                from drivers.bench.panel import Panel

                await Panel(bench, f"logs: {log}").run(stopped)
            await stopping
    finally:
        for task in (running, stopping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, CannotStart):
                await task
        await bench.stop()


async def _until_ready(bench: "object") -> None:
    from drivers.bench.bench import Bench

    assert isinstance(bench, Bench)
    await bench.start()
    await bench.until_ready()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected HOST:PORT")
    return host, int(port)


def _override(text: str) -> tuple[str, str]:
    place, equals, value = text.partition("=")
    if not equals or "." not in place:
        raise argparse.ArgumentTypeError(f"{text!r}: expected Component.Variable=VALUE")
    return place, value
