"""A whole head on any grid: painted, seen through a coil, and noisy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from drawn_head import face
from drawn_head.brain import draw_brain
from drawn_head.canvas import Canvas, Growth
from drawn_head.shapes import Points
from drawn_head.skull import (
    SKULL_BOX,
    draw_eyes,
    draw_face_inside,
    draw_skull,
    draw_soft_parts,
    draw_spine,
)
from drawn_head.tissue import Contrast, Label, values

if TYPE_CHECKING:
    from numpy.typing import NDArray

Age = Literal["adult", "child", "newborn"]
Orientation = Literal["axial", "sagittal", "coronal", "oblique"]

GROWTH = {
    "adult": Growth(cranium=1.0, face=1.0),
    "child": Growth(cranium=0.94, face=0.84),
    "newborn": Growth(cranium=0.71, face=0.70),
}
NOISE = 11.0
"""Standard deviation of the noise in each of the two receiver channels."""

_ROW_AND_COLUMN = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
}
_FIELD_MM = {
    "axial": (208, 256, 224),
    "oblique": (224, 256, 224),
    "sagittal": (176, 256, 256),
    "coronal": (240, 256, 224),
}
_CENTRE_MM = {
    "axial": (0.0, 2.0, -12.0),
    "oblique": (0.0, 2.0, -14.0),
    "sagittal": (0.0, 2.0, -33.0),
    "coronal": (0.0, 0.0, -33.0),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Where the voxels of a series lie.

    Parameters
    ----------
    shape
        Slices, rows, columns.
    affine : (4, 4) ndarray of float64
        Index (slice, row, column, 1) to patient LPS, in mm.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A drawn head.

    Parameters
    ----------
    values : (slices, rows, columns) ndarray of float32
        Signal, 0 to about 1200.
    labels : (slices, rows, columns) ndarray of uint8
        A `Label` for each voxel.
    affine : (4, 4) ndarray of float64
        Index (slice, row, column, 1) to patient LPS, in mm.
    landmarks
        Name to patient LPS, in mm.
    contrast
        What kind of signal it is.
    seed
        The seed that it was drawn with.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    landmarks: dict[str, tuple[float, float, float]]
    contrast: Contrast
    seed: int


def grid(orientation: Orientation, size_mm: float | tuple[float, float, float] = 1.0) -> Grid:
    """Lay a grid over the head as a scanner would.

    Parameters
    ----------
    orientation
        Plane of the slices; "oblique" is an axial one tilted by 14° and turned by 8°.
    size_mm
        Voxel size: one figure, or those along slice, row and column axis.
    """
    plane = "axial" if orientation == "oblique" else orientation
    row, column = (np.array(axis) for axis in _ROW_AND_COLUMN[plane])
    if orientation == "oblique":
        row, column = _oblique() @ row, _oblique() @ column
    size = np.broadcast_to(np.asarray(size_mm, np.float64), 3)
    shape = np.round(np.array(_FIELD_MM[orientation]) / size).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([np.cross(row, column), column, row], axis=1) * size
    affine[:3, 3] = _CENTRE_MM[orientation] - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine)


def draw_head(
    *,
    contrast: Contrast,
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    seed: int,
    age: Age = "adult",
) -> Head:
    """Draw a head.

    Parameters
    ----------
    contrast
        T1, T1CE, T2 or FLAIR.
    shape
        Slices, rows, columns.
    affine : (4, 4) ndarray of float64
        Index (slice, row, column, 1) to patient LPS, in mm. The middle of the brain lies at
        the origin.
    seed
        Chooses the face, the folds of the cortex and the noise.
    age
        How far the head has grown.

    Returns
    -------
    Head
        The same head for the same arguments.
    """
    tissues = values(contrast)
    features = face.Features.drawn(seed)
    canvas = Canvas(shape, affine, GROWTH[age])
    skin, nose, ears = face.draw_skin(canvas, features)
    whole = canvas.window(((-260, -160, -330), (260, 130, 120)))
    if whole is not None:
        draw_soft_parts(canvas, whole, skin[whole.slices], tissues)
    draw_face_inside(canvas, skin, tissues, features)
    draw_spine(canvas, tissues)
    draw_eyes(canvas, skin, tissues)
    inner = canvas.window(SKULL_BOX)
    if inner is not None:
        draw_skull(canvas, inner, skin[inner.slices], tissues)
    draw_brain(canvas, tissues, seed)
    _name_features(canvas, skin, nose, ears)
    signal = canvas.values * _coil(canvas)
    return Head(
        values=_noisy(signal, seed),
        labels=canvas.labels,
        affine=np.array(affine, np.float64),
        landmarks=_landmarks(features, GROWTH[age]),
        contrast=contrast,
        seed=seed,
    )


def small_head(
    *, contrast: Contrast = "T1", orientation: Orientation = "axial", seed: int = 7
) -> Head:
    """Draw a coarse head of 4 mm voxels in well below a second, for unit tests."""
    where = grid(orientation, 4.0)
    return draw_head(contrast=contrast, shape=where.shape, affine=where.affine, seed=seed)


def _name_features(
    canvas: Canvas, skin: NDArray[np.float32], nose: NDArray[np.float32], ears: NDArray[np.float32]
) -> None:
    """Give the outer parts of the face the labels of what they belong to."""
    outer = np.isin(canvas.labels, (Label.SKIN, Label.FAT, Label.MUSCLE))
    canvas.labels[outer & (nose < 0)] = Label.NOSE
    canvas.labels[outer & (ears < 0)] = Label.EARS
    boxes = (
        (((-30, 72, -116), (30, 110, -92)), Label.MOUTH),
        (((-18, 62, -150), (18, 110, -119)), Label.CHIN),
    )
    for box, label in boxes:
        window = canvas.window(box)
        if window is not None:
            near = outer[window.slices] & (np.abs(skin[window.slices] + 5) < 5)
            near &= window_holds(window.points, box)
            canvas.labels[window.slices][near] = label


def window_holds(
    points: Points, box: tuple[tuple[float, ...], tuple[float, ...]]
) -> NDArray[np.bool_]:
    """Which of the points lie in a box; a window of an oblique grid is larger than its box."""
    held = np.ones((1, 1, 1), np.bool_)
    for axis, low, high in zip(points, *box, strict=True):
        held = held & (axis >= low) & (axis <= high)
    return held


def _coil(canvas: Canvas) -> NDArray[np.float32]:
    """Sensitivity of the receiver: brighter near it, fading down the neck."""
    points = canvas.all_points()
    x, f, z = points
    near = 1 + ((x / 110) ** 2 + ((f + 15) / 130) ** 2) * np.float32(0.12)
    tilt = 1 + np.float32(0.0005) * f + np.float32(0.0006) * x
    fade = np.clip(np.float32(1.5) + z / np.float32(240), 0.15, 1)
    return np.asarray(near * tilt * fade, np.float32)


def _noisy(signal: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Magnitude of a complex signal with noise in both channels (Rician)."""
    rng = np.random.default_rng([seed, 1])
    real = rng.standard_normal(signal.shape, np.float32)
    real *= np.float32(NOISE)
    real += signal
    imaginary = rng.standard_normal(signal.shape, np.float32)
    imaginary *= np.float32(NOISE)
    return np.hypot(real, imaginary)


def _landmarks(features: face.Features, growth: Growth) -> dict[str, tuple[float, float, float]]:
    adult = {
        "brain": (20.0, 0.0, 20.0),
        "vertex": face.VERTEX,
        "nasion": face.NASION,
        "nose tip": features.nose_tip,
        "mouth": face.MOUTH,
        "chin": (0.0, face.CHIN[1] + 5.0, face.CHIN[2]),
        "left eye": face.EYE,
        "right eye": (-face.EYE[0], *face.EYE[1:]),
        "left ear": features.ear,
        "right ear": (-features.ear[0], *features.ear[1:]),
    }
    points = Points(*np.array(list(adult.values()), np.float32).T)
    x, f, z = growth.from_adult(points)
    lps = np.stack([x, -f, z], axis=1).astype(float).tolist()
    return {name: (at[0], at[1], at[2]) for name, at in zip(adult, lps, strict=True)}


def _oblique() -> NDArray[np.float64]:
    tilt, turn = np.radians(14), np.radians(8)
    about_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    about_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_x)
