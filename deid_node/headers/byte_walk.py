"""Walk over the bytes of a Part 10 file, for the second look; shares no code with the scrubber.

Little Endian only, Explicit and Implicit VR. Whatever does not add up to the last byte is
`Unwalkable`, and whoever asked must look in another way.

References
----------
PS3.5 sections 6.2.2, 7.1, 7.5 and A.4; PS3.10 section 7.1.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from deid_node.headers.needles import TELLING, TELLING_VRS

_DATASET_STARTS: Final = 132
_IMPLICIT: Final = b"1.2.840.10008.1.2"
_NOT_WALKED: Final = frozenset({b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"})
"""Explicit VR Big Endian and Deflated Explicit VR Little Endian."""
_UNDEFINED: Final = 0xFFFFFFFF
_DEEPEST: Final = 64

_LONG: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT: Final = frozenset(
    f"{vr}".encode()
    for vr in [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    ]
)
_SKIPPED: Final = _SHORT - {vr.encode() for vr in TELLING_VRS}
"""Short VRs that tell nothing unless their tag is one of `TELLING`."""

_HEAD: Final = struct.Struct("<I2sH").unpack_from
_TAG_AND_LENGTH: Final = struct.Struct("<II").unpack_from
_LENGTH: Final = struct.Struct("<I").unpack_from


def _little(tag: int) -> int:
    """Turn a tag into the number that its four bytes are in Little Endian."""
    return (tag & 0xFFFF) << 16 | tag >> 16


_ITEM: Final = _little(0xFFFEE000)
_ITEM_BYTES: Final = b"\xfe\xff\x00\xe0"
_ITEM_END: Final = _little(0xFFFEE00D)
_SEQUENCE_END: Final = _little(0xFFFEE0DD)
_PIXEL_DATA: Final = _little(0x7FE00010)
_CHARACTER_SET: Final = _little(0x00080005)
_TRANSFER_SYNTAX: Final = _little(0x00020010)
_TELLING: Final = frozenset(map(_little, TELLING))
_WATCHED: Final = _TELLING | {_CHARACTER_SET}


class Unwalkable(ValueError):
    """The bytes are not what this walk understands."""


class _Inside(NamedTuple):
    """What holds for the elements of one dataset or item."""

    explicit: bool
    depth: int
    charsets: tuple[bytes, ...]


class Walk:
    """What one instance says that may tell a person.

    Parameters
    ----------
    part10
        A Part 10 file.

    Attributes
    ----------
    uids
        Tag and value of each element of VR UI; the dict is a set in order. Tags are as in
        `texts`: numbers read from four bytes in Little Endian.
    texts
        Tag, VR, value and character sets in force of every other element that may tell.

    Raises
    ------
    Unwalkable
        If a length, a delimiter or the Transfer Syntax is not as it should be.
    """

    __slots__ = ("_raw", "texts", "uids")

    def __init__(self, part10: bytes) -> None:
        self._raw = part10
        self.uids: dict[tuple[int, bytes], None] = {}
        self.texts: dict[tuple[int, str, bytes, tuple[bytes, ...]], None] = {}
        try:
            start, syntax = _meta(part10)
            explicit = syntax != _IMPLICIT
            known = syntax.startswith(_IMPLICIT) and syntax not in _NOT_WALKED
            if not known or _looks_explicit(part10, start) is not explicit:
                raise Unwalkable
            self._level(start, len(part10), _Inside(explicit, 0, ()), is_open=False)
        except struct.error:
            raise Unwalkable from None

    def _level(self, position: int, stop: int, inside: _Inside, *, is_open: bool) -> int:
        """Walk over the elements of a dataset or item; give the position after it."""
        raw, explicit, n_before = self._raw, inside.explicit, len(self.texts)
        while position < stop:
            tag, vr, short = _HEAD(raw, position)
            if explicit and vr in _SKIPPED and tag not in _WATCHED:
                position += 8 + short
                continue
            if tag == _ITEM_END and is_open:
                return position + 8
            name, start, length = _read(raw, position, explicit=explicit)
            if length == _UNDEFINED or name == "SQ":
                end = None if length == _UNDEFINED else start + length
                position = self._nested(tag, name, start, end or stop, inside, is_open=end is None)
                continue
            position = start + length
            if tag == _CHARACTER_SET and len(self.texts) == n_before:
                inside = inside._replace(charsets=(*inside.charsets, raw[start:position]))
            else:
                self._note(tag, name, start, position, inside)
        if position != stop or is_open:
            raise Unwalkable
        return position

    def _note(self, tag: int, name: str, start: int, stop: int, inside: _Inside) -> None:
        """Remember a value if it may tell a person."""
        value = self._raw[start:stop]
        if tag == _CHARACTER_SET:
            raise Unwalkable  # names were read before it was known how
        if name == "UI":
            self.uids[tag, value] = None
        elif name in TELLING_VRS or tag in _TELLING:
            self.texts[tag, name, _shortened(name, value), inside.charsets] = None
        elif name == "UN" and value[:4] == _ITEM_BYTES:
            self._guess(start, stop, inside)

    def _nested(
        self, tag: int, name: str, start: int, stop: int, inside: _Inside, *, is_open: bool
    ) -> int:
        """Walk over a sequence, or over fragments; give the position after it."""
        if tag == _PIXEL_DATA and inside.depth == 0:
            return end_of_fragments(self._raw, start)
        if name not in {"SQ", "UN"} or inside.depth > _DEEPEST:
            raise Unwalkable
        return self._sequence(start, stop, inside, is_open=is_open)

    def _sequence(self, position: int, stop: int, inside: _Inside, *, is_open: bool) -> int:
        """Walk over items; each may be in Implicit VR inside an Explicit VR dataset."""
        while position < stop:
            tag, length = _TAG_AND_LENGTH(self._raw, position)
            position += 8
            if tag == _SEQUENCE_END and is_open:
                return position
            end = stop if length == _UNDEFINED else position + length
            if tag != _ITEM:
                raise Unwalkable
            explicit = inside.explicit and (
                length == 0 or _looks_explicit(self._raw, position) is not False
            )
            within = _Inside(explicit, inside.depth + 1, inside.charsets)
            position = self._level(position, end, within, is_open=length == _UNDEFINED)
        if position != stop or is_open:
            raise Unwalkable
        return position

    def _guess(self, start: int, stop: int, inside: _Inside) -> None:
        """Walk over a value that begins like a sequence; if it is none, it tells nothing."""
        uids, texts = dict(self.uids), dict(self.texts)
        try:
            self._nested(0, "SQ", start, stop, inside, is_open=False)
        except (Unwalkable, struct.error):
            self.uids, self.texts = uids, texts


def pixel_span(part10: bytes) -> tuple[int, int]:
    """Where the value of Pixel Data lies in a file in Explicit VR Little Endian.

    Returns
    -------
    tuple of int
        First byte, and the one after the last; an empty span at the end of the file if it
        has none or cannot be walked.
    """
    nowhere = (len(part10), len(part10))
    if part10[128:132] != b"DICM":
        return nowhere
    position, stop = _DATASET_STARTS, len(part10)
    try:
        while position < stop:
            tag, vr, short = _HEAD(part10, position)
            if vr in _SHORT:
                position += 8 + short
                continue
            _, start, length = _read(part10, position, explicit=True)
            end = start + length
            if length == _UNDEFINED:
                pixels = tag == _PIXEL_DATA
                end = end_of_fragments(part10, start) if pixels else _end_of_items(part10, start)
            if tag == _PIXEL_DATA:
                return (start, end) if end <= stop else nowhere
            position = end
    except (struct.error, Unwalkable):
        pass
    return nowhere


def end_of_fragments(part10: bytes, position: int) -> int:
    """Skip the fragments of encapsulated Pixel Data and their delimiter (PS3.5 A.4)."""
    while True:
        tag, length = _TAG_AND_LENGTH(part10, position)
        position += 8
        if tag == _SEQUENCE_END:
            return position
        if tag != _ITEM or length == _UNDEFINED:
            raise Unwalkable
        position += length


def _end_of_items(part10: bytes, position: int) -> int:
    """Skip a sequence of undefined length and its delimiter."""
    n_open = 1
    while n_open:
        tag, length = _TAG_AND_LENGTH(part10, position)
        if tag in {_SEQUENCE_END, _ITEM_END}:
            n_open -= 1
            position += 8
        elif tag == _ITEM:
            position += 8 + (0 if length == _UNDEFINED else length)
            n_open += length == _UNDEFINED
        else:
            _, start, length = _read(part10, position, explicit=True)
            position = start + (0 if length == _UNDEFINED else length)
            n_open += length == _UNDEFINED
    return position


def _read(raw: bytes, position: int, *, explicit: bool) -> tuple[str, int, int]:
    """VR, start of the value and its length; a UN of the dictionary gets its VR."""
    tag, vr, short = _HEAD(raw, position)
    if not explicit:
        return _vr_of(tag), position + 8, _LENGTH(raw, position + 4)[0]
    if vr in _LONG:
        name = _vr_of(tag) if vr == b"UN" else vr.decode()
        return name, position + 12, _LENGTH(raw, position + 8)[0]
    if vr not in _SHORT:
        raise Unwalkable
    return vr.decode(), position + 8, short


def _meta(part10: bytes) -> tuple[int, bytes]:
    """Where the dataset starts, and its Transfer Syntax."""
    if part10[128:132] != b"DICM":
        raise Unwalkable
    position, syntax = _DATASET_STARTS, b""
    while position < len(part10) and part10[position : position + 2] == b"\x02\x00":
        (tag,) = _LENGTH(part10, position)
        _, start, length = _read(part10, position, explicit=True)
        position = start + length
        if tag == _TRANSFER_SYNTAX:
            syntax = part10[start:position].rstrip(b"\0 ")
    return position, syntax


def _looks_explicit(raw: bytes, position: int) -> bool | None:
    """Whether two capital letters stand where a VR would; None at the end of the bytes."""
    vr = raw[position + 4 : position + 6]
    return vr.isalpha() and vr.isupper() if len(vr) == 2 else None  # noqa: PLR2004 - a VR's length


def _shortened(vr: str, value: bytes) -> bytes:
    """Of one date and time only the date: the rest differs in every instance and tells less."""
    return value[:8] if vr == "DT" and b"\\" not in value and value[:1] != b" " else value


@lru_cache(maxsize=8192)
def _vr_of(little: int) -> str:
    """VR of the dictionary, or UN."""
    tag = (little & 0xFFFF) << 16 | little >> 16
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
