"""What a scanner does to a head: slices, fields of view, bias, ghosts, noise, lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The grid a sample is acquired on.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels along each axis; fewer than the network's along an axis of thick slices.
    blur_mm : tuple of 3 float
        Standard deviation of the look-ups' offsets; of a thick slice, half its thickness, evenly.
    axis : int or None
        The axis of thick slices.
    """

    shape: tuple[int, ...]
    blur_mm: tuple[float, ...]
    axis: int | None

    def offsets(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw (count, 3) offsets in mm, in opposite pairs, so that their mean is zero."""
        half = rng.normal(size=(count // 2, 3)) * self.blur_mm
        if self.axis is not None:
            steps = (np.arange(count // 2) + 0.5) / (count // 2)
            half[:, self.axis] = steps * self.blur_mm[self.axis]
        return np.concatenate([half, -half])


def draw_slices(rng: np.random.Generator, shape: tuple[int, int, int], spacing_mm: float) -> Slices:
    """Draw thin voxels (two in five) or slices of up to 8 mm along one axis."""
    blur = list(rng.uniform(0.35, 0.55, 3) * spacing_mm)
    if rng.random() < 0.4:
        return Slices(shape=shape, blur_mm=tuple(blur), axis=None)
    axis = int(rng.integers(3))
    distance = rng.uniform(spacing_mm, 8.0)
    grid = list(shape)
    grid[axis] = max(8, round((shape[axis] - 1) * spacing_mm / distance) + 1)
    blur[axis] = distance * rng.uniform(0.35, 0.5)
    return Slices(shape=tuple(grid), blur_mm=tuple(blur), axis=axis)


def resize(field: torch.Tensor, shape: tuple[int, ...], *, nearest: bool = False) -> torch.Tensor:
    """Resize (x, y, z) or (channels, x, y, z), corner to corner."""
    whole = field.reshape(1, -1, *field.shape[-3:])
    if nearest:
        out = functional.interpolate(whole, size=shape, mode="nearest-exact")
    else:
        out = functional.interpolate(whole, size=shape, mode="trilinear", align_corners=True)
    return out.reshape(*field.shape[:-3], *shape)


def smooth_noise(
    rng: np.random.Generator,
    source: torch.Generator,
    shape: tuple[int, ...],
    knots: tuple[int, int],
) -> torch.Tensor:
    """Draw normal deviates on a coarse grid of a drawn number of knots, and resize them."""
    coarse = torch.randn([int(rng.integers(*knots))] * 3, generator=source)
    return resize(coarse, shape)


def spoil(
    rng: np.random.Generator, source: torch.Generator, image: torch.Tensor, *, air: torch.Tensor
) -> torch.Tensor:
    """Add lesions, bias, ghost, Rician noise, zeroed air and gamma.

    Parameters
    ----------
    rng, source : generators
        Source of every draw.
    image : (x, y, z) Tensor
        Intensities of about 0 to 255.
    air : (x, y, z) Tensor of bool
        Voxels outside the head, as the label map knows them.

    Returns
    -------
    (x, y, z) Tensor
        At most 1.
    """
    if rng.random() < 0.25:
        image = _beside(rng, source, image, air)
    if rng.random() < 0.2:  # lesions, or metal's void, anywhere in the head
        blobs = smooth_noise(rng, source, image.shape, knots=(6, 18)) > rng.uniform(1.3, 2.0)
        image = torch.where(blobs & ~air, float(rng.uniform(0, 300)), image)
    bias = float(rng.uniform(0, 0.7)) * smooth_noise(rng, source, image.shape, knots=(2, 6))
    if rng.random() < 0.3:  # bright near the coil, dark in the middle
        bias = bias + float(rng.uniform(-0.5, 2.5)) * _from_middle(rng, image.shape)
    image = image.clamp(min=0) * torch.exp(bias)
    if rng.random() < 0.15:
        axis = int(rng.integers(3))
        way = int(rng.integers(image.shape[axis] // 6, image.shape[axis] // 2 + 1))
        image = image + float(rng.uniform(0.03, 0.2)) * image.roll(way, axis)
    if rng.random() < 0.8:
        level = float(rng.uniform(0, 14)) * (2.0 if rng.random() < 0.1 else 1.0)
        real, imaginary = (torch.randn(image.shape, generator=source) * level for _ in range(2))
        image = torch.sqrt((image + real) ** 2 + imaginary**2)
    if rng.random() < 0.25:  # some scanners and tools write zero outside the head
        image = image * ~air
    return (image / image.max().clamp(min=1e-6)) ** float(np.exp(rng.uniform(-0.5, 0.5)))


def _beside(
    rng: np.random.Generator, source: torch.Generator, image: torch.Tensor, air: torch.Tensor
) -> torch.Tensor:
    """Put pads, headphones or a blanket into the air: soft shapes in one part of the sample."""
    shape = smooth_noise(rng, source, image.shape, knots=(4, 12)) > rng.uniform(0.5, 1.3)
    box = torch.zeros(image.shape, dtype=torch.bool)
    sides = []
    for n in image.shape:
        first, length = rng.uniform(0, 0.8), rng.uniform(0.15, 0.7)
        sides.append(slice(int(first * n), int((first + length) * n)))
    box[tuple(sides)] = True
    return torch.where(shape & box & air, float(rng.uniform(5, 200)), image)


def drop_out(rng: np.random.Generator, image: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Blot out what lies round braces or a filling, with the bright rim that metal leaves.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    image : (x, y, z) Tensor
        Intensities of about 0 to 255.
    centre : (3,) Tensor
        Where the metal is, in voxels.
    """
    radius, rim = float(rng.uniform(3, 14)), float(rng.uniform(0.5, 2.5))
    stretch = rng.uniform(0.7, 1.4, 3)
    away = torch.zeros((1, 1, 1))
    for axis, n in enumerate(image.shape):
        line = ((torch.arange(n) - centre[axis]) / float(stretch[axis])) ** 2
        away = away + line.reshape([-1 if a == axis else 1 for a in range(3)])
    away = away.sqrt()
    image = torch.where(away < radius, image * float(rng.uniform(0, 0.2)), image)
    bright = (away >= radius) & (away < radius + rim) & (rng.random() < 0.5)
    return torch.where(bright, image * float(rng.uniform(1, 2.5)), image)


def _from_middle(rng: np.random.Generator, shape: torch.Size) -> torch.Tensor:
    """Squared distance from a point near the middle, 1 from half the mean edge on."""
    middle = rng.uniform(0.4, 0.6, 3)
    total = torch.zeros((1, 1, 1))
    for axis, n in enumerate(shape):
        line = ((torch.arange(n) / n - float(middle[axis])) * 2 * n * 3 / sum(shape)) ** 2
        total = total + line.reshape([-1 if a == axis else 1 for a in range(3)])
    return total.clamp(max=1)


def draw_field_of_view(
    rng: np.random.Generator, target: torch.Tensor, pose: np.ndarray
) -> torch.Tensor:
    """Draw which voxels were measured: cuts through neck, face, ears or crown, also oblique.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    target : (x, y, z) Tensor
        Classes; the cuts are placed relative to their extent.
    pose : (3, 3) ndarray
        Rows are the normals of the field of view's planes, in sample axes.

    Returns
    -------
    (x, y, z) Tensor of bool
    """
    keep = torch.ones(target.shape, dtype=torch.bool)
    found = target > 0
    for axis, (at_low, at_high) in enumerate(((0.15, 0.15), (0.12, 0.2), (0.4, 0.1))):
        others = tuple(a for a in range(3) if a != axis)
        where = torch.nonzero(found.any(others[1]).any(others[0])).reshape(-1)
        if len(where) == 0:
            continue
        first, last = int(where[0]), int(where[-1])
        if rng.random() < at_low:
            depth = rng.uniform(-0.1, 0.5 if axis == 2 else 0.15)
            keep &= _beyond(rng, target.shape, axis, first + depth * (last - first), pose)
        if rng.random() < at_high:
            depth = rng.uniform(-0.05, 0.22)
            keep &= ~_beyond(rng, target.shape, axis, last - depth * (last - first), pose)
    return keep


def _beyond(
    rng: np.random.Generator, shape: torch.Size, axis: int, position: float, pose: np.ndarray
) -> torch.Tensor:
    """Half space above `position` along an axis; a third of the cuts is more oblique."""
    tilt = pose[axis] / pose[axis][axis] + rng.normal(0, 0.15, 3) * (rng.random() < 0.35)
    tilt[axis] = 1.0
    height = torch.full((1, 1, 1), -float(position))
    for a in range(3):
        middle = 0.0 if a == axis else (shape[a] - 1) / 2
        steps = (torch.arange(shape[a], dtype=torch.float32) - middle) * float(tilt[a])
        height = height + steps.reshape([-1 if b == a else 1 for b in range(3)])
    return height >= 0


def cut(
    rng: np.random.Generator, image: torch.Tensor, target: torch.Tensor, keep: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply a field of view; now and then what was cut off in front or below wraps around."""
    if rng.random() < 0.08 and not bool(keep.all()):
        axis = int(rng.integers(1, 3))
        others = tuple(a for a in range(3) if a != axis)
        length = int(keep.any(others[1]).any(others[0]).sum())
        lost = image * ~keep
        image = image + lost.roll(length, axis) + lost.roll(-length, axis)
    return image * keep, target * keep
