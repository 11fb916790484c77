"""Where the voxels of a series lie in the patient, from its attributes alone.

Coordinates are those of DICOM: patient LPS, millimetres. Array axes are (slice, row,
column). Nothing in this module reads a file or looks at a pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.errors import DuplicatePosition, TooFewSlices, UnevenSlices

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SPACING_TOLERANCE: Final = 0.01
"""Largest relative deviation of a step between slices that still counts as even."""

ROUNDING_MM: Final = 0.01
"""Deviation of a step that headers written with two decimals show, in mm."""

SAME_POSITION_MM: Final = 1e-3
"""Slices nearer than this along the normal lie at one position, in mm."""

FEWEST_SLICES: Final = 3
"""A volume needs this many slices; a face cannot be found in fewer."""


def slice_normal(orientation: ArrayLike) -> NDArray[np.float64]:
    """Compute the unit normal of a slice.

    Parameters
    ----------
    orientation : (6,) array_like of float
        Image Orientation (Patient): direction cosines of a row, then of a column.

    Returns
    -------
    (3,) ndarray of float64
        Row cosine × column cosine, LPS.
    """
    row_cosine, column_cosine = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    return np.cross(row_cosine, column_cosine)


def stack_order(positions: ArrayLike, orientation: ArrayLike) -> NDArray[np.intp]:
    """Order slices along their normal.

    Parameters
    ----------
    positions : (n, 3) array_like of float
        Image Position (Patient) of each slice, in mm, LPS.
    orientation : (6,) array_like of float
        Image Orientation (Patient) that all slices share.

    Returns
    -------
    (n,) ndarray of int
        Indices that sort the slices by their distance along the normal, ascending.

    Raises
    ------
    TooFewSlices
        If there are fewer than `FEWEST_SLICES`.
    DuplicatePosition
        If two slices lie at one position.
    """
    distances = np.asarray(positions, dtype=np.float64) @ slice_normal(orientation)
    if len(distances) < FEWEST_SLICES:
        raise TooFewSlices(n_slices=len(distances), needed=FEWEST_SLICES)
    order = np.argsort(distances, kind="stable")
    n_positions = 1 + int(np.sum(np.diff(distances[order]) > SAME_POSITION_MM))
    if n_positions < len(distances):
        raise DuplicatePosition(n_positions=n_positions, n_slices=len(distances))
    return order


def series_affine(
    positions: ArrayLike,
    orientation: ArrayLike,
    pixel_spacing: ArrayLike,
) -> NDArray[np.float64]:
    """Map voxel indices of a stacked series to patient coordinates.

    Parameters
    ----------
    positions : (n, 3) array_like of float
        Image Position (Patient) of each slice in stack order, in mm, LPS. ``n >= 2``.
    orientation : (6,) array_like of float
        Image Orientation (Patient): direction cosines of a row, then of a column.
        Dimensionless.
    pixel_spacing : (2,) array_like of float
        Pixel Spacing: distance between rows, then between columns, in mm.

    Returns
    -------
    (4, 4) ndarray of float64
        Affine `A` with ``A @ [slice, row, column, 1] == [L, P, S, 1]``, in mm.

    Raises
    ------
    UnevenSlices
        If a step between neighbouring slices deviates from the median step, in length or
        in direction, by more than `SPACING_TOLERANCE` and by more than `ROUNDING_MM`.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.

    Examples
    --------
    >>> series_affine([[0, 0, 0], [0, 0, 2]], [1, 0, 0, 0, 1, 0], [0.5, 0.5])[:3, 0]
    array([0., 0., 2.])
    """
    origins = np.asarray(positions, dtype=np.float64)
    row_cosine, column_cosine = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    between_rows, between_columns = np.asarray(pixel_spacing, dtype=np.float64)

    steps = np.diff(origins, axis=0)
    _refuse_uneven(steps)

    affine = np.eye(4)
    affine[:3, 0] = steps.mean(axis=0)
    affine[:3, 1] = column_cosine * between_rows
    affine[:3, 2] = row_cosine * between_columns
    affine[:3, 3] = origins[0]
    return affine


def _refuse_uneven(steps: NDArray[np.float64]) -> None:
    """Raise `UnevenSlices` if one of the (n - 1, 3) steps is not like the others."""
    typical = np.median(steps, axis=0)
    deviations = np.linalg.norm(steps - typical, axis=1)
    expected_mm = float(np.linalg.norm(typical))
    worst = int(np.argmax(deviations))
    if deviations[worst] > max(SPACING_TOLERANCE * expected_mm, ROUNDING_MM):
        raise UnevenSlices(
            expected_mm=expected_mm,
            worst_mm=float(np.linalg.norm(steps[worst])),
            n_slices=len(steps) + 1,
        )
