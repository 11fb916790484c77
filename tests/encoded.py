"""Elements, sequences and files as bytes, written by the letter of PS3.5 and PS3.10."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
LONG = {"OB", "OW", "SQ", "UC", "UN", "UT"}
UNDEFINED = 0xFFFFFFFF


def element(tag: int, vr: str, value: bytes, *, explicit: bool, length: int | None = None) -> bytes:
    """Write one element by the letter of PS3.5 7.1."""
    value += b" " * (len(value) % 2)
    length = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<I", length) + value
    if vr in LONG:
        return head + vr.encode() + struct.pack("<HI", 0, length) + value
    return head + vr.encode() + struct.pack("<H", length) + value


def sequence(
    tag: int, vr: str, entries: Sequence[bytes], *, explicit: bool, undefined: bool
) -> bytes:
    """Write a sequence; items and the sequence itself of defined length, or of undefined."""
    if not undefined:
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(e)) + e for e in entries)
        return element(tag, vr, value, explicit=explicit)
    opening = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    value = b"".join(opening + entry + closing for entry in entries)
    value += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(tag, vr, value, explicit=explicit, length=UNDEFINED)


def file_of(content: bytes, syntax: str = EXPLICIT) -> bytes:
    sop_class = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.4", explicit=syntax != IMPLICIT)
    meta = element(0x00020010, "UI", syntax.encode() + b"\0" * (len(syntax) % 2), explicit=True)
    length = element(0x00020000, "UL", struct.pack("<I", len(meta)), explicit=True)
    return bytes(128) + b"DICM" + length + meta + sop_class + content
