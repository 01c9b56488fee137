"""A small HTTP/1.1 server for the bench's control: JSON in, JSON out, on loopback only (RFC 9112)."""

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from drivers.bench.refusals import CannotStart

Handler = Callable[[str, str, dict[str, str], Any], Awaitable[tuple[int, Any]]]
"""Takes (method, path, query, body); the body is None where there is none. Returns (status, what is answered)."""

MAX_HEAD = 16_384
MAX_BODY = 1_000_000
IDLE = 30.0
"""Seconds that a request may take to arrive."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}


class _BadRequest(Exception):
    """A request that cannot be understood; the connection is closed after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ControlServer:
    """Serves `handler` on `host`:`port` (0: any free port) from `start` to `close`."""

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        """Raises `CannotStart` for an address that others could reach."""
        self.host = "127.0.0.1" if host == "localhost" else host.strip("[]")
        try:
            loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise CannotStart(f"--control {host}: the control has no lock, so only loopback addresses are allowed")
        self.port = port
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Raises `CannotStart` where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=MAX_HEAD)
        except OSError as error:
            raise CannotStart(f"--control {self.host}:{self.port}: {error.strerror or error}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more and end what is under way."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # hung up, fell asleep, or the bench ends: nobody is left to be told
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection ends with it."""
        try:
            async with asyncio.timeout(IDLE):
                method, target, stays, body = await _request(reader)
        except _BadRequest as mistake:
            await _answer(writer, mistake.status, {"error": str(mistake)}, stays=False)
            return False
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        try:
            content = _parsed(body)
        except ValueError as error:
            status, answer = 422, {"error": f"the body is not JSON: {error}"}
        else:
            status, answer = await self._handler(method, unquote(parts.path), query, content)
        await _answer(writer, status, answer, stays=stays)
        return stays


def _parsed(body: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON number")

    return json.loads(body, parse_constant=refuse) if body.strip() else None


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, bool, bytes]:
    """(method, target, whether the connection stays, body). Raises `_BadRequest`."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _BadRequest(431, f"the head of a request has at most {MAX_HEAD} bytes") from None
    first, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        raise _BadRequest(400, "expected METHOD /PATH HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise _BadRequest(400, f"not a header: {line[:40]!r}")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise _BadRequest(501, "send a Content-Length instead of a transfer coding")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise _BadRequest(400, f"Content-Length: found {length!r}")
    if int(length) > MAX_BODY:
        raise _BadRequest(413, f"a body has at most {MAX_BODY} bytes")
    wish = headers.get("connection", "").lower()
    stays = "close" not in wish and (words[2] != "HTTP/1.0" or "keep-alive" in wish)
    return words[0], words[1], stays, await reader.readexactly(int(length))


async def _answer(writer: asyncio.StreamWriter, status: int, content: Any, *, stays: bool) -> None:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if stays else 'close'}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
