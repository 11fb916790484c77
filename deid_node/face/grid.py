"""Carry values between a volume's own voxels and a grid parallel to the body's axes.

Indices of such a grid grow to the patient's right, front and top (RAS+); its affine still
maps to LPS. Nothing here knows what the values mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy import ndimage, sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

Scalar = TypeVar("Scalar", bound=np.generic)

Axes = tuple[tuple[int, int, int], tuple[bool, bool, bool]]
"""Which array axis lies along x, y and z, and which of them then run the wrong way round."""

RAS_SIGN = np.array([-1.0, -1.0, 1.0])
"""Sign of a step to the right, the front and the top in LPS."""

FWHM = 2.355
"""Full width at half maximum of a Gaussian, in standard deviations."""

OVERSAMPLING = 3.0
"""Samples per target voxel that are kept before interpolation, so that it blurs little."""

TAIL = 1e-3
"""Gaussian weights below this share of the greatest one are left out (3.7 sigma)."""

BLOCK = 32
"""Planes that are converted to float at once; bounds the memory."""

STRAIGHT = 1e-3
"""Slant of a volume across its whole extent, in grid voxels, below which it counts as none."""

AFFINE_DECIMALS = 6
"""Affines are rounded to 1e-6 mm, so that every order of the same voxels gives one affine."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """A box of voxels parallel to the body's axes.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels to the right, the front and the top.
    origin : (3,) ndarray of float64
        Centre of voxel (0, 0, 0) in LPS, in mm: the leftmost, rearmost, lowest one.
    spacing_mm : float
        Edge of a voxel, in mm.
    """

    shape: tuple[int, int, int]
    origin: NDArray[np.float64]
    spacing_mm: float

    @property
    def affine(self) -> NDArray[np.float64]:
        """Index (i, j, k, 1) to LPS, in mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.diag(RAS_SIGN * self.spacing_mm)
        affine[:3, 3] = self.origin
        return affine


def body_axes(affine: NDArray[np.float64]) -> Axes:
    """Find which array axis lies nearest to each axis of the body.

    Parameters
    ----------
    affine : (4, 4) ndarray of float64
        Array index to LPS, in mm.

    Returns
    -------
    Axes
        For `to_body`.
    """
    left = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    order = [-1, -1, -1]
    for _ in range(3):
        body, axis = np.unravel_index(int(np.argmax(left)), (3, 3))
        order[int(body)] = int(axis)
        left[body, :] = left[:, axis] = -1.0
    steps = [float(affine[body, order[body]] * RAS_SIGN[body]) for body in range(3)]
    return (order[0], order[1], order[2]), (steps[0] < 0, steps[1] < 0, steps[2] < 0)


def to_body(array: NDArray[Scalar], axes: Axes) -> NDArray[Scalar]:
    """View an array with its axes in the order right, front, top."""
    order, flipped = axes
    return array.transpose(order)[tuple(slice(None, None, -1 if f else 1) for f in flipped)]


def from_body(array: NDArray[Scalar], axes: Axes) -> NDArray[Scalar]:
    """Undo `to_body`, as a view."""
    order, flipped = axes
    turned = array[tuple(slice(None, None, -1 if f else 1) for f in flipped)]
    return turned.transpose(tuple(int(a) for a in np.argsort(order)))


def body_affine(
    affine: NDArray[np.float64], shape: tuple[int, ...], axes: Axes
) -> NDArray[np.float64]:
    """Give the affine of what `to_body` returns for an array of `shape`."""
    order, flipped = axes
    turned = affine.copy()
    for body, (axis, flip) in enumerate(zip(order, flipped, strict=True)):
        turned[:3, body] = -affine[:3, axis] if flip else affine[:3, axis]
        if flip:
            turned[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
    return np.asarray(np.round(turned, AFFINE_DECIMALS))


def extent(
    affine: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the box, parallel to the body's axes, that holds all voxel centres.

    Returns
    -------
    low, high : (3,) ndarray of float64
        Left rear bottom and right front top corner, in RAS mm.
    """
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
    corners[:, :3] *= np.array(shape) - 1
    ras = (corners @ affine.T)[:, :3] * RAS_SIGN
    return ras.min(axis=0), ras.max(axis=0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shrunk:
    """A volume smoothed to a resolution and thinned out, from which any grid can be read.

    Parameters
    ----------
    values : (i, j, k) ndarray of float32
        Values after the modality transform.
    affine : (4, 4) ndarray of float64
        Index to LPS, in mm.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]


def shrink(volume: Volume, spacing_mm: float) -> Shrunk:
    """Smooth a volume along each of its axes to a resolution, and thin it out.

    The result depends on the voxels, not on their order in memory.

    Parameters
    ----------
    volume
        Any orientation, oblique too.
    spacing_mm
        Resolution, in mm.
    """
    axes = body_axes(volume.affine)
    affine = body_affine(volume.affine, volume.stored.shape, axes)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shape = to_body(volume.stored, axes).shape
    filters = [_antialias(n, mm, spacing_mm) for n, mm in zip(shape, spacing, strict=True)]
    small = _shrink(volume, axes, [weights for weights, _, _ in filters])
    shrunk = affine.copy()
    shrunk[:3, 3] += affine[:3, :3] @ np.array([first for _, first, _ in filters])
    shrunk[:3, :3] = affine[:3, :3] * np.array([step for _, _, step in filters])
    return Shrunk(values=small, affine=shrunk)


def read(
    shrunk: Shrunk, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Interpolate linearly at the points of a grid of any orientation; 0 outside the volume."""
    return interpolate(shrunk.values, shrunk.affine, affine, shape)


def sample(volume: Volume, grid: Grid) -> NDArray[np.float32]:
    """Read the values of a volume on a coarser grid: `shrink` to its spacing, then `read`.

    Returns
    -------
    `grid.shape` ndarray of float32
        Values after the modality transform; 0 outside the field of view.
    """
    return read(shrink(volume, grid.spacing_mm), grid.affine, grid.shape)


def block_means(volume: Volume, factors: NDArray[np.int_]) -> NDArray[np.float32]:
    """Average blocks of voxels: a coarse look at the values, without any orientation.

    Parameters
    ----------
    volume
        Any orientation.
    factors : (3,) ndarray of int
        Slices, rows and columns in a block, each at least 1.

    Returns
    -------
    (slices, rows, columns) ndarray of float32
        Means after the modality transform; what is left over at the end of an axis is left out.
    """
    slices, rows, columns = (
        min(int(f), n) for f, n in zip(factors, volume.stored.shape, strict=True)
    )
    kept = [n // f for n, f in zip(volume.stored.shape, (slices, rows, columns), strict=True)]
    means = np.zeros(kept, np.float32)
    for number in range(kept[0] * slices):
        plane = volume.stored[number, : kept[1] * rows, : kept[2] * columns].astype(np.float32)
        blocks = plane.reshape(kept[1], rows, kept[2], columns).mean(axis=(1, 3))
        scaled = blocks * np.float32(volume.slope[number]) + np.float32(volume.intercept[number])
        means[number // slices] += scaled
    return means / np.float32(slices)


def interpolate(
    array: NDArray[np.float32],
    affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Interpolate linearly from one grid to another; 0 outside.

    Parameters
    ----------
    array, affine
        Source values, and their index to LPS in mm.
    target_affine, target_shape
        Target index to LPS in mm, and its shape.
    """
    to_source = np.linalg.inv(affine) @ target_affine
    out: NDArray[np.float32] = ndimage.affine_transform(
        array, to_source[:3, :3], to_source[:3, 3], output_shape=target_shape, order=1
    )
    return out


def _shrink(volume: Volume, axes: Axes, weights: Sequence[sparse.csr_array]) -> NDArray[np.float32]:
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
        small += along_x[:, start : start + len(block)] @ thin.reshape(len(block), k * m)
    return np.ascontiguousarray(small.reshape(n, k, m).transpose(0, 2, 1))


def on_voxels(
    array: NDArray[np.float32], grid: Grid, volume: Volume
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Interpolate linearly from a grid to the voxels of a volume, some planes at a time.

    Parameters
    ----------
    array, grid
        Values on the grid, and where they lie.
    volume
        Any orientation.

    Yields
    ------
    first : int
        Number of the first plane of the block, in the order of `to_body`.
    block : (planes, j, k) ndarray of float32
        Values at the voxels of these planes; 0 outside the grid.
    """
    axes = body_axes(volume.affine)
    shape = to_body(volume.stored, axes).shape
    affine = body_affine(volume.affine, volume.stored.shape, axes)
    to_grid = np.linalg.inv(grid.affine) @ affine
    slanted = to_grid[:3, :3] - np.diag(np.diag(to_grid[:3, :3]))
    if float(np.max(np.abs(slanted) @ np.array(shape))) < STRAIGHT:
        yield from _straight(array, to_grid, shape)
        return
    for start in range(0, shape[0], BLOCK):
        planes = min(BLOCK, shape[0] - start)
        shifted = to_grid.copy()
        shifted[:3, 3] += to_grid[:3, 0] * start
        yield start, interpolate(array, np.eye(4), shifted, (planes, *shape[1:]))


def _straight(
    array: NDArray[np.float32], to_grid: NDArray[np.float64], shape: tuple[int, ...]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Interpolate axis by axis, which is much cheaper where the axes run parallel."""
    along = [
        _linear(n, float(to_grid[a, a]), float(to_grid[a, 3]), array.shape[a])
        for a, n in enumerate(shape)
    ]
    flat = array.reshape(array.shape[0], -1)
    for start in range(0, shape[0], BLOCK):
        thick = (along[0][start : start + BLOCK] @ flat).reshape(-1, *array.shape[1:])
        block = np.empty((len(thick), *shape[1:]), np.float32)
        for plane, larger in zip(thick, block, strict=True):
            larger[:] = (along[2] @ np.ascontiguousarray((along[1] @ plane).T)).T
        yield start, block


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
