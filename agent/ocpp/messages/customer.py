"""Messages of functional block N on what a station knows of a customer."""

from typing import Annotated, Literal

from pydantic import Field

from agent.ocpp.messages.authorization import IdTokenType, Text40, Text128
from agent.ocpp.messages.base import (
    DateTime,
    Integer,
    Message,
    Omissible,
    Request,
    Response,
    StatusInfoType,
    Text512,
)

Text64 = Annotated[str, Field(max_length=64)]


class CertificateHashDataType(Message):
    """Which certificate is meant."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"]
    issuer_name_hash: Text128
    issuer_key_hash: Text128
    serial_number: Text40


class CustomerInformationRequest(Request):
    """N09, N10: report, clear, or both, what is known of one customer."""

    customer_certificate: Omissible[CertificateHashDataType] = None
    id_token: Omissible[IdTokenType] = None
    request_id: Integer
    report: bool
    clear: bool
    customer_identifier: Omissible[Text64] = None


class CustomerInformationResponse(Response):
    """N09, N10."""

    status: Literal["Accepted", "Rejected", "Invalid"]
    status_info: Omissible[StatusInfoType] = None


class NotifyCustomerInformationRequest(Request):
    """N09, N10: a part of the report; `seq_no` counts from 0, `tbc` tells that more follows."""

    data: Text512
    tbc: Omissible[bool] = None
    seq_no: Integer
    generated_at: DateTime
    request_id: Integer


class NotifyCustomerInformationResponse(Response):
    """N09, N10."""
