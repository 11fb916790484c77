"""Write Siemens' CSA image header (0029,xx10) anew, from its numbers alone.

The header is bytes to DICOM, and bytes never stay: text, names and memory that was not cleared
lie among its numbers. But some numbers are nowhere else: the polarity of phase encoding, and on
old software the number of images in a mosaic, slice times, b-value and gradient. So the bytes
go, and a new header is written from what is on a list here, is a number in a range that it can
have, and is read by the layout without any doubt. Nothing else of the old one is carried over.

Two layouts are read, CSA2 (it begins with ``SV10``) and CSA1; CSA2 is written. All is little
endian: the number of tags and the number 77; then for each tag a name of 64 bytes, value
multiplicity, VR, a number for the type, the number of items and a mark; then for each item four
integers, of which the second (CSA2) or the first less the number of items of the first tag
(CSA1) is its length, and the value, filled up to a multiple of four bytes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

KIND: Final = "CSA"
"""What a profile calls an element that is such a header, beside the VRs of numbers."""

MOST_TAGS: Final = 512
MOST_ITEMS: Final = 1024

_NUMBER: Final = re.compile(rb"(-?(?:0|[1-9][0-9]{0,7})(?:\.[0-9]{1,8})?) *\0*")
_CODE: Final = re.compile(rb"(DIRECTIONAL|NONE|ISOTROPIC|BMATRIX) *\0*")
_FILLED, _EMPTY = 77, 205
_MARKS: Final = frozenset({_FILLED, _EMPTY})
_MAGIC: Final = b"SV10"
_FEWEST_ITEMS: Final = 6
"""Items of a tag as scanners write it; dcm2niix reads three whatever their number is."""
_NAME_WORDS: Final = 16
_TAG_WORDS: Final = 21
_ITEM_WORDS: Final = 4
_N_ITEMS, _MARK = 19, 20
"""Places in a tag, in words of four bytes."""
_TYPES: Final = {"IS": 6, "US": 10, "DS": 3, "FD": 4, "CS": 16}
"""The number that stands for a VR."""

_tag = struct.Struct("<64si4s3i").pack
_item = struct.Struct("<4i").pack
_EMPTY_ITEM: Final = _item(0, 0, _EMPTY, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A tag that stays.

    Parameters
    ----------
    vr
        As scanners write it.
    n_values
        How many values it has; 0 for any number of them.
    least, greatest
        Range of the values, in the tag's own unit; both 0 for a known code.
    why
        Who reads it.
    """

    vr: str
    n_values: int
    least: float
    greatest: float
    why: str


KEPT: Final = {
    "B_value": Kept(vr="IS", n_values=1, least=0, greatest=200_000, why="b-value in s/mm²"),
    "ProtocolSliceNumber": Kept(
        vr="IS", n_values=1, least=0, greatest=9_999, why="order of slices in time"
    ),
    "RealDwellTime": Kept(
        vr="IS", n_values=1, least=0, greatest=9_999_999, why="dwell time in ns, distortion"
    ),
    "SliceMeasurementDuration": Kept(
        vr="DS", n_values=1, least=0, greatest=14_400_000, why="time of a slice in ms"
    ),
    "PhaseEncodingDirectionPositive": Kept(
        vr="IS", n_values=1, least=0, greatest=1, why="polarity of phase encoding, BIDS needs it"
    ),
    "NumberOfImagesInMosaic": Kept(
        vr="US", n_values=1, least=1, greatest=4_096, why="which tiles of a mosaic are slices"
    ),
    "DiffusionGradientDirection": Kept(
        vr="FD", n_values=3, least=-1.001, greatest=1.001, why="unit vector"
    ),
    "SliceNormalVector": Kept(
        vr="FD", n_values=3, least=-1.001, greatest=1.001, why="order of the slices of a mosaic"
    ),
    "DiffusionDirectionality": Kept(
        vr="CS", n_values=1, least=0, greatest=0, why="whether there is a gradient"
    ),
    "TimeAfterStart": Kept(
        vr="DS", n_values=1, least=0, greatest=86_400, why="time since the first image in s"
    ),
    "B_matrix": Kept(
        vr="FD", n_values=6, least=-200_000, greatest=200_000, why="b-matrix in s/mm²"
    ),
    "BandwidthPerPixelPhaseEncode": Kept(
        vr="FD", n_values=1, least=0, greatest=100_000, why="echo spacing, from Hz"
    ),
    "MosaicRefAcqTimes": Kept(
        vr="FD", n_values=0, least=-600_000, greatest=600_000, why="slice times in ms"
    ),
}
"""In the order in which scanners write them."""

_BY_NAME: Final = {name.encode("ascii"): kept for name, kept in KEPT.items()}
START: Final = _MAGIC + b"\4\3\2\1"
"""What a header that was made here begins with."""
NAMES: Final = tuple(name + b"\0" for name in _BY_NAME)
"""Names as they are written; nothing of the old header is in them."""

_Values = dict[bytes, tuple[bytes, ...]]


class _Doubt(ValueError):
    """The bytes are not laid out as such a header is."""


def rebuilt(value: bytes) -> bytes | None:
    """Make a new header of the numbers of an old one.

    Parameters
    ----------
    value
        Value of the element.

    Returns
    -------
    bytes or None
        CSA2, with zeros wherever nothing is said; None if the layout leaves any doubt or no
        number of the list is in it. A header that was made here gives itself.

    Examples
    --------
    >>> rebuilt(b"IMAGE NUM 4 ") is None
    True
    """
    try:
        found = _numbers_in(value)
    except (_Doubt, IndexError):
        return None
    return _written(found) if found else None


def _numbers_in(value: bytes) -> _Values:
    """Read the tags of the list; one whose values are not what it promises is left out."""
    words = struct.unpack(f"<{len(value) // 4}I", value[: len(value) // 4 * 4])
    at = 2 if value[:4] == _MAGIC else 0
    n_tags, mark = words[at], words[at + 1]
    if not 0 < n_tags <= MOST_TAGS or mark != _FILLED:
        raise _Doubt
    excess = None if at else words[2 + _N_ITEMS]
    at += 2
    found: _Values = {}
    for _ in range(n_tags):
        end = value.find(b"\0", at * 4, (at + _NAME_WORDS) * 4)
        n_items = words[at + _N_ITEMS]
        if end < 0 or n_items > MOST_ITEMS or words[at + _MARK] not in _MARKS:
            raise _Doubt
        name = value[at * 4 : end]
        spans, at = _items(words, at + _TAG_WORDS, n_items, excess)
        kept = _BY_NAME.get(name)
        if kept and name in found:
            raise _Doubt
        if kept:
            found[name] = _sound([value[start:stop] for start, stop in spans], kept)
    if at > len(words):
        raise _Doubt
    return {name: values for name, values in found.items() if values}


def _items(
    words: tuple[int, ...], at: int, n_items: int, excess: int | None
) -> tuple[list[tuple[int, int]], int]:
    """Find where the items of a tag lie, in bytes, and in which word the next tag begins."""
    spans = []
    for _ in range(n_items):
        length = words[at + 1] if excess is None else words[at] - excess
        if length < 0 or words[at + 2] not in _MARKS:
            raise _Doubt
        at += _ITEM_WORDS
        spans.append((at * 4, at * 4 + length))
        at += length + 3 >> 2
    return spans, at


def _sound(items: list[bytes], kept: Kept) -> tuple[bytes, ...]:
    """Give the values as they are written, without padding; none if one is not sound."""
    while items and not items[-1]:
        items.pop()
    if kept.n_values not in {0, len(items)}:
        return ()
    pattern = _CODE if kept.vr == "CS" else _NUMBER
    matches = [pattern.fullmatch(each) for each in items]
    values = tuple(match[1] for match in matches if match)
    if len(values) < len(items):
        return ()
    if pattern is _NUMBER:
        whole = kept.vr in {"IS", "US"}
        for each in values:
            if not kept.least <= float(each) <= kept.greatest or (whole and b"." in each):
                return ()
    return values


def _written(found: _Values) -> bytes:
    """Write a CSA2 header."""
    parts = [START, struct.pack("<2i", len(found), _FILLED)]
    for name, kept in _BY_NAME.items():
        values = found.get(name)
        if values is None:
            continue
        n_items = max(len(values), _FEWEST_ITEMS)
        vr, kind = kept.vr.encode("ascii"), _TYPES[kept.vr]
        parts.append(_tag(name, kept.n_values, vr, kind, n_items, _FILLED))
        for each in values:
            length = len(each) + 1
            parts.append(_item(length, length, _FILLED, length))
            parts.append(each + bytes(4 - len(each) % 4))
        parts.append(_EMPTY_ITEM * (n_items - len(values)))
    return b"".join(parts)
