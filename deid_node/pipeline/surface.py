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
    """Turn about the vertical so that the viewer looks along the second axis."""
    depth, width = grid.shape[1:]
    angle = np.radians(yaw_degrees)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    size = (
        int(np.ceil(abs(sine) * width + abs(cosine) * depth)),
        int(np.ceil(abs(cosine) * width + abs(sine) * depth)),
    )
    # Seen from the patient's left, the viewer's depth axis runs leftward to rightward.
    to_grid = np.array([[cosine, sine], [-sine, cosine]])
    offset = (np.array([depth, width]) - 1) / 2 - to_grid @ ((np.array(size) - 1) / 2)
    matrix = np.eye(3)
    matrix[1:, 1:] = to_grid
    return ndimage.affine_transform(
        grid,
        matrix,
        np.array([0.0, *offset]),
        output_shape=(grid.shape[0], *size),
        output=np.float32,
        order=1,
    )


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
    weight = ndimage.gaussian_filter(hit.astype(np.float32), 0.7)
    smooth = ndimage.gaussian_filter(np.where(hit, depth, 0), 0.7) / np.maximum(weight, 1e-3)
    up, across = np.gradient(smooth)
    normal = np.stack([across, -np.ones_like(smooth), up], axis=-1)
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True), np.float32)
