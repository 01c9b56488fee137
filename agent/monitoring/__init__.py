"""Monitors on variables (part 1 §4.4, block N): which there are, when they trigger, what of them survives a restart.

Pure: knows the Device Model and the clock it is handed; what triggers goes to a callable.
"""

from agent.monitoring.book import BASES, Monitors
from agent.monitoring.monitors import (
    Change,
    Fired,
    Kind,
    Monitor,
    MonitorRequest,
    MonitorType,
    SetResult,
    Trigger,
)

__all__ = [
    "BASES",
    "Change",
    "Fired",
    "Kind",
    "Monitor",
    "MonitorRequest",
    "MonitorType",
    "Monitors",
    "SetResult",
    "Trigger",
]
