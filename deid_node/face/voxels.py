"""Find the voxels of a volume at which values on a grid are positive.

Interpolation is linear, so a voxel is positive only where the grid is positive beside it, and
surely where the grid is positive all round: only voxels between the two are interpolated.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, sparse

from deid_node.face.grid import BLOCK, ROUNDING, Grid, body_affine, body_axes, to_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

STRAIGHT = 1e-3
"""Slant of a volume across its whole extent, in grid voxels, below which it counts as none."""

TILE = 12
"""Voxels along each edge of a tile, which is interpolated or not as a whole."""


def positive(array: NDArray[np.float32], grid: Grid, volume: Volume) -> NDArray[np.bool_]:
    """Find the voxels at which values, interpolated linearly, are above zero.

    Parameters
    ----------
    array, grid
        Values on a grid, and where they lie; zero outside.
    volume
        Any orientation.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        In the order of the volume's own voxels.
    """
    axes = body_axes(volume.affine)
    shape = to_body(volume.stored, axes).shape
    to_grid = np.linalg.inv(grid.affine) @ body_affine(volume.affine, volume.stored.shape, axes)
    slanted = to_grid[:3, :3] - np.diag(np.diag(to_grid[:3, :3]))
    find = _straight if float(np.max(np.abs(slanted) @ np.array(shape))) < STRAIGHT else _slanted
    # laid out as the volume is, so that it needs no second copy
    mask = np.zeros(volume.stored.shape, bool)
    find(array, to_grid, to_body(mask, axes))
    return mask


def _straight(
    array: NDArray[np.float32], to_grid: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    """Interpolate axis by axis, which is much cheaper where the axes run parallel."""
    along = [
        _linear(n, float(to_grid[a, a]), float(to_grid[a, 3]), array.shape[a])
        for a, n in enumerate(mask.shape)
    ]
    flat = array.reshape(array.shape[0], -1)
    for start in range(0, mask.shape[0], BLOCK):
        thick = (along[0][start : start + BLOCK] @ flat).reshape(-1, *array.shape[1:])
        for number, plane in enumerate(thick, start):
            if (plane > 0).any():
                larger = along[2] @ np.ascontiguousarray((along[1] @ plane).T)
                mask[number] = (larger > 0).T


def _linear(n: int, step: float, first: float, length: int) -> sparse.csr_array:
    """Make the matrix that interpolates `n` samples from `length`; rows outside are zero."""
    at = first + step * np.arange(n)
    below = np.clip(np.floor(at).astype(int), 0, max(length - 2, 0))
    part = at - below
    inside = (at >= 0) & (at <= length - 1)
    rows = np.concatenate([np.arange(n)[inside]] * 2)
    above = np.minimum(below + 1, length - 1)
    columns = np.concatenate([below[inside], above[inside]])
    weights = np.concatenate([1 - part[inside], part[inside]]).astype(np.float32)
    return sparse.csr_array((weights, (rows, columns)), shape=(n, length))


def _slanted(
    array: NDArray[np.float32], to_grid: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    """Interpolate tile by tile, where a tile is not of one sign."""
    starts = [range(0, n, TILE) for n in mask.shape]
    some, whole = _signs(array > 0, to_grid, starts, mask.shape)
    for tile, first in zip(np.ndindex(some.shape), product(*starts), strict=True):
        if not some[tile]:
            continue
        here = mask[tuple(slice(s, s + TILE) for s in first)]
        if whole[tile]:
            here[:] = True
            continue
        offset = to_grid[:3, :3] @ np.array(first) + to_grid[:3, 3]
        here[:] = (
            ndimage.affine_transform(
                array, to_grid[:3, :3], offset, output_shape=here.shape, order=1
            )
            > 0
        )


def _signs(
    above: NDArray[np.bool_],
    to_grid: NDArray[np.float64],
    starts: Sequence[range],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell of each tile whether the grid is positive anywhere round it, and everywhere.

    Returns
    -------
    some, whole : (i, j, k) ndarray of bool
        One for each tile. A tile that reaches out of the grid is never whole.
    """
    low, high = _reach(to_grid, starts, shape)
    limits = np.array(above.shape)[:, None, None, None]
    beyond = (low < 0) | (high > limits)
    low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    n_above = _count(above, low, high)
    whole = (n_above == (high - low).prod(axis=0)) & ~beyond.any(axis=0)
    return n_above > 0, whole


def _reach(
    to_grid: NDArray[np.float64], starts: Sequence[range], shape: tuple[int, ...]
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Find the box of grid voxels between which all voxels of each tile lie.

    Returns
    -------
    low, high : (3, i, j, k) ndarray of int
        First grid voxel, and the one after the last.
    """
    centre, half = to_grid[:3, 3].reshape(3, 1, 1, 1), np.zeros((3, 1, 1, 1))
    for axis, (line, n) in enumerate(zip(starts, shape, strict=True)):
        first = np.array(line, float)
        last = np.minimum(first + TILE, n) - 1
        along = [-1 if a == axis else 1 for a in range(3)]
        column = to_grid[:3, axis].reshape(3, 1, 1, 1)
        centre = centre + column * ((first + last) / 2).reshape(along)
        half = half + np.abs(column) * ((last - first) / 2).reshape(along)
    low = np.floor(centre - half - ROUNDING).astype(int)
    return low, np.ceil(centre + half + ROUNDING).astype(int) + 1


def _count(
    above: NDArray[np.bool_], low: NDArray[np.int_], high: NDArray[np.int_]
) -> NDArray[np.int_]:
    """Count the voxels of a region in many boxes, by sums over all that lies below a corner."""
    sums = np.zeros([n + 1 for n in above.shape], np.int_)
    sums[1:, 1:, 1:] = above.cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)
    total = np.zeros(low.shape[1:], np.int_)
    for uppers in product((False, True), repeat=3):
        corner = tuple(high[a] if upper else low[a] for a, upper in enumerate(uppers))
        total += (-1) ** (3 - sum(uppers)) * sums[corner]
    return total
