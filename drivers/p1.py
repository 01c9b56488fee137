"""The P1 port of a smart meter: telegrams that the meter pushes, read as they come.

pyserial opens and configures the port; after that the event loop waits on its file descriptor: no thread is needed.
"""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal

from drivers import DriverError, Garbled, NoAnswer, Quality, Reading, Refused, Sink, Value
from drivers.decimals import scaled
from drivers.listening import listen, open_port
from drivers.p1_telegram import BadTelegram, Telegram, TelegramReader
from drivers.settings import BusSettings, DeviceSettings, P1Point, P1Profile, P1Settings, Profile, ProfileDevice
from drivers.trace import BusTrace

BAD_IN_A_ROW = 3
"""Damaged telegrams after which the readings turn BAD, though the meter is not silent."""


class P1Bus:
    """One P1 port. It cannot be written; all of its points come with every telegram."""

    def __init__(
        self, name: str, settings: P1Settings, devices: Mapping[str, P1Profile], monotonic: Callable[[], float]
    ) -> None:
        self.name = name
        self._settings = settings
        self._devices = devices
        self.trace = BusTrace(settings.driver, devices, monotonic)
        self._monotonic = monotonic
        self._open = False
        self._waiting: set[asyncio.Future[Telegram]] = set()
        self._heard = 0.0
        self._bad = 0

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled. Raises `DriverError` when the port cannot be opened, is locked or hangs up."""
        port = open_port(self._settings.port, self._settings.baudrate)  # 8N1 for DSMR 4 and 5
        reader = TelegramReader()
        fd: int = port.fileno()

        def heard(data: bytes) -> None:
            self.trace.heard(data)
            for telegram in reader.feed(data):
                self._take(telegram, sink)

        self._open, self._bad, self._heard = True, 0, self._monotonic()
        ended = listen(fd, self._settings.port, heard)
        try:
            await self._watch(ended, sink)
        finally:
            self._open = False
            asyncio.get_running_loop().remove_reader(fd)
            port.close()
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_exception(NoAnswer(f"{self._settings.port}: closed"))

    async def write(self, device: str, point: str, value: Value) -> None:
        raise Refused(f"{device}.{point}: a P1 port cannot be written (tried {value!r})")

    async def read(self, device: str, point: str) -> Reading:
        """The point in the next telegram, which comes within 1 s (DSMR 5) or 10 s (DSMR 4)."""
        profile = self._devices.get(device)
        if profile is None or point not in profile.points:
            raise Refused(f"{device}.{point}: no such point on {self.name}")
        if not self._open:
            raise NoAnswer(f"{self._settings.port}: not open")
        waiting: asyncio.Future[Telegram] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(self._settings.timeout):
                telegram = await waiting
        except TimeoutError:
            raise NoAnswer(f"{self._settings.port}: {self._silence()}") from None
        finally:
            self._waiting.discard(waiting)
        reading = reading_of(profile.points[point], telegram, self._monotonic())
        if reading.quality is Quality.BAD:
            raise NoAnswer(f"{device}.{point}: {reading.reason}")
        return reading

    async def _watch(self, ended: "asyncio.Future[None]", sink: Sink) -> None:
        """Wait for the port to end, and turn the readings BAD after each `timeout` of silence."""
        while True:
            left = self._heard + self._settings.timeout - self._monotonic()
            if left <= 0:
                self.trace.failed(NoAnswer(self._silence()))
                self._all_bad(self._silence(), sink)
                self._heard, left = self._monotonic(), self._settings.timeout
            done, _ = await asyncio.wait({ended}, timeout=left)
            if done:
                error = ended.exception()
                self.trace.failed(DriverError(str(error)))
                self._all_bad(str(error), sink)
                ended.result()

    def _take(self, telegram: Telegram | BadTelegram, sink: Sink) -> None:
        now = self._monotonic()
        if isinstance(telegram, BadTelegram):
            self._bad += 1
            self.trace.failed(Garbled(telegram.reason))
            if self._bad >= BAD_IN_A_ROW:
                self._all_bad(f"{self._bad} damaged telegrams in a row, the last: {telegram.reason}", sink)
            return
        self._bad, self._heard = 0, now
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(telegram)
        for device, profile in self._devices.items():
            self.trace.devices[device].answered()
            for name, point in profile.points.items():
                sink(device, name, reading_of(point, telegram, now))

    def _all_bad(self, reason: str, sink: Sink) -> None:
        now = self._monotonic()
        for device, profile in self._devices.items():
            for name, point in profile.points.items():
                sink(device, name, Reading(None, point.unit, now, Quality.BAD, reason))

    def _silence(self) -> str:
        return f"no telegram for {self._settings.timeout:g} s"


def reading_of(point: P1Point, telegram: Telegram, time: float) -> Reading:
    """What `telegram` says of `point`; BAD where a line is missing or is no number."""
    codes = (point.obis,) if isinstance(point.obis, str) else point.obis
    if point.text:
        text = telegram.text(codes[0])
        if text is not None:
            return Reading(text, point.unit, time)
    total = Decimal(0)
    for code in codes:
        number = None if point.text else telegram.number(code)
        if number is None:
            said = "no" if code not in telegram.lines else "no number in"
            return Reading(None, point.unit, time, Quality.BAD, f"{said} line {code} in the telegram")
        total += number
    return Reading(scaled(total, point.scale), point.unit, time)


def open_bus(
    name: str,
    settings: BusSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, Profile],
    monotonic: Callable[[], float],
) -> P1Bus:
    """The bus that `drivers.open_bus` asks for. Raises `DriverError` for a device that is no smart meter."""
    if not isinstance(settings, P1Settings):
        raise DriverError(f"{name}: the settings are not those of a P1 port")
    meters: dict[str, P1Profile] = {}
    for device, told in devices.items():
        profile = profiles.get(told.profile) if isinstance(told, ProfileDevice) else None
        if not isinstance(profile, P1Profile):
            raise DriverError(f"{device}: a device on {name} needs a device profile with kind: p1")
        meters[device] = profile
    return P1Bus(name, settings, meters, monotonic)
