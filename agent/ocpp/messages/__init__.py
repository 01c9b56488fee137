"""The OCPP messages this station knows, one module per functional block, and the tables of who may call what."""

from collections.abc import Mapping

from agent.ocpp.messages.authorization import (
    AuthorizeRequest,
    AuthorizeResponse,
    ClearCacheRequest,
    ClearCacheResponse,
)
from agent.ocpp.messages.availability import (
    ChangeAvailabilityRequest,
    ChangeAvailabilityResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    StatusNotificationRequest,
    StatusNotificationResponse,
)
from agent.ocpp.messages.base import Request, Response
from agent.ocpp.messages.diagnostics import NotifyEventRequest, NotifyEventResponse
from agent.ocpp.messages.local_list import (
    GetLocalListVersionRequest,
    GetLocalListVersionResponse,
    SendLocalListRequest,
    SendLocalListResponse,
)
from agent.ocpp.messages.meter_values import MeterValuesRequest, MeterValuesResponse
from agent.ocpp.messages.provisioning import (
    BootNotificationRequest,
    BootNotificationResponse,
    GetBaseReportRequest,
    GetBaseReportResponse,
    GetReportRequest,
    GetReportResponse,
    GetVariablesRequest,
    GetVariablesResponse,
    NotifyReportRequest,
    NotifyReportResponse,
    ResetRequest,
    ResetResponse,
    SetVariablesRequest,
    SetVariablesResponse,
)
from agent.ocpp.messages.remote_control import (
    RequestStartTransactionRequest,
    RequestStartTransactionResponse,
    RequestStopTransactionRequest,
    RequestStopTransactionResponse,
    TriggerMessageRequest,
    TriggerMessageResponse,
    UnlockConnectorRequest,
    UnlockConnectorResponse,
)
from agent.ocpp.messages.reservation import (
    CancelReservationRequest,
    CancelReservationResponse,
    ReservationStatusUpdateRequest,
    ReservationStatusUpdateResponse,
    ReserveNowRequest,
    ReserveNowResponse,
)
from agent.ocpp.messages.transactions import (
    GetTransactionStatusRequest,
    GetTransactionStatusResponse,
    TransactionEventRequest,
    TransactionEventResponse,
)

Actions = Mapping[str, tuple[type[Request], type[Response]]]


def _by_action(*pairs: tuple[type[Request], type[Response]]) -> Actions:
    return {request.action: (request, response) for request, response in pairs}


FROM_CSMS = _by_action(
    (SetVariablesRequest, SetVariablesResponse),
    (GetVariablesRequest, GetVariablesResponse),
    (GetBaseReportRequest, GetBaseReportResponse),
    (GetReportRequest, GetReportResponse),
    (ResetRequest, ResetResponse),
    (TriggerMessageRequest, TriggerMessageResponse),
    (ClearCacheRequest, ClearCacheResponse),
    (SendLocalListRequest, SendLocalListResponse),
    (GetLocalListVersionRequest, GetLocalListVersionResponse),
    (GetTransactionStatusRequest, GetTransactionStatusResponse),
    (RequestStartTransactionRequest, RequestStartTransactionResponse),
    (RequestStopTransactionRequest, RequestStopTransactionResponse),
    (UnlockConnectorRequest, UnlockConnectorResponse),
    (ChangeAvailabilityRequest, ChangeAvailabilityResponse),
    (ReserveNowRequest, ReserveNowResponse),
    (CancelReservationRequest, CancelReservationResponse),
)
"""What the CSMS may call on this station."""

TO_CSMS = _by_action(
    (BootNotificationRequest, BootNotificationResponse),
    (NotifyReportRequest, NotifyReportResponse),
    (StatusNotificationRequest, StatusNotificationResponse),
    (HeartbeatRequest, HeartbeatResponse),
    (NotifyEventRequest, NotifyEventResponse),
    (AuthorizeRequest, AuthorizeResponse),
    (TransactionEventRequest, TransactionEventResponse),
    (MeterValuesRequest, MeterValuesResponse),
    (ReservationStatusUpdateRequest, ReservationStatusUpdateResponse),
)
"""What this station calls on the CSMS."""

KNOWN_ACTIONS = frozenset(
    """
    Authorize BootNotification CancelReservation CertificateSigned ChangeAvailability ClearCache
    ClearChargingProfile ClearDisplayMessage ClearVariableMonitoring ClearedChargingLimit CostUpdated
    CustomerInformation DataTransfer DeleteCertificate FirmwareStatusNotification Get15118EVCertificate
    GetBaseReport GetCertificateStatus GetChargingProfiles GetCompositeSchedule GetDisplayMessages
    GetInstalledCertificateIds GetLocalListVersion GetLog GetMonitoringReport GetReport GetTransactionStatus
    GetVariables Heartbeat InstallCertificate LogStatusNotification MeterValues NotifyChargingLimit
    NotifyCustomerInformation NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent
    NotifyMonitoringReport NotifyReport PublishFirmware PublishFirmwareStatusNotification
    ReportChargingProfiles RequestStartTransaction RequestStopTransaction ReservationStatusUpdate ReserveNow
    Reset SecurityEventNotification SendLocalList SetChargingProfile SetDisplayMessage SetMonitoringBase
    SetMonitoringLevel SetNetworkProfile SetVariableMonitoring SetVariables SignCertificate
    StatusNotification TransactionEvent TriggerMessage UnlockConnector UnpublishFirmware UpdateFirmware
    """.split()  # noqa: SIM905 (sixty-four names, in lines one can read)
)
"""Every action of OCPP 2.0.1; one that is here and not in FROM_CSMS is answered with NotSupported."""

__all__ = ["FROM_CSMS", "KNOWN_ACTIONS", "TO_CSMS", "Actions", "Request", "Response"]
