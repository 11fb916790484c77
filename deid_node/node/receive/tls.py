"""The server side of TLS, after BCP 195 (RFC 9325)."""

from __future__ import annotations

import ssl
import stat
from typing import TYPE_CHECKING, Final

from deid_node.errors import SettingsInvalid

if TYPE_CHECKING:
    from deid_node.config.schema import TLS

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of TLS 1.3 are all good."""


def tls_context(settings: TLS) -> ssl.SSLContext:
    """Read certificate and key.

    Raises
    ------
    SettingsInvalid
        If a file is missing, of no use, or the key may be read by others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    key = settings.private_key
    try:
        is_open = stat.S_IMODE(key.stat().st_mode) & 0o077
    except OSError:
        raise SettingsInvalid(f"TLS key {key} cannot be read") from None
    if is_open:
        raise SettingsInvalid(f"TLS key {key} may be read or written by others: chmod 600 it")
    try:
        context.load_cert_chain(settings.certificate, key, password=_no_password)
    except OSError:
        raise SettingsInvalid(
            f"TLS certificate {settings.certificate} and key {key} are not PEM files that belong"
            " together, or the key asks for a password"
        ) from None
    if settings.trusted_peers is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(settings.trusted_peers)
        except OSError:
            raise SettingsInvalid(
                f"TLS trusted_peers {settings.trusted_peers} holds no PEM certificate"
            ) from None
    return context


def _no_password() -> str:
    """Answer OpenSSL, which would ask the terminal."""
    return ""
