"""Shape what a model estimates into the voxels to remove.

The shape is made on the grid of the estimate, as signed distances in mm; only the last step
touches the volume's own voxels. Nothing here judges whether the result is a face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from deid_node.errors import SettingsInvalid
from deid_node.face.brightness import is_tissue
from deid_node.face.grid import RAS_SIGN, ROUNDING, Grid, extent, interpolate
from deid_node.face.region import (
    BORDER,
    around,
    beside,
    distance_inside,
    divide_air,
    floating,
    in_front,
    largest,
    outward,
)
from deid_node.face.shrunk import read, shrink
from deid_node.face.voxels import positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate

COARSEST = 1.7
"""What was read at up to this many voxels of the grid still tells tissue from air on it."""

SPECK_SHARE = 0.1
"""A piece of face smaller than this share of the largest piece is a mistake of the model."""


REACH = 4
"""Grid voxels beyond which only the sign of a distance matters: a voxel of the volume is masked
by the signs at the grid voxels round it, or, where those differ, by distances below 3.5."""

DOUBT = 0.3
"""Probability from which a place is guarded as brain: fluid at its rim, dark like bone and air, is
often named with less than one half."""

LEAST_GUARD_MM = 1.0
"""Where the brain ends is known to about a quarter of a grid voxel, in mm."""

LONGEST_MM = 20.0
"""Longer margins would take the brain's surroundings, not the face's, in mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskPolicy:
    """How far the mask reaches.

    Parameters
    ----------
    margin_mm
        The mask is this much larger than what the model calls face or ears, in mm.
    brain_guard_mm
        No voxel of the face nearer than this to what may be brain (`DOUBT`) is masked, in mm of
        an adult: times the head's scale; at least `LEAST_GUARD_MM`. Orbits leave room for a wide
        guard.
    ear_guard_mm
        The same for ears, which lie nearer to the brain, the most so in newborns; in mm.
    ears
        Whether ears are removed too.

    Raises
    ------
    SettingsInvalid
        If a length is out of bounds.
    """

    margin_mm: float = 2.5
    brain_guard_mm: float = 5.0
    ear_guard_mm: float = 2.0
    ears: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.margin_mm <= LONGEST_MM:
            raise SettingsInvalid(f"margin_mm must lie between 0 and {LONGEST_MM:g} mm")
        for name in ("brain_guard_mm", "ear_guard_mm"):
            if not LEAST_GUARD_MM <= getattr(self, name) <= LONGEST_MM:
                bounds = f"{LEAST_GUARD_MM:g} and {LONGEST_MM:g} mm"
                raise SettingsInvalid(f"{name} must lie between {bounds}")


def shape_mask(estimate: FaceEstimate, volume: Volume, policy: MaskPolicy) -> NDArray[np.bool_]:
    """Decide which voxels to remove.

    Everything in front of the face is removed with it, and everything beside an ear, out to
    the edge of the volume. Tissue that would be left floating before the hole is removed too.
    Other air goes with the tissue nearest to it, so that the outer border leaves the skin at
    right angles and never runs along it. Near the brain nothing is removed, whatever the model
    says of it.

    Parameters
    ----------
    estimate
        Where face, ears and brain are.
    volume
        The volume that was estimated.
    policy
        Margin, guard, ears.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        True where the voxel is to be removed; all False where the estimate holds no face.
    """
    grid = _cover(estimate, volume)
    face, ears, brain = (
        interpolate(array, estimate.affine, grid.affine, grid.shape)
        for array in (estimate.face, estimate.ears, estimate.brain)
    )
    nearest = _nearest_seen(volume, grid)
    tissue = _tissue(estimate, volume, grid).ravel()[nearest]
    face, ears = largest(face, share=SPECK_SHARE), beside(ears, brain) * policy.ears
    before, aside = in_front(face), outward(ears, brain)
    removal = np.maximum(before, aside).ravel()[nearest]
    scale = 1.0 if estimate.frame is None else estimate.frame.scale
    guard = np.where(aside > before, policy.ear_guard_mm, policy.brain_guard_mm * scale)
    reserve = _reserve(brain, guard.astype(np.float32), grid)
    level = np.minimum(_level(removal, grid, policy), reserve)
    lost = floating(tissue, level > 0, brain)
    if lost.any():
        # only what floats is carried to the front: ears are not
        removal = np.maximum(removal, in_front(lost.astype(np.float32))).ravel()[nearest]
        level = np.minimum(_level(removal, grid, policy), reserve)
    # what the model itself calls face or ear goes, however dark it is
    named = _level(np.maximum(face, ears).ravel()[nearest], grid, policy)
    level = np.maximum(divide_air(level, tissue, grid.spacing_mm), named)
    return positive(np.minimum(level, reserve), grid, volume)


def _level(removal: NDArray[np.float32], grid: Grid, policy: MaskPolicy) -> NDArray[np.float32]:
    """Give how deep a place lies in what is to be removed with its margin, in mm."""
    reach_mm = policy.margin_mm + REACH * grid.spacing_mm
    return distance_inside(removal, grid.spacing_mm, reach_mm=reach_mm) + policy.margin_mm


def _reserve(
    brain: NDArray[np.float32], guard_mm: NDArray[np.float32], grid: Grid
) -> NDArray[np.float32]:
    """Give how far a place lies outside the guarded brain, in mm."""
    reach_mm = float(guard_mm.max()) + REACH * grid.spacing_mm
    whole = largest(np.minimum(brain + np.float32(BORDER - DOUBT), 1), share=1.0)
    return -distance_inside(whole, grid.spacing_mm, reach_mm=reach_mm) - guard_mm


def _cover(estimate: FaceEstimate, volume: Volume) -> Grid:
    """Extend the grid of the estimate beyond the whole volume, on the same lattice.

    One voxel more on every side: a slice that falls on the very edge of the grid would lie
    outside by rounding, and be left as it was.
    """
    spacing = float(np.linalg.norm(estimate.affine[:3, :3], axis=0).min())
    low, high = extent(volume.affine, volume.stored.shape)
    own_low, _ = extent(estimate.affine, estimate.face.shape)
    first = np.floor((low - own_low) / spacing).astype(int) - 1
    i, j, k = (int(n) + 2 for n in np.ceil((high - own_low) / spacing).astype(int) - first)
    origin = (own_low + first * spacing) * RAS_SIGN
    return Grid(shape=(i, j, k), origin=origin, spacing_mm=spacing)


def _nearest_seen(volume: Volume, grid: Grid) -> NDArray[np.intp]:
    """Find, for every voxel of the grid, the nearest one that the volume fully shows.

    What lies outside the field of view is unknown, not air: were it read as air, a region
    would creep along the edge of the field of view below or beside the head.

    Returns
    -------
    `grid.shape` ndarray of int
        Indices into the grid laid out flat; that of the voxel itself where it is shown.
    """
    to_voxel = np.linalg.inv(volume.affine) @ grid.affine
    seen = np.ones(grid.shape, bool)
    for axis, (n, mm) in enumerate(zip(volume.stored.shape, volume.spacing_mm(), strict=True)):
        steps = [
            to_voxel[axis, a] * np.arange(length).reshape([-1 if a == b else 1 for b in range(3)])
            for a, length in enumerate(grid.shape)
        ]
        at = steps[0] + steps[1] + steps[2] + to_voxel[axis, 3]
        # a value of the grid is the mean of a cell, which must lie inside as a whole
        rim = min(max(0.0, (grid.spacing_mm / mm - 1) / 2), (n - 1) / 2)
        seen &= (at >= rim - ROUNDING) & (at <= n - 1 - rim + ROUNDING)
    own = np.arange(seen.size).reshape(grid.shape)
    if not seen.any():
        return own
    box = around(seen, 0)
    if seen[box].all():
        limits = [(each.start, each.stop - 1) for each in box]
        lines = [np.clip(np.arange(n), *ends) for n, ends in zip(grid.shape, limits, strict=True)]
        return own[np.ix_(*lines)]
    indices = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return np.asarray(np.ravel_multi_index(tuple(indices), grid.shape))


def _tissue(estimate: FaceEstimate, volume: Volume, grid: Grid) -> NDArray[np.bool_]:
    """Tell tissue from air by brightness, from what the model read if it fits the grid."""
    seen = estimate.seen
    if seen is None or not COARSEST * grid.spacing_mm >= seen.spacing_mm:
        seen = shrink(volume, grid.spacing_mm)
    return is_tissue(read(seen, grid.affine, grid.shape))
