"""Resampling as nnU-Net v1 does it, so that equal weights give equal masks.

v1 calls ``skimage.transform.resize`` with ``mode="edge"`` and without smoothing: spline
interpolation by ``scipy.ndimage.zoom`` over the edges of the outermost voxels, cut to the
range of the input. Where one axis is much thicker than the others, planes are resized one by
one, and the thick axis is then resampled by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    _Resize = Callable[[NDArray[Any], tuple[int, ...], int], NDArray[Any]]

_zoom: Final[Callable[..., Any]] = ndimage.zoom
_map_coordinates: Final[Callable[..., Any]] = ndimage.map_coordinates
"""Without the types of their stubs, which know the orders of splines as literals."""

ANISOTROPY: Final = 3.0
"""Ratio of the greatest to the least spacing above which the thick axis is treated by itself."""


def thick_axis(
    spacing: tuple[float, ...], other: tuple[float, ...], *, force: bool | None = None
) -> int | None:
    """Find the axis that is resampled by itself.

    Parameters
    ----------
    spacing
        Of the image, in mm; looked at first.
    other
        Of the network's input, in mm; looked at where the image is not anisotropic.
    force
        Whether an axis is resampled by itself whatever the spacing; None leaves it open.

    Returns
    -------
    int or None
        None where all axes are resampled at once; so too where two axes are equally thick.
    """
    if force is False:
        return None
    for each in (spacing, other):
        thickest = np.flatnonzero(max(each) / np.array(each) == 1)
        if force or max(each) / min(each) > ANISOTROPY:
            return int(thickest[0]) if len(thickest) == 1 else None
    return None


def resample(
    values: NDArray[np.float32],
    shape: tuple[int, ...],
    *,
    axis: int | None,
    order: int,
    order_thick: int = 0,
) -> NDArray[np.float32]:
    """Resample numbers.

    Parameters
    ----------
    values : (i, j, k) ndarray of float32
        Values or probabilities.
    shape
        The wanted one; where it is that of `values`, they are returned as they are.
    axis
        The thick one, None if there is none.
    order
        Of the spline.
    order_thick
        Of the spline along `axis`.
    """
    return _resample(values, shape, axis=axis, orders=(order, order_thick), resize=_resize)


def resample_mask(
    mask: NDArray[np.int_], shape: tuple[int, ...], *, axis: int | None
) -> NDArray[np.int_]:
    """Resample a mask of -1 and 0 as v1 resamples labels: linearly, and 0 wins a draw.

    Parameters
    ----------
    mask : (i, j, k) ndarray of int
        0 inside, -1 outside.
    shape, axis
        As for `resample`.
    """
    return _resample(mask, shape, axis=axis, orders=(1, 0), resize=_resize_mask)


def _resample(
    values: NDArray[Any],
    shape: tuple[int, ...],
    *,
    axis: int | None,
    orders: tuple[int, int],
    resize: _Resize,
) -> NDArray[Any]:
    if values.shape == shape:
        return values
    if axis is None:
        return resize(values, shape, orders[0]).astype(values.dtype)
    plane = tuple(n for a, n in enumerate(shape) if a != axis)
    planes = [
        resize(values.take(number, axis), plane, orders[0]).astype(values.dtype)
        for number in range(values.shape[axis])
    ]
    return _along(np.stack(planes, axis), shape, axis, orders[1]).astype(values.dtype)


def _along(values: NDArray[Any], shape: tuple[int, ...], axis: int, order: int) -> NDArray[Any]:
    """Resample along one axis, the others being right already."""
    before, after = values.shape[axis], shape[axis]
    if before == after:
        return values
    at = float(before) / after * (np.arange(after) + 0.5) - 0.5
    if order == 0:
        # the same routine chooses the planes that it would copy voxel by voxel
        nearest = _map_coordinates(np.arange(before), [at], order=0, mode="nearest")
        return np.take(values, np.asarray(nearest), axis)
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in shape)])
    grid[axis] = at.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    where = np.array(np.broadcast_arrays(*grid), float)
    out: NDArray[Any] = _map_coordinates(values, where, order=order, mode="nearest")
    return out


def _resize(values: NDArray[Any], shape: tuple[int, ...], order: int) -> NDArray[Any]:
    """Resize by a spline, and cut to the range of the input."""
    source = values.astype(float)
    factors = [1 / f for f in np.divide(source.shape, shape)]
    out: NDArray[Any] = _zoom(source, factors, order=order, mode="nearest", grid_mode=True)
    np.clip(out, source.min(), source.max(), out=out)
    return out


def _resize_mask(mask: NDArray[Any], shape: tuple[int, ...], order: int) -> NDArray[Any]:
    out = np.zeros(shape, mask.dtype)
    if not mask.any():
        return out
    for label in np.unique(mask):
        out[_resize(mask == label, shape, order) >= 0.5] = label  # noqa: PLR2004 - half
    return out
