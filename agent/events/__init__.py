"""Events: what the CSMS is told of variables, by monitors and by the station itself (N07, N08)."""

from agent.events.events import BLOCK, Events
from agent.events.trips import Trips

__all__ = ["BLOCK", "Events", "Trips"]
