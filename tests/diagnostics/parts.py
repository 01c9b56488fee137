"""The parts that tests of diagnostics share: a clock, a bundle of a small station, and what is in a log."""

import gzip
import io
import tarfile
from datetime import UTC, datetime

from agent.diagnostics.bundle import Bundle
from agent.diagnostics.rings import LastLines, LastMessages
from agent.diagnostics.slices import Slice
from agent.model import DeviceModel
from tests.ocpp.parts import FakeClock, hardware

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_bundle(clock: FakeClock | None = None, **more: object) -> Bundle:
    clock = clock or FakeClock()
    model = DeviceModel()
    for variable in hardware():
        model.add(variable)
    identity = {"model": "AC-22", "vendor": "Acme", "serial": None}
    return Bundle(model, clock, identity, LastMessages(clock), LastLines(clock.now), **more)  # type: ignore[arg-type]


def unpacked(data: bytes) -> dict[str, str]:
    """The members of a tar.gz, in their order."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        return {one.name: archive.extractfile(one).read().decode() for one in archive}  # type: ignore[union-attr]


def contents(bundle: Bundle, span: Slice | None = None) -> dict[str, str]:
    return unpacked(b"".join(bundle.open(span or Slice())()))
