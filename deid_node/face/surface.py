"""Find brow and nose on the surface of the original, and see that they lie where the frame has them.

Nothing here comes from the model but the frame itself, so a frame that is wrong, however well all
that the model says agrees with it, is found out by the skin. Figures in brackets are what 128 good
masks of `face_model.break_masks` gave: six real heads, as they are and changed, 48 and 24 drawn ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.head_samples import LOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.head_samples import HeadSamples

AHEAD_MM = 42.0
"""The field of view must reach this far before the globes; less, and it may cut off the skin."""

BROW_X, BROW_Z = 12.0, (0.0, 36.0)
"""Between the eyes and up the forehead the skin lies about as far forward everywhere."""

BROW_MM = (16.0, 34.0)
"""How far before the globes the skin between and above the eyes lies [18 to 30]."""

NOSE_X, CHEEK_X, NOSE_Z = 9.0, (22.0, 32.0), (-66.0, 12.0)
"""Where the ridge of the nose is looked for, and the cheeks that it stands out from."""

RIDGE_MM = (15.0, 50.0)
"""A ridge lower than this is no nose, or a nose that is cut off; a higher one is something else
[18 to 36]."""

UPPER_SHARE = 0.75
"""Where the ridge reaches this share of its height, it is the nose and not lips or chin."""

NOSE_MM = (-43.0, -15.0)
"""Height of the middle of the nose's upper ridge, relative to the globes [-39 to -24]."""

LEAST_RAYS = 12
"""Fewer rays tell nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Where brow and nose are on the surface, in head coordinates.

    Parameters
    ----------
    brow_mm : float or None
        How far forward the skin between and above the eyes lies; None where it is not seen.
    nose_mm : float or None
        Height of the middle of the nose's ridge; None where it is not wholly seen.
    """

    brow_mm: float | None
    nose_mm: float | None


def first_tissue(
    tissue: NDArray[np.bool_], at: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Tell how far forward each ray from the front first meets tissue, and whether it does.

    Parameters
    ----------
    tissue : (i, j, k) ndarray of bool
        In head coordinates, the second axis growing to the front.
    at : (3, i, j, k) ndarray of float32
        Head coordinates.

    Returns
    -------
    depth : (i, k) ndarray of float32
        In mm before the globes; the rear end of the grid where a ray meets nothing.
    met : (i, k) ndarray of bool
    """
    met = np.asarray(tissue.any(axis=1))
    last = tissue.shape[1] - 1 - np.argmax(tissue[:, ::-1, :], axis=1)
    forward = at[1][0, :, 0][last]
    return np.where(met, forward, LOW[1]).astype(np.float32), met


def find_anchors(head: HeadSamples) -> Anchors:
    """Find brow and nose on the surface.

    Parameters
    ----------
    head
        The original, read in the frame that is judged.
    """
    skin = head.tissue.copy()
    skin[:, :-1] &= head.tissue[:, 1:]  # a speck of noise is one voxel deep
    skin[:, -1] = False
    depth, met = first_tissue(skin, head.at)
    seen, _ = first_tissue(head.seen, head.at)
    free = met & (seen >= AHEAD_MM)
    x, z = np.abs(head.at[0][:, 0, :]), head.at[2][:, 0, :]
    brow = free & (x < BROW_X) & (z > BROW_Z[0]) & (z < BROW_Z[1])
    brow_mm = float(np.median(depth[brow])) if brow.sum() >= LEAST_RAYS else None
    nose_mm = None if brow_mm is None else _nose(depth, seen >= AHEAD_MM, x, z)
    return Anchors(brow_mm=brow_mm, nose_mm=nose_mm)


def _nose(
    depth: NDArray[np.float32],
    whole: NDArray[np.bool_],
    x: NDArray[np.float32],
    z: NDArray[np.float32],
) -> float | None:
    """Middle of what stands out before the cheeks."""
    rows = np.flatnonzero((z[0] > NOSE_Z[0]) & (z[0] < NOSE_Z[1]))
    ridge, cheeks = x[:, 0] < NOSE_X, (x[:, 0] > CHEEK_X[0]) & (x[:, 0] < CHEEK_X[1])
    if not whole[np.ix_(ridge, rows)].all():
        return None
    middle, beside = (np.median(depth[np.ix_(side, rows)], axis=0) for side in (ridge, cheeks))
    height = middle - beside
    peak = float(height.max())
    if not RIDGE_MM[0] <= peak <= RIDGE_MM[1]:
        return None
    return float(z[0][rows][height >= UPPER_SHARE * peak].mean())


def check_anchors(anchors: Anchors) -> None:
    """Hold a frame that the surface contradicts.

    Raises
    ------
    ImplausibleFaceMask
        With the first anchor that lies elsewhere.
    """
    for name, mm, (low, high) in (
        ("brow", anchors.brow_mm, BROW_MM),
        ("nose", anchors.nose_mm, NOSE_MM),
    ):
        if mm is not None and not low <= mm <= high:
            raise ImplausibleFaceMask(why=f"the skin has its {name} elsewhere than the model")
