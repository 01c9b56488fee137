"""Messages of functional block D, the Local Authorization List."""

from typing import Literal

from agent.ocpp.messages.authorization import IdTokenInfoType, IdTokenType
from agent.ocpp.messages.base import Integer, Message, Omissible, OneOrMore, Request, Response, StatusInfoType


class AuthorizationData(Message):
    """One entry; without info it is to be removed (D01.FR.16)."""

    id_token: IdTokenType
    id_token_info: Omissible[IdTokenInfoType] = None


class SendLocalListRequest(Request):
    """D01: the whole list, or what changed in it."""

    local_authorization_list: Omissible[OneOrMore[AuthorizationData]] = None
    version_number: Integer
    update_type: Literal["Differential", "Full"]


class SendLocalListResponse(Response):
    """D01."""

    status: Literal["Accepted", "Failed", "VersionMismatch"]
    status_info: Omissible[StatusInfoType] = None


class GetLocalListVersionRequest(Request):
    """D02."""


class GetLocalListVersionResponse(Response):
    """D02: 0 where there is no list."""

    version_number: Integer
