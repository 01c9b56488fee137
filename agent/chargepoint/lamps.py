"""The status indicators: they show what each EVSE and connector is at, and the Device Model says what they show.

A lamp is never waited for by anything that charges. One that fails is a Problem of its `ChargingStatusIndicator`.
"""

import asyncio
import contextlib
from collections.abc import Callable

from agent.board.wiring import IndicatorWiring
from agent.chargepoint.hands import Buses
from agent.clock import Clock
from agent.evse.availability import Availability
from agent.evse.evse import Evse
from agent.evse.indicator import Sign, facts, fitting
from agent.evse.power_path import Protections
from agent.model import Problems, Value

_PARTS = ("red", "green", "blue")


class Lamp:
    """One status indicator."""

    BLINK = 0.5
    """Seconds on, and seconds off; also after which it is looked at whether the hardware forgot what it was told."""
    AGAIN = 5.0
    """Seconds between two tries where the hardware fails: each may cost others on the wire a time-out."""

    def __init__(
        self,
        wiring: IndicatorWiring,
        evse: Evse,
        availability: Availability,
        protections: Callable[[], Protections],
        awaits: Callable[[Evse], bool],
        problems: Problems,
    ) -> None:
        self._wiring, self._evse, self._availability = wiring, evse, availability
        self._protections, self._awaits, self._problems = protections, awaits, problems
        self._component = wiring.color.component
        self._sign: Sign | None = None
        self._move = asyncio.Event()
        self._done: dict[str, tuple[Value, int]] = {}
        self._failures = 0

    def look(self) -> None:
        """The EVSE has decided: show it at once where it is another sign than before."""
        evse, wiring = self._evse, self._wiring
        found = facts(
            evse,
            None if wiring.connector is None else evse.connectors[wiring.connector],
            self._availability.status(evse.id, wiring.connector),
            stopped=self._protections().cause is not None,
            awaited=self._awaits(evse),
        )
        now = fitting(found)
        if now is not self._sign:
            self._sign = now
            self._move.set()

    async def run(self, buses: Buses, clock: Clock) -> None:
        """Show it until cancelled."""
        lit, again = True, clock.monotonic()
        while True:
            sign = self._sign  # None: nobody has looked yet
            if sign is not None:
                by_hand = sign.blinks and "blink" not in self._wiring.outputs
                lit = not lit or self._move.is_set() or not by_hand
                self._move.clear()
            if sign is not None and clock.monotonic() >= again:
                failed = await self._show(sign, lit, buses)
                self._tell(sign, failed)
                if failed:
                    # The first failure may be a wire that is only being opened.
                    again = clock.monotonic() + (self.AGAIN if self._failures > 1 else self.BLINK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.BLINK):
                    await self._move.wait()

    def _tell(self, sign: Sign, failed: str) -> None:
        wiring = self._wiring
        self._failures = self._failures + 1 if failed else 0
        for variable, value in ((wiring.active, True), (wiring.color, sign.color)):
            told = None if failed else value
            if variable.actual.value != told:
                variable.update(told)
        if self._failures > 1:
            self._problems.open(self._component, "output", failed)
        elif not failed:
            self._problems.close(self._component, "output")

    async def _show(self, sign: Sign, lit: bool, buses: Buses) -> str:
        """Bring the outputs to it; why that failed, "" where it did not."""
        color = sign.color if lit else "000000"
        wanted: dict[str, Value] = {part: color[2 * n : 2 * n + 2] != "00" for n, part in enumerate(_PARTS)}
        wanted |= {"color": int(color, 16), "blink": sign.blinks}
        for part, output in self._wiring.outputs.items():
            value, generation = wanted[part], buses.generation(output)
            if self._done.get(part) == (value, generation):
                continue
            try:
                await buses.write(output, value)
            except buses.errors as error:
                self._done.pop(part, None)
                return f"{part} could not be set to {value}: {error}"
            self._done[part] = (value, generation)
        return ""
