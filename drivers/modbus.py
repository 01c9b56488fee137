"""Modbus TCP and RTU: one owner task per bus, which writes first, reads next and polls in the time that is left."""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from drivers import DriverError, NoAnswer, Quality, Reading, Refused, Sink, Value
from drivers.modbus_codec import Codec, sunssf
from drivers.modbus_device import Device, Poll, device_of, setting
from drivers.modbus_plan import Block, Point, block_of
from drivers.modbus_request import Request, read_request, write_coil, write_registers
from drivers.modbus_snapshot import NotReady, SnapshotTaker
from drivers.modbus_wire import ExceptionReply, Wire, WireLost, wire_for
from drivers.settings import DeviceSettings, ModbusRtuSettings, ModbusTcpSettings, Profile
from drivers.trace import BusTrace

UNSUPPORTED_CODES = frozenset({1, 2, 3})
"""Exceptions to a block read that may be due to one of its registers."""
UNDECIDED_CODES = frozenset({5, 11})
"""Exceptions to a write after which it may still happen: accepted for later; lost behind a gateway."""
RETRY_UNSUPPORTED = 60.0
"""Seconds after which refused points are asked for again: the device may have been starting."""
RETRY_DELAYS = (0.0, 1.0, 2.0)
"""Pauses before the first tries of a device that failed. The last one stays, and grows with the number of such
devices, up to `RETRY_LONGEST`: nobody's return goes unnoticed for long, and they leave time for the others."""
RETRY_LONGEST = 10.0
PROBE_OVERDUE = 2.0
"""A try of a failed device that came too late by this much goes before the polls of healthy ones."""


@dataclass(slots=True)
class _Job:
    """Something a caller waits for. Its future is all that connects the two: a caller may leave at any time."""

    action: Callable[[], Awaitable[Any]]
    done: "asyncio.Future[Any]"


class ModbusBus:
    """A Modbus line (`drivers.Bus`). All traffic is made by the task in `run`, one transaction at a time."""

    def __init__(
        self,
        name: str,
        settings: ModbusTcpSettings | ModbusRtuSettings,
        devices: Mapping[str, DeviceSettings],
        profiles: Mapping[str, Profile],
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self._settings = settings
        self._monotonic = monotonic
        rtu = isinstance(settings, ModbusRtuSettings)
        self.trace = BusTrace(settings.driver, devices, monotonic)
        self._devices = {key: device_of(key, device, profiles, rtu) for key, device in devices.items()}
        self._kept = [device for device in self._devices.values() if device.has_duties]
        self._takers = [(one, one.snapshot) for one in self._devices.values() if one.snapshot is not None]
        self._wire: Wire | None = None
        self._writes: deque[_Job] = deque()
        self._reads: deque[_Job] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._start = 0.0
        quiet = settings.quiet if isinstance(settings, ModbusRtuSettings) else 0.0
        self._failure_cost = settings.timeout + quiet

    # --- what others call ----------------------------------------------------------------------------------

    async def write(self, device: str, point: str, value: Value) -> None:
        """Write `value` (in the point's unit) before any poll; returns when the device has acknowledged it.

        Raises Refused (nothing has changed) or NoAnswer (it may have happened). Takes at most the transaction
        under way, on RTU with the silence after it, and one time-out per request of its own.
        """
        owner, target = self._find(device, point, "w")
        await self._submit(self._writes, partial(self._write_armed, owner, target, value))

    async def read(self, device: str, point: str) -> Reading:
        """Read one point now, before any poll. Raises Refused or NoAnswer."""
        owner, target = self._find(device, point, "r")
        reading: Reading = await self._submit(self._reads, partial(self._read, owner, target))
        return reading

    async def identity(self, device: str) -> Value | None:
        """What the device's identity register holds; None if its profile names none.

        It is the right device if the profile's `identity.equals` has it. Raises Refused or NoAnswer.
        """
        owner = self._devices.get(device)
        if owner is None:
            raise Refused(f"{self.name}: there is no device {device}")
        identity = owner.profile.identity
        if identity is None:
            return None
        codec = Codec(identity, owner.profile.word_order)
        point = Point("identity", identity.table, identity.at, codec, math.inf)
        reading: Reading = await self._submit(self._reads, partial(self._read, owner, point))
        return reading.value

    def _find(self, device: str, name: str, access: str) -> tuple[Device, Point]:
        owner = self._devices.get(device)
        point = owner.points.get(name) if owner else None
        if owner is None or point is None:
            raise Refused(f"{self.name}: there is no point {device}.{name}")
        if access not in point.access:
            verb = "written" if access == "w" else "read"
            raise Refused(f"{device}.{name} cannot be {verb}")
        snapshot = owner.profile.snapshot
        if snapshot is not None and name in (*snapshot.states, *snapshot.points):
            raise Refused(f"{device}.{name} belongs to the snapshots, which go by themselves")
        return owner, point

    async def _submit(self, queue: deque[_Job], action: Callable[[], Awaitable[Any]]) -> Any:
        if self._wire is None:
            raise NoAnswer(f"{self.name} is not connected")
        job = _Job(action, asyncio.get_running_loop().create_future())
        queue.append(job)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        return await job.done

    # --- the owner -----------------------------------------------------------------------------------------

    async def run(self, sink: Sink) -> None:
        """Open the line and serve it until cancelled. Raises DriverError when the whole line is gone."""
        wire = wire_for(self._settings, self._monotonic, self.trace)
        try:
            await wire.open()
            self._wire = wire
            self._start = self._monotonic()
            for device in self._devices.values():
                device.start(self._start)
            while True:
                await self._step(wire, sink)
        except WireLost as error:
            self.trace.failed(error)
            for device in self._devices.values():
                self._report(device.readable(), device, sink, str(error))
            raise DriverError(f"{self.name}: {error}") from error
        finally:
            self._wire = None
            wire.close()
            for queue in (self._writes, self._reads):
                while queue:
                    self._settle(queue.popleft(), error=NoAnswer(f"{self.name} is not connected any more"))

    async def _step(self, wire: Wire, sink: Sink) -> None:
        """One transaction, or one pause."""
        now = self._monotonic()
        if wire.ready_at > now:
            await asyncio.sleep(wire.ready_at - now)
            return
        duty = min(self._kept, key=Device.duty_at, default=None)
        duty_at = math.inf if duty is None else duty.duty_at()
        if duty is not None and duty_at <= now and not self._writes:
            await self._keep(duty, sink)
            return
        queue = self._writes or self._reads
        if queue:
            job = queue.popleft()
            if not job.done.done():  # else its caller has left, and it is not sent any more
                await self._serve(job)
            return
        poll, at = self._next(now)
        able = [(taker.due, device, taker) for device, taker in self._takers if not device.failures and device.armed]
        snap_at, signer, taker = min(able, key=lambda one: one[0], default=(math.inf, None, None))
        if signer is not None and taker is not None and snap_at <= min(now, at):
            await self._snap(signer, taker, wire, sink)
        elif poll is not None and at <= now:
            await self._poll(poll, wire, sink)
        else:
            await self._pause(min(at, duty_at, snap_at) - now)

    async def _pause(self, seconds: float) -> None:
        """Wait until the next poll is due or somebody calls."""
        loop = asyncio.get_running_loop()
        self._wake = wake = loop.create_future()
        timer = loop.call_later(min(seconds, 3600.0), _wake_up, wake)
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    async def _serve(self, job: _Job) -> None:
        try:
            result = await job.action()
        except WireLost as error:
            self._settle(job, error=NoAnswer(f"{self.name}: {error}"))
            raise
        except DriverError as error:
            self._settle(job, error=error)
        except BaseException:
            self._settle(job, error=NoAnswer(f"{self.name} was closed before the answer"))
            raise
        else:
            self._settle(job, result)

    @staticmethod
    def _settle(job: _Job, result: Any = None, error: DriverError | None = None) -> None:
        if job.done.done():
            return
        if error is None:
            job.done.set_result(result)
        else:
            job.done.set_exception(error)

    # --- polls ---------------------------------------------------------------------------------------------

    def _next(self, now: float) -> tuple[Poll | None, float]:
        """The poll that is next, and when. Devices that failed are tried in the time the others leave."""
        healthy: Poll | None = None
        probe: Poll | None = None
        for device in self._devices.values():
            if not device.polls:
                continue
            if device.failures:
                if probe is None or device.retry_at < probe.device.retry_at:
                    probe = device.polls[0]
                continue
            for poll in device.polls:
                if healthy is None or poll.due < healthy.due:
                    healthy = poll
        if probe is None:
            return healthy, healthy.due if healthy else math.inf
        retry_at = probe.device.retry_at
        if healthy is None or retry_at + PROBE_OVERDUE < now or (retry_at <= now < healthy.due):
            return probe, retry_at
        if healthy.due <= now or healthy.due <= retry_at:
            return healthy, healthy.due
        return probe, retry_at

    async def _poll(self, poll: Poll, wire: Wire, sink: Sink) -> None:
        device = poll.device
        try:
            reply = await self._asked(device, wire, poll.request)
        except ExceptionReply as refusal:
            self._refused(poll, refusal, sink)
            return
        except NoAnswer as error:
            self._failed(device, str(error), sink)
            return
        time = wire.answered_at
        if not device.armed and not await self._keep(device, sink):
            return
        if device.failures:
            self._recovered(device)
        for point, value in poll.block.values(reply[2:]):
            sink(device.name, point.name, _reading(point, value, time))
        now = self._monotonic()
        period = poll.block.period
        poll.due = self._start + (math.floor((now - self._start) / period) + 1) * period
        if now >= device.retry_unsupported_at:
            device.plan(now)

    async def _snap(self, device: Device, taker: SnapshotTaker, wire: Wire, sink: Sink) -> None:
        """The next request of a snapshot; between them everything else has its turn."""
        try:
            taken = taker.answered(await self._asked(device, wire, taker.request()), wire.answered_at)
        except ExceptionReply as refusal:
            taker.failed(self._monotonic())
            self._report(list(taker.points), device, sink, str(refusal))
            return
        except NotReady as error:
            self._report(list(taker.points), device, sink, str(error))
            return
        except NoAnswer as error:
            self._failed(device, str(error), sink)
            return
        if taken is not None:
            for point, value in taken.values:
                sink(device.name, point.name, _reading(point, value, taken.time))

    def _recovered(self, device: Device) -> None:
        device.failures = 0
        now = self._monotonic()
        if device.snapshot is not None:
            device.snapshot.reset(now)
        for poll in device.polls:
            poll.due = now

    def _failed(self, device: Device, reason: str, sink: Sink) -> None:
        """The device as a whole does not answer, or nothing useful."""
        delay = RETRY_DELAYS[min(device.failures, len(RETRY_DELAYS) - 1)]
        device.failures += 1
        if delay == RETRY_DELAYS[-1]:
            count = sum(1 for other in self._devices.values() if other.failures)
            delay = max(delay, min(RETRY_LONGEST, count * self._failure_cost))
        device.retry_at = self._monotonic() + delay
        device.disarm()
        self._report(device.readable(), device, sink, reason)

    def _refused(self, poll: Poll, refusal: ExceptionReply, sink: Sink) -> None:
        """An exception: look for the register that the device has not got, and keep the rest."""
        device = poll.device
        if refusal.code not in UNSUPPORTED_CODES:
            self._failed(device, str(refusal), sink)
            return
        now = self._monotonic()
        at = device.polls.index(poll)
        device.retry_at = now  # if it failed before: go on with what is left of it
        if len(poll.block.points) > 1:
            device.polls[at : at + 1] = [device.poll(half, now) for half in poll.block.halves()]
            return
        (point,) = poll.block.points
        del device.polls[at]
        device.unsupported.add(point.name)
        if device.retry_unsupported_at == math.inf:
            device.retry_unsupported_at = now + RETRY_UNSUPPORTED
        if device.polls:
            self._report([point], device, sink, f"not supported: {refusal}")
        else:  # it refuses everything: that is no matter of one register
            device.plan(now)
            self._failed(device, str(refusal), sink)

    def _report(self, points: list[Point], device: Device, sink: Sink, reason: str) -> None:
        now = self._monotonic()
        for point in points:
            sink(device.name, point.name, Reading(None, point.unit, now, Quality.BAD, reason))

    # --- duties -------------------------------------------------------------------------------------------

    async def _keep(self, device: Device, sink: Sink) -> bool:
        """Arm the device, or give it its sign of life. One that refuses either is as good as silent: False."""
        try:
            await (self._live(device) if device.armed else self._arm(device))
        except (Refused, NoAnswer) as error:
            self._failed(device, str(error), sink)
            return False
        return True

    async def _arm(self, device: Device) -> None:
        for name, value in device.profile.arm.items():
            point = device.points[name]
            wanted = setting(point, value)
            if "r" in point.access and (await self._read(device, point)).value == wanted:
                continue
            await self._write(device, point, wanted)
        await self._live(device)
        device.armed = True

    async def _live(self, device: Device) -> None:
        sign = device.sign_of_life()
        if sign is not None:
            await self._write(device, *sign)
        device.lived(self._monotonic())

    # --- reads and writes of one point -----------------------------------------------------------------------

    async def _exchange(self, device: Device, request: Request) -> bytes:
        wire = self._wire
        if wire is None:
            raise NoAnswer(f"{self.name} is not connected")
        pause = wire.ready_at - self._monotonic()
        if pause > 0:  # between the two requests of one job
            await asyncio.sleep(pause)
        try:
            reply = await self._asked(device, wire, request)
        except ExceptionReply:
            raise
        except NoAnswer as error:
            device.disarm()
            raise NoAnswer(f"{device.name}: {error}") from error
        if device.failures:
            device.retry_at = self._monotonic()
        return reply

    async def _asked(self, device: Device, wire: Wire, request: Request) -> bytes:
        counters = self.trace.devices[device.name]
        counters.asked()
        try:
            reply = await wire.exchange(request)
        except (Refused, NoAnswer) as error:
            counters.failed(error.kind, str(error))
            raise
        counters.answered(wire.answered_at - wire.sent_at)
        return reply

    async def _read(self, device: Device, point: Point) -> Reading:
        block = block_of([point])
        try:
            reply = await self._exchange(device, read_request(device.unit, block))
        except ExceptionReply as refusal:
            raise Refused(f"{device.name}.{point.name}: {refusal}") from refusal
        ((_, value),) = block.values(reply[2:])
        wire = self._wire
        return _reading(point, value, wire.answered_at if wire else self._monotonic())

    async def _write_armed(self, device: Device, point: Point, value: Value) -> None:
        """A device that refuses to be armed takes writes all the same, or it could not be stopped any more. Nobody
        starts it: `_keep` makes its readings BAD."""
        before = device.remember(point, value)
        if not device.armed:
            with contextlib.suppress(Refused):
                await self._arm(device)
        try:
            await self._write(device, point, value)
        except Refused:
            device.put_back(before)
            raise

    async def _write(self, device: Device, point: Point, value: Value) -> None:
        try:
            request = await self._write_request(device, point, value)
        except ExceptionReply as refusal:
            raise Refused(f"{device.name}.{point.name}: {refusal}") from refusal
        except ValueError as error:
            raise Refused(f"{device.name}.{point.name}: {error}") from error
        try:
            await self._exchange(device, request)
        except ExceptionReply as refusal:
            text = f"{device.name}.{point.name}: {refusal}"
            if refusal.code in UNDECIDED_CODES:
                raise NoAnswer(text) from refusal
            raise Refused(text) from refusal

    async def _write_request(self, device: Device, point: Point, value: Value) -> Request:
        if point.table == "coil":
            if not isinstance(value, bool):
                raise ValueError(f"expected true or false, not {value!r}")
            return write_coil(device.unit, point, value)
        if point.codec.kind == "bit":
            if not isinstance(value, bool):
                raise ValueError(f"expected true or false, not {value!r}")
            # the neighbours keep their bits; nobody else is on the bus meanwhile
            block = Block(point.table, point.at, 1, ())
            reply = await self._exchange(device, read_request(device.unit, block))
            mask = 1 << (point.bit or 0)
            word = int.from_bytes(reply[2:4], "big")
            word = word | mask if value else word & ~mask
            return write_registers(device.unit, point, word.to_bytes(2, "big"))
        exponent = 0
        if point.scale_at is not None:
            block = Block(point.table, point.scale_at, 1, ())
            reply = await self._exchange(device, read_request(device.unit, block))
            power = sunssf(reply[2:4])
            if power is None:
                raise ValueError("the device has no scale factor for it")
            exponent = power
        return write_registers(device.unit, point, point.codec.encode(value, exponent))


def _reading(point: Point, value: Value | None, time: float) -> Reading:
    if value is None:
        return Reading(None, point.unit, time, Quality.BAD, "not available")
    if point.names is not None:
        name = point.names.get(int(value))
        if name is None:
            return Reading(None, point.unit, time, Quality.BAD, f"{value} has no name")
        return Reading(name, point.unit, time)
    return Reading(value, point.unit, time)


def _wake_up(wake: "asyncio.Future[None]") -> None:
    if not wake.done():
        wake.set_result(None)


def open_bus(
    name: str,
    settings: ModbusTcpSettings | ModbusRtuSettings,
    devices: Mapping[str, DeviceSettings],
    profiles: Mapping[str, Profile],
    monotonic: Callable[[], float],
) -> ModbusBus:
    """The Modbus bus that `settings` describe; nothing is opened before `run`.

    Raises DriverError for a device that cannot be on it, or a profile that no request can read.
    """
    return ModbusBus(name, settings, devices, profiles, monotonic)
