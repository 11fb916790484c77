"""Stack a Series into a Volume, and read its stored values back.

Array axes are (slice, row, column); coordinates are patient LPS in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
