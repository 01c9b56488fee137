"""The embedded logic controller (`Controller`) and what feeds it (`ELVSupply`): identity, versions, heat, load."""

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from agent import __version__
from agent.clock import Clock
from agent.computer.files import exists, listed, number, real, text, whole
from agent.computer.parts import Part, Values, constant, gauge, problem, told
from agent.model import Component, DataType, Variable

CONTROLLER = Component("Controller")
SUPPLY = Component("ELVSupply")

ZONES = 3
"""Thermal zones that become variables, the processor's first."""

_PROCESSOR = ("cpu", "soc", "x86_pkg_temp")  # how the types of a processor's zones begin
_BOOT_JITTER = timedelta(seconds=2)

_UNDER_VOLTAGE, _CAPPED, _THROTTLED = 1 << 0, 1 << 1, 1 << 2  # bits of the Raspberry Pi's get_throttled: now


def parts(root: Path, clock: Clock, restart_cause: str) -> Iterator[Part]:
    """What is known of the machine itself."""
    yield Part((problem(CONTROLLER), constant(CONTROLLER, "RestartCause", restart_cause)))
    yield told(CONTROLLER, _identity(root))
    for one in (_heat(root), _load(root), _uptime(root, clock), _supply(root)):
        if one is not None:
            yield one


def _identity(root: Path) -> Iterator[tuple[str, str | None, str | None]]:
    tree, dmi = root / "proc/device-tree", root / "sys/class/dmi/id"
    yield "Model", None, text(tree / "model") or text(dmi / "product_name")
    yield "SerialNumber", None, text(tree / "serial-number") or text(dmi / "product_serial")
    yield "FirmwareVersion", "Agent", __version__
    yield "FirmwareVersion", "Python", ".".join(str(part) for part in sys.version_info[:3])
    yield "FirmwareVersion", "Kernel", text(root / "proc/sys/kernel/osrelease")
    yield "FirmwareVersion", "OS", _system(root)


def _system(root: Path) -> str | None:
    for line in (text(root / "etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'") or None
    return None


def _heat(root: Path) -> Part | None:
    """`Temperature` is the processor's, `Temperature[type]` that of each other zone."""
    zones = [
        ((text(zone / "type") or zone.name), zone / "temp")
        for zone in listed(root / "sys/class/thermal")
        if zone.name.startswith("thermal_zone") and exists(zone / "temp")
    ]
    zones.sort(key=lambda zone: not zone[0].startswith(_PROCESSOR))
    files: dict[Variable, Path] = {}
    for kind, path in zones[:ZONES]:
        # Types need not differ, and may hold what no identifier does.
        name = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in kind)
        taken = {one.name.instance for one in files}
        instance = None if not files else name if name not in taken else f"{name}-{path.parent.name[12:]}"
        files[gauge(CONTROLLER, "Temperature", DataType.DECIMAL, "Celsius", instance=instance)] = path

    def read() -> Values:
        raw = {variable: number(path) for variable, path in files.items()}
        return {variable: None if value is None else value / 1000 for variable, value in raw.items()}

    return Part(tuple(files), read) if files else None


def _load(root: Path) -> Part | None:
    """The load averages: processes that run or wait for the disk, over 1 and 15 minutes; an own name."""
    path = root / "proc/loadavg"
    loads = {
        0: gauge(CONTROLLER, "Load", DataType.DECIMAL, instance="1min"),
        2: gauge(CONTROLLER, "Load", DataType.DECIMAL, instance="15min"),
    }

    def read() -> Values:
        fields = (text(path) or "").split()
        return {variable: real(fields[at]) if at < len(fields) else None for at, variable in loads.items()}

    return Part(tuple(loads.values()), read) if exists(path) else None


def _uptime(root: Path, clock: Clock) -> Part | None:
    """`Uptime` (s, an own name) and `Time[Boot]`, by the agent's clock: a correction of it moves that too."""
    path = root / "proc/uptime"
    uptime = gauge(CONTROLLER, "Uptime", DataType.DECIMAL, "s")
    boot = gauge(CONTROLLER, "Time", DataType.DATE_TIME, instance="Boot")

    def read() -> Values:
        seconds = real((text(path) or "").partition(" ")[0])
        if seconds is None:
            return {uptime: None, boot: None}
        at, before = (clock.now() - timedelta(seconds=seconds)).replace(microsecond=0), boot.actual.value
        if isinstance(before, datetime) and abs(at - before) < _BOOT_JITTER:
            at = before  # the same start of the computer, found at another moment: no change
        return {uptime: seconds, boot: at}

    return Part((uptime, boot), read) if exists(path) else None


def _supply(root: Path) -> Part | None:
    """Under-voltage as a Raspberry Pi sees it; where its firmware tells, also whether it made itself slower."""
    firmware = next(iter(_found(root / "sys/devices/platform", "soc*/*firmware/get_throttled")), None)
    alarm = _alarm(root)
    under = gauge(SUPPLY, "UnderVoltage", DataType.BOOLEAN)
    slowed = gauge(CONTROLLER, "Throttled", DataType.BOOLEAN)
    read: Callable[[], Values]
    if firmware is not None:

        def read() -> Values:
            bits = whole(text(firmware) or "", 16)
            if bits is None:
                return {under: None, slowed: None}
            return {under: bool(bits & _UNDER_VOLTAGE), slowed: bool(bits & (_CAPPED | _THROTTLED))}

        return Part((problem(SUPPLY), under, slowed), read)
    if alarm is not None:

        def read() -> Values:
            raw = number(alarm)
            return {under: None if raw is None else raw != 0}

        return Part((problem(SUPPLY), under), read)
    return None


def _alarm(root: Path) -> Path | None:
    for chip in listed(root / "sys/class/hwmon"):
        if text(chip / "name") == "rpi_volt":
            return chip / "in0_lcrit_alarm"
    return None


def _found(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if exists(folder) else []
