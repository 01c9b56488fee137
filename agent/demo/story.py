"""The demo's story: what happens on the wires, act by act, and what must be seen at the CSMS for it to count."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent.demo.charging import charge
from agent.demo.limits import limit

FAN = {"name": "AirCoolingSystem"}
SPEED = {"name": "FanSpeed"}
METER = {"name": "FiscalMetering", "evse": {"id": 1}}
RCD = {"name": "RCD", "evse": {"id": 1}}


class Rig(Protocol):
    """The bench and the CSMS, as the story needs them."""

    async def bench(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request to the bench's API; its answer."""
        ...

    async def call(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """One CALL from the CSMS to the station; the answer's payload."""
        ...

    async def heard(
        self, action: str, wanted: Callable[[dict[str, Any]], bool], since: int, seconds: float
    ) -> dict[str, Any]:
        """The first such message from the station after message number `since`, waiting up to `seconds` for it."""
        ...

    def mark(self) -> int:
        """The number of messages heard from the station so far."""
        ...

    def heard_at(self, action: str, since: int) -> float:
        """The monotonic time at which the first such message after number `since` came."""
        ...

    def all_heard(self, action: str, since: int) -> list[dict[str, Any]]:
        """The payloads of such messages from the station after message number `since`."""
        ...


class Failed(Exception):
    """Something that the story promises was not seen."""


Tell = Callable[[str, str], None]
"""Takes (kind, text): kind is act, do, see or fail."""


@dataclass(frozen=True)
class Act:
    """One part of the story."""

    title: str
    play: Callable[["Story"], Awaitable[None]]


class Story:
    """Plays the acts on `rig`, and tells each step to `tell`."""

    def __init__(self, rig: Rig, tell: Tell) -> None:
        self.rig = rig
        self.tell = tell
        self.seen: list[str] = []
        self.failed: list[str] = []

    async def play(self) -> bool:
        """Every act in turn; True when everything promised was seen."""
        for number, act in enumerate(ACTS, 1):
            self.tell("act", f"{number}/{len(ACTS)} {act.title}")
            try:
                await act.play(self)
                self.seen.append(act.title)
            except (Failed, TimeoutError, OSError) as problem:
                self.failed.append(act.title)
                self.tell("fail", f"not seen: {problem or 'nothing came in time'}")
        return not self.failed

    # --- the vocabulary ------------------------------------------------------------------------------------------

    async def set_target(self, value: str) -> dict[str, Any]:
        data = {"component": FAN, "variable": SPEED, "attributeType": "Target", "attributeValue": value}
        self.tell("do", f"CSMS → SetVariables AirCoolingSystem.FanSpeed Target = {value}")
        answer = await self.rig.call("SetVariables", {"setVariableData": [data]})
        result: dict[str, Any] = answer["setVariableResult"][0]
        info = result.get("attributeStatusInfo", {})
        detail = f", {info['reasonCode']}: {info.get('additionalInfo', '')}" if info else ""
        self.tell("see", f"CSMS ← {result['attributeStatus']}{detail}")
        return result

    async def get(self, component: Mapping[str, Any], variable: Mapping[str, Any], kind: str = "Actual") -> str:
        data = {"component": component, "variable": variable, "attributeType": kind}
        answer = await self.rig.call("GetVariables", {"getVariableData": [data]})
        return str(answer["getVariableResult"][0].get("attributeValue", ""))

    async def until(
        self,
        component: Mapping[str, Any],
        variable: Mapping[str, Any],
        wanted: Callable[[str], bool],
        seconds: float,
    ) -> str:
        """Read an Actual through the CSMS until it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            text = await self.get(component, variable)
            if wanted(text):
                return text
            if time.monotonic() > deadline:
                raise Failed(f"{component['name']}.{variable['name']} stayed at {text!r}")
            await asyncio.sleep(0.3)

    async def log_position(self) -> int:
        return int((await self.rig.bench("GET", "/bench/log"))["next"])

    async def writes(self, since: int, device: str, before: float = math.inf) -> list[float]:
        """What was written to `device` after log entry `since` and before that monotonic time."""
        entries = (await self.rig.bench("GET", f"/bench/log?since={since}"))["entries"]
        return [e["value"] for e in entries if e["what"] == "write" and e.get("device") == device and e["t"] < before]

    def check(self, condition: bool, promise: str) -> None:
        if not condition:
            raise Failed(promise)

    async def event(
        self, component: Mapping[str, Any], variable: str, value: str, since: int, seconds: float
    ) -> dict[str, Any]:
        """Wait for a NotifyEvent of that variable with that value; its first matching event."""

        def matching(payload: dict[str, Any]) -> list[dict[str, Any]]:
            return [
                event
                for event in payload["eventData"]
                if event["component"]["name"] == component["name"]
                and event["component"].get("evse", {}).get("id") == component.get("evse", {}).get("id")
                and event["variable"]["name"] == variable
                and event["actualValue"] == value
            ]

        payload = await self.rig.heard("NotifyEvent", lambda p: bool(matching(p)), since, seconds)
        event = matching(payload)[0]
        place = component["name"] + (f"@{component['evse']['id']}" if "evse" in component else "")
        why = f" ({event['techInfo']})" if event.get("techInfo") else ""
        self.tell("see", f"CSMS ← NotifyEvent {place}.{variable} = {value}{why}")
        return event

    async def status(self, evse: int, connector: int, wanted: str, since: int, seconds: float) -> None:
        await self.rig.heard(
            "StatusNotification",
            lambda p: (p["evseId"], p["connectorId"], p["connectorStatus"]) == (evse, connector, wanted),
            since,
            seconds,
        )
        self.tell("see", f"CSMS ← StatusNotification connector {evse}/{connector}: {wanted}")


async def boot(story: Story) -> None:
    payload = await story.rig.heard("BootNotification", lambda p: True, 0, 20)
    station = payload["chargingStation"]
    story.tell("see", f"CSMS ← BootNotification {payload['reason']}, {station['vendorName']} {station['model']}")
    for evse, connector in ((1, 1), (1, 2), (2, 1)):
        await story.status(evse, connector, "Available", 0, 10)


async def report(story: Story) -> None:
    await story.rig.bench("POST", "/bench/grid", {"import_w": 2400, "phases": [800, 800, 800]})
    since = story.rig.mark()
    story.tell("do", "CSMS → GetBaseReport FullInventory")
    await story.rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    await story.rig.heard("NotifyReport", lambda p: not p.get("tbc", False), since, 20)
    parts = story.rig.all_heard("NotifyReport", since)
    items = [item for part in parts for item in part.get("reportData", ())]
    components = {str(item["component"]) for item in items}
    story.check([part["seqNo"] for part in parts] == list(range(len(parts))), "seqNo counts from 0 without a gap")
    story.tell("see", f"CSMS ← {len(parts)} NotifyReport: {len(items)} variables of {len(components)} components")
    voltage = await story.until(METER, {"name": "ACVoltage", "instance": "L1"}, bool, 5)
    story.tell("see", f"FiscalMetering@1.ACVoltage[L1] = {voltage} V, read over Modbus TCP")
    power = await story.until({"name": "ElectricalFeed"}, {"name": "Power"}, lambda text: text not in ("", "0"), 5)
    story.tell("see", f"ElectricalFeed.Power = {power} W, from the smart meter's P1 telegrams")
    temperature = await story.until({"name": "TemperatureSensor"}, {"name": "Temperature"}, bool, 5)
    story.tell("see", f"TemperatureSensor.Temperature = {temperature} Celsius, from a kernel file")


async def follow(story: Story) -> None:
    position = await story.log_position()
    result = await story.set_target("450")
    story.check(result["attributeStatus"] == "Accepted", "a Target of 450 is accepted")
    writes = await story.writes(position, "fan")
    story.check(writes[:1] == [0.45], f"the fan controller got duty 0.45 before Accepted, found {writes}")
    story.tell("see", "wire: register `duty` of the fan controller = 0.45, acknowledged before Accepted was sent")
    rpm = await story.until(FAN, SPEED, lambda text: bool(text) and abs(float(text) - 450) <= 10, 20)
    story.tell("see", f"AirCoolingSystem.FanSpeed = {rpm} RPM: the fan follows")


async def refuse(story: Story) -> None:
    position = await story.log_position()
    result = await story.set_target("600")
    story.check(result["attributeStatus"] == "Rejected", "a Target above MaxSet 500 is rejected")
    story.check(result["attributeStatusInfo"]["reasonCode"] == "ValueTooHigh", "the reason is ValueTooHigh")
    story.check(await story.get(FAN, SPEED, "Target") == "450", "the old Target stays")
    story.check(await story.writes(position, "fan") == [], "nothing was written to the fan")
    story.tell("see", "wire: nothing was written; Target is still 450")


async def measured(story: Story) -> None:
    for rpm in (502, 1002):
        story.tell("do", f"bench: the fan is made to turn at {rpm} RPM, limits are 0..1000")
        await story.rig.bench("POST", "/bench/device/fan/point/rpm", {"value": rpm})
        text = await story.until(FAN, SPEED, lambda text, rpm=rpm: text == str(rpm), 5)  # type: ignore[misc]
        story.tell("see", f"AirCoolingSystem.FanSpeed = {text} RPM: what was measured is reported")
    await story.rig.bench("DELETE", "/bench/device/fan/point/rpm")


async def trip(story: Story) -> None:
    since = story.rig.mark()
    story.tell("do", "bench: RCD 1 trips")
    await story.rig.bench("POST", "/bench/device/rcd-1/point/tripped", {"value": True})
    await story.event(RCD, "Tripped", "true", since, 10)
    await story.status(1, 1, "Faulted", since, 10)
    since = story.rig.mark()
    story.tell("do", "bench: RCD 1 is switched on again")
    await story.rig.bench("DELETE", "/bench/device/rcd-1/point/tripped")
    await story.event(RCD, "Tripped", "false", since, 10)
    await story.status(1, 1, "Available", since, 10)


async def unplug_meter(story: Story) -> None:
    since = story.rig.mark()
    story.tell("do", "bench: the meter of EVSE 1 is cut off")
    await story.rig.bench("POST", "/bench/device/meter-1/fault", {"kind": "offline"})
    await story.event(METER, "Problem", "true", since, 15)
    story.check(await story.get(METER, {"name": "Power"}) == "", "a value that is too old is not reported as fresh")
    story.tell("see", 'FiscalMetering@1.Power = "": too old to be told')
    since = story.rig.mark()
    story.tell("do", "bench: the meter is back")
    await story.rig.bench("POST", "/bench/device/meter-1/fault", {"kind": "none"})
    await story.event(METER, "Problem", "false", since, 20)
    power = await story.until(METER, {"name": "Power"}, bool, 5)
    story.tell("see", f"FiscalMetering@1.Power = {power} W again, by itself")


async def cut_line(story: Story) -> None:
    since = story.rig.mark()
    story.tell("do", "bench: the line to the CSMS is cut; meanwhile RCD 1 trips and is switched on again")
    await story.rig.bench("POST", "/bench/network", {"state": "down"})
    await story.rig.bench("POST", "/bench/device/rcd-1/point/tripped", {"value": True})
    await asyncio.sleep(2.0)
    await story.rig.bench("DELETE", "/bench/device/rcd-1/point/tripped")
    await asyncio.sleep(1.0)
    story.check(not story.rig.all_heard("NotifyEvent", since), "nothing can come over a line that is cut")
    story.tell("see", "nothing at the CSMS: both events wait on disk")
    await story.rig.bench("POST", "/bench/network", {"state": "up"})
    story.tell("do", "bench: the line is up again")
    first = await story.event(RCD, "Tripped", "true", since, 30)
    second = await story.event(RCD, "Tripped", "false", since, 30)
    story.check(first["eventId"] < second["eventId"], "the events come in their order")


async def cut_power(story: Story) -> None:
    story.tell("do", "bench: the power is cut (the agent is killed) and comes back")
    await story.rig.bench("POST", "/bench/power", {"state": "off"})
    since = story.rig.mark()
    position = await story.log_position()
    await story.rig.bench("POST", "/bench/power", {"state": "on"})
    payload = await story.rig.heard("BootNotification", lambda p: True, since, 30)
    story.tell("see", f"CSMS ← BootNotification {payload['reason']}")
    before = await story.writes(position, "fan", story.rig.heard_at("BootNotification", since))
    story.check(before[:1] == [0.45], "the fan had its Target again before the boot")
    story.tell("see", "wire: `duty` = 0.45 was written before BootNotification")
    target = await story.get(FAN, SPEED, "Target")
    story.check(target == "450", "the Target is still there")
    story.tell("see", f"AirCoolingSystem.FanSpeed Target = {target}: nothing was lost")


ACTS = (
    Act("boot: the station registers, every connector tells its status", boot),
    Act("report: the whole Device Model, streamed", report),
    Act("a Target of 450 RPM is accepted and the fan follows", follow),
    Act("a Target of 600 RPM is refused before anything moves", refuse),
    Act("a measured value is never range-checked", measured),
    Act("an RCD trips and is switched on again", trip),
    Act("a meter is cut off: Problem, and back by itself", unplug_meter),
    Act("the line to the CSMS is cut: events wait, then arrive in order", cut_line),
    Act("the power is cut: the Target is still there", cut_power),
    Act("a car charges, and a power cut in the middle loses nothing", charge),
    Act("an EMS dims the charge to 4.2 kW, and then dies", limit),
)
