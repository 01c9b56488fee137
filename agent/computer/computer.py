"""The computer as a whole: its variables at the start, then polled in a thread of its own."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.clock import Clock
from agent.computer import machine, network, storage, timekeeping
from agent.computer.kernel import Kernel
from agent.computer.machine import CONTROLLER
from agent.computer.parts import MAX_AGE, Part, Values
from agent.computer.thresholds import DEFAULTS, Threshold, Watch
from agent.model import DeviceModel, Problems, Value, Variable

log = logging.getLogger(__name__)

POLL = 10.0
"""Seconds between two readings of the whole computer."""


class Computer:
    """The machine below `root` that runs the agent, with its state in `state_dir`.

    Which variables there are is decided once, from what the machine shows now; what it lacks is not there. With
    `kernel` a test answers what no file tells.
    """

    def __init__(
        self,
        root: Path,
        state_dir: Path,
        clock: Clock,
        *,
        restart_cause: str,
        kernel: Kernel | None = None,
        thresholds: Iterable[Threshold] = DEFAULTS,
        poll: float = POLL,
    ) -> None:
        kernel = kernel or Kernel()
        self._clock = clock
        self._poll = poll
        self._parts: tuple[Part, ...] = (
            *machine.parts(root, clock, restart_cause),
            *timekeeping.parts(root, clock, kernel),
            *storage.parts(root, state_dir, kernel),
            *network.parts(root, kernel),
        )
        variables = (variable for part in self._parts for variable in part.variables)
        self._variables = {(one.component.key, one.name.key): one for one in variables}
        self._watch = Watch(thresholds)
        self._heard = clock.monotonic()

    def variables(self) -> list[Variable]:
        """All of them; what is measured has its first value soon after `run` began."""
        return list(self._variables.values())

    def join(self, model: DeviceModel) -> None:
        """Add the variables to `model`. What is there already is the board's own, and stays."""
        for variable in self._variables.values():
            if model.get(variable.component, variable.name) is None:
                model.add(variable)

    def read(self) -> Values:
        """Read everything once; blocks for some milliseconds, or for as long as a disk or a sensor hangs."""
        found: dict[Variable, Value | None] = {}
        for part in self._parts:
            if part.read is not None:
                found.update(part.read())
        return found

    async def run(self, problems: Problems) -> None:
        """Poll until cancelled. A reading that hangs keeps its thread, and none is begun beside it."""
        reading: asyncio.Future[Values] | None = None
        told = False
        while True:
            if reading is None:
                reading = _in_thread(self.read)
            done, _ = await asyncio.wait({reading}, timeout=self._poll)
            if done:
                try:
                    self._take(reading.result())
                except Exception:
                    # One mistake in what only looks on must not end the station; the values go stale.
                    if not told:
                        log.exception("the computer's own state could not be read: a mistake in its reading")
                    told = True
                else:
                    told = False
                reading = None
            elif not told:
                log.warning("the computer's own state cannot be read: a file hangs")
                told = True
            self._sweep()
            self._judge(problems)
            if done:
                await asyncio.sleep(self._poll)

    def _take(self, values: Values) -> None:
        now = self._heard = self._clock.monotonic()
        for variable, value in values.items():
            if value is not None:
                variable.update(value, now)

    def _sweep(self) -> None:
        """Unset what is older than its `max_age`."""
        now = self._clock.monotonic()
        for variable in self._variables.values():
            time = variable.actual.time
            if variable.max_age is not None and time is not None and now - time > variable.max_age:
                variable.update(None)

    def _judge(self, problems: Problems) -> None:
        now = self._clock.monotonic()
        if now - self._heard > MAX_AGE:
            problems.open(CONTROLLER, "stale", f"the computer's own state not read for {now - self._heard:.0f} s")
        else:
            problems.close(CONTROLLER, "stale")
        for threshold in self._watch.thresholds:
            variable = self._variables.get((threshold.component.key, threshold.variable.key))
            if variable is None:
                continue
            text = self._watch.step(threshold, variable.actual.value, now)
            if text:
                problems.open(threshold.component, threshold.cause, text)
            elif text is not None:
                problems.close(threshold.component, threshold.cause)


def _in_thread(job: Callable[[], Values]) -> asyncio.Future[Values]:
    """`job`'s result, from a thread that the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Values] = loop.create_future()

    def settle(values: Values | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(values or {})

    def work() -> None:
        values: Values | None = None
        error: BaseException | None = None
        try:
            values = job()
        except Exception as caught:  # noqa: BLE001  # handed to whoever waits
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            loop.call_soon_threadsafe(settle, values, error)

    threading.Thread(target=work, name="computer", daemon=True).start()
    return future
