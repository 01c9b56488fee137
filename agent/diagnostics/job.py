"""The one upload that may be under way: attempts, a newer request, and a power cut in the middle (N01).

What was asked for is on disk before it is Accepted, and is begun again by the next start of the agent.
"""

import asyncio
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agent.clock import Clock
from agent.diagnostics.ends import End, Way
from agent.diagnostics.http import Cancel, Canceled
from agent.diagnostics.slices import Slice
from agent.model import format_date_time, parse_date_time
from agent.store import Change, StoreError

if TYPE_CHECKING:
    from agent.diagnostics.bundle import Body

log = logging.getLogger(__name__)

ROOM, KEY = "diagnostics", "upload"

RETRIES = 3
"""Further attempts where the request does not say."""

RETRY_SECONDS = 60.0
MOST_STARTS = 5
"""Starts of the agent in which one upload is tried: it may be what ends the agent."""

ALWAYS = Slice()
Kind = Literal["DiagnosticsLog", "SecurityLog"]


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What GetLog asks for; `retries` are the attempts after the first, `interval` seconds are between them."""

    id: int
    kind: Kind
    url: str
    span: Slice = ALWAYS
    retries: int | None = None
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """`status` is one of LogStatusEnumType; `then` is to be called after the response."""

    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    filename: str | None = None
    then: Callable[[], None] | None = None
    why: str = ""


class Log(Protocol):
    """A log that can be uploaded: `Bundle` and `PlainLog` are such."""

    @property
    def extension(self) -> str:
        """With its dot."""
        ...

    def open(self, span: Slice) -> "Body":
        """Called in the event loop; the body is made in a thread."""
        ...


class Shelf(Protocol):
    """What survives a power cut; `agent.store.Store` is one."""

    def kept(self, room: str) -> dict[str, str]: ...

    async def keep(self, changes: Iterable[Change], messages: Sequence[tuple[str, str]] = ()) -> list[int]: ...


@dataclass(slots=True)
class _Job:
    request: LogRequest
    filename: str
    starts: int = 1
    """By how many starts of the agent it was begun."""


class LogUploads:
    """Uploads one after the other. `tell` takes (UploadLogStatusEnumType, requestId) and must not lose it; `way` is
    asked at each attempt; `name` is the station's, for the file's. `logs` lacks what is not available (N01.FR.05).
    """

    def __init__(
        self,
        store: Shelf,
        clock: Clock,
        logs: Mapping[str, Log],
        way: Callable[[], Way],
        tell: Callable[[str, int], None],
        name: str = "",
    ) -> None:
        self._store, self._clock, self._logs, self._way, self._tell = store, clock, logs, way, tell
        self._name = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:48]
        self._wake = asyncio.Event()
        self._running: _Job | None = None
        self._next: _Job | None = _from_text(store.kept(ROOM).get(KEY))
        self._kept = self._next
        """The job that is on disk."""
        self._cancel = Cancel()

    @property
    def running(self) -> int | None:
        """The id of the request whose log is on its way, or about to be."""
        job = self._next or self._running
        return None if job is None else job.request.id

    async def request(self, request: LogRequest) -> LogAnswer:
        """N01: what is under way is canceled for it (N01.FR.12), once `then` is called."""
        source = self._logs.get(request.kind)
        if source is None:
            return LogAnswer("Rejected", why=f"there is no {request.kind}")
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%SZ")
        parts = [one for one in (request.kind, self._name, stamp, str(request.id)) if one]
        job = _Job(request, "-".join(parts) + source.extension)
        await self._keep(job)
        status: Literal["Accepted", "AcceptedCanceled"] = "Accepted" if self.running is None else "AcceptedCanceled"
        return LogAnswer(status, job.filename, lambda: self._take(job))

    def _take(self, job: _Job) -> None:
        if self._next is not None:
            self._tell("AcceptedCanceled", self._next.request.id)
        self._next = job
        self._cancel.cancel()
        self._wake.set()

    async def run(self) -> None:
        """Upload what is asked for, until cancelled."""
        while True:
            if self._next is None:
                await self._wake.wait()
            self._wake.clear()
            job, self._next = self._next, None
            if job is None:
                continue
            self._running, self._cancel = job, Cancel()
            try:
                await self._one(job)
            finally:
                self._running = None

    async def _one(self, job: _Job) -> None:
        request = job.request
        if job.starts > 1 and self._kept is job:
            await self._keep(job)
        if job.starts > MOST_STARTS:
            end: End | None = End("UploadFailure", f"it was begun by {MOST_STARTS} starts of the agent")
        else:
            self._tell("Uploading", request.id)  # N01.FR.08
            end = await self._attempts(job)
        if end is None:
            log.info("the upload of %s is canceled", job.filename)
            self._tell("AcceptedCanceled", request.id)  # N01.FR.20
        else:
            done = end.status == "Uploaded"
            log.log(logging.INFO if done else logging.WARNING, "%s: %s: %s", job.filename, end.status, end.why)
            self._tell(end.status, request.id)
        if self._kept is job:
            await self._keep(None)

    async def _attempts(self, job: _Job) -> End | None:
        """How it ended; None where a newer request ended it."""
        request = job.request
        left = RETRIES if request.retries is None else max(0, request.retries)
        interval = RETRY_SECONDS if request.interval is None else max(0.0, request.interval)
        while True:
            end = await self._attempt(job)
            if end is None or not end.again or not left:
                return end
            left -= 1
            log.warning("%s: %s; again in %g s, %d times at most", job.filename, end.why, interval, left + 1)
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._wake.wait()
            if self._next is not None:
                return None

    async def _attempt(self, job: _Job) -> End | None:
        request, cancel = job.request, self._cancel
        source = self._logs.get(request.kind)
        if source is None:
            return End("UploadFailure", f"there is no {request.kind} any more")
        try:
            body, way = source.open(request.span), self._way()
        except Exception as error:
            log.exception("%s cannot be made", job.filename)
            return End("UploadFailure", f"it cannot be made: {error!r}", again=True)

        def work() -> End:
            from agent.diagnostics.upload import upload  # what the start does not need

            return upload(request.url, job.filename, body, way, cancel)

        try:
            return await in_thread(work, cancel)
        except Canceled:
            return None

    async def _keep(self, job: _Job | None) -> None:
        try:
            await self._store.keep([(ROOM, KEY, None if job is None else _to_text(job))])
        except StoreError as error:
            log.error("an upload is not on disk, and a power cut ends it: %s", error)
        self._kept = job


async def in_thread(work: Callable[[], End], cancel: Cancel) -> End:
    """The result of `work`, done in a thread of its own, which nobody waits for at the end of the process.

    Where the waiting is given up, `cancel` ends the work. Raises what `work` raises.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[End] = loop.create_future()

    def deliver(end: End | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        elif end is not None:
            result.set_result(end)

    def run() -> None:
        end, failure = None, None
        try:
            end = work()
        except BaseException as error:  # noqa: BLE001 - it is the waiting side's
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, end, failure)

    threading.Thread(target=run, name="upload", daemon=True).start()
    try:
        return await result
    except asyncio.CancelledError:
        cancel.cancel()
        raise


def _to_text(job: _Job) -> str:
    one = job.request
    return json.dumps(
        {
            "id": one.id,
            "kind": one.kind,
            "url": one.url,
            "oldest": None if one.span.oldest is None else format_date_time(one.span.oldest),
            "latest": None if one.span.latest is None else format_date_time(one.span.latest),
            "retries": one.retries,
            "interval": one.interval,
            "filename": job.filename,
            "starts": job.starts,
        }
    )


def _from_text(text: str | None) -> _Job | None:
    if text is None:
        return None
    try:
        plain: dict[str, Any] = json.loads(text)
        times = [None if plain[one] is None else parse_date_time(plain[one]) for one in ("oldest", "latest")]
        kind, url = plain["kind"], str(plain["url"])
        request = LogRequest(plain["id"], kind, url, Slice(*times), plain["retries"], plain["interval"])
        return _Job(request, str(plain["filename"]), int(plain["starts"]) + 1)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.error("an upload that was kept cannot be read, and is not done: %r", error)
        return None
