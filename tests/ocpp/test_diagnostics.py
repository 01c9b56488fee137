"""GetLog, its notifications and CustomerInformation as the CSMS sees them."""

import asyncio
import contextlib

import pytest

from agent.diagnostics.bundle import PlainLog
from agent.diagnostics.ends import Way
from agent.diagnostics.job import LogUploads
from agent.evse.auth_store import StoreFailed
from agent.ocpp.host_diagnostics import Diagnostics
from agent.ocpp.messages.log import LogStatusNotificationRequest
from tests.diagnostics.parts import NOON
from tests.diagnostics.server import Behaviour, server
from tests.ocpp.charging import TOKEN, FakeCharging
from tests.ocpp.parts import Line, until

CARD = {"idToken": TOKEN.id, "type": TOKEN.type}
CERTIFICATE = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}


class FakeCustomers:
    """Customers whose data the test says; it is gone once it was forgotten."""

    def __init__(self):
        self.records = []
        self.busy = self.broken = False

    def charging(self, token):
        return self.busy

    async def known(self, token):
        return list(self.records) if token.same(TOKEN) else []

    async def forget(self, token):
        if self.broken:
            raise StoreFailed("the disk is full")
        self.records.clear()


class Desk:
    def __init__(self, status="Accepted"):
        self.line = Line(charging=FakeCharging()).open()
        self.line.boot(status)
        self.line.settle()
        self.customers = FakeCustomers()

        def tell(status, number):
            self.line.outbox.post(LogStatusNotificationRequest(status=status, request_id=number))

        logs = {"DiagnosticsLog": PlainLog(lambda: [(NOON, "a line")])}
        self.uploads = LogUploads(self.line.home.store, self.line.clock, logs, Way, tell, "CS 001")
        self.line.home.diagnostics = Diagnostics(self.uploads, self.customers, self.line.outbox.post)
        self.got = []

    async def ask(self, port=1, number=7, kind="DiagnosticsLog", **more):
        log = {"remoteLocation": f"http://127.0.0.1:{port}/", **more}
        return await self.line.ask("GetLog", {"logType": kind, "requestId": number, "log": log, "retries": 0})

    async def customer(self, *, report=True, clear=False, **who):
        payload = {"requestId": 5, "report": report, "clear": clear, **(who or {"idToken": CARD})}
        return await self.line.ask("CustomerInformation", payload)

    def told(self):
        """What the CSMS hears now: payloads by action."""
        self.got += [(message[2], message[3]) for message in self.line.settle()]
        return self.got

    async def report(self):
        """The parts of a report, put together."""
        await until(lambda: any(not one.get("tbc") for action, one in self.told() if "Customer" in action))
        parts = [one for action, one in self.got if action == "NotifyCustomerInformation"]
        assert [one["seqNo"] for one in parts] == list(range(len(parts)))
        assert [one.get("tbc", False) for one in parts] == [True] * (len(parts) - 1) + [False]
        assert {one["requestId"] for one in parts} == {5}
        self.got.clear()
        return "".join(one["data"] for one in parts)


@pytest.fixture
async def desk():
    async with at_work(Desk()) as one:
        yield one


@contextlib.asynccontextmanager
async def at_work(desk):
    tasks = [asyncio.create_task(one) for one in (desk.line.outbox.run(), desk.uploads.run())]
    yield desk
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# --- GetLog --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("N01.FR.01", "N01.FR.07", "N01.FR.08", "N01.FR.09")
async def test_a_log_is_uploaded_and_each_step_told_with_the_requests_id(desk):
    behaviour = Behaviour()
    with server(behaviour) as port:
        answer = await desk.ask(port)
        assert answer["status"] == "Accepted" and answer["filename"].startswith("DiagnosticsLog-CS_001-")
        await until(lambda: len(desk.told()) == 2)
    assert desk.got == [
        ("LogStatusNotification", {"status": status, "requestId": 7}) for status in ("Uploading", "Uploaded")
    ]
    assert behaviour.got[0].path.endswith(answer["filename"])


@pytest.mark.requirement("N01.FR.10")
@pytest.mark.parametrize(("url", "status"), [("ftp://host/logs", "NotSupportedOperation"), ("nowhere", "BadMessage")])
async def test_a_place_that_cannot_be_used_is_told(desk, url, status):
    assert (await desk.ask(remoteLocation=url))["status"] == "Accepted"
    await until(lambda: len(desk.told()) == 2)
    assert desk.got[-1] == ("LogStatusNotification", {"status": status, "requestId": 7})


@pytest.mark.requirement("N01.FR.05")
async def test_a_log_that_is_not_there_is_rejected(desk):
    answer = await desk.ask(kind="SecurityLog")
    assert answer["status"] == "Rejected" and "filename" not in answer
    later, earlier = "2026-01-31T12:00:00Z", "2026-01-30T12:00:00Z"
    assert (await desk.ask(oldestTimestamp=later, latestTimestamp=earlier))["status"] == "Rejected"
    assert desk.told() == []


@pytest.mark.requirement("N01.FR.12", "N01.FR.20", "F06.FR.14", "F06.FR.15", "N01.FR.13")
async def test_what_a_trigger_is_told_while_it_uploads_and_when_it_does_not(desk):
    trigger = {"requestedMessage": "LogStatusNotification"}
    assert (await desk.line.ask("TriggerMessage", trigger))["status"] == "Accepted"
    assert desk.told() == [("LogStatusNotification", {"status": "Idle"})]
    behaviour = Behaviour(pause=30.0)
    with server(behaviour) as port:
        await desk.ask(port)
        await until(behaviour.began.is_set)
        await until(lambda: len(desk.told()) == 2)
        desk.got.clear()
        await desk.line.ask("TriggerMessage", trigger)
        assert desk.told() == [("LogStatusNotification", {"status": "Uploading", "requestId": 7})]
        with server(Behaviour()) as other:
            assert (await desk.ask(other, 8))["status"] == "AcceptedCanceled"
            await until(lambda: len(desk.told()) == 4)
    assert [(one["status"], one["requestId"]) for _, one in desk.got[1:]] == [
        ("AcceptedCanceled", 7),
        ("Uploading", 8),
        ("Uploaded", 8),
    ]


@pytest.mark.requirement("F06.FR.08")
async def test_without_diagnostics_nothing_of_it_is_there():
    line = Line(charging=FakeCharging()).open()
    line.boot()
    line.settle()
    answer = await line.ask("TriggerMessage", {"requestedMessage": "LogStatusNotification"})
    assert answer["status"] == "NotImplemented"


# --- CustomerInformation -------------------------------------------------------------------------------------------


@pytest.mark.requirement("N09.FR.02", "N09.FR.05")
async def test_what_is_known_of_a_customer_is_reported_in_parts(desk):
    desk.customers.records = [{"kept": "authorization cache", "text": f"{n} ä" * 60} for n in range(6)]
    kept = list(desk.customers.records)
    assert await desk.customer() == {"status": "Accepted"}
    text = await desk.report()
    assert len(text) > 512 and text.count("\n") == 5 and "5 ä" in text
    assert desk.customers.records == kept


@pytest.mark.requirement("N09.FR.06")
@pytest.mark.parametrize(
    "who",
    [
        {"idToken": {"idToken": "04FFFFFF", "type": "ISO14443"}},
        {"customerIdentifier": "customer 7"},
        {"customerCertificate": CERTIFICATE},
    ],
)
async def test_a_customer_of_whom_nothing_is_known(desk, who):
    desk.customers.records = [{"kept": "x"}]
    assert (await desk.customer(**who))["status"] == "Accepted"
    assert await desk.report() == "No data was found."


@pytest.mark.requirement("N10.FR.01", "N10.FR.03", "N10.FR.04")
async def test_what_is_cleared_is_reported_once(desk):
    desk.customers.records = [{"kept": "authorization cache"}]
    assert (await desk.customer(clear=True))["status"] == "Accepted"
    assert await desk.report() == '{"kept": "authorization cache"}'
    assert (await desk.customer(clear=True))["status"] == "Accepted"
    assert await desk.report() == "No data was found."


@pytest.mark.requirement("N10.FR.06")
async def test_what_is_cleared_without_a_report_is_told_to_be_cleared(desk):
    desk.customers.records = [{"kept": "authorization cache"}]
    assert (await desk.customer(report=False, clear=True))["status"] == "Accepted"
    assert await desk.report() == "The data was cleared."
    assert desk.customers.records == []
    await desk.customer(report=False, clear=True)
    assert "cleared" in await desk.report()


@pytest.mark.requirement("N09.FR.07", "N10.FR.07")
async def test_neither_report_nor_clear_is_rejected(desk):
    assert (await desk.customer(report=False))["status"] == "Rejected"
    assert desk.told() == []


@pytest.mark.requirement("N09.FR.09")
@pytest.mark.parametrize(
    "who",
    [
        {"idToken": CARD, "customerIdentifier": "x"},
        {"customerCertificate": CERTIFICATE, "customerIdentifier": "x"},
        {"idToken": CARD, "customerCertificate": CERTIFICATE, "customerIdentifier": "x"},
    ],
)
async def test_more_than_one_customer_is_invalid(desk, who):
    assert (await desk.customer(clear=True, **who))["status"] == "Invalid"


@pytest.mark.requirement("N09.FR.09")
async def test_no_customer_is_invalid(desk):
    answer = await desk.line.ask("CustomerInformation", {"requestId": 5, "report": True, "clear": False})
    assert answer["status"] == "Invalid"
    assert desk.told() == []


@pytest.mark.requirement("N10.FR.05")
async def test_who_charges_now_cannot_be_forgotten_but_reported(desk):
    desk.customers.records = [{"kept": "transaction"}]
    desk.customers.busy = True
    answer = await desk.customer(clear=True)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "TxInProgress")
    assert desk.customers.records and desk.told() == []
    assert (await desk.customer())["status"] == "Accepted"


@pytest.mark.requirement("N09.FR.03", "N10.FR.05")
async def test_a_disk_that_takes_nothing_and_a_csms_that_has_not_accepted_reject_it(desk):
    desk.customers.broken = True
    assert (await desk.customer(clear=True))["statusInfo"]["reasonCode"] == "InternalError"
    async with at_work(Desk("Pending")) as pending:
        assert (await pending.customer())["statusInfo"]["reasonCode"] == "CSNotAccepted"


async def test_the_ways_to_transfer_a_file_are_told():
    variable = Line().home.settings.variable(("OCPPCommCtrlr", "FileTransferProtocols", None))
    assert variable is not None and variable.actual.text() == "HTTP,HTTPS"
