"""Uploads to real servers: how each answer ends, what is sent, through a proxy and with the station's trust."""

import base64
import os
import threading

import pytest

from agent.diagnostics import http
from agent.diagnostics.ends import Way
from agent.diagnostics.http import Cancel, Canceled
from agent.diagnostics.upload import upload
from tests.diagnostics.server import Behaviour, proxy, self_signed, server

CONTENT = [os.urandom(50_000) for _ in range(8)]
WHOLE = b"".join(CONTENT)
DIRECT = Way()
NAME = "DiagnosticsLog-CS-1.tar.gz"


def body():
    yield from CONTENT


def sent(behaviour, path="/logs/", *, way=DIRECT, tls=None, scheme="http", user=""):
    """How an upload to a server that behaves so ends."""
    with server(behaviour, tls) as port:
        return upload(f"{scheme}://{user}127.0.0.1:{port}{path}", NAME, body, way, Cancel())


@pytest.mark.requirement("N01.FR.02", "N01.FR.14")
def test_a_log_is_put_into_a_folder_under_its_name():
    behaviour = Behaviour()
    assert sent(behaviour).status == "Uploaded"
    (got,) = behaviour.got
    assert (got.method, got.path, got.body) == ("PUT", f"/logs/{NAME}", WHOLE)
    assert got.headers["content-type"] == "application/octet-stream"


def test_a_url_that_names_a_file_is_used_as_it_is():
    behaviour = Behaviour()
    assert sent(behaviour, "/bucket/log?signature=a%2Fb").status == "Uploaded"
    assert behaviour.got[0].path == "/bucket/log?signature=a%2Fb"


@pytest.mark.requirement("N01.FR.19")
def test_where_put_is_refused_a_form_is_posted():
    behaviour = Behaviour(methods={"PUT": 405})
    assert sent(behaviour, "/up/").status == "Uploaded"
    refused, got = behaviour.got
    assert (refused.method, refused.body) == ("PUT", b"")  # it was not sent in vain
    assert (got.method, got.path) == ("POST", "/up/")
    kind, _, boundary = got.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    head, _, rest = got.body.partition(b"\r\n\r\n")
    assert f'Content-Disposition: form-data; name="uploadfile"; filename="{NAME}"'.encode() in head
    assert b"Content-Type: application/octet-stream" in head
    assert rest == WHOLE + f"\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize("status", [411, 501])
def test_a_server_that_wants_the_length_first_gets_it(status, tmp_path):
    behaviour = Behaviour(chunked=status)
    assert sent(behaviour, way=Way(folder=tmp_path)).status == "Uploaded"
    assert behaviour.got[-1].body == WHOLE
    assert behaviour.got[-1].headers["content-length"] == str(len(WHOLE))
    assert list(tmp_path.iterdir()) == []


def test_a_form_can_have_its_length_told_too(tmp_path):
    behaviour = Behaviour(methods={"PUT": 405}, chunked=411)
    assert sent(behaviour, way=Way(folder=tmp_path)).status == "Uploaded"
    assert WHOLE in behaviour.got[-1].body and behaviour.got[-1].method == "POST"


@pytest.mark.requirement("N01.FR.10")
@pytest.mark.parametrize(
    ("status", "end", "again"),
    [
        (200, "Uploaded", False),
        (204, "Uploaded", False),
        (302, "UploadFailure", True),
        (400, "BadMessage", False),
        (401, "PermissionDenied", False),
        (403, "PermissionDenied", False),
        (404, "UploadFailure", True),
        (415, "BadMessage", False),
        (500, "UploadFailure", True),
        (503, "UploadFailure", True),
    ],
)
def test_how_an_answer_ends_an_upload(status, end, again):
    found = sent(Behaviour(answers=[status]))
    assert (found.status, found.again) == (end, again)


@pytest.mark.requirement("N01.FR.10")
def test_a_server_that_takes_neither_put_nor_post():
    assert sent(Behaviour(methods={"PUT": 405, "POST": 405})).status == "NotSupportedOperation"


@pytest.mark.requirement("N01.FR.10")
def test_a_connection_that_is_cut_is_a_failure_that_may_be_tried_again():
    found = sent(Behaviour(answers=["cut"]))
    assert (found.status, found.again) == ("UploadFailure", True)


@pytest.mark.requirement("N01.FR.10")
@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("ftp://example.com/logs", "NotSupportedOperation"),
        ("sftp://example.com/logs", "NotSupportedOperation"),
        ("no url", "BadMessage"),
        ("", "BadMessage"),
        ("http://", "BadMessage"),
        ("http://[::1/x", "BadMessage"),
        ("http://example.com:seven/", "BadMessage"),
        ("http://example.com/a b\r\nX: y", "BadMessage"),
        ("file:///etc/passwd", "BadMessage"),
    ],
)
def test_what_is_no_place_to_upload_to_is_told_without_trying(url, end):
    found = upload(url, NAME, body, Way(), Cancel())
    assert (found.status, found.again) == (end, False)


def test_nobody_at_the_other_end_is_a_failure_that_may_be_tried_again():
    with server(Behaviour()) as port:
        pass
    found = upload(f"http://127.0.0.1:{port}/", NAME, body, Way(), Cancel())
    assert (found.status, found.again) == ("UploadFailure", True)


def test_a_server_that_is_slow_gets_everything():
    behaviour = Behaviour(pause=0.02)
    assert sent(behaviour).status == "Uploaded"
    assert behaviour.got[0].body == WHOLE


@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_does_not_ask_for_the_body_gets_it_after_a_while(secure, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "CONTINUE_SECONDS", 0.05)
    context, public = self_signed(tmp_path)
    behaviour, way = Behaviour(mute=True), Way(trust=str(public))
    scheme = "https" if secure else "http"
    assert sent(behaviour, tls=context if secure else None, scheme=scheme, way=way).status == "Uploaded"
    assert behaviour.got[0].body == WHOLE


@pytest.mark.requirement("N01.FR.17")
def test_the_credentials_in_the_url_are_used_and_are_no_part_of_the_path():
    wanted = "Basic " + base64.b64encode(b"user:p@ss:word").decode()
    behaviour = Behaviour(credentials=wanted)
    assert sent(behaviour, user="user:p@ss%3Aword@").status == "Uploaded"
    assert "user" not in behaviour.got[0].path + behaviour.got[0].headers["host"]
    assert sent(behaviour, user="user:wrong@").status == "PermissionDenied"
    assert behaviour.got[-1].body == b""


@pytest.mark.requirement("N01.FR.15")
def test_the_stations_trust_counts_for_uploads_too(tmp_path):
    context, public = self_signed(tmp_path)
    behaviour = Behaviour()
    assert sent(behaviour, tls=context, scheme="https", way=Way(trust=str(public))).status == "Uploaded"
    assert behaviour.got[0].body == WHOLE


@pytest.mark.requirement("N01.FR.16")
def test_a_server_that_neither_the_system_nor_the_station_trusts_gets_nothing(tmp_path):
    context, _ = self_signed(tmp_path)
    behaviour = Behaviour()
    found = sent(behaviour, tls=context, scheme="https", way=Way(trust=str(tmp_path / "missing.pem")))
    assert found.status == "UploadFailure" and "CERTIFICATE_VERIFY_FAILED" in found.why
    assert behaviour.got == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_way_is_through_the_stations_proxy(scheme, tmp_path):
    context, public = self_signed(tmp_path)
    heads, behaviour = [], Behaviour()
    with proxy(heads) as port:
        way = Way(f"http://me:secret@127.0.0.1:{port}", str(public))
        found = sent(behaviour, tls=context if scheme == "https" else None, scheme=scheme, way=way)
    assert found.status == "Uploaded" and behaviour.got[0].body == WHOLE
    (head,) = heads
    assert head.startswith("CONNECT 127.0.0.1:")
    assert base64.b64encode(b"me:secret").decode() in head


def test_a_log_that_cannot_be_made_is_a_failure():
    def broken():
        yield b"x"
        raise KeyError("gone")

    with server(Behaviour()) as port:
        found = upload(f"http://127.0.0.1:{port}/", NAME, broken, Way(), Cancel())
    assert found.status == "UploadFailure" and "gone" in found.why


@pytest.mark.parametrize("secure", [False, True])
def test_a_cancel_ends_it_at_once_though_the_server_takes_nothing(secure, tmp_path):
    context, public = self_signed(tmp_path)
    behaviour, cancel, closed = Behaviour(pause=30.0), Cancel(), []

    def endless():
        try:
            while True:
                yield CONTENT[0]
        finally:
            closed.append(True)

    with server(behaviour, context if secure else None) as port:
        url = f"http{'s' if secure else ''}://127.0.0.1:{port}/"

        def stop():
            behaviour.began.wait(10)
            cancel.cancel()

        threading.Thread(target=stop).start()
        with pytest.raises(Canceled):
            upload(url, NAME, endless, Way(trust=str(public)), cancel)
    assert closed == [True]
