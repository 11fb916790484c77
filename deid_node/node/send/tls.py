"""TLS towards a destination, as DICOM's BCP 195 profiles ask (PS3.15 Annex B)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from deid_node.errors import SettingsInvalid
from deid_node.node.tls_policy import is_open_to_others, new_context

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.config.destinations import DestinationTLS


def client_context(settings: DestinationTLS, *, destination: str) -> ssl.SSLContext:
    """Make what checks a destination's certificate and name, and shows ours.

    Raises
    ------
    SettingsInvalid
        If a file cannot be used, or others may read the private key.
    """
    context = new_context(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if settings.trusted_peers is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(settings.trusted_peers)
    except OSError:
        raise SettingsInvalid(
            f"destination {destination}: tls.trusted_peers cannot be used"
        ) from None
    if settings.certificate is not None and settings.private_key is not None:
        refuse_open_to_others(settings.private_key, destination=destination)
        try:
            context.load_cert_chain(settings.certificate, settings.private_key, _no_passphrase)
        except (OSError, ValueError):
            raise SettingsInvalid(
                f"destination {destination}: tls.certificate and tls.private_key cannot be used"
            ) from None
    return context


def refuse_open_to_others(path: Path, *, destination: str) -> None:
    """Take a secret from a file only if its owner alone may read it.

    Raises
    ------
    SettingsInvalid
        If others may, or the file is not there.
    """
    try:
        is_open = is_open_to_others(path)
    except OSError:
        raise SettingsInvalid(f"destination {destination}: {path} cannot be read") from None
    if is_open:
        raise SettingsInvalid(f"destination {destination}: {path} may be read or written by others")


def _no_passphrase() -> str:
    """Refuse to ask on the terminal of a service."""
    raise ValueError
