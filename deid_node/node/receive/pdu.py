"""PDUs as they stand on the wire, PS3.8 section 9.3; and what ends an association early."""

from __future__ import annotations

import struct
from typing import Final

ASSOCIATE_RQ: Final = 0x01
ASSOCIATE_AC: Final = 0x02
ASSOCIATE_RJ: Final = 0x03
P_DATA_TF: Final = 0x04
RELEASE_RQ: Final = 0x05
RELEASE_RP: Final = 0x06
ABORT: Final = 0x07

HEAD_LENGTH: Final = 6
"""Type, one reserved byte, length of the rest."""
OFFERED_LENGTH: Final = 131072
"""Maximum length received that a peer is told, in bytes."""
LONGEST: Final = 2 * OFFERED_LENGTH
"""No PDU longer than this is read; some senders count the length otherwise than the standard."""
SHORTEST_PDV: Final = 2
"""A presentation data value has its context ID and its control header at least."""

IS_COMMAND: Final = 0x01
IS_LAST: Final = 0x02
"""Bits of the message control header, PS3.8 E.2."""

REASON_UNRECOGNIZED_PDU: Final = 1
REASON_UNEXPECTED_PDU: Final = 2
REASON_INVALID_PARAMETER: Final = 6
"""Of an A-ABORT by the service provider, PS3.8 Table 9-26."""

RELEASE_RESPONSE: Final = struct.pack(">BBII", RELEASE_RP, 0, 4, 0)

read_head = struct.Struct(">BxI").unpack_from
"""Type and length of a PDU."""
read_pdv = struct.Struct(">IBB").unpack_from
"""Length, context ID and message control header of a presentation data value."""

_write_heads = struct.Struct(">BxIIBB").pack
"""Of a PDU and of the one presentation data value in it."""

_BY_USER: Final = 0
_BY_PROVIDER: Final = 2


class PeerGone(Exception):
    """The peer closed the connection or aborted, or time is up: nobody is there to be told."""


class Violation(Exception):
    """The peer does what the standard does not allow; the association is aborted.

    Parameters
    ----------
    reason
        As PS3.8 Table 9-26 numbers them.
    """

    def __init__(self, reason: int = REASON_INVALID_PARAMETER) -> None:
        super().__init__(f"reason {reason}")
        self.reason = reason


def head(kind: int, length: int) -> bytes:
    """Begin a PDU of `length` more bytes."""
    return struct.pack(">BxI", kind, length)


def abort(reason: int | None = None) -> bytes:
    """Write an A-ABORT: by this node's wish, or by its provider for a reason."""
    source = _BY_USER if reason is None else _BY_PROVIDER
    return head(ABORT, 4) + bytes((0, 0, source, reason or 0))


def reject(result: int, source: int, reason: int) -> bytes:
    """Write an A-ASSOCIATE-RJ, PS3.8 Table 9-21."""
    return head(ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def command_pdus(context_id: int, command: bytes, longest: int) -> bytes:
    """Write a whole command as P-DATA, in one piece unless the peer takes only short PDUs.

    Parameters
    ----------
    longest
        Maximum length that the peer receives; 0 if any.
    """
    room = max(longest - 6, 1) if longest else len(command)
    written = b""
    for at in range(0, len(command), room):
        part = command[at : at + room]
        control = IS_COMMAND | (IS_LAST if at + room >= len(command) else 0)
        length = len(part) + SHORTEST_PDV
        written += _write_heads(P_DATA_TF, length + 4, length, context_id, control) + part
    return written
