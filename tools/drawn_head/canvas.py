"""The grid that a head is painted on, and windows of it.

A painter paints from the outside in: each shape covers what lies below it, with a soft edge
one voxel wide, which is what a scanner's point spread does to a boundary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from drawn_head.shapes import FAR_MM, Points, union

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from drawn_head.shapes import Distance, Triple
    from drawn_head.tissue import Label

    Box = tuple[Triple, Triple]
    """Two opposite corners, in the coordinates of `Points`."""

FACE_TOP_MM = -18.0
"""Below this height the face grows with age, above it the cranium."""

TILE = 64
"""Noise repeats after so many cells."""
CELLS = 8
"""Cells of noise in one wavelength."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How far a head has grown: the cranium early, the face late.

    Parameters
    ----------
    cranium
        Size of the cranium relative to an adult's.
    face
        Size of the face relative to the cranium, where an adult's is 1.
    """

    cranium: float
    face: float

    def to_adult(self, points: Points) -> Points:
        """Where a point of this head lies in an adult's."""
        x, f, z = (axis / np.float32(self.cranium) for axis in points)
        if self.face == 1:
            return Points(x, f, z)
        narrow = self._narrowing(z)
        low = np.minimum(z - np.float32(FACE_TOP_MM), 0)
        return Points(x / narrow, f / narrow, z + low * np.float32(1 / self.face - 1))

    def from_adult(self, points: Points) -> Points:
        """Where a point of an adult's head lies in this one."""
        x, f, z = points
        z = z + np.minimum(z - np.float32(FACE_TOP_MM), 0) * np.float32(self.face - 1)
        narrow = self._narrowing(z)
        return Points(*(axis * np.float32(self.cranium) for axis in (x * narrow, f * narrow, z)))

    def _narrowing(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        t = np.clip((np.float32(FACE_TOP_MM) - z) / np.float32(60 * self.face), 0, 1)
        return np.asarray(1 - np.float32(0.6 * (1 - self.face)) * t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A box of voxels and the points at their centres."""

    slices: tuple[slice, slice, slice]
    points: Points


class Canvas:
    """Values and labels of a head being painted.

    Parameters
    ----------
    shape
        Slices, rows, columns.
    affine : (4, 4) ndarray of float64
        Index (slice, row, column, 1) to patient LPS, in mm.
    growth
        Age of the head.
    """

    def __init__(
        self, shape: tuple[int, int, int], affine: NDArray[np.float64], growth: Growth
    ) -> None:
        self.values = np.zeros(shape, np.float32)
        self.labels = np.zeros(shape, np.uint8)
        self._affine = affine
        self._growth = growth
        self._edge_mm = np.float32(np.linalg.norm(affine[:3, :3], axis=0).mean() / growth.cranium)

    def window(self, box: Box) -> Window | None:
        """Voxels of a box, or None where the grid does not reach it."""
        ends = np.array(np.meshgrid(*zip(*box, strict=True), indexing="ij"), np.float32)
        x, f, z = self._growth.from_adult(Points(*ends.reshape(3, -1)))
        corners = np.stack([x, -f, z, np.ones_like(x)])
        index = (np.linalg.inv(self._affine) @ corners)[:3]
        first = np.maximum(np.floor(index.min(axis=1)).astype(int) - 1, 0)
        last = np.minimum(np.ceil(index.max(axis=1)).astype(int) + 2, self.values.shape)
        if (last <= first).any():
            return None
        slices = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        assert len(slices) == 3
        return Window(slices, self._points(slices))

    def windows(self, box: Box) -> Iterator[Window]:
        """Voxels of a box on the left and of its mirror on the right."""
        (x0, f0, z0), (x1, f1, z1) = box
        for side in (1, -1):
            found = self.window(((side * x0, f0, z0), (side * x1, f1, z1)))
            if found is not None:
                yield found

    def all_points(self) -> Points:
        """Every voxel's centre."""
        return self._points(tuple(slice(0, n) for n in self.values.shape))

    def distance(self) -> Distance:
        """Make a field of distances with no shape in it yet."""
        return np.full(self.values.shape, FAR_MM, np.float32)

    def join(
        self, field: Distance, box: Box, shape: Callable[[Points], Distance], k: float
    ) -> None:
        """Join a shape to a field, on both sides; `shape` sees the left side only."""
        (x0, f0, z0), (x1, f1, z1) = box
        found = [self.window(((-x1, f0, z0), (x1, f1, z1)))] if x0 <= 0 else self.windows(box)
        for window in found:
            if window is not None:
                part = field[window.slices]
                part[...] = union(part, shape(window.points.mirrored()), k)

    def paint(
        self,
        window: Window,
        distance: Distance,
        value: float | NDArray[np.float32],
        label: Label | None,
    ) -> None:
        """Cover what lies inside `distance` with a value and, unless None, a label."""
        cover = np.clip(np.float32(0.5) - distance / self._edge_mm, 0, 1)
        part = self.values[window.slices]
        part += cover * (value - part)
        if label is not None:
            self.labels[window.slices][np.broadcast_to(distance < 0, part.shape)] = label

    def noise(self, window: Window, wavelength_mm: float, seed: int) -> NDArray[np.float32]:
        """Smooth noise of mean 0 and variance 1, the same whatever grid is painted on.

        Returns
        -------
        (slices, rows, columns) ndarray of float32
            The noise at the window's points.
        """
        return self._sample(_noise_tile(seed), window, wavelength_mm / CELLS)

    def sheets(self, window: Window, wavelength_mm: float, seed: int) -> Distance:
        """Distance to meandering sheets about half a wavelength apart, in mm."""
        tile = _noise_tile(seed)
        slope = sum(
            ((np.roll(tile, -1, axis) - np.roll(tile, 1, axis)) / 2) ** 2 for axis in range(3)
        )
        step = wavelength_mm / CELLS
        signed = tile / np.sqrt(slope + np.float32(0.01)) * np.float32(step)
        return np.abs(self._sample(np.asarray(signed, np.float32), window, step))

    def _sample(
        self, tile: NDArray[np.float32], window: Window, step_mm: float
    ) -> NDArray[np.float32]:
        first = np.array([*(s.start for s in window.slices), 1.0])
        unit = step_mm * self._growth.cranium
        size = tuple(s.stop - s.start for s in window.slices)
        return ndimage.affine_transform(
            tile,
            self._affine[:3, :3] / unit,
            (self._affine @ first)[:3] / unit,
            output_shape=size,
            output=np.float32,
            order=1,
            mode="grid-wrap",
        )

    def _points(self, slices: tuple[slice, ...]) -> Points:
        index = np.ix_(*(np.arange(s.start, s.stop, dtype=np.float32) for s in slices))
        lps = []
        for row in self._affine[:3]:
            axis = np.full((1, 1, 1), row[3], np.float32)
            for step, at in zip(row[:3], index, strict=True):
                if abs(step) > 1e-9:
                    axis = np.asarray(axis + np.float32(step) * at, np.float32)
            lps.append(axis)
        return self._growth.to_adult(Points(lps[0], -lps[1], lps[2]))


@lru_cache(maxsize=8)
def _noise_tile(seed: int) -> NDArray[np.float32]:
    rough = np.random.default_rng(seed).standard_normal((TILE,) * 3, np.float32)
    smooth = np.asarray(ndimage.gaussian_filter(rough, 1.2, mode="wrap"), np.float32)
    smooth = smooth - ndimage.gaussian_filter(smooth, 1.6, mode="wrap")
    return np.asarray(smooth / smooth.std(), np.float32)
