"""Where each voxel of a sample lies in its label map: pose, size, and the shapes of children."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from face_model.targets import Frame

MAP_CENTRE = 127.5  # label maps are 256 voxels of 1 mm
COARSE = 40  # knots along each axis of the smooth part of the warp
POSE_SD, POSE_MAX = 14.0, 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Proportions of a sample's head relative to its label map; 1 is unchanged.

    Parameters
    ----------
    size : float
        Whole head.
    height, depth, jaw : float
        Face below the eyes; face before the eyes; width of the jaw.
    bulge_mm : float
        How far the brain's front bulges down between the eyes, as where no frontal sinus has
        grown yet.
    """

    size: float
    height: float
    depth: float
    jaw: float
    bulge_mm: float


def draw_build(rng: np.random.Generator) -> Build:
    """Draw the build of a newborn or infant (a fifth), a child (a third) or an adult."""
    age = rng.random()
    if age < 0.2:
        return Build(
            size=rng.uniform(0.58, 0.82),
            height=rng.uniform(0.5, 0.8),
            depth=rng.uniform(0.55, 0.85),
            jaw=rng.uniform(0.85, 1.1),
            bulge_mm=rng.uniform(0, 14),
        )
    if age < 0.55:
        return Build(
            size=rng.uniform(0.75, 1.0),
            height=rng.uniform(0.65, 1.0),
            depth=rng.uniform(0.7, 1.0),
            jaw=rng.uniform(0.85, 1.08),
            bulge_mm=rng.uniform(0, 14),
        )
    return Build(
        size=rng.uniform(0.9, 1.15),
        height=rng.uniform(0.92, 1.12),
        depth=rng.uniform(0.9, 1.15),
        jaw=rng.uniform(0.9, 1.1),
        bulge_mm=rng.uniform(0, 5),
    )


def draw_pose(rng: np.random.Generator) -> np.ndarray:
    """Draw a (3, 3) map from sample to head directions: nod, turn and tilt up to 40 degrees."""
    nod, tilt, turn = np.deg2rad(np.clip(rng.normal(0, POSE_SD, 3), -POSE_MAX, POSE_MAX))
    c, s = np.cos(nod), np.sin(nod)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(tilt), np.sin(tilt)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(turn), np.sin(turn)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def _softly_positive(value: torch.Tensor) -> torch.Tensor:
    return functional.softplus(value / 8) * 8


def child_warp(at: torch.Tensor, frame: Frame, build: Build) -> torch.Tensor:
    """Move points of the sample's head to where they lie in the adult's label map.

    Parameters
    ----------
    at : (3, ...) Tensor
        Points in voxels of the label map.
    frame : Frame
        Of the label map's head.
    build : Build
        The face's proportions; the cranium stays.

    Returns
    -------
    (3, ...) Tensor
        Displacement to be added to `at`.
    """
    axes = torch.tensor(frame.axes, dtype=torch.float32)
    origin = torch.tensor(frame.origin, dtype=torch.float32)
    x, y, z = torch.einsum("ab,b...->a...", axes, at - origin[:, None, None, None])
    below, jaw = torch.sigmoid((12 - z) / 8), torch.sigmoid((-20 - z) / 10)
    near = torch.exp(-((x / 16) ** 2 + ((y + 2) / 20) ** 2 + ((z - 10) / 15) ** 2) / 2)
    bulge = build.bulge_mm * near
    moved = torch.stack(
        [
            x * (1 / build.jaw - 1) * jaw,
            _softly_positive(y) * (1 / build.depth - 1) * below - 0.4 * bulge,
            -_softly_positive(-z) * (1 / build.height - 1) + bulge,
        ]
    )
    return torch.einsum("ba,b...->a...", axes, moved)


def draw_warp(
    rng: np.random.Generator, frame: Frame, edge_mm: tuple[float, ...]
) -> tuple[torch.Tensor, np.ndarray]:
    """Draw the whole map from sample to label map, on a coarse grid.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    frame : Frame
        Of the label map's head.
    edge_mm : tuple of 3 float
        Distance between the centres of the first and last voxel of the sample, per axis.

    Returns
    -------
    points : (3, COARSE, COARSE, COARSE) Tensor
        Voxel of the label map at evenly spaced points from corner to corner of the sample.
    linear : (3, 3) ndarray
        Its linear part: a step in mm of the sample to a step in voxels of the map.
    """
    build = draw_build(rng)
    shear = np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3)) * (1 - np.eye(3))
    zoom = np.diag(1 / (build.size * rng.uniform(0.92, 1.08, 3)))
    linear = draw_pose(rng) @ shear @ zoom
    shift = rng.uniform(-1, 1, 3) * [22, 32, 45]
    axes = [np.linspace(-e / 2, e / 2, COARSE) - s for e, s in zip(edge_mm, shift, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    points = torch.tensor(np.einsum("ab,bijk->aijk", linear, grid), dtype=torch.float32)
    knots = int(rng.integers(4, 9))
    bumps = torch.tensor(rng.normal(size=(1, 3, knots, knots, knots)), dtype=torch.float32)
    bumps = functional.interpolate(bumps, size=[COARSE] * 3, mode="trilinear", align_corners=True)
    points = points + rng.uniform(0, 5) * bumps[0] + MAP_CENTRE
    return points + child_warp(points, frame, build), linear
