"""The checks of `evses`: the ids, what the connectors' hardware has, and what the pilot can do.

The wiring binds a connector's hardware by itself, so what it will make is worked out here, for the checks of
`components`.
"""

from collections.abc import Iterable, Mapping

from agent.board.document import Document, Place, suggest
from agent.board.references import Profiles, References
from agent.board.spec import LED_PARTS, MEASURED, ROLES, BoardFile, Connector, Evse, Role, StatusLed
from agent.board.units import conversion
from agent.board.wiring import INDICATOR
from agent.model import Component, VariableName
from drivers import PointInfo
from drivers.settings import DeviceSettings, ModbusProfile, OutputPin, Pins, ProfileDevice

CONNECTOR_TYPES = (
    *("cCCS1", "cCCS2", "cG105", "cTesla", "cType1", "cType2", "s309-1P-16A", "s309-1P-32A", "s309-3P-16A"),
    *("s309-3P-32A", "sBS1361", "sCEE-7-7", "sType2", "sType3", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph"),
    *("Pan", "wInductive", "wResonant", "Undetermined", "Unknown", "cGBT", "cChaoJi", "OppCharge"),
)
"""ConnectorEnumType, and what ConnectorType may be besides (part 2 §2.13.4)."""

NEEDED = ("pilot", "offered_current", "enable")

PILOT_MINIMUM, PILOT_MAXIMUM = 6.0, 80.0
"""A per phase: what the pilot's duty can say (IEC 61851-1, annex A)."""


class Connectors:
    """The checks, and what they find out: `wired` has the address of each variable that the wiring will bind by
    itself, `driven` the points that it drives, each with the words for the connector; `sources` every point used.
    """

    def __init__(
        self,
        document: Document,
        file: BoardFile,
        devices: Mapping[str, DeviceSettings],
        profiles: Profiles,
        references: References,
        notes: list[str],
    ) -> None:
        self._document = document
        self._file = file
        self._devices = devices
        self._profiles = profiles
        self._references = references
        self._notes = notes
        self.wired: dict[tuple[object, ...], str] = {}
        self.driven: dict[str, str] = {}
        self.sources: set[str] = set()

    def check(self) -> None:
        self._gapless(("evses",), self._file.evses, "EVSE", "7.1")
        for number, evse in self._file.evses.items():
            self._evse(number, evse)

    def _gapless(self, place: Place, ids: Iterable[int], what: str, rule: str) -> None:
        found = sorted(ids)
        wanted = list(range(1, len(found) + 1))
        for have, want in zip(found, wanted, strict=True):
            if have != want:
                expected = f"expected {what} {want}: ids are 1..{len(found)} without gaps (part 1 §{rule})"
                self._document.mistake((*place, have), f"{what} {have}", expected, key=True)
                return

    def _evse(self, number: int, evse: Evse) -> None:
        place: Place = ("evses", number)
        mistake = self._document.mistake
        if not evse.connectors:
            expected = "give it connector 1 (part 1 §7.2)"
            mistake((*place, "connectors"), f"EVSE {number} without connectors", expected)
        self._gapless((*place, "connectors"), evse.connectors, "connector", "7.2")
        if evse.min_current > evse.max_current:
            found = f"min_current {evse.min_current:g}"
            mistake((*place, "min_current"), found, f"expected at most {evse.max_current:g}")
        controlled = False
        for one, connector in evse.connectors.items():
            at = (*place, "connectors", one)
            if connector.type not in CONNECTOR_TYPES:
                mistake((*at, "type"), f"found {connector.type!r}", suggest(connector.type, CONNECTOR_TYPES))
            if connector.controller is None and not connector.hardware:
                self._notes.append(f"connector {number}/{one}: nothing controls it, so it cannot charge")
                continue
            controlled = True
            self._connector(at, number, one, connector)
        self._led(place, f"EVSE {number}", Component(INDICATOR, None, number), evse.status_led, controlled)
        for one, connector in evse.connectors.items():
            component = Component(INDICATOR, None, number, one)
            own = connector.controller is not None or bool(connector.hardware)
            self._led((*place, "connectors", one), f"connector {number}/{one}", component, connector.status_led, own)
        if controlled:
            self._controlled(place, number, evse)

    def _controlled(self, place: Place, number: int, evse: Evse) -> None:
        if evse.min_current < PILOT_MINIMUM:
            expected = f"expected at least {PILOT_MINIMUM:g} A: a pilot cannot offer less (IEC 61851-1)"
            self._document.mistake((*place, "min_current"), f"min_current {evse.min_current:g}", expected)
        if evse.max_current > PILOT_MAXIMUM:
            expected = f"expected at most {PILOT_MAXIMUM:g} A: a pilot cannot offer more (IEC 61851-1)"
            self._document.mistake((*place, "max_current"), f"max_current {evse.max_current:g}", expected)
        if not any(
            component.name.casefold() == "fiscalmetering"
            and component.evse == number
            and any(key.casefold() == "energyimportregister" for key in component.variables)
            for component in self._file.components
        ):
            text = f"EVSE {number}: no FiscalMetering.EnergyImportRegister, so its transactions have no energy"
            self._notes.append(text)

    def _connector(self, place: Place, evse: int, one: int, connector: Connector) -> None:
        called = f"connector {evse}/{one}"
        has: Mapping[str, PointInfo] | None = {}
        if connector.controller is not None:
            has = self._references.device((*place, "controller"), connector.controller)
        complete = has is not None
        points = connector.points(has or ())
        read: list[str] = []
        for role, source in points.items():
            own = role in connector.hardware
            at = (*place, "hardware", role) if own else (*place, "controller")
            if role not in ROLES:
                self._document.mistake(at, f"unknown role {role!r}", suggest(role, ROLES), key=True)
                continue
            info = self._references.point(at, source)
            if info is None:
                continue
            self._role(at, role, ROLES[role], source, info)
            self.sources.add(source)
            if ROLES[role].written:
                self._output(at, role, source, called)
            else:
                component, name, _ = MEASURED[role]
                where = Component(component, None, evse, one)
                self.wired[(*where.key, *VariableName(name).key)] = f"{called} ({role}: {source})"
                if info.readable:
                    read.append(source)
        if read:
            slowest = max(read, key=lambda source: self._references.period(source) or 0.0)
            self._references.age(place, slowest, connector.max_age)
        missing = [role for role in NEEDED if role not in points]
        if missing and complete:
            where_ = "controller" if connector.controller is not None else "hardware"
            expected = f"add `hardware: {{{missing[0]}: DEVICE.POINT}}`"
            self._document.mistake((*place, where_), f"{called} without {' and '.join(missing)}", expected)
        elif complete:
            self._worth_saying(called, connector, points)

    def _led(self, place: Place, called: str, component: Component, led: StatusLed | None, controlled: bool) -> None:
        if led is None:
            return
        at = (*place, "status_led")
        mistake = self._document.mistake
        if not controlled:
            mistake(
                at, f"a status_led of {called}, which nothing controls", "expected a controller, or no status_led"
            )
        points = led.points()
        lamps = [part for part in ("red", "green", "blue") if part in points]
        if (len(lamps) != 3) if "color" not in points else lamps:
            found = f"a status_led of {' and '.join(points) or 'nothing'}"
            mistake(at, found, "expected red, green and blue, or color alone; and perhaps blink")
        for name in ("Active", "Color"):
            self.wired[(*component.key, *VariableName(name).key)] = f"the status_led of {called}"
        for part, source in points.items():
            info = self._references.point((*at, part), source)
            if info is not None:
                self._role((*at, part), part, LED_PARTS[part], source, info)
                self.sources.add(source)
                self._output((*at, part), part, source, f"the status_led of {called}")

    def _role(self, place: Place, role: str, wanted: Role, source: str, info: PointInfo) -> None:
        mistake = self._document.mistake
        if wanted.written and not info.writable:
            mistake(place, f"{role}: {source} can only be read", "expected a point that can be written")
        elif not wanted.written and not info.readable:
            mistake(place, f"{role}: {source} can only be written", "expected a point that can be read")
        if info.kind != wanted.kind:
            mistake(place, f"{role}: {source} is a {info.kind}", f"expected a {wanted.kind}")
        elif wanted.unit:
            # What is written goes to the point as it is.
            fitting = info.unit == wanted.unit if wanted.written else conversion(info.unit, wanted.unit) is not None
            if not fitting:
                found = f"{role}: {source} is in {info.unit or 'no unit'}"
                mistake(place, found, f"expected a point in {wanted.unit}")

    def _output(self, place: Place, role: str, source: str, called: str) -> None:
        if source in self.driven:
            found = f"{role}: {source} is driven by {self.driven[source]} already"
            self._document.mistake(place, found, "expected a point of its own for each output of each connector")
        self.driven[source] = f"{called} ({role})"
        device, _, point = source.partition(".")
        settings = self._devices[device]
        pin = settings.points[point] if isinstance(settings, Pins) else None
        if role == "enable" and isinstance(pin, OutputPin) and pin.safe:
            found = f"{role}: {source} is true at start and at exit"
            self._document.mistake(place, found, "remove `safe: true` from the pin: the contactor could close")

    def _worth_saying(self, called: str, connector: Connector, points: Mapping[str, str]) -> None:
        say = self._notes.append
        if connector.is_socket and "lock" not in points:
            say(f"{called}: a socket without `lock`: anybody can pull its cable")
        elif "lock" in points and "locked" not in points:
            say(f"{called}: `lock` without `locked`: a lock that fails goes unseen")
        if "contactor_closed" not in points:
            say(f"{called}: no `contactor_closed`: a welded contactor goes unseen")
        device = self._devices.get(connector.controller or "")
        if isinstance(device, ProfileDevice):
            profile = self._profiles[device.profile]
            if isinstance(profile, ModbusProfile) and profile.alive is None:
                say(f"{called}: {device.profile} knows no sign of life: it may go on charging without the agent")
