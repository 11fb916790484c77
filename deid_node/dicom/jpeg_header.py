"""Read the size that a JPEG or JPEG-LS stream tells, before a decoder believes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_START: Final = b"\xff\xd8"
_MARKER: Final = 0xFF
_FRAMES: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of Frame; the others of this row define tables or are reserved."""
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
        None if there is none, or if what stands before the first scan is not one segment
        behind the other.

    Examples
    --------
    >>> frame_header(bytes.fromhex("ffd8 ffc0 000b 08 0030 0040 01 011100 ffda 0008 01"))
    FrameHeader(precision=8, rows=48, columns=64, samples=1)
    >>> frame_header(b"nothing") is None
    True
    """
    at = 2 if stream.startswith(_START) else len(stream)
    found = None
    while at + 4 <= len(stream) and stream[at] == _MARKER:
        segment = stream[at + 2 : at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")]
        if stream[at + 1] == _SCAN:
            return found
        if stream[at + 1] in _FRAMES and len(segment) >= _SHORTEST:
            found = FrameHeader(
                precision=segment[2],
                rows=int.from_bytes(segment[3:5], "big"),
                columns=int.from_bytes(segment[5:7], "big"),
                samples=segment[7],
            )
        at += 2 + len(segment)
    return None
