"""The layout of an encrypted file: a head, then frames of AES-256-GCM; ADR 18.

    head    16 octets of MAGIC, 32 octets of salt
    frame   up to 65,536 octets of contents, encrypted, and a tag of 16

The key of a file comes from that of its series, its salt and its name (HKDF-SHA256). The nonce
of a frame is its number and whether it is the last: so frames cannot change places, the end
cannot be cut off, and a file cannot take the name of another. This is the STREAM construction
of Hoang, Reyhanitabar, Rogaway and Vizár (CRYPTO 2015), laid out as in the file format of age.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deid_node.node.at_rest.names import MAGIC, is_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

SALT_LENGTH: Final = 32
HEAD_LENGTH: Final = len(MAGIC) + SALT_LENGTH
FRAME: Final = 65536
TAG_LENGTH: Final = 16
KEY_LENGTH: Final = 32
_COUNTER_LENGTH: Final = 11


class Unsealable(Exception):
    """A file is not what was written under this name and key."""


class Sealer:
    """Encrypts the contents of one file as they come; memory holds one frame.

    Parameters
    ----------
    key
        Of the series.
    name
        What the file is, for whoever reads it: not where it lies.
    """

    def __init__(self, key: bytes, name: str) -> None:
        self.head = MAGIC + os.urandom(SALT_LENGTH)
        self._cipher = _cipher(key, self.head, name)
        self._number = 0
        self._rest = bytearray()
        self._has_begun = False

    def seal(self, pieces: Iterable[bytes | bytearray | memoryview]) -> list[bytes]:
        """Take contents; give what is to be written now, the head first of all."""
        sealed = self._begin()
        for piece in pieces:
            left = memoryview(piece)
            while left:
                if len(self._rest) == FRAME:
                    sealed.append(self._frame(is_last=False))
                room = FRAME - len(self._rest)
                self._rest += left[:room]
                left = left[room:]
        return sealed

    def end(self) -> list[bytes]:
        """Give what is still to be written once all contents were taken."""
        return [*self._begin(), self._frame(is_last=True)]

    def _begin(self) -> list[bytes]:
        has_begun, self._has_begun = self._has_begun, True
        return [] if has_begun else [self.head]

    def _frame(self, *, is_last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._number, is_last=is_last), self._rest, self.head)
        self._rest = bytearray()
        self._number += 1
        return sealed


def unseal(content: bytes, key: bytes, name: str) -> bytes:
    """Decrypt a whole file.

    Parameters
    ----------
    content
        Of the file.
    key
        Of the series.
    name
        Which file it must be.

    Raises
    ------
    Unsealable
        If a single bit is not as it was written.
    """
    head, frames = content[:HEAD_LENGTH], memoryview(content)[HEAD_LENGTH:]
    if not is_sealed(head) or len(head) < HEAD_LENGTH:
        raise Unsealable
    cipher = _cipher(key, head, name)
    n_frames = max(-(-len(frames) // (FRAME + TAG_LENGTH)), 1)
    opened = []
    for number in range(n_frames):
        at = number * (FRAME + TAG_LENGTH)
        nonce = _nonce(number, is_last=number == n_frames - 1)
        try:
            opened.append(cipher.decrypt(nonce, frames[at : at + FRAME + TAG_LENGTH], head))
        except InvalidTag:
            raise Unsealable from None
    return b"".join(opened)


def _cipher(key: bytes, head: bytes, name: str) -> AESGCM:
    derived = HKDF(SHA256(), KEY_LENGTH, salt=head[len(MAGIC) :], info=MAGIC + name.encode())
    return AESGCM(derived.derive(key))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_LENGTH, "big") + bytes([is_last])
