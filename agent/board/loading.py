"""Board files: the whole knowledge about one kind of station, read, checked and explained.

`load` gives a `Board` whose every reference holds, or raises `BoardError` with every mistake, each with its place.
`agent.board.wiring.wire` makes the Device Model of it.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import boards
from agent.board.check_monitors import check_monitors
from agent.board.checks import check
from agent.board.document import BoardError, Document, Mistake, Place, suggest
from agent.board.limits_spec import ContactEms, Failsafe, FuseSpec, LimitsSpec, ModbusEms, MqttEms, ThermalSpec
from agent.board.monitors_spec import MonitorSpec
from agent.board.spec import (
    ActualFrom,
    Board,
    BoardFile,
    ComponentSpec,
    Connector,
    Evse,
    StationInfo,
    TargetTo,
    VariableSpec,
)
from drivers.settings import (
    BusSettings,
    DeviceSettings,
    EvdevReaderSettings,
    GpioSettings,
    InputPin,
    ModbusIdentity,
    ModbusPoint,
    ModbusProfile,
    ModbusRtuSettings,
    ModbusTcpSettings,
    OutputPin,
    P1Point,
    P1Profile,
    P1Settings,
    PilotUart,
    PilotUartSettings,
    Pins,
    Profile,
    ProfileDevice,
    PwmFan,
    Reader,
    SerialReaderSettings,
    Strict,
    Sysfs,
    SysfsPoint,
    SysfsSettings,
)

_DEVICE_OF: dict[str, dict[str | None, type[Strict]]] = {
    "modbus-tcp": {None: ProfileDevice},
    "modbus-rtu": {None: ProfileDevice},
    "dsmr-p1": {None: ProfileDevice},
    "gpio": {"pwm-fan": PwmFan, "pins": Pins},
    "sysfs": {"files": Sysfs},
    "serial-reader": {"reader": Reader},
    "evdev-reader": {"reader": Reader},
    "pilot-uart": {"pilot-uart": PilotUart},
}
"""Which settings a device has, by its bus's driver and its `kind`."""


def schema() -> dict[str, Any]:
    """The JSON Schema of board files, for editors."""
    return BoardFile.model_json_schema(by_alias=True)


def read_overlay(path: Path) -> dict[str, Any]:
    """What an overlay file holds: JSON, an object with end points of buses. Raises BoardError."""
    try:
        overlay = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BoardError([Mistake(path, 1, 1, str(error), "expected JSON")]) from None
    if not isinstance(overlay, dict):
        raise BoardError([Mistake(path, 1, 1, "no JSON object", 'expected {"buses": {…}}')])
    return overlay


def find(name_or_path: str) -> Path:
    """The file of a board: a packaged one by name, any other by path. Raises BoardError."""
    packaged = boards.FOLDER / f"{name_or_path}.yaml"
    if "/" not in name_or_path and packaged.is_file():
        return packaged
    path = Path(name_or_path)
    if not path.is_file():
        names = sorted(one.stem for one in boards.FOLDER.glob("*.yaml"))
        raise BoardError([Mistake(path, 1, 1, "no such board file", suggest(name_or_path, names))])
    return path


def load(name_or_path: str, overlay: Mapping[str, Any] | None = None) -> Board:
    """The board of that name or file, checked; `overlay` replaces settings of its buses, as a bench does.

    Raises BoardError with every mistake of the file and of the device profiles that it uses.
    """
    path = find(name_or_path)
    document = Document(path)
    data = dict(document.data)
    _overlay(document, data, overlay or {})
    devices = data.pop("devices", None)
    file: BoardFile | None = None
    try:
        file = BoardFile.model_validate(data)
    except ValidationError as error:
        document.invalid(error, lambda place: _known(place, data))
    buses = file.buses if file is not None else _buses(data)
    settings = _devices(document, devices, buses, data.get("buses") or {})
    profiles = _profiles(document, settings, path.parent)
    if file is not None:
        notes = check(document, file, settings, profiles)
    document.raise_mistakes()
    assert file is not None
    serial = _serial(file.station.serial, notes)
    board = Board(
        path.stem,
        path,
        file.station,
        file.evses,
        file.buses,
        settings,
        profiles,
        file.components,
        limits=file.limits or LimitsSpec(),
        ems=file.ems,
        monitors=file.monitors,
        notes=notes,
        serial=serial,
    )
    if board.monitors:
        check_monitors(document, board)
        document.raise_mistakes()
    return board


def _serial(text: str | None, notes: list[str]) -> str | None:
    """The serial number that `text` is, or the file of which it names; a station boots without, so that is a note."""
    if text is None or not text.startswith("from:"):
        return text
    path = Path(text.removeprefix("from:"))
    try:
        # The kernel's device tree ends its texts with a zero byte.
        found = path.read_text(encoding="ascii").strip("\0 \n")
    except (OSError, ValueError) as error:
        notes.append(f"station.serial: none, {path} cannot be read: {getattr(error, 'strerror', None) or 'no text'}")
        return None
    if not 1 <= len(found) <= 25:
        notes.append(f"station.serial: none, {path} holds {len(found)} characters, expected 1 to 25")
        return None
    return found


_OVERLAID = {"buses": "bus", "ems": "control system"}


def _overlay(document: Document, data: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    """Lay the settings of `overlay` over those of the buses and control systems of the same names."""
    for part in overlay.keys() - _OVERLAID.keys():
        document.mistake((), f"{part!r} in the overlay", "expected buses or ems: nothing else can be overlaid")
    for part, what in _OVERLAID.items():
        there, changes = data.get(part), overlay.get(part, {})
        if not isinstance(there, dict) or not isinstance(changes, Mapping):
            continue
        for name, change in changes.items():
            if not isinstance(there.get(name), dict) or not isinstance(change, Mapping):
                document.mistake((part,), f"{what} {name!r} in the overlay", suggest(str(name), there), key=True)
        data[part] = {
            name: {**one, **changes[name]}
            if isinstance(one, dict) and isinstance(changes.get(name), Mapping)
            else one
            for name, one in there.items()
        }


_BUS_MODELS: dict[str, type[Strict]] = {
    "modbus-tcp": ModbusTcpSettings,
    "modbus-rtu": ModbusRtuSettings,
    "dsmr-p1": P1Settings,
    "gpio": GpioSettings,
    "sysfs": SysfsSettings,
    "serial-reader": SerialReaderSettings,
    "evdev-reader": EvdevReaderSettings,
    "pilot-uart": PilotUartSettings,
}


_PARTS: tuple[tuple[tuple[str, ...], tuple[type[Strict], ...]], ...] = (
    ((), (BoardFile,)),
    (("station",), (StationInfo,)),
    (("evses", "*"), (Evse,)),
    (("evses", "*", "connectors", "*"), (Connector,)),
    (("components", "*"), (ComponentSpec,)),
    (("components", "*", "variables", "*"), (VariableSpec,)),
    (("components", "*", "variables", "*", "actual"), (ActualFrom,)),
    (("components", "*", "variables", "*", "target"), (TargetTo,)),
    (("limits",), (LimitsSpec,)),
    (("limits", "fuse"), (FuseSpec,)),
    (("limits", "thermal"), (ThermalSpec,)),
    (("ems", "*"), (ModbusEms, MqttEms, ContactEms)),
    (("ems", "*", "failsafe"), (Failsafe,)),
    (("monitors", "*"), (MonitorSpec,)),
)
_PROFILE_PARTS: tuple[tuple[tuple[str, ...], tuple[type[Strict], ...]], ...] = (
    ((), (ModbusProfile, P1Profile)),
    (("identity",), (ModbusIdentity,)),
    (("points", "*"), (ModbusPoint, P1Point)),
)
"""What stands where in a file: the way there, `*` for any name, and what is allowed there."""


def _keys(*models: type[Strict]) -> list[str]:
    return list(dict.fromkeys(field.alias or name for model in models for name, field in model.model_fields.items()))


def _keys_at(place: Place, parts: tuple[tuple[tuple[str, ...], tuple[type[Strict], ...]], ...]) -> list[str]:
    for pattern, models in parts:
        if len(pattern) == len(place) and all(a in ("*", b) for a, b in zip(pattern, place, strict=True)):
            return _keys(*models)
    return []


def _known(place: Place, data: Mapping[str, Any]) -> list[str]:
    """The keys that may stand at `place` in a board file; of a bus's driver, the drivers there are."""
    if place[:1] == ("buses",) and len(place) == 3:
        return list(_BUS_MODELS)
    if place[:1] == ("buses",) and len(place) == 2:
        return _keys(_BUS_MODELS[str(data["buses"][place[1]]["driver"])])
    return _keys_at(place, _PARTS)


def _buses(data: Mapping[str, Any]) -> dict[str, BusSettings]:
    """The buses that can be used, for checking devices in a file whose other parts have mistakes."""
    found: dict[str, BusSettings] = {}
    raw = data.get("buses")
    for name, bus in raw.items() if isinstance(raw, dict) else ():
        model = _BUS_MODELS.get(str(bus.get("driver"))) if isinstance(bus, dict) else None
        try:
            if model is not None:
                found[name] = model.model_validate(bus)  # type: ignore[assignment]
        except ValidationError:
            continue  # told already
    return found


def _devices(
    document: Document, raw: Any, buses: Mapping[str, BusSettings], raw_buses: Mapping[str, Any]
) -> dict[str, DeviceSettings]:
    """The devices, each judged by the settings that its bus's driver asks for."""
    found: dict[str, DeviceSettings] = {}
    if raw is None:
        return found
    if not isinstance(raw, dict):
        document.mistake(("devices",), "no mapping", "expected `NAME: {bus: …}` lines")
        return found
    for name, device in raw.items():
        place = ("devices", name)
        if not isinstance(device, dict):
            document.mistake(place, f"found {device!r}", "expected a mapping such as {bus: …, profile: …}")
            continue
        bus = buses.get(str(device.get("bus")))
        if bus is None:
            if "bus" not in device:
                document.mistake(place, "'bus' is missing", "add `bus: …`", key=True)
            elif str(device["bus"]) not in raw_buses:
                document.mistake((*place, "bus"), f"no bus {device['bus']!r}", suggest(str(device["bus"]), buses))
            continue
        kinds = _DEVICE_OF[bus.driver]
        model = kinds.get(str(device["kind"]) if "kind" in device else None)
        if model is None:
            names = ", ".join(str(kind) for kind in kinds if kind)
            if "kind" not in device:
                document.mistake(place, "'kind' is missing", f"add `kind: …`, one of {names}", key=True)
            else:
                found_kind = f"found kind {device['kind']!r} on a {bus.driver} bus"
                remedy = f"expected one of {names}" if names else "remove it, and say `profile: …`"
                document.mistake((*place, "kind"), found_kind, remedy)
            continue
        try:
            found[name] = model.model_validate(device)  # type: ignore[assignment]
        except ValidationError as error:
            document.invalid(error, _device_keys(model, device), place)
    return found


def _device_keys(model: type[Strict], raw: dict[str, Any]) -> Callable[[Place], list[str]]:
    """The keys of a device of that `model`, and of its points: an input's or an output's, as it is written."""

    def known(place: Place) -> list[str]:
        if len(place) == 2:
            return _keys(model)
        point = raw["points"][place[3]]
        return _keys(SysfsPoint if model is Sysfs else OutputPin if "output" in point else InputPin)

    return known


@cache
def _profile_adapter() -> TypeAdapter[ModbusProfile | P1Profile]:
    return TypeAdapter(Profile)


def _profiles(
    document: Document, devices: Mapping[str, DeviceSettings], folder: Path
) -> dict[str, ModbusProfile | P1Profile]:
    """The device profiles that are used: beside the board file (profiles/NAME.yaml) first, else the packaged ones."""
    found: dict[str, ModbusProfile | P1Profile] = {}
    folders = (folder / "profiles", boards.FOLDER / "profiles")
    for name, device in devices.items():
        if not isinstance(device, ProfileDevice) or device.profile in found:
            continue
        path = next((p for f in folders if (p := f / f"{device.profile}.yaml").is_file()), None)
        if path is None:
            names = {p.stem for f in folders for p in f.glob("*.yaml")}
            place = ("devices", name, "profile")
            document.mistake(place, f"no device profile {device.profile!r}", suggest(device.profile, names))
            continue
        try:
            profile = Document(path)
        except BoardError as error:
            document.mistakes += error.mistakes
            continue
        try:
            found[device.profile] = _profile_adapter().validate_python(profile.data)
        except ValidationError as error:
            profile.invalid(error, lambda at: ["modbus", "p1"] if at == ("kind",) else _keys_at(at, _PROFILE_PARTS))
        document.mistakes += profile.mistakes
    return found
