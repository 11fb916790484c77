"""Look at a volume and a mask on a grid in head coordinates, where lengths are those of an adult."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deid_node.face.brightness import tissue_level
from deid_node.face.grid import RAS_SIGN
from deid_node.face.shrunk import read, shrink

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.shrunk import Shrunk

STEP_MM = 3.0
"""Edge of the grid's voxels, in mm of an adult."""

VOXEL_ML = STEP_MM**3 / 1000
"""Volume of a voxel of the grid, in ml of an adult."""

LOW = np.array([-102.0, -126.0, -141.0])
HIGH = np.array([102.0, 84.0, 48.0])
"""Corners of the grid in head coordinates: from behind the ears to before the nose, from below
the chin to above the brow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadSamples:
    """A head and what a mask takes of it, on a grid in head coordinates.

    Parameters
    ----------
    at : (3, i, j, k) ndarray of float32
        Head coordinates of each voxel; indices grow to the head's right, front and top.
    tissue : (i, j, k) ndarray of bool
        What is patient, not air; False outside the field of view.
    removed : (i, j, k) ndarray of bool
        What the mask removes.
    seen : (i, j, k) ndarray of bool
        What lies in the field of view.
    level
        Value above which it is patient; infinite where nothing is in the field of view.
    """

    at: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    removed: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    level: float


def sample_head(
    mask: NDArray[np.bool_], volume: Volume, frame: HeadFrame, shrunk: Shrunk | None = None
) -> HeadSamples:
    """Read a volume and a mask in head coordinates.

    Parameters
    ----------
    mask : (slices, rows, columns) ndarray of bool
        What would be removed.
    volume
        The original.
    frame
        Of the head.
    shrunk
        The volume as a model read it; smoothed anew where none is at hand.
    """
    at = points(LOW, HIGH)
    affine = grid_affine(frame, LOW)
    removed, seen = look_up(mask, volume.affine, affine, at.shape[1:])
    shrunk = shrunk or shrink(volume, STEP_MM * frame.scale)
    values = read(shrunk, affine, seen.shape)
    level = tissue_level(values[seen])
    return HeadSamples(
        at=at, tissue=seen & (values > level), removed=removed, seen=seen, level=level
    )


def points(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float32]:
    """Head coordinates of a grid from corner to corner, (3, i, j, k)."""
    axes = [np.arange(a, b + STEP_MM / 2, STEP_MM) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def grid_affine(frame: HeadFrame, low: NDArray[np.float64]) -> NDArray[np.float64]:
    """Index of the grid that begins at a corner to LPS, in mm."""
    affine = np.eye(4)
    affine[:3, :3] = frame.axes.T * frame.scale * STEP_MM
    affine[:3, 3] = frame.to_patient(low)
    return np.asarray(np.diag([*RAS_SIGN, 1.0]) @ affine)


def look_up(
    mask: NDArray[np.bool_],
    mask_affine: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Read a mask at the nearest voxel of another grid; second, whether there is one."""
    to_voxel = np.linalg.inv(mask_affine) @ affine
    index = np.indices(shape, np.float32).reshape(3, -1)
    at = np.rint(to_voxel[:3, :3] @ index + to_voxel[:3, 3:]).astype(np.int32)
    seen = ((at >= 0) & (at < np.array(mask.shape)[:, None])).all(axis=0)
    removed = np.zeros(seen.shape, bool)
    removed[seen] = mask[tuple(at[:, seen])]
    return removed.reshape(shape), seen.reshape(shape)
