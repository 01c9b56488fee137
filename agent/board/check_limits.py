"""The checks of `limits` and `ems`: what guards a limit must be measured, and an interface must let somebody in."""

from ipaddress import ip_address, ip_network

from agent.board.document import Document, Place, suggest
from agent.board.limits_spec import ContactEms, ModbusEms, MqttEms
from agent.board.references import References
from agent.board.spec import BoardFile
from agent.model import VariableName


def check_limits(document: Document, file: BoardFile, references: References, notes: list[str]) -> set[str]:
    """Note every mistake in `document`; returns the DEVICE.POINTs that are used."""
    _Limits(document, file, references, notes).check()
    return {one.signal for one in file.ems.values() if isinstance(one, ContactEms)}


class _Limits:
    def __init__(self, document: Document, file: BoardFile, references: References, notes: list[str]) -> None:
        self._document, self._file, self._references, self._notes = document, file, references, notes

    def check(self) -> None:
        limits = self._file.limits
        if limits is not None and limits.fuse is not None:
            lacks = [f"ACCurrent[L{line}]" for line in (1, 2, 3) if not self._measured("ElectricalFeed", line)]
            if lacks:
                found = f"nothing measures ElectricalFeed.{', '.join(lacks)}"
                expected = "give the board the meter at the grid connection, or leave the fuse out"
                self._document.mistake(("limits", "fuse"), found, expected)
        if limits is not None and limits.thermal is not None:
            self._thermal(limits.thermal.sensor)
        ports: dict[tuple[str, int], str] = {}
        for name, one in self._file.ems.items():
            place: Place = ("ems", name)
            if not self._file.evses:
                self._document.mistake(place, "a board without EVSEs has nothing to limit", "leave it out", key=True)
            if isinstance(one, ModbusEms):
                self._modbus(place, one)
                if one.port and (one.listen, one.port) in ports:
                    found = f"{one.listen}:{one.port} is that of {ports[one.listen, one.port]!r} already"
                    self._document.mistake((*place, "port"), found, "give each interface a port of its own")
                ports[one.listen, one.port] = name
            elif isinstance(one, MqttEms):
                if one.password_file is not None and one.username is None:
                    self._document.mistake((*place, "password_file"), "a password without a username", "add username")
                if not one.tls and one.host not in ("127.0.0.1", "::1", "localhost"):
                    self._notes.append(f"ems {name}: limits and the password travel in the clear (tls: false)")
            else:
                self._contact(place, one)

    def _measured(self, component: str, line: int) -> bool:
        wanted = VariableName("ACCurrent", f"L{line}").key
        return any(
            one.name.casefold() == component.casefold()
            and one.evse is None
            and any(_key(key) == wanted and spec.actual is not None for key, spec in one.variables.items())
            for one in self._file.components
        )

    def _thermal(self, sensor: str) -> None:
        names = [one.name for one in self._file.components]
        for one in self._file.components:
            spec = {key.casefold(): spec for key, spec in one.variables.items()}.get("temperature")
            if one.name.casefold() == sensor.casefold() and spec is not None and spec.actual is not None:
                return
        found = f"no component {sensor!r} that measures a Temperature"
        self._document.mistake(("limits", "thermal"), found, suggest(sensor, names))

    def _modbus(self, place: Place, one: ModbusEms) -> None:
        try:
            ip_address(one.listen)
        except ValueError:
            expected = "expected an address of this computer, such as 127.0.0.1 or 192.168.10.2"
            self._document.mistake((*place, "listen"), f"found {one.listen!r}", expected)
        if not one.allow:
            expected = "expected the addresses or networks of those who may impose limits"
            self._document.mistake((*place, "allow"), "nobody may connect", expected)
        for number, text in enumerate(one.allow):
            try:
                ip_network(text)
            except ValueError:
                expected = "expected an address or a network, such as 192.168.10.5 or 192.168.10.0/24"
                self._document.mistake((*place, "allow", number), f"found {text!r}", expected)

    def _contact(self, place: Place, one: ContactEms) -> None:
        point = self._references.point((*place, "from"), one.signal)
        if point is None:
            return
        if point.writable or point.kind != "boolean":
            expected = "expected an input that is true or false"
            self._document.mistake((*place, "from"), f"{one.signal} is none", expected)
        self._references.age(place, one.signal, one.max_age)


def _key(text: str) -> tuple[str, str]:
    name, _, instance = text.partition("[")
    return VariableName(name, instance.removesuffix("]") or None).key
