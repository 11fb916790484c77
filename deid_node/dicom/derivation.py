"""What a defaced instance must say of its own pixels.

PS3.3 C.7.6.1.1.2 (Image Type), C.7.6.1 (derivation), C.7.6.3 (pixel description).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes

from deid_node.dicom.pixels import pixel_data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deid_node.dicom.pixel_cleaning import Pixels
    from deid_node.dicom.pixels import Words

FACE_REMOVED: Final = "Face removed by a pixel mask"
TEXT_REMOVED: Final = "Text removed by a pixel mask"
"""Derivation Descriptions; the sender's own text never stays."""

_RANGES: Final = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "SmallestImagePixelValueInPlane",
    "LargestImagePixelValueInPlane",
)
_OF_FRAGMENTS: Final = (
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "EncapsulatedPixelDataValueTotalLength",
)


def with_new_pixels(dataset: Dataset, words: Words, stored: NDArray[np.integer[Any]]) -> Dataset:
    """Put changed pixels into an instance and declare it derived.

    Parameters
    ----------
    dataset : Dataset
        The scrubbed instance; not changed.
    words : (rows, columns) ndarray of uint8 or uint16
        Its new pixel cells.
    stored : (rows, columns) ndarray of integer
        The same as stored values, from which smallest and largest are taken.

    Returns
    -------
    Dataset
        With uncompressed Pixel Data, Image Type ``DERIVED``, a derivation code, and true
        Smallest and Largest Image Pixel Value where the source had them.
    """
    derived = _derived(dataset, FACE_REMOVED)
    derived.add_new("PixelData", "OB" if words.itemsize == 1 else "OW", pixel_data(words))
    _restate_range(derived, stored)
    return derived


def with_clean_pixels(dataset: Dataset, pixels: Pixels, *, lossy: bool) -> Dataset:
    """Put pixels without text into an instance and declare it derived.

    Parameters
    ----------
    dataset
        The scrubbed instance; not changed.
    pixels
        Its new pixels.
    lossy
        Whether they were ever compressed with a loss.

    Returns
    -------
    Dataset
        With uncompressed Pixel Data and what describes it, Image Type ``DERIVED`` and a
        derivation code, without ranges of stored values.
    """
    derived = _derived(dataset, TEXT_REMOVED)
    form = pixels.form
    derived.PhotometricInterpretation = form.photometric
    if form.samples > 1:
        derived.PlanarConfiguration = int(form.planar)
    derived.add_new("PixelData", "OB" if form.cell.itemsize == 1 else "OW", pixels.content())
    if lossy:
        derived.LossyImageCompression = "01"
    for keyword in (*_RANGES, *_OF_FRAGMENTS):
        if keyword in derived:
            del derived[keyword]
    return derived


def _derived(dataset: Dataset, description: str) -> Dataset:
    """Copy a dataset and say that its pixels are derived."""
    derived = Dataset()
    derived.update(dataset)
    said = dataset.get("ImageType") or ["DERIVED", "PRIMARY"]
    image_type = [said] if isinstance(said, str) else list(said)
    derived.ImageType = ["DERIVED", *image_type[1:]]
    derived.DerivationDescription = description
    derived.DerivationCodeSequence = DicomSequence([_code_item()])
    return derived


def _code_item() -> Dataset:
    """Give code 113047 of CID 7203."""
    item = Dataset()
    concept = codes.cid7203.PixelByPixelMask
    item.CodeValue = concept.value
    item.CodingSchemeDesignator = concept.scheme_designator
    item.CodeMeaning = concept.meaning
    return item


def _restate_range(derived: Dataset, stored: NDArray[np.integer[Any]]) -> None:
    """Correct or drop the attributes that state a range of stored values."""
    vr = "SS" if derived.PixelRepresentation == 1 else "US"
    for keyword, value in (
        ("SmallestImagePixelValue", stored.min()),
        ("LargestImagePixelValue", stored.max()),
    ):
        if keyword in derived:
            derived.add_new(keyword, vr, int(value))
    for keyword in ("SmallestPixelValueInSeries", "LargestPixelValueInSeries"):
        if keyword in derived:
            del derived[keyword]
