"""Functional block G: StatusNotification of connectors (G01), Heartbeat (G02) and ChangeAvailability (G03, G04)."""

import logging
from collections.abc import Callable
from datetime import datetime

from agent.ocpp.calls import Call, Result, Unanswered
from agent.ocpp.handling import Context, Reply, status_info
from agent.ocpp.host import Host
from agent.ocpp.messages.availability import (
    ChangeAvailabilityRequest,
    ChangeAvailabilityResponse,
    ConnectorStatus,
    HeartbeatRequest,
    HeartbeatResponse,
    StatusNotificationRequest,
)
from agent.ocpp.rpc import CallFailed, CallReceived, CallResult
from agent.ocpp.variables import HEARTBEAT_INTERVAL, Settings

log = logging.getLogger(__name__)

DAY = 86_400.0

Place = tuple[int, int]
"""(EVSE id, connector id)."""


class Statuses:
    """Which connectors' status the CSMS is still to be told. Not a queue: what is sent is the status then."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: dict[Place, datetime | None] = {}
        self._seen: dict[Place, str] = {}

    def look(self) -> None:
        """Some connector has changed just now: whichever differs from the last look is to be told."""
        for state in self._host.connectors():
            place = (state.evse, state.connector)
            if self._seen.get(place) != state.status:
                self._seen[place] = state.status
                self._waiting[place] = self._host.clock.now()

    def tell_all(self) -> None:
        """Every connector's status is to be told (B01.FR.05, B04.FR.01)."""
        self.look()
        for place in self._seen:
            self._waiting.setdefault(place, None)

    def next_call(self, _now: float) -> Call | None:
        while self._waiting and self._host.heard:
            place = next(iter(self._waiting))
            since = self._waiting.pop(place)
            call = self.call(place, since)
            if call is not None:
                return call
        return None

    def due(self) -> float | None:
        return 0.0 if self._waiting and self._host.heard else None

    def call(self, place: Place, since: datetime | None = None) -> Call | None:
        """The StatusNotification of one connector as it is now; None where there is no such connector."""
        request = self._request(place, since)
        if request is None:
            return None

        def done(result: Result, _now: float) -> None:
            if isinstance(result, Unanswered):
                self._waiting.setdefault(place, since)
            elif isinstance(result, CallFailed):
                log.warning("StatusNotification of %d/%d: %s %s", *place, result.code, result.description)

        return Call.of(request, done)

    def _request(self, place: Place, since: datetime | None) -> StatusNotificationRequest | None:
        for state in self._host.connectors():
            if (state.evse, state.connector) == place:
                return StatusNotificationRequest(
                    timestamp=since or self._host.clock.now(),
                    connector_status=ConnectorStatus(state.status),
                    evse_id=state.evse,
                    connector_id=state.connector,
                )
        return None


class Heartbeats:
    """Sends a Heartbeat after HeartbeatInterval without any other message (G02.FR.02, G02.FR.05).

    However busy the line, one is sent each day, for the clock's sake (G02.FR.07).
    """

    def __init__(self, settings: Settings, take_time: Callable[[datetime], None], now: float) -> None:
        self._settings = settings
        self._take_time = take_time
        self._last_sent = now
        self._last_beat = now
        self._soon = False

    def sent(self, now: float) -> None:
        """A message was sent to the CSMS at `now`."""
        self._last_sent = now

    def soon(self) -> None:
        """Send one as soon as the line is free: after an offline period (B04, step 5)."""
        self._soon = True

    def next_call(self, now: float) -> Call | None:
        return self.call(now) if now >= self.due() else None

    def due(self) -> float:
        if self._soon:
            return 0.0
        return min(self._last_sent + self._settings.integer(HEARTBEAT_INTERVAL), self._last_beat + DAY)

    def call(self, now: float) -> Call:
        """A Heartbeat, whenever."""
        self._soon = False
        self._last_beat = now
        return Call.of(HeartbeatRequest(), self._done)

    def _done(self, result: Result, _now: float) -> None:
        if isinstance(result, CallResult) and isinstance(result.response, HeartbeatResponse):
            self._take_time(result.response.current_time)


async def change_availability(context: Context, call: CallReceived) -> Reply:
    """G03, G04."""
    request = call.request
    assert isinstance(request, ChangeAvailabilityRequest)
    charging = context.host.charging
    if charging is None:
        return Reply(ChangeAvailabilityResponse(status="Rejected"))
    evse = None if request.evse is None else request.evse.id
    connector = None if request.evse is None else request.evse.connector_id
    places = {(state.evse, state.connector) for state in context.host.connectors()}
    if evse is not None and not any(place[0] == evse for place in places):
        return Reply(ChangeAvailabilityResponse(status="Rejected", status_info=status_info("UnknownEvse")))
    if connector is not None and (evse, connector) not in places:
        return Reply(ChangeAvailabilityResponse(status="Rejected", status_info=status_info("UnknownConnectorId")))
    status = await charging.change_availability(evse, connector, request.operational_status == "Operative")
    return Reply(ChangeAvailabilityResponse(status=status))  # type: ignore[arg-type]
