"""The OCPP messages this station knows, one module per functional block, and the tables of who may call what.

A module of messages is imported when one of its actions is first asked for (`OnDemand`).
"""

from collections.abc import Mapping
from importlib import import_module

from agent.ocpp.messages.base import Request, Response
from agent.ocpp.messages.on_demand import OnDemand

Pair = tuple[type[Request], type[Response]]
Actions = Mapping[str, Pair]


def _pair(module: str, action: str) -> Pair:
    messages = import_module(f"agent.ocpp.messages.{module}")
    return getattr(messages, f"{action}Request"), getattr(messages, f"{action}Response")


FROM_CSMS: Actions = OnDemand(
    {
        "SetVariables": "provisioning",
        "GetVariables": "provisioning",
        "GetBaseReport": "provisioning",
        "GetReport": "provisioning",
        "Reset": "provisioning",
        "TriggerMessage": "remote_control",
        "ClearCache": "authorization",
        "SendLocalList": "local_list",
        "GetLocalListVersion": "local_list",
        "GetTransactionStatus": "transactions",
        "RequestStartTransaction": "remote_control",
        "RequestStopTransaction": "remote_control",
        "UnlockConnector": "remote_control",
        "ChangeAvailability": "availability",
        "ReserveNow": "reservation",
        "CancelReservation": "reservation",
        "SetChargingProfile": "smart_charging",
        "GetChargingProfiles": "smart_charging",
        "ClearChargingProfile": "smart_charging",
        "GetCompositeSchedule": "smart_charging",
        "GetMonitoringReport": "monitoring",
        "SetMonitoringBase": "monitoring",
        "SetVariableMonitoring": "monitoring",
        "SetMonitoringLevel": "monitoring",
        "ClearVariableMonitoring": "monitoring",
        "GetLog": "log",
        "CustomerInformation": "customer",
    },
    _pair,
)
"""What the CSMS may call on this station, and the module of its messages."""

TO_CSMS: Actions = OnDemand(
    {
        "BootNotification": "boot",
        "NotifyReport": "provisioning",
        "StatusNotification": "availability",
        "Heartbeat": "availability",
        "NotifyEvent": "diagnostics",
        "NotifyMonitoringReport": "monitoring",
        "SecurityEventNotification": "security",
        "Authorize": "authorization",
        "TransactionEvent": "transactions",
        "MeterValues": "meter_values",
        "ReservationStatusUpdate": "reservation",
        "ReportChargingProfiles": "smart_charging",
        "NotifyChargingLimit": "smart_charging",
        "ClearedChargingLimit": "smart_charging",
        "LogStatusNotification": "log",
        "NotifyCustomerInformation": "customer",
    },
    _pair,
)
"""What this station calls on the CSMS, and the module of its messages."""

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
