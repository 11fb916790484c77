"""A head with what is known of it, and the frame that its landmarks span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EAR_DROP_MM = 20.0  # how far the ears' middle lies below the globes when a head is level


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """One volume and the truth about it; arrays are (slices, rows, columns).

    Parameters
    ----------
    name : str
        Unique within its set.
    values : ndarray of float32
        The volume.
    affine : (4, 4) ndarray of float64
        Index (slice, row, column, 1) to patient LPS, in mm.
    landmarks : dict of str to (3,) ndarray of float64
        Centres of `score.FEATURES` in mm, LPS; what lies outside the field of view is absent.
    scale : float
        Length of this head as a share of an adult's.
    tissue : ndarray of bool
        What is not air.
    brain, csf : ndarray of bool, optional
        The brain; the CSF that surrounds it.
    """

    name: str
    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    landmarks: dict[str, NDArray[np.float64]]
    scale: float
    tissue: NDArray[np.bool_]
    brain: NDArray[np.bool_] | None = None
    csf: NDArray[np.bool_] | None = None

    def spacing_mm(self) -> NDArray[np.float64]:
        """Distance of voxel centres between slices, rows and columns, in mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def places(self, where: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Centres of the voxels that are True, (n, 3), in mm, LPS."""
        return np.argwhere(where) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def box(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, ...]:
        """Voxels that hold every point between two corners in mm, LPS."""
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
        index = np.linalg.inv(self.affine) @ np.vstack([corners, np.ones(8)])
        first = np.clip(np.floor(index.min(axis=1)[:3]).astype(int), 0, None)
        last = np.clip(np.ceil(index.max(axis=1)[:3]).astype(int) + 1, 0, self.tissue.shape)
        return tuple(slice(a, max(a, b)) for a, b in zip(first, last, strict=True))

    def part(self, box: tuple[slice, ...]) -> Head:
        """Cut out some voxels; they keep their places."""
        start = np.array([edge.start for edge in box])
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ start
        return Head(
            name=self.name,
            values=self.values[box],
            affine=affine,
            landmarks=self.landmarks,
            scale=self.scale,
            tissue=self.tissue[box],
            brain=None if self.brain is None else self.brain[box],
            csf=None if self.csf is None else self.csf[box],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceAxes:
    """Origin midway between the globes; rows of `axes` point Right, Anterior and up."""

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    scale: float

    def coordinates(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (n, 3) mm LPS into (n, 3) mm of an adult's head along the axes."""
        return np.asarray((places - self.origin) @ self.axes.T / self.scale)


def face_axes(landmarks: dict[str, NDArray[np.float64]], scale: float) -> FaceAxes:
    """Level a head by its globes and ears.

    Parameters
    ----------
    landmarks : dict of str to (3,) ndarray
        In mm, LPS; both eyes and both ears are needed.
    scale : float
        Of the head.
    """
    left, right = landmarks["eye_L"], landmarks["eye_R"]
    origin = (left + right) / 2
    x = (right - left) / np.linalg.norm(right - left)
    back = (landmarks["ear_L"] + landmarks["ear_R"]) / 2 - origin
    back = back - x * (back @ x)
    distance = float(np.linalg.norm(back))
    forward, angle = -back / distance, np.arcsin(EAR_DROP_MM * scale / distance)
    up = np.cross(x, forward)
    y = forward * np.cos(angle) - up * np.sin(angle)
    return FaceAxes(origin=origin, axes=np.stack([x, y, np.cross(x, y)]), scale=scale)
