"""The demo's charging acts: a car is plugged in, a card is held to the reader, energy flows, the power is cut."""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.demo.story import Story

CARD = {"idToken": "04A1B2C3D4E5F6", "type": "ISO14443"}
PLACE = "/bench/evse/1/connector/1"


async def transaction_event(
    story: "Story", since: int, wanted: dict[str, str], seconds: float = 20
) -> dict[str, Any]:
    """Wait for the TransactionEvent whose fields are as `wanted`, those of transactionInfo included."""

    def fits(payload: dict[str, Any]) -> bool:
        fields = {**payload, **payload["transactionInfo"]}
        return all(fields.get(name) == value for name, value in wanted.items())

    payload = await story.rig.heard("TransactionEvent", fits, since, seconds)
    info = payload["transactionInfo"]
    more = f", {info['stoppedReason']}" if "stoppedReason" in info else ""
    story.tell(
        "see",
        f"CSMS ← TransactionEvent {payload['eventType']} #{payload['seqNo']} {payload['triggerReason']}:"
        f" {info.get('chargingState', '')}{more}",
    )
    return payload


def _register(payload: dict[str, Any], context: str) -> float:
    """The energy register in Wh that an event tells with `context`."""
    for value in payload.get("meterValue", ()):
        for sample in value["sampledValue"]:
            if sample.get("measurand") == "Energy.Active.Import.Register" and sample.get("context") == context:
                return float(sample["value"])
    return 0.0


async def connector(story: "Story") -> dict[str, Any]:
    world = await story.rig.bench("GET", "/bench")
    found: dict[str, Any] = world["evse"]["1"]["connector"]["1"]
    return found


async def charge(story: "Story") -> None:
    since = story.rig.mark()
    story.tell("do", "bench: a car is plugged into connector 1/1")
    await story.rig.bench("POST", f"{PLACE}/plug", {"ev": {"soc": 40, "max_current": 16}})
    await story.status(1, 1, "Occupied", since, 10)
    story.tell("do", "bench: a card is held to the reader of EVSE 1")
    await story.rig.bench("POST", "/bench/evse/1/token", CARD)
    await story.rig.heard("Authorize", lambda p: True, since, 10)
    story.tell("see", "CSMS ← Authorize: Accepted")
    started = await transaction_event(story, since, {"eventType": "Started"})
    await transaction_event(story, since, {"chargingState": "Charging"})
    await asyncio.sleep(2.0)
    seen = await connector(story)
    story.check(seen["contactor"] and seen["locked"], "the contactor is closed, and the plug is locked")
    story.tell(
        "see", f"wire: contactor closed, plug locked, {seen['offered_a']:g} A offered, {seen['power_w']:g} W flow"
    )
    story.tell("do", "bench: the power is cut for a moment, in the middle of the charge")
    since = story.rig.mark()
    await story.rig.bench("POST", "/bench/power", {"state": "cycle"})
    await story.rig.heard("BootNotification", lambda p: True, since, 30)
    await transaction_event(story, since, {"chargingState": "Charging"}, 30)
    story.tell("do", "bench: the same card again")
    await story.rig.bench("POST", "/bench/evse/1/token", CARD)
    ended = await transaction_event(story, since, {"eventType": "Ended"})
    numbers = {event["seqNo"] for event in story.rig.all_heard("TransactionEvent", 0)}
    story.check(numbers == set(range(ended["seqNo"] + 1)), "the seqNos are without a gap")
    energy = _register(ended, "Transaction.End") - _register(started, "Transaction.Begin")
    story.check(energy > 0, "the meter's registers of begin and end are there")
    story.tell("see", f"one transaction, {energy:g} Wh, complete over the power cut")
    await story.rig.bench("POST", f"{PLACE}/unplug", {"side": "station"})
    await story.status(1, 1, "Available", since, 10)
