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
from deid_node.face.grid import RAS_SIGN
from deid_node.face.head_frame import FAR, PLACES, SPREADS
from deid_node.face.shrunk import read, shrink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.shrunk import Shrunk

STEP_MM = 3.0
"""Edge of the grid's voxels, in mm of an adult."""

LOW = np.array([-102.0, -126.0, -141.0])
HIGH = np.array([102.0, 84.0, 48.0])
"""Corners of the grid in head coordinates: from behind the ears to before the nose, from below
the chin to above the brow."""

BALL_MM = 12.0
"""Radius of the ball round a feature's middle that tells whether it is gone."""

LEAST_SEEN = 0.5
"""Share of a feature's ball that must lie in the field of view for it to be asked for."""

LEAST_TISSUE_ML = 0.3
"""Tissue in a feature's ball, in ml of the adult, below which there is nothing to remove."""

FEATURES = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")

COVERED, EAR_COVERED = 0.95, 0.9
"""Share of a feature's ball that must be removed."""

RETREATED, CHIN_RETREATED = 0.95, 0.85
"""Share of the rays that must be met farther back."""

TISSUE_SHARE = 0.1
"""Share of the 99th percentile above which a value is tissue."""

RETREAT_MM = 6.0
"""A face's surface counts as gone where it has retreated by this much along a ray from the front."""

LEAST_RAYS = 4
"""Fewer rays tell nothing."""

HALF_WIDTH_MM, BROW_MM = 33.0, 8.0
"""Rays are cast within this half width, from this height down."""

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
    mask: NDArray[np.bool_],
    volume: Volume,
    frame: HeadFrame,
    parts: Mapping[str, NDArray[np.float64]],
    seen: Shrunk | None = None,
) -> Coverage:
    """Measure a mask on the volume it was made for.

    Parameters
    ----------
    mask : (slices, rows, columns) ndarray of bool
        What would be removed.
    volume
        The original.
    frame
        Of the head.
    parts
        Centres of what the model found, in RAS mm; a part that is missing is looked for where
        the frame has it.
    seen
        The volume as the model read it; smoothed anew where it is not given.
    """
    at = _points()
    affine = _affine(frame)
    tissue = _tissue(seen or shrink(volume, STEP_MM * frame.scale), affine, at.shape[1:])
    removed, inside = _look_up(mask, volume, affine, at.shape[1:])
    tissue &= inside
    features = {}
    for name in FEATURES:
        share = _ball(at, _middle(name, frame, parts), tissue, removed, inside)
        if share is not None:
            features[name] = share
    mouth = float(_middle("mouth", frame, parts)[2])
    retreated, chin = _rays(at, tissue, removed, mouth)
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


def _points() -> NDArray[np.float32]:
    """Head coordinates of the grid, (3, i, j, k)."""
    axes = [np.arange(a, b + STEP_MM / 2, STEP_MM) for a, b in zip(LOW, HIGH, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def _affine(frame: HeadFrame) -> NDArray[np.float64]:
    """Index of the grid to LPS, in mm."""
    affine = np.eye(4)
    affine[:3, :3] = frame.axes.T * frame.scale * STEP_MM
    affine[:3, 3] = frame.to_patient(LOW)
    return np.asarray(np.diag([*RAS_SIGN, 1.0]) @ affine)


def _tissue(seen: Shrunk, affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    values = read(seen, affine, shape)
    return np.asarray(values > TISSUE_SHARE * np.percentile(values, 99))


def _look_up(
    mask: NDArray[np.bool_],
    volume: Volume,
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Read the mask at the nearest voxel; second, whether there is one."""
    to_voxel = np.linalg.inv(volume.affine) @ affine
    index = np.indices(shape, np.float32).reshape(3, -1)
    at = np.rint(to_voxel[:3, :3] @ index + to_voxel[:3, 3:]).astype(np.int32)
    seen = ((at >= 0) & (at < np.array(mask.shape)[:, None])).all(axis=0)
    removed = np.zeros(seen.shape, bool)
    removed[seen] = mask[tuple(at[:, seen])]
    return removed.reshape(shape), seen.reshape(shape)


def _ball(
    at: NDArray[np.float32],
    middle: NDArray[np.float64],
    tissue: NDArray[np.bool_],
    removed: NDArray[np.bool_],
    seen: NDArray[np.bool_],
) -> float | None:
    away = at - middle.astype(np.float32)[:, None, None, None]
    near = (away**2).sum(axis=0) < BALL_MM**2
    there = near & tissue
    if not near.any() or seen[near].mean() < LEAST_SEEN:
        return None
    if there.sum() * STEP_MM**3 / 1000 < LEAST_TISSUE_ML:
        return None
    return float(removed[there].mean())


def _rays(
    at: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    removed: NDArray[np.bool_],
    mouth: float,
) -> tuple[float | None, float | None]:
    """Cast rays from the front; share retreated over the face, and over the chin."""
    x, z = at[0][:, 0, :], at[2][:, 0, :]
    before, met = _depth(tissue, at)
    after, _ = _depth(tissue & ~removed, at)
    retreat = before - after
    inner = met & (np.abs(x) < HALF_WIDTH_MM)
    face = inner & (z < BROW_MM) & (z > mouth - STEP_MM)
    near = np.abs(x) < HALF_WIDTH_MM / 2
    level = before[near & met & (np.abs(z - mouth) < 2 * STEP_MM)]
    chin = np.zeros_like(face)
    if level.size:
        ahead = before > float(np.median(level)) - JUTTING_MM
        chin = inner & near & ahead & (z <= mouth - STEP_MM) & (z > mouth - CHIN_MM)
    return _share(retreat, face), _share(retreat, chin)


def _depth(
    tissue: NDArray[np.bool_], at: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How far forward each ray from the front first meets tissue, and whether it does."""
    met = np.asarray(tissue.any(axis=1))
    last = tissue.shape[1] - 1 - np.argmax(tissue[:, ::-1, :], axis=1)
    forward = at[1][0, :, 0][last]
    return np.where(met, forward, LOW[1]).astype(np.float32), met


def _share(retreat: NDArray[np.float32], where: NDArray[np.bool_]) -> float | None:
    return float((retreat[where] >= RETREAT_MM).mean()) if where.sum() >= LEAST_RAYS else None
