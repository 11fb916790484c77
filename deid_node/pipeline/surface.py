"""Shaded views of the surface of a head, as seen from in front and from the side.

Grids here are isotropic and parallel to the patient: axes run inferior→superior,
anterior→posterior and right→left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LIGHTS = (((-0.45, -0.75, 0.55), 0.72), ((0.75, -0.6, 0.1), 0.22))
"""Directions towards the lights (right of the viewer, towards the viewer, up) and strengths."""
_AMBIENT = 0.08
_DEPTH_FADE = 0.35
"""How much darker the farthest surface is drawn than the nearest."""

_RELIEF = 1.0
"""How far the relief is smoothed before it is lit, in points of the grid."""
_SPECK_MM3 = 40.0
"""A piece smaller than this is noise; the tip of a nose is a thousand."""
_SKIN_SHARE = 0.35
"""Where skin ends, between air and the head's own middle brightness."""
_NOISE_WIDTHS = 6.0
"""How many standard deviations above the air's median noise is not expected any more."""


def skin_threshold(grid: NDArray[np.float32]) -> float:
    """Find the value that parts the head from noisy air.

    Parameters
    ----------
    grid : (z, y, x) ndarray of float32
        Values of the head with the air around it.

    Returns
    -------
    float
        A value above the air's noise and below most of the skin.
    """
    values = grid[::2, ::2, ::2]
    values = values[values > 0]
    if values.size == 0:
        return 0.0
    middle = _otsu(values[values < np.percentile(values, 99.5)])
    air = values[values < _SKIN_SHARE * middle]
    centre = float(np.median(air)) if air.size else 0.0
    width = 1.4826 * float(np.median(np.abs(air - centre))) if air.size else 0.0
    return min(max(_SKIN_SHARE * middle, centre + _NOISE_WIDTHS * width), 0.8 * middle)


def despeckled(
    grid: NDArray[np.float32], threshold: float, *, step_mm: float
) -> NDArray[np.float32]:
    """Take single specks of noise out of the air, and leave every larger piece.

    Parameters
    ----------
    grid : (z, y, x) ndarray of float32
        Values of the head with the air around it.
    threshold
        Value at which the skin lies.
    step_mm
        Distance between neighbouring points, in mm.

    Returns
    -------
    (z, y, x) ndarray of float32
        `grid` with its specks set to 0.
    """
    pieces, n_pieces = ndimage.label(grid > threshold)
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
    speck = sizes * step_mm**3 < _SPECK_MM3
    speck[0] = False
    return np.where(speck[pieces], np.float32(0), grid)


def shaded_view(
    grid: NDArray[np.float32], threshold: float, *, yaw_degrees: float
) -> NDArray[np.float32]:
    """Render everything that is brighter than a threshold.

    All of it is drawn, not only the largest piece: what floats free after defacing is what
    a reviewer must see.

    Parameters
    ----------
    grid : (z, y, x) ndarray of float32
        Isotropic values; z upward, y backward, x to the patient's left.
    threshold
        Value at which the skin lies.
    yaw_degrees
        Where the viewer stands: 0 in front, 90 at the patient's left, -90 at the right.

    Returns
    -------
    (rows, columns) ndarray of float32
        Brightness 0 to 1, first row uppermost, 0 where nothing is hit. Pixels are as large as
        the voxels of `grid`.
    """
    turned = _turn(grid, yaw_degrees)
    solid = turned > threshold
    hit = np.asarray(solid.any(axis=1))
    depth = _crossing(turned, solid.argmax(axis=1), threshold)
    if not hit.any():
        return np.zeros(hit.shape, np.float32)
    near, far = float(depth[hit].min()), float(depth[hit].max())
    normal = _normals(depth, hit)
    light = np.full(hit.shape, _AMBIENT, np.float32)
    for direction, strength in _LIGHTS:
        unit = np.asarray(direction, np.float32) / np.float32(np.linalg.norm(direction))
        light += np.float32(strength) * np.clip(normal @ unit, 0, 1)
    light *= 1 - np.float32(_DEPTH_FADE) * (depth - near) / np.float32(max(far - near, 1.0))
    return np.where(hit, np.clip(light, 0, 1), 0).astype(np.float32)[::-1]


def _turn(grid: NDArray[np.float32], yaw_degrees: float) -> NDArray[np.float32]:
    """Turn about the vertical so that the viewer looks along the second axis.

    Every horizontal plane turns alike, so the four neighbours and their weights are found for
    one plane and used for whole columns.
    """
    height, depth, width = grid.shape
    cosine, sine = float(np.cos(np.radians(yaw_degrees))), float(np.sin(np.radians(yaw_degrees)))
    size = (
        round(abs(sine) * width + abs(cosine) * depth),
        round(abs(cosine) * width + abs(sine) * depth),
    )
    near, across = (axis - (n - 1) / 2 for axis, n in zip(np.indices(size), size, strict=True))
    y = (cosine * near + sine * across + (depth - 1) / 2).ravel()
    x = (-sine * near + cosine * across + (width - 1) / 2).ravel()
    columns = np.ascontiguousarray(grid.reshape(height, -1).T)
    y0, x0 = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    turned = np.zeros((y.size, height), np.float32)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - np.abs(y - y0 - dy)) * (1 - np.abs(x - x0 - dx))
        held = np.flatnonzero(
            (weight > 0) & (y0 + dy >= 0) & (y0 + dy < depth) & (x0 + dx >= 0) & (x0 + dx < width)
        )
        source = (y0[held] + dy) * width + x0[held] + dx
        turned[held] += columns[source] * weight[held].astype(np.float32)[:, None]
    return turned.reshape(*size, height).transpose(2, 0, 1)


def _crossing(
    turned: NDArray[np.float32], first: NDArray[np.intp], threshold: float
) -> NDArray[np.float32]:
    """Depth at which each ray crosses the threshold, between two voxels."""
    inside = np.take_along_axis(turned, first[:, None], axis=1)[:, 0]
    before = np.take_along_axis(turned, np.maximum(first - 1, 0)[:, None], axis=1)[:, 0]
    rise = np.maximum(inside - before, np.float32(1e-6))
    part = np.clip((inside - np.float32(threshold)) / rise, 0, 1)
    return np.asarray(first - part, np.float32)


def _normals(depth: NDArray[np.float32], hit: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Directions that the surface faces: rightward, towards the viewer (negative), upward."""
    weight = ndimage.gaussian_filter(hit.astype(np.float32), _RELIEF)
    smooth = ndimage.gaussian_filter(np.where(hit, depth, 0), _RELIEF) / np.maximum(weight, 1e-3)
    up, across = np.gradient(smooth)
    normal = np.stack([across, -np.ones_like(smooth), up], axis=-1)
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True), np.float32)


def _otsu(values: NDArray[np.float32]) -> float:
    """Part values into two classes of least spread."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    above = below[-1] - below
    spread = (sums[-1] * below - sums * below[-1]) ** 2 / np.maximum(below * above, 1)
    return float(centres[spread.argmax()])
