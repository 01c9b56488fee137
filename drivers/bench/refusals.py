"""Why the bench does not do what it was asked; each has its HTTP status."""


class Refusal(Exception):
    """The bench did nothing; the message says why. `status` is what the API answers."""

    status = 422


class NoSuchPlace(Refusal):
    """There is no such device, point or path."""

    status = 404


class Unusable(Refusal):
    """The request says something that cannot be."""

    status = 422


class InTheWay(Refusal):
    """Something in the world is in the way at the moment."""

    status = 409


class CannotStart(Exception):
    """The bench cannot be started like this; the message says what to change."""
