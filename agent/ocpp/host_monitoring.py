"""What the OCPP side needs of the station for block N's monitors (N02 to N06)."""

from collections.abc import Iterator, Sequence
from typing import Protocol, cast

from agent.monitoring import Monitor, MonitorRequest, SetResult
from agent.monitoring.places import Place


class Monitoring(Protocol):
    """The station's monitors; `agent.monitors.MonitorDesk` is one. What it answers with Accepted is on disk."""

    def online(self, online: bool) -> None:
        """The CSMS can be told, or no more (N07.FR.04)."""
        ...

    async def set(self, requests: Sequence[MonitorRequest]) -> list[SetResult]:
        """N04: one result per request, in order. Those that cannot be stored are Rejected, together."""
        ...

    async def clear(self, ids: Sequence[int]) -> list[str]:
        """N06: Accepted, NotFound or Rejected per id, in order."""
        ...

    async def set_base(self, base: str) -> bool:
        """N03: `base` is of MonitoringBaseEnumType. Raises StoreError."""
        ...

    async def set_level(self, level: int) -> bool:
        """N05: False for a severity that is none. Raises StoreError."""
        ...

    def report(self, criteria: frozenset[str], places: Sequence[Place]) -> Iterator[Monitor]:
        """N02: the active monitors that match, those of one variable in a row; nothing given stands for all."""
        ...


def monitoring_of(host: object) -> Monitoring | None:
    """The host's `monitoring`; None for one that has none."""
    return cast("Monitoring | None", getattr(host, "monitoring", None))
