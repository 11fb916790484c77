"""Lay grids parallel to the body's axes over a volume.

Indices of such a grid grow to the patient's right, front and top (RAS+); its affine still
maps to LPS. Nothing here knows what the values mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

Scalar = TypeVar("Scalar", bound=np.generic)

Axes = tuple[tuple[int, int, int], tuple[bool, bool, bool]]
"""Which array axis lies along x, y and z, and which of them then run the wrong way round."""

RAS_SIGN = np.array([-1.0, -1.0, 1.0])
"""Sign of a step to the right, the front and the top in LPS."""

BLOCK = 32
"""Planes that are converted to float at once; bounds the memory."""

ROUNDING = 1e-6
"""How far, in voxels, a voxel's place may be off by floating-point arithmetic."""

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
        # one axis after the other is several times quicker than both at once
        strips = plane.reshape(kept[1], rows, -1).sum(axis=1)
        blocks = strips.reshape(kept[1], kept[2], columns).sum(axis=2) / np.float32(rows * columns)
        scaled = blocks * np.float32(volume.slope[number]) + np.float32(volume.intercept[number])
        means[number // slices] += scaled
    return means / np.float32(slices)


def interpolate(
    array: NDArray[np.float32],
    affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Interpolate linearly from one grid to another, or copy if they share a lattice; 0 outside.

    Parameters
    ----------
    array, affine
        Source values, and their index to LPS in mm.
    target_affine, target_shape
        Target index to LPS in mm, and its shape.
    """
    to_source = np.linalg.inv(affine) @ target_affine
    steps, first = np.rint(np.diag(to_source)[:3]), np.rint(to_source[:3, 3])
    lattice = np.column_stack([np.diag(steps), first])
    if (np.abs(steps) == 1).all() and np.abs(to_source[:3] - lattice).max() < ROUNDING:
        return _copy(array, steps.astype(int), first.astype(int), target_shape)
    out: NDArray[np.float32] = ndimage.affine_transform(
        array, to_source[:3, :3], to_source[:3, 3], output_shape=target_shape, order=1
    )
    return out


def _copy(
    array: NDArray[np.float32],
    steps: NDArray[np.int_],
    first: NDArray[np.int_],
    target_shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Move values between grids of one lattice: voxel `i` is source voxel `first + steps * i`."""
    target, source = [], []
    for n, length, step, start in zip(target_shape, array.shape, steps, first, strict=True):
        # target voxels whose source lies between 0 and length - 1
        ends = sorted((-start * step, (length - 1 - start) * step))
        low, high = max(0, ends[0]), max(0, min(n, ends[1] + 1))
        target.append(slice(low, max(low, high)))
        source.append(start + step * np.arange(low, max(low, high)))
    out = np.zeros(target_shape, array.dtype)
    out[tuple(target)] = array[np.ix_(*source)]
    return out
