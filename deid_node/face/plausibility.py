"""Judge whether a mask can be the whole face of a head.

The checks are independent of how the mask was shaped. Whatever fails one is held: the face
may still be there. Figures in brackets below are what six heads gave (a child of three to an
adult, T1 and T2, whole faces and faces cut at the nose).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.grid import RAS_SIGN, body_axes, to_body

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate

BORDER = 0.5
"""Probability from which a grid voxel counts as of a class."""

BRAIN_ML = (100.0, 2600.0)
"""Brain with its coverings, in ml: from a preterm newborn to well above the largest adult."""

ADULT_BRAIN_ML = 1400.0
"""Brain with its coverings of an adult, in ml; lengths below scale with its cube root."""

FACE_SHARE = (0.08, 2.0)
"""Face with the air in front, as a share of the brain [0.43 to 0.95]; a newborn's face is small,
a face cut at the nose leaves little of it."""

MASK_SHARE = (0.005, 0.6)
"""Mask as a share of the volume [0.13 to 0.29]."""

IN_FRONT_MM = 30.0
"""The face's centre lies at least this far before the brain's, for an adult, in mm."""

ASIDE_MM = 35.0
"""The face's centre lies at most this far beside the brain's, for an adult, in mm."""

EAR_ASIDE_MM = 40.0
"""Ears lie at least this far beside the brain's centre, for an adult, in mm."""

COVERED = 0.9
"""Share of the surely-face grid voxels of the volume that a mask must hold."""

SURE = 0.9
"""Probability from which a grid voxel is surely of a class."""

SURE_SHARE = 0.5
"""Share of the face's voxels that must be surely face; less is a guess."""

OPEN_SHARE = 0.95
"""Share of the mask's front that must lie at the edge of the volume or before nothing."""

BRAIN_VOXELS = 0
"""Grid voxels of brain that may be masked."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Region:
    """Voxels of one class of the estimate."""

    volume_ml: float
    centre: NDArray[np.float64]
    """In RAS mm; NaN where the region is empty."""


def judge(mask: NDArray[np.bool_], estimate: FaceEstimate, volume: Volume) -> None:
    """Hold a series whose mask cannot be its face.

    Parameters
    ----------
    mask : (slices, rows, columns) ndarray of bool
        What would be removed.
    estimate
        What the mask was shaped from.
    volume
        The volume both belong to.

    Raises
    ------
    ImplausibleFaceMask
        With the first check that failed.
    """
    _finite(estimate, volume)
    brain, face = _region(estimate.brain, estimate), _region(estimate.face, estimate)
    _a_head(brain)
    _a_face(face, brain, estimate)
    _ears_aside(estimate, brain)
    _size(mask)
    _where_estimated(mask, estimate, volume)
    _open_in_front(mask, volume)


def _finite(estimate: FaceEstimate, volume: Volume) -> None:
    for array in (estimate.face, estimate.ears, estimate.brain):
        if not np.isfinite(array).all():
            raise ImplausibleFaceMask(why="the estimate holds values that are not numbers")
    for array64 in (volume.slope, volume.intercept, volume.affine, estimate.affine):
        if not np.isfinite(array64).all():
            raise ImplausibleFaceMask(why="the volume's geometry or rescaling is not finite")


def _region(probability: NDArray[np.float32], estimate: FaceEstimate) -> _Region:
    inside = np.argwhere(probability > BORDER)
    voxel_ml = abs(float(np.linalg.det(estimate.affine[:3, :3]))) / 1000
    centre = np.full(3, np.nan)
    if len(inside):
        lps = estimate.affine[:3, :3] @ inside.mean(axis=0) + estimate.affine[:3, 3]
        centre = lps * RAS_SIGN
    return _Region(volume_ml=len(inside) * voxel_ml, centre=centre)


def _a_head(brain: _Region) -> None:
    if brain.volume_ml == 0:
        raise ImplausibleFaceMask(why="no brain was found, so this may not be a head")
    low, high = BRAIN_ML
    if not low <= brain.volume_ml <= high:
        raise ImplausibleFaceMask(
            why=f"a brain of {brain.volume_ml:.0f} ml where {low:.0f} to {high:.0f} ml are expected"
        )


def _scale(brain: _Region) -> float:
    """Length of this head as a share of an adult's."""
    return float(np.cbrt(brain.volume_ml / ADULT_BRAIN_ML))


def _a_face(face: _Region, brain: _Region, estimate: FaceEstimate) -> None:
    share = face.volume_ml / brain.volume_ml
    low, high = FACE_SHARE
    if not low <= share <= high:
        raise ImplausibleFaceMask(
            why=f"a face of {share:.2f} of the brain's volume where {low} to {high} are expected"
        )
    sure = float((estimate.face > SURE).sum() / (estimate.face > BORDER).sum())
    if sure < SURE_SHARE:
        raise ImplausibleFaceMask(
            why=f"only {sure:.0%} of the face is sure where {SURE_SHARE:.0%} are needed"
        )
    aside, ahead, _ = (face.centre - brain.centre) / _scale(brain)
    if ahead < IN_FRONT_MM:
        raise ImplausibleFaceMask(
            why=f"the face lies {ahead:.0f} mm before the brain's centre, not {IN_FRONT_MM:.0f} mm"
        )
    if abs(aside) > ASIDE_MM:
        raise ImplausibleFaceMask(
            why=f"the face lies {abs(aside):.0f} mm beside the brain's centre"
        )


def _ears_aside(estimate: FaceEstimate, brain: _Region) -> None:
    inside = np.argwhere(estimate.ears > BORDER)
    if not len(inside):
        return
    right = (inside @ estimate.affine[0, :3] + estimate.affine[0, 3]) * RAS_SIGN[0]
    nearest = float(np.percentile(np.abs(right - brain.centre[0]), 10)) / _scale(brain)
    if nearest < EAR_ASIDE_MM:
        raise ImplausibleFaceMask(
            why=f"ears {nearest:.0f} mm from the head's middle where {EAR_ASIDE_MM:.0f} mm are expected"
        )


def _size(mask: NDArray[np.bool_]) -> None:
    share = float(mask.mean())
    if share == 0:
        raise ImplausibleFaceMask(why="nothing would be removed")
    low, high = MASK_SHARE
    if not low <= share <= high:
        raise ImplausibleFaceMask(
            why=f"{share:.1%} of the volume would be removed where {low:.1%} to {high:.0%} are expected"
        )


def _where_estimated(mask: NDArray[np.bool_], estimate: FaceEstimate, volume: Volume) -> None:
    """Compare the mask with the estimate at the centres of the estimate's own voxels."""
    brain = _masked_at(mask, estimate.brain > BORDER, estimate, volume)
    if brain.sum() > BRAIN_VOXELS:
        raise ImplausibleFaceMask(why=f"{brain.sum()} grid voxels of brain would be removed")
    near_brain = estimate.brain > 1 - SURE
    face = _masked_at(mask, (estimate.face > SURE) & ~near_brain, estimate, volume)
    if not face.size or face.mean() < COVERED:
        covered = float(face.mean()) if face.size else 0.0
        raise ImplausibleFaceMask(why=f"the mask holds {covered:.0%} of the face that was found")


def _masked_at(
    mask: NDArray[np.bool_],
    where: NDArray[np.bool_],
    estimate: FaceEstimate,
    volume: Volume,
) -> NDArray[np.bool_]:
    """Read the mask at some voxels of the estimate, those outside the volume left out."""
    to_volume = np.linalg.inv(volume.affine) @ estimate.affine
    at = np.argwhere(where) @ to_volume[:3, :3].T + to_volume[:3, 3]
    voxel = np.rint(at).astype(int)
    inside = ((voxel >= 0) & (voxel < mask.shape)).all(axis=1)
    return np.asarray(mask[tuple(voxel[inside].T)])


def _open_in_front(mask: NDArray[np.bool_], volume: Volume) -> None:
    """Look along every line of voxels to the front: behind the first mask, all is mask."""
    lines = to_body(mask, body_axes(volume.affine))
    begun = lines.any(axis=1)
    open_front = lines[:, -1, :] & begun
    share = float(open_front.sum() / max(1, begun.sum()))
    if share < OPEN_SHARE:
        raise ImplausibleFaceMask(
            why=f"only {share:.0%} of the mask reaches the edge of the volume in front"
        )
