"""What the pilot says to the car (IEC 61851-1): duty and current, and how the offered current may change."""

MIN_CURRENT = 6.0
"""A below which IEC 61851-1 has no duty: less is no offer."""

RISE_SECONDS = 5.0
"""How long an offer stands still before it may rise; a car is told a lower one at once."""


def duty_of(current: float) -> float:
    """The duty cycle, 0..1, that offers `current` A per phase (IEC 61851-1:2017, table A.7); 1.0 offers nothing.

    Raises ValueError for a current that has no duty: below 6 A (other than 0) or above 80 A.
    """
    if current == 0:
        return 1.0
    if MIN_CURRENT <= current <= 51:
        return current / 60
    if 51 < current <= 80:
        # Between 51 and 52.5 A the two lines overlap: the car is offered the lower.
        return max(0.85, current / 250 + 0.64)
    raise ValueError(f"{current:g} A has no duty: expected 0 or 6 to 80 A")


def current_of(duty: float) -> float:
    """The A per phase that a car may draw at `duty` (IEC 61851-1:2017, table A.8); 0 where it may draw nothing.

    A duty of 3 to 7 % asks for digital communication, and offers nothing by itself.
    """
    if 0.08 <= duty < 0.1:
        return MIN_CURRENT
    if 0.1 <= duty <= 0.85:
        return duty * 60
    if 0.85 < duty <= 0.96:
        return (duty - 0.64) * 250
    if 0.96 < duty <= 0.97:
        return 80.0
    return 0.0


class Offer:
    """The current that is offered: never more than the limit, down at once, up only after it stood still.

    `step` is handed the limit (A per phase) at each moment and returns what to offer then.
    """

    def __init__(self) -> None:
        self.current = 0.0
        self._changed: float | None = None

    def step(self, limit: float, now: float) -> float:
        wanted = limit if limit >= MIN_CURRENT else 0.0
        if wanted < self.current or (wanted > self.current and self.due(limit) <= now):
            self.current = wanted
            self._changed = now
        return self.current

    def due(self, limit: float) -> float:
        """The monotonic time from which `limit` may be offered."""
        if limit <= self.current or self._changed is None:
            return 0.0
        return self._changed + RISE_SECONDS

    def adopt(self, current: float) -> None:
        """This is what the car is being offered, from before a restart."""
        self.current = current
