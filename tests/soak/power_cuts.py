"""Random power cuts while values are being set: no value that the CSMS was told is Accepted may ever be lost.

    python tests/soak/power_cuts.py --cuts 200 --seed 1

A CSMS sets the Targets of two fans, their MaxSet and a controller's variable, as fast as the station answers. At
a random moment the power is cut (SIGKILL) and comes back; then each attribute must hold what was last accepted, or
what was under way when the power went. Exits 1 when one holds anything else.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.demo.rig import PASSWORD, BenchRig, running_bench
from drivers.bench.csms import Csms

SETTINGS = ("OCPPCommCtrlr.RetryBackOffWaitMinimum=0", "OCPPCommCtrlr.RetryBackOffRandomRange=0")

PLACES: tuple[tuple[dict[str, Any], str, str, range], ...] = (
    ({"name": "AirCoolingSystem"}, "FanSpeed", "Target", range(200, 401)),
    ({"name": "AirCoolingSystem", "instance": "2"}, "FanSpeed", "Target", range(200, 401)),
    ({"name": "AirCoolingSystem"}, "FanSpeed", "MaxSet", range(401, 501)),
    ({"name": "OCPPCommCtrlr"}, "OfflineThreshold", "Actual", range(60, 1000)),
)


@dataclass
class Result:
    """What a run saw."""

    cuts: int = 0
    accepted: int = 0
    under_way: int = 0
    lost: int = 0


def _data(place: int, value: str | None = None) -> dict[str, Any]:
    component, variable, kind, _ = PLACES[place]
    data = {"component": component, "variable": {"name": variable}, "attributeType": kind}
    return data if value is None else {**data, "attributeValue": value}


class Setter:
    """Sets random values and remembers what was answered."""

    def __init__(self, rig: BenchRig, dice: random.Random, result: Result) -> None:
        self._rig, self._dice, self._result = rig, dice, result
        self.accepted: dict[int, str] = {}
        self.under_way: dict[int, str] = {}

    async def run(self) -> None:
        while True:
            place = self._dice.randrange(len(PLACES))
            value = str(self._dice.choice(PLACES[place][3]))
            self.under_way[place] = value
            answer = await self._rig.call("SetVariables", {"setVariableData": [_data(place, value)]})
            status = answer["setVariableResult"][0]["attributeStatus"]
            if status == "Accepted":
                self.accepted[place] = value
                self._result.accepted += 1
            del self.under_way[place]


async def power_cuts(cuts: int, seed: int, say: Any = print) -> Result:
    """Cut the power `cuts` times; the result's `lost` must be 0."""
    dice, result = random.Random(seed), Result()
    async with Csms(password=PASSWORD) as csms:
        with tempfile.TemporaryDirectory() as folder:
            async with running_bench(csms, Path(folder), SETTINGS) as rig:
                await rig.heard("BootNotification", lambda _: True, 0, 30)
                setter = Setter(rig, dice, result)
                for cut in range(1, cuts + 1):
                    setting = asyncio.create_task(setter.run())
                    await asyncio.sleep(dice.uniform(0.0, 0.6))
                    since = rig.mark()
                    await rig.bench("POST", "/bench/power", {"state": "off"})
                    setting.cancel()
                    await asyncio.gather(setting, return_exceptions=True)
                    await rig.bench("POST", "/bench/power", {"state": "on"})
                    await rig.heard("BootNotification", lambda _: True, since, 30)
                    await _compare(rig, setter, result, say)
                    result.cuts = cut
                    if cut % 20 == 0:
                        say(f"{cut} cuts: {result.accepted} values accepted, {result.lost} lost")
        for violation in csms.violations:
            say(f"schema: {violation}")
            result.lost += 1
    return result


async def _compare(rig: BenchRig, setter: Setter, result: Result, say: Any) -> None:
    places = list(range(len(PLACES)))
    answer = await rig.call("GetVariables", {"getVariableData": [_data(place) for place in places]})
    for place, one in zip(places, answer["getVariableResult"], strict=True):
        value = one.get("attributeValue", "")
        wanted = setter.accepted.get(place)
        if value == setter.under_way.get(place) and value != wanted:
            result.under_way += 1
            setter.accepted[place] = value
        elif wanted is not None and value != wanted:
            result.lost += 1
            say(f"LOST: {_data(place)} was accepted with {wanted}, is {value!r} after the power cut")
            setter.accepted[place] = value
    setter.under_way.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    result = asyncio.run(power_cuts(args.cuts, args.seed))
    print(
        f"{result.cuts} power cuts in {time.monotonic() - started:.0f} s: {result.accepted} values accepted, "
        f"{result.under_way} stored without an answer, {result.lost} lost"
    )
    return 1 if result.lost else 0


if __name__ == "__main__":
    sys.exit(main())
