"""What turning and spoiling a head changes in its mask.

Storage: every permutation and flip of the array, and slices tilted against the head; the mask,
turned back, is held against that of the head as it was. The head: pitched, turned and rolled in
the scanner; contrast inverted; noise; thick slices; there the scores are shown.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from face_model.head_surface import find_surface
from face_model.report import Row, table
from face_model.score import score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from face_model.defacers import Defacer
    from face_model.head import Head

TILTS_DEGREES = ((15, 0, 0), (0, -15, 0), (0, 15, 25))
"""Rotations about the axes Left, Posterior and Superior, in degrees, of the slices."""

POSES_DEGREES = {
    "pitched +25": (25, 0, 0),
    "pitched -25": (-25, 0, 0),
    "rolled 25": (0, 25, 0),
    "yawed 25": (0, 0, 25),
}
MOST_CHANGE = 0.02
NOISE_SHARE = 0.08
THICK_MM = 5.0


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Twice what two masks share over the sum of both; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 1.0 if total == 0 else 2 * int((one & other).sum()) / total


def stored_otherwise(head: Head, order: tuple[int, ...], ways: tuple[int, ...]) -> Head:
    """Permute and flip the axes of storage; every voxel keeps its place in the patient."""
    flips = tuple(slice(None, None, way) for way in ways)
    affine = head.affine.copy()
    for axis, way in enumerate(ways):
        if way < 0:
            affine[:3, 3] += affine[:3, axis] * (head.values.shape[axis] - 1)
            affine[:3, axis] *= -1
    affine[:3, :3] = affine[:3, list(order)]
    arrays: dict[str, Any] = {
        name: None if array is None else np.ascontiguousarray(array[flips].transpose(order))
        for name, array in _arrays(head).items()
    }
    return replace(head, affine=affine, **arrays)


def stored_back(
    mask: NDArray[np.bool_], order: tuple[int, ...], ways: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Undo `stored_otherwise` for a mask."""
    flips = tuple(slice(None, None, way) for way in ways)
    return mask.transpose(np.argsort(order))[flips]


def tilted(head: Head, degrees: tuple[int, ...]) -> Head:
    """Resample a head to slices tilted about the middle of its volume, on a grid that holds it."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    shape = np.array(head.values.shape)
    steps = turn @ head.affine[:3, :3]
    corners = np.array(list(product(*((0, n - 1) for n in shape)))) - (shape - 1) / 2
    reach = np.abs(np.linalg.inv(steps) @ head.affine[:3, :3] @ corners.T).max(axis=1)
    wide = tuple(int(n) for n in 2 * np.ceil(reach) + 1)
    middle = head.affine[:3, :3] @ ((shape - 1) / 2) + head.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = steps
    affine[:3, 3] = middle - steps @ ((np.array(wide) - 1) / 2)
    back = np.linalg.inv(head.affine) @ affine
    arrays: dict[str, Any] = {
        name: None if array is None else _resample(array, back, wide)
        for name, array in _arrays(head).items()
    }
    return replace(head, affine=affine, **arrays)


def moved(head: Head, degrees: tuple[int, ...]) -> Head:
    """Turn a head, with the volume round it, about the middle of the volume."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    middle = head.affine[:3, :3] @ ((np.array(head.values.shape) - 1) / 2) + head.affine[:3, 3]
    affine = head.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = turn @ (affine[:3, 3] - middle) + middle
    landmarks = {k: turn @ (p - middle) + middle for k, p in head.landmarks.items()}
    return replace(head, affine=affine, landmarks=landmarks)


def spoiled(head: Head) -> Iterator[tuple[str, Head]]:
    """Invert the contrast of tissue; add noise; average slices."""
    peak = np.float32(np.percentile(head.values, 99.5))
    inverted = np.where(head.tissue, np.maximum(1.1 * peak - head.values, 0.1 * peak), head.values)
    yield "inverted", replace(head, values=inverted.astype(np.float32))
    rng = np.random.default_rng(3)
    real, imaginary = (rng.normal(0, NOISE_SHARE * peak, head.values.shape) for _ in range(2))
    noisy = np.hypot(head.values + real, imaginary).astype(np.float32)
    yield "noise", replace(head, values=noisy)
    count = max(1, round(THICK_MM / head.spacing_mm()[0]))
    if count > 1:
        yield "5 mm slices", _averaged(head, count)


def _averaged(head: Head, count: int) -> Head:
    slices = len(head.values) // count
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (count - 1) / 2
    affine[:3, 0] *= count
    arrays: dict[str, Any] = {}
    for name, array in _arrays(head).items():
        if array is None:
            continue
        blocks = array[: slices * count].reshape(slices, count, *array.shape[1:])
        arrays[name] = blocks.mean(axis=1) if name == "values" else blocks[:, count // 2]
    return replace(head, affine=affine, **arrays)


def _arrays(head: Head) -> dict[str, Any]:
    return {name: getattr(head, name) for name in ("values", "tissue", "brain", "csf")}


def _resample(
    array: NDArray[Any], back: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[Any]:
    is_mask = array.dtype == bool
    found = ndimage.affine_transform(
        array.astype(np.float32), back[:3, :3], back[:3, 3], shape, order=0 if is_mask else 1
    )
    return np.asarray(found.astype(array.dtype))


def storage_changes(defacer: Defacer, head: Head) -> dict[str, float]:
    """Dice of the mask with itself over every way of storing a head, and over tilted slices."""
    answer = defacer(head)
    if answer is None:
        return {}
    reference = answer.removed
    found = {}
    for order, ways in product(permutations(range(3)), product((1, -1), repeat=3)):
        again = defacer(stored_otherwise(head, order, ways))
        if again is not None:
            name = "".join("+-"[ways[axis] < 0] + "srk"[axis] for axis in order)
            found[name] = dice(stored_back(again.removed, order, ways), reference)
    for degrees in TILTS_DEGREES:
        slanted = tilted(head, degrees)
        again = defacer(slanted)
        if again is not None:
            back = np.linalg.inv(slanted.affine) @ head.affine
            mask = _resample(again.removed, back, reference.shape)
            found[f"tilted {degrees}"] = dice(mask, reference)
    return found


def variants(head: Head) -> Iterator[tuple[str, Head]]:
    """Move and spoil a head in every way."""
    for name, degrees in POSES_DEGREES.items():
        yield name, moved(head, degrees)
    yield from spoiled(head)


def show(defacers: list[Defacer], heads: Iterable[Head]) -> dict[str, Any]:
    """Print both; the first head for storage, every head for the rest."""
    report: dict[str, Any] = {defacer.name: {} for defacer in defacers}
    rows: dict[str, list[Row]] = {defacer.name: [] for defacer in defacers}
    for number, head in enumerate(heads):
        for defacer in defacers if number == 0 else []:
            found = storage_changes(defacer, head)
            report[defacer.name]["storage"] = found
            _show_storage(defacer.name, head.name, found)
        for name, variant in variants(head):
            _measure(f"{name} {head.name}", variant, defacers, rows)
        print(f"{head.name}: done", file=sys.stderr, flush=True)
    for name, own in rows.items():
        if own:
            print(f"\nMoved and spoiled: {name}\n{table(own)}")
            report[name]["spoiled"] = {row.head: row.as_json() for row in own}
    return report


def _measure(name: str, variant: Head, defacers: list[Defacer], rows: dict[str, list[Row]]) -> None:
    surface = find_surface(variant)
    for defacer in defacers:
        answer = defacer(variant)
        if answer is not None:
            scores = score(variant, answer.removed, surface)
            rows[defacer.name].append(
                Row(head=name, scores=scores, verdict=answer.verdict, cpu_s=answer.cpu_s)
            )


def _show_storage(name: str, head: str, found: dict[str, float]) -> None:
    if not found:
        return
    least = min(found, key=found.__getitem__)
    stored = [v for k, v in found.items() if not k.startswith("tilted")]
    word = "met" if found[least] > 1 - MOST_CHANGE else "NOT MET"
    print(f"\nStored otherwise: {name}, {head}")
    print(f"  {len(stored)} permutations and flips: Dice {min(stored):.4f} to {max(stored):.4f}")
    for key, value in found.items():
        if key.startswith("tilted"):
            print(f"  {key}: Dice {value:.4f}")
    print(
        f"  {word:8s} Dice changes by less than {MOST_CHANGE}: least {found[least]:.4f} ({least})"
    )
