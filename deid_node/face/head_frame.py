"""Where a head lies: a frame laid through what a model finds of eyes, nose, mouth, ears and brain.

Head coordinates are those of the training targets: origin midway between the globes, x to the
head's right, y forward, z up, in mm of an adult whose globes lie 63 mm apart. Points in patient
space are in RAS here, in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BORDER = 0.5
"""Probability from which a voxel belongs to a part."""

LEAST_ML = 0.15
"""A part smaller than this, in ml, was not found; the globe of a newborn holds 2.5 ml."""

LEAST_PARTS = 3
"""Fewer points leave a turn about their line open."""

SHARE = 0.3
"""The smaller of two eyes holds at least this share of the larger, or it is something else."""

PLACES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "right eye": (31.5, -1.0, 0.0),
        "left eye": (-31.5, -1.0, 0.0),
        "nose": (0.0, 22.0, -28.0),
        "mouth": (0.0, 8.0, -69.0),
        "right ear": (76.0, -88.0, -20.0),
        "left ear": (-76.0, -88.0, -20.0),
        "brain": (0.0, -80.0, 36.0),
    }
)
"""Centre of each part in head coordinates: the mean of twenty heads, sides made alike."""

SPREADS: Mapping[str, float] = MappingProxyType(
    {
        "right eye": 2.5,
        "left eye": 2.5,
        "nose": 6.0,
        "mouth": 10.0,
        "right ear": 7.0,
        "left ear": 7.0,
        "brain": 14.0,
    }
)
"""How far a part may lie from its place, one standard deviation in mm: people differ (children
most below the eyes), and a field of view that cuts a part moves its centre."""


FAR = 4.0
"""Spreads from its place beyond which a part is taken for something else."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadFrame:
    """Position, direction and size of a head.

    Parameters
    ----------
    origin : (3,) ndarray of float64
        Midway between the globes, in RAS mm.
    axes : (3, 3) ndarray of float64
        Rows are the head's right, front and top, unit vectors in RAS.
    scale
        Size relative to an adult.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    scale: float

    def to_head(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (..., 3) points in RAS mm into head coordinates."""
        return np.asarray((points - self.origin) @ self.axes.T / self.scale)

    def to_patient(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (..., 3) head coordinates into RAS mm."""
        return np.asarray(points @ self.axes * self.scale + self.origin)


def find_parts(
    classes: Mapping[str, NDArray[np.float32]], affine: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Find the centre of each part of a head.

    Parameters
    ----------
    classes : mapping of str to (i, j, k) ndarray of float32
        Probability of ``eyes``, ``nose``, ``mouth``, ``ears`` and ``brain``, on a grid whose
        first axis grows to about the head's right.
    affine : (4, 4) ndarray of float64
        Index of that grid to RAS, in mm.

    Returns
    -------
    dict of str to (3,) ndarray
        Keys of `PLACES` that were found; RAS mm.
    """
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    least = LEAST_ML / voxel_ml
    found: dict[str, NDArray[np.float64]] = {}
    for name in ("brain", "nose", "mouth"):
        pieces = _pieces(classes[name], least)
        if pieces:
            found[name] = pieces[0][1]
    middle = found.get("nose", found.get("brain"))
    if middle is not None:
        found |= _pair("eye", _pieces(classes["eyes"], least), middle)
        found |= _pair("ear", _pieces(classes["ears"], least), middle)
    return {name: affine[:3, :3] @ at + affine[:3, 3] for name, at in found.items()}


def _pieces(
    probability: NDArray[np.float32], least: float
) -> list[tuple[float, NDArray[np.float64]]]:
    """Size in voxels and centre in voxels of each connected piece, the largest first."""
    labels, n = ndimage.label(probability > BORDER)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    kept = [number for number in range(1, n + 1) if sizes[number] >= least]
    centres = ndimage.center_of_mass(probability, labels, kept) if kept else []
    pieces = [(float(sizes[k]), np.array(c)) for k, c in zip(kept, centres, strict=True)]
    return sorted(pieces, key=lambda piece: -piece[0])


def _pair(
    name: str, pieces: list[tuple[float, NDArray[np.float64]]], middle: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Tell right from left: of two by which lies further right, of one by the head's middle."""
    two = [at for size, at in pieces[:2] if size >= SHARE * pieces[0][0]]
    if len(two) == 1:
        side = "right" if two[0][0] > middle[0] else "left"
        return {f"{side} {name}": two[0]}
    return dict(zip((f"left {name}", f"right {name}"), sorted(two, key=_to_right), strict=False))


def _to_right(at: NDArray[np.float64]) -> float:
    return float(at[0])


def fit(parts: Mapping[str, NDArray[np.float64]]) -> HeadFrame | None:
    """Lay a frame through parts of a head: least squares, each weighed by how sure its place is.

    The closed form for rotation, scale and translation is that of Umeyama, "Least-squares
    estimation of transformation parameters between two point patterns", IEEE TPAMI 1991.

    Parameters
    ----------
    parts
        As `find_parts` gives them.

    Returns
    -------
    HeadFrame or None
        None if fewer than three parts are known, or all on one line.
    """
    if len(parts) < LEAST_PARTS:
        return None
    there = np.array([PLACES[name] for name in parts])
    here = np.array(list(parts.values()))
    weight = np.array([1 / SPREADS[name] ** 2 for name in parts])
    weight /= weight.sum()
    there_middle, here_middle = weight @ there, weight @ here
    a, b = there - there_middle, here - here_middle
    u, stretch, vt = np.linalg.svd((b * weight[:, None]).T @ a)
    if stretch[1] < 1e-6 * max(stretch[0], 1e-12):
        return None
    turn = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))])
    rotation = u @ turn @ vt
    scale = float((stretch * np.diag(turn)).sum() / (weight @ (a**2).sum(axis=1)))
    origin = here_middle - scale * rotation @ there_middle
    return HeadFrame(origin=origin, axes=rotation.T, scale=scale)


def apart(one: HeadFrame, other: HeadFrame) -> tuple[float, float, float]:
    """Tell how far two frames differ: degrees, mm between the origins, share of the size."""
    cosine = (np.trace(one.axes @ other.axes.T) - 1) / 2
    degrees = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return degrees, float(np.linalg.norm(one.origin - other.origin)), other.scale / one.scale - 1
