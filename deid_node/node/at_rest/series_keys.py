"""The master key of a site, and the keys of series that it wraps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from deid_node.config.load import read_key
from deid_node.node.at_rest.stream import KEY_LENGTH

if TYPE_CHECKING:
    from pathlib import Path

SPOOL_KEY: Final = "spool key"
"""What messages call the master key."""


class MasterKey:
    """Wraps and unwraps the keys of series.

    Parameters
    ----------
    secret
        At least 32 octets, used for nothing else.
    """

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(SHA256(), KEY_LENGTH, salt=None, info=b"deid-node spool master key")
        self._wrapping = derived.derive(secret)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a master key.

        Raises
        ------
        KeyUnusable
            If the file is missing, open to others, too short or not hexadecimal.
        """
        return cls(read_key(path, what=SPOOL_KEY))

    def new_key(self) -> tuple[bytes, bytes]:
        """Make a key for a series; give it, and as it is kept."""
        key = os.urandom(KEY_LENGTH)
        return key, self.wrap(key)

    def wrap(self, key: bytes) -> bytes:
        """Give a key as it is kept."""
        return aes_key_wrap(self._wrapping, key)

    def unwrap(self, kept: bytes) -> bytes | None:
        """Give a key back; None if another master key wrapped it, or it is damaged."""
        try:
            return aes_key_unwrap(self._wrapping, kept)
        except InvalidUnwrap:
            return None
