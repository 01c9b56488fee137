"""Whether the computer's clock can be believed (`ClockCtrlr`), and the clock chip where there is one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.clock import Clock
from agent.computer.files import exists, listed, number, text
from agent.computer.kernel import Kernel
from agent.computer.parts import Part, Values, gauge, problem, told
from agent.model import Component, DataType

CLOCK = Component("ClockCtrlr")
CHIP = Component("RealTimeClock")

FLOOR = datetime(2025, 1, 1, tzinfo=UTC)
"""An earlier time is that of a computer whose clock was never set."""


def parts(root: Path, clock: Clock, kernel: Kernel) -> Iterator[Part]:
    """`Synchronised` (an own name): NTP or the like disciplines the computer's clock. `Set`: the agent's time is one
    that can be (an own name too); it may come from the CSMS (B01.FR.06).
    """
    synchronised = gauge(CLOCK, "Synchronised", DataType.BOOLEAN)
    is_set = gauge(CLOCK, "Set", DataType.BOOLEAN)

    def read() -> Values:
        told_so = exists(root / "run/systemd/timesync/synchronized") or kernel.synchronised()
        return {synchronised: told_so, is_set: clock.now() >= FLOOR}

    yield Part((problem(CLOCK), synchronised, is_set), read)
    chips = [chip for chip in listed(root / "sys/class/rtc") if exists(chip / "since_epoch")]
    if chips:
        yield from _chip(chips[0])


def _chip(folder: Path) -> Iterator[Part]:
    time = gauge(CHIP, "Time", DataType.DATE_TIME)

    def read() -> Values:
        seconds = number(folder / "since_epoch")
        try:
            return {time: None if seconds is None else datetime.fromtimestamp(seconds, UTC)}
        except (OverflowError, ValueError, OSError):
            return {time: None}

    yield told(CHIP, (("Model", None, text(folder / "name")),))
    yield Part((time,), read)
