"""Find where a head meets the outside, for the scorer: its skin, and what of it is face.

Lengths given for an adult are multiplied by the head's scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from face_model.head import face_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from face_model.head import Head

OPEN_MM = 5.0
"""Air that a ball of this radius cannot enter from outside is not outside, for an adult, in mm:
nostrils, the mouth, the ear canals and all behind them."""

SPECK_ML = 0.2
"""Bright pieces near the skin that are smaller than this are noise, for an adult, in ml."""

COARSE_MM = 2.0
"""Edge of the cells in which the outside is found, in mm."""

SIDE_MM, BROW_MM, BACK_MM, BELOW_CHIN_MM = 45.0, 16.0, 8.0, 8.0
"""The facial surface reaches this far to each side, above the globes' centres, behind a line
through globes, mouth and chin, and below the chin's centre, for an adult, in mm."""

BELOW_MOUTH_MM, BELOW_NOSE_MM = 20.0, 12.0
"""Where it ends below a mouth without a chin, or below a nose without a mouth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Where a head meets the outside; found once for all masks of a head.

    Parameters
    ----------
    head : (slices, rows, columns) ndarray of bool
        Its tissue, without specks in the air.
    outside : (slices, rows, columns) ndarray of bool
        Air that is connected with the surroundings.
    skin : (n, 3) ndarray of float64
        Centres of the tissue voxels that share a face with a voxel outside, in mm, LPS.
    edges : (k, 3) ndarray of float64
        Centres of those faces, in mm, LPS.
    face : (m, 3) ndarray of float64
        What of `skin` belongs to the facial surface.
    """

    head: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    skin: NDArray[np.float64]
    edges: NDArray[np.float64]
    face: NDArray[np.float64]


def find_surface(head: Head) -> Surface:
    """Find the skin and the facial surface of a head."""
    solid, outside = _outside(head)
    skin = head.places(solid & _beside(outside))
    edges, _ = faces(head, solid, outside)
    face = skin[facial_surface(head, skin)]
    return Surface(head=solid, outside=outside, skin=skin, edges=edges, face=face)


def facial_surface(head: Head, skin: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which of the (n, 3) points on the skin, in mm LPS, belong to the face.

    The skin from the brow to below the chin that lies in front of a sheet through globes, mouth
    and chin, `BACK_MM` behind their centres, up to `SIDE_MM` from the middle.
    """
    axes = face_axes(head.landmarks, head.scale)
    x, y, z = axes.coordinates(skin).T
    sheet = [(0.0, 0.0)]  # (z, y) from the globes downwards
    for name in ("mouth", "chin"):
        if name in head.landmarks:
            _, at_y, at_z = axes.coordinates(head.landmarks[name][None])[0]
            sheet.append((float(at_z), float(at_y)))
    if "chin" in head.landmarks:
        floor = sheet[-1][0] - BELOW_CHIN_MM
    elif "mouth" in head.landmarks:
        floor = sheet[-1][0] - BELOW_MOUTH_MM
    else:
        floor = axes.coordinates(head.landmarks["nose"][None])[0][2] - BELOW_NOSE_MM
    heights, depths = zip(*sorted(sheet), strict=True)
    front = y > np.interp(z, heights, depths) - BACK_MM
    return np.asarray(front & (np.abs(x) < SIDE_MM) & (z < BROW_MM) & (z > floor))


def faces(
    head: Head, one: NDArray[np.bool_], other: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the faces between voxels of two masks: centres in mm, LPS (n, 3), and areas in mm2."""
    spacing = head.spacing_mm()
    centres, areas = [], []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        between = np.argwhere((one[low] & other[high]) | (other[low] & one[high])).astype(float)
        between[:, axis] += 0.5
        centres.append(between @ head.affine[:3, :3].T + head.affine[:3, 3])
        areas.append(np.full(len(between), np.prod(np.delete(spacing, axis))))
    return np.concatenate(centres), np.concatenate(areas)


def _outside(head: Head) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tissue without specks, and the air that a ball can reach from beyond the head."""
    spacing = head.spacing_mm()
    factors = np.maximum(1, np.floor(COARSE_MM / spacing + 0.1)).astype(int)
    shape = head.tissue.shape
    pad = [(0, int(-n % f)) for n, f in zip(shape, factors, strict=True)]
    cells = np.pad(head.tissue, pad, mode="edge")
    split = [part for n, f in zip(cells.shape, factors, strict=True) for part in (n // f, f)]
    share = cells.reshape(split).mean(axis=(1, 3, 5))
    coarse = _largest(share >= 0.5)
    sampling = spacing * factors
    radius = OPEN_MM * head.scale
    wide = np.pad(coarse, 1)  # beyond the volume there is room for the ball
    deep = ndimage.distance_transform_edt(~wide, sampling) > radius
    reach = ndimage.distance_transform_edt(~_largest(deep), sampling) <= radius
    reach = reach[1:-1, 1:-1, 1:-1] & ~coarse

    def fine(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
        for axis, factor in enumerate(factors):
            cells = cells.repeat(factor, axis)
        return cells[tuple(slice(n) for n in shape)]

    solid = _without_specks(
        head.tissue & fine(ndimage.binary_dilation(coarse, iterations=2)),
        int(SPECK_ML * 1000 * head.scale**3 / np.prod(spacing)),
    )
    steps = int(factors.max()) + 1
    outside = ndimage.binary_dilation(fine(reach) & ~solid, iterations=steps, mask=~solid)
    return solid, outside


def _without_specks(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Drop the pieces of fewer than so many voxels."""
    pieces, _ = ndimage.label(mask)
    large = np.bincount(pieces.ravel()) >= least
    large[0] = False
    return np.asarray(large[pieces])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, n = ndimage.label(mask)
    if n == 0:
        return mask
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels that share a face with the mask."""
    return np.asarray(ndimage.binary_dilation(mask) & ~mask)
