"""The line to the CSMS: tunnels through the bench's proxy, cut and swallowed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from drivers.bench.proxy import Proxy
from tests.bench.parts import until

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that sends back what it hears; `heard` and `ended` say what got through to it."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(1024):
                self.heard += data
                writer.write(data)
        self.ended += 1
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    yield echo, server.sockets[0].getsockname()[1]
    server.close()
    for writer in echo.writers:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    await proxy.start()
    yield proxy
    await proxy.close()


async def dial(proxy: Proxy, port: int) -> Ends:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return reader, writer


async def tunnel(proxy: Proxy, port: int) -> Ends:
    ends = await dial(proxy, port)
    async with asyncio.timeout(20):
        assert (await ends[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    return ends


async def said_back(ends: Ends, text: bytes) -> bytes:
    ends[1].write(text)
    async with asyncio.timeout(20):
        return await ends[0].readexactly(len(text))


async def ends_with_a_reset(ends: Ends) -> bool:
    async with asyncio.timeout(20):
        try:
            return await ends[0].read(1) == b"never"
        except ConnectionResetError:
            return True


async def test_a_tunnel_carries_bytes_both_ways_and_its_end(proxy: Proxy, echo: tuple[Echo, int]) -> None:
    server, port = echo
    ends = await tunnel(proxy, port)
    assert await said_back(ends, b"hello" * 50_000) == b"hello" * 50_000
    ends[1].close()
    await until(lambda: server.ended)


async def test_a_place_that_nobody_is_at_is_a_bad_gateway(proxy: Proxy) -> None:
    reader, _ = await dial(proxy, 1)
    assert (await reader.read()).startswith(b"HTTP/1.1 502")


async def test_a_plain_request_is_forwarded(proxy: Proxy, echo: tuple[Echo, int]) -> None:
    server, port = echo
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"GET http://127.0.0.1:{port}/log?x=1 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    await until(lambda: b"\r\n\r\n" in server.heard)
    assert server.heard.startswith(b"GET /log?x=1 HTTP/1.1\r\n")
    writer.close()


async def test_down_resets_connections_and_refuses_new_ones(proxy: Proxy, echo: tuple[Echo, int]) -> None:
    server, port = echo
    ends = await tunnel(proxy, port)
    await proxy.set_state("down")
    assert await ends_with_a_reset(ends)
    await until(lambda: server.ended)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy, port)
    before = proxy.url
    await proxy.set_state("up")
    assert proxy.url == before
    assert await said_back(await tunnel(proxy, port), b"again") == b"again"


async def test_a_black_hole_swallows_every_byte_and_every_end(proxy: Proxy, echo: tuple[Echo, int]) -> None:
    server, port = echo
    ends = await tunnel(proxy, port)
    await said_back(ends, b"1")
    await proxy.set_state("blackhole")
    ends[1].write(b"lost")
    server.writers[0].write(b"lost too")
    fresh = await dial(proxy, port)
    await asyncio.sleep(0.3)
    ends[1].close()
    await asyncio.sleep(0.2)
    assert (server.heard, server.ended, len(server.writers)) == (b"1", 0, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await fresh[0].read(1)


async def test_after_a_black_hole_what_lost_bytes_is_reset_and_the_rest_lives(
    proxy: Proxy, echo: tuple[Echo, int]
) -> None:
    _, port = echo
    quiet, loud = await tunnel(proxy, port), await tunnel(proxy, port)
    await proxy.set_state("blackhole")
    loud[1].write(b"lost")
    await asyncio.sleep(0.2)
    await proxy.set_state("up")
    assert await ends_with_a_reset(loud)
    assert await said_back(quiet, b"still here") == b"still here"
    assert await said_back(await tunnel(proxy, port), b"new") == b"new"


async def test_from_a_black_hole_to_down_everything_is_reset(proxy: Proxy, echo: tuple[Echo, int]) -> None:
    _, port = echo
    ends = await tunnel(proxy, port)
    await proxy.set_state("blackhole")
    fresh = await dial(proxy, port)
    await proxy.set_state("down")
    assert await ends_with_a_reset(ends)
    assert await ends_with_a_reset(fresh)


async def test_another_proxy_cannot_take_the_port(proxy: Proxy) -> None:
    with pytest.raises(OSError, match="in use"):
        await Proxy(proxy.port).start()
