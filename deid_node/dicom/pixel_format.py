"""How the pixels of an instance are laid out, as far as text in them can be made black."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.errors import MissingAttribute, PixelsUnusable

if TYPE_CHECKING:
    from pydicom import Dataset

SAMPLES: Final = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3, "YBR_FULL": 3}
"""Samples per pixel of each Photometric Interpretation that has a known black."""

_ONLY_COMPRESSED: Final = frozenset({"YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
"""Photometric Interpretations that become one of `SAMPLES` when they are decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """Layout of Pixel Data, PS3.3 C.7.6.3 and PS3.5 section 8.

    Parameters
    ----------
    frames, rows, columns
        Size.
    samples
        1, or 3 for colours.
    photometric
        Photometric Interpretation.
    planar
        Whether each colour of a frame is a plane of its own.
    bits_allocated
        8 or 16 bits of a cell.
    bits_stored
        How many of them, from the lowest, are the stored value.
    signed
        Whether stored values are two's complement.
    """

    frames: int
    rows: int
    columns: int
    samples: int
    photometric: str
    planar: bool
    bits_allocated: int
    bits_stored: int
    signed: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the cells: frames and rows, columns, samples; or frames, samples, rows, columns."""
        if self.planar:
            return (self.frames, self.samples, self.rows, self.columns)
        return (self.frames, self.rows, self.columns, self.samples)

    @property
    def cell(self) -> np.dtype[np.unsignedinteger]:
        """Type of a cell in little endian order."""
        return np.dtype(f"<u{self.bits_allocated // 8}")

    @property
    def black(self) -> tuple[int, ...]:
        """Cell of each sample of a black pixel; bits above High Bit are zero.

        MONOCHROME1 shows the greatest stored value black, all others of grey the smallest
        (PS3.3 C.7.6.3.1.2). A colour of YBR_FULL is none at half of the full scale.
        """
        half = 1 << (self.bits_stored - 1)
        least, greatest = (half, half - 1) if self.signed else (0, 2 * half - 1)
        return {
            "MONOCHROME1": (greatest,),
            "MONOCHROME2": (least,),
            "RGB": (0, 0, 0),
            "YBR_FULL": (0, half, half),
        }[self.photometric]


def pixel_format(instance: Dataset, *, compressed: bool) -> PixelFormat:
    """Read the layout of an instance's Pixel Data.

    Parameters
    ----------
    instance
        As it came.
    compressed
        Whether its Pixel Data is to be decoded first: Planar Configuration does not count then.

    Raises
    ------
    MissingAttribute
        If an attribute of the layout is missing or is no number.
    PixelsUnusable
        If the layout is one whose black is not known for sure.
    """
    if (
        "SharedFunctionalGroupsSequence" in instance
        or "PerFrameFunctionalGroupsSequence" in instance
    ):
        raise _unusable("frames that describe themselves cannot be cleaned")
    photometric = str(instance.get("PhotometricInterpretation", ""))
    samples = _number(instance, "SamplesPerPixel")
    known = {**SAMPLES, **dict.fromkeys(_ONLY_COMPRESSED, 3)} if compressed else SAMPLES
    if known.get(photometric) != samples:
        raise _unusable("which stored value is black is not known for these colours")
    allocated, stored = _number(instance, "BitsAllocated"), _number(instance, "BitsStored")
    if allocated not in {8, 16} or not 0 < stored <= allocated:
        raise _unusable("only pixels of 8 or 16 bits can be cleaned")
    if _number(instance, "HighBit") != stored - 1:
        raise _unusable("High Bit is not Bits Stored - 1")
    planar = _number(instance, "PlanarConfiguration") if samples > 1 and not compressed else 0
    signed = _number(instance, "PixelRepresentation")
    if not {planar, signed} <= {0, 1} or (signed and samples > 1):
        raise _unusable("Planar Configuration or Pixel Representation is none of the standard's")
    frames = _number(instance, "NumberOfFrames") if "NumberOfFrames" in instance else 1
    rows, columns = _number(instance, "Rows"), _number(instance, "Columns")
    if min(frames, rows, columns) < 1:
        raise _unusable("it has no frame, row or column")
    return PixelFormat(
        frames=frames,
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        planar=planar == 1,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=signed == 1,
    )


def _number(instance: Dataset, keyword: str) -> int:
    try:
        return int(instance[keyword].value)
    except Exception:  # noqa: BLE001 - pydicom raises many kinds, and their text quotes values
        raise MissingAttribute(keyword=keyword, n_instances=1) from None


def _unusable(why: str) -> PixelsUnusable:
    return PixelsUnusable(why=why, n_instances=1)
