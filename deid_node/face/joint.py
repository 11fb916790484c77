"""Join what a second, imported model finds to what the default model finds.

Nothing that the default model would remove stays, however the second model answers: the mask
is of both. Where the two contradict each other grossly, the series is held.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deid_node.dicom.volume import Volume
from deid_node.errors import ModelsDisagree
from deid_node.face.coverage import measure
from deid_node.face.grid import interpolate
from deid_node.face.head_samples import sample_head
from deid_node.face.mask import REACH, shape_mask
from deid_node.face.region import BORDER, distance_inside, largest
from deid_node.face.shrunk import read, shrink
from deid_node.face.voxels import positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.mask import MaskPolicy
    from deid_node.face.model import FaceEstimate, Found

LEAST_SHARE = 0.5
"""Share of the tissue round a feature that the second model must name as well."""

BRAIN_ML = 20.0
"""Brain, as the default model finds it, that the second one may name, in ml."""

FAR_ML = 20.0
"""Tissue away from the face, as the default model finds it, that the second one may name, in ml."""


def face_mask(estimate: FaceEstimate, volume: Volume, policy: MaskPolicy) -> NDArray[np.bool_]:
    """Decide which voxels to remove, after one model or two.

    Parameters
    ----------
    estimate
        Where face, ears and brain are; with `found` if a second model looked too.
    volume
        The volume that was estimated.
    policy
        Margin, guard, ears.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        What `shape_mask` makes of both, and every voxel that the second model names; none of
        them nearer to the brain than its guard.

    Raises
    ------
    ModelsDisagree
        If the second model leaves most of a feature, or takes brain or much that is far from the
        face for face, or the default model found no head by which to tell.
    """
    found = estimate.found
    if found is None:
        return shape_mask(estimate, volume, policy)
    named = _named(found, policy)
    share = _on_grid(named, estimate, volume)
    _same_head(found, share, estimate)
    _every_feature(found, named, estimate, volume, policy)
    is_ear = estimate.ears > estimate.face
    joint = replace(
        estimate,
        face=np.maximum(estimate.face, np.where(is_ear, 0, share)),
        ears=np.maximum(estimate.ears, np.where(is_ear, share, 0)),
    )
    return shape_mask(joint, volume, policy) | (named & ~_guarded(estimate, volume, policy))


def _named(found: Found, policy: MaskPolicy) -> NDArray[np.bool_]:
    return found.face if found.ears is None or not policy.ears else found.face | found.ears


def _on_grid(
    named: NDArray[np.bool_], estimate: FaceEstimate, volume: Volume
) -> NDArray[np.float32]:
    """Share of each voxel of the estimate's grid that the second model names."""
    ones = np.ones(len(named))
    there = Volume(
        stored=named.astype(np.uint8),
        slope=ones,
        intercept=np.zeros_like(ones),
        affine=volume.affine,
    )
    return read(shrink(there, estimate.grid.spacing_mm), estimate.affine, estimate.face.shape)


def _guarded(estimate: FaceEstimate, volume: Volume, policy: MaskPolicy) -> NDArray[np.bool_]:
    """Find the voxels that are brain or nearer to it than its guard."""
    grid = estimate.grid
    brain = interpolate(estimate.brain, estimate.affine, grid.affine, grid.shape)
    reach_mm = policy.brain_guard_mm + REACH * grid.spacing_mm
    depth = distance_inside(largest(brain, share=1.0), grid.spacing_mm, reach_mm=reach_mm)
    return positive(depth + np.float32(policy.brain_guard_mm), grid, volume)


def _same_head(found: Found, share: NDArray[np.float32], estimate: FaceEstimate) -> None:
    voxel_ml = abs(float(np.linalg.det(estimate.affine[:3, :3]))) / 1000
    brain_ml = voxel_ml * float(((share > BORDER) & (estimate.brain > BORDER)).sum())
    if brain_ml > BRAIN_ML:
        raise ModelsDisagree(model=found.name, why=f"it takes {brain_ml:.0f} ml of brain for face")
    if found.far_ml > FAR_ML:
        why = f"it takes {found.far_ml:.0f} ml of tissue far from the face for face"
        raise ModelsDisagree(model=found.name, why=why)


def _every_feature(
    found: Found,
    named: NDArray[np.bool_],
    estimate: FaceEstimate,
    volume: Volume,
    policy: MaskPolicy,
) -> None:
    if estimate.frame is None:
        raise ModelsDisagree(model=found.name, why="the default model found no head")
    head = sample_head(named, volume, estimate.frame, estimate.seen)
    for feature, share in measure(head, estimate.frame, estimate.parts).features.items():
        is_asked = not feature.endswith("ear") or (found.ears is not None and policy.ears)
        if is_asked and share < LEAST_SHARE:
            why = f"it names only {share:.0%} of the {feature}"
            raise ModelsDisagree(model=found.name, why=why)
