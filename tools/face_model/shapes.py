"""Where each voxel of a sample lies in its label map: pose, size, and the shapes of children."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from face_model.network import LEVEL_CENTRE, LEVEL_SPACING

if TYPE_CHECKING:
    from face_model.targets import Frame

MAP_CENTRE = 127.5  # label maps are 256 voxels of 1 mm
COARSE = 40  # knots along each axis of the smooth part of the warp
POSE_SD, POSE_MAX = 16.0, 45.0
LEVEL_SD = 5.0  # what is left of the pose once the head was turned level, in degrees
LEVEL_SHIFT_MM = (12, 6, 6)  # standard deviation of what is left of the head's place
RELIEFS = (  # nose, chin, lips, brow, ears: where in head coordinates, and how far each may move
    ((0, 24, -36), 15.0, (2, 6, 5)),
    ((0, 12, -100), 22.0, (3, 7, 7)),
    ((0, 22, -72), 14.0, (2, 4, 3)),
    ((0, 14, 18), 22.0, (0, 5, 3)),
    ((76, -90, -20), 22.0, (9, 5, 6)),
    ((-76, -90, -20), 22.0, (9, 5, 6)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Proportions of a sample's head relative to its label map; 1 is unchanged.

    Parameters
    ----------
    height, depth, jaw : float
        Face below the eyes; face before the eyes; width of the jaw.
    bulge_mm : float
        How far the brain's front bulges down between the eyes, as where no frontal sinus has
        grown yet.
    """

    height: float
    depth: float
    jaw: float
    bulge_mm: float


def draw_build(rng: np.random.Generator) -> Build:
    """Draw the build of a newborn or infant (a fifth), a child (a third) or an adult."""
    age = rng.random()
    if age < 0.2:
        return Build(
            height=rng.uniform(0.5, 0.8),
            depth=rng.uniform(0.55, 0.85),
            jaw=rng.uniform(0.85, 1.1),
            bulge_mm=rng.uniform(0, 14),
        )
    if age < 0.55:
        return Build(
            height=rng.uniform(0.65, 1.0),
            depth=rng.uniform(0.7, 1.0),
            jaw=rng.uniform(0.85, 1.08),
            bulge_mm=rng.uniform(0, 14),
        )
    return Build(
        height=rng.uniform(0.92, 1.12),
        depth=rng.uniform(0.9, 1.15),
        jaw=rng.uniform(0.9, 1.1),
        bulge_mm=rng.uniform(0, 5),
    )


def draw_pose(rng: np.random.Generator, deviation: float = POSE_SD) -> np.ndarray:
    """Draw a (3, 3) map from sample to head directions: nod, turn and tilt up to 45 degrees."""
    nod, tilt, turn = np.deg2rad(np.clip(rng.normal(0, deviation, 3), -POSE_MAX, POSE_MAX))
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
    x, y, z = _within(frame, at)
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
    return torch.einsum("ba,b...->a...", _axes(frame), moved)


def _reliefs(rng: np.random.Generator, at: torch.Tensor) -> torch.Tensor:
    """Draw how nose, chin, lips, brow and ears differ from those of the label map.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    at : (3, ...) Tensor
        Head coordinates.

    Returns
    -------
    (3, ...) Tensor
        Displacement in head coordinates.
    """
    moved = torch.zeros_like(at)
    for middle, width, most in RELIEFS:
        by = torch.tensor(rng.uniform(-1, 1, 3) * most, dtype=torch.float32)
        away = at - torch.tensor(middle, dtype=torch.float32)[:, None, None, None]
        moved += by[:, None, None, None] * torch.exp(-(away**2).sum(0) / (2 * width**2))
    return moved


def _within(frame: Frame, points: torch.Tensor) -> torch.Tensor:
    """Head coordinates, unscaled, of voxels of the label map."""
    origin = torch.tensor(frame.origin, dtype=torch.float32)
    return torch.einsum("ab,b...->a...", _axes(frame), points - origin[:, None, None, None])


def draw_view(
    rng: np.random.Generator, frame: Frame, *, spacing_mm: float, level: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw how a sample looks at a head: as it lies in the scanner, or turned level.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    frame : Frame
        Of the label map's head.
    spacing_mm : float
        Voxel edge of the sample; of a level view it stands for `LEVEL_SPACING` of an adult.
    level : bool
        Whether the head was found before, turned level and brought to the size of an adult.

    Returns
    -------
    linear : (3, 3) ndarray
        A step in mm of the sample to a step in voxels of the map.
    middle : (3,) ndarray
        Voxel of the map in the middle of the sample.
    pose : (3, 3) ndarray
        The head's pose in the scanner.
    """
    pose = draw_pose(rng)
    shear = np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3)) * (1 - np.eye(3))
    if not level:
        zoom = np.diag(1 / (rng.uniform(0.58, 1.15) * rng.uniform(0.92, 1.08, 3)))
        linear = pose @ shear @ zoom
        shift = rng.uniform(-1, 1, 3) * [22, 32, 45]
        return linear, np.full(3, MAP_CENTRE) - linear @ shift, pose
    zoom = np.diag(rng.uniform(0.92, 1.08) * rng.uniform(0.95, 1.05, 3))
    scale = frame.scale * LEVEL_SPACING / spacing_mm
    linear = scale * frame.axes.T @ draw_pose(rng, LEVEL_SD) @ shear @ zoom
    at = np.array(LEVEL_CENTRE) + rng.normal(0, 1, 3) * LEVEL_SHIFT_MM
    return linear, frame.origin + frame.axes.T @ (at * frame.scale), pose


def draw_warp(
    rng: np.random.Generator,
    frame: Frame,
    edge_mm: tuple[float, ...],
    linear: np.ndarray,
    middle: np.ndarray,
) -> torch.Tensor:
    """Draw the whole map from sample to label map, on a coarse grid.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    frame : Frame
        Of the label map's head.
    edge_mm : tuple of 3 float
        Distance between the centres of the first and last voxel of the sample, per axis.
    linear, middle : ndarray
        Of `draw_view`.

    Returns
    -------
    (3, COARSE, COARSE, COARSE) Tensor
        Voxel of the label map at evenly spaced points from corner to corner of the sample.
    """
    axes = [np.linspace(-e / 2, e / 2, COARSE) for e in edge_mm]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    points = torch.tensor(np.einsum("ab,bijk->aijk", linear, grid), dtype=torch.float32)
    points = points + torch.tensor(middle, dtype=torch.float32)[:, None, None, None]
    knots = int(rng.integers(3, 9))
    bumps = torch.tensor(rng.normal(size=(1, 3, knots, knots, knots)), dtype=torch.float32)
    bumps = functional.interpolate(bumps, size=[COARSE] * 3, mode="trilinear", align_corners=True)
    points = points + rng.uniform(0, 6) * bumps[0]
    relief = _reliefs(rng, _within(frame, points) / frame.scale) * frame.scale
    points = points + torch.einsum("ba,b...->a...", _axes(frame), relief)
    return points + child_warp(points, frame, draw_build(rng))


def _axes(frame: Frame) -> torch.Tensor:
    return torch.tensor(frame.axes, dtype=torch.float32)
