"""A station with a status indicator on its pins: what the lamps show of a charge, and what the CSMS reads of them."""

from pathlib import Path

import boards
from drivers.bench.bench import Bench
from tests.certification.parts import SETUP, Stand, until

LAMPS = """
  lamps:
    bus: pins
    kind: pins
    points: {red: {output: 21}, green: {output: 26}, blue: {output: 27}}
"""


async def test_the_lamps_follow_a_charge(tmp_path: Path) -> None:
    text = (boards.FOLDER / "bench-ac.yaml").read_text(encoding="utf-8")
    led = ", status_led: {red: lamps.red, green: lamps.green, blue: lamps.blue}"
    for old, new in (
        ("controller: charger-1-1", f"controller: charger-1-1{led}"),
        ("\ndevices:\n", f"\ndevices:{LAMPS}"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    board = tmp_path / "lamps.yaml"
    board.write_text(text, encoding="utf-8")
    bench = Bench(str(board), overrides=SETUP, agent_log=tmp_path / "agent.log")
    await bench.start()
    try:
        await bench.until_ready()
        stand = Stand(bench)
        await stand.station.wait_for("StatusNotification", lambda payload: payload["evseId"] == 2, timeout=30)
        await stand.begin()
        stand.evse = 1
        points = bench.world.devices["lamps"].points

        def lit() -> tuple[bool, ...]:
            return tuple(bool(points[name].value) for name in ("red", "green", "blue"))

        async def shown() -> list[str]:
            place = {"component": {"name": "ChargingStatusIndicator", "evse": {"id": 1, "connectorId": 1}}}
            asked = [{**place, "variable": {"name": name}} for name in ("Active", "Color")]
            answer = await stand.call("GetVariables", {"getVariableData": asked})
            return [one["attributeValue"] for one in answer["getVariableResult"]]

        await until(lambda: lit() == (False, True, False), "green")
        assert await shown() == ["true", "00FF00"]
        number = await stand.charge()
        await until(lambda: lit() == (False, False, True), "blue")
        assert await shown() == ["true", "0000FF"]
        await stand.swipe()
        await stand.ended(number)
        await until(lambda: lit() == (True, True, False), "yellow: the cable is still there")
        await stand.unplug()
        await until(lambda: lit() == (False, True, False), "green")
    finally:
        await bench.stop()
        print((tmp_path / "agent.log").read_text()[-4_000:])
