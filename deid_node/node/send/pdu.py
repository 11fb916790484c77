"""Bytes of the upper layer protocol (PS3.8 section 9.3) and of command sets (PS3.7 section 6.3).

Only what an SCU sends and reads once an association stands: requests with their datasets in
P-DATA, and the answers. Nothing here opens a socket.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA_TF = 2, 3, 4
A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = 5, 6, 7

RELEASE_RQ: Final = bytes.fromhex("05 00 00000004 00000000")
RELEASE_RP: Final = bytes.fromhex("06 00 00000004 00000000")
ABORT: Final = bytes.fromhex("07 00 00000004 00000000")
"""Source 0: the service user, PS3.8 Table 9-26."""

AFFECTED_SOP_CLASS, REQUESTED_SOP_CLASS, COMMAND_FIELD = 0x0002, 0x0003, 0x0100
MESSAGE_ID, MESSAGE_ID_RESPONDED_TO, PRIORITY = 0x0110, 0x0120, 0x0700
DATASET_TYPE, STATUS, AFFECTED_SOP_INSTANCE = 0x0800, 0x0900, 0x1000
REQUESTED_SOP_INSTANCE, EVENT_TYPE, ACTION_TYPE = 0x1001, 0x1002, 0x1008
"""Element numbers of group 0, PS3.7 Table E.1-1."""

C_STORE_RQ, C_FIND_RQ, C_ECHO_RQ = 0x0001, 0x0020, 0x0030
N_EVENT_REPORT_RQ, N_ACTION_RQ = 0x0100, 0x0130
IS_RESPONSE: Final = 0x8000
NO_DATASET: Final = 0x0101

_PDV_HEAD: Final = struct.Struct(">BBIIBB")
_FRAME_BYTES: Final = 6
"""Length, context id and control header of a PDV count to the length of its PDU."""
_IS_COMMAND, _IS_LAST = 1, 2


class Malformed(Exception):
    """Bytes that are no message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of the peer.

    Parameters
    ----------
    context_id
        Its presentation context.
    command
        Elements of group 0 by number.
    dataset
        Encoded as the presentation context says; empty where there is none.
    """

    context_id: int
    command: Mapping[int, bytes]
    dataset: bytes = b""

    def number(self, element: int) -> int | None:
        """Give an element of VR US; None where it is absent or something else."""
        value = self.command.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == struct.calcsize("<H") else None

    @property
    def has_dataset(self) -> bool:
        """Whether a dataset follows the command set."""
        return self.number(DATASET_TYPE) != NO_DATASET


def command_set(elements: Mapping[int, str | int]) -> bytes:
    """Write a command set: Implicit VR Little Endian, group length first.

    Parameters
    ----------
    elements
        UIDs and numbers of VR US, in ascending order of their element numbers.

    Examples
    --------
    >>> command_set({0x0100: 0x0030}).hex()
    '00000000040000000a00000000000001020000003000'
    """
    body = b"".join(_element(number, value) for number, value in elements.items())
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _element(number: int, value: str | int) -> bytes:
    if isinstance(value, int):
        return struct.pack("<HHIH", 0, number, 2, value)
    raw = value.encode("ascii")
    raw += b"\0" * (len(raw) % 2)
    return struct.pack("<HHI", 0, number, len(raw)) + raw


def fragment_bytes(max_pdu_bytes: int) -> int:
    """Tell how much of a message fits into one PDU; an even number (PS3.8 Annex E.1)."""
    return (max_pdu_bytes - _FRAME_BYTES) & ~1


def command_pdu(context_id: int, command: bytes) -> bytes:
    """Put a command set into one PDU: it is shorter than the least that a peer must take."""
    return _head(context_id, len(command), _IS_COMMAND | _IS_LAST) + command


def dataset_pdus(
    context_id: int, block: memoryview, *, fragment: int, is_last: bool
) -> Iterator[bytes | memoryview]:
    """Part a block of a dataset into PDUs: head and fragment, again and again.

    Parameters
    ----------
    context_id
        Presentation context.
    block
        Part of a dataset; but for the last a multiple of `fragment`.
    fragment
        As `fragment_bytes` gives it.
    is_last
        Whether the dataset ends with the block.
    """
    for at in range(0, len(block), fragment):
        piece = block[at : at + fragment]
        ends = is_last and at + fragment >= len(block)
        yield _head(context_id, len(piece), _IS_LAST if ends else 0)
        yield piece


def _head(context_id: int, length: int, control: int) -> bytes:
    return _PDV_HEAD.pack(P_DATA_TF, 0, length + _FRAME_BYTES, length + 2, context_id, control)


class MessageReader:
    """Puts the fragments of one message together.

    Parameters
    ----------
    max_bytes
        Longest command set and dataset that are taken.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts = {_IS_COMMAND: bytearray(), 0: bytearray()}
        self._context_id: int | None = None
        self._command: dict[int, bytes] | None = None

    def take(self, body: bytes) -> Message | None:
        """Take what a P-DATA-TF PDU holds; give the message once it is whole.

        Raises
        ------
        Malformed
            If it is against PS3.8 section 9.3.5 and Annex E, or too long.
        """
        whole = None
        for context_id, control, fragment in _pdvs(body):
            if whole is not None or self._context_id not in {None, context_id}:
                raise Malformed
            self._context_id = context_id
            whole = self._fragment(control, fragment)
        return whole

    def _fragment(self, control: int, fragment: bytes) -> Message | None:
        kind = control & _IS_COMMAND
        if bool(kind) != (self._command is None):
            raise Malformed
        part = self._parts[kind]
        part += fragment
        if len(part) > self._max_bytes:
            raise Malformed
        if not control & _IS_LAST:
            return None
        if kind:
            self._command = read_command_set(bytes(part))
        message = Message(
            context_id=self._context_id or 0,
            command=self._command or {},
            dataset=bytes(self._parts[0]),
        )
        return None if kind and message.has_dataset else message


def _pdvs(body: bytes) -> Iterable[tuple[int, int, bytes]]:
    at = 0
    while at < len(body):
        if at + _FRAME_BYTES > len(body):
            raise Malformed
        length, context_id, control = struct.unpack_from(">IBB", body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):  # noqa: PLR2004 - the two bytes just read
            raise Malformed
        yield context_id, control, body[at + _FRAME_BYTES : end]
        at = end


def read_command_set(raw: bytes) -> dict[int, bytes]:
    """Read the elements of a command set by number; values as they are.

    Raises
    ------
    Malformed
        If an element is not of group 0, or breaks off.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        try:
            group, number, length = struct.unpack_from("<HHI", raw, at)
        except struct.error:
            raise Malformed from None
        value = at + 8
        at = value + length
        if group != 0 or at > len(raw):
            raise Malformed
        found[number] = raw[value:at]
    return found
