"""What the far end of a wire is to the rest of the bench."""

from typing import Any, Protocol


class FarEnd(Protocol):
    """The bench's end of one bus: it carries the world's values onto the wire, and the agent's writes back."""

    faults: frozenset[str]
    """The kinds of fault that this wire can show."""

    async def start(self) -> dict[str, Any]:
        """Open the wire; returns the settings of the bus that lead the agent to it."""
        ...

    def refresh(self) -> None:
        """Carry on: called ten times a second."""
        ...

    def touched(self, device: str) -> None:
        """Somebody changed `device` from outside: show it at once."""
        ...

    async def close(self) -> None:
        """Close the wire."""
        ...
