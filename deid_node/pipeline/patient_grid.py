"""Grids that run parallel to the patient, and what a volume of any orientation shows on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TO_LPS = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Index (z, y, x) to LPS (x, y, z)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientGrid:
    """An isotropic grid whose axes run inferior→superior, anterior→posterior, right→left.

    Parameters
    ----------
    origin : (3,) ndarray of float64
        Patient LPS of index (0, 0, 0), in mm.
    step_mm
        Distance between neighbouring points, in mm.
    shape
        Number of points along z, y and x; 1 makes it a plane.
    """

    origin: NDArray[np.float64]
    step_mm: float
    shape: tuple[int, int, int]

    @staticmethod
    def around(shape: tuple[int, ...], affine: NDArray[np.float64], step_mm: float) -> PatientGrid:
        """Lay a grid around a volume.

        Parameters
        ----------
        shape
            Slices, rows, columns.
        affine : (4, 4) ndarray of float64
            Index (slice, row, column, 1) to patient LPS, in mm.
        step_mm
            Distance between neighbouring points, in mm.
        """
        ends = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
        corners = ends @ affine[:3, :3].T + affine[:3, 3]
        low, high = corners.min(axis=0), corners.max(axis=0)
        nx, ny, nz = (int(n) for n in np.floor((high - low) / step_mm) + 1)
        return PatientGrid(origin=low, step_mm=step_mm, shape=(nz, ny, nx))

    def cropped(self, box: tuple[slice, slice, slice]) -> PatientGrid:
        """Keep a box of the grid."""
        first = np.array([s.start for s in box])
        shape = (
            box[0].stop - box[0].start,
            box[1].stop - box[1].start,
            box[2].stop - box[2].start,
        )
        return replace(self, origin=self.origin + _TO_LPS @ first * self.step_mm, shape=shape)

    def plane(self, axis: int, index: int, step_mm: float) -> PatientGrid:
        """Cut a plane across an axis at an index, sampled with a step of its own."""
        first = np.zeros(3)
        first[axis] = index
        shape = [round((n - 1) * self.step_mm / step_mm) + 1 for n in self.shape]
        shape[axis] = 1
        return PatientGrid(
            origin=self.origin + _TO_LPS @ first * self.step_mm,
            step_mm=step_mm,
            shape=(shape[0], shape[1], shape[2]),
        )

    def sampled(
        self, values: NDArray[np.float32], affine: NDArray[np.float64], *, linear: bool = True
    ) -> NDArray[np.float32]:
        """Read a volume at the points of the grid.

        Parameters
        ----------
        values : (slices, rows, columns) ndarray of float32
            What to read.
        affine : (4, 4) ndarray of float64
            Index (slice, row, column, 1) to patient LPS, in mm.
        linear
            Between voxels, or the nearest one.

        Returns
        -------
        (z, y, x) ndarray of float32
            0 where the volume does not reach.
        """
        to_index = np.linalg.inv(affine)
        return ndimage.affine_transform(
            values,
            to_index[:3, :3] @ _TO_LPS * self.step_mm,
            to_index[:3, :3] @ self.origin + to_index[:3, 3],
            output_shape=self.shape,
            output=np.float32,
            order=1 if linear else 0,
        )


def shrunk(
    values: NDArray[np.float32], affine: NDArray[np.float64], step_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average blocks of voxels so that none is finer than it need be.

    Parameters
    ----------
    values : (slices, rows, columns) ndarray of float32
        What to average.
    affine : (4, 4) ndarray of float64
        Index (slice, row, column, 1) to patient LPS, in mm.
    step_mm
        Blocks are the largest that are no longer than this along any axis.

    Returns
    -------
    (slices, rows, columns) ndarray of float32, (4, 4) ndarray of float64
        The averages and where they lie.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    block = np.clip(np.floor(step_mm / spacing + 1e-3), 1, values.shape).astype(int)
    placed = affine.copy()
    placed[:3, 3] += affine[:3, :3] @ ((block - 1) / 2)
    placed[:3, :3] *= block
    for axis, length in enumerate(block.tolist()):
        if length > 1:
            count = values.shape[axis] // length
            kept = np.moveaxis(values, axis, 0)[: count * length]
            blocks = kept.reshape(count, length, *kept.shape[1:])
            values = np.moveaxis(blocks.mean(axis=1, dtype=np.float32), 0, axis)
    return values, placed
