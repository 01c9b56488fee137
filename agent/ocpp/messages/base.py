"""What every OCPP message is made of: the strict model, its primitive types, and the classes that many share.

A model takes exactly what the official JSON Schema takes: no unknown field, no null for a field left out
(part 4 §4.1.5), no number for a text. Attributes are snake_case, on the wire they are camelCase.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from agent.model import format_date_time, parse_date_time

WIRE_NAMES: dict[str, str] = {}
"""Attributes whose name on the wire is not their camelCase."""

_INT32 = 2**31


class _Omissible:
    """In Python None stands for a field left out; in JSON only its absence does (part 4 §4.1.5)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        nullable = handler(source)
        return core_schema.json_or_python_schema(json_schema=nullable["schema"], python_schema=nullable)


class _Int32:
    """JSON Schema's integer (1.0 is one), of 32 bits (part 2 §2.1.4)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        strict = core_schema.int_schema(strict=True, ge=-_INT32, lt=_INT32)
        from_json = core_schema.no_info_before_validator_function(_whole, strict)
        return core_schema.json_or_python_schema(json_schema=from_json, python_schema=strict)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "integer"}


class _DateTime:
    """RFC 3339 with an offset to an aware datetime; printed in UTC with three decimals (part 2 §3.1)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(parse_date_time, core_schema.str_schema(strict=True))
        aware = core_schema.datetime_schema(strict=True, tz_constraint="aware")
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=aware,
            serialization=core_schema.plain_serializer_function_ser_schema(format_date_time, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_T = TypeVar("_T")
Omissible = Annotated[_T | None, _Omissible()]
"""A field that may be left out: `Omissible[str] = None`."""

Integer = Annotated[int, _Int32()]
Decimal = Annotated[float, Field(strict=True, allow_inf_nan=False)]
DateTime = Annotated[datetime, _DateTime()]

Text16 = Annotated[str, Field(max_length=16)]
Text20 = Annotated[str, Field(max_length=20)]
Text25 = Annotated[str, Field(max_length=25)]
Text36 = Annotated[str, Field(max_length=36)]
Text50 = Annotated[str, Field(max_length=50)]
Text255 = Annotated[str, Field(max_length=255)]
Text500 = Annotated[str, Field(max_length=500)]
Text512 = Annotated[str, Field(max_length=512)]
Text1000 = Annotated[str, Field(max_length=1000)]
Text2500 = Annotated[str, Field(max_length=2500)]

OneOrMore = Annotated[tuple[_T, ...], Field(min_length=1)]
OneToFour = Annotated[tuple[_T, ...], Field(min_length=1, max_length=4)]


class CustomDataType(BaseModel):
    """Vendor data, open to any further field (part 4 §9); those are found in `model_extra`."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, populate_by_name=True, alias_generator=to_camel
    )

    vendor_id: Text255


class Message(BaseModel):
    """Base of every message and of every class inside one: frozen, strict, closed to unknown fields.

    Construction raises pydantic.ValidationError where the schema is not met, so what exists can be sent.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        populate_by_name=True,
        alias_generator=lambda name: WIRE_NAMES.get(name) or to_camel(name),
        defer_build=True,  # at its first use: a station that starts needs few of them
    )

    custom_data: Omissible[CustomDataType] = None

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The message in a JSON text, with the names of the wire alone; raises pydantic.ValidationError."""
        return cls.model_validate_json(text, by_alias=True, by_name=False)

    def to_json(self) -> str:
        """The payload as it goes on the wire: camelCase, without the fields left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class Response(Message):
    """Payload of a CALLRESULT."""


class Request(Message):
    """Payload of a CALL; `action` is the class name without "Request" (part 4 §4.1.6)."""

    action: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.action = cls.__name__.removesuffix("Request")


class GenericDeviceModelStatus(StrEnum):
    """GenericDeviceModelStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"
    EMPTY_RESULT_SET = "EmptyResultSet"


class StatusInfoType(Message):
    """Why a status is what it is; `reason_code` from the appendices' list where one fits."""

    reason_code: Text20
    additional_info: Omissible[Text512] = None


class EVSEType(Message):
    """An EVSE, and one of its connectors if given."""

    id: Integer
    connector_id: Omissible[Integer] = None


class ComponentType(Message):
    """A component of the Device Model, by name, instance and EVSE."""

    name: Text50
    instance: Omissible[Text50] = None
    evse: Omissible[EVSEType] = None


class VariableType(Message):
    """A variable of a component, by name and instance."""

    name: Text50
    instance: Omissible[Text50] = None
