"""What the OCPP side needs of the station for block N's logs and customer information."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.diagnostics.job import LogAnswer, LogRequest
from agent.evse.records import IdToken
from agent.ocpp.messages import Request


class Uploads(Protocol):
    """The upload of logs; `agent.diagnostics.job.LogUploads` is one."""

    @property
    def running(self) -> int | None:
        """The id of the request whose log is on its way."""
        ...

    async def request(self, request: LogRequest) -> LogAnswer:
        """N01."""
        ...


class Customers(Protocol):
    """What the station keeps of its customers; `agent.chargepoint.customer.Customers` is one."""

    def charging(self, token: IdToken) -> bool:
        """Whether a transaction or an authorization of `token` goes on."""
        ...

    async def known(self, token: IdToken) -> Sequence[Mapping[str, Any]]:
        """N09: all that is kept of `token`, as records that JSON can hold. Raises StoreFailed."""
        ...

    async def forget(self, token: IdToken) -> None:
        """N10: remove it, except from the local list. Raises StoreFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What a host lends as its `diagnostics`; `customers` is None for what charges no cars, `post` is durable."""

    uploads: Uploads
    customers: Customers | None
    post: Callable[[Request], None]


def diagnostics_of(host: object) -> Diagnostics | None:
    """The host's `diagnostics`; None for one that has none."""
    found = getattr(host, "diagnostics", None)
    return found if isinstance(found, Diagnostics) else None
