"""The official JSON Schemas of OCPP 2.0.1, as the `ocpp` package ships them: the judge of every payload in tests."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import ocpp.v201

FOLDER = Path(ocpp.v201.__file__).parent / "schemas"


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """The schema of a payload, such as `schema("ResetRequest")`."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8-sig"))


@functools.cache
def _validator(name: str) -> jsonschema.protocols.Validator:
    official = schema(name)
    return jsonschema.validators.validator_for(official)(official)


def check_payload(name: str, payload: Any) -> None:
    """Raises jsonschema.ValidationError if the payload is not what the schema `name` says."""
    _validator(name).validate(payload)


def is_valid(name: str, payload: Any) -> bool:
    return _validator(name).is_valid(payload)
