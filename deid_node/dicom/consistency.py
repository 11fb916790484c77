"""Decide whether instances are one volume of one patient, and say why not.

Looks at attributes only. Everything that is doubtful is held: a mixed series cut into
the wrong volumes would leave a face where the mask is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.dicom.uids import DEFACEABLE, sop_class_name
from deid_node.errors import MissingAttribute, MixedSeries, PixelsUnusable, UnsupportedSOPClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

ONE_VALUE: Final = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PhotometricInterpretation",
)
"""Attributes of which a volume has exactly one value; Type 1 in MR Image Storage."""

SAME_IN_SERIES: Final = ("PatientID", "PatientName", *ONE_VALUE)
"""Attributes that may not differ within a volume (PS3.3 C.7, C.7.6.3)."""

NEEDED: Final = ("SOPInstanceUID", *ONE_VALUE)
"""Attributes without which voxels cannot be placed or read."""

NUMBERS: Final = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""Numeric attributes that place a slice, with their multiplicity (PS3.3 C.7.6.2)."""

COSINE_TOLERANCE: Final = 1e-3
"""How far direction cosines may be from orthonormal."""

SAME_NUMBER: Final = 1e-4
"""Largest difference of cosines or spacings that is still rounding."""


def check_consistency(instances: Sequence[Dataset]) -> None:
    """Refuse or hold instances that are not one grey MR volume.

    Parameters
    ----------
    instances : sequence of Dataset
        Instances that bear one Series Instance UID, in any order.

    Raises
    ------
    UnsupportedSOPClass
        If one is not of a SOP Class that can be defaced.
    MissingAttribute
        If a needed attribute is absent, empty or not a finite number.
    MixedSeries
        If an attribute that a volume has once differs.
    PixelsUnusable
        If instances hold several frames or several samples per pixel.
    """
    for instance in instances:
        if instance.SOPClassUID not in DEFACEABLE:
            raise UnsupportedSOPClass(sop_class=sop_class_name(str(instance.SOPClassUID)))
    for keyword in NEEDED:
        _need(keyword, [str(each.get(keyword, "")).strip() != "" for each in instances])
    for keyword, count in NUMBERS.items():
        _need(keyword, [_is_usable(each, keyword, count) for each in instances])
    _need("ImageOrientationPatient", [_is_orthonormal(each) for each in instances])
    for keyword in SAME_IN_SERIES:
        n_values = len({str(each.get(keyword, "")) for each in instances})
        if n_values > 1:
            raise MixedSeries(keyword=keyword, n_values=n_values)
    for keyword in ("ImageOrientationPatient", "PixelSpacing"):
        _refuse_mixed_numbers(instances, keyword)
    _refuse_unusual_pixels(instances)


def _need(keyword: str, usable: Sequence[bool]) -> None:
    """Hold the series unless `keyword` is usable in every instance."""
    if not all(usable):
        raise MissingAttribute(keyword=keyword, n_instances=usable.count(False))


def _is_usable(instance: Dataset, keyword: str, count: int) -> bool:
    """Tell whether an attribute holds `count` finite numbers."""
    try:
        numbers = np.asarray(instance[keyword].value, dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return False
    return numbers.shape == (count,) and bool(np.isfinite(numbers).all())


def _is_orthonormal(instance: Dataset) -> bool:
    """Tell whether row and column cosines are unit vectors at a right angle."""
    cosines = np.asarray(instance.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    return bool(np.allclose(cosines @ cosines.T, np.eye(2), atol=COSINE_TOLERANCE))


def _refuse_mixed_numbers(instances: Sequence[Dataset], keyword: str) -> None:
    """Hold the series if the numbers of an attribute differ by more than rounding."""
    numbers = np.array([each[keyword].value for each in instances], dtype=np.float64)
    if np.ptp(numbers, axis=0).max() > SAME_NUMBER:
        n_values = len(np.unique(np.round(numbers / SAME_NUMBER), axis=0))
        raise MixedSeries(keyword=keyword, n_values=max(2, n_values))


def _refuse_unusual_pixels(instances: Sequence[Dataset]) -> None:
    """Hold what is not one grey frame of 8 or 16 bits allocated in each instance."""
    first = instances[0]
    n_framed = sum(int(each.get("NumberOfFrames") or 1) != 1 for each in instances)
    if n_framed:
        raise PixelsUnusable(why="more than one frame in an instance", n_instances=n_framed)
    if first.PhotometricInterpretation not in {"MONOCHROME1", "MONOCHROME2"}:
        raise PixelsUnusable(why="pixels are not grey values", n_instances=len(instances))
    allocated, stored = int(first.BitsAllocated), int(first.BitsStored)
    if allocated not in {8, 16} or not 1 < stored <= allocated or first.HighBit != stored - 1:
        raise PixelsUnusable(
            why=f"{stored} bits stored in {allocated} allocated are not supported",
            n_instances=len(instances),
        )
