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

UID_SYNTAX: Final = re.compile(r"[0-9]++(?:\.[0-9]++)*+")
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
_four_shorts = struct.Struct("<" + 4 * "HHIH")


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
    numbers = _four_shorts.pack(
        *(0, _FIELD, 2, request.field | IS_RESPONSE),
        *(0, _MESSAGE_ID_RESPONDED_TO, 2, request.message_id),
        *(0, _DATASET_TYPE, 2, NO_DATASET),
        *(0, _STATUS, 2, status),
    )
    sop_class = _uid_element(_SOP_CLASS, request.sop_class_uid)
    body = sop_class + numbers + _uid_element(_SOP_INSTANCE, request.sop_instance_uid)
    return _element.pack(0, _GROUP_LENGTH, 4) + _long.pack(len(body)) + body


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID: digits and dots, at most 64."""
    return len(text) <= UID_LENGTH and UID_SYNTAX.fullmatch(text) is not None


def _elements(encoded: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    at, before, end = 0, -1, len(encoded)
    while at < end:
        if at + _element.size > end:
            raise Violation
        group, number, length = _element.unpack_from(encoded, at)
        value = at + _element.size
        at = value + length
        if group != 0 or number <= before or at > end:
            raise Violation
        elements[number] = encoded[value:at]
        before = number
    return elements


def _us(elements: dict[int, bytes], number: int) -> int:
    value = elements.get(number, b"")
    if len(value) != _short.size:
        raise Violation
    return int(_short.unpack(value)[0])


def _ui(elements: dict[int, bytes], number: int) -> str:
    return elements.get(number, b"").decode("ascii", "replace").rstrip("\0 ")


def _uid_element(number: int, uid: str) -> bytes:
    if not is_uid(uid):
        return b""
    encoded = uid.encode("ascii") + b"\0" * (len(uid) % 2)
    return _element.pack(0, number, len(encoded)) + encoded
