"""The computer that the agent runs on, as Device Model variables: what ails it is told before anyone drives there.

Everything is read from the kernel's own files, below a root that tests replace. What the machine lacks is not in the
model. Knows the clock and the Device Model alone.
"""

from agent.computer.computer import POLL, Computer
from agent.computer.kernel import Kernel
from agent.computer.parts import MAX_AGE
from agent.computer.thresholds import Threshold

__all__ = ["MAX_AGE", "POLL", "Computer", "Kernel", "Threshold"]
