"""Messages of functional block A, security."""

from agent.ocpp.messages.base import DateTime, Omissible, Request, Response, Text50, Text255


class SecurityEventNotificationRequest(Request):
    """A04: a critical security event; `type` is a name of `agent.security.events`."""

    type: Text50
    timestamp: DateTime
    tech_info: Omissible[Text255] = None


class SecurityEventNotificationResponse(Response):
    """A04.FR.03."""
