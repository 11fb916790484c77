"""Smooth a volume once to the resolution of a coarser grid, and read it on any such grid.

What costs is the smoothing, which touches every voxel; reading is cheap after it, also on a
grid that is turned. Nothing here knows what the values mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from deid_node.face.grid import BLOCK, Axes, Grid, body_affine, body_axes, interpolate, to_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

FWHM = 2.355
"""Full width at half maximum of a Gaussian, in standard deviations."""

OVERSAMPLING = 3.0
"""Samples per target voxel that are kept before interpolation, so that it blurs little."""

TAIL = 1e-3
"""Gaussian weights below this share of the greatest one are left out (3.7 sigma)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shrunk:
    """A volume at the resolution of a coarser grid, with its axes to the right, front and top.

    Parameters
    ----------
    values : (i, j, k) ndarray of float32
        Values after the modality transform. Slanted where the volume is.
    affine : (4, 4) ndarray of float64
        Index (i, j, k, 1) to LPS, in mm.
    spacing_mm
        Edge of the voxels of the grids it is meant for, in mm.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    spacing_mm: float


def shrink(volume: Volume, spacing_mm: float) -> Shrunk:
    """Smooth a volume along each of its axes, and thin it out.

    The result depends on the voxels, not on their order in memory.

    Parameters
    ----------
    volume
        Any orientation, oblique too.
    spacing_mm
        Edge of the voxels of the grids it will be read on, in mm.
    """
    axes = body_axes(volume.affine)
    affine = body_affine(volume.affine, volume.stored.shape, axes)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shape = to_body(volume.stored, axes).shape
    filters = [_antialias(n, mm, spacing_mm) for n, mm in zip(shape, spacing, strict=True)]
    values = _apply([weights for weights, _, _ in filters], volume, axes)
    thinned = affine.copy()
    thinned[:3, 3] += affine[:3, :3] @ np.array([first for _, first, _ in filters])
    thinned[:3, :3] = affine[:3, :3] * np.array([step for _, _, step in filters])
    return Shrunk(values=values, affine=thinned, spacing_mm=spacing_mm)


def read(
    shrunk: Shrunk, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Read a shrunk volume on a grid, turned or not.

    Parameters
    ----------
    shrunk
        Smoothed for the spacing of this grid.
    affine : (4, 4) ndarray of float64
        Index of the grid to LPS, in mm.
    shape
        Of the grid.

    Returns
    -------
    `shape` ndarray of float32
        Values after the modality transform; 0 outside the field of view.
    """
    return interpolate(shrunk.values, shrunk.affine, affine, shape)


def sample(volume: Volume, grid: Grid) -> NDArray[np.float32]:
    """Read the values of a volume on one coarser grid; see `shrink` and `read`."""
    return read(shrink(volume, grid.spacing_mm), grid.affine, grid.shape)


def _apply(weights: Sequence[sparse.csr_array], volume: Volume, axes: Axes) -> NDArray[np.float32]:
    """Apply one matrix along each axis.

    The matrices are sparse: a dense product would be handed to a threaded library, whose
    threads wait actively and cost a busy machine several times the work itself.
    """
    along_x, along_y, along_z = weights
    n, m, k = (w.shape[0] for w in weights)
    small = np.zeros((n, k * m), np.float32)
    for start, block in _blocks(volume, axes):
        thin = np.empty((len(block), k, m), np.float32)
        for plane, smaller in zip(block, thin, strict=True):
            smaller[:] = along_z @ np.ascontiguousarray((along_y @ plane).T)
        # these planes tell of few rows only
        part = along_x[:, start : start + len(block)]
        reached = np.flatnonzero(np.diff(part.indptr))
        rows = slice(reached[0], reached[-1] + 1)
        small[rows] += part[rows] @ thin.reshape(len(block), k * m)
    return small.reshape(n, k, m).transpose(0, 2, 1)


def _blocks(volume: Volume, axes: Axes) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the values some planes at a time, in body order."""
    stored = to_body(volume.stored, axes)
    slope = to_body(volume.slope.astype(np.float32)[:, None, None], axes)
    intercept = to_body(volume.intercept.astype(np.float32)[:, None, None], axes)
    slope, intercept = (
        np.broadcast_to(slope, stored.shape),
        np.broadcast_to(intercept, stored.shape),
    )
    for start in range(0, len(stored), BLOCK):
        planes = slice(start, start + BLOCK)
        block = stored[planes].astype(np.float32, order="C")
        block *= slope[planes]
        block += intercept[planes]
        yield start, block


def _antialias(
    n: int, spacing_mm: float, target_mm: float
) -> tuple[sparse.csr_array, float, float]:
    """Smooth and thin out one axis.

    Returns
    -------
    weights : (kept, n) sparse array of float32
        Gaussian weights; each row sums to 1.
    first, step : float
        Index of the first kept sample, and distance to the next one, in voxels.
    """
    step = max(1, int(target_mm / spacing_mm / OVERSAMPLING))
    kept = (n - 1) // step + 1
    first = (n - 1 - (kept - 1) * step) / 2
    sigma = np.sqrt(max(0.0, target_mm**2 - spacing_mm**2)) / FWHM / spacing_mm
    centres = first + step * np.arange(kept)
    away = np.arange(n)[None, :] - centres[:, None]
    weights = np.exp(-0.5 * (away / max(float(sigma), 1e-3)) ** 2)
    weights[weights < TAIL] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return sparse.csr_array(weights.astype(np.float32)), float(first), float(step)
