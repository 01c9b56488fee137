"""The ledger of one EVSE: its authorization and transaction, the events they make, and what must survive of them.

Pure. An event and what must be found again after it are taken together, to be kept in one commit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from agent.clock import Clock
from agent.evse.connector import Connector
from agent.evse.metering import Meter, Sampling
from agent.evse.records import IdToken, MeterValue, TransactionEvent
from agent.evse.settings import EvseSettings
from agent.evse.transaction import Authorization, Transaction


class Ledger(ABC):
    """What is told of one EVSE; 0 is no EVSE yet. `new_id` makes ids that are unique for ever (E01.FR.08)."""

    def __init__(
        self, number: int, *, settings: EvseSettings, meter: Meter, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self.id = number
        self.auth: Authorization | None = None
        self.tx: Transaction | None = None
        self.sampling: Sampling | None = None
        self.active: Connector | None = None
        """The connector in use: where the car is that charges or may charge."""
        self.online = False
        self._settings, self._meter, self._clock, self._new_id = settings, meter, clock, new_id
        self._state = "Idle"
        self._connected = False
        self._charging_since: float | None = None
        self._out: list[tuple[TransactionEvent, str]] = []
        self._version = self._saved = self._needed = 0

    @abstractmethod
    def to_json(self) -> str:
        """What must survive a power cut, "" for nothing."""

    # --- what is to be kept --------------------------------------------------------------------------------------

    def take(self) -> list[tuple[TransactionEvent, str]]:
        """The events since the last call in order, each with what `to_json` tells after it."""
        out, self._out = self._out, []
        return out

    @property
    def version(self) -> int:
        """Changes whenever `to_json` must be kept."""
        return self._version

    def _changed(self, *, needed: bool = False) -> None:
        self._version += 1
        if needed:
            self._needed = self._version

    # --- what is told --------------------------------------------------------------------------------------------

    def _tell(
        self,
        event_type: str,
        trigger: str,
        *,
        token: IdToken | None = None,
        reason: str | None = None,
        values: tuple[MeterValue, ...] = (),
    ) -> None:
        """Make the TransactionEvent of what happened."""
        tx, auth = self.tx, self.auth
        assert tx is not None
        now = self._clock.monotonic()
        charged = tx.charged + (now - self._charging_since if self._charging_since is not None else 0.0)
        told: dict[str, Any] = {}
        if token is not None:
            told["id_token"] = token
        if auth is not None and not auth.told:
            auth.told = True
            told["id_token"] = auth.token  # E03.FR.01
            told["reservation_id"] = auth.reservation_id  # E03.FR.03
            if auth.remote_start_id is not None:
                told["remote_start_id"] = auth.remote_start_id  # F01.FR.25, F02.FR.01
                trigger = "RemoteStart"  # F01.FR.19, F02.FR.21
            elif event_type == "Updated" and trigger != "CablePluggedIn":
                trigger = "Authorized"  # E02.FR.01
        if self.id and not tx.evse_told:
            told["evse"] = self.id
            if self.active is not None and self._connected:
                told["connector"] = self.active.connector
                tx.evse_told = True  # E01.FR.16
            elif event_type != "Started":
                del told["evse"]
        if self.active is not None and self._connected and "connector" in told:
            cable = self.active.cable_current
            told["cable_max_current"] = None if cable is None else int(cable)
        if self._state == "Charging":
            phases = self._meter.phases_used()
            if phases and phases != tx.phases:
                tx.phases = told["number_of_phases_used"] = phases
        values = self._begin_values(event_type) + values
        if event_type == "Ended" and self.sampling is not None:
            values += self.sampling.ended()
        event = TransactionEvent(
            event_type,
            self._clock.now(),
            trigger,
            tx.seq_no,
            tx.id,
            offline=not self.online or tx.ending_offline,
            charging_state=self._state,
            stopped_reason=reason,
            time_spent_charging=int(charged),
            meter_values=values,
            **told,
        )
        tx.seq_no += 1
        if event_type == "Ended":
            self.tx = self.sampling = None
        self._changed()
        self._out.append((event, self.to_json()))

    def _begin_values(self, event_type: str) -> tuple[MeterValue, ...]:
        """The values of the begin: in Started, or when charging starts where the EVSE came later (E01.FR.17)."""
        tx = self.tx
        assert tx is not None
        if tx.began or not self.id:
            return ()
        if event_type == "Updated" and self._state != "Charging":
            return ()
        if self.sampling is None:
            self.sampling = Sampling(self._settings, self._meter, self._clock)
        tx.began = True
        return self.sampling.started()

    def _sample(self) -> None:
        if self.tx is None or self.sampling is None or self.tx.ending is not None:
            return
        begin = self.sampling.start_wh
        due = self.sampling.step()
        if self.sampling.start_wh != begin:
            self._changed(needed=True)  # the begin was taken late: it must be found again
        for trigger, value in due:
            self._tell("Updated", trigger, values=(value,))

    def trigger(self) -> bool:
        """Tell of the transaction because the CSMS asks (F06.FR.07); False where there is none."""
        if self.tx is None or self.tx.ending is not None:
            return False
        value = None if self.sampling is None else self.sampling.trigger()
        self._tell("Updated", "Trigger", values=() if value is None else (value,))
        return True
