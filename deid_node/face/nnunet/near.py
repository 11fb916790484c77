"""Choose the windows that the neighbourhood of the face needs, and label it alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from deid_node.face.nnunet.lines import apply_lines, linear_line, nearest
from deid_node.face.nnunet.resample import thick_axis
from deid_node.face.nnunet.tiles import SIGMA, lattice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deid_node.face.nnunet.plans import Planned
    from deid_node.face.nnunet.prepare import Prepared

    Corner = tuple[int, ...]

STRIDE = 4
"""Voxels of the network's input from one point to the next at which windows are weighed."""

LEAST_SHARE = 0.3
"""A window matters at a point where it has at least this share in the mean."""

LEAST_POINTS = 1e-3
"""It matters at all if it does so at more than this share of the points near the face."""

STEPS = 16
"""Places at which a window may begin are this many to a window."""

RIMS = 1
"""Steps from its edge, where the image goes on, in which a window sees too little of what is beside."""

WIDE_RIMS = 3
"""The same where windows are to overlap more."""

STRAY_SHARE = 0.03
"""Share of the points that may lie in rims only."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Points of a network's input, and which of them lie near the face.

    Parameters
    ----------
    lines
        Places along each axis of the network's input.
    near : (a, b, c) ndarray of bool
        Of each point.
    shape
        Of the network's input.
    """

    lines: tuple[NDArray[np.int_], ...]
    near: NDArray[np.bool_]
    shape: tuple[int, ...]


def points_near(near: NDArray[np.bool_], prepared: Prepared, planned: Planned) -> Points:
    """Find the points of a network's input that lie near the face.

    Parameters
    ----------
    near : (z, y, x) ndarray of bool
        Voxels of the image.
    prepared, planned
        The network's input, and what the model was trained on.
    """
    shape, lines, looked_up = prepared.values.shape, [], []
    for axis, n in zip(planned.transpose_forward, shape, strict=True):
        crop = prepared.box[axis]
        line = np.minimum(np.arange(STRIDE // 2, n + STRIDE // 2, STRIDE), n - 1)
        lines.append(line)
        looked_up.append(crop.start + (line * (crop.stop - crop.start)) // n)
    at = np.ix_(*[looked_up[planned.transpose_forward.index(axis)] for axis in range(3)])
    return Points(
        lines=tuple(lines), near=near[at].transpose(planned.transpose_forward), shape=shape
    )


def windows_that_matter(points: Points, patch: tuple[int, ...]) -> list[Corner]:
    """Leave out those of nnU-Net's own windows that hardly count anywhere near the face.

    A point that lies in no other window keeps all of its windows.
    """
    corners = lattice(points.shape, patch)
    weights = [_weight(points, corner, patch)[points.near] for corner in corners]
    total = np.sum(weights, axis=0)
    matter = [(each >= LEAST_SHARE * total).mean() > LEAST_POINTS for each in weights]
    bare = np.ones(len(total), bool)
    for each, kept in zip(weights, matter, strict=True):
        bare &= ~(kept & (each > 0))
    return [
        corner
        for corner, each, kept in zip(corners, weights, matter, strict=True)
        if kept or (each[bare] > 0).any()
    ]


def fewest_windows(points: Points, patch: tuple[int, ...], *, rims: int = RIMS) -> list[Corner]:
    """Lay out windows anew, so that few of them hold all that is near the face.

    Nearly every point lies in one of them by so many `rims`, and every one in one of them.
    """
    lines = [_candidates(n, p) for n, p in zip(points.shape, patch, strict=True)]
    chosen: list[Corner] = []
    bare = points.near.copy()
    for rim, enough in ((rims, STRAY_SHARE * points.near.sum()), (0, 0)):
        cores = [
            [_core(c, p, n, line, rim) for c in candidates]
            for candidates, p, n, line in zip(lines, patch, points.shape, points.lines, strict=True)
        ]
        left = bare if not chosen else bare & ~_held(points, chosen, patch)
        while left.sum() > enough:
            gain = _counts(left, cores)
            best = np.unravel_index(int(gain.argmax()), gain.shape)
            left[tuple(slice(*cores[axis][int(i)]) for axis, i in enumerate(best))] = False
            chosen.append(tuple(lines[axis][int(i)] for axis, i in enumerate(best)))
    return chosen


def _held(points: Points, corners: Sequence[Corner], patch: tuple[int, ...]) -> NDArray[np.bool_]:
    """Find the points that lie in any of some windows."""
    held = np.zeros(points.near.shape, bool)
    for corner in corners:
        ends = [
            np.searchsorted(line, [c, c + p])
            for line, c, p in zip(points.lines, corner, patch, strict=True)
        ]
        held[tuple(slice(int(a), int(b)) for a, b in ends)] = True
    return held


def _weight(points: Points, corner: Corner, patch: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the weight of a window at each point, 0 outside it."""
    parts = []
    for line, c, p in zip(points.lines, corner, patch, strict=True):
        away = (line - c - p // 2) / (p * SIGMA)
        parts.append(np.exp(-0.5 * away**2) * ((line >= c) & (line < c + p)))
    out: NDArray[np.float64] = parts[0][:, None, None] * parts[1][:, None] * parts[2]
    return out


def _candidates(size: int, patch: int) -> list[int]:
    """Give the places along an axis at which a window may begin."""
    last = max(0, size - patch)
    return sorted({*range(0, last, max(1, patch // STEPS)), last})


def _core(corner: int, patch: int, size: int, line: NDArray[np.int_], rims: int) -> tuple[int, int]:
    """Give first point, and the one after the last, of a window without its rim."""
    rim = patch * rims // STEPS
    low = corner if corner == 0 else corner + rim
    high = size if corner + patch >= size else corner + patch - rim
    first, last = np.searchsorted(line, [low, high])
    return int(first), int(last)


def _counts(
    left: NDArray[np.bool_], bounds: Sequence[Sequence[tuple[int, int]]]
) -> NDArray[np.int_]:
    """Count the points in the core of every window, by sums over all that lies below a corner."""
    sums = np.zeros([n + 1 for n in left.shape], np.int_)
    sums[1:, 1:, 1:] = left.cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)
    total = np.zeros([len(axis) for axis in bounds], np.int_)
    for ends in product((0, 1), repeat=3):
        at = np.ix_(*[[each[end] for each in axis] for axis, end in zip(bounds, ends, strict=True)])
        total += (-1) ** (3 - sum(ends)) * sums[at]
    return total


def labels_near(
    probabilities: NDArray[np.float32],
    near: NDArray[np.bool_],
    prepared: Prepared,
    planned: Planned,
) -> NDArray[np.uint8]:
    """Lay a network's answer on the image near the face; all else is background.

    Parameters
    ----------
    probabilities : (c, i, j, k) ndarray of float32
        Along the network's axes.
    near : (z, y, x) ndarray of bool
        Voxels of the image; one at least lies where the image is not zero.
    prepared, planned
        The network's input, and what the model was trained on.

    Returns
    -------
    (z, y, x) ndarray of uint8
        Interpolated linearly; along a thick axis, the nearest.
    """
    turned = probabilities.transpose((0, *(a + 1 for a in planned.transpose_backward)))
    thick = _thick_axis(prepared, planned)
    target = tuple(_span(near, axis, crop) for axis, crop in enumerate(prepared.box))
    lines = []
    for axis, (place, crop) in enumerate(zip(target, prepared.box, strict=True)):
        n = turned.shape[axis + 1]
        at = np.arange(place.start, place.stop) - crop.start
        source = np.clip((at + 0.5) * n / (crop.stop - crop.start) - 0.5, 0, n - 1)
        lines.append(linear_line(nearest(source) if axis == thick else source, n))
    resampled = np.stack([apply_lines(lines, each) for each in turned])
    values = np.array([0, *planned.labels], np.uint8)
    out = np.zeros(prepared.shape, np.uint8)
    out[target] = values[resampled.argmax(0)]
    out[~near] = 0
    return out


def _thick_axis(prepared: Prepared, planned: Planned) -> int | None:
    """Find the axis of the image along which each generation takes the nearest answer."""
    own, force = planned.spacing_mm, planned.separate_z
    if planned.generation == 1:
        return thick_axis(prepared.spacing_mm, own, force=force)
    order = planned.transpose_forward
    axis = thick_axis(own, tuple(prepared.spacing_mm[a] for a in order), force=force)
    return None if axis is None else order[axis]


def _span(near: NDArray[np.bool_], axis: int, crop: slice) -> slice:
    """Find the part of an axis, within what is not zero, that holds all that is near."""
    others = tuple(a for a in range(3) if a != axis)
    where = np.flatnonzero(near.any(axis=others))
    return slice(max(int(where[0]), crop.start), min(int(where[-1]) + 1, crop.stop))
