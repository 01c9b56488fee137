"""What an engineer gets who asks for a DiagnosticsLog (N01.FR.04): everything that helps to see why, and no secret.

    versions.json    what runs on what              journal.log     the service's journal, or what the agent logged
    model.jsonl      every variable, with its age   buses.json      requests, errors, response times per device
    messages.jsonl   the last OCPP messages         board/…         the board file and its device profiles
    …                what else the station lends (`dated`): events, security events, the grid operator's signals
    missing.txt      what could not be read, and why

Made while it is sent. What is quick and lives in the event loop is taken in `open`; the rest is read where the
returned callable is consumed, which may be another thread.
"""

import json
import logging
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import Clock
from agent.diagnostics.blanking import variable_value, yaml_blanked
from agent.diagnostics.rings import LastLines, LastMessages
from agent.diagnostics.slices import DatedLine, Slice
from agent.model import AttributeType, DeviceModel, Mutability, Variable, format_date_time

if TYPE_CHECKING:
    from agent.diagnostics.archive import Member

log = logging.getLogger(__name__)

PACKAGES = ("station-agent", "websockets", "pydantic", "pymodbus", "pyserial", "PyYAML", "aiomqtt", "gpiozero")

Body = Callable[[], Generator[bytes, None, None]]
"""Makes a log's bytes, anew at each call."""

Dated = Callable[[], Iterable[DatedLine]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A DiagnosticsLog. `identity` is model, vendor, serial, firmware; `board` are the files in use; `buses` is
    called in the event loop and returns what JSON can hold; `dated` are read where the body is.
    """

    model: DeviceModel
    clock: Clock
    identity: Mapping[str, str | None]
    messages: LastMessages
    lines: LastLines
    board: Sequence[Path] = ()
    buses: Callable[[], Any] = dict
    dated: Mapping[str, Dated] = field(default_factory=dict)
    extension: str = ".tar.gz"

    def open(self, span: Slice) -> Body:
        """What makes the bundle of `span`."""
        buses = json.dumps(self.buses(), indent=1)
        messages, lines = list(self.messages.lines()), self.lines.lines
        now = self.clock.now()

        def body() -> Generator[bytes, None, None]:
            from agent.diagnostics.archive import gzipped, tar  # what the start does not need
            from agent.diagnostics.journal import journal

            missing: list[str] = []
            members: list[Member] = [
                ("versions.json", self._versions()),
                ("model.jsonl", (_variable(one, self.clock.monotonic()) for one in self.model.variables())),
                ("buses.json", (buses,)),
                ("messages.jsonl", span.of(messages)),
                *((f"board/{path.name}", _file(path)) for path in self.board),
                *((name, _of(span, dated)) for name, dated in self.dated.items()),
                ("journal.log", journal(span, self.clock, lines())),
            ]
            safe = ((name, _guarded(name, source, missing)) for name, source in members)
            yield from gzipped(tar(chain(safe, _told(missing)), now.timestamp()))

        return body

    def _versions(self) -> Iterator[str]:
        import platform

        versions = {name: _version(name) for name in PACKAGES}
        told = {
            "generated": format_date_time(self.clock.now()),
            "station": dict(self.identity),
            "packages": {name: version for name, version in versions.items() if version is not None},
            "python": sys.version,
            "system": platform.platform(),
            "machine": platform.machine(),
        }
        yield json.dumps(told, indent=1)


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _of(span: Slice, dated: Dated) -> Iterator[str]:
    """`dated` is called no sooner than its lines are wanted, so that its failure is that of one member."""
    yield from span.of(dated())


def _file(path: Path) -> Iterator[str]:
    yield yaml_blanked(path.read_text(encoding="utf-8", errors="replace")).rstrip("\n")


def _guarded(name: str, lines: Iterable[str], missing: list[str]) -> Iterator[str]:
    """`lines` to where they fail: a part that cannot be read is told, and costs nobody the rest."""
    try:
        yield from lines
    except Exception as error:
        log.exception("diagnostics: %s is not complete", name)
        missing.append(f"{name}: {error!r}")


def _told(missing: list[str]) -> "Iterator[Member]":
    """After all the others."""
    if missing:
        yield "missing.txt", missing


def _variable(variable: Variable, now: float) -> str:
    """One line: address, what is unset is null, `age` in seconds of what was measured."""
    name = variable.name
    plain: dict[str, Any] = {"component": str(variable.component), "variable": str(name)}
    for kind, attribute in variable.attributes.items():
        if attribute.mutability is Mutability.WRITE_ONLY:
            continue
        value = None if attribute.current is None else variable_value(name.name, attribute.text())
        plain["value" if kind is AttributeType.ACTUAL else str(kind)] = value
        if kind is AttributeType.ACTUAL and attribute.time is not None:
            plain["age"] = round(now - attribute.time, 3)
    if variable.characteristics.unit is not None:
        plain["unit"] = variable.characteristics.unit
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class PlainLog:
    """A log that is lines alone, such as the SecurityLog (N01.FR.03), as a gzip file."""

    lines: Dated
    extension: str = ".log.gz"

    def open(self, span: Slice) -> Body:
        """What makes the log of `span`. The body raises what `lines` raises."""
        from agent.diagnostics.archive import gzipped

        return lambda: gzipped(f"{line}\n".encode(errors="replace") for line in span.of(self.lines()))
