"""A head in a few strokes: bright ellipsoid, noisy air, in any order of voxels.

>>> from tests.fakes.head import head_volume
>>> head_volume().stored.shape
(30, 52, 48)
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.dicom.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

AIR = 6.0
"""Scale of the Rayleigh noise of the air, in stored values."""

SPACING_MM = (7.0, 4.5, 4.6)

SHAPE = (30, 52, 48)


def rotation(degrees_x: float = 0.0, degrees_z: float = 0.0) -> NDArray[np.float64]:
    """Turn about the patient's left-right, then about the foot-head axis."""
    a, c = np.deg2rad([degrees_x, degrees_z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x, dtype=np.float64)


def axial_affine(
    shape: tuple[int, ...] = SHAPE,
    spacing_mm: tuple[float, ...] = SPACING_MM,
    turn: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Slices to the head, rows to the back, columns to the left; LPS origin in the middle."""
    directions = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ directions * np.array(spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def head_volume(
    *, turn: NDArray[np.float64] | None = None, seed: int = 0, dtype: type = np.uint16
) -> Volume:
    """Draw a head in the middle of noisy air; `turn` slants the slices, not the head."""
    affine = axial_affine(turn=turn)
    index = np.indices(SHAPE).reshape(3, -1)
    lps = affine[:3, :3] @ index + affine[:3, 3:]
    inside = ((lps / np.array([[76.0], [95.0], [98.0]])) ** 2).sum(axis=0) < 1
    noise = np.random.default_rng(seed).rayleigh(AIR, inside.size)
    stored = np.where(inside, 400 + noise, noise).reshape(SHAPE).astype(dtype)
    return volume_of(stored, affine)


def volume_of(
    stored: NDArray[Any],
    affine: NDArray[np.float64] | None = None,
    **changes: NDArray[np.float64] | int | None,
) -> Volume:
    """Wrap stored values without a modality transform; `changes` are fields of Volume."""
    n = len(stored)
    volume = Volume(
        stored=stored,
        slope=np.ones(n),
        intercept=np.zeros(n),
        affine=axial_affine(stored.shape) if affine is None else affine,
    )
    return replace(volume, **changes)  # type: ignore[arg-type]


def ramp(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give values that tell where they are: linear in LPS, 1000 at its origin."""
    index = np.indices(shape).reshape(3, -1)
    lps = affine[:3, :3] @ index + affine[:3, 3:]
    return np.asarray(1000 + 2 * lps[0] + 3 * lps[1] - lps[2]).reshape(shape)


def every_order(volume: Volume) -> Iterator[tuple[Volume, tuple[int, ...], tuple[int, ...]]]:
    """Give a volume without rescaling in all 48 orders of its voxels, and what was done.

    Yields the volume, the order its axes were brought into, and the axes flipped after that.
    """
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            axes = tuple(axis for axis, flip in enumerate(flips) if flip)
            stored = np.flip(volume.stored.transpose(order), axes).copy()
            affine = volume.affine[:, [*order, 3]].copy()
            for axis in axes:
                affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
                affine[:3, axis] *= -1
            yield volume_of(stored, affine), order, axes


def in_first_order(
    array: NDArray[Any], order: tuple[int, ...], axes: tuple[int, ...]
) -> NDArray[Any]:
    """Undo what `every_order` did to an array."""
    return np.flip(array, axes).transpose(np.argsort(order))
