"""The demo's act on limits: an EMS dims the station over Modbus, and then it dies."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from agent.demo.charging import PLACE, connector, transaction_event

if TYPE_CHECKING:
    from agent.demo.story import Story

EMS = "/bench/ems/modbus"
EMS_FAULT = "/bench/device/ems/fault"
SYSTEM = {"name": "ExternalControlSystem", "instance": "modbus"}

CARD = {"idToken": "04FFEEDDCCBBAA", "type": "ISO14443"}
"""Another one than before: who holds the same card to the reader twice within moments means it once."""

WATTS = 4200
"""What the EMS dims to. The board's failsafe limit is the same."""
AMPERES = 16
"""What the car draws when nobody limits it."""
DIMMED = WATTS / (3 * 230)
TOLERANCE = 0.35
"""A, for a grid that has not its nominal voltage."""
FAILSAFE_AFTER = 10
"""Seconds of silence after which the board's failsafe limit holds."""


async def limit(story: "Story") -> None:
    await _car(story)
    before = (await connector(story))["offered_a"]
    since, position, started = story.rig.mark(), await story.log_position(), time.monotonic()
    story.tell("do", f"bench: the EMS writes a limit of {WATTS} W into a Modbus register of the station")
    await story.rig.bench("POST", EMS, {"limit": WATTS, "unit": "W"})
    offered, at = await _offered(story, position, 2, below=AMPERES)
    story.check(abs(offered - DIMMED) < TOLERANCE, f"{WATTS} W are {DIMMED:.1f} A, found {offered:g} A")
    story.check(at - started <= 1, "the lower limit is at the plug within a second")
    story.tell("see", f"wire: {before:.1f} A → {offered:.1f} A offered, {1000 * (at - started):.0f} ms later")
    await _notice(story, since)
    await transaction_event(story, since, {"triggerReason": "ChargingRateChanged"})
    seen = await _drawn(story, offered)
    story.check(seen["power_w"] <= 1.01 * WATTS, "the car draws no more than the limit")
    story.tell("see", f"the car follows: {seen['current_a'][0]:.1f} A on three phases, {seen['power_w']:.0f} W")
    since, position = story.rig.mark(), await story.log_position()
    story.tell("do", "bench: the EMS releases the limit, and dies")
    await story.rig.bench("POST", EMS, {"release": True})
    await story.rig.bench("POST", EMS_FAULT, {"kind": "offline"})
    died = time.monotonic()
    try:
        await _released(story, since)
        offered, at = await _offered(story, position, 8, above=AMPERES - 1)
        story.tell("see", f"wire: {offered:.1f} A offered, {at - died:.1f} s later")
        await _fails_safe(story, died)
    finally:
        await story.rig.bench("POST", EMS_FAULT, {"kind": "none"})
    since, position = story.rig.mark(), await story.log_position()
    story.tell("do", "bench: the EMS is back")
    await _released(story, since)
    offered, _ = await _offered(story, position, 10, above=AMPERES - 1)
    story.tell("see", f"wire: {offered:.1f} A offered again, by itself")
    await story.rig.bench("POST", "/bench/evse/1/token", CARD)
    await transaction_event(story, since, {"eventType": "Ended"})
    await story.rig.bench("POST", f"{PLACE}/unplug", {"side": "station"})
    await story.status(1, 1, "Available", since, 10)


async def _car(story: "Story") -> None:
    since, position = story.rig.mark(), await story.log_position()
    story.tell("do", "bench: a car is plugged into connector 1/1, a card is held to the reader")
    await story.rig.bench("POST", f"{PLACE}/plug", {"ev": {"soc": 40, "max_current": AMPERES}})
    await story.rig.bench("POST", "/bench/evse/1/token", CARD)
    await transaction_event(story, since, {"chargingState": "Charging"})
    offered, _ = await _offered(story, position, 10, above=AMPERES - 1)
    seen = await _drawn(story, AMPERES)
    story.tell("see", f"wire: {offered:.1f} A offered, {seen['current_a'][0]:.1f} A flow, {seen['power_w']:.0f} W")


async def _fails_safe(story: "Story", died: float) -> None:
    """Nobody tells the station that its EMS is dead."""
    since, position = story.rig.mark(), await story.log_position()
    offered, at = await _offered(story, position, FAILSAFE_AFTER + 5, below=AMPERES - 1)
    silent = at - died
    story.check(abs(offered - DIMMED) < TOLERANCE, f"the failsafe limit is {DIMMED:.1f} A, found {offered:g} A")
    story.check(silent <= FAILSAFE_AFTER + 1, "the failsafe limit is at the plug in time")
    story.tell("see", f"wire: {offered:.1f} A, the failsafe limit, by itself after {silent:.1f} s of silence")
    await story.event(SYSTEM, "Problem", "true", since, 5)
    await _notice(story, since)


async def _offered(
    story: "Story", since: int, seconds: float, *, above: float = 0, below: float = 100
) -> tuple[float, float]:
    """The first offer to the car between these after log entry `since`: A, and its monotonic time."""

    deadline = time.monotonic() + seconds
    while True:
        for entry in (await story.rig.bench("GET", f"/bench/log?since={since}"))["entries"]:
            ours = entry["what"] == "offered" and (entry["evse"], entry["connector"]) == (1, 1)
            if ours and above < entry["value"] < below:
                return entry["value"], entry["t"]
        story.check(time.monotonic() < deadline, f"an offer between {above:g} and {below:g} A")
        await asyncio.sleep(0.1)


async def _drawn(story: "Story", amperes: float) -> dict[str, Any]:
    """The connector when the car draws what it is offered."""
    deadline = time.monotonic() + 8
    while True:
        seen = await connector(story)
        if abs(seen["current_a"][0] - amperes) < 0.05:
            return seen
        story.check(time.monotonic() < deadline, f"a current of {amperes:.1f} A, found {seen['current_a'][0]:.1f} A")
        await asyncio.sleep(0.1)


async def _notice(story: "Story", since: int) -> None:
    def of_the_ems(payload: dict[str, Any]) -> bool:
        return bool(payload["chargingLimit"]["chargingLimitSource"] == "EMS")

    payload = await story.rig.heard("NotifyChargingLimit", of_the_ems, since, 5)
    found = [
        f"{period['limit']:g} {schedule['chargingRateUnit']}"
        for schedule in payload.get("chargingSchedule", ())
        for period in schedule["chargingSchedulePeriod"]
    ]
    story.tell("see", " ".join(["CSMS ← NotifyChargingLimit: EMS", *found]))


async def _released(story: "Story", since: int) -> None:
    await story.rig.heard("ClearedChargingLimit", lambda p: p["chargingLimitSource"] == "EMS", since, 5)
    story.tell("see", "CSMS ← ClearedChargingLimit: EMS")
