"""Geometry of probabilities on a grid parallel to the body's axes.

All arrays here grow to the patient's right, front and top (RAS+). A probability of one half
is the border of a region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

BORDER = 0.5
"""Probability at the border of a region."""

SMOOTHING = 0.6
"""Gaussian smoothing of distances, in voxels: takes the steps of the grid out of the surface
(error 0.15 instead of 0.3 voxels) and shrinks a ball of radius 4 voxels by 0.1 voxels."""

AIR_SMOOTHING = 1.0
"""Gaussian smoothing of the border in the air, in voxels: single voxels of noise would dent it, and
whoever slices the head otherwise would get another border."""

EDGE = 3
"""Voxels at the edge of a box that its slopes and the smoothing of distances make uncertain."""

FAR_MM = 1000.0
"""Distance that stands for "nowhere near", where a region is empty or fills the grid."""

POCKET_SHARE = 0.1
"""Air in pieces smaller than this share of the largest lies within the head, or is noise in it."""

RIGHT, FRONT, TOP = 0, 1, 2


def largest(probability: NDArray[np.float32], *, share: float) -> NDArray[np.float32]:
    """Silence every piece that is smaller than a share of the largest one.

    Parameters
    ----------
    probability : (i, j, k) ndarray of float32
        Of one class.
    share
        1 keeps the largest piece only.
    """
    labels, n = ndimage.label(probability > BORDER)
    if n <= 1:
        return probability
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    small = sizes < share * sizes.max()
    small[0] = False
    # what is silenced falls just below the border, so that a kept piece beside it keeps its shape
    return np.where(small[labels], np.minimum(probability, 0.0), probability)


def distance_inside(
    probability: NDArray[np.float32], spacing_mm: float, *, reach_mm: float = FAR_MM
) -> NDArray[np.float32]:
    """Give the signed distance to the border of a region.

    The border is placed between voxels by the slope of the probability, and the distance is
    smoothed a little, so it is much finer than the grid.

    Parameters
    ----------
    probability : (i, j, k) ndarray of float32
        0 to 1.
    spacing_mm
        Edge of a voxel, in mm.
    reach_mm
        How far outside the region distances matter, in mm; less is cheaper.

    Returns
    -------
    (i, j, k) ndarray of float32
        In mm, positive inside. Further outside than `reach_mm` it may be any value below minus
        that; plus or minus `FAR_MM` where there is no border.
    """
    inside = probability > BORDER
    if inside.all() or not inside.any():
        return np.where(inside, np.float32(FAR_MM), np.float32(-FAR_MM))
    out = np.full(probability.shape, np.float32(-FAR_MM))
    near = around(inside, int(np.ceil(reach_mm / spacing_mm)) + EDGE)
    out[near] = _distance(probability[near], inside[near], spacing_mm)
    return out


def around(region: NDArray[np.bool_], voxels: int) -> tuple[slice, ...]:
    """Give the box that holds a region and this many voxels on every side, within the grid."""
    box = []
    for axis in range(region.ndim):
        others = tuple(a for a in range(region.ndim) if a != axis)
        where = np.flatnonzero(region.any(axis=others))
        box.append(slice(max(0, int(where[0]) - voxels), int(where[-1]) + 1 + voxels))
    return tuple(box)


def _distance(
    probability: NDArray[np.float32], inside: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.float32]:
    slopes = np.gradient(probability, spacing_mm)
    steepness = np.sqrt(sum(slope**2 for slope in slopes))
    # how far the border lies from the middle of a voxel next to it
    offset = np.abs(probability - BORDER) / np.maximum(steepness, BORDER / spacing_mm / 4)
    offset = np.minimum(offset, spacing_mm / 2)
    distance = -_beyond(~inside, offset, spacing_mm)
    # the nearest voxel outside a region touches the box of the region
    box = around(inside, 1)
    deep = _beyond(inside[box], offset[box], spacing_mm)
    np.copyto(distance[box], deep, where=inside[box])
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(distance, SMOOTHING)
    return smooth


def _beyond(
    region: NDArray[np.bool_], offset: NDArray[np.float32], spacing_mm: float
) -> NDArray[np.float32]:
    """Distance from voxels of a region to its border."""
    distance, nearest = ndimage.distance_transform_edt(
        region, sampling=spacing_mm, return_indices=True
    )
    out: NDArray[np.float32] = (distance - offset[tuple(nearest)]).astype(np.float32)
    return out


def in_front(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call everything in front of a region part of it."""
    return np.maximum.accumulate(probability, axis=FRONT)


def middle(brain: NDArray[np.float32]) -> int:
    """Index, along the axis to the right, of the middle of the brain, or of the grid."""
    inside = brain > BORDER
    if not inside.any():
        return len(brain) // 2
    return round(float(np.argwhere(inside)[:, RIGHT].mean()))


def beside(ears: NDArray[np.float32], brain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep the largest piece of ear on either side of the brain's middle."""
    centre = middle(brain)
    return np.concatenate(
        [largest(ears[:centre], share=1.0), largest(ears[centre:], share=1.0)], axis=RIGHT
    )


def outward(ears: NDArray[np.float32], brain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call everything further out than an ear part of it."""
    centre = middle(brain)
    left = np.maximum.accumulate(ears[:centre][::-1], axis=RIGHT)[::-1]
    return np.concatenate([left, np.maximum.accumulate(ears[centre:], axis=RIGHT)], axis=RIGHT)


def divide_air(
    level: NDArray[np.float32], tissue: NDArray[np.bool_], spacing_mm: float
) -> NDArray[np.float32]:
    """Let the air round the head go with the tissue nearest to it.

    The border between what is removed and what stays is then as far from the one as from the
    other: seen from the skin it rises at right angles.

    Parameters
    ----------
    level : (i, j, k) ndarray of float32
        Positive in what is to be removed, in mm.
    tissue : (i, j, k) ndarray of bool
        What is patient.
    spacing_mm
        Edge of a voxel, in mm.

    Returns
    -------
    (i, j, k) ndarray of float32
        In mm, in the air about the depth below that border; as it was within the head, in small
        pockets of air, and everywhere if all of the tissue goes or all of it stays.
    """
    gone, stays = tissue & (level > 0), tissue & (level <= 0)
    if not (gone.any() and stays.any()):
        return level
    to_gone, to_rest = (
        ndimage.distance_transform_edt(~each, sampling=spacing_mm) for each in (gone, stays)
    )
    air = largest((~tissue).astype(np.float32), share=POCKET_SHARE) > BORDER
    between = ndimage.gaussian_filter((to_rest - to_gone) / 2, AIR_SMOOTHING)
    return np.where(air, between.astype(np.float32), level)


def floating(
    tissue: NDArray[np.bool_], removed: NDArray[np.bool_], brain: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Find tissue that the removal would leave standing before the head, and the air round it.

    Scalp is no such tissue, though the dark skull parts it from the brain: it reaches back
    over the head, and what floats lies before the front quarter of the brain as a whole.

    Parameters
    ----------
    tissue, removed : (i, j, k) ndarray of bool
        What is patient, and what is going to be removed.
    brain : (i, j, k) ndarray of float32
        Tells what is before the head.

    Returns
    -------
    (i, j, k) ndarray of bool
        Pieces before the head that touch what is removed, larger by one voxel.
    """
    inside = np.flatnonzero((brain > BORDER).any(axis=(RIGHT, TOP)))
    if not inside.size:
        return np.zeros(tissue.shape, bool)
    labels, n = ndimage.label(tissue & ~removed)
    limit = inside[0] + 3 * (inside[-1] - inside[0]) // 4
    floats = np.zeros(n + 1, bool)
    floats[labels[ndimage.binary_dilation(removed)]] = True
    floats[labels[:, :limit]] = False
    floats[0] = False
    return np.asarray(ndimage.binary_dilation(floats[labels]))
