"""Limits through a real Mosquitto: over TLS, with a password, over its restarts, in a flood (`pytest -m broker`)."""

import asyncio
import contextlib
import json
import logging
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.charging.external import ExternalSource
from agent.charging.failsafe import FailsafeSettings
from agent.charging.limits import State
from agent.clock import SystemClock
from agent.ems import mqtt as module
from agent.ems.mqtt import MqttEms
from agent.ems.telemetry import EvseTelemetry, Telemetry
from drivers.bench.ems import free_port
from drivers.bench.ems_mqtt import Mosquitto
from drivers.bench.ems_mqtt import MqttEms as BenchEms

pytestmark = pytest.mark.broker

PASSWORD = "not-in-the-log"


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the condition may be anything
            await asyncio.sleep(0.01)


class Station:
    """A source with its MQTT interface, as the station has it."""

    def __init__(self, port: int, **settings: Any) -> None:
        self.clock = SystemClock()
        self.seen: list[float | None] = []
        self.source = ExternalSource(
            "mqtt",
            kind="EMS",
            failsafe=FailsafeSettings(limit=1234.0),
            clock=self.clock,
            scopes=(0, 1),
            changed=self._changed,
        )
        evse = EvseTelemetry(1, "C", True, True, True, 16.0, 16.0, 6.0, 32.0, power_w=11000.0)
        self.telemetry = Telemetry(11000.0, (16.0, 16.0, 16.0), None, "", (evse,))
        settings = {"host": "127.0.0.1", "topic": "home/station", "tls": False, **settings}
        self.ems = MqttEms(self.source, port=port, telemetry=lambda: self.telemetry, clock=self.clock, **settings)

    def _changed(self) -> None:
        self.seen.append(self.value())

    def value(self, scope: int = 0) -> float | None:
        found = [one.value for one in self.source.limits(self.clock.monotonic()) if one.scope == scope]
        return found[0] if found else None

    @contextlib.asynccontextmanager
    async def living(self) -> AsyncIterator["Station"]:
        task = asyncio.create_task(self.ems.run())
        try:
            yield self
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def broker(folder: Path, *lines: str, port: int | None = None) -> AsyncIterator[Mosquitto]:
    one = Mosquitto(folder, port or free_port(), lines or ("allow_anonymous true",))
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


@contextlib.asynccontextmanager
async def master(port: int) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        yield client


async def say(client: aiomqtt.Client, said: Any, below: str = "limit", *, retain: bool = False) -> None:
    payload = said if isinstance(said, bytes) else json.dumps(said)
    await client.publish(f"home/station/{below}", payload, qos=1, retain=retain)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


async def test_limits_of_station_and_evse_arrive_and_are_released(tmp_path: Path) -> None:
    async with broker(tmp_path) as one, Station(one.port).living() as station, master(one.port) as client:
        await until(lambda: station.ems.connected)
        await say(client, {"limit": 4200, "unit": "W", "ts": ago(0), "ttl": 60})
        await until(lambda: station.value() == 4200)
        await say(client, {"limit": 8, "unit": "A"}, "evse/1/limit")
        await until(lambda: station.value(1) == 8)
        await say(client, {"release": True, "ts": ago(0)})
        await until(lambda: station.value() is None)
        assert station.value(1) == 8
        await say(client, b"I live", "heartbeat")
        age = station.source.age(station.clock.monotonic())
        assert age is not None


async def test_bad_messages_change_nothing_and_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker(tmp_path) as one, Station(one.port).living() as station, master(one.port) as client:
        await until(lambda: station.ems.connected)
        await say(client, {"limit": 4200})
        bad = (b"{", b'{"limit": NaN}', b'{"limit": -1}', b"\0" * 5000, b"x" * 100_000, b"[" * 4000, b"", b"null")
        for payload in (*bad, *bad):
            await say(client, payload)
        await say(client, {"limit": 4100})
        await until(lambda: station.value() == 4100)
        assert station.ems.connected
        assert set(station.seen) == {4200, 4100}
        told = [one.message for one in caplog.records if "not taken" in one.message]
        assert len(told) == len(set(told)) > 3


async def test_stale_retained_limits_are_not_taken_and_fresh_ones_are(tmp_path: Path) -> None:
    async with broker(tmp_path) as one, master(one.port) as client:
        await say(client, {"limit": 1000, "ts": ago(100), "ttl": 30}, retain=True)
        await say(client, {"limit": 10}, "evse/1/limit", retain=True)
        await say(client, b"x", "heartbeat", retain=True)
        async with Station(one.port).living() as station:
            await until(lambda: len(station.ems._said) == 3)
            assert (station.source.state, station.source.age(station.clock.monotonic())) == (State.INIT, None)
        await say(client, {"limit": 5000, "ts": ago(100), "ttl": 3000}, retain=True)
        async with Station(one.port).living() as station:
            await until(lambda: station.value() == 5000)


async def test_online_and_telemetry_are_published_and_the_last_will_is_left(tmp_path: Path) -> None:
    async with broker(tmp_path) as one, master(one.port) as client:
        await client.subscribe("home/station/#", qos=1)
        messages = client.messages.__aiter__()

        async def hear(below: str) -> Any:
            async with asyncio.timeout(30):
                while True:
                    message = await anext(messages)
                    if str(message.topic) == f"home/station/{below}":
                        assert isinstance(message.payload, bytes)
                        return json.loads(message.payload)

        station = Station(one.port)
        async with station.living():
            assert await hear("online") is True
            told = await hear("telemetry")
            assert (told["power_w"], told["evses"][0]["status"], told["state"]) == (11000.0, "C", "Init")
            assert abs((datetime.fromisoformat(told["ts"]) - datetime.now(UTC)).total_seconds()) < 30
            station.telemetry = replace(station.telemetry, power_w=6000.0)
            assert (await hear("telemetry"))["power_w"] == 6000.0
        assert await hear("online") is False

        async with Proxy(one.port) as proxy, Station(proxy.port).living():
            assert await hear("online") is True
            proxy.cut()  # it dies without a word
            assert await hear("online") is False
            assert await hear("online") is True  # and is back


class Proxy:
    """A wire that can be cut."""

    def __init__(self, port: int) -> None:
        self._to, self.port, self._writers = port, 0, list[asyncio.StreamWriter]()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, far_writer]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def test_after_a_restart_of_the_broker_limits_arrive_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    async with Station(port).living() as station:
        await until(lambda: station.ems.problem is not None)
        assert station.ems.problem is not None and "not there" in station.ems.problem
        for limit in (4200, 4300):
            async with broker(tmp_path, port=port), master(port) as client:
                await until(lambda: station.ems.connected)
                assert station.ems.problem is None
                await say(client, {"limit": limit})
                await until(lambda limit=limit: station.value() == limit)
            await until(lambda: not station.ems.connected and station.ems.problem is not None)
    assert len([one for one in caplog.records if "not there" in one.message]) == 3


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signed itself, for 127.0.0.1, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


def _make_users(file: Path) -> None:
    subprocess.run(["mosquitto_passwd", "-b", "-c", file, "station", PASSWORD], check=True)


async def test_with_tls_and_a_password_of_a_file_which_may_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(module, "MOST", 0.2)
    certificate, key = _certificate(tmp_path, "broker")
    stranger, _ = _certificate(tmp_path, "stranger")
    users = tmp_path / "users"
    _make_users(users)
    tls = (f"certfile {certificate}", f"keyfile {key}", "allow_anonymous false", f"password_file {users}")
    secret = tmp_path / "secret"
    async with broker(tmp_path / "broker", *tls) as one:
        settings = {"tls": True, "username": "station", "password_file": str(secret)}
        untrusted = Station(one.port, **settings, trust=str(stranger))
        secret.write_text(f"{PASSWORD}\n")
        async with untrusted.living():
            await until(lambda: untrusted.ems.problem is not None)
            assert untrusted.ems.problem is not None and "not trusted" in untrusted.ems.problem
        secret.unlink()
        station = Station(one.port, **settings, trust=str(certificate))
        async with station.living():
            await until(lambda: "cannot read the password file" in (station.ems.problem or ""))
            secret.write_text("guessed\n")
            await until(lambda: "refuses the user name or the password" in (station.ems.problem or ""))
            assert not station.ems.connected
            secret.write_text(f"{PASSWORD}\n")
            await until(lambda: station.ems.connected)
            context = aiomqtt.TLSParameters(ca_certs=str(certificate))
            async with aiomqtt.Client(
                "127.0.0.1", one.port, username="station", password=PASSWORD, tls_params=context
            ) as client:
                await say(client, {"limit": 4200})
                await until(lambda: station.value() == 4200)
    said = "\n".join(one.getMessage() for one in caplog.records)
    assert PASSWORD not in said and "guessed" not in said
    assert said.count("refuses the user name") == 1


class OldBroker(Proxy):
    """One that knows MQTT 3.1.1 only: Mosquitto behind an answer that older ones give."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(4096)
        if first[first.index(b"MQTT") + 4] == 5:
            writer.write(bytes((0x20, 2, 0, 1)))
            writer.close()
            return
        again = asyncio.StreamReader()
        again.feed_data(first)
        passing = asyncio.create_task(super()._serve(again, writer))
        while data := await reader.read(4096):
            again.feed_data(data)
        again.feed_eof()
        await passing


async def test_a_broker_that_only_knows_mqtt_3_is_taken_too(tmp_path: Path) -> None:
    async with (
        broker(tmp_path) as one,
        OldBroker(one.port) as old,
        Station(old.port).living() as station,
        master(one.port) as client,
    ):
        await until(lambda: station.ems.connected)
        assert station.ems._old
        await say(client, {"limit": 4200})
        await until(lambda: station.value() == 4200)


async def test_a_flood_does_not_starve_the_loop_and_the_last_limit_counts(tmp_path: Path) -> None:
    async with broker(tmp_path) as one, Station(one.port).living() as station:
        await until(lambda: station.ems.connected)
        program = (
            "import sys, paho.mqtt.client as m\n"
            "c = m.Client(m.CallbackAPIVersion.VERSION2); c.connect('127.0.0.1', int(sys.argv[1])); c.loop_start()\n"
            "for n in range(10000):\n"
            "    c.publish('home/station/limit', '{\"limit\": %d}' % (5000 + n % 100))\n"
            "c.publish('home/station/limit', '{\"limit\": 3300}', qos=1).wait_for_publish(30)\n"
        )
        acts = 0
        act = station.ems._intake.act

        def counted() -> bool:
            nonlocal acts
            acts += 1
            return act()

        station.ems._intake.act = counted  # type: ignore[method-assign]
        loop, turns = asyncio.get_running_loop(), 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = loop.time()
        flood = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(one.port))
        while station.value() != 3300:
            await asyncio.sleep(0.001)
            turns += 1
            assert loop.time() - began < 60
        took = loop.time() - began
        assert await flood.wait() == 0
        assert acts <= took / module.GAP + 2
        assert turns > acts  # others had their turn between any two looks
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
        assert station.ems.connected


async def test_a_broker_that_takes_the_connection_and_says_nothing_does_not_hold_the_end(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with Station(server.sockets[0].getsockname()[1]).living():
        await asyncio.sleep(0.2)
    server.close()


async def test_the_bench_ems_limits_the_station_and_tells_it_again_when_it_is_back(tmp_path: Path) -> None:
    bench = BenchEms("home/station", beat=0.1)
    port = await bench.start(tmp_path)
    assert port is not None
    try:
        async with Station(port).living() as station:
            await until(lambda: station.source.state is State.RELEASED)
            await bench.impose(4200)
            await until(lambda: station.value() == 4200)
            assert (bench.limit_w, bench.station_online) == (4200, True)
        await until(lambda: bench.station_online is False)
        async with Station(port).living() as station:
            await until(lambda: station.value() == 4200)
            await bench.impose(10, "A", 0.5)
            assert bench.limit_w == 6900
            await until(lambda: station.value() == 10)
            await until(lambda: station.value() is None and bench.limit_w is None)
            await bench.impose(3000)
            await bench.release()
            await until(lambda: station.source.state is State.RELEASED)
    finally:
        await bench.close()


async def test_with_the_access_list_of_the_page_only_the_ems_limits(tmp_path: Path) -> None:
    page = (Path(module.__file__).parent / "MQTT.md").read_text(encoding="utf-8")
    lines = page[page.index("# /etc/mosquitto/acl") :].split("`mosquitto_passwd", maxsplit=1)[0].splitlines()[1:]
    access, users, secret = tmp_path / "acl", tmp_path / "users", tmp_path / "secret"
    access.write_text("\n".join(line.strip() for line in lines) + "\n")
    secret.write_text(PASSWORD)
    _make_users(users)
    subprocess.run(["mosquitto_passwd", "-b", users, "ems", PASSWORD], check=True)  # noqa: ASYNC221
    rules = ("allow_anonymous false", f"password_file {users}", f"acl_file {access}")
    async with (
        broker(tmp_path / "broker", *rules) as one,
        Station(one.port, username="station", password_file=str(secret)).living() as station,
        aiomqtt.Client("127.0.0.1", one.port, username="station", password=PASSWORD) as other,
        aiomqtt.Client("127.0.0.1", one.port, username="ems", password=PASSWORD) as ems,
    ):
        await until(lambda: station.ems.connected)
        await ems.subscribe("home/station/#")
        station.telemetry = replace(station.telemetry, power_w=1.0)
        messages = ems.messages.__aiter__()
        async with asyncio.timeout(30):
            heard = {str((await anext(messages)).topic) for _ in range(2)}
        assert heard == {"home/station/online", "home/station/telemetry"}
        await say(other, {"limit": 9000})
        await say(ems, {"limit": 4200})
        await until(lambda: station.value() == 4200)
        assert 9000 not in station.seen


async def test_a_bench_that_is_killed_leaves_no_broker_behind(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from drivers.bench.ems_mqtt import Mosquitto\n"
        "async def main():\n"
        "    await Mosquitto(pathlib.Path(sys.argv[1]), int(sys.argv[2])).start()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    port, root = free_port(), Path(__file__).parents[2]
    bench = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), str(port), stdout=asyncio.subprocess.PIPE, cwd=root
    )
    assert bench.stdout is not None and await bench.stdout.readline() == b"up\n"
    bench.kill()
    await bench.wait()
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                await asyncio.sleep(0.01)
