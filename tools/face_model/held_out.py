"""Draw whole heads from the two label maps that no network was trained on.

Four contrasts, slices of 1, 2 and 5 mm, shapes from newborn to adult: 48 heads, each the same
for the same seed. The shapes are those of the training generator (`shapes.child_warp`) with
fixed figures; intensities, noise and slices are this module's own. Landmarks, brain and CSF go
through the same warp, so the truth is known voxel by voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch.nn import functional

from face_model.head import Head, face_axes
from face_model.shapes import Build, child_warp
from face_model.targets import BRAIN, CSF, GLOBE_DISTANCE_MM, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGES = {
    "newborn": Build(height=0.62, depth=0.68, jaw=0.95, bulge_mm=6.0),
    "3 y": Build(height=0.75, depth=0.8, jaw=0.94, bulge_mm=5.0),
    "10 y": Build(height=0.88, depth=0.9, jaw=0.97, bulge_mm=2.0),
    "adult": Build(height=1.0, depth=1.0, jaw=1.0, bulge_mm=0.0),
}
SIZES = {"newborn": 0.68, "3 y": 0.9, "10 y": 0.96, "adult": 1.0}
CONTRASTS = ("T1", "T1CE", "T2", "FLAIR")
PLANES = {"T1": "sagittal", "T1CE": "axial", "T2": "axial", "FLAIR": "coronal"}
SLICES_MM = (1.0, 2.0, 5.0)

LANDMARKS = {  # centres in voxels of the label map (1 mm, RAS), by eye on renderings
    "training_seg_02.nii.gz": {
        "eye_L": (94.5, 186.2, 117.3),
        "eye_R": (156.9, 188.2, 117.2),
        "nose": (126, 229, 83),
        "mouth": (122, 212, 44),
        "chin": (120, 208, 18),
        "ear_L": (53, 107, 78),
        "ear_R": (202, 108, 80),
    },
    "training_seg_18.nii.gz": {
        "eye_L": (97.3, 200.0, 107.2),
        "eye_R": (161.1, 196.4, 103.8),
        "nose": (131, 229, 65),
        "mouth": (123, 207, 33),
        "chin": (122, 200, 8),
        "ear_L": (53, 116, 97),
        "ear_R": (199, 106, 95),
    },
}

# labels of the map by tissue; fat and muscle share one label
TISSUES = {
    "fluid": (4, 5, 14, 15, 43, 44, CSF),
    "white": (2, 7, 16, 28, 41, 46, 60, 85, 512, 530),
    "grey": (3, 8, 17, 18, 26, 42, 47, 53, 54, 58),
    "deep": (10, 11, 12, 13, 25, 30, 49, 50, 51, 52, 57, 62, 72, 136, 137, 163, 164),
    "eye": (506,),
    "soft": (507,),
    "muscle": (508,),
    "mucosa": (509,),
    "skin": (511,),
    "vessel": (502, 514),
    "bone": (515,),
    "marrow": (516,),
}
LEVELS = {  # mean of each tissue above, then of fat, 0 to 255
    "T1": (28, 85, 125, 100, 32, 80, 78, 88, 140, 60, 14, 150, 200),
    "T1CE": (30, 88, 128, 104, 36, 88, 150, 190, 150, 215, 16, 150, 200),
    "T2": (235, 95, 140, 110, 230, 60, 50, 195, 110, 35, 10, 100, 160),
    "FLAIR": (14, 105, 135, 118, 18, 75, 68, 160, 125, 40, 12, 100, 150),
}
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
ORDERS: dict[str, tuple[int, ...]] = {
    "sagittal": (0, 2, 1),
    "coronal": (1, 2, 0),
    "axial": (2, 1, 0),
}
"""Axes of the label map along slices, rows and columns."""
WAYS: dict[tuple[int, ...], tuple[int, ...]] = {
    (0, 2, 1): (-1, -1, -1),
    (1, 2, 0): (-1, -1, -1),
    (2, 1, 0): (-1, -1, 1),
}
"""Whether each axis of the map is stored forwards: rows run down or back, columns to Left or back."""

MAP_CENTRE, EDGE = 127.5, 256
KNOT_MM, BLUR_MM = 4.0, 0.4
NEWTON_STEPS = 12
NEAR_MM = 9.0  # CSF farther from the brain lies in the spine
MARGIN_MM = np.array([[12.0, 10.0, 0.0], [12.0, 24.0, 12.0]])  # of air: L P I, then R A S
POSE_DEGREES = (8.0, 5.0, 10.0)  # nod, tilt, turn: at most
LOOK_UPS = {1.0: 3, 2.0: 4, 5.0: 6}
NOISE, TEXTURE, BIAS = 4.0, 0.06, 0.18


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """A label map with its frame: ``index into `table```, 1 mm voxels in RAS order."""

    codes: torch.Tensor
    table: np.ndarray
    frame: Frame
    landmarks: dict[str, np.ndarray]


def load_held_out(path: Path) -> HeldOut:
    """Read one of the two label maps.

    Parameters
    ----------
    path : Path
        Its name is a key of `LANDMARKS`.
    """
    labels = np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj).astype(np.int16)
    pieces, _ = ndimage.label(labels)
    labels[pieces != 1 + np.argmax(np.bincount(pieces.ravel())[1:])] = 0  # specks in the air
    half = np.isin(labels[::2, ::2, ::2], BRAIN)
    near = ndimage.distance_transform_edt(~half, 2.0) < NEAR_MM
    for axis in range(3):
        near = near.repeat(2, axis)
    table = np.concatenate([np.unique(labels), [-CSF]])
    codes = np.searchsorted(table[:-1], labels).astype(np.uint8)
    codes[(labels == CSF) & ~near] = len(table) - 1
    landmarks = {k: np.array(v, float) for k, v in LANDMARKS[path.name].items()}
    return HeldOut(
        codes=torch.from_numpy(codes), table=table, frame=_frame(landmarks), landmarks=landmarks
    )


def _frame(landmarks: dict[str, np.ndarray]) -> Frame:
    """Frame of a label map by its landmarks, as `targets` finds it by labels."""
    flip = RAS_TO_LPS
    scale = float(np.linalg.norm(landmarks["eye_R"] - landmarks["eye_L"])) / GLOBE_DISTANCE_MM
    axes = face_axes({k: v * flip for k, v in landmarks.items()}, scale)
    return Frame(origin=axes.origin * flip, axes=axes.axes * flip, scale=scale)


def held_out_heads(folder: Path, seed: int = 5) -> Iterator[Head]:
    """Draw the 48 heads; neighbouring cells of the table take the two maps in turn.

    Parameters
    ----------
    folder : Path
        Of the label maps.
    seed : int
        Of pose, texture, bias and noise; each head has its own stream.
    """
    maps = [load_held_out(folder / name) for name in LANDMARKS]
    cells = product(enumerate(AGES), enumerate(SLICES_MM), enumerate(CONTRASTS))
    for number, ((i, age), (j, thick), (k, contrast)) in enumerate(cells):
        source = maps[(i + j + k) % len(maps)]
        yield draw_head(source, age=age, thick_mm=thick, contrast=contrast, seed=seed + number)


def draw_head(source: HeldOut, *, age: str, thick_mm: float, contrast: str, seed: int) -> Head:
    """Draw one head.

    Parameters
    ----------
    source : HeldOut
        The label map.
    age : str
        A key of `AGES`.
    thick_mm : float
        Distance and thickness of slices; voxels are 1 mm within them.
    contrast : str
        One of `CONTRASTS`.
    seed : int
        Of every draw.
    """
    rng = np.random.default_rng(seed)
    build = AGES[age]
    size = SIZES[age]
    linear = _pose(rng) / size
    warp = Warp(build=build, frame=source.frame, linear=linear)
    low, high = _extent(source, warp)
    plane = PLANES[contrast]
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    step = np.where(np.arange(3) == axis, thick_mm, 1.0)
    shape = tuple(int(n) for n in np.ceil((high - low) / step))
    points = warp.grid(low, step, shape)
    total = torch.zeros(shape)
    means, fat = _means(source.table, contrast)
    patch = _field(rng, shape, step, 9.0) > 0.1
    for offset in _offsets(rng, thick_mm, axis):
        shift = torch.tensor(linear @ offset, dtype=torch.float32)[:, None, None, None]
        read = _read(source.codes, points + shift).long()
        total += torch.where(patch, fat[read], means[read])
    codes = _read(source.codes, points)
    image = total / LOOK_UPS[thick_mm]
    image = image * (1 + TEXTURE * _field(rng, shape, step, 3.0))
    image = image * torch.exp(BIAS * _field(rng, shape, step, 70.0))
    real, imaginary = (rng.normal(0, NOISE, shape).astype(np.float32) for _ in range(2))
    values = np.hypot(image.numpy() + real, imaginary)
    labels = source.table[codes.numpy()]
    order = ORDERS[plane]
    return Head(
        name=f"{age} {contrast} {thick_mm:g} mm",
        values=_stored(values.astype(np.float32), order),
        affine=_affine(order, low, step, shape),
        landmarks={k: warp.place(point) * RAS_TO_LPS for k, point in source.landmarks.items()},
        scale=size * source.frame.scale,
        tissue=_stored(labels != 0, order),
        brain=_stored(np.isin(labels, BRAIN), order),
        csf=_stored(labels == CSF, order),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Warp:
    """From mm of the sample (RAS, round the map's centre) to voxels of the label map."""

    build: Build
    frame: Frame
    linear: np.ndarray

    def __call__(self, places: np.ndarray) -> torch.Tensor:
        """Map (3, i, j, k) places."""
        at = torch.tensor(np.einsum("ab,bijk->aijk", self.linear, places), dtype=torch.float32)
        at += MAP_CENTRE
        return at + child_warp(at, self.frame, self.build)

    def grid(self, low: np.ndarray, step: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
        """Map the voxels of a sample, (3, *shape); exact on knots, linear between them."""
        edge = (np.array(shape) - 1) * step
        knots = [np.linspace(0, e, int(np.ceil(e / KNOT_MM)) + 1) for e in edge]
        places = np.stack(np.meshgrid(*knots, indexing="ij")) + low[:, None, None, None]
        return _resize(self(places), shape)

    def place(self, point: np.ndarray) -> np.ndarray:
        """Find the place in the sample that a voxel of the map comes from."""
        found = np.linalg.inv(self.linear) @ (point - MAP_CENTRE)
        for _ in range(NEWTON_STEPS):
            near = found[:, None] + np.hstack([np.zeros((3, 1)), np.eye(3), -np.eye(3)])
            at = self(near.reshape(3, 7, 1, 1)).reshape(3, 7).double().numpy()
            slope = (at[:, 1:4] - at[:, 4:]) / 2
            found -= np.linalg.solve(slope, at[:, 0] - point)
        return np.asarray(found)


def _pose(rng: np.random.Generator) -> np.ndarray:
    nod, tilt, turn = np.deg2rad(rng.uniform(-1, 1, 3) * POSE_DEGREES)
    return Rotation.from_euler("xyz", [nod, tilt, turn]).as_matrix()


def _extent(source: HeldOut, warp: Warp) -> tuple[np.ndarray, np.ndarray]:
    """Corners, in mm RAS, of a field of view that holds the head; the neck ends at its floor."""
    low, count = np.full(3, -160.0), int(320 / KNOT_MM)
    points = warp.grid(low, np.full(3, KNOT_MM), (count,) * 3)
    head = (_read(source.codes, points) != 0) & (points[2] >= 0)
    at = np.argwhere(head.numpy()) * KNOT_MM + low
    return at.min(axis=0) - MARGIN_MM[0], at.max(axis=0) + MARGIN_MM[1]


def _offsets(rng: np.random.Generator, thick_mm: float, axis: int) -> np.ndarray:
    """Where within a voxel the map is read, (n, 3) mm: evenly through the slice."""
    count = LOOK_UPS[thick_mm]
    offsets = rng.normal(0, BLUR_MM, (count, 3))
    offsets[:, axis] = ((np.arange(count) + 0.5) / count - 0.5) * thick_mm
    return offsets


def _read(codes: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Nearest voxel of the map; below its floor the neck goes on."""
    i, j, k = (points + 0.5).clamp(0, EDGE - 1).int()
    return codes.reshape(-1)[((i * EDGE + j) * EDGE + k).long()]


def _resize(field: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return functional.interpolate(field[None], size=shape, mode="trilinear", align_corners=True)[0]


def _field(
    rng: np.random.Generator, shape: tuple[int, ...], step: np.ndarray, knot_mm: float
) -> torch.Tensor:
    """Smooth noise: normal deviates every so many mm, linear between them."""
    knots = np.maximum(2, np.ceil(np.array(shape) * step / knot_mm).astype(int) + 1)
    return _resize(torch.tensor(rng.normal(size=(1, *knots)), dtype=torch.float32), shape)[0]


def _means(table: np.ndarray, contrast: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of each code, and the same where what is soft is fat."""
    *levels, fat = LEVELS[contrast]
    level = {
        label: mean
        for labels, mean in zip(TISSUES.values(), levels, strict=True)
        for label in labels
    }
    level |= {0: 0, -CSF: levels[0]}
    means = torch.tensor([float(level[int(label)]) for label in table])
    return means, torch.where(torch.tensor(np.isin(table, TISSUES["soft"])), float(fat), means)


def _stored(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Turn an array in RAS order into slices, rows and columns of a plane."""
    ways = tuple(slice(None, None, way) for way in WAYS[order])
    return np.ascontiguousarray(array[ways].transpose(order))


def _affine(
    order: tuple[int, ...], low: np.ndarray, step: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    affine = np.eye(4)
    ways = np.array(WAYS[order])
    start = np.where(ways > 0, low, low + (np.array(shape) - 1) * step)
    affine[:3, :3] = (np.diag(ways * step) * RAS_TO_LPS[:, None])[:, list(order)]
    affine[:3, 3] = start * RAS_TO_LPS
    return affine
