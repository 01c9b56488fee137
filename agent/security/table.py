"""The security events of part 2, appendix 1 (v1.3), and which of them this station can raise.

The names are those of `security_events.csv`, which the appendix's own table misspells twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """`critical`: the CSMS is told, not only the log. `by` raises it, or else `missing` says why nobody can."""

    critical: bool
    by: str = ""
    missing: str = ""


_FIRMWARE = "no firmware update (block L) yet"
_CERTIFICATES = "no certificates of the CSMS's making (block M) yet"
_LOGIN = "nobody logs in: the local socket is a file with permissions"

EVENT_TYPES: Mapping[str, EventType] = {
    "FirmwareUpdated": EventType(True, missing=_FIRMWARE),
    "FailedToAuthenticateAtCsms": EventType(False, "ocpp.link"),
    "CsmsFailedToAuthenticate": EventType(False, "ocpp.link"),
    "SettingSystemTime": EventType(True, "ocpp.session"),
    "StartupOfTheDevice": EventType(True, "security.events"),
    "ResetOrReboot": EventType(True, "security.events"),
    "SecurityLogWasCleared": EventType(True, "security.events"),
    "ReconfigurationOfSecurityParameters": EventType(False, "security.events"),
    "MemoryExhaustion": EventType(True, "security.events"),
    "InvalidMessages": EventType(False, "ocpp.session"),
    "AttemptedReplayAttacks": EventType(
        False, missing="TLS tells replays apart; without it, and from control systems, nothing can"
    ),
    "TamperDetectionActivated": EventType(True, "security.events"),
    "InvalidFirmwareSignature": EventType(True, missing=_FIRMWARE),
    "InvalidFirmwareSigningCertificate": EventType(True, missing=_FIRMWARE),
    "InvalidCsmsCertificate": EventType(True, "ocpp.link"),
    "InvalidChargingStationCertificate": EventType(True, missing=_CERTIFICATES),
    "InvalidTLSVersion": EventType(True, "ocpp.link"),
    "InvalidTLSCipherSuite": EventType(True, "ocpp.link"),
    "MaintenanceLoginAccepted": EventType(True, missing=_LOGIN),
    "MaintenanceLoginFailed": EventType(True, missing=_LOGIN),
}
