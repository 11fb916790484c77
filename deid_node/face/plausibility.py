"""Judge whether a mask can be the whole face of a head.

The checks are independent of how the mask was shaped. Whatever fails one is held: the face
may still be there. Figures in brackets below are what six heads gave (a child of three to an
adult, T1 and T2, whole faces and faces cut at the nose).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.coverage import check_coverage, measure
from deid_node.face.crown import check_crown
from deid_node.face.grid import block_means, body_axes, to_body
from deid_node.face.head_samples import STEP_MM, sample_head
from deid_node.face.placement import check_placement
from deid_node.face.removal import check_removal, measure_removal
from deid_node.face.shrunk import shrink
from deid_node.face.surface import check_anchors, find_anchors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate

BORDER = 0.5
"""Probability from which a grid voxel counts as of a class."""

BRAIN_ML = (100.0, 2600.0)
"""Brain with its coverings, in ml: from a preterm newborn to well above the largest adult."""

CONTRAST = 2.0
"""Tissue is at least this many times as bright as the darkest tenth of the volume."""

TISSUE_SHARE = 0.8
"""Share of the surely-brain blocks that must be tissue; of noise without any averaging it would
be 0.66, of a volume that is even it is 0."""

BLOCK_MM = 6.0
"""Edge of the blocks whose averages tell brightness, in mm."""

FACE_SHARE = (0.08, 2.0)
"""Face with the air in front, as a share of the brain [0.34 to 0.77]; a newborn's face is small,
a face cut at the nose leaves little of it."""

MASK_SHARE = (0.005, 0.6)
"""Mask as a share of the volume [0.11 to 0.29]."""

COVERED = 0.9
"""Share of the surely-face grid voxels of the volume that a mask must hold."""

LOST_ML = 0.1
"""Brain, as the model finds it, that may be removed, in ml [0.00; once 0.05, a speck of what the
model took for brain far from it]."""

LOOKS = 200_000
"""At most about this many masked voxels are looked up, evenly spread."""

SURE = 0.9
"""Probability from which a grid voxel is surely of a class."""

SURE_SHARE = 0.45
"""Share of the face's voxels that must be surely face [0.68 to 0.78]; less is a guess [noise,
balls and limbs: mostly below 0.45]."""

OPEN_SHARE = 0.8
"""Share of the lines of voxels to the front that, once in the mask, must end in it [1.0]; lines
of a volume slanted by 25 degrees leave it through its top or side [0.93]."""


EDGE_LEAST = 0.02
EDGE_SHARE = 0.5
"""A mask that takes at least the first share of the last slice but one takes at least the second
share of that much from the last: it runs through the air to the edge, so they are alike."""


def judge(
    mask: NDArray[np.bool_], estimate: FaceEstimate, volume: Volume, *, ears: bool = True
) -> None:
    """Hold a series whose mask cannot be its face.

    Parameters
    ----------
    mask : (slices, rows, columns) ndarray of bool
        What would be removed.
    estimate
        What the mask was shaped from.
    volume
        The volume both belong to.
    ears
        Whether the mask is meant to hold them.

    Raises
    ------
    ImplausibleFaceMask
        With the first check that failed.
    """
    _finite(estimate, volume)
    brain, face = _volume_ml(estimate.brain, estimate), _volume_ml(estimate.face, estimate)
    _a_head(brain)
    _bright(volume, estimate)
    _a_face(face, brain, estimate)
    frame = check_placement(estimate, volume)
    _size(mask)
    _edges(mask)
    _brain_spared(mask, estimate, volume)
    _face_covered(mask, estimate, volume)
    _open_in_front(mask, volume)
    shrunk = estimate.seen or shrink(volume, STEP_MM * frame.scale)
    head = sample_head(mask, volume, frame, shrunk)
    check_anchors(find_anchors(head))
    check_crown(estimate, head, frame, shrunk)
    check_coverage(measure(head, frame, estimate.parts), ears=ears)
    check_removal(measure_removal(head), ears=ears)


def _finite(estimate: FaceEstimate, volume: Volume) -> None:
    for array in (estimate.face, estimate.ears, estimate.brain):
        if not np.isfinite(array).all():
            raise ImplausibleFaceMask(why="the estimate holds values that are not numbers")
    for array64 in (volume.slope, volume.intercept, volume.affine, estimate.affine):
        if not np.isfinite(array64).all():
            raise ImplausibleFaceMask(why="the volume's geometry or rescaling is not finite")
    if not volume.slope.all():
        raise ImplausibleFaceMask(why="a rescale slope is zero")


def _volume_ml(probability: NDArray[np.float32], estimate: FaceEstimate) -> float:
    voxel_ml = abs(float(np.linalg.det(estimate.affine[:3, :3]))) / 1000
    return float((probability > BORDER).sum()) * voxel_ml


def _a_head(brain_ml: float) -> None:
    if brain_ml == 0:
        raise ImplausibleFaceMask(why="no brain was found, so this may not be a head")
    low, high = BRAIN_ML
    if not low <= brain_ml <= high:
        raise ImplausibleFaceMask(why="a brain of no human size was found")


def _a_face(face_ml: float, brain_ml: float, estimate: FaceEstimate) -> None:
    share = face_ml / brain_ml
    low, high = FACE_SHARE
    if not low <= share <= high:
        raise ImplausibleFaceMask(why="the face that was found does not fit the brain in size")
    sure = float((estimate.face > SURE).sum() / (estimate.face > BORDER).sum())
    if sure < SURE_SHARE:
        raise ImplausibleFaceMask(
            why=f"only {sure:.0%} of the face is sure where {SURE_SHARE:.0%} are needed"
        )


def _bright(volume: Volume, estimate: FaceEstimate) -> None:
    """See that the brain is tissue; the estimate of an empty volume is a fancy."""
    factors = np.maximum(1, np.round(BLOCK_MM / volume.spacing_mm())).astype(int)
    means = block_means(volume, factors)
    to_volume = np.linalg.inv(volume.affine) @ estimate.affine
    at = np.argwhere(estimate.brain > SURE) @ to_volume[:3, :3].T + to_volume[:3, 3]
    block = (np.rint(at) // factors).astype(int)
    inside = ((block >= 0) & (block < means.shape)).all(axis=1)
    if not inside.any():
        raise ImplausibleFaceMask(why="no voxel of the volume is surely brain")
    dark = float(np.percentile(means, 10))
    tissue = means[tuple(block[inside].T)] > CONTRAST * max(dark, 0.0)
    if tissue.mean() < TISSUE_SHARE:
        raise ImplausibleFaceMask(why="the brain is not brighter than the darkest of the volume")


def _size(mask: NDArray[np.bool_]) -> None:
    share = float(mask.mean())
    if share == 0:
        raise ImplausibleFaceMask(why="nothing would be removed")
    low, high = MASK_SHARE
    if not low <= share <= high:
        raise ImplausibleFaceMask(
            why=f"{share:.1%} of the volume would be removed where {low:.1%} to {high:.0%} are expected"
        )


def _edges(mask: NDArray[np.bool_]) -> None:
    """Hold a mask that stops one slice before the edge of the volume."""
    for axis in range(3):
        for outer, inner in ((0, 1), (-1, -2)):
            edge, beside = np.take(mask, outer, axis).mean(), np.take(mask, inner, axis).mean()
            if beside > EDGE_LEAST and edge < EDGE_SHARE * beside:
                raise ImplausibleFaceMask(
                    why=f"{edge:.1%} of an outermost slice would be removed, {beside:.1%} of the next"
                )


def _brain_spared(mask: NDArray[np.bool_], estimate: FaceEstimate, volume: Volume) -> None:
    """Look up what the estimate says at the centres of masked voxels."""
    masked = np.flatnonzero(mask)
    every = 1 + len(masked) // LOOKS
    masked = masked[::every]
    to_estimate = np.linalg.inv(estimate.affine) @ volume.affine
    voxels = np.stack(np.unravel_index(masked, mask.shape))
    at = to_estimate[:3, :3] @ voxels + to_estimate[:3, 3:]
    n_brain = int((ndimage.map_coordinates(estimate.brain, at, order=1) > BORDER).sum())
    voxel_ml = float(np.prod(volume.spacing_mm())) / 1000
    if n_brain * every * voxel_ml > LOST_ML:
        raise ImplausibleFaceMask(why="part of the brain would be removed")


def _face_covered(mask: NDArray[np.bool_], estimate: FaceEstimate, volume: Volume) -> None:
    """Look up the mask at the centres of the estimate's surely-face voxels."""
    sure = (estimate.face > SURE) & (estimate.brain < 1 - SURE)
    to_volume = np.linalg.inv(volume.affine) @ estimate.affine
    voxel = np.rint(np.argwhere(sure) @ to_volume[:3, :3].T + to_volume[:3, 3]).astype(int)
    inside = ((voxel >= 0) & (voxel < mask.shape)).all(axis=1)
    covered = mask[tuple(voxel[inside].T)]
    if not covered.size or covered.mean() < COVERED:
        share = float(covered.mean()) if covered.size else 0.0
        raise ImplausibleFaceMask(why=f"the mask holds {share:.0%} of the face that was found")


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
