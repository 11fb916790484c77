"""Command sets of DIMSE: what a peer asks, and the answers to it (PS3.7 section 9.3, annex E)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from deid_node.node.receive.pdu import Violation

C_STORE_RQ: Final = 0x0001
C_ECHO_RQ: Final = 0x0030
C_CANCEL_RQ: Final = 0x0FFF
IS_RESPONSE: Final = 0x8000
NO_DATASET: Final = 0x0101

LONGEST_COMMAND: Final = 4096
"""A C-STORE-RQ has less than 400 bytes."""

UID_SYNTAX: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_LENGTH: Final = 64
"""PS3.5 section 9.1."""

_GROUP_LENGTH: Final = 0x0000
_SOP_CLASS: Final = 0x0002
_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_RESPONDED_TO: Final = 0x0120
_DATASET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_SOP_INSTANCE: Final = 0x1000

_element = struct.Struct("<HHI")
_short = struct.Struct("<H")
_long = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a peer asks for.

    Parameters
    ----------
    field
        Command Field.
    message_id
        Its number; 0 for a C-CANCEL, which has none.
    has_dataset
        Whether a dataset follows.
    sop_class_uid, sop_instance_uid
        Affected SOP Class and Instance, as they came without padding; empty if not there.
    """

    field: int
    message_id: int
    has_dataset: bool
    sop_class_uid: str
    sop_instance_uid: str


def read_command(encoded: bytes) -> Command:
    """Decode a command set: Implicit VR Little Endian, group 0000, in ascending order.

    The originator of a move is not looked at: nothing here depends on who asked for it.

    Raises
    ------
    Violation
        If it is not exactly that, or what every request needs is missing.
    """
    elements = _elements(encoded)
    group_length = elements.get(_GROUP_LENGTH, b"")
    if len(group_length) != _long.size or _long.unpack(group_length)[0] != len(encoded) - 12:
        raise Violation
    field = _us(elements, _FIELD)
    is_numbered = field != C_CANCEL_RQ
    return Command(
        field=field,
        message_id=_us(elements, _MESSAGE_ID) if is_numbered else 0,
        has_dataset=_us(elements, _DATASET_TYPE) != NO_DATASET,
        sop_class_uid=_ui(elements, _SOP_CLASS),
        sop_instance_uid=_ui(elements, _SOP_INSTANCE),
    )


def write_response(request: Command, status: int) -> bytes:
    """Encode the answer to a request; a UID that is none is not repeated."""
    values = [
        (_SOP_CLASS, _padded(request.sop_class_uid)),
        (_FIELD, _short.pack(request.field | IS_RESPONSE)),
        (_MESSAGE_ID_RESPONDED_TO, _short.pack(request.message_id)),
        (_DATASET_TYPE, _short.pack(NO_DATASET)),
        (_STATUS, _short.pack(status)),
        (_SOP_INSTANCE, _padded(request.sop_instance_uid)),
    ]
    body = b"".join(
        _element.pack(0, number, len(value)) + value for number, value in values if value
    )
    return _element.pack(0, _GROUP_LENGTH, 4) + _long.pack(len(body)) + body


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID: digits and dots, at most 64."""
    return len(text) <= UID_LENGTH and UID_SYNTAX.fullmatch(text) is not None


def _elements(encoded: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    at, before = 0, -1
    while at < len(encoded):
        if at + _element.size > len(encoded):
            raise Violation
        group, number, length = _element.unpack_from(encoded, at)
        at += _element.size
        if group != 0 or number <= before or at + length > len(encoded):
            raise Violation
        elements[number] = encoded[at : at + length]
        before, at = number, at + length
    return elements


def _us(elements: dict[int, bytes], number: int) -> int:
    value = elements.get(number, b"")
    if len(value) != _short.size:
        raise Violation
    return int(_short.unpack(value)[0])


def _ui(elements: dict[int, bytes], number: int) -> str:
    return elements.get(number, b"").decode("ascii", "replace").rstrip("\0 ")


def _padded(uid: str) -> bytes:
    encoded = uid.encode("ascii") if is_uid(uid) else b""
    return encoded + b"\0" * (len(encoded) % 2)
