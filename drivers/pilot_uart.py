"""A pilot controller at a serial port (RAPI, `rapi.py`): polled, told at once of what it says unasked, and armed.

Armed means: its heartbeat supervision is on ($SY), with a fallback current, and it knows what was commanded before
it started anew. It starts enabled, so that what was not allowed is forbidden again at once.
"""

import asyncio
import contextlib
import math
import os
from collections.abc import Callable, Mapping

from drivers import DriverError, Garbled, NoAnswer, PointInfo, Quality, Reading, Refused, Sink, Value
from drivers.listening import listen, open_port
from drivers.rapi import (
    MAX_CURRENT,
    MIN_CURRENT,
    SEQUENCES,
    BadAnswer,
    LineReader,
    Message,
    State,
    amperes,
    command,
    state_of,
)
from drivers.settings import BusSettings, DeviceSettings, PilotUart, PilotUartSettings, Profile, points_of
from drivers.trace import BusTrace

RETRY = 1.0
"""Seconds between two tries of a controller that does not answer."""
PULSES = 3
"""Signs of life in the time of the watchdog."""


class PilotUartBus:
    """One controller at its own port; commands and answers one after the other, told apart by their sequence ids."""

    def __init__(
        self, name: str, settings: PilotUartSettings, device: str, told: PilotUart, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._settings = settings
        self._device, self._has_lock = device, told.lock
        self._points: dict[str, PointInfo] = points_of(told, {})
        self._monotonic = clock
        self.trace = BusTrace(settings.driver, (device,), clock)
        self._noise = False  # bytes came that made no message yet
        self._fd: int | None = None
        self._turn = asyncio.Lock()  # of one command and its answer
        self._commanding = asyncio.Lock()  # of all commands that belong to one intention
        self._sequence = 0
        self._waiting: asyncio.Future[Message] | None = None
        self._changed = asyncio.Event()
        self._armed = False
        self._pulse_at = 0.0
        # what was commanded; None before anything was
        self._offered: int | None = None
        self._enabled: bool | None = None
        self._locked: bool | None = None

    # --- the owner -----------------------------------------------------------------------------------------

    async def run(self, sink: Sink) -> None:
        """Poll until cancelled. Raises `DriverError` when the port cannot be opened, is held or hangs up."""
        port = open_port(self._settings.port, self._settings.baudrate)
        reader = LineReader()
        fd: int = port.fileno()

        def heard(data: bytes) -> None:
            self.trace.heard(data)
            self._noise = True
            for message in reader.feed(data):
                self._noise = False
                self._heard(message, sink)

        self._fd, self._armed = fd, False
        ended = listen(fd, self._settings.port, heard)
        serving = asyncio.create_task(self._serve(sink))
        try:
            await asyncio.wait({ended, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            self.trace.failed(DriverError(str(ended.exception())))
            self._all_bad(str(ended.exception()), sink)
            ended.result()
        finally:
            self._fd = None
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            asyncio.get_running_loop().remove_reader(fd)
            if ended.done() and not ended.cancelled():
                ended.exception()  # seen, also where the run was cancelled in the same moment
            port.close()

    async def _serve(self, sink: Sink) -> None:
        while True:
            pause = self._settings.poll
            self._changed.clear()
            try:
                async with self._commanding:
                    if not self._armed:
                        await self._arm()
                    if self._monotonic() >= self._pulse_at:
                        await self._pulse()
                for point, reading in (await self._poll()).items():
                    sink(self._device, point, reading)
            except (NoAnswer, Refused) as error:
                self._armed = False
                self._all_bad(str(error), sink)
                pause = RETRY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    # --- commands and answers --------------------------------------------------------------------------------

    async def _ask(self, text: str) -> tuple[str, ...]:
        """The words of the answer. Raises `Refused` for $NK, with what it says, and `NoAnswer`."""
        answer = await self._exchange(text)
        if answer.word != "OK":
            raise Refused(f"{self._device}: ${text}: refused {' '.join(answer.words)}".rstrip())
        return answer.words

    async def _exchange(self, text: str) -> Message:
        async with self._turn:
            fd = self._fd
            if fd is None:
                raise NoAnswer(f"{self._settings.port}: not open")
            self._sequence = self._sequence % SEQUENCES + 1
            self._waiting = asyncio.get_running_loop().create_future()
            counters, frame = self.trace.devices[self._device], command(text, self._sequence)
            self._noise, start = False, self._monotonic()
            counters.asked()
            self.trace.sent(frame)
            try:
                os.write(fd, frame)
                async with asyncio.timeout(self._settings.timeout):
                    answer = await self._waiting
            except (TimeoutError, OSError):
                error = (Garbled if self._noise else NoAnswer)(f"{self._device}: no answer to ${text}")
                counters.failed(error.kind, str(error))
                raise error from None
            else:
                if answer.word == "NK":
                    counters.failed(Refused.kind, f"${text}: refused {' '.join(answer.words)}".rstrip())
                else:
                    counters.answered(self._monotonic() - start)
                return answer
            finally:
                self._waiting = None

    def _heard(self, message: Message, sink: Sink) -> None:
        if message.word in ("OK", "NK"):
            if self._waiting is not None and not self._waiting.done() and message.sequence == self._sequence:
                self._waiting.set_result(message)
        elif message.word == "AB":  # it has started
            self._armed = False
            self._changed.set()
        elif message.word == "AT" and len(message.words) >= 4 and self._armed:
            evse, pilot, current, flags = message.words[:4]
            try:
                state, amps = state_of(evse, pilot, flags), amperes((current,))
            except BadAnswer:
                self._changed.set()  # then it is asked
                return
            for point, reading in self._readings(state, amps, None).items():
                sink(self._device, point, reading)

    # --- duties ------------------------------------------------------------------------------------------------

    async def _arm(self) -> None:
        allowed = bool(self._enabled and self._offered)
        if not allowed and (self._enabled is not None or self._offered == 0):
            await self._ask("FS")  # before all else: it may hear, and not be heard
        seconds, current = int(self._settings.watchdog), self._settings.fallback_current
        said = await self._ask(f"SY {seconds} {current}")
        if said[:2] != (str(seconds), str(current)):
            raise Refused(f"{self._device}: its watchdog says {' '.join(said)}, not {seconds} {current}")
        self._pulse_at = -math.inf
        if self._has_lock:
            await self._ask("S5 M")
            if self._locked is not None:
                await self._ask(f"S5 {self._locked:d}")
        if self._offered:
            await self._set_current(self._offered)
        if self._enabled and self._offered:
            await self._ask("FE")
        elif allowed:  # and was taken away meanwhile
            await self._ask("FS")
        self._armed = True

    async def _pulse(self) -> None:
        """A sign of life. Where one came too late it is armed anew, and then is given what it had.

        To acknowledge it instead ($SY 165) would offer the car the most that the controller can, until the next $SC.
        """
        if (await self._exchange("SY")).word != "OK":
            await self._arm()
        self._pulse_at = self._monotonic() + self._settings.watchdog / PULSES

    # --- reading and writing -------------------------------------------------------------------------------------

    async def read(self, device: str, point: str) -> Reading:
        """Ask the controller now. Raises `Refused` or `NoAnswer`."""
        self._find(device, point, "read")
        return (await self._poll())[point]

    async def _poll(self) -> dict[str, Reading]:
        said = await self._ask("GS")
        if len(said) < 4:
            raise BadAnswer(f"{self._device}: no state: {' '.join(said)!r}")
        state = state_of(said[0], said[2], said[3])
        current = amperes(await self._ask("GE"))
        locked = (await self._ask("G5"))[:1] == ("1",) if self._has_lock else None
        return self._readings(state, current, locked)

    def _readings(self, state: State, current: int, locked: bool | None) -> dict[str, Reading]:
        now = self._monotonic()
        readings = {
            "pilot": Reading(state.pilot, "", now),
            "plugged": Reading(state.plugged, "", now),
            "contactor_closed": Reading(state.contactor_closed, "", now),
            "fault": Reading(state.fault, "", now),
            "offered_current": Reading(0 if state.steady else current, "A", now),
        }
        if state.pilot is None:
            readings["pilot"] = Reading(None, "", now, Quality.BAD, "the controller does not know the pilot's state")
        if locked is not None:
            readings["locked"] = Reading(locked, "", now)
        return readings

    def _all_bad(self, reason: str, sink: Sink) -> None:
        now = self._monotonic()
        for name, point in self._points.items():
            if point.readable:
                sink(self._device, name, Reading(None, point.unit, now, Quality.BAD, reason))

    async def write(self, device: str, point: str, value: Value) -> None:
        """Raises `Refused` or `NoAnswer`. What is not both enabled and offered a current sleeps: a steady pilot.

        What takes something away is remembered before it is sent, what gives something when it was acknowledged:
        a controller that comes back is never given more than was last wanted.
        """
        self._find(device, point, "written")
        if point == "offered_current":
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise Refused(f"{device}.{point}: expected a number, not {value!r}")
        elif not isinstance(value, bool):
            raise Refused(f"{device}.{point}: expected true or false, not {value!r}")
        if point == "offered_current":
            take = self._offer(math.floor(value))
        else:
            take = self._lock(bool(value)) if point == "lock" else self._enable(bool(value))
        await take
        self._changed.set()

    async def _enable(self, value: bool) -> None:
        if not value:
            self._enabled = False
        async with self._commanding:
            await self._reach()
            if not value:
                await self._ask("FS")
            elif self._offered:
                await self._ask("FE")
            self._enabled = value

    async def _offer(self, current: int) -> None:
        if current != 0 and not MIN_CURRENT <= current <= MAX_CURRENT:
            expected = f"expected 0 or {MIN_CURRENT} to {MAX_CURRENT} A"
            raise Refused(f"{self._device}.offered_current: {expected}, not {current}")
        if self._offered is not None or current == 0:
            self._offered = min(self._offered or 0, current)
        async with self._commanding:
            await self._reach()
            if current == 0:
                await self._ask("FS")
            else:
                await self._set_current(current)
                if not self._offered and self._enabled:
                    await self._ask("FE")
            self._offered = current

    async def _lock(self, value: bool) -> None:
        async with self._commanding:
            await self._reach()
            await self._ask(f"S5 {value:d}")
            self._locked = value

    async def _reach(self) -> None:
        """Arm first. One that refuses to be armed can still be stopped; its readings are BAD: nobody starts it."""
        if not self._armed:
            with contextlib.suppress(Refused):
                await self._arm()

    async def _set_current(self, current: int) -> None:
        """Until it restarts (V), without wear. It may know a lower limit: then that is what it offers, and tells."""
        answer = await self._exchange(f"SC {current} V")
        if answer.word != "OK" and (not answer.words or amperes(answer.words) > current):
            raise Refused(f"{self._device}: $SC {current}: refused {' '.join(answer.words)}".rstrip())

    def _find(self, device: str, point: str, verb: str) -> None:
        known = self._points.get(point) if device == self._device else None
        if known is None:
            raise Refused(f"{self.name}: there is no point {device}.{point}")
        if not (known.readable if verb == "read" else known.writable):
            raise Refused(f"{device}.{point} cannot be {verb}")


def open_bus(
    name: str,
    settings: BusSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, Profile],  # noqa: ARG001  # every driver is opened alike
    monotonic: Callable[[], float],
) -> PilotUartBus:
    """The bus that `drivers.open_bus` asks for. Raises `DriverError` unless its one device is such a controller."""
    if not isinstance(settings, PilotUartSettings):
        raise DriverError(f"{name}: the settings are not those of a pilot controller")
    controllers = {device: told for device, told in devices.items() if isinstance(told, PilotUart)}
    if len(controllers) != 1 or len(devices) != 1:
        raise DriverError(f"{name}: a pilot controller's port has one device with kind: pilot-uart, and no other")
    ((device, told),) = controllers.items()
    return PilotUartBus(name, settings, device, told, monotonic)
