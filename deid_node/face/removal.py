"""Judge the whole of what a mask takes of a head: alike on both sides, ears and all, no more.

Figures in brackets are what 128 good masks of `face_model.break_masks` gave: six real heads, as they
are, turned by 25 degrees, cut, thick, noisy, of other contrast, 48 and 24 drawn ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.head_samples import VOXEL_ML

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deid_node.face.head_samples import HeadSamples

SYMMETRY = 0.8
"""Tissue removed on the one side as a share of the other, where both are seen [0.87 to 1.00]."""

LEAST_ML = 20.0
"""Less removed on either side tells nothing of symmetry."""

EAR_BOX = ((70.0, 96.0), (-112.0, -64.0), (-55.0, 18.0))
"""Where ears lie: to the side, to the front and to the top, in head coordinates."""

LEAST_EAR_ML = 5.0
"""Less tissue beside the head is no ear: it was pressed flat or lies outside the field of view."""

EAR_LEFT = 0.4
"""Share of the tissue where an ear lies that may stay [up to 0.20; drawn newborns up to 0.32]."""

BEHIND_MM, BESIDE_MM = -40.0, 50.0
"""Farther back than this, and not as far aside as ears, no face is."""

BEHIND_ML = 10.0
"""Tissue removed there, in ml [up to 1.1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What a mask takes of a head.

    Parameters
    ----------
    symmetry : float or None
        Lesser of the two sides' removed tissue as a share of the greater; None where little is.
    ears_left : mapping of str to float
        Share of the tissue beside the head that stays, of each side that has any.
    behind_ml : float
        Tissue removed where no face is, in ml of an adult.
    """

    symmetry: float | None
    ears_left: Mapping[str, float]
    behind_ml: float


def measure_removal(head: HeadSamples) -> Removal:
    """Measure what a mask takes on either side, of the ears, and behind the face."""
    x, y, z = head.at
    gone = head.tissue & head.removed
    both = gone & head.seen & head.seen[::-1]
    sides = [float(both[where].sum()) * VOXEL_ML for where in (x > 0, x < 0)]
    enough = max(sides) >= LEAST_ML
    (near, far), (back, front), (low, high) = EAR_BOX
    box = (np.abs(x) > near) & (np.abs(x) < far) & (y > back) & (y < front) & (z > low) & (z < high)
    ears_left = {}
    for name, where in (("right ear", x > 0), ("left ear", x < 0)):
        ear = box & where & head.tissue
        if ear.sum() * VOXEL_ML >= LEAST_EAR_ML:
            ears_left[name] = float((~head.removed)[ear].mean())
    behind = gone & (y < BEHIND_MM) & (np.abs(x) < BESIDE_MM)
    return Removal(
        symmetry=min(sides) / max(sides) if enough else None,
        ears_left=ears_left,
        behind_ml=float(behind.sum()) * VOXEL_ML,
    )


def check_removal(removal: Removal, *, ears: bool = True) -> None:
    """Hold what is taken from one side only, leaves an ear, or reaches behind the face.

    Parameters
    ----------
    removal
        As `measure_removal` gives it.
    ears
        Whether ears are meant to be removed.

    Raises
    ------
    ImplausibleFaceMask
        With the first check that failed.
    """
    for name, share in removal.ears_left.items():
        if ears and share > EAR_LEFT:
            raise ImplausibleFaceMask(why=f"{share:.0%} of the {name} would stay")
    if removal.symmetry is not None and removal.symmetry < SYMMETRY:
        raise ImplausibleFaceMask(why="much more would be removed on one side than on the other")
    if removal.behind_ml > BEHIND_ML:
        raise ImplausibleFaceMask(why="tissue far behind the face would be removed")
