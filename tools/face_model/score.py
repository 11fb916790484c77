"""Score what a defacer removed from a head whose landmarks and brain are known.

Nothing here knows who made the mask: the same figures for every defacer. Lengths given for an
adult are multiplied by the head's scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from face_model.head import face_axes
from face_model.head_surface import faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from face_model.head import Head
    from face_model.head_surface import Surface

FEATURES = ("eye_L", "eye_R", "nose", "mouth", "chin", "ear_L", "ear_R")

BALL_MM = 12.0
"""Radius of the region round a landmark that is no ear, for an adult, in mm."""

EAR_MM, EAR_DEEP_MM = 20.0, 4.0
"""Radius of a cylinder along the line of the eyes round an ear's centre, which begins this much
deeper than that centre and has no outer end, for an adult, in mm: the outer ear, not the bone
behind it."""

LEAST_ML = 0.3
"""A region that holds less tissue than this lies outside the field of view, in ml."""

LEFT_MM = 2.0
"""Surface with tissue no farther than this from it is still there, in mm."""

LEAK_MM = 2.0
"""A border no farther than this from the skin draws the skin, in mm."""

UPRIGHT_STRIPS = 4
"""Strips of `LEAK_MM` beyond the first that tell how much a border upright on the skin has in each."""

ROUNDING_MM = 0.02
"""Distances of voxels that are meant to be whole mm are off by less than this, in mm."""

FAR_MM = 40.0
"""Tissue farther than this from the facial surface and the ears' centres is neither, in mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a mask does to one head; shares are 0 to 1, None is what cannot be known.

    Parameters
    ----------
    coverage : dict of str to float
        Of each feature in the field of view: share of the tissue voxels in a region round its
        landmark (a ball of `BALL_MM`; of an ear, a cylinder of `EAR_MM`) that is removed. Wanted: 1; no feature below 0.95.
    composite : float or None
        Mean over the features eyes (both), nose and mouth, as the paper's. Wanted: at least
        0.99 on average, 0.97 on every head.
    ears : float or None
        Mean coverage of the ears. Wanted: at least 0.97.
    brain_voxels, csf_voxels : int or None
        Voxels removed of the brain, and of the CSF that surrounds it. Wanted: 0.
    brain_ml, csf_ml : float or None
        The same, in ml.
    tissue : float
        Share of all tissue of the head that is removed. Wanted: at most 0.11.
    residue : float or None
        Share of the facial surface (`facial_surface`) that has tissue left within `LEFT_MM`.
        Wanted: at most 0.02.
    leak : float
        Share by area of the mask's outer border that lies within `LEAK_MM` of a face between
        skin and air: there a SEG of the mask draws the skin, if only where it is cut. The outer
        border is all faces between a masked voxel and an unmasked one of which at least one is
        outside air; the edge of the volume is no border. Wanted: at most 0.05.
    upright : float
        What `leak` would be if the border near the skin were like the border farther out: the
        mean share in each of `UPRIGHT_STRIPS` strips of `LEAK_MM` beyond the first. A border that
        leaves the skin at right angles has this much within `LEAK_MM` too; what `leak` is above
        it runs along the skin.
    shown : float or None
        Share of the facial surface that lies within `LEAK_MM` of the outer border: what of a
        face can be drawn from a SEG. Wanted: 0.
    far_ml : float
        Tissue removed farther than `FAR_MM` from the facial surface and the ears' centres, ml.
    """

    coverage: dict[str, float] = field(default_factory=dict)
    composite: float | None
    ears: float | None
    brain_voxels: int | None
    csf_voxels: int | None
    brain_ml: float | None
    csf_ml: float | None
    tissue: float
    residue: float | None
    leak: float
    upright: float
    shown: float | None
    far_ml: float


def score(head: Head, removed: NDArray[np.bool_], surface: Surface) -> Scores:
    """Score one mask.

    Parameters
    ----------
    head : Head
        The head and what is known of it.
    removed : (slices, rows, columns) ndarray of bool
        True where a voxel is to be removed; as far into the air as the defacer reaches.
    surface : Surface
        Of the head.
    """
    ml = float(np.prod(head.spacing_mm())) / 1000
    covered = coverage(head, removed)
    eyes, ears = (_mean(covered, f"{kind}_L", f"{kind}_R") for kind in ("eye", "ear"))
    parts = [p for p in (eyes, covered.get("nose"), covered.get("mouth")) if p is not None]
    brain, csf = (
        None if known is None else int((removed & known).sum()) for known in (head.brain, head.csf)
    )
    border, area = _outer_border(head, removed, surface)
    leak, upright = _leak(border, area, surface)
    return Scores(
        coverage=covered,
        composite=float(np.mean(parts)) if parts else None,
        ears=ears,
        brain_voxels=brain,
        csf_voxels=csf,
        brain_ml=None if brain is None else brain * ml,
        csf_ml=None if csf is None else csf * ml,
        tissue=float(removed[head.tissue].mean()),
        residue=_residue(head, removed, surface),
        leak=leak,
        upright=upright,
        shown=_shown(border, surface),
        far_ml=_far(head, removed, surface) * ml,
    )


def coverage(head: Head, removed: NDArray[np.bool_]) -> dict[str, float]:
    """Measure the share of each feature's tissue that is removed, as in `Scores.coverage`."""
    return {
        name: share
        for name in FEATURES
        if name in head.landmarks and (share := _covered(head, removed, name)) is not None
    }


def _mean(covered: dict[str, float], *names: str) -> float | None:
    known = [covered[name] for name in names if name in covered]
    return float(np.mean(known)) if known else None


def _covered(head: Head, removed: NDArray[np.bool_], name: str) -> float | None:
    centre = head.landmarks[name]
    reach = 2 * max(BALL_MM, EAR_MM) * head.scale
    box = head.box(centre - reach, centre + reach)
    part, gone = head.part(box), removed[box]
    axes = face_axes(head.landmarks, head.scale)
    away = axes.coordinates(part.places(part.tissue)) - axes.coordinates(centre[None])
    if name.startswith("ear"):
        outward = away[:, 0] * (1 if name == "ear_R" else -1)
        inside = ((away[:, 1:] ** 2).sum(axis=1) < EAR_MM**2) & (outward > -EAR_DEEP_MM)
    else:
        inside = (away**2).sum(axis=1) < BALL_MM**2
    if inside.sum() * np.prod(head.spacing_mm()) / 1000 < LEAST_ML * head.scale**3:
        return None
    return float(gone[part.tissue][inside].mean())


def _residue(head: Head, removed: NDArray[np.bool_], surface: Surface) -> float | None:
    if not len(surface.face):
        return None
    margin = LEFT_MM + head.spacing_mm().max()
    box = head.box(surface.face.min(axis=0) - margin, surface.face.max(axis=0) + margin)
    part = head.part(box)
    left = surface.head[box] & ~removed[box]
    if not left.any():
        return 0.0
    distance = ndimage.distance_transform_edt(~left, head.spacing_mm())
    index = np.linalg.inv(part.affine[:3, :3]) @ (surface.face - part.affine[:3, 3]).T
    return float((distance[tuple(np.rint(index).astype(int))] <= LEFT_MM + ROUNDING_MM).mean())


def _outer_border(
    head: Head, removed: NDArray[np.bool_], surface: Surface
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the faces of the mask's border that touch outside air, as `faces` gives them."""
    air = removed & surface.outside
    sides = (
        faces(head, removed, surface.outside & ~removed),
        faces(head, air, surface.head & ~removed),
    )
    return np.concatenate([s[0] for s in sides]), np.concatenate([s[1] for s in sides])


def _leak(
    border: NDArray[np.float64], area: NDArray[np.float64], surface: Surface
) -> tuple[float, float]:
    """Share out the border by its distance from the skin: `Scores.leak`, `Scores.upright`."""
    if not len(border):
        return 0.0, 0.0
    reach = LEAK_MM * (1 + UPRIGHT_STRIPS) + ROUNDING_MM
    distance, _ = KDTree(surface.edges).query(border, distance_upper_bound=reach)
    near = distance <= LEAK_MM + ROUNDING_MM
    beyond = np.isfinite(distance) & ~near
    return (
        float(np.average(near, weights=area)),
        float(np.average(beyond, weights=area)) / UPRIGHT_STRIPS,
    )


def _shown(border: NDArray[np.float64], surface: Surface) -> float | None:
    if not len(surface.face):
        return None
    if not len(border):
        return 0.0
    distance, _ = KDTree(border).query(surface.face, distance_upper_bound=LEAK_MM + ROUNDING_MM)
    return float(np.isfinite(distance).mean())


def _far(head: Head, removed: NDArray[np.bool_], surface: Surface) -> int:
    ears = [head.landmarks[name] for name in ("ear_L", "ear_R") if name in head.landmarks]
    anchors = np.concatenate([surface.face, *(ear[None] for ear in ears)])
    gone = head.places(removed & surface.head)
    if not len(gone):
        return 0
    distance, _ = KDTree(anchors).query(gone, eps=0.05, distance_upper_bound=FAR_MM)
    return int((~np.isfinite(distance)).sum())
