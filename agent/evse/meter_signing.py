"""Signed meter values (part 2, J §2.4): what a meter signed, as OCPP carries it.

Sources: SignedMeterValueType (part 2 §2.46); PublicKeyWithSignedMeterValue (part 2, Referenced Components §2.7.17);
OCMF 1.0: a text `OCMF|payload|signature` whose last two parts are JSON.
"""

import json
import logging
from base64 import b64encode

from agent.evse.records import SignedValue

MAX_LENGTH = 2500
"""Of signedMeterData and of publicKey, in base64."""

USUAL_METHOD = "ECDSA-secp256r1-SHA256"
"""What an OCMF signature was made with where it does not say (OCMF, `SA`)."""

_log = logging.getLogger(__name__)


def signed_value(reading: str, public_key: str = "") -> SignedValue | None:
    """What the meter signed as OCMF; `public_key` is in base64 already, "" where none is to be sent.

    None for what is no OCMF, or is too long to be sent whole: half of it could not be verified.
    """
    if not reading.startswith("OCMF|"):
        return None
    data = base64(reading)
    if len(data) > MAX_LENGTH:
        _log.warning("a signed meter value of %d characters is longer than OCPP can carry", len(reading))
        return None
    return SignedValue(data, _method(reading), "OCMF", public_key)


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def key_text(public_key: str) -> str:
    """`public_key` as it is sent; "" where it is too long."""
    encoded = base64(public_key)
    return encoded if len(encoded) <= MAX_LENGTH else ""


def _method(reading: str) -> str:
    """The algorithm that the signature part names; "" where that part cannot be read."""
    try:
        signature = json.loads(reading.rpartition("|")[2])
        method = signature.get("SA", USUAL_METHOD)
    except (ValueError, AttributeError):
        return ""
    return method if isinstance(method, str) and len(method) <= 50 else ""
