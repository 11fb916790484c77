"""Draw the training target on whole-head label maps by geometry alone: no hand drawing, no image.

Frame of a head: origin midway between the globes; x from globe to globe towards Right, y towards
Anterior, z up; lengths are divided by the distance of the globes over 63 mm, so that one set of
figures fits every head. Classes: 0 background, 1 face with the air in front, 2 ears with the air
beside, 3 everything inside the skull (brain with its CSF: the guard); and three parts of the face
that tell where a head is and what was found of it: 4 eyes, 5 nose, 6 mouth, tissue only.

Usage: ``python -m face_model.targets LABEL_FOLDER TARGET_FOLDER``
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage as ndi

GLOBE, CHIASM, CSF, VEIN = 506, 85, 24, 514
BRAIN = (
    *(2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28, 30, 41, 42, 43, 44, 46, 47),
    *(49, 50, 51, 52, 53, 54, 57, 58, 60, 62, 72, 85, 136, 137, 163, 164),
)
GLOBE_DISTANCE_MM = 63.0
GUARD_MM = 3.0
MENINGES_MM = 9.0
PITCH = np.deg2rad(12)  # from chiasm -> globes to about the Frankfurt plane
PINNA_HEIGHT = -20.0  # where the pinna's centre lies when a head is level
FACE, EARS, BRAIN_CLASS, EYES, NOSE, MOUTH = 1, 2, 3, 4, 5, 6
CUT_MM = 3  # a map whose tissue ends this far above its floor was cut there


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a head lies in its label map.

    Parameters
    ----------
    origin : (3,) ndarray
        Midpoint of the globes, in voxels (1 mm, RAS).
    axes : (3, 3) ndarray
        Rows are the unit vectors x, y, z in voxel axes.
    scale : float
        Distance of the globes over `GLOBE_DISTANCE_MM`.
    """

    origin: np.ndarray
    axes: np.ndarray
    scale: float

    def coordinates(self, shape: tuple[int, ...]) -> np.ndarray:
        """Head coordinates of every voxel, (3, *shape) float32, in scaled mm."""
        index = np.stack(
            np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
        )
        index -= self.origin.astype(np.float32)[:, None, None, None]
        return np.asarray(
            np.einsum("ab,bijk->aijk", (self.axes / self.scale).astype(np.float32), index)
        )

    def pitched(self, angle: float) -> Frame:
        """Turn the frame about x by `angle` radians; positive lifts y."""
        x, y, z = self.axes
        y = y * np.cos(angle) + z * np.sin(angle)
        return Frame(origin=self.origin, axes=np.stack([x, y, np.cross(x, y)]), scale=self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinna:
    """Box of one outer ear in head coordinates, mirrored to x > 0; `voxels` of 2 mm found."""

    low: np.ndarray
    high: np.ndarray
    voxels: int

    @property
    def found(self) -> bool:
        """Whether the ear was seen, rather than put at the average place."""
        return self.voxels > 120


def largest(mask: np.ndarray) -> np.ndarray:
    """Largest face-connected component of a boolean array; the array itself if it is empty."""
    components, n = ndi.label(mask)
    if n == 0:
        return mask
    sizes = ndi.sum_labels(mask, components, np.arange(1, n + 1))
    return np.asarray(components == 1 + np.argmax(sizes))


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def find_frame(labels: np.ndarray) -> Frame:
    """Find globes and chiasm in a label map of 1 mm voxels in RAS order."""
    components, n = ndi.label(labels == GLOBE)
    sizes = ndi.sum_labels(components > 0, components, np.arange(1, n + 1))
    globes = np.array(ndi.center_of_mass(components > 0, components, 1 + np.argsort(sizes)[-2:]))
    left, right = globes[np.argsort(globes[:, 0])]
    middle, x = (left + right) / 2, _unit(right - left)
    y = middle - np.argwhere(labels == CHIASM).mean(0)
    y = _unit(y - x * (y @ x))
    scale = float(np.linalg.norm(right - left) / GLOBE_DISTANCE_MM)
    return Frame(origin=middle, axes=np.stack([x, y, np.cross(x, y)]), scale=scale).pitched(PITCH)


def find_pinna(head: np.ndarray, where: np.ndarray, scale: float, side: int) -> Pinna:
    """Find the outer ear: what a large opening takes off the head, beside the skull base.

    Parameters
    ----------
    head : (x, y, z) ndarray of bool
        The whole head, 2 mm voxels.
    where : (3, x, y, z) ndarray
        Head coordinates of these voxels.
    scale : float
        Of the head's frame.
    side : int
        1 for Right, -1 for Left.
    """
    radius = 6 * scale  # in 2 mm voxels: a ball of 12 mm
    distance = ndi.distance_transform_edt
    opened = distance(distance(head) <= radius) <= radius
    x, y, z = side * where[0], where[1], where[2]
    beside = (x > 60) & (y > -122) & (y < -60) & (z > -60) & (z < 30)
    pinna = largest(head & ~opened & beside)
    points = np.stack([x[pinna], y[pinna], z[pinna]])
    found = Pinna(low=np.zeros(3), high=np.zeros(3), voxels=int(pinna.sum()))
    if found.found:
        low, high = np.percentile(points, 3, 1), np.percentile(points, 97, 1)
    else:  # cut off or pressed flat
        low, high = np.array([70, -105, -35]), np.array([85, -75, 15])
    return Pinna(low=low, high=high, voxels=found.voxels)


def level(frame: Frame, pinnae: list[Pinna]) -> Frame:
    """Turn the frame so that the pinnae lie at the height they have in a level head."""
    seen = [(p.low + p.high) / 2 for p in pinnae if p.found]
    if not seen:
        return frame
    _, y, z = np.mean(seen, 0)
    now, wanted = np.arctan2(z, -y), np.arcsin(PINNA_HEIGHT / np.hypot(y, z))
    return frame.pitched(float(wanted - now))


def face_region(x: np.ndarray, y: np.ndarray, z: np.ndarray, chin: float) -> np.ndarray:
    """Face with 25-30 mm of air before it: brow above, cap below the chin, wall behind.

    Parameters
    ----------
    x, y, z : ndarray
        Head coordinates.
    chin : float
        Height of the chin's underside; the region ends 14 below it.
    """
    wall = np.interp(z, [-130, -100, -70, -40, 0, 30], [-5, -5, -6, -11, -14, -2])
    wall = wall - 10 * np.clip((np.abs(x) - 35) / 35, 0, 1) * (
        z < 0
    )  # cheek bones lie further back
    bow = 0.006 * x**2
    slab = (y > wall) & (z < 24 - bow) & (z > chin - 14)
    orbit = (np.abs(x) - 31.5) ** 2 + (y + 2) ** 2 + z**2 < 20**2  # the globe and what moves it
    return np.asarray((slab | orbit) & (y < 66 - bow) & (np.abs(x) < 78))


def find_chin(head: np.ndarray, where: np.ndarray) -> float:
    """Lowest height at which the midline still juts forward; the average chin if it is cut off."""
    jutting = (
        head & (np.abs(where[0]) < 12) & (where[1] > 12) & (where[2] < -60) & (where[2] > -130)
    )
    if int(jutting.sum()) < 50:
        return -115.0
    return float(np.clip(np.percentile(where[2][jutting], 1), -125, -95))


def ear_region(where: np.ndarray, pinna: Pinna, side: int) -> np.ndarray:
    """Elliptic cylinder round the outer ear, from its root to 14 mm of air beside it."""
    x, y, z = side * where[0], where[1], where[2]
    middle = (pinna.low + pinna.high) / 2
    half = np.maximum((pinna.high - pinna.low) / 2 + 8, [0, 20, 26])
    inner = max(pinna.low[0] - 1, 60)
    oval = ((y - middle[1]) / half[1]) ** 2 + ((z - middle[2]) / half[2]) ** 2 < 1
    return np.asarray(oval & (x > inner) & (x < pinna.high[0] + 14))


def find_nose_tip(head: np.ndarray, where: np.ndarray) -> float:
    """Find the height at which the midline below the eyes reaches farthest forward."""
    ridge = head & (np.abs(where[0]) < 8) & (where[2] < -12) & (where[2] > -62) & (where[1] > 8)
    if int(ridge.sum()) < 50:
        return -38.0
    y, z = where[1][ridge], where[2][ridge]
    return float(np.clip(z[y > y.max() - 3].mean(), -50, -25))


def parts_of_face(where: np.ndarray, tip: float, chin: float) -> np.ndarray:
    """Mark the voxels that belong to eyes, nose or mouth, tissue and air alike; 0 elsewhere.

    Parameters
    ----------
    where : (3, x, y, z) ndarray
        Head coordinates.
    tip, chin : float
        Heights of the tip of the nose and the chin's underside.
    """
    x, y, z = np.abs(where[0]), where[1], where[2]
    parts = np.zeros(x.shape, np.uint8)
    parts[(x < 27) & (y > -2) & (np.abs(z - (tip + chin) / 2) < 14)] = MOUTH
    parts[(x < 18) & (y > 12) & (z > tip - 14) & (z < -10)] = NOSE
    parts[(x - 31.5) ** 2 + (y + 1) ** 2 + z**2 < 14.5**2] = EYES
    return parts


def inside_skull(labels: np.ndarray) -> np.ndarray:
    """Brain with the CSF, dura and veins that lie on it, closed; not the spinal canal."""
    brain = np.isin(labels, BRAIN)
    near = ndi.distance_transform_edt(~brain) < MENINGES_MM
    whole = largest(brain | (near & np.isin(labels, (CSF, VEIN))))
    padded = np.pad(whole, 4)
    closed = ndi.binary_closing(padded, ndi.generate_binary_structure(3, 1), iterations=4)
    return ndi.binary_fill_holes(closed)[4:-4, 4:-4, 4:-4]


def draw(labels: np.ndarray) -> tuple[np.ndarray, Frame, list[Pinna]]:
    """Draw the target of one label map.

    Parameters
    ----------
    labels : (x, y, z) ndarray of int
        Label map, 1 mm voxels in RAS order.

    Returns
    -------
    target : (x, y, z) ndarray of uint8
        The classes.
    frame : Frame
        Of the head, levelled.
    pinnae : list of Pinna
        Left, then right.
    """
    head = ndi.binary_fill_holes(largest(labels > 0))
    skull = inside_skull(labels)
    frame = find_frame(labels)
    half = (slice(None, None, 2),) * 3
    for _ in range(2):
        where = frame.coordinates(labels.shape)
        coarse = where[(slice(None), *half)]
        pinnae = [find_pinna(head[half], coarse, frame.scale, side) for side in (-1, 1)]
        frame = level(frame, pinnae)
    where = frame.coordinates(labels.shape)
    coarse = where[(slice(None), *half)]
    pinnae = [find_pinna(head[half], coarse, frame.scale, side) for side in (-1, 1)]
    free = ndi.distance_transform_edt(~skull) > GUARD_MM
    floor = int(np.flatnonzero(head.any((0, 1)))[0])
    if floor >= CUT_MM:
        free[:, :, :floor] = False  # nothing was measured there, so there is nothing to find
    target = np.where(skull, BRAIN_CLASS, 0).astype(np.uint8)
    for side, pinna in zip((-1, 1), pinnae, strict=True):
        target[ear_region(where, pinna, side) & free] = EARS
    chin = find_chin(head[half], coarse)
    target[face_region(where[0], where[1], where[2], chin) & free] = FACE
    parts = parts_of_face(where, find_nose_tip(head[half], coarse), chin)
    told = (parts > 0) & (target == FACE) & head
    target[told] = parts[told]
    return target, frame, pinnae


def draw_file(path: Path, folder: Path) -> dict[str, object]:
    """Draw one map's target into a folder; return where the head lies."""
    picture = nib.as_closest_canonical(nib.load(path))
    target, frame, pinnae = draw(np.asarray(picture.dataobj).astype(np.int16))
    nib.save(nib.Nifti1Image(target, picture.affine), folder / path.name)
    counts = np.bincount(target.ravel(), minlength=MOUTH + 1).tolist()
    ears = [(p.voxels, p.low.round().tolist(), p.high.round().tolist()) for p in pinnae]
    print(path.name, round(frame.scale, 3), counts, ears, flush=True)
    return {
        "origin": frame.origin.round(1).tolist(),
        "axes": frame.axes.round(4).tolist(),
        "scale": round(frame.scale, 3),
    }


def main(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(source.glob("*.nii.gz"))
    with ProcessPoolExecutor() as workers:
        frames = list(workers.map(draw_file, paths, [folder] * len(paths)))
    told = {path.name: frame for path, frame in zip(paths, frames, strict=True)}
    (folder / "frames.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
