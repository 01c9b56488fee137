"""Real servers that logs are uploaded to: HTTP and HTTPS with every way to answer, and an HTTP CONNECT proxy."""

import contextlib
import datetime
import http.server
import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Got:
    """One request as it came: headers by their lower-case names, the body without its framing."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Behaviour:
    """`answers` are the statuses, the last one for all that follow; "cut" cuts the connection in the body."""

    answers: list[int | str] = field(default_factory=lambda: [201])
    methods: dict[str, int] = field(default_factory=dict)
    """What a method is always answered."""
    chunked: int | None = None
    """What a body of unknown length is answered."""
    pause: float = 0.0
    """Seconds between two reads of a body."""
    credentials: str | None = None
    mute: bool = False
    """It does not know `Expect: 100-continue`."""
    got: list[Got] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    """A body begins to come."""

    def next(self) -> int | str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, *_: Any) -> None:
        pass

    def handle_expect_100(self) -> bool:
        if self.behaviour.mute:
            return True
        early = self._early()
        if early is not None:
            self.behaviour.got.append(Got(self.command, self.path, self._headers()))
            self._answer(early)
            return False
        return super().handle_expect_100()

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _early(self) -> int | None:
        one = self.behaviour
        if one.credentials is not None and self.headers.get("Authorization") != one.credentials:
            return 401
        if one.chunked is not None and "Content-Length" not in self.headers:
            return one.chunked
        return one.methods.get(self.command)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def _take(self) -> None:
        one = self.behaviour
        status = one.next()
        got = Got(self.command, self.path, self._headers())
        for piece in self._body():
            one.began.set()
            got.body += piece
            if status == "cut":
                one.got.append(got)
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
                return
            if one.pause:
                time.sleep(one.pause)
        one.got.append(got)
        self._answer(int(status))

    def _body(self) -> Iterator[bytes]:
        length = self.headers.get("Content-Length")
        if length is not None:
            left = int(length)
            while left and (piece := self.rfile.read(min(left, 65536))):
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_PUT(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the other end may go away
            self._take()

    do_POST = do_PUT


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def server(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Its port on 127.0.0.1."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    with _Quiet(("127.0.0.1", 0), handler) as one:
        if tls is not None:
            one.socket = tls.wrap_socket(one.socket, server_side=True)
        threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield one.server_port
        finally:
            one.shutdown()


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the file that one has to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "logs")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "logs.pem", folder / "logs.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


@contextlib.contextmanager
def proxy(heads: list[str]) -> Iterator[int]:
    """An HTTP CONNECT proxy, its port; `heads` gets what it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=relay, args=(client,), daemon=True).start()

        def relay(client: socket.socket) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            heads.append(head.decode())
            host, _, port = head.split()[1].decode().rpartition(":")
            with client, socket.create_connection((host, int(port))) as upstream:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                other = {client: upstream, upstream: client}
                while True:
                    for one in select.select([client, upstream], [], [])[0]:
                        data = one.recv(65536)
                        if not data:
                            return
                        other[one].sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
