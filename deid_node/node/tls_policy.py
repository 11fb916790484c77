"""What TLS must be on either side of an association, after BCP 195 (PS3.15 Annex B)."""

from __future__ import annotations

import ssl
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of TLS 1.3 are all good."""


def new_context(protocol: int) -> ssl.SSLContext:
    """Begin a context, for ``ssl.PROTOCOL_TLS_CLIENT`` or ``ssl.PROTOCOL_TLS_SERVER``."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    return context


def is_open_to_others(secret: Path) -> bool:
    """Tell whether anybody but its owner may read or write a file.

    Raises
    ------
    OSError
        If it is not there.
    """
    return bool(stat.S_IMODE(secret.stat().st_mode) & 0o077)
