"""Stack a Series into a Volume, and lay changed voxels back on its instances.

Array axes are (slice, row, column); coordinates are patient LPS in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.dicom.geometry import series_affine
from deid_node.dicom.pixels import stored_values
from deid_node.errors import MissingAttribute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from deid_node.dicom.pixels import Words
    from deid_node.dicom.series import Series


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """The stored values of a series and where they lie.

    Parameters
    ----------
    stored : (slices, rows, columns) ndarray of int8, uint8, int16 or uint16
        Stored values (PS3.3 C.7.6.3.1.1), sign-extended, before the modality transform.
    slope, intercept : (slices,) ndarray of float64
        Rescale Slope and Rescale Intercept of each slice; 1 and 0 where absent.
    affine : (4, 4) ndarray of float64
        Voxel index (slice, row, column, 1) to patient LPS, in mm.
    padding : int or None
        Pixel Padding Value, as a stored value.
    """

    stored: NDArray[np.integer[Any]]
    slope: NDArray[np.float64]
    intercept: NDArray[np.float64]
    affine: NDArray[np.float64]
    padding: int | None = None

    def values(self) -> NDArray[np.float32]:
        """Apply the modality transform.

        Returns
        -------
        (slices, rows, columns) ndarray of float32
            ``stored * slope + intercept`` slice by slice, PS3.3 C.11.1.
        """
        slope = self.slope.astype(np.float32)[:, None, None]
        intercept = self.intercept.astype(np.float32)[:, None, None]
        return self.stored.astype(np.float32) * slope + intercept

    def spacing_mm(self) -> NDArray[np.float64]:
        """Distance between neighbouring voxels along slice, row and column axis, in mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


def stack(series: Series, words: Sequence[Words]) -> Volume:
    """Stack the instances of a series into one volume.

    Parameters
    ----------
    series : Series
        Instances in stack order.
    words : sequence of (rows, columns) ndarray of uint8 or uint16
        Pixel cells of each instance, as `pixel_words` reads them.

    Returns
    -------
    Volume
        Stored values, modality transform of each slice and affine.

    Raises
    ------
    PixelsUnusable
        If pixels are not plain stored values.
    UnevenSlices
        If the slices are not evenly spaced.
    """
    first = series.instances[0]
    affine = series_affine(
        [each.ImagePositionPatient for each in series.instances],
        first.ImageOrientationPatient,
        first.PixelSpacing,
    )
    stored = np.stack([stored_values(*pair) for pair in zip(words, series.instances, strict=True)])
    return Volume(
        stored=stored,
        slope=_transform_parameter(series.instances, "RescaleSlope", 1.0),
        intercept=_transform_parameter(series.instances, "RescaleIntercept", 0.0),
        affine=affine,
        padding=_padding(first, stored.dtype),
    )


def replaced_words(
    words: Words, changed: NDArray[np.integer[Any]], mask: NDArray[np.bool_]
) -> Words:
    """Write new stored values where the mask is, and nowhere else.

    Parameters
    ----------
    words : (rows, columns) ndarray of uint8 or uint16
        Pixel cells as they came.
    changed : (rows, columns) ndarray of integer
        Stored values of the same size in bytes.
    mask : (rows, columns) ndarray of bool
        Where `changed` counts.

    Returns
    -------
    (rows, columns) ndarray of uint8 or uint16
        Pixel cells; those outside the mask are the very bits of `words`.
    """
    return np.where(mask, changed.view(words.dtype), words)


def _transform_parameter(
    instances: Sequence[Dataset], keyword: str, absent: float
) -> NDArray[np.float64]:
    """Read Rescale Slope or Rescale Intercept of each instance."""
    raw = [each.get(keyword) for each in instances]
    try:
        numbers = np.array([absent if value is None else value for value in raw], dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.full(len(raw), np.nan)
    n_unusable = int(np.sum(~np.isfinite(numbers)))
    if n_unusable:
        raise MissingAttribute(keyword=keyword, n_instances=n_unusable)
    return numbers


def _padding(instance: Dataset, dtype: np.dtype[np.integer[Any]]) -> int | None:
    """Read Pixel Padding Value as a stored value; its VR may have been guessed wrong."""
    value = instance.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    cells = np.array([value & ((1 << (8 * dtype.itemsize)) - 1)], np.dtype(f"u{dtype.itemsize}"))
    return int(cells.view(dtype)[0])
