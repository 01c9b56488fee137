"""The station's line to the network: an HTTP proxy on loopback that can be cut, or made to swallow every byte.

It tunnels (CONNECT, RFC 9110 §9.3.6) and forwards plain http requests in absolute form, one for each connection.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from urllib.parse import urlsplit

STATES = ("up", "down", "blackhole")

_CHUNK = 65536
_HEAD_TIMEOUT = 10.0


@dataclass(eq=False)
class _Tunnel:
    """One connection of the station and, once it is through, the one that it leads to."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    broken: bool = False
    """Bytes, or an end, were swallowed: what comes after them would make no sense."""
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)


class Proxy:
    """Listens on `port` of loopback (0: any free one) from `start` to `close`."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.state = "up"
        self._listener: asyncio.Server | None = None
        self._place: socket.socket | None = None
        self._tunnels: set[_Tunnel] = set()

    @property
    def url(self) -> str:
        """What the station's proxy setting is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        # The port stays ours while the line is down: a second socket holds it without listening.
        self._place = _bound(self.port)
        self.port = self._place.getsockname()[1]
        await self._listen()

    async def close(self) -> None:
        """Hang up and listen no more."""
        await self._stop_listening()
        tasks = [task for tunnel in self._tunnels for task in tunnel.tasks]
        for tunnel in list(self._tunnels):
            self._reset(tunnel)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._place is not None:
            self._place.close()

    async def set_state(self, state: str) -> None:
        """`down` resets every connection and refuses new ones; `blackhole` swallows whatever is sent, and accepts
        connections that lead nowhere; `up` again resets those that lost something."""
        before, self.state = self.state, state
        if state == "down":
            await self._stop_listening()
            for tunnel in list(self._tunnels):
                self._reset(tunnel)
        else:
            if before == "down":
                await self._listen()
            if state == "up":
                for tunnel in [one for one in self._tunnels if one.broken]:
                    self._reset(tunnel)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, sock=_bound(self.port))

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # --- one connection --------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tunnel = _Tunnel(writer, tasks={task})
        self._tunnels.add(tunnel)
        try:
            await self._open(tunnel, reader)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            writer.transport.abort()
        except asyncio.CancelledError:
            pass  # by `_reset`, which has done the rest
        finally:
            self._tunnels.discard(tunnel)

    async def _open(self, tunnel: _Tunnel, reader: asyncio.StreamReader) -> None:
        async with asyncio.timeout(_HEAD_TIMEOUT):
            head = await reader.readuntil(b"\r\n\r\n")
        if self.state == "blackhole":
            tunnel.broken = True
            await self._swallow(reader)
            return
        method, target, version = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        first = b""
        if method == "CONNECT":
            parts = urlsplit(f"//{target}")
        else:
            parts = urlsplit(target)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            rest = _without_hop_headers(head.split(b"\r\n", 1)[1])
            first = f"{method} {path} {version}\r\nConnection: close\r\n".encode("latin-1") + rest
        try:
            if parts.hostname is None or parts.scheme not in ("", "http"):
                raise ValueError(f"{target}: not a place that this proxy leads to")
            far_reader, tunnel.far = await asyncio.open_connection(parts.hostname, parts.port or 80)
        except (OSError, ValueError):
            tunnel.near.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            tunnel.near.close()
            return
        if method == "CONNECT":
            tunnel.near.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            tunnel.far.write(first)
        pumps = {
            asyncio.create_task(self._pump(tunnel, reader, tunnel.far)),
            asyncio.create_task(self._pump(tunnel, far_reader, tunnel.near)),
        }
        tunnel.tasks |= pumps
        await asyncio.gather(*pumps, return_exceptions=True)
        for writer in (tunnel.near, tunnel.far):
            writer.close()

    async def _pump(self, tunnel: _Tunnel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way until their end. While the line swallows, neither bytes nor their end get through."""
        try:
            while data := await reader.read(_CHUNK):
                if self.state == "blackhole":
                    tunnel.broken = True
                elif not tunnel.broken:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            if self.state == "up" and not tunnel.broken:
                writer.transport.abort()
        if self.state == "blackhole":
            tunnel.broken = True
            await asyncio.Event().wait()  # until `_reset`
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(_CHUNK):
                pass

    def _reset(self, tunnel: _Tunnel) -> None:
        """Both of its ends see a reset."""
        for writer in (tunnel.near, tunnel.far):
            if writer is not None:
                carrier = writer.get_extra_info("socket")
                if carrier is not None:
                    with contextlib.suppress(OSError):
                        carrier.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        for task in tunnel.tasks:
            task.cancel()
        self._tunnels.discard(tunnel)


def _bound(port: int) -> socket.socket:
    """A socket of loopback. It shares its port with one that does not listen, and with nobody who does."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
    except OSError:
        one.close()
        raise
    one.setblocking(False)
    return one


def _without_hop_headers(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    hop = (b"connection:", b"proxy-connection:", b"proxy-authorization:", b"keep-alive:")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(hop))
