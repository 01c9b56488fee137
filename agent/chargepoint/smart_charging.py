"""Charging profiles at work: the CSMS's as one source of limits, and what the CSMS asks of them (block K).

A profile is on disk before it is Accepted (K01.FR.27). A TxProfile ends with its transaction (K02.FR.05); that of a
remote start waits for the transaction that comes of it (K05).
"""

import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from agent.charging.book import Book, Change
from agent.charging.car import Rating
from agent.charging.composite import Applied, Use, composite, limit_at, station_limit_at
from agent.charging.limits import Limit, State, Unit
from agent.charging.profiles import ABSOLUTE, EXTERNAL, RELATIVE, Period, Profile, Schedule
from agent.clock import Clock
from agent.evse.evse import Evse
from agent.evse.settings import EvseSettings
from agent.model import Component, DeviceModel, VariableName
from agent.ocpp.host import ProfileAnswer, RemoteStart
from agent.store import Store, StoreError

log = logging.getLogger(__name__)

ROOM = "charging"
CONTROLLER = "SmartChargingCtrlr"
NAME = "csms"
BEGAN = "began "
"""Before an EVSE's number: the key of its transaction and when that was ready for energy."""

MAX_STACK, MAX_PERIODS, MAX_PROFILES = 20, 1024, 100
MAX_WAITING = 16
"""Profiles of remote starts that may wait for their transactions; the oldest give way."""


class External(Protocol):
    """Who knows what external control systems impose."""

    def external_limits(self) -> Sequence[Limit]:
        """What they say now."""
        ...


class SmartCharging:
    """The installed profiles; a `Source` of limits, and `agent.ocpp.host.SmartCharging`."""

    name = NAME

    def __init__(
        self,
        model: DeviceModel,
        clock: Clock,
        store: Store,
        *,
        ratings: Mapping[int, Rating],
        station: float | None,
        wake: Callable[[], None],
        background: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        """`station` is A per phase for all EVSEs together, None for no such limit."""
        self._model, self._clock, self._store = model, clock, store
        self._settings = EvseSettings(model)
        self._ratings, self._station = dict(ratings), station
        self._wake, self._background = wake, background
        voltage = min((one.voltage for one in ratings.values()), default=230.0)
        phases = {evse: one.phases for evse, one in ratings.items()}
        self.book = Book(
            phases, voltage=voltage, max_stack=MAX_STACK, max_periods=MAX_PERIODS, max_profiles=MAX_PROFILES
        )
        self.external: External | None = None
        self._evses: Mapping[int, Evse] = {}
        self._began: dict[int, tuple[str, datetime]] = {}
        """Of each EVSE: its transaction, and when that was ready for energy (K01.FR.42)."""
        self._began_kept: dict[int, tuple[str, datetime]] = {}
        self._waiting: dict[int, Profile] = {}
        """Profiles of remote starts, by remoteStartId, until their transactions start."""

    def attach(self, evses: Mapping[int, Evse]) -> None:
        """The EVSEs whose transactions these are for."""
        self._evses = evses

    def restore(self) -> None:
        """Take up what was installed before this start. Raises StoreError."""
        kept = self._store.kept(ROOM)
        for number in self._ratings:
            text = kept.pop(f"{BEGAN}{number}", None)
            if text is not None:
                self._began[number] = self._began_kept[number] = _began(text)
        for text in self.book.restore(kept):
            log.error("%s", text)
        running = [evse.tx.id for evse in self._evses.values() if evse.tx is not None]
        self._forget(self.book.keep_only(running))
        self._count()

    # --- a source of limits ----------------------------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        return self._settings.flag(CONTROLLER, "Enabled", True)

    def limits(self, now: float) -> Sequence[Limit]:
        """What the profiles allow at this moment, in A per phase; the station's in its own unit."""
        if not self.enabled:
            return ()
        when, found = self._clock.now(), []
        applied = station_limit_at(self.book, when)
        if applied.value is not None and applied.period is not None:
            value = applied.period.limit if applied.unit == "W" else applied.value
            found.append(self._limit(0, value, applied, now, when, applied.unit))
        for number in self._ratings:
            applied = limit_at(self.book, number, when, self._use(number))
            if applied.value is not None:
                found.append(self._limit(number, applied.value, applied, now, when, "A"))
        return found

    def _limit(self, scope: int, value: float, applied: Applied, now: float, when: datetime, unit: Unit) -> Limit:
        until = None if applied.until is None else now + (applied.until - when).total_seconds()
        return Limit(NAME, "CSMS", scope, State.ACTIVE, value, unit, until=until)

    def due(self, now: float) -> float | None:
        """When the next period of any profile begins."""
        when = self._clock.now()
        changes = [station_limit_at(self.book, when).until]
        changes += [limit_at(self.book, number, when, self._use(number)).until for number in self._ratings]
        return min((now + (one - when).total_seconds() for one in changes if one is not None), default=None)

    def _use(self, number: int) -> Use:
        evse = self._evses.get(number)
        tx = None if evse is None or evse.tx is None else evse.tx.id
        began = self._began.get(number)
        return Use(
            self._ratings[number].most,
            tx,
            began[1] if began is not None and began[0] == tx else None,
        )

    # --- transactions ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Follow the transactions: what began, and what ended."""
        running = set()
        for number, evse in self._evses.items():
            if evse.tx is None:
                continue
            running.add(evse.tx.id)
            if evse.auth is not None:
                self._bind(number, evse.tx.id, evse.auth.remote_start_id)
            if evse.auth is not None and evse.connected and self._began.get(number, ("",))[0] != evse.tx.id:
                self._began[number] = (evse.tx.id, self._clock.now().replace(microsecond=0))  # as schedules begin
                self.book.derived.clear()
        self._keep_began(running)
        gone = {one.transaction for _, one in self.book.find() if one.transaction is not None} - running
        for transaction in gone:
            self._forget(self.book.ended(transaction))
            self._count()

    def _keep_began(self, running: Collection[str]) -> None:
        """Where a Relative profile counts from survives a restart; of stations without such nothing is written."""
        relative = any(one.kind == RELATIVE for _, one in self.book.find())
        wanted = {number: one for number, one in self._began.items() if relative and one[0] in running}
        if wanted != self._began_kept:
            changed = [one for one in self._ratings if wanted.get(one) != self._began_kept.get(one)]
            self._began_kept = wanted
            texts = {number: f"{one[0]} {one[1].isoformat()}" for number, one in wanted.items()}
            self._forget([(f"{BEGAN}{number}", texts.get(number)) for number in changed])

    def remote_start(self, request: RemoteStart) -> ProfileAnswer | None:
        """Keep the profile of a remote start for its transaction (K05); why it is refused, None where it is not."""
        self._waiting.pop(request.remote_start_id, None)
        if request.profile is None or not self.enabled:  # K05.FR.04
            return None
        refused = self.book.check_start(request.evse, request.profile)
        if refused is not None:
            return ProfileAnswer("Rejected", refused.reason_code, refused.info)
        while len(self._waiting) >= MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[request.remote_start_id] = request.profile
        return None

    def _bind(self, number: int, transaction: str, remote_start_id: int | None) -> None:
        if remote_start_id is None or remote_start_id not in self._waiting:
            return
        profile = self._waiting.pop(remote_start_id)
        bound = replace(profile, transaction=transaction)
        refused = self.book.check(number, bound, transactions={number: transaction})
        if refused is not None:
            log.error("the profile of remote start %d: %s", remote_start_id, refused.info)
            return
        self._forget(self.book.install(number, bound))
        self._count()

    def _forget(self, changes: Sequence[Change]) -> None:
        """Keep what changed by itself; what cannot be is only said: the station does what it holds in memory."""
        if changes:
            self._background(self._write(changes))

    async def _write(self, changes: Sequence[Change]) -> bool:
        try:
            await self._store.keep([(ROOM, key, text) for key, text in changes])
        except StoreError as error:
            log.error("charging profiles: %s", error)
            return False
        return True

    def _count(self) -> None:
        variable = self._model.get(Component(CONTROLLER), VariableName("Entries", "ChargingProfiles"))
        if variable is not None:
            variable.update(self.book.count)

    # --- agent.ocpp.host.SmartCharging -----------------------------------------------------------------------------

    @property
    def units(self) -> Sequence[Unit]:
        return self.book.rules.units

    async def set_profile(self, evse: int, profile: Profile) -> ProfileAnswer:
        transactions = {number: None if one.tx is None else one.tx.id for number, one in self._evses.items()}
        external = [one.id for _, _, one in self._externals()]
        refused = self.book.check(evse, profile, transactions=transactions, external=external)
        if refused is not None:
            return ProfileAnswer("Rejected", refused.reason_code, refused.info)
        before = self.book.find(ids=(profile.id,))
        changes = self.book.install(evse, profile)
        if not await self._write(changes):
            self.book.clear(id=profile.id)
            for place, one in before:
                self.book.install(place, one)
            return ProfileAnswer("Rejected", "InternalError", "the profile cannot be stored")
        self._count()
        self._wake()
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
        found = [
            (place, "CSO", one) for place, one in self.book.find(ids=ids, evse=evse, purpose=purpose, stack=stack)
        ]
        found += [
            (place, source, one)
            for place, source, one in self._externals()
            if (not ids or one.id in ids)
            and evse in (None, place)
            and purpose in (None, one.purpose)
            and stack in (None, one.stack)
        ]
        return [one for one in found if not sources or one[1] in sources]

    async def clear_profiles(
        self, *, id: int | None = None, evse: int | None = None, purpose: str | None = None, stack: int | None = None
    ) -> bool:
        changes = self.book.clear(id=id, evse=evse, purpose=purpose, stack=stack)
        if not changes:
            return False
        await self._write(changes)
        self._count()
        self._wake()
        return True

    def composite(self, evse: int, seconds: int, unit: Unit | None) -> tuple[datetime, Schedule] | None:
        if (evse != 0 and evse not in self._ratings) or unit not in (None, *self.units):
            return None
        start = self._clock.now().replace(microsecond=0)
        uses = {number: self._use(number) for number in self._ratings}
        extra = [(place, one) for place, _, one in self._externals()]
        if self._station is not None:
            extra.append((0, flat(0, self._station, "A", start, None)))
        found = composite(self.book, evse, start, seconds, unit or "A", uses, extra)
        return start, Schedule(1, unit or "A", found.periods, duration=found.seconds)

    def _externals(self) -> list[tuple[int, str, Profile]]:
        """What external control systems impose now, as profiles with ids below 0 (K11.FR.06, K12.FR.05)."""
        if self.external is None:
            return []
        now, when = self._clock.monotonic(), self._clock.now()
        found: list[tuple[int, str, Profile]] = []
        for limit in self.external.external_limits():
            if limit.value is None:
                continue
            until = None if limit.until is None else when + timedelta(seconds=max(1.0, limit.until - now))
            since = when - timedelta(seconds=max(0.0, now - limit.changed))
            found.append((limit.scope, limit.kind, flat(-1 - len(found), limit.value, limit.unit, since, until)))
        return found


def _began(text: str) -> tuple[str, datetime]:
    """Raises ValueError for what was not kept here."""
    transaction, _, time = text.rpartition(" ")
    return transaction, datetime.fromisoformat(time)


def flat(number: int, value: float, unit: Unit, start: datetime, valid_to: datetime | None) -> Profile:
    """An external constraint that is the same from `start` on, until `valid_to`."""
    schedule = Schedule(1, unit, (Period(0, value),), start.replace(microsecond=0))
    return Profile(number, EXTERNAL, ABSOLUTE, 0, (schedule,), valid_to=valid_to)
