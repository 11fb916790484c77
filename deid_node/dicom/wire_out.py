"""Write elements as Explicit VR Little Endian, PS3.5 section 7.1.2 and A.2."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from deid_node.dicom.wire import LONG_VRS, Unsuited

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NUMBERS: Final = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
_BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_LONGEST: Final = 0xFFFE
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"

_head = struct.Struct("<HH2sH").pack
_long_head = struct.Struct("<HH2sHI").pack
_item_head = struct.Struct("<HHI").pack


def element(tag: int, vr: str, values: Sequence[object]) -> bytes:
    """Write one element that is no sequence.

    Parameters
    ----------
    tag, vr
        Which, and how it is written.
    values
        Strings, numbers, or one value of bytes, as the VR asks; none for an empty element.

    Raises
    ------
    Unsuited
        If the VR cannot hold them.
    """
    if vr in _BYTES:
        return with_head(tag, vr, _padded(_one_of_bytes(values), b"\0"))
    if vr == "AT":
        return with_head(tag, vr, b"".join(_attribute_tag(value) for value in values))
    if vr in _NUMBERS:
        try:
            return with_head(tag, vr, struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *values))
        except struct.error:
            raise Unsuited from None
    words = [str(value) for value in values]
    if vr == "PN":
        words = [word.rstrip("=") for word in words]
    text = "\\".join(words).encode("utf-8", "surrogatepass")
    return with_head(tag, vr, _padded(text, b"\0" if vr == "UI" else b" "))


def sequence(tag: int, items: Iterable[Iterable[bytes]]) -> bytes:
    """Write a sequence with the written elements of its items, all of defined length."""
    bodies = [b"".join(each) for each in items]
    written = [part for body in bodies for part in (_item_head(0xFFFE, 0xE000, len(body)), body)]
    return with_head(tag, "SQ", b"".join(written))


def fragments(tag: int, vr: str, value: bytes) -> bytes:
    """Write Pixel Data in fragments (PS3.5 A.4), from the first item to the last."""
    head = _long_head(tag >> 16, tag & 0xFFFF, vr.encode("ascii"), 0, 0xFFFFFFFF)
    return head + value + _SEQUENCE_END


def with_head(tag: int, vr: str, value: bytes) -> bytes:
    """Write a value of even length behind its tag, VR and length.

    Raises
    ------
    Unsuited
        If the value is too long for the VR.
    """
    written = vr.encode("ascii")
    if written in LONG_VRS:
        return _long_head(tag >> 16, tag & 0xFFFF, written, 0, len(value)) + value
    if len(value) > _LONGEST:
        raise Unsuited
    return _head(tag >> 16, tag & 0xFFFF, written, len(value)) + value


def is_empty(written: bytes) -> bool:
    """Whether a written element has no value."""
    return len(written) == (12 if written[4:6] in LONG_VRS else 8)


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Write preamble, prefix and file meta information of our own, PS3.10 section 7.1."""
    meta = b"".join(
        (
            element(0x00020001, "OB", (b"\0\1",)),
            element(0x00020002, "UI", (sop_class_uid,)),
            element(0x00020003, "UI", (sop_instance_uid,)),
            element(0x00020010, "UI", (transfer_syntax_uid,)),
            element(0x00020012, "UI", (IMPLEMENTATION_CLASS_UID,)),
            element(0x00020013, "SH", (IMPLEMENTATION_VERSION_NAME,)),
        )
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", (len(meta),)) + meta


def _one_of_bytes(values: Sequence[object]) -> bytes:
    value = values[0] if values else b""
    if len(values) > 1 or not isinstance(value, bytes):
        raise Unsuited
    return value


def _attribute_tag(value: object) -> bytes:
    if not isinstance(value, int):
        raise Unsuited
    return struct.pack("<HH", value >> 16, value & 0xFFFF)


def _padded(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value
