"""Signed distances of soft shapes: negative inside, zero on the surface, in mm.

Coordinates are those of an adult head seen by its bearer: `x` to the left, `f` forward,
`z` up, in mm, from a point near the middle of the brain. Arrays broadcast: a plane of an
axis-parallel grid costs as much as a plane, not as much as the volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Distance = NDArray[np.float32]
    Triple = tuple[float, float, float]

FAR_MM = 500.0
"""Distance that stands for "nowhere near"."""


class Points(NamedTuple):
    """Coordinates of sample points; the three arrays broadcast to one shape."""

    x: NDArray[np.float32]
    f: NDArray[np.float32]
    z: NDArray[np.float32]

    def mirrored(self) -> Points:
        """Fold the right half onto the left, so that one shape draws both sides."""
        return Points(np.abs(self.x), self.f, self.z)

    def pitched(self, centre: Triple, degrees: float) -> Points:
        """Turn about the left-right axis through `centre`; positive lifts the front."""
        cosine, sine = (
            np.float32(np.cos(np.radians(degrees))),
            np.float32(np.sin(np.radians(degrees))),
        )
        f, z = self.f - np.float32(centre[1]), self.z - np.float32(centre[2])
        return Points(
            self.x,
            np.float32(centre[1]) + cosine * f + sine * z,
            np.float32(centre[2]) - sine * f + cosine * z,
        )


def ellipsoid(points: Points, centre: Triple, radii: Triple) -> Distance:
    """Distance to an ellipsoid: exact on the surface, close to exact near it."""
    square = [
        ((axis - np.float32(c)) / np.float32(r)) ** 2
        for axis, c, r in zip(points, centre, radii, strict=True)
    ]
    k0 = np.sqrt(square[0] + square[1] + square[2])
    steep = sum(s / np.float32(r * r) for s, r in zip(square, radii, strict=True))
    return np.asarray(k0 * (k0 - 1) / np.sqrt(steep + np.float32(1e-9)), np.float32)


def capsule(points: Points, start: Triple, end: Triple, r0: float, r1: float) -> Distance:
    """Distance to a rod with round ends whose radius runs from `r0` to `r1`."""
    axis = np.subtract(end, start)
    along = [p - np.float32(s) for p, s in zip(points, start, strict=True)]
    length = float(axis @ axis)
    t = sum(a * np.float32(v / length) for a, v in zip(along, axis, strict=True))
    t = np.clip(t, 0, 1)
    gap = sum((a - t * np.float32(v)) ** 2 for a, v in zip(along, axis, strict=True))
    return np.asarray(np.sqrt(gap) - (np.float32(r0) + t * np.float32(r1 - r0)), np.float32)


def tube(points: Points, path: tuple[Triple, ...], radii: tuple[float, ...]) -> Distance:
    """Distance to rods joined end to end."""
    rods = [
        capsule(points, path[n], path[n + 1], radii[n], radii[n + 1]) for n in range(len(path) - 1)
    ]
    distance = rods[0]
    for rod in rods[1:]:
        distance = union(distance, rod, 2.0)
    return distance


def union(a: Distance, b: Distance, k: float) -> Distance:
    """Join two shapes with a fillet of about `k` mm."""
    h = np.maximum(np.float32(k) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - h * h * np.float32(0.25 / k), np.float32)


def common(a: Distance, b: Distance, k: float) -> Distance:
    """Keep what lies in both shapes, its edge rounded over about `k` mm."""
    return -union(-a, -b, k)


def cut(a: Distance, b: Distance, k: float) -> Distance:
    """Take `b` out of `a`, the edge rounded over about `k` mm."""
    return -union(-a, b, k)
