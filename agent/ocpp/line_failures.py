"""What a connection that does not come about means for security (A00, part 2 appendix 1)."""

import ssl
from http import HTTPStatus

from websockets.exceptions import InvalidStatus

_VERSION = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE"}
_CIPHER = {
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    "WRONG_CIPHER_RETURNED",
    "NO_CIPHERS_AVAILABLE",
    "DH_KEY_TOO_SMALL",
}
_OURS = {
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_ACCESS_DENIED",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
}
"""OpenSSL's words for what is wrong: the TLS version, the cipher suites, the certificate that the station shows."""

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def security_event(error: Exception) -> tuple[str, str] | None:
    """The security event that `error` of a connection attempt is, and its techInfo; None for a mere failure."""
    match error:
        case InvalidStatus() if error.response.status_code in _REFUSED:
            return "FailedToAuthenticateAtCsms", f"HTTP {error.response.status_code}"
        case ssl.SSLCertVerificationError():
            return "InvalidCsmsCertificate", error.verify_message  # A00.FR.310, FR.413
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ssl.SSLSyscallError():
            return None  # the line was cut
        case ssl.SSLError():
            reason = error.reason or "TLS"
            if reason in _VERSION:
                return "InvalidTLSVersion", reason  # A00.FR.316, FR.419
            if reason in _CIPHER:
                return "InvalidTLSCipherSuite", reason  # A00.FR.323, FR.426
            return "FailedToAuthenticateAtCsms" if reason in _OURS else "CsmsFailedToAuthenticate", reason
    return None
