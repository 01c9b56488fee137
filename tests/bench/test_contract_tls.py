"""A station on the bench over TLS (security profile 2): the trust that it is given decides, and nothing else.

`tls/localhost.pem` is the certificate and key of a server named localhost, and `tls/root.pem` the root that signed
it, whose key was thrown away. They are good for tests only.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.bench.bench import Bench
from drivers.bench.csms import Csms
from tests.bench.contract_parts import value
from tests.bench.parts import IDENTITY, PASSWORD, PATIENCE, SETTINGS, until

TLS = Path(__file__).parent / "tls"


class Front:
    """TLS in front of a CSMS."""

    def __init__(self, csms: Csms) -> None:
        self.csms = csms
        self.opened = 0
        self.refused: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(TLS / "localhost.pem")
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: self.refused.append(about["message"]))
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=context)
        yield server.sockets[0].getsockname()[1]
        server.close()
        loop.set_exception_handler(None)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.csms.port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, ssl.SSLError):
                while data := await source.read(65536):
                    sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


@contextlib.asynccontextmanager
async def station_of(port: int, folder: Path, host: str, trust: Path | None) -> AsyncIterator[Path]:
    bench = Bench(
        "bench-ac",
        csms_url=f"wss://{host}:{port}/ocpp",
        identity=IDENTITY,
        password=PASSWORD,
        security_profile=2,
        trust=trust,
        state_dir=folder / "state",
        overrides=SETTINGS,
        agent_log=folder / "agent.log",
    )
    await bench.start()
    try:
        yield folder / "agent.log"
    finally:
        await bench.stop()
        print((folder / "agent.log").read_text())


@pytest.mark.requirement("A00.FR.301", "A00.FR.302")
async def test_a_station_that_trusts_the_csmss_root_is_at_home(csms: Csms, tmp_path: Path) -> None:
    front = Front(csms)
    async with front.running() as port, station_of(port, tmp_path, "localhost", TLS / "root.pem"):
        station = csms.station(IDENTITY)
        await station.wait_for("BootNotification", timeout=PATIENCE)
        assert await value(station, ("SecurityCtrlr", "SecurityProfile")) == "2"
    assert csms.violations == []


@pytest.mark.requirement("A00.FR.308", "A00.FR.309")
@pytest.mark.parametrize(
    ("host", "trust"), [("localhost", None), ("127.0.0.1", TLS / "root.pem")], ids=["unknown root", "another name"]
)
async def test_a_csms_that_cannot_prove_who_it_is_hears_no_password(
    csms: Csms, tmp_path: Path, host: str, trust: Path | None
) -> None:
    front = Front(csms)
    async with front.running() as port, station_of(port, tmp_path, host, trust) as log:
        await until(lambda: log.exists() and log.read_text().count("certificate verify failed") >= 2, "two attempts")
    assert (front.opened, csms.station(IDENTITY).connections) == (0, 0)
