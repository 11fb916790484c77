"""The server side of TLS, after BCP 195 (RFC 9325)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from deid_node.errors import SettingsInvalid
from deid_node.node.tls_policy import is_open_to_others, new_context

if TYPE_CHECKING:
    from deid_node.config.schema import TLS


def tls_context(settings: TLS) -> ssl.SSLContext:
    """Read certificate and key.

    Raises
    ------
    SettingsInvalid
        If a file is missing, of no use, or the key may be read by others.
    """
    context = new_context(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    key = settings.private_key
    try:
        is_open = is_open_to_others(key)
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
