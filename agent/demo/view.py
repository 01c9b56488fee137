"""The demo's live view: the wires on the left, the Device Model in the middle, OCPP messages on the right."""

import asyncio
import contextlib
import time
from collections import deque
from typing import Any, Protocol

from rich.console import Console, Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.demo.story import ACTS, Story

WATCHED: tuple[tuple[str, dict[str, Any], dict[str, Any], str], ...] = (
    ("AirCoolingSystem.FanSpeed", {"name": "AirCoolingSystem"}, {"name": "FanSpeed"}, "RPM"),
    ("  Target", {"name": "AirCoolingSystem"}, {"name": "FanSpeed", "kind": "Target"}, "RPM"),
    ("  Problem", {"name": "AirCoolingSystem"}, {"name": "Problem"}, ""),
    ("RCD@1.Tripped", {"name": "RCD", "evse": {"id": 1}}, {"name": "Tripped"}, ""),
    ("FiscalMetering@1.ACVoltage[L1]", {"name": "FiscalMetering", "evse": {"id": 1}},
     {"name": "ACVoltage", "instance": "L1"}, "V"),
    ("FiscalMetering@1.Power", {"name": "FiscalMetering", "evse": {"id": 1}}, {"name": "Power"}, "W"),
    ("FiscalMetering@1.Problem", {"name": "FiscalMetering", "evse": {"id": 1}}, {"name": "Problem"}, ""),
    ("ElectricalFeed.Power", {"name": "ElectricalFeed"}, {"name": "Power"}, "W"),
    ("TemperatureSensor.Temperature", {"name": "TemperatureSensor"}, {"name": "Temperature"}, "Celsius"),
    ("Connector@1,1.AvailabilityState", {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
     {"name": "AvailabilityState"}, ""),
    ("SmartChargingCtrlr@1.EffectiveLimit", {"name": "SmartChargingCtrlr", "evse": {"id": 1}},
     {"name": "EffectiveLimit"}, "A"),
    ("  LimitSource", {"name": "SmartChargingCtrlr", "evse": {"id": 1}}, {"name": "LimitSource"}, ""),
)  # fmt: skip
"""What the middle shows: label, component, variable, unit."""

WIRES = (
    ("fan", "RTU", ("rpm", "duty")),
    ("rcd-1", "pins", ("tripped",)),
    ("rcd-2", "pins", ("tripped",)),
    ("meter-1", "TCP", ("voltage_l1", "power")),
    ("meter-2", "RTU", ("voltage_l1", "power")),
    ("grid-meter", "P1", ("power_import",)),
    ("cabinet", "sysfs", ("temperature",)),
    ("charger-1-1", "TCP", ("offered_current",)),
    ("ems", "TCP", ("limit_w",)),
)

COLOURS = {"act": "bold cyan", "do": "yellow", "see": "green", "fail": "bold red"}


class ViewRig(Protocol):
    """What the view reads: the bench's world, and the station at the CSMS."""

    async def bench(self, method: str, path: str) -> dict[str, Any]: ...

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]: ...

    @property
    def station(self) -> Any: ...


class LiveView:
    """Shows the story while it plays."""

    def __init__(self, rig: Any) -> None:
        self._rig = rig
        self._story: deque[Text] = deque(maxlen=200)
        self._act = 0
        self._world: dict[str, Any] = {}
        self._values: dict[str, str] = {}
        self._asked = time.monotonic()

    def tell(self, kind: str, text: str) -> None:
        """Take a line of the story."""
        if kind == "act":
            self._act += 1
        mark = {"act": "▶", "do": "  ·", "see": "  ✔", "fail": "  ✘"}[kind]
        self._story.append(Text(f"{mark} {text}", style=COLOURS[kind]))

    async def show(self, story: Story) -> bool:
        """Play `story` under the eyes of whoever watches; True when everything promised was seen."""
        console = Console()
        with Live(self._draw(console), console=console, screen=True, refresh_per_second=8) as live:
            playing = asyncio.create_task(story.play())
            watching = asyncio.create_task(self._watch())
            try:
                while not playing.done():
                    await asyncio.wait([playing], timeout=0.15)
                    live.update(self._draw(console))
                await asyncio.sleep(1.5)
                live.update(self._draw(console))
                return playing.result()
            finally:
                for task in (playing, watching):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def _watch(self) -> None:
        """Look at the wires through the bench, and at the model as the CSMS can see it."""
        question = [
            {
                "component": component,
                "variable": {key: value for key, value in variable.items() if key != "kind"},
                "attributeType": variable.get("kind", "Actual"),
            }
            for _, component, variable, _ in WATCHED
        ]
        while True:
            await asyncio.sleep(0.5)
            try:
                self._world = await self._rig.bench("GET", "/bench")
                async with asyncio.timeout(2):
                    answer = await self._rig.call("GetVariables", {"getVariableData": question})
            except (OSError, TimeoutError):
                self._values = {}
                continue
            results = answer["getVariableResult"]
            self._values = {
                label: result.get("attributeValue", "") for (label, *_), result in zip(WATCHED, results, strict=True)
            }

    # --- drawing ---------------------------------------------------------------------------------------------------

    def _draw(self, console: Console) -> Layout:
        height = console.size.height
        layout = Layout()
        layout.split_column(Layout(name="top", ratio=3), Layout(name="story", ratio=2))
        wires = Layout(Panel(self._wires(), title="the wires"), ratio=5)
        model = Layout(Panel(self._model(), title="the Device Model, as the CSMS reads it"), ratio=5)
        messages = Layout(Panel(self._messages(height * 3 // 5 - 3), title="OCPP 2.0.1"), ratio=6)
        lines = list(self._story)[-max(3, height * 2 // 5 - 3) :]
        title = f"the story: act {self._act} of {len(ACTS)}"
        story = Layout(Panel(Group(*lines), title=title, title_align="left"))
        # A narrow terminal has no room for the messages: the story names those that count.
        layout["top"].split_row(wires, model, *([messages] if console.size.width >= 120 else []))
        layout["story"].update(story)
        return layout

    def _wires(self) -> Group:
        table = Table.grid(padding=(0, 1))
        devices = self._world.get("device", {})
        for name, wire, points in WIRES:
            device = devices.get(name, {})
            fault = device.get("fault", "none")
            for i, point in enumerate(points):
                value = device.get("point", {}).get(point, {})
                number = value.get("value")
                text = f"{number:.3f}".rstrip("0").rstrip(".") if isinstance(number, float) else str(number).lower()
                style = "red" if fault != "none" else "yellow" if value.get("held") else "white"
                row = (name if not i else "", wire if not i else "", point, "—" if number is None else text)
                table.add_row(*row, fault if fault != "none" and not i else "", style=style)
        state = f"power {self._world.get('power', '—')}   network {self._world.get('network', '—')}"
        return Group(table, Text(state, style="dim"))

    def _model(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for label, _, _, unit in WATCHED:
            value = self._values.get(label)
            bad = value == "true" or value == "Faulted"
            style = "dim" if value is None else "red" if bad or value == "" else "white"
            table.add_row(label, value if value else '""' if value == "" else "…", unit, style=style)
        return table

    def _messages(self, lines: int) -> Group:
        try:
            messages = self._rig.station.messages
        except OSError:
            return Group(Text("waiting for the station…", style="dim"))
        shown: list[Text] = []
        for message in reversed(messages):
            if message.action in ("GetVariables", None) or message.kind != "call":
                continue
            arrow, style = ("→ station", "yellow") if message.direction == "out" else ("→ CSMS   ", "green")
            shown.append(Text(f"{arrow} {message.action} {_gist(message.payload)}", style=style, no_wrap=True))
            if len(shown) >= lines:
                break
        return Group(*reversed(shown))


def _gist(payload: dict[str, Any]) -> str:
    """The part of a message that one wants to see."""
    if "eventData" in payload:
        told = [
            f"{e['component']['name']}.{e['variable']['name']} = {e['actualValue']}" for e in payload["eventData"]
        ]
        return ", ".join(told)
    if "setVariableData" in payload:
        data = payload["setVariableData"][0]
        return f"{data['variable']['name']} {data.get('attributeType', 'Actual')} = {data['attributeValue']}"
    if "connectorStatus" in payload:
        return f"{payload['evseId']}/{payload['connectorId']} {payload['connectorStatus']}"
    if "chargingLimit" in payload:
        watts = [
            period["limit"] for one in payload.get("chargingSchedule", ()) for period in one["chargingSchedulePeriod"]
        ]
        return " ".join([payload["chargingLimit"]["chargingLimitSource"], *map(str, watts)])
    if "chargingLimitSource" in payload:
        return str(payload["chargingLimitSource"])
    if "transactionInfo" in payload:
        return f"{payload['eventType']} {payload['triggerReason']}"
    if "reportData" in payload:
        return f"seqNo {payload['seqNo']}, {len(payload['reportData'])} variables"
    return str(payload.get("reason") or payload.get("reportBase") or "")
