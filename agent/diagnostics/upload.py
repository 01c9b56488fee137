"""One upload of a log by HTTP or HTTPS, from its URL to one of UploadLogStatusEnumType's ends (N01).

PUT first, with a body as long as it turns out to be; POST as multipart/form-data where PUT is refused; and for a
server that must know the length before, the log is written to a temporary file. Blocks: for a thread of its own.
"""

import logging
import ssl
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO
from urllib.parse import SplitResult, quote, urlsplit

from agent.diagnostics.bundle import Body
from agent.diagnostics.ends import End, Way
from agent.diagnostics.http import Cancel, Canceled, HttpError, Target, send

log = logging.getLogger(__name__)

Chunks = Generator[bytes, None, None]

OTHERS = frozenset(("ftp", "ftps", "sftp", "ftpes", "scp"))
"""Ways to transfer a file that FileTransferProtocols does not name."""

LARGEST_FILE = 256 * 2**20
"""Bytes of a log that may be written to a temporary file."""


def context(trust: str | None) -> ssl.SSLContext:
    """Trusts the system's roots (N01.FR.16) and those in the file `trust` (N01.FR.15)."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust is not None:
        try:
            made.load_verify_locations(cafile=trust)
        except OSError as error:  # ssl.SSLError is one
            log.error("trust: %s cannot be used: %s; the system's roots alone are trusted", trust, error)
    return made


def place(url: str, filename: str) -> SplitResult | End:
    """Where `url` leads; one that ends with "/" is a folder, to which the file's name is added."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for a port that is none
        ascii_only = url.isascii() and url.isprintable() and " " not in url
    except ValueError as error:
        return End("BadMessage", f"no URL: {error}")
    if parts.scheme in OTHERS:
        return End("NotSupportedOperation", f"{parts.scheme} is none of FileTransferProtocols")
    if parts.scheme not in ("http", "https") or not parts.hostname or not ascii_only:
        return End("BadMessage", "no URL of http or https")
    if parts.path in ("", "/") or parts.path.endswith("/"):
        return parts._replace(path=(parts.path or "/") + quote(filename))
    return parts


def upload(url: str, filename: str, body: Body, way: Way, cancel: Cancel) -> End:
    """Bring what `body` makes to `url`. Raises Canceled."""
    found = place(url, filename)
    if isinstance(found, End):
        return found
    target = Target(found, way.proxy, context(way.trust) if found.scheme == "https" else None)
    try:
        return _judge(_negotiate(target, urlsplit(url), filename, body, way, cancel))
    except Canceled:
        raise
    except HttpError as error:
        cancel.check()
        return End("UploadFailure", str(error), again=True)
    except OSError as error:  # TimeoutError, ssl.SSLError and socket.gaierror are such
        cancel.check()
        return End("UploadFailure", str(error) or type(error).__name__, again=True)
    except Exception as error:
        log.exception("the log could not be made")
        return End("UploadFailure", f"the log could not be made: {error!r}", again=True)


def _negotiate(target: Target, asked: SplitResult, filename: str, body: Body, way: Way, cancel: Cancel) -> int:
    method, sized = "PUT", False
    while True:
        if method == "POST":
            target = Target(asked, target.proxy, target.tls)  # a form goes to the URL as it was given
        if sized:
            status = _from_file(target, method, filename, body, way, cancel)
        else:
            status = _request(target, method, filename, body(), None, cancel)
        if status in (411, 501) and not sized:  # Length Required; or chunks are not implemented
            sized = True
        elif status in (405, 501) and method == "PUT":
            method, sized = "POST", False
        else:
            return status


def _from_file(target: Target, method: str, filename: str, body: Body, way: Way, cancel: Cancel) -> int:
    with tempfile.TemporaryFile(dir=way.folder) as file:
        size = 0
        with closing(body()) as chunks:
            for chunk in chunks:
                cancel.check()
                size += len(chunk)
                if size > LARGEST_FILE:
                    raise HttpError(
                        f"the server takes no log of unknown length, and this one is above {LARGEST_FILE}"
                    )
                file.write(chunk)
        file.seek(0)
        return _request(target, method, filename, _pieces(file), size, cancel)


def _pieces(file: IO[bytes]) -> Chunks:
    while piece := file.read(64 * 1024):
        yield piece


def _request(target: Target, method: str, filename: str, chunks: Chunks, size: int | None, cancel: Cancel) -> int:
    with closing(chunks):
        if method == "PUT":
            disposition = f'attachment; filename="{filename}"'
            headers = [("Content-Type", "application/octet-stream"), ("Content-Disposition", disposition)]
            return send(target, method, headers, chunks, size, cancel)
        mark = uuid.uuid4().hex
        before = (
            f'--{mark}\r\nContent-Disposition: form-data; name="uploadfile"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        after = f"\r\n--{mark}--\r\n".encode()
        whole = None if size is None else len(before) + size + len(after)
        headers = [("Content-Type", f"multipart/form-data; boundary={mark}")]
        return send(target, method, headers, _form(before, chunks, after), whole, cancel)


def _form(before: bytes, chunks: Iterator[bytes], after: bytes) -> Iterator[bytes]:
    """N01.FR.19."""
    yield before
    yield from chunks
    yield after


def _judge(status: int) -> End:
    why = f"the server answers {status}"
    if 200 <= status < 300:
        return End("Uploaded", why)
    if status in (401, 403):
        return End("PermissionDenied", why)
    if status in (400, 415, 422):
        return End("BadMessage", why)
    if status in (405, 411, 501):
        return End("NotSupportedOperation", why)
    return End("UploadFailure", why, again=True)
