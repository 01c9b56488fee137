"""What `DEVICE.POINT` stands for in a board file, and how often it is read."""

from collections.abc import Mapping

from agent.board.document import Document, Place, suggest
from agent.board.spec import BoardFile
from drivers import PointInfo
from drivers.settings import (
    DeviceSettings,
    ModbusProfile,
    P1Profile,
    PilotUartSettings,
    ProfileDevice,
    SysfsSettings,
    points_of,
)

Profiles = Mapping[str, ModbusProfile | P1Profile]


class References:
    """The points that a board file may name; a name that stands for none becomes a mistake in the document."""

    def __init__(
        self, document: Document, file: BoardFile, devices: Mapping[str, DeviceSettings], profiles: Profiles
    ) -> None:
        self._document = document
        self._file = file
        self._devices = devices
        self._profiles = profiles
        written = document.data.get("devices")
        self._written = set(written) if isinstance(written, dict) else set()
        self._points = {
            name: points_of(device, profiles)
            for name, device in devices.items()
            if not isinstance(device, ProfileDevice) or fits(device, file, profiles)
        }

    def device(self, place: Place, name: str) -> Mapping[str, PointInfo] | None:
        """The points of that device; None where it has mistakes of its own, or is none, which is told."""
        if name not in self._points and name not in self._written:
            self._document.mistake(place, f"no device {name!r}", suggest(name, self._points))
        return self._points.get(name)

    def point(self, place: Place, text: str) -> PointInfo | None:
        """The point that `text` names; None where it names none, which is told."""
        device, dot, point = text.partition(".")
        if not dot:
            self._document.mistake(place, f"found {text!r}", "expected DEVICE.POINT")
            return None
        points = self.device(place, device)
        if points is not None and point not in points:
            self._document.mistake(place, f"device {device!r} has no point {point!r}", suggest(point, points))
        return None if points is None else points.get(point)

    def period(self, source: str) -> float | None:
        """Seconds between two readings of a point; None where its wire speaks by itself."""
        name, _, point = source.partition(".")
        device = self._devices[name]
        if isinstance(device, ProfileDevice):
            profile = self._profiles[device.profile]
            if isinstance(profile, ModbusProfile):
                return profile.points[point].poll or device.poll or profile.poll
            return None
        bus = self._file.buses[device.bus]
        return bus.poll if isinstance(bus, SysfsSettings | PilotUartSettings) else None

    def age(self, place: Place, source: str, max_age: float) -> None:
        """Tell of a `max_age` that a healthy wire would exceed."""
        period = self.period(source)
        if period is not None and max_age < period:
            expected = f"{source} is read each {period:g}s: expected at least that, better twice"
            self._document.mistake((*place, "max_age"), f"max_age {max_age:g}s", expected)


def fits(device: ProfileDevice, file: BoardFile, profiles: Profiles) -> bool:
    """Whether the device's profile is there, and is one for the device's bus."""
    profile = profiles.get(device.profile)
    return profile is not None and (profile.kind == "p1") == (file.buses[device.bus].driver == "dsmr-p1")
