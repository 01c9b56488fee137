"""Messages of functional block C, authorization, and the tokens that other blocks share."""

from typing import Annotated, Literal

from pydantic import Field

from agent.ocpp.messages.base import (
    WIRE_NAMES,
    DateTime,
    Integer,
    Message,
    Omissible,
    OneOrMore,
    OneToFour,
    Request,
    Response,
    StatusInfoType,
    Text36,
    Text50,
    Text512,
)

WIRE_NAMES["responder_url"] = "responderURL"

Text8 = Annotated[str, Field(max_length=8)]
Text40 = Annotated[str, Field(max_length=40)]
Text128 = Annotated[str, Field(max_length=128)]
Text5500 = Annotated[str, Field(max_length=5500)]

IdTokenKind = Literal["Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"]
"""IdTokenEnumType."""

AuthorizationStatus = Literal[
    "Accepted",
    "Blocked",
    "ConcurrentTx",
    "Expired",
    "Invalid",
    "NoCredit",
    "NotAllowedTypeEVSE",
    "NotAtThisLocation",
    "NotAtThisTime",
    "Unknown",
]
"""AuthorizationStatusEnumType."""


class AdditionalInfoType(Message):
    """Another identifier that comes with a token."""

    additional_id_token: Text36
    type: Text50


class IdTokenType(Message):
    """Who wants to charge."""

    id_token: Text36
    type: IdTokenKind
    additional_info: Omissible[OneOrMore[AdditionalInfoType]] = None


class MessageContentType(Message):
    """A text to be shown."""

    format: Literal["ASCII", "HTML", "URI", "UTF8"]
    language: Omissible[Text8] = None
    content: Text512


class IdTokenInfoType(Message):
    """What the CSMS says of a token."""

    status: AuthorizationStatus
    cache_expiry_date_time: Omissible[DateTime] = None
    charging_priority: Omissible[Integer] = None
    language1: Omissible[Text8] = None
    evse_id: Omissible[OneOrMore[Integer]] = None
    group_id_token: Omissible[IdTokenType] = None
    language2: Omissible[Text8] = None
    personal_message: Omissible[MessageContentType] = None


class OCSPRequestDataType(Message):
    """Which certificate is asked about (ISO 15118)."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"]
    issuer_name_hash: Text128
    issuer_key_hash: Text128
    serial_number: Text40
    responder_url: Text512


class AuthorizeRequest(Request):
    """C01: may this token charge?"""

    id_token: IdTokenType
    certificate: Omissible[Text5500] = None
    iso15118_certificate_hash_data: Omissible[OneToFour[OCSPRequestDataType]] = None


class AuthorizeResponse(Response):
    """C01."""

    id_token_info: IdTokenInfoType
    certificate_status: Omissible[
        Literal[
            "Accepted",
            "SignatureError",
            "CertificateExpired",
            "CertificateRevoked",
            "NoCertificateAvailable",
            "CertChainError",
            "ContractCancelled",
        ]
    ] = None


class ClearCacheRequest(Request):
    """C11: forget what is cached."""


class ClearCacheResponse(Response):
    """C11."""

    status: Literal["Accepted", "Rejected"]
    status_info: Omissible[StatusInfoType] = None
