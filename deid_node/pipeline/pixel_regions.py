"""Take the text out of the pixels of one instance where its profile says that it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from deid_node.dicom.derivation import with_clean_pixels
from deid_node.dicom.part10 import turned_round
from deid_node.dicom.pixel_cleaning import blackened, decoded_pixels, native_pixels
from deid_node.dicom.pixel_format import pixel_format
from deid_node.dicom.uids import ENCAPSULATED
from deid_node.errors import PixelsUnusable
from deid_node.headers.confidentiality import Option
from deid_node.headers.level_scrub import Deed
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

    from deid_node.dicom.pixel_cleaning import Pixels
    from deid_node.dicom.rectangle import Rectangle

PIXELS_CLEANED: Final = Deed(
    path=(0x7FE00010,),
    action=Action.CLEAN,
    option=Option.CLEAN_PIXEL_DATA,
    departs=False,
    count=1,
)
"""From it follow 113101 and (0028,0301) NO."""

_NATIVE: Final = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
    }
)
_LOSSY: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})
_MAYBE_LOSSY: Final = frozenset({JPEGLSNearLossless, JPEG2000, HTJ2K})
"""Transfer Syntaxes that can also hold what lost nothing, PS3.5 A.4.3 and A.4.4."""


def with_black_regions(
    declared: Dataset, source: Dataset, rectangles: Sequence[Rectangle]
) -> Dataset:
    """Make rectangles of an instance black.

    Parameters
    ----------
    declared
        The scrubbed instance with the Pixel Data of its source; not changed.
    source
        As it was read, with its file meta information; describes the pixels.
    rectangles
        In every frame.

    Returns
    -------
    Dataset
        Derived, with uncompressed little endian Pixel Data.

    Raises
    ------
    MissingAttribute, PixelsUnusable
        If the pixels are not of a kind whose black is known, or cannot be decoded.
    """
    pixels = _pixels(declared, source)
    lossy = _is_lossy(source, _syntax(source))
    return with_clean_pixels(declared, blackened(pixels, rectangles), lossy=lossy)


def _pixels(declared: Dataset, source: Dataset) -> Pixels:
    syntax = _syntax(source)
    if not declared.get("PixelData") or "FloatPixelData" in declared:
        raise PixelsUnusable(why="Pixel Data is absent or of zero length", n_instances=1)
    if "DoubleFloatPixelData" in declared or syntax not in _NATIVE | ENCAPSULATED:
        raise PixelsUnusable(why="how Pixel Data is encoded is not known", n_instances=1)
    compressed = syntax in ENCAPSULATED
    form = pixel_format(source, compressed=compressed)
    if compressed:
        return decoded_pixels(declared.PixelData, form, syntax)
    if syntax == ExplicitVRBigEndian:
        return native_pixels(turned_round(declared["PixelData"], form.bits_allocated), form)
    return native_pixels(declared.PixelData, form)


def _syntax(source: Dataset) -> str:
    return str(source.file_meta.get("TransferSyntaxUID", ""))


def _is_lossy(source: Dataset, syntax: str) -> bool:
    """Whether the pixels were ever compressed with a loss, as far as can be told."""
    said = str(source.get("LossyImageCompression", ""))
    return said == "01" or syntax in _LOSSY or (syntax in _MAYBE_LOSSY and said != "00")
