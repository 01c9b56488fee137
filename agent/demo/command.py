"""`station-agent demo`: bench, station and CSMS in one, with a live view of the wires, the model and the messages."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from agent.demo.rig import PASSWORD, running_bench
from agent.demo.story import ACTS, Story
from drivers.bench.csms import Csms

SETTINGS = (
    "OCPPCommCtrlr.RetryBackOffWaitMinimum=1",
    "OCPPCommCtrlr.RetryBackOffRandomRange=1",
)
"""So that the demo does not wait longer for a reconnection than it must."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `demo`."""
    parser.add_argument("--plain", action="store_true", help="tell the story line by line, for logs and CI")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where the station's log goes (default: nowhere)")


def main(args: argparse.Namespace) -> int:
    """Play the story; 0 when everything promised was seen, 1 when something was not."""
    plain = args.plain or not sys.stdout.isatty()
    try:
        return asyncio.run(_demo(plain, args.log))
    except (OSError, TimeoutError) as error:
        print(f"station-agent: the demo could not start: {error}", file=sys.stderr)
        return 1


async def _demo(plain: bool, log: Path | None) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    started = time.monotonic()
    async with Csms(password=PASSWORD) as csms:
        with tempfile.TemporaryDirectory(prefix="station-agent-demo-") as folder:
            async with running_bench(csms, Path(folder), SETTINGS, log) as rig:
                if plain:
                    story = Story(rig, _print)
                    good = await story.play()
                else:
                    from agent.demo.view import LiveView

                    view = LiveView(rig)
                    story = Story(rig, view.tell)
                    good = await view.show(story)
        violations = list(csms.violations)
        messages = sum(len(station.messages) for station in csms.stations.values())
    print()
    print(f"{len(story.seen)} of {len(ACTS)} acts seen in {time.monotonic() - started:.0f} s:")
    for act in ACTS:
        print(f"  {'✔' if act.title in story.seen else '✘'} {act.title}")
    print(f"{messages} OCPP messages, {len(violations)} of them not as the official schemas ask")
    for violation in violations[:5]:
        print(f"  {violation}")
    return 0 if good and not violations else 1


MARKS = {"act": "\n▶", "do": "  ·", "see": "  ✔", "fail": "  ✘"}


def _print(kind: str, text: str) -> None:
    print(MARKS[kind], text, flush=True)
