"""A storm of events over a real line with a real disk: what must be kept comes, the line serves others meanwhile."""

import asyncio
from pathlib import Path

from agent.events import Events
from agent.model import Attribute, Characteristics, Component, DataType, Variable, VariableName
from agent.monitoring import MonitorRequest, Monitors, MonitorType
from agent.store import Store
from tests.ocpp.csms import Csms, station
from tests.ocpp.parts import Home, until

EVENTS = 1500
KEPT, LIGHT = 3, 8
"""Severities on both sides of OfflineQueuingSeverity."""


async def test_a_storm_over_a_line_that_breaks_loses_nothing_that_must_be_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    home = Home(store=store)
    places = {severity: Component("Meter", str(severity)) for severity in (KEPT, LIGHT)}
    variables = {
        severity: home.model.add(Variable(place, "Power", Characteristics(DataType.INTEGER), Attribute(0)))
        for severity, place in places.items()
    }
    async with Csms().running() as csms, station(home, csms.port) as link:
        loop = asyncio.get_running_loop()
        events = Events(
            home.model,
            home.clock,
            link.post,
            {},
            queue=link.queue,
            later=loop.call_later,
            online=lambda: link.connected and link.accepted,
            queuing=lambda: 5,
        )
        events.reserve()
        monitors = Monitors(home.model, home.clock, fire=events.fired, change=lambda _: None)
        monitors.restore({})
        monitors.queue_up_to(5)
        monitors.online(True)
        for severity, place in places.items():
            request = MonitorRequest(place, VariableName("Power"), MonitorType.DELTA, 1, severity)
            assert monitors.set(request).accepted
        await csms.until(lambda: link.accepted)

        def values(severity: int) -> list[int]:
            return [
                int(event["actualValue"])
                for payload in csms.calls("NotifyEvent")
                for event in payload["eventData"]
                if event["component"]["instance"] == str(severity)
            ]

        answers = 0
        for value in range(2, 2 * EVENTS, 2):
            for variable in variables.values():
                variable.update(value)
            if value % 20 == 0:
                await asyncio.sleep(0.01)
            if value == EVENTS:
                assert csms.connection is not None
                await csms.connection.close()
            if value % 600 == 0 and link.connected:
                got = await csms.ask("GetVariables", {"getVariableData": [HEARTBEAT]})
                answers += got["getVariableResult"][0]["attributeStatus"] == "Accepted"
        expected = list(range(2, 2 * EVENTS, 2))
        events.flush()
        await csms.until(lambda: values(KEPT)[-1:] == expected[-1:])
        await until(lambda: not len(link._outbox))
        # Each one in its order; what was under way when the line broke may come twice.
        assert list(dict.fromkeys(values(KEPT))) == expected
        light = values(LIGHT)
        assert light[0] == 2 and sorted(set(light)) == list(dict.fromkeys(light))
        assert len(csms.calls("NotifyEvent")) < 2 * EVENTS / 5
        assert answers and csms.opened == 2
        assert {event["state"] for event in events.recent()} <= {"sent", "dropped"}
    assert store.messages() == []
    store.close()


HEARTBEAT = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
