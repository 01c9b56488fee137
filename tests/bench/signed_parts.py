"""A board whose meters sign, and the judge of what they signed."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import boards

PROFILE = "bauer-bsm-ws36a"
SIGNED = """\
      SignedReading: {type: string, actual: {from: meter-%d.signed_reading, max_age: 6s}}
      PublicKey: {type: string, actual: {from: meter-%d.public_key, max_age: 150s}}
"""


def signing_board(folder: Path) -> str:
    """bench-ac with a BSM-WS36A at each EVSE, the first on TCP, the second on RTU; they sign each second."""
    profile = (boards.FOLDER / "profiles" / f"{PROFILE}.yaml").read_text(encoding="utf-8")
    (folder / "profiles").mkdir()
    (folder / "profiles" / f"{PROFILE}.yaml").write_text(
        _once(_once(profile, "every: 3s ", "every: 1s "), "within: 15s", "within: 2s"), encoding="utf-8"
    )
    board = (boards.FOLDER / "bench-ac.yaml").read_text(encoding="utf-8")
    board = _once(board, "unit: 2, profile: eastron-sdm630", f"unit: 2, profile: {PROFILE}")
    board = _once(board, "unit: 1, profile: eastron-sdm630", f"unit: 1, profile: {PROFILE}")
    board = _once(board, "baudrate: 19200", "baudrate: 115200")
    for meter in (1, 2):
        last = f"      EnergyImportRegister: {{actual: {{from: meter-{meter}.energy_import, max_age: 3s}}}}\n"
        board = _once(board, last, last + SIGNED % (meter, meter))
    path = folder / "signing.yaml"
    path.write_text(board, encoding="utf-8")
    return str(path)


def _once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def verified(reading: str, key: str) -> dict[str, Any]:
    """The payload of an OCMF text. Raises InvalidSignature where `key` (DER in hex) did not sign it."""
    head, payload, signature = reading.split("|")
    assert head == "OCMF"
    said = json.loads(signature)
    assert said["SA"] == "ECDSA-secp256r1-SHA256"
    public = serialization.load_der_public_key(bytes.fromhex(key))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(bytes.fromhex(said["SD"]), payload.encode(), ec.ECDSA(hashes.SHA256()))
    found: dict[str, Any] = json.loads(payload)
    return found


def decoded(text: str) -> str:
    return b64decode(text, validate=True).decode()
