"""Messages of functional block N that ask for logs and tell how their upload goes."""

from typing import Literal

from agent.ocpp.messages.base import (
    DateTime,
    Integer,
    Message,
    Omissible,
    Request,
    Response,
    StatusInfoType,
    Text255,
    Text512,
)

UploadStatus = Literal[
    "BadMessage",
    "Idle",
    "NotSupportedOperation",
    "PermissionDenied",
    "Uploaded",
    "UploadFailure",
    "Uploading",
    "AcceptedCanceled",
]
"""UploadLogStatusEnumType."""


class LogParametersType(Message):
    """Where a log goes, and of which time it is."""

    remote_location: Text512
    oldest_timestamp: Omissible[DateTime] = None
    latest_timestamp: Omissible[DateTime] = None


class GetLogRequest(Request):
    """N01: upload a log; `retry_interval` in seconds."""

    log: LogParametersType
    log_type: Literal["DiagnosticsLog", "SecurityLog"]
    request_id: Integer
    retries: Omissible[Integer] = None
    retry_interval: Omissible[Integer] = None


class GetLogResponse(Response):
    """N01."""

    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    status_info: Omissible[StatusInfoType] = None
    filename: Omissible[Text255] = None


class LogStatusNotificationRequest(Request):
    """N01: how an upload goes; without `request_id` there is none."""

    status: UploadStatus
    request_id: Omissible[Integer] = None


class LogStatusNotificationResponse(Response):
    """N01."""
