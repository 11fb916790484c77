"""Read what a JPEG or JPEG-LS stream tells before its samples, before a decoder believes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
_MARKER: Final = 0xFF
_FRAMES: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of Frame; the others of this row define tables or are reserved."""
_LOSSLESS: Final = 0xC3
_JPEG_LS: Final = 0xF7
_TABLES: Final = 0xC4
_SCAN: Final = 0xDA
_SHORTEST: Final = 8
"""Bytes of a frame header up to its number of components, its own length among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What a stream tells of its frame, ISO/IEC 10918-1 B.2.2 and 14495-1 C.2.2.

    Parameters
    ----------
    precision
        Bits of a sample.
    rows, columns, samples
        Size.
    """

    precision: int
    rows: int
    columns: int
    samples: int


def frame_header(stream: bytes) -> FrameHeader | None:
    """Find the frame header of a stream.

    Returns
    -------
    FrameHeader or None
        None if there is none; if what stands before the first scan is not one segment behind
        the other; if a lossless scan uses a Huffman table that is not defined by then, over
        which GDCM ends the process; or if a JPEG-LS stream is cut off, for which CharLS looks
        on and on.

    Examples
    --------
    >>> frame_header(bytes.fromhex("ffd8 ffc0 000b 08 0030 0040 01 011100 ffda 0008 01"))
    FrameHeader(precision=8, rows=48, columns=64, samples=1)
    >>> frame_header(b"nothing") is None
    True
    """
    at = 2 if stream.startswith(_START) else len(stream)
    found, kind, tables = None, 0, set[int]()
    while at + 4 <= len(stream) and stream[at] == _MARKER:
        segment = stream[at + 2 : at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")]
        marker = stream[at + 1]
        if marker == _SCAN:
            lacks_table = kind == _LOSSLESS and not _tables_used(segment) <= tables
            is_cut_off = kind == _JPEG_LS and not stream.rstrip(b"\0").endswith(_END)
            return None if lacks_table or is_cut_off else found
        if marker == _TABLES:
            tables |= _tables_defined(segment)
        if marker in _FRAMES and len(segment) >= _SHORTEST:
            kind = marker
            found = FrameHeader(
                precision=segment[2],
                rows=int.from_bytes(segment[3:5], "big"),
                columns=int.from_bytes(segment[5:7], "big"),
                samples=segment[7],
            )
        at += 2 + len(segment)
    return None


def _tables_defined(segment: bytes) -> set[int]:
    """List class and number of each Huffman table, ISO/IEC 10918-1 B.2.4.2."""
    found, at = set(), 2
    while at + 17 <= len(segment):
        end = at + 17 + sum(segment[at + 1 : at + 17])
        if end <= len(segment):
            found.add(segment[at])
        at = end
    return found


def _tables_used(segment: bytes) -> set[int]:
    """List the tables that a lossless scan uses, all of class 0, ISO/IEC 10918-1 B.2.3."""
    n_components = int.from_bytes(segment[2:3], "big")
    return {each >> 4 for each in segment[4 : 4 + 2 * n_components : 2]}
