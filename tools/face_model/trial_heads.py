"""Heads as scanners might give them, each with the voxels that must go, known without the model.

Real heads, with landmarks found by eye: as they are, turned, of other contrast, cut, thick, noisy.
Drawn heads, with their labels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from drawn_head.head import Age, draw_head, grid
from drawn_head.tissue import BRAIN, CONTRASTS, Label
from scipy import ndimage

from deid_node.dicom.volume import Volume
from deid_node.face.grid import RAS_SIGN, extent, read, shrink
from face_model.evaluate import as_volume
from face_model.evaluate import read as read_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EDGE_MM, THICK_MM = 2.0, 5.0
DEGREES = 25.0
BALL_MM = 12.0  # times the head's scale
LEAST_ML = 0.3  # of tissue in a feature's ball; less is outside the field of view
SHALLOW_MM = (
    12.0  # times the scale; a label reaches to the throat, and what lies deeper shows no face
)
NOISE = 0.08  # of the 99th percentile
LABELS = {
    "eyes": Label.EYES,
    "nose": Label.NOSE,
    "mouth": Label.MOUTH,
    "chin": Label.CHIN,
    "ears": Label.EARS,
}
SCALES = {"adult": 1.0, "child": 0.88, "newborn": 0.7}
SPELLED = {"eye_R": "right eye", "eye_L": "left eye", "ear_R": "right ear", "ear_L": "left ear"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """A volume and what is known of it.

    Parameters
    ----------
    name : str
        Of the head and of what was done to it.
    volume : Volume
        What the node would get.
    must_go : dict of str to (n,) ndarray of int
        Flat indices of the tissue of each feature in the field of view.
    middles : dict of str to (3,) ndarray
        Middle of each of these features, one side of a pair each, LPS mm.
    tissue, brain : (slices, rows, columns) ndarray of bool
        What is patient; what is brain, or None if nobody knows.
    scale : float
        Size relative to an adult.
    """

    name: str
    volume: Volume
    must_go: dict[str, np.ndarray]
    middles: dict[str, np.ndarray]
    tissue: np.ndarray
    brain: np.ndarray | None
    scale: float

    def coverage(self, mask: np.ndarray) -> dict[str, float]:
        """Share of each feature's tissue that a mask removes."""
        flat = mask.reshape(-1)
        return {name: float(flat[where].mean()) for name, where in self.must_go.items()}


def real_trials(landmarks: Path, heads: Path) -> Iterator[Trial]:
    """Read every head of a landmark file, as it is and changed in fifteen ways."""
    for name, head in json.loads(landmarks.read_text())["heads"].items():
        if not (heads / head["file"]).exists():
            continue
        volume = as_volume(read_image(heads / head["file"]))
        points = {
            SPELLED.get(k, k): np.array(at) * RAS_SIGN
            for k, at in head["landmarks"].items()
            if at is not None
        }
        short = name.split("_")[0] + ("_T2" if "T2FSE" in name else "")
        yield _trial(f"{short} as is", volume, volume.values(), head["air"], points, head["scale"])
        for what, affine, shape, turn, change in _changes(volume, points, head["scale"]):
            yield _changed(f"{short} {what}", volume, head, (affine, shape, turn, change), points)


def _changes(
    volume: Volume, points: dict[str, np.ndarray], scale: float
) -> Iterator[tuple[str, np.ndarray, tuple[int, ...], np.ndarray, str]]:
    """Name, index to RAS of the new voxels, their shape, turn of the head, change of the values."""
    low, high = extent(volume.affine, volume.stored.shape)
    still = np.eye(3)
    edge = np.full(3, EDGE_MM)
    for axis, way, sign in product(range(3), ("pitch", "roll", "yaw"), (-1, 1)):
        if ("pitch", "roll", "yaw").index(way) == axis:
            turn = _turn(axis, sign * DEGREES)
            yield (f"{way} {sign * DEGREES:+.0f}", *_box(low, high, edge), turn, "")
    yield ("inverted", *_box(low, high, edge), still, "inverted")
    yield ("noise", *_box(low, high, edge), still, "noise")
    for axis, name in enumerate(("sagittal", "coronal", "axial")):
        thick = edge.copy()
        thick[axis] = THICK_MM
        yield (f"{name} {THICK_MM:g} mm", *_box(low, high, thick), still, "")
    eye = (points["right eye"] + points["left eye"]) / 2
    cuts = [("front", 1, high, eye[1] + 5 * scale), ("crown", 2, high, eye[2] + 45 * scale)]
    cuts.append(("ear", 0, high, points["right ear"][0]))
    if "mouth" in points:
        cuts.append(("below", 2, low, points["mouth"][2]))
    for name, axis, end, at in cuts:
        box = {id(low): low.copy(), id(high): high.copy()}
        box[id(end)][axis] = at
        yield (f"cut {name}", *_box(box[id(low)], box[id(high)], edge), still, "")


def _turn(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    one, other = (a for a in range(3) if a != axis)
    turn = np.eye(3)
    turn[one, one] = turn[other, other] = c
    turn[one, other], turn[other, one] = -s, s
    return turn


def _box(low: np.ndarray, high: np.ndarray, edge: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    affine = np.diag([*edge, 1.0])
    affine[:3, 3] = low + edge / 2
    return affine, tuple(int(n) for n in np.maximum(8, (high - low) // edge))


def _changed(
    name: str,
    volume: Volume,
    head: dict[str, Any],
    how: tuple[np.ndarray, tuple[int, ...], np.ndarray, str],
    points: dict[str, np.ndarray],
) -> Trial:
    affine, shape, turn, change = how
    low, high = extent(volume.affine, volume.stored.shape)
    middle = (low + high) / 2
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = turn.T, middle - turn.T @ middle
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    # thick slices are the mean of what is read twice as finely
    twice = np.where(edges > EDGE_MM, 2, 1)
    fine = affine.copy()
    fine[:3, :3] = affine[:3, :3] / twice
    fine[:3, 3] -= (fine[:3, :3] @ (twice - 1)) / 2
    to_lps = np.diag([*RAS_SIGN, 1.0])
    values = read(shrink(volume, EDGE_MM), to_lps @ back @ fine, tuple(np.array(shape) * twice))
    i, j, k = shape
    values = values.reshape(i, twice[0], j, twice[1], k, twice[2]).mean(axis=(1, 3, 5))
    moved = {n: turn @ (p - middle) + middle for n, p in points.items()}
    shown = _contrast(values, head["air"], change)
    stored = np.round(shown * (30000 / max(1.0, float(shown.max())))).astype(np.int16)
    new = Volume(stored=stored, slope=np.ones(i), intercept=np.zeros(i), affine=to_lps @ affine)
    return _trial(name, new, values, head["air"], moved, head["scale"])


def _contrast(values: np.ndarray, air: float, change: str) -> np.ndarray:
    bright = float(np.percentile(values, 99))
    if change == "inverted":  # water bright and fat dark, air as it was
        return np.where(values > air, np.maximum(bright * 1.1 - values, air), values)
    if change == "noise":
        rng = np.random.default_rng(0)
        real, imaginary = rng.normal(0, NOISE * bright, (2, *values.shape))
        return np.hypot(values + real, imaginary)
    return values


def _trial(
    name: str,
    volume: Volume,
    values: np.ndarray,
    air: float,
    points: dict[str, np.ndarray],
    scale: float,
) -> Trial:
    tissue = values > air
    ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    must_go = {}
    for feature, point in points.items():
        near = ball(volume, point * RAS_SIGN, BALL_MM * scale)
        near = near[tissue.reshape(-1)[near]]
        if len(near) * ml > LEAST_ML:
            must_go[feature] = near
    middles = {n: points[n] * RAS_SIGN for n in must_go}
    return Trial(
        name=name,
        volume=volume,
        must_go=must_go,
        middles=middles,
        tissue=tissue,
        brain=None,
        scale=scale,
    )


def ball(volume: Volume, at: np.ndarray, radius_mm: float) -> np.ndarray:
    """Flat indices of the voxels within a radius of a point in LPS mm."""
    to_voxel = np.linalg.inv(volume.affine)
    middle = to_voxel[:3, :3] @ at + to_voxel[:3, 3]
    reach = radius_mm / volume.spacing_mm()
    first = np.maximum(0, np.floor(middle - reach)).astype(int)
    last = np.minimum(volume.stored.shape, np.ceil(middle + reach).astype(int) + 1)
    if (last <= first).any():
        return np.zeros(0, int)
    axes = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    away = (index - middle) @ volume.affine[:3, :3].T
    near = index[(away**2).sum(-1) < radius_mm**2]
    return np.ravel_multi_index(tuple(near.T), volume.stored.shape)


def drawn_trials(seed: int) -> Iterator[Trial]:
    """Draw heads of three ages in four contrasts, with thin and with thick slices."""
    sizes = ((EDGE_MM, EDGE_MM, EDGE_MM), (THICK_MM, 1.5, 1.5))
    for age, size, contrast in product(get_args(Age), sizes, CONTRASTS):
        where = grid("axial", size)
        head = draw_head(
            contrast=contrast, shape=where.shape, affine=where.affine, seed=seed, age=age
        )
        n = len(head.values)
        volume = Volume(
            stored=np.round(head.values).astype(np.int16),
            slope=np.ones(n),
            intercept=np.zeros(n),
            affine=head.affine,
        )
        depth = ndimage.distance_transform_edt(head.labels != Label.AIR, sampling=size)
        shallow = depth < SHALLOW_MM * SCALES[age]
        must_go = {k: np.flatnonzero((head.labels == v) & shallow) for k, v in LABELS.items()}
        yield Trial(
            name=f"drawn {age} {contrast} {size[0]:g} mm",
            volume=volume,
            must_go={k: where for k, where in must_go.items() if len(where)},
            middles={k: np.array(v) for k, v in head.landmarks.items()} | _nose(head.landmarks),
            tissue=head.labels != Label.AIR,
            brain=np.isin(head.labels, BRAIN),
            scale=SCALES[age],
        )


def _nose(landmarks: dict[str, tuple[float, float, float]]) -> dict[str, np.ndarray]:
    return {"nose": np.array(landmarks["nose tip"])}
