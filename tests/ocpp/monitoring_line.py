"""A line to a station that has monitors, on a store in memory, and the payloads the CSMS asks with."""

from collections.abc import Sequence
from typing import Any

from agent.model import Component, VariableName
from agent.monitoring import Fired, Kind, Monitor, MonitorType
from agent.monitors import MonitorDesk
from agent.ocpp.variables import Path
from tests.ocpp.parts import Line

FAN = {"component": {"name": "AirCoolingSystem"}, "variable": {"name": "FanSpeed"}}
PROBLEM = {"component": {"name": "AirCoolingSystem"}, "variable": {"name": "Problem"}}


def declared(id: int, component: Component, variable: str, type: MonitorType, value: float, severity: int) -> Monitor:
    return Monitor(id, component, VariableName(variable), type, value, severity, Kind.PRECONFIGURED_MONITOR)


HARD_WIRED = (declared(1, Component("RCD", evse=1), "Tripped", MonitorType.DELTA, 1, 0),)
PRECONFIGURED = (declared(2, Component("AirCoolingSystem"), "FanSpeed", MonitorType.UPPER_THRESHOLD, 900, 3),)


def data(type: str = "UpperThreshold", value: float = 400, severity: int = 5, **more: Any) -> dict[str, Any]:
    return {**FAN, "type": type, "value": value, "severity": severity, **more}


class Watched:
    """The line, and what fired; `line` is booted and silent."""

    def __init__(self, hard_wired: Sequence[Monitor] = HARD_WIRED, preconfigured: Sequence[Monitor] = PRECONFIGURED):
        self.line = Line().open()
        self.line.boot()
        self.line.settle()
        self.home = self.line.home
        self.fired: list[Fired] = []
        self.desk = MonitorDesk(
            self.home.model,
            self.home.clock,
            self.home.store,
            fire=self.fired.append,
            hard_wired=hard_wired,
            preconfigured=preconfigured,
        )
        self.desk.start()
        self.desk.online(True)
        self.home.monitoring = self.desk

    async def set(self, *elements: dict[str, Any]) -> list[dict[str, Any]]:
        reply = await self.line.ask("SetVariableMonitoring", {"setMonitoringData": list(elements)})
        found: list[dict[str, Any]] = reply["setMonitoringResult"]
        return found

    async def clear(self, *ids: int) -> list[dict[str, Any]]:
        reply = await self.line.ask("ClearVariableMonitoring", {"id": list(ids)})
        found: list[dict[str, Any]] = reply["clearMonitoringResult"]
        return found

    async def report(self, request_id: int = 7, **criteria: Any) -> list[dict[str, Any]]:
        """The items of a report that must be accepted; checks seqNo, tbc and requestId on the way."""
        reply = await self.line.ask("GetMonitoringReport", {"requestId": request_id, **criteria})
        assert reply == {"status": "Accepted"}
        sent = self.line.settle()
        assert {message[2] for message in sent} == {"NotifyMonitoringReport"}
        parts = [message[3] for message in sent]
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))
        assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]
        assert {part["requestId"] for part in parts} == {request_id}
        return [item for part in parts for item in part["monitor"]]

    async def ids(self, **criteria: Any) -> list[int]:
        return [one["id"] for item in await self.report(**criteria) for one in item["variableMonitoring"]]

    def value(self, path: Path) -> object:
        variable = self.home.settings.variable(path)
        assert variable is not None
        return variable.actual.value

    def read(self, value: float) -> None:
        self.home.model.find(Component("AirCoolingSystem"), VariableName("FanSpeed")).update(value)
