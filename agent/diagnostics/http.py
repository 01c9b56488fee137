"""As much of HTTP/1.1 as an upload takes, on a blocking socket: bodies of unknown length, answers that come early.

The standard library's client cannot look for an answer before the body is sent, and a server that wants other
credentials should not be sent fifty megabytes first.
"""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 60.0
"""How long one read or write may take, and the final answer."""

CONTINUE_SECONDS = 2.0
"""How long the body waits for a server that does not know `Expect: 100-continue`."""

LONGEST_HEAD = 64 * 1024


class Canceled(Exception):
    """Somebody else wants the line."""


class HttpError(Exception):
    """The other end does not speak HTTP; the message says what was wrong."""


class Cancel:
    """Ends what another thread does on a socket, at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._canceled = False

    def cancel(self) -> None:
        """From now on there is no going on; whoever reads or writes hears of it."""
        with self._lock:
            self._canceled = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # it may have been closed by the other end
                    # Not the shutdown of SSLSocket: it forgets the encryption first, while another thread may write.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises Canceled."""
        if self._canceled:
            raise Canceled

    def watch(self, one: socket.socket) -> None:
        """`one` is the socket in use. Raises Canceled."""
        with self._lock:
            self._socket = one
        self.check()


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: an http or https URL, through the HTTP proxy at `proxy`, trusting what `tls` trusts."""

    url: SplitResult
    proxy: str | None
    tls: ssl.SSLContext | None

    @property
    def secure(self) -> bool:
        return self.url.scheme == "https"

    @property
    def port(self) -> int:
        """Raises ValueError for one that is no number."""
        return self.url.port or (443 if self.secure else 80)

    @property
    def host(self) -> str:
        host = self.url.hostname or ""
        return f"[{host}]" if ":" in host else host

    @property
    def place(self) -> str:
        """Host and port, as the Host header wants them: without the usual one."""
        return self.host if self.url.port is None else f"{self.host}:{self.url.port}"

    @property
    def path(self) -> str:
        return (self.url.path or "/") + (f"?{self.url.query}" if self.url.query else "")

    @property
    def credentials(self) -> str | None:
        """What the Authorization header says (N01.FR.17)."""
        return basic(self.url)


def basic(url: SplitResult) -> str | None:
    """The user and password in a URL as basic authorization, None without."""
    if url.username is None:
        return None
    text = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(text.encode()).decode("ascii")


def open_line(target: Target, cancel: Cancel) -> socket.socket:
    """A connection to `target`, through its proxy, secured where it is https. Raises OSError, HttpError, Canceled."""
    if target.proxy is None:
        line = socket.create_connection((target.url.hostname, target.port), CONNECT_SECONDS)
    else:
        proxy = urlsplit(target.proxy)
        if proxy.scheme not in ("", "http"):
            raise HttpError(f"a proxy of {proxy.scheme} is not supported for uploads")
        line = socket.create_connection((proxy.hostname, proxy.port or 80), CONNECT_SECONDS)
    try:
        line.settimeout(ANSWER_SECONDS)
        cancel.watch(line)
        if target.proxy is not None:
            _through(line, target, basic(urlsplit(target.proxy)))
        if target.secure:
            context = target.tls or ssl.create_default_context()
            line = context.wrap_socket(line, server_hostname=target.url.hostname, do_handshake_on_connect=False)
            cancel.watch(line)
            line.do_handshake()
    except BaseException:
        line.close()
        raise
    return line


def _through(line: socket.socket, target: Target, credentials: str | None) -> None:
    """Ask a proxy to pass everything on (RFC 9110 §9.3.6)."""
    place = f"{target.host}:{target.port}"
    head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
    if credentials is not None:
        head += f"Proxy-Authorization: {credentials}\r\n"
    line.sendall(f"{head}\r\n".encode("ascii"))
    status = Answers(line).final()
    if not 200 <= status < 300:
        raise HttpError(f"the proxy answers {status}")


class Answers:
    """Status lines from `line`, each with its headers read and dropped."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._read = bytearray()

    def next(self) -> int:
        """The next status. Raises OSError (TimeoutError: try again), HttpError."""
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            if len(self._read) > LONGEST_HEAD:
                raise HttpError("an answer without end")
            # Byte by byte would be slow, but what follows a proxy's head belongs to TLS: it sends nothing unasked.
            more = self._line.recv(4096)
            if not more:
                raise HttpError("the connection was closed without an answer")
            self._read += more
        head = bytes(self._read[:end])
        del self._read[: end + 4]
        first = head.split(b"\r\n", 1)[0].split()
        if len(first) < 2 or not first[0].startswith(b"HTTP/1.") or not first[1].isdigit():
            raise HttpError("no answer of HTTP/1.1")
        return int(first[1])

    def final(self) -> int:
        """The next status that is none of 1xx."""
        while (status := self.next()) < 200:
            pass
        return status


def send(
    target: Target,
    method: str,
    headers: Iterable[tuple[str, str]],
    body: Iterable[bytes],
    size: int | None,
    cancel: Cancel,
) -> int:
    """One request; its status. `size` is the body's, None where it is not known before its end.

    Raises OSError, HttpError, Canceled, and what `body` raises.
    """
    with open_line(target, cancel) as line:
        length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        head = [f"{method} {target.path} HTTP/1.1", f"Host: {target.place}", length]
        head += ["Expect: 100-continue", "Connection: close", *(f"{name}: {value}" for name, value in headers)]
        if target.credentials is not None:
            head.append(f"Authorization: {target.credentials}")
        line.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        answers = Answers(line)
        early = _early(line, answers)
        if early is not None:
            return early
        try:
            for chunk in body:
                cancel.check()
                if chunk:
                    line.sendall(chunk if size is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if size is None:
                line.sendall(b"0\r\n\r\n")
        except (ConnectionError, ssl.SSLError):
            cancel.check()
            # It may have answered before it closed the connection.
            with contextlib.suppress(OSError, HttpError):
                return answers.final()
            raise
        try:
            return answers.final()
        except (OSError, HttpError):
            cancel.check()
            raise


def _early(line: socket.socket, answers: Answers) -> int | None:
    """An answer that makes the body needless; None where the server wants it, or does not say."""
    line.settimeout(CONTINUE_SECONDS)
    try:
        status = answers.next()
    except TimeoutError:
        return None
    finally:
        line.settimeout(ANSWER_SECONDS)
    return None if status < 200 else status
