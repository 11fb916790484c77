"""Choose what part of a volume a network with a fixed window sees, and join its windows.

Nothing here knows an inference engine: the network is any function of one window.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from deid_node.face.brightness import is_tissue
from deid_node.face.grid import RAS_SIGN, Grid, extent
from deid_node.face.shrunk import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.shrunk import Shrunk

SIGMA = 0.125
"""Width of the weight of a window, in windows; nnU-Net's own choice."""

FLOOR = 1e-3
"""Least weight of a window's corner, so that the sum never vanishes."""


def see(
    volume: Volume, shrunk: Shrunk, spacing_mm: float, window: int
) -> tuple[NDArray[np.float32], Grid]:
    """Read a volume for a network: the whole field of view, or without its air if too big.

    An axis whose field of view fits into one window is centred in it. A longer axis is cut
    to the patient; it is left longer than one window if the patient is.

    Parameters
    ----------
    volume
        Any orientation.
    shrunk
        The same volume at about the resolution of the network.
    spacing_mm
        Edge of the network's voxels, in mm.
    window
        Voxels along each edge of the network's input.

    Returns
    -------
    values : (i, j, k) ndarray of float32
        To the right, the front and the top; no axis shorter than `window`.
    grid
        Where they lie.
    """
    low, high = extent(volume.affine, volume.stored.shape)
    needed = np.ceil((high - low) / spacing_mm).astype(int) + 1
    shape = np.maximum(needed, window)
    corner = (low + high) / 2 - (shape - 1) / 2 * spacing_mm
    grid = _grid(shape, corner, spacing_mm)
    values = read(shrunk, grid.affine, grid.shape)
    if (shape == window).all():
        return values, grid
    first, length = _patient(values, window)
    box = tuple(slice(f, f + n) for f, n in zip(first, length, strict=True))
    return np.ascontiguousarray(values[box]), _grid(length, corner + first * spacing_mm, spacing_mm)


def _grid(shape: NDArray[np.int_], corner: NDArray[np.float64], spacing_mm: float) -> Grid:
    i, j, k = (int(n) for n in shape)
    return Grid(shape=(i, j, k), origin=corner * RAS_SIGN, spacing_mm=spacing_mm)


def _patient(values: NDArray[np.float32], window: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Find first voxel and length of a box round the patient, per axis at least a window."""
    solid = ndimage.binary_opening(is_tissue(values))
    first, length = np.zeros(3, int), np.array(values.shape)
    for axis in range(3):
        if values.shape[axis] == window or not solid.any():
            continue
        others = tuple(a for a in range(3) if a != axis)
        where = np.flatnonzero(solid.any(axis=others))
        length[axis] = max(window, where[-1] - where[0] + 1)
        start = (where[0] + where[-1] + 1 - length[axis]) // 2
        first[axis] = np.clip(start, 0, values.shape[axis] - length[axis])
    return first, length


def slide(
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    values: NDArray[np.float32],
    window: int,
) -> NDArray[np.float32]:
    """Run a network over windows that overlap by half, and join what it says.

    Parameters
    ----------
    predict
        From (n, n, n) values to (c, n, n, n) probabilities, with ``n == window``.
    values : (i, j, k) ndarray of float32
        No axis shorter than `window`.
    window
        Voxels along each edge of a window.

    Returns
    -------
    (c, i, j, k) ndarray of float32
        Probabilities; where windows overlap, their mean, weighted towards the centres.
    """
    corners = list(product(*(_starts(n, window) for n in values.shape)))
    if len(corners) == 1:
        return predict(values)
    weight = _weight(window)
    total = np.zeros(values.shape, np.float32)
    answers = []
    for corner in corners:
        box = tuple(slice(c, c + window) for c in corner)
        answers.append((box, predict(np.ascontiguousarray(values[box]))))
        total[box] += weight
    joined = np.zeros((len(answers[0][1]), *values.shape), np.float32)
    for box, probability in answers:
        joined[(slice(None), *box)] += probability * (weight / total[box])
    return joined


def _starts(n: int, window: int) -> Sequence[int]:
    """Spread windows that overlap by at least half evenly over an axis."""
    count = int(np.ceil((n - window) / (window / 2))) + 1
    return [int(s) for s in np.round(np.linspace(0, n - window, count))]


def _weight(window: int) -> NDArray[np.float32]:
    away = (np.arange(window) - (window - 1) / 2) / (SIGMA * window)
    line = np.exp(-0.5 * away**2)
    cube: NDArray[np.float64] = line[:, None, None] * line[:, None] * line
    return np.maximum(cube, FLOOR).astype(np.float32)
