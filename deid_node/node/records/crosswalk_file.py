r"""The layout of a crosswalk file: frames, each bound to every byte before it.

    file    = "deid-node crosswalk 1\n", the broker's public key (32 bytes), frames
    frame   = kind, session, length of the body, CRC-32 of these three; body
    S       = a session begins: its ephemeral public key
    R       = a record of that session: ChaCha20-Poly1305, nonce = number of the record

Each run makes an ephemeral X25519 key, derives the session's key from it and from the
broker's public key by HKDF-SHA-256, and forgets the private half: only the broker's
private key opens a record. Associated data of a record is a digest of the whole file
before it, so none can be changed, moved or taken out from between. What is cut off at the
very end leaves a session that has no end, which the export tells.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deid_node.errors import CrosswalkUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

MAGIC: Final = b"deid-node crosswalk 1\n"
KEY_LENGTH: Final = 32
START: Final = len(MAGIC) + KEY_LENGTH
SESSION: Final = b"S"
RECORD: Final = b"R"
LONGEST: Final = 1 << 20
"""Bytes of the longest body."""

_HEAD: Final = struct.Struct(">cII")
_SUM: Final = struct.Struct(">I")
HEAD_LENGTH: Final = _HEAD.size + _SUM.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame.

    Parameters
    ----------
    kind
        `SESSION` or `RECORD`.
    session
        Number of the session it belongs to, from 0.
    body
        What it holds.
    """

    kind: bytes
    session: int
    body: bytes

    def head(self) -> bytes:
        """Write what stands before the body."""
        head = _HEAD.pack(self.kind, self.session, len(self.body))
        return head + _SUM.pack(zlib.crc32(head))


class Chain:
    """A digest of everything so far."""

    def __init__(self, start: bytes) -> None:
        self._digest = hashlib.sha256(start)

    def add(self, content: bytes) -> None:
        """Take in what follows."""
        self._digest.update(content)

    def bound(self, head: bytes) -> bytes:
        """Give the associated data of a record that would follow now."""
        return self._digest.digest() + head


def start_of(recipient: X25519PublicKey) -> bytes:
    """Write what a file for this broker begins with."""
    return MAGIC + recipient.public_bytes_raw()


def frames(file: BinaryIO) -> Iterator[Frame]:
    """Read frames up to the end, or up to one that broke off there.

    Raises
    ------
    CrosswalkUnusable
        If a frame is none.
    """
    while len(head := file.read(HEAD_LENGTH)) == HEAD_LENGTH:
        kind, session, length = _HEAD.unpack_from(head)
        (check,) = _SUM.unpack_from(head, _HEAD.size)
        if zlib.crc32(head[: _HEAD.size]) != check or length > LONGEST:
            raise CrosswalkUnusable(f"the crosswalk is damaged before byte {file.tell()}")
        body = file.read(length)
        if len(body) < length:
            return
        yield Frame(kind=kind, session=session, body=body)


def session_cipher(
    ours: X25519PrivateKey, theirs: X25519PublicKey, *, ephemeral: bytes, recipient: bytes
) -> ChaCha20Poly1305:
    """Derive the key of a session: the same from either pair of halves.

    Raises
    ------
    CrosswalkUnusable
        If a public key is one that gives no secret.
    """
    try:
        shared = ours.exchange(theirs)
    except ValueError:
        raise CrosswalkUnusable("the recipient's public key is not usable") from None
    derive = HKDF(
        algorithm=SHA256(), length=KEY_LENGTH, salt=None, info=MAGIC + ephemeral + recipient
    )
    return ChaCha20Poly1305(derive.derive(shared))


def nonce(number: int) -> bytes:
    """Give the nonce of a session's record; no session has two of one number."""
    return number.to_bytes(12, "big")
