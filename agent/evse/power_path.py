"""The power path of one EVSE: what the hardware is to do, and the state of the charge that follows.

Pure. Energy is offered only where somebody may charge, everything that safety hangs on is known and sound, the plug
is locked, and what it is charged to is on disk.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.clock import Clock
from agent.evse.connector import WITH_CAR, Connector
from agent.evse.ledger import Ledger
from agent.evse.metering import Meter
from agent.evse.power import MIN_CURRENT, Offer
from agent.evse.records import IdToken
from agent.evse.session_tables import charging_state
from agent.evse.settings import EvseSettings

FLOWING = 0.5
"""A above which energy flows."""

PATIENCE = 5.0
"""Seconds that a car may take to draw what it is offered, before it counts as suspended by itself."""

CALM = 2.0
"""Seconds without current after which a car has stopped drawing: shorter ones are its own."""

GRACE = 2.0
"""Seconds that a car has to stop drawing before the contactor opens, where nothing is wrong."""

HAND_OVER = 0.2
"""Seconds that a command may take to the contactor: feedback from before that may be older than the command."""

METER_PATIENCE = 4.0
"""Seconds that a transaction waits for the meter's first register before energy flows all the same."""

TXCTRLR = "TxCtrlr"


@dataclass(frozen=True, slots=True)
class Protections:
    """What stands against energy on an EVSE: `cause` (of `CAUSES`) ends a transaction, `unknown` only pauses it."""

    cause: str | None = None
    unknown: bool = False


class PowerPath(Ledger):
    """The ledger, and the way of the energy."""

    def __init__(
        self,
        number: int,
        connectors: Mapping[int, Connector],
        *,
        settings: EvseSettings,
        meter: Meter,
        clock: Clock,
        new_id: Callable[[], str],
        limit: Callable[[Connector], float],
        charge_without_storage: bool,
    ) -> None:
        super().__init__(number, settings=settings, meter=meter, clock=clock, new_id=new_id)
        self.connectors = dict(connectors)
        self._limit = limit
        self.held_by: IdToken | None = None
        """Whose cable stays locked, until that token is presented (E05.FR.11, E09.FR.03)."""
        self.lock_failed = False
        self._offer = Offer()
        self._offered_since: float | None = None
        self._calm_since: float | None = None
        self._opened: float | None = None
        self._unlock_until = 0.0
        self._withdrawn: float | None = None
        self._started_at = 0.0
        self._disabled: float | None = 0.0
        """Since when the contactor has been told to be open; None while it may be closed."""
        self._storage_lost = False
        self._wanted = False
        self.ready = False
        """Whether everything but a limit says that a car may charge here."""
        self.cut: str | None = None
        """Why the car that is here gets no more energy: it did not obey a limit; until it is gone."""
        self._charge_without_storage = charge_without_storage

    @abstractmethod
    def end_authorization(self, cause: str, token: IdToken | None = None) -> None:
        """Nobody may charge here any more, for `cause` (of `CAUSES`): no energy, and perhaps no transaction."""

    def rate_changed(self) -> None:
        """What is offered changed by more than LimitChangeSignificance (K11.FR.04, K13.FR.03)."""
        if self.tx is not None and self.tx.ending is None:
            self._tell("Updated", "ChargingRateChanged")

    @property
    def known(self) -> bool:
        """Whether the hardware has been heard since the start: before that nothing is commanded."""
        return all(connector.pilot is not None for connector in self.connectors.values())

    def _may_charge_unsaved(self) -> bool:
        # A charge that runs, or is paused by a limit, goes on; a new one as the board declares.
        return self._storage_lost and (self._wanted or self.ready or self._charge_without_storage)

    def _command(self, now: float, protections: Protections) -> None:
        """Decide what each connector's hardware is to do now."""
        if not self.known:
            return
        for connector in self.connectors.values():
            if connector is not self.active:
                connector.command.enable, connector.command.offered, connector.command.lock = False, 0.0, False
        active = self.active
        if active is None:
            self._wanted = self.ready = False
            return
        command = active.command
        self._look_at_lock(active, now)
        saved = self._saved >= self._needed or self._may_charge_unsaved()
        self.ready = (
            self.auth is not None
            and self._connected
            and active.raw in WITH_CAR
            and active.fresh
            and active.fault is None
            and not protections.unknown
            and protections.cause is None
            and (not active.has_lock or active.locked is True)
            and (saved or self._wanted)
            and not self._suspended()
            and (self.tx is None or (self.tx.ending is None and self._begin_known(now)))
            and self.cut is None
            and not any(one.powered for one in self.connectors.values() if one is not active)
        )
        limit = min(self._limit(active), active.cable_current or 80.0) if self.ready else 0.0
        opens = active.closed is True and not (command.enable or self._wanted)  # or is welded: not now
        self._wanted = self.ready and limit >= MIN_CURRENT and not opens
        command.offered = self._offer.step(limit if self._wanted else 0.0, now)
        sound = active.fresh and active.fault is None and not protections.unknown and protections.cause is None
        command.enable = command.offered > 0 or (sound and command.enable and self._draws(active, now))
        if command.offered > 0:
            self._withdrawn = None
            self._offered_since = self._offered_since if self._offered_since is not None else now
        else:
            self._offered_since = None
        self._watch_contactor(active, now)

    def _watch_contactor(self, active: Connector, now: float) -> None:
        """When energy could flow last: the meter must be read after that, to tell all of it."""
        if active.command.enable:
            self._disabled = None
            if self.tx is not None and not self.tx.energised:
                self.tx.energised = True
                self._changed()
        elif self._disabled is None:
            self._disabled = now
        looked = now if active.closed_at is None else active.closed_at
        if self._disabled is None or active.powered:
            self._opened = None
        elif self._opened is None and looked >= self._disabled + HAND_OVER:
            self._opened = looked

    def _begin_known(self, now: float) -> bool:
        """Whether the register at the begin has been read, or the meter had its time to tell it."""
        known = self.sampling is None or self.sampling.start_wh is not None
        return known or self._wanted or now - self._started_at >= METER_PATIENCE

    def _draws(self, active: Connector, now: float) -> bool:
        """Whether a car that is no longer offered anything may still be left the time to stop by itself."""
        self._withdrawn = self._withdrawn if self._withdrawn is not None else now
        if not active.asks or now - self._withdrawn >= GRACE:
            return False
        currents = self._meter.currents()
        return currents is None or max(currents, default=0.0) > FLOWING

    def _suspended(self) -> bool:
        """Whether the token was refused and all that MaxEnergyOnInvalidId allows has flowed (E05.FR.02, FR.03)."""
        tx = self.tx
        if tx is None or tx.invalid_from is None:
            return False
        energy = 0.0 if self.sampling is None else self.sampling.energy() or 0.0
        tx.suspended = energy - tx.invalid_from >= self._settings.integer(TXCTRLR, "MaxEnergyOnInvalidId", 0)
        return tx.suspended

    def _look_at_lock(self, active: Connector, now: float) -> None:
        """A plug is held from the authorization to its end, and while energy can flow; G05: no lock, no charge."""
        holds = (self.auth is not None and active.plugged) or self.held_by is not None or active.powered
        active.command.lock = active.has_lock and holds and (now >= self._unlock_until or active.powered)
        if not active.has_lock:
            return
        if active.command.lock and active.retention.stuck and self.auth is not None and not self.lock_failed:
            self.lock_failed = True
            self.end_authorization("lock")
        elif active.locked and active.command.lock:
            self.lock_failed = False

    def _flowing(self, now: float) -> bool:
        active = self.active
        if active is None or not active.powered or not active.asks:
            self._calm_since = None
            return False
        currents = self._meter.currents()
        if currents is None or max(currents, default=0.0) > FLOWING:
            self._calm_since = None
            return True
        if self._calm_since is None:
            self._calm_since = now
        return self._state == "Charging" and now - self._calm_since < CALM

    def _update_state(self, now: float) -> bool:
        """Whether the charging state is another than before."""
        if self._connected and self.active is not None and self.active.connected and not self.active.still:
            return False  # the car may just be leaving: that is another event
        facts = set()
        if self._connected:
            facts.add("connected")
        if self.auth is not None:
            facts.add("authorized")
        offering = self.active is not None and self.active.command.offered > 0 and self._wanted
        if offering:
            facts.add("offering")
        if self._state in ("Idle", "EVConnected") and not offering and self._may_come(now):
            facts.add("offer awaited")
        if self._flowing(now):
            facts.add("flowing")
        if self._offered_since is not None and now - self._offered_since >= PATIENCE:
            facts.add("patience over")
        if self._state == "Charging" and "flowing" not in facts:
            facts.add("patience over")
        state = charging_state(frozenset(facts), self._state)
        if state == self._state:
            return False
        if state == "Charging":
            self._charging_since = now
        else:
            self._charged(now)
        self._state = state
        return True

    def _may_come(self, now: float) -> bool:
        """Whether energy is on its way: the lock moves, or the disk still writes."""
        active = self.active
        if active is None or self.auth is None or active.fault is not None or self._suspended():
            return False
        waits = (active.has_lock and active.locked is not True) or self._saved < self._needed
        waits = waits or self.tx is None or not self._begin_known(now)
        return waits and active.fresh

    def _charged(self, now: float) -> None:
        if self._charging_since is not None and self.tx is not None:
            self.tx.charged += now - self._charging_since
        self._charging_since = None
