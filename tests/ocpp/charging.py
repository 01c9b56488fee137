"""EVSEs of which nothing is left but their answers, for the tests of the OCPP side; and records to hand to it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.charging.book import Book
from agent.charging.limits import Unit
from agent.charging.profiles import Period, Profile, Schedule
from agent.evse.records import IdToken, IdTokenInfo, MeterValue, Sample, TransactionEvent
from agent.evse.reservations import Reservation
from agent.ocpp.host import ProfileAnswer, RemoteStart, StartAnswer

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = IdToken("04A1B2C3", "ISO14443")


class FakeSmart:
    """`SmartCharging` with real rules and nothing to limit: EVSEs 1 and 2 of three phases, `running` on them."""

    def __init__(self) -> None:
        self.units: tuple[Unit, ...] = ("A", "W")
        self.book = Book({1: 3, 2: 3}, voltage=230.0, max_stack=20, max_periods=1024, max_profiles=100)
        self.running: dict[int, str | None] = {}
        self.external: list[tuple[int, str, Profile]] = []
        self.schedule: tuple[datetime, Schedule] | None = (BEGIN, Schedule(1, "A", (Period(0, 16.0),), duration=60))
        self.asked: list[Any] = []

    async def set_profile(self, evse: int, profile: Profile) -> ProfileAnswer:
        external = [one.id for _, _, one in self.external]
        refused = self.book.check(evse, profile, transactions=self.running, external=external)
        if refused is not None:
            return ProfileAnswer("Rejected", refused.reason_code, refused.info)
        self.book.install(evse, profile)
        return ProfileAnswer("Accepted")

    def profiles(
        self,
        *,
        evse: int | None = None,
        ids: Sequence[int] = (),
        purpose: str | None = None,
        stack: int | None = None,
        sources: Sequence[str] = (),
    ) -> Sequence[tuple[int, str, Profile]]:
        self.asked.append({"evse": evse, "ids": ids, "purpose": purpose, "stack": stack, "sources": sources})
        own = [(place, "CSO", one) for place, one in self.book.find(ids=ids, evse=evse, purpose=purpose, stack=stack)]
        return [one for one in (*own, *self.external) if not sources or one[1] in sources]

    async def clear_profiles(
        self, *, id: int | None = None, evse: int | None = None, purpose: str | None = None, stack: int | None = None
    ) -> bool:
        return bool(self.book.clear(id=id, evse=evse, purpose=purpose, stack=stack))

    def composite(self, evse: int, seconds: int, unit: Unit | None) -> tuple[datetime, Schedule] | None:
        self.asked.append((evse, seconds, unit))
        return None if evse not in (0, *self.book.evses) else self.schedule


class FakeCharging:
    """`Charging` that answers what the test says, and remembers what it was asked in `asked`."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.smart_charging = FakeSmart()
        self.status = "Accepted"
        self.start = StartAnswer("Accepted")
        self.stop = StartAnswer("Accepted")
        self.running: set[str] = set()
        self.version = 0
        self.meter: list[tuple[int, MeterValue]] = []
        self.onlines: list[bool] = []
        self.answers: list[tuple[str, IdToken | None, IdTokenInfo | None]] = []
        self.priorities: list[int | None] = []

    def request_start(self, request: RemoteStart) -> StartAnswer:
        self.asked.append(request)
        return self._then(self.start)

    def request_stop(self, transaction_id: str) -> StartAnswer:
        self.asked.append(transaction_id)
        return self._then(self.stop)

    def _then(self, answer: StartAnswer) -> StartAnswer:
        return answer if answer.status == "Rejected" else replace(answer, then=lambda: self.asked.append("then"))

    def ongoing(self, transaction_id: str) -> bool:
        return transaction_id in self.running

    async def unlock(self, evse: int, connector: int) -> str:
        self.asked.append((evse, connector))
        return self.status

    async def change_availability(self, evse: int | None, connector: int | None, operative: bool) -> str:
        self.asked.append((evse, connector, operative))
        return self.status

    async def reserve(self, reservation: Reservation) -> str:
        self.asked.append(reservation)
        return self.status

    async def cancel_reservation(self, reservation_id: int) -> bool:
        self.asked.append(reservation_id)
        return self.status == "Accepted"

    async def clear_cache(self) -> bool:
        self.asked.append("clear")
        return self.status == "Accepted"

    async def list_version(self) -> int:
        return self.version

    async def send_list(
        self, version: int, *, full: bool, entries: Sequence[tuple[IdToken, IdTokenInfo | None]], size: int
    ) -> str:
        self.asked.append((version, full, list(entries), size))
        return self.status

    def transaction_answered(
        self, transaction_id: str, token: IdToken | None, info: IdTokenInfo | None, priority: int | None = None
    ) -> None:
        self.answers.append((transaction_id, token, info))
        self.priorities.append(priority)

    def trigger_transactions(self, evse: int | None) -> bool:
        self.asked.append(("transactions", evse))
        return bool(self.running)

    def trigger_meter_values(self, evse: int | None) -> Sequence[tuple[int, MeterValue]]:
        return [(place, value) for place, value in self.meter if evse in (None, place)]

    def online(self, online: bool) -> None:
        self.onlines.append(online)

    def may_reset(self, evse: int | None, on_idle: bool) -> str:
        self.asked.append(("may reset", evse, on_idle))
        return self.status

    def reset(self, evse: int | None, on_idle: bool) -> None:
        self.asked.append(("reset", evse, on_idle))


def event(number: int, kind: str = "Updated", transaction: str = "T1", **more: Any) -> TransactionEvent:
    """An event of a transaction, `number` seconds after BEGIN."""
    facts: dict[str, Any] = {"Started": "CablePluggedIn", "Ended": "EVDeparted"}
    return TransactionEvent(
        kind,
        BEGIN + timedelta(seconds=number),
        facts.get(kind, "MeterValuePeriodic"),
        number,
        transaction,
        **more,
    )


def measured(number: int, energy: float) -> MeterValue:
    """What a meter reads `number` seconds after BEGIN, in Wh."""
    sample = Sample(energy, "Energy.Active.Import.Register", "Sample.Periodic", unit="Wh")
    return MeterValue(BEGIN + timedelta(seconds=number), (sample,))


def told(messages: list[Any]) -> list[tuple[str, int]]:
    """(event type, seqNo) of the transaction events among `messages`."""
    return [(m[3]["eventType"], m[3]["seqNo"]) for m in messages if m[2] == "TransactionEvent"]


def numbers(messages: list[Any]) -> list[int]:
    """The seqNos of the transaction events among `messages`."""
    return [number for _, number in told(messages)]
