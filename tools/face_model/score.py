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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from face_model.head import Head

FEATURES = ("eye_L", "eye_R", "nose", "mouth", "chin", "ear_L", "ear_R")

BALL_MM = 12.0
"""Radius of the region round a landmark that is no ear, for an adult, in mm."""

EAR_MM, EAR_DEEP_MM = 20.0, 4.0
"""Radius of a cylinder along the line of the eyes round an ear's centre, which begins this much
deeper than that centre and has no outer end, for an adult, in mm: the outer ear, not the bone
behind it."""

LEAST_ML = 0.3
"""A region that holds less tissue than this lies outside the field of view, in ml."""

OPEN_MM = 5.0
"""Air that a ball of this radius cannot enter from outside is not outside, for an adult, in mm:
nostrils, the mouth, the ear canals and all behind them."""

SPECK_ML = 0.2
"""Bright pieces near the skin that are smaller than this are noise, for an adult, in ml."""

COARSE_MM = 2.0
"""Edge of the cells in which the outside is found, in mm."""

SIDE_MM, BROW_MM, BACK_MM, BELOW_CHIN_MM = 45.0, 16.0, 8.0, 8.0
"""The facial surface reaches this far to each side, above the globes' centres, behind a line
through globes, mouth and chin, and below the chin's centre, for an adult, in mm."""

BELOW_MOUTH_MM, BELOW_NOSE_MM = 20.0, 12.0
"""Where it ends below a mouth without a chin, or below a nose without a mouth."""

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Where a head meets the outside; found once for all masks of a head.

    Parameters
    ----------
    head : (slices, rows, columns) ndarray of bool
        Its tissue, without specks in the air.
    outside : (slices, rows, columns) ndarray of bool
        Air that is connected with the surroundings.
    skin : (n, 3) ndarray of float64
        Centres of the tissue voxels that share a face with a voxel outside, in mm, LPS.
    edges : (k, 3) ndarray of float64
        Centres of those faces, in mm, LPS.
    face : (m, 3) ndarray of float64
        What of `skin` belongs to the facial surface.
    """

    head: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    skin: NDArray[np.float64]
    edges: NDArray[np.float64]
    face: NDArray[np.float64]


def find_surface(head: Head) -> Surface:
    """Find the skin and the facial surface of a head."""
    solid, outside = _outside(head)
    skin = head.places(solid & _beside(outside))
    edges, _ = _faces(head, solid, outside)
    face = skin[facial_surface(head, skin)]
    return Surface(head=solid, outside=outside, skin=skin, edges=edges, face=face)


def facial_surface(head: Head, skin: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which of the (n, 3) points on the skin, in mm LPS, belong to the face.

    The skin from the brow to below the chin that lies in front of a sheet through globes, mouth
    and chin, `BACK_MM` behind their centres, up to `SIDE_MM` from the middle.
    """
    axes = face_axes(head.landmarks, head.scale)
    x, y, z = axes.coordinates(skin).T
    sheet = [(0.0, 0.0)]  # (z, y) from the globes downwards
    for name in ("mouth", "chin"):
        if name in head.landmarks:
            _, at_y, at_z = axes.coordinates(head.landmarks[name][None])[0]
            sheet.append((float(at_z), float(at_y)))
    if "chin" in head.landmarks:
        floor = sheet[-1][0] - BELOW_CHIN_MM
    elif "mouth" in head.landmarks:
        floor = sheet[-1][0] - BELOW_MOUTH_MM
    else:
        floor = axes.coordinates(head.landmarks["nose"][None])[0][2] - BELOW_NOSE_MM
    heights, depths = zip(*sorted(sheet), strict=True)
    front = y > np.interp(z, heights, depths) - BACK_MM
    return np.asarray(front & (np.abs(x) < SIDE_MM) & (z < BROW_MM) & (z > floor))


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


def _outside(head: Head) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tissue without specks, and the air that a ball can reach from beyond the head."""
    spacing = head.spacing_mm()
    factors = np.maximum(1, np.floor(COARSE_MM / spacing + 0.1)).astype(int)
    shape = head.tissue.shape
    pad = [(0, int(-n % f)) for n, f in zip(shape, factors, strict=True)]
    cells = np.pad(head.tissue, pad, mode="edge")
    split = [part for n, f in zip(cells.shape, factors, strict=True) for part in (n // f, f)]
    share = cells.reshape(split).mean(axis=(1, 3, 5))
    coarse = _largest(share >= 0.5)
    sampling = spacing * factors
    radius = OPEN_MM * head.scale
    wide = np.pad(coarse, 1)  # beyond the volume there is room for the ball
    deep = ndimage.distance_transform_edt(~wide, sampling) > radius
    reach = ndimage.distance_transform_edt(~_largest(deep), sampling) <= radius
    reach = reach[1:-1, 1:-1, 1:-1] & ~coarse

    def fine(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
        for axis, factor in enumerate(factors):
            cells = cells.repeat(factor, axis)
        return cells[tuple(slice(n) for n in shape)]

    solid = _without_specks(
        head.tissue & fine(ndimage.binary_dilation(coarse, iterations=2)),
        int(SPECK_ML * 1000 * head.scale**3 / np.prod(spacing)),
    )
    steps = int(factors.max()) + 1
    outside = ndimage.binary_dilation(fine(reach) & ~solid, iterations=steps, mask=~solid)
    return solid, outside


def _without_specks(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Drop the pieces of fewer than so many voxels."""
    pieces, _ = ndimage.label(mask)
    large = np.bincount(pieces.ravel()) >= least
    large[0] = False
    return np.asarray(large[pieces])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, n = ndimage.label(mask)
    if n == 0:
        return mask
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels that share a face with the mask."""
    return np.asarray(ndimage.binary_dilation(mask) & ~mask)


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
    """Find the faces of the mask's border that touch outside air, as `_faces` gives them."""
    air = removed & surface.outside
    sides = (
        _faces(head, removed, surface.outside & ~removed),
        _faces(head, air, surface.head & ~removed),
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


def _faces(
    head: Head, one: NDArray[np.bool_], other: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the faces between voxels of two masks: centres in mm, LPS (n, 3), and areas in mm2."""
    spacing = head.spacing_mm()
    centres, areas = [], []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        between = np.argwhere((one[low] & other[high]) | (other[low] & one[high])).astype(float)
        between[:, axis] += 0.5
        centres.append(between @ head.affine[:3, :3].T + head.affine[:3, 3])
        areas.append(np.full(len(between), np.prod(np.delete(spacing, axis))))
    return np.concatenate(centres), np.concatenate(areas)


def _far(head: Head, removed: NDArray[np.bool_], surface: Surface) -> int:
    ears = [head.landmarks[name] for name in ("ear_L", "ear_R") if name in head.landmarks]
    anchors = np.concatenate([surface.face, *(ear[None] for ear in ears)])
    gone = head.places(removed & surface.head)
    if not len(gone):
        return 0
    distance, _ = KDTree(anchors).query(gone, eps=0.05, distance_upper_bound=FAR_MM)
    return int((~np.isfinite(distance)).sum())
