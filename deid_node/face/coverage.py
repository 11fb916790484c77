"""Measure what a mask leaves of a face, on the surface and round the features of the original.

Everything is measured on a grid in head coordinates (see `head_frame`), so lengths are those of
an adult. The places come from what the model found and from where such a head must have them;
the surface comes from the volume alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.head_frame import FAR, PLACES, SPREADS
from deid_node.face.head_samples import STEP_MM, VOXEL_ML
from deid_node.face.surface import first_tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.head_samples import HeadSamples

BALL_MM = 12.0
"""Radius of the ball round a feature's middle that tells whether it is gone."""

LEAST_SEEN = 0.5
"""Share of a feature's ball that must lie in the field of view for it to be asked for."""

LEAST_TISSUE_ML = 0.3
"""Tissue in a feature's ball, in ml of the adult, below which there is nothing to remove."""

FEATURES = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")

COVERED, EAR_COVERED = 0.95, 0.9
"""Share of a feature's ball that must be removed [0.951 to 1.00; ears 1.00]."""

RETREATED, CHIN_RETREATED = 0.95, 0.9
"""Share of the rays that must be met farther back [0.958 to 1.00; chin 0.983 to 1.00]."""

RETREAT_MM = 6.0
"""A face's surface counts as gone where it has retreated by this much along a ray from the front."""

LEAST_RAYS = 4
"""Fewer rays tell nothing."""

HALF_WIDTH_MM, BROW_MM = 33.0, 8.0
"""Rays are cast within this half width, from this height down."""

CUT_MM = -9.0
"""A ray that meets nothing before this met no skin: the field of view cuts the face off there."""

CHIN_MM, JUTTING_MM = 42.0, 18.0
"""The chin is looked for as far below the mouth as this, where the midline still lies no farther
than this behind the mouth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a mask removes of a face.

    Parameters
    ----------
    features : mapping of str to float
        Share of the tissue within `BALL_MM` of each feature that is removed; only features
        that the field of view holds.
    retreated : float or None
        Share of the rays from the front that meet the face at least `RETREAT_MM` farther back
        than before; None where no ray meets any.
    chin : float or None
        The same over the rays below the mouth that meet the jutting chin.
    """

    features: Mapping[str, float]
    retreated: float | None
    chin: float | None


def measure(
    head: HeadSamples, frame: HeadFrame, parts: Mapping[str, NDArray[np.float64]]
) -> Coverage:
    """Measure what a mask takes of each feature and of the surface.

    Parameters
    ----------
    head
        The original and the mask, read in the same frame.
    frame
        Of the head.
    parts
        Centres of what the model found, in RAS mm; a part that is missing is looked for where
        the frame has it.
    """
    features = {}
    for name in FEATURES:
        share = _ball(head, _middle(name, frame, parts))
        if share is not None:
            features[name] = share
    mouth = float(_middle("mouth", frame, parts)[2])
    retreated, chin = _rays(head, mouth)
    return Coverage(features=features, retreated=retreated, chin=chin)


def check_coverage(coverage: Coverage, *, ears: bool = True) -> None:
    """Hold what was not wholly covered.

    Parameters
    ----------
    coverage
        As `measure` gives it.
    ears
        Whether ears are meant to be covered.

    Raises
    ------
    ImplausibleFaceMask
        With the first feature that falls short.
    """
    for name, share in coverage.features.items():
        is_ear = name.endswith("ear")
        if share < (EAR_COVERED if is_ear else COVERED) and (ears or not is_ear):
            raise ImplausibleFaceMask(why=f"only {share:.0%} of the {name} would be removed")
    if coverage.retreated is not None and coverage.retreated < RETREATED:
        raise ImplausibleFaceMask(
            why=f"{1 - coverage.retreated:.0%} of the face's surface would stay where it is"
        )
    if coverage.chin is not None and coverage.chin < CHIN_RETREATED:
        raise ImplausibleFaceMask(
            why=f"{1 - coverage.chin:.0%} of the chin's surface would stay where it is"
        )


def _middle(
    name: str, frame: HeadFrame, parts: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Where a feature is, in head coordinates; where it should be, if it was not found there."""
    place = np.array(PLACES[name])
    if name not in parts:
        return place
    found = frame.to_head(parts[name])
    near = np.linalg.norm(found - place) <= FAR * SPREADS[name]
    return found if near else place


def _ball(head: HeadSamples, middle: NDArray[np.float64]) -> float | None:
    away = head.at - middle.astype(np.float32)[:, None, None, None]
    near = (away**2).sum(axis=0) < BALL_MM**2
    there = near & head.tissue
    if not near.any() or head.seen[near].mean() < LEAST_SEEN:
        return None
    if there.sum() * VOXEL_ML < LEAST_TISSUE_ML:
        return None
    return float(head.removed[there].mean())


def _rays(head: HeadSamples, mouth: float) -> tuple[float | None, float | None]:
    """Cast rays from the front; share retreated over the face, and over the chin."""
    x, z = head.at[0][:, 0, :], head.at[2][:, 0, :]
    before, met = first_tissue(head.tissue, head.at)
    after, _ = first_tissue(head.tissue & ~head.removed, head.at)
    retreat = before - after
    inner = met & (before > CUT_MM) & (np.abs(x) < HALF_WIDTH_MM)
    face = inner & (z < BROW_MM) & (z > mouth - STEP_MM)
    near = np.abs(x) < HALF_WIDTH_MM / 2
    level = before[near & met & (np.abs(z - mouth) < 2 * STEP_MM)]
    chin = np.zeros_like(face)
    if level.size:
        ahead = before > float(np.median(level)) - JUTTING_MM
        chin = inner & near & ahead & (z <= mouth - STEP_MM) & (z > mouth - CHIN_MM)
    return _share(retreat, face), _share(retreat, chin)


def _share(retreat: NDArray[np.float32], where: NDArray[np.bool_]) -> float | None:
    return float((retreat[where] >= RETREAT_MM).mean()) if where.sum() >= LEAST_RAYS else None
