"""The upload that is under way: attempts, a newer request, a power cut, and what is told of each."""

import asyncio
import contextlib
import gzip

import pytest

from agent.diagnostics.bundle import PlainLog
from agent.diagnostics.ends import Way
from agent.diagnostics.job import MOST_STARTS, LogRequest, LogUploads
from agent.diagnostics.slices import Slice
from agent.store import Store
from tests.diagnostics.parts import NOON, a_bundle, unpacked
from tests.diagnostics.server import Behaviour, server
from tests.ocpp.parts import FakeClock, MemoryStore, until


class Desk:
    """Uploads of a station, and what it told."""

    def __init__(self, store=None, **logs):
        self.told = []
        self.store = store or MemoryStore()
        logs = logs or {"DiagnosticsLog": a_bundle(), "SecurityLog": PlainLog(lambda: [(NOON, "StartupOfTheDevice")])}
        self.uploads = LogUploads(
            self.store, FakeClock(), logs, Way, lambda status, number: self.told.append((status, number)), "CS 001/ä"
        )

    async def ask(self, port, number=1, *, kind="DiagnosticsLog", retries=None, interval=0.0, span=None):
        url = f"http://127.0.0.1:{port}/"
        answer = await self.uploads.request(LogRequest(number, kind, url, span or Slice(), retries, interval))
        if answer.then is not None:
            answer.then()
        return answer

    def ends(self, *told):
        return until(lambda: self.told[-len(told) :] == list(told))

    def settled(self):
        """Nothing is left on disk to be done again."""
        return until(lambda: self.store.kept("diagnostics") == {})


@contextlib.asynccontextmanager
async def running(desk):
    task = asyncio.create_task(desk.uploads.run())
    try:
        yield desk
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def behaviour():
    return Behaviour()


@pytest.fixture
def port(behaviour):
    with server(behaviour) as one:
        yield one


@pytest.mark.requirement("N01.FR.01", "N01.FR.02", "N01.FR.04", "N01.FR.07", "N01.FR.08", "N01.FR.09")
async def test_a_diagnostics_log_is_uploaded_and_told(behaviour, port):
    async with running(Desk()) as desk:
        answer = await desk.ask(port, 123)
        assert answer.status == "Accepted"
        assert answer.filename == "DiagnosticsLog-CS_001__-20260131T120000Z-123.tar.gz"
        await desk.ends(("Uploading", 123), ("Uploaded", 123))
        await desk.settled()
    assert len(desk.told) == 2
    (got,) = behaviour.got
    assert got.path == f"/{answer.filename}" and "model.jsonl" in unpacked(got.body)
    assert desk.uploads.running is None


@pytest.mark.requirement("N01.FR.03")
async def test_a_security_log_is_uploaded(behaviour, port):
    async with running(Desk()) as desk:
        await desk.ask(port, kind="SecurityLog", span=Slice(NOON))
        await desk.ends(("Uploaded", 1))
    assert gzip.decompress(behaviour.got[0].body) == b"StartupOfTheDevice\n"


@pytest.mark.requirement("N01.FR.05")
async def test_a_log_that_is_not_there_is_rejected(port):
    async with running(Desk(DiagnosticsLog=a_bundle())) as desk:
        answer = await desk.ask(port, kind="SecurityLog")
        assert (answer.status, answer.filename, answer.then) == ("Rejected", None, None)
    assert desk.told == [] and desk.store.kept("diagnostics") == {}


async def test_it_is_tried_again_and_only_the_end_is_told(behaviour, port):
    behaviour.answers = [500, "cut", 201]
    async with running(Desk()) as desk:
        await desk.ask(port, retries=2)
        await desk.ends(("Uploading", 1), ("Uploaded", 1))
    assert len(behaviour.got) == 3 and len(desk.told) == 2


@pytest.mark.requirement("N01.FR.10")
@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (-1, 1), (2, 3)])
async def test_after_the_last_retry_the_failure_is_told(behaviour, port, retries, attempts):
    behaviour.answers = [500]
    async with running(Desk()) as desk:
        await desk.ask(port, retries=retries)
        await desk.ends(("Uploading", 1), ("UploadFailure", 1))
        await desk.settled()
    assert len(behaviour.got) == attempts and len(desk.told) == 2


@pytest.mark.requirement("N01.FR.10")
async def test_a_refusal_for_good_is_not_tried_again(behaviour, port):
    behaviour.answers = [403]
    async with running(Desk()) as desk:
        await desk.ask(port, retries=5)
        await desk.ends(("PermissionDenied", 1))
    assert len(behaviour.got) == 1


@pytest.mark.requirement("N01.FR.07", "N01.FR.12", "N01.FR.20")
async def test_a_newer_request_cancels_the_upload_that_is_under_way(behaviour, port):
    behaviour.pause = 30.0
    slow = PlainLog(lambda: iter(lambda: (NOON, "x" * 1000), None))
    other = Behaviour()
    async with running(Desk(DiagnosticsLog=slow, SecurityLog=PlainLog(lambda: [(NOON, "short")]))) as desk:
        assert (await desk.ask(port, 1)).status == "Accepted"
        await until(behaviour.began.is_set)
        assert desk.uploads.running == 1
        with server(other) as second:
            answer = await desk.ask(second, 2, kind="SecurityLog")
            assert answer.status == "AcceptedCanceled"
            await desk.ends(("Uploading", 1), ("AcceptedCanceled", 1), ("Uploading", 2), ("Uploaded", 2))
        await desk.settled()
    assert len(other.got) == 1


@pytest.mark.requirement("N01.FR.12", "N01.FR.20")
async def test_one_that_waits_for_its_next_attempt_is_canceled_too(behaviour, port):
    behaviour.answers = [500]
    async with running(Desk()) as desk:
        await desk.ask(port, 1, interval=3600.0)
        await until(lambda: behaviour.got)
        behaviour.answers = [201]
        assert (await desk.ask(port, 1)).status == "AcceptedCanceled"  # with the same id
        await desk.ends(("Uploading", 1), ("AcceptedCanceled", 1), ("Uploading", 1), ("Uploaded", 1))
        await desk.settled()


async def test_three_requests_at_once_end_with_the_last(behaviour, port):
    async with running(Desk()) as desk:
        for number in (1, 2, 3):
            await desk.ask(port, number)
        await desk.ends(("Uploaded", 3))
    assert sorted(number for status, number in desk.told if status == "AcceptedCanceled") == [1, 2]


async def test_an_upload_is_on_disk_before_it_is_accepted_and_begun_again_after_a_power_cut(
    behaviour, port, tmp_path
):
    behaviour.answers = [500]
    with contextlib.closing(Store(tmp_path)) as store:
        async with running(Desk(store)) as desk:
            first = await desk.ask(port, 9, interval=3600.0, span=Slice(NOON))
            assert store.kept("diagnostics")
            await until(lambda: behaviour.got)
    behaviour.answers = [201]
    with contextlib.closing(Store(tmp_path)) as store:
        desk = Desk(store)
        assert desk.uploads.running == 9
        async with running(desk):
            await desk.ends(("Uploading", 9), ("Uploaded", 9))
            await desk.settled()
    assert behaviour.got[-1].path == f"/{first.filename}"


async def test_what_ends_the_agent_again_and_again_is_given_up(port):
    store = MemoryStore()
    for _ in range(MOST_STARTS):
        desk = Desk(store)
        if not store.rooms:
            await desk.ask(1, 4, retries=100, interval=3600.0)
        async with running(desk):
            await desk.ends(("Uploading", 4))
    async with running(Desk(store)) as desk:
        await desk.ends(("UploadFailure", 4))
        await desk.settled()
    assert desk.told == [("UploadFailure", 4)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 1}'])
async def test_a_job_that_cannot_be_read_does_not_stop_the_start(text, caplog):
    store = MemoryStore()
    store.rooms["diagnostics"] = {"upload": text}
    assert Desk(store).uploads.running is None
    assert "cannot be read" in caplog.text


async def test_with_a_full_disk_it_is_uploaded_all_the_same(port, caplog):
    desk = Desk()
    desk.store.broken = True
    async with running(desk):
        assert (await desk.ask(port)).status == "Accepted"
        await desk.ends(("Uploaded", 1))
    assert "the disk is full" in caplog.text


@pytest.mark.requirement("N01.FR.10")
async def test_a_log_that_cannot_be_opened_is_a_failure(port, caplog):
    def buses():
        raise LookupError("no bus")

    async with running(Desk(DiagnosticsLog=a_bundle(buses=buses))) as desk:
        await desk.ask(port, retries=0)
        await desk.ends(("UploadFailure", 1))
