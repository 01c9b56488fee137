"""One EVSE: who may charge, what the hardware is to do, and the transaction that tells of it (part 2, block E).

Pure. It looks at what was measured (`step`), is told what the driver and the CSMS want, and leaves two things to be
taken: what each connector's hardware is to do (`Connector.command`), and events for the CSMS (`take`). An event and
what must survive with it (`to_json`) are kept in one commit; energy flows only once what it is charged to is on disk.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from agent.clock import Clock
from agent.evse.connector import Connector
from agent.evse.metering import Meter, Sampling
from agent.evse.plain import token_from, token_plain
from agent.evse.power import Offer
from agent.evse.power_path import PATIENCE, TXCTRLR, PowerPath, Protections
from agent.evse.records import NO_AUTHORIZATION, IdToken
from agent.evse.session_tables import CAUSES, Cause, hold
from agent.evse.settings import EvseSettings
from agent.evse.transaction import (
    Authorization,
    Transaction,
    authorization_from,
    authorization_json,
    transaction_from,
    transaction_json,
)

LAST_READING = 5.0
"""Seconds that the end of a transaction waits for the contactor, and for a reading of the meter after it opened."""

_DEAUTHORIZED = frozenset(("Authorized", "PowerPathClosed", "EnergyTransfer"))
"""Of TxStopPoint, what ends a transaction whose token is refused (E05.FR.10)."""

_ASKED = ("remote", "master pass")
"""Causes that somebody asked for who is not the driver: they end a transaction that was never authorized, too."""


class Evse(PowerPath):
    """The EVSE `id` with its `connectors`; 0 is no EVSE yet: a driver who was authorized before one was chosen.

    `protections` tells at each moment what stands against energy, `limit` the A per phase that may be offered,
    `new_id` makes transaction ids that are unique for ever (E01.FR.08), `bay` whether a car stands in the bay.
    """

    def __init__(
        self,
        number: int,
        connectors: Mapping[int, Connector],
        *,
        settings: EvseSettings,
        meter: Meter,
        clock: Clock,
        new_id: Callable[[], str],
        protections: Callable[[], Protections] = Protections,
        limit: Callable[[Connector], float] = lambda connector: 32.0,
        bay: Callable[[], bool] = lambda: False,
        charge_without_storage: bool = False,
    ) -> None:
        super().__init__(
            number,
            connectors,
            settings=settings,
            meter=meter,
            clock=clock,
            new_id=new_id,
            limit=limit,
            charge_without_storage=charge_without_storage,
        )
        self._protections, self._bay = protections, bay
        self._points: frozenset[str] = frozenset()
        self._bay_occupied = False
        self._spent = False
        """Whether an authorization ended since the car came: without authorization none begins by itself."""
        self._why: str | None = None
        """What is to be told as the trigger of a transaction that has not started yet."""
        self._apart_since: float | None = None
        self._ending_since = 0.0

    # --- what is to be kept --------------------------------------------------------------------------------------

    def kept(self, version: int, durable: bool) -> None:
        """`to_json` as of `version` is on disk; or, not `durable`, it cannot be: the disk is full or broken."""
        if durable:
            self._saved = max(self._saved, version)
            self._storage_lost = False
        else:
            self._storage_lost = True
            if self.auth is not None and not self._wanted and not self._may_charge_unsaved():
                self.end_authorization("fault")

    def to_json(self) -> str:
        """What must survive a power cut, "" for nothing."""
        if self.auth is None and self.tx is None and self.held_by is None and not self._spent:
            return ""
        now = self._clock.monotonic()
        return json.dumps(
            {
                "auth": authorization_json(self.auth, now),
                "tx": transaction_json(self.tx),
                "sampling": None if self.sampling is None else self.sampling.to_json(),
                "active": None if self.active is None else self.active.connector,
                "held_by": token_plain(self.held_by),
                "state": self._state,
                "connected": self._connected,
                "bay": self._bay_occupied,
                "offered": self._offer.current,
                "apart": self._apart_since is not None,
                "spent": self._spent,
            },
            separators=(",", ":"),
        )

    def restore(self, text: str, *, power_lost: bool, resume: bool) -> None:
        """Take up what `to_json` told before a restart. Raises ValueError, KeyError or TypeError for any other text.

        After a power cut (`power_lost`) a transaction goes on or, not `resume`, ends with PowerLoss.
        """
        data: dict[str, Any] = json.loads(text)
        now = self._clock.monotonic()
        self.auth = authorization_from(data["auth"], now)
        self.tx = transaction_from(data["tx"])
        if data["sampling"] is not None:
            self.sampling = Sampling.from_json(data["sampling"], self._settings, self._meter, self._clock)
        self.active = self.connectors.get(data["active"])
        self.held_by = token_from(data["held_by"])
        self._state, self._connected, self._bay_occupied = data["state"], data["connected"], data["bay"]
        self._spent = bool(data["spent"])
        self._apart_since = now if data["apart"] else None
        self._points = hold(self._facts())
        if self._connected and self.auth is not None:
            self._points |= {"PowerPathClosed"}
        self._ending_since = self._started_at = now
        if self.auth is not None and self.tx is None:
            self._why = "Authorized" if self.auth.remote_start_id is None else "RemoteStart"
        if power_lost:
            self._points -= {"EnergyTransfer"}  # that it stopped meanwhile is no reason to end
            self._charging_since = None
            if self.tx is not None and not resume:
                self.tx.ending, self.auth = "power loss", None
        elif self.active is not None:
            self._offer.adopt(float(data["offered"]))
            self._disabled = None
            self.active.command.enable = self._wanted = self.auth is not None and data["offered"] > 0
            self.active.command.offered = self._offer.current
            self.active.command.lock = self.active.has_lock and self.auth is not None
        if self._state == "Charging":
            self._charging_since = now

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """ChargingStateEnumType."""
        return self._state

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def busy(self) -> bool:
        """Whether somebody charges or may charge here: what waits for the end of a transaction waits for this."""
        return self.tx is not None or self.auth is not None

    @property
    def free(self) -> bool:
        """Whether another driver can be authorized here now."""
        return self.auth is None and (self.tx is None or self.tx.ending is None)

    def _facts(self) -> frozenset[str]:
        facts = set()
        if self._bay_occupied:
            facts.add("bay occupied")
        if self._connected:
            facts.add("connected")
        if self.auth is not None:
            facts.add("authorized")
        if "PowerPathClosed" in self._points or self._locked:
            facts.add("locked")
        if self._state == "Charging":
            facts.add("flowing")
        return frozenset(facts)

    @property
    def _locked(self) -> bool:
        active = self.active
        return active is not None and (not active.has_lock or active.locked is True)

    # --- looking ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Look at the hardware, and do what follows."""
        now = self._clock.monotonic()
        for connector in self.connectors.values():
            connector.step(now)
        self._choose()
        self._look_at_bay()
        self._look_at_cable(now)
        protections = self._protections()
        if protections.cause is not None and (self.auth is not None or self.tx is not None):
            self.end_authorization(protections.cause)
        if (
            not self._settings.flag("AuthCtrlr", "Enabled", True)
            and self._connected
            and self.free
            and not self._spent
        ):
            self.authorize(NO_AUTHORIZATION)
        self._wait_for_cable(now)
        self._start_if_due()  # before energy can flow: its record comes first
        self._command(now, protections)
        self._look_at_state(now)
        self._start_if_due()
        self._sample()
        self._finish(now)

    def due(self) -> float | None:
        """The monotonic time at which to `step` again, if nothing changes before; None where nothing waits."""
        times = [connector.due() for connector in self.connectors.values()]
        if self.sampling is not None and self.tx is not None:
            times.append(self.sampling.due())
        return min((time for time in times if time is not None), default=None)

    def _choose(self) -> None:
        """One connector at a time: the first with a car (E01.FR.14), until it is free again."""
        active, tx = self.active, self.tx
        bound = self._connected or self.held_by is not None or (tx is not None and tx.evse_told)
        if active is not None and (bound or active.connected or active.powered):
            return
        car = next((one for one in self.connectors.values() if one.connected), None)
        if car is not None:
            self.active = car
        elif active is None or not (active.plugged or self.busy):
            self.active = next((one for one in self.connectors.values() if one.plugged), None)

    def _look_at_bay(self) -> None:
        occupied = self._bay()
        if occupied == self._bay_occupied:
            return
        self._bay_occupied = occupied
        if occupied:
            self._happened("EVDetected")
        else:
            self._happened("EVDeparted", cause="bay")

    def _look_at_cable(self, now: float) -> None:
        if not self.known:
            return
        connected = self.active is not None and self.active.connected
        if connected == self._connected:
            if self.held_by is not None and (self.active is None or not self.active.plugged):
                self.held_by = None
                self._changed()
            return
        self._connected = connected
        if connected:
            self._spent = False
            self._apart_since = None
            self._update_state(now)
            self._happened("CablePluggedIn")
            return
        self._apart_since = now
        self._offer = Offer()  # the next car has no past
        self.cut = None
        self._charged(now)
        self._update_state(now)
        token = None if self.auth is None else self.auth.token
        gone = self.active is None or (self.active.socket and not self.active.plugged)
        if self.auth is not None and (gone or self._settings.flag(TXCTRLR, "StopTxOnEVSideDisconnect", True)):
            if not self._settings.flag("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", True) and not gone:
                self.held_by = token  # E09.FR.03
            self.end_authorization("cable")
        else:
            self._happened("EVCommunicationLost", cause="cable")
        self._spent = False  # of the car that is gone
        self._changed()

    def _wait_for_cable(self, now: float) -> None:
        """EVConnectionTimeOut: authorized, and no car comes (E03.FR.05, C01.FR.26, E10.FR.02)."""
        if self.auth is None or self._connected:
            return
        if self.active is not None and self.active.socket and self.active.plugged and self._apart_since is not None:
            return  # E10.FR.01: the cable in the socket waits for its owner
        since = self.auth.since if self._apart_since is None else max(self.auth.since, self._apart_since)
        if now - since >= self._settings.integer(TXCTRLR, "EVConnectionTimeOut", 60):
            self.end_authorization("timeout")

    # --- who may charge --------------------------------------------------------------------------------------------

    def authorize(
        self,
        token: IdToken,
        group: IdToken | None = None,
        *,
        remote_start_id: int | None = None,
        reservation_id: int | None = None,
        evse_ids: tuple[int, ...] = (),
        priority: int = 0,
    ) -> bool:
        """`token` may charge here from now on (E02.FR.01, F02.FR.21); False where somebody else does."""
        if not self.open_to(token):
            return False
        self.auth = Authorization(token, group, remote_start_id, reservation_id, evse_ids, self._clock.monotonic())
        self.auth.priority = priority
        self.lock_failed = False
        self.held_by = None
        if self.tx is not None:
            self.tx.token = token
            self.tx.stopped = None
            self.tx.suspended = False
            self.tx.invalid_from = None
        self._changed(needed=True)
        self._happened("Authorized" if remote_start_id is None else "RemoteStart")
        return True

    def open_to(self, token: IdToken) -> bool:
        """Whether `token` can be authorized here now: nobody else is, and the transaction was nobody else's."""
        first = None if self.tx is None else self.tx.token
        return self.free and (first is None or first.same(token))

    def take_over(self, other: "Evse") -> None:
        """The driver who was authorized before an EVSE was chosen charges here; `other` is free again."""
        self.auth, other.auth = other.auth, None
        if self.tx is None:
            self.tx, other.tx = other.tx, None
            self._points = other._points
        other._points = frozenset()
        other._state = "Idle"
        other._changed()
        self._changed(needed=True)
        if self.tx is not None and self._connected:
            self._happened("CablePluggedIn")

    def end_authorization(self, cause: str, token: IdToken | None = None) -> None:
        """Nobody may charge here any more, for `cause` (of `CAUSES`): no energy, and perhaps no transaction."""
        told = CAUSES[cause]
        had = self.auth is not None
        if cause == "deauthorized" and self.auth is not None and self.active is not None and self.active.has_lock:
            self.held_by = self.auth.token  # E05.FR.11
        self.auth = None
        self._spent = self._spent or (had and self._connected)
        self._wanted = False
        if had:
            self._changed()
        tx = self.tx
        if tx is not None and tx.ending is None:
            if had:
                tx.stopped = cause
            stops = bool(self._stop_points & _DEAUTHORIZED)
            if (
                told.ends_transaction
                or (cause == "deauthorized" and stops)
                or (cause in _ASKED and stops and not had)
            ):
                self._end(cause, token)  # E05.FR.10; a stop of what nobody authorized
                return
            if cause == "timeout" and "ParkingBayOccupancy" not in self._stop_points:  # E03.FR.05, F02.FR.07
                self._end(cause, token)
                return
        self._happened(told.trigger, cause=cause, token=token)

    def refused(self, transaction_id: str) -> None:
        """The CSMS does not accept the token of its transaction (E05)."""
        tx = self.tx
        if tx is None or tx.id != transaction_id or tx.ending is not None or self.auth is None:
            return
        if self._settings.flag(TXCTRLR, "StopTxOnInvalidId", True):
            self.end_authorization("deauthorized")
            return
        if tx.invalid_from is None:
            tx.invalid_from = (None if self.sampling is None else self.sampling.energy()) or 0.0
            self._changed()

    def unlock(self, seconds: float) -> None:
        """Let the plug go, for `seconds`, whoever holds it (F05)."""
        self.held_by = None
        self._unlock_until = self._clock.monotonic() + seconds
        self._changed()
        if self.tx is not None and self.tx.ending is None:
            self._happened("UnlockCommand")

    def _look_at_state(self, now: float) -> None:
        if self.known and self._update_state(now):
            cause = "energy by EV" if self._state == "SuspendedEV" else "energy by EVSE"
            if self.tx is not None and self.tx.suspended:
                cause = "energy refused"
            self._happened("ChargingStateChanged", cause=cause)
        tx = self.tx
        if tx is not None and tx.ending is None and self._state == "Charging":
            phases = self._meter.phases_used()
            if phases and phases != tx.phases and now - (self._charging_since or now) > PATIENCE:
                self._happened("ChargingStateChanged")  # E02.FR.18, E02.FR.19

    # --- the transaction -------------------------------------------------------------------------------------------

    @property
    def _start_points(self) -> frozenset[str]:
        return frozenset(self._settings.members(TXCTRLR, "TxStartPoint", ("PowerPathClosed",)))

    @property
    def _stop_points(self) -> frozenset[str]:
        return frozenset(self._settings.members(TXCTRLR, "TxStopPoint", ("EVConnected", "Authorized")))

    def _happened(self, trigger: str, *, cause: str | None = None, token: IdToken | None = None) -> None:
        """Something that the CSMS is told within a transaction, and that may start or stop one."""
        points, old = hold(self._facts()), self._points
        self._points = points
        tx = self.tx
        if tx is None:
            if cause is None or trigger == "ChargingStateChanged":
                if trigger != "ChargingStateChanged" or self._why is None:
                    self._why = trigger
                self._start_if_due()
            return
        if tx.ending is not None:
            return
        lost = old - points
        if lost & {"Authorized", "EVConnected"}:
            lost |= {"PowerPathClosed"}  # E06.FR.06, also where the lock had not closed it yet
            if tx.energised and "EnergyTransfer" not in old:
                lost |= {"EnergyTransfer"}  # it had stopped before: over a power cut, which ended nothing
        if cause is not None and self._stop_points & lost:
            self._end(cause, token)
        else:
            self._tell("Updated", trigger, token=token)

    def _start_if_due(self) -> None:
        """Start a transaction where a start point holds (E01), with the reason for which it came to hold."""
        if self.tx is not None:
            return
        points = hold(self._facts())
        self._points = points
        if self._why is None or not points & self._start_points:
            return
        if self._spent and self.auth is None and "EVConnected" in self._start_points and self._connected:
            return  # it has ended, and its car is still here
        trigger, self._why = self._why, None
        if points & self._start_points == {"EnergyTransfer"}:
            trigger = "ChargingStateChanged"
        self.tx = Transaction(self._new_id(), None if self.auth is None else self.auth.token)
        self._started_at = self._clock.monotonic()
        if self.id:
            self.sampling = Sampling(self._settings, self._meter, self._clock)
        self._changed(needed=True)
        self._tell("Started", trigger)

    def _end(self, cause: str, token: IdToken | None) -> None:
        """The transaction ends, as soon as the contactor is open and the meter has told what flowed."""
        tx = self.tx
        assert tx is not None
        if self.auth is not None:
            self.auth = None
            self._spent = self._connected
        self._wanted = False
        tx.ending, tx.ending_token, tx.ending_offline = cause, token, not self.online
        self._changed()
        self._ending_since = self._clock.monotonic()
        if self.active is None:
            self._opened = self._ending_since

    def _finish(self, now: float) -> None:
        tx = self.tx
        if tx is None or tx.ending is None:
            return
        register = self._meter.register()
        patience = now - self._ending_since >= LAST_READING
        known = register is not None and self._opened is not None and register.time >= self._opened
        if not patience and (self._opened is None or (tx.energised and not known)):
            return
        cause: Cause = CAUSES[tx.ending]
        first = CAUSES[tx.stopped].reason if tx.stopped is not None else cause.reason
        reason = cause.reason if cause.ends_transaction else first
        self._charged(now)
        self._update_state(now)
        self._tell("Ended", cause.trigger, token=tx.ending_token, reason=reason)
        self._points = hold(self._facts())
