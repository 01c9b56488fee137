"""What blocks B, F, G, H and J need beyond `parts`: places, reservations, availability, meter values and reports."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.bench.csms import Payload
from tests.certification.parts import CARD, PATIENCE, Stand, token

CONNECTORS = ((1, 1), (1, 2), (2, 1))
"""(EVSE id, connector id) of all connectors of bench-ac."""

Place = tuple[int | None, int | None]
"""(EVSE id, connector id): (None, None) is the station, (1, None) an EVSE."""

STATION: Place = (None, None)


# --- status ------------------------------------------------------------------------------------------------------


async def statuses(
    stand: Stand, status: str, places: Iterable[tuple[int, int]] = CONNECTORS, since: int | None = None
) -> None:
    """Wait until the CSMS has heard of `status` at each of these connectors."""
    for evse, connector in places:
        await stand.status(status, evse, connector, since=since)


def told(stand: Stand, since: int) -> list[tuple[int, int, str]]:
    """What the CSMS heard of connectors after message `since`: EVSE id, connector id and status, in order."""
    payloads = [message.payload for message in stand.station.calls("StatusNotification", since)]
    return [(one["evseId"], one["connectorId"], one["connectorStatus"]) for one in payloads]


async def settled(stand: Stand) -> None:
    """All that the station had to say until now has been said: what it was asked for last has come."""
    since = stand.station.last
    assert (await stand.call("TriggerMessage", {"requestedMessage": "Heartbeat"}))["status"] == "Accepted"
    await stand.station.wait_for("Heartbeat", since=since, timeout=PATIENCE)


# --- G: availability ---------------------------------------------------------------------------------------------


def covered(place: Place) -> list[tuple[int, int]]:
    """The connectors of a place."""
    return [one for one in CONNECTORS if place[0] in (None, one[0]) and place[1] in (None, one[1])]


async def change(stand: Stand, place: Place, status: str) -> str:
    """ChangeAvailability of a place; the response's status."""
    request: dict[str, Any] = {"operationalStatus": status}
    if place[0] is not None:
        request["evse"] = {"id": place[0]} | ({} if place[1] is None else {"connectorId": place[1]})
    return str((await stand.call("ChangeAvailability", request))["status"])


async def make_operative(stand: Stand) -> None:
    """Whatever a test has switched off."""
    for place in (STATION, (1, None), (2, None), *CONNECTORS):
        await change(stand, place, "Operative")


# --- F: remote control -------------------------------------------------------------------------------------------


async def remote_start(stand: Stand, number: str = CARD) -> Payload:
    """RequestStartTransaction at the test's EVSE; its response. The remoteStartId is 4711."""
    request = {"idToken": token(number), "remoteStartId": 4711, "evseId": stand.evse}
    return await stand.call("RequestStartTransaction", request)


async def trigger(stand: Stand, message: str, evse: Mapping[str, int] | None = None) -> str:
    request: dict[str, Any] = {"requestedMessage": message}
    return str((await stand.call("TriggerMessage", request if evse is None else {**request, "evse": evse}))["status"])


# --- H: reservation ----------------------------------------------------------------------------------------------


async def reserve(
    stand: Stand,
    number: str = CARD,
    evse: int | None = 1,
    *,
    reservation: int = 1,
    seconds: float = 600,
    group: str | None = None,
    kind: str | None = None,
) -> str:
    """ReserveNow; the response's status."""
    expiry = datetime.now(UTC) + timedelta(seconds=seconds)
    request: dict[str, Any] = {
        "id": reservation,
        "expiryDateTime": expiry.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "idToken": token(number),
    }
    if evse is not None:
        request["evseId"] = evse
    if group is not None:
        request["groupIdToken"] = {"idToken": group, "type": "Central"}
    if kind is not None:
        request["connectorType"] = kind
    return str((await stand.call("ReserveNow", request))["status"])


async def cancel(stand: Stand, reservation: int = 1) -> str:
    return str((await stand.call("CancelReservation", {"reservationId": reservation}))["status"])


async def reservation_update(stand: Stand, reservation: int, status: str, since: int | None = None) -> Payload:
    return await stand.station.wait_for(
        "ReservationStatusUpdate",
        lambda payload: payload == {"reservationId": reservation, "reservationUpdateStatus": status},
        stand.since if since is None else since,
        PATIENCE,
    )


async def fault(stand: Stand, evse: int, there: bool = True) -> None:
    """The RCD of an EVSE trips, or is sound again; the CSMS hears of it."""
    since = stand.station.last
    if there:
        stand.bench.world.hold(f"rcd-{evse}", "tripped", True)
    else:
        stand.bench.world.release(f"rcd-{evse}", "tripped")
    connectors = [one for one in CONNECTORS if one[0] == evse]
    await statuses(stand, "Faulted" if there else "Available", connectors, since)


# --- J: meter values ---------------------------------------------------------------------------------------------


def samples(values: Iterable[Mapping[str, Any]], context: str | None = None) -> list[dict[str, Any]]:
    """The sampledValues of some meterValues, of one context or of all; none may be at the car (erratum 6.2.58)."""
    found = [one for value in values for one in value["sampledValue"]]
    assert not [one for one in found if one.get("location") == "EV" and one.get("measurand") != "SoC"]
    return [one for one in found if context in (None, one.get("context", "Sample.Periodic"))]


def measurands(values: Iterable[Mapping[str, Any]], context: str | None = None) -> set[str]:
    return {one.get("measurand", "Energy.Active.Import.Register") for one in samples(values, context)}


# --- B: the Device Model -----------------------------------------------------------------------------------------


async def report(stand: Stand, action: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ask for a report, and put its parts together; seqNo must count from 0 (B07.FR.10)."""
    since = stand.station.last
    number = since + 1
    answer = await stand.call(action, {"requestId": number, **request})
    assert answer["status"] == "Accepted", answer
    await stand.station.wait_for(
        "NotifyReport", lambda payload: payload["requestId"] == number and not payload.get("tbc"), since, 30
    )
    parts = [one.payload for one in stand.station.calls("NotifyReport", since)]
    assert [one["seqNo"] for one in parts] == list(range(len(parts)))
    return [data for one in parts for data in one.get("reportData", [])]


def named(component: str, variable: str, evse: int | None = None, instance: str | None = None) -> dict[str, Any]:
    """A component and a variable, as GetVariables and its neighbours name them."""
    place: dict[str, Any] = {"name": component} | ({} if evse is None else {"evse": {"id": evse}})
    return {
        "component": place,
        "variable": {"name": variable} | ({} if instance is None else {"instance": instance}),
    }


# --- drivers at more than one place ------------------------------------------------------------------------------


async def charge_at(stand: Stand, evse: int, number: str, connector: int = 1) -> str:
    """Cable first, then the card at that EVSE's reader, until energy flows; the transaction's id."""
    since = stand.station.last
    await stand.plug(evse, connector)
    await stand.swipe(number, reader=evse)
    place = {"id": evse, "connectorId": connector}
    first = await stand.event(since=since, eventType="Started", idToken=token(number), evse=place)
    transaction = str(first["transactionInfo"]["transactionId"])
    await stand.event(since=since, chargingState="Charging", transactionId=transaction)
    return transaction
