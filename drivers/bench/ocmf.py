"""The inside of a meter that signs: on a trigger it puts its register aside and signs it, as OCMF, with its own key.

OCMF 1.0: `OCMF|payload|signature`; the signature is over the payload as it stands between the bars. Which fields the
payload has follows the BSM-WS36A's: RV counts from the last turn-on, XV is the register. The key is the same in each
run. `cryptography` is needed where a board has such a meter, and only there.
"""

import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from drivers import Value
from drivers.bench.refusals import CannotStart
from drivers.settings import ModbusProfile

SIGNING = 0.2
"""Seconds that a signature takes."""

_NUMBER = 0x5EED0BE7C4
"""The private key: the bench guards nothing."""


class Signer:
    """The snapshots of one meter. `read(name)` is what physics, or whoever holds a point, makes of it.

    A first state that is held at something else than 0 stands: with a pending one the meter never gets ready.
    """

    def __init__(
        self, profile: ModbusProfile, read: Callable[[str], Value], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        assert profile.snapshot is not None
        try:
            from cryptography.hazmat.primitives import hashes, serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError as error:
            raise CannotStart(f"a meter that signs needs the package cryptography: {error}") from None
        self._profile, self._settings = profile, profile.snapshot
        self._read, self._monotonic = read, monotonic
        key = ec.derive_private_key(_NUMBER, ec.SECP256R1())
        self._sign: Callable[[bytes], bytes] = lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))
        encoded = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._keys = {name: encoded.hex() for name, point in profile.points.items() if point.coding == "der"}
        self._empty = next(n for n in itertools.count() if n not in (*self._settings.valid, *self._settings.pending))
        """The state of a meter that signed nothing yet."""
        self._count = 0
        self._triggered: float | None = None
        self._wh = 0.0
        self._text = ""

    def value(self, name: str) -> Value | None:
        """What the point holds; None for one that is not the signer's."""
        if name in self._keys:
            return self._keys[name]
        if name in self._settings.states:
            return self._state(name)
        if name not in self._settings.points:
            return None
        if self._profile.points[name].type == "string":
            return self._text if self._ready else ""
        return self._wh

    def takes(self, name: str, value: Value) -> bool:
        """Whether the write is for the signer; the trigger makes the next snapshot."""
        if name != self._settings.states[0]:
            return False
        if value == self._settings.trigger:
            self._triggered = self._monotonic()
            self._count += 1
            self._wh = float(self._read("energy_import"))
            self._text = self._ocmf()
        return True

    @property
    def _ready(self) -> bool:
        return self._triggered is not None and self._monotonic() >= self._triggered + SIGNING

    def _state(self, name: str) -> Value:
        held = self._read(name)
        if held:
            return held
        if self._triggered is None:
            return self._empty
        return self._settings.valid[0] if self._ready else self._settings.pending[0]

    def _ocmf(self) -> str:
        model = f"{self._profile.vendor} {self._profile.model}"
        kwh = round(self._wh / 1000, 3)
        reading: dict[str, Any] = {
            "TM": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S,000+0000 S"),
            "TX": "C",
            "RV": kwh,
            "RI": "1-0:1.8.0*198",
            "RU": "kWh",
            "XV": kwh,
            "XI": "1-0:1.8.0*255",
            "XU": "kWh",
            "XT": 0,
            "RT": "AC",
            "EF": "",
            "ST": "G",
        }
        payload: dict[str, Any] = {
            "FV": "1.0",
            "GI": model,
            "GS": "BENCH",
            "PG": f"T{self._count}",
            "MV": self._profile.vendor,
            "MM": self._profile.model,
            "MS": "BENCH",
            "IS": False,
            "IT": "UNDEFINED",
            "ID": "",
            "RD": [reading],
        }
        text = json.dumps(payload, separators=(",", ":"))
        signature = {"SA": "ECDSA-secp256r1-SHA256", "SD": self._sign(text.encode()).hex()}
        return f"OCMF|{text}|{json.dumps(signature, separators=(',', ':'))}"
