"""Look at a head until it is seen level: first as it lies, then turned and sized like an adult.

A network that always sees a head the same way up and the same size has less to learn and less
to get wrong: a child's head tipped forward is, on the second look, a level head. Nothing here
knows an inference engine: the network is any function of one window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deid_node.face.grid import RAS_SIGN, Grid, interpolate
from deid_node.face.head_frame import apart, find_parts, fit
from deid_node.face.shrunk import read, shrink
from deid_node.face.windows import see, slide

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.shrunk import Shrunk

MOST_LOOKS = 4
"""Level looks at one head; most need one or two."""

SETTLED = (4.0, 4.0, 0.05)
"""Degrees, mm and share of the size that a frame may move and still count as the same."""

RIM = 6
"""Voxels over which the level look fades into the first one at the edge of its window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a network was trained to see.

    Parameters
    ----------
    window
        Voxels along each edge of its input.
    spacing_mm
        Edge of its voxels when it looks at a head as it lies, in mm.
    level_mm
        Edge of its voxels when it looks at a level head, in mm of an adult.
    level_centre
        Middle of the level window, in head coordinates.
    classes
        Names of its classes.
    """

    window: int
    spacing_mm: float
    level_mm: float
    level_centre: tuple[float, float, float]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a network says of a volume.

    Parameters
    ----------
    face, ears, brain : (i, j, k) ndarray of float32
        Probabilities on `grid`; eyes, nose and mouth belong to the face.
    grid
        Parallel to the body's axes.
    parts
        Centres of what was found of the head, RAS mm.
    frame
        Of the head; None if too little of it was found.
    settled
        Whether two looks in a row gave the same frame.
    shrunk
        What was read.
    """

    face: NDArray[np.float32]
    ears: NDArray[np.float32]
    brain: NDArray[np.float32]
    grid: Grid
    parts: dict[str, NDArray[np.float64]]
    frame: HeadFrame | None
    settled: bool
    shrunk: Shrunk


def look(
    plain: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    careful: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
    volume: Volume,
    view: View,
) -> Seen:
    """Find the head, turn it level, look again; repeat while the frame still moves.

    Parameters
    ----------
    plain
        From (n, n, n) values to (classes, n, n, n) probabilities.
    careful
        From the same values and what `plain` said of them to better probabilities.
    volume
        Any orientation.
    view
        What the network was trained to see.
    """
    shrunk = shrink(volume, min(view.level_mm, view.spacing_mm))
    values, grid = see(volume, shrunk, view.spacing_mm, view.window)
    first = slide(plain, values, view.window)
    parts = _parts(first, _ras(grid.affine), view)
    frame = fit(parts)
    if frame is None:
        face, ears, brain = _regions(first, view)
        return Seen(
            face=face,
            ears=ears,
            brain=brain,
            grid=grid,
            parts=parts,
            frame=None,
            settled=False,
            shrunk=shrunk,
        )
    settled = False
    affine, level = _turned(shrunk, frame, view)
    answer = plain(level)
    for _ in range(MOST_LOOKS - 1):
        better = fit(_parts(answer, affine, view))
        settled = better is not None and _same(frame, better)
        if better is None or settled:
            break
        frame = better
        affine, level = _turned(shrunk, frame, view)
        answer = plain(level)
    probability = careful(level, answer)
    (face, ears, brain), grid = _join(
        _regions(first, view), grid, _regions(probability, view), affine, frame, view
    )
    parts = _parts(probability, affine, view)
    return Seen(
        face=face,
        ears=ears,
        brain=brain,
        grid=grid,
        parts=parts,
        frame=frame,
        settled=settled,
        shrunk=shrunk,
    )


def _regions(probability: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Face with its parts, ears, brain."""
    by_name = dict(zip(view.classes, probability, strict=True))
    face = by_name["face"] + by_name["eyes"] + by_name["nose"] + by_name["mouth"]
    return np.stack([np.minimum(face, 1), by_name["ears"], by_name["brain"]])


def _parts(
    probability: NDArray[np.float32], affine: NDArray[np.float64], view: View
) -> dict[str, NDArray[np.float64]]:
    return find_parts(dict(zip(view.classes, probability, strict=True)), affine)


def _ras(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn an affine to LPS into one to RAS, or back."""
    return np.diag([*RAS_SIGN, 1.0]) @ affine


def _same(one: HeadFrame, other: HeadFrame) -> bool:
    return all(abs(d) <= most for d, most in zip(apart(one, other), SETTLED, strict=True))


def _turned(
    shrunk: Shrunk, frame: HeadFrame, view: View
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Read the level window; first its index to RAS, in mm."""
    affine = _level(frame, view)
    return affine, read(shrunk, _ras(affine), (view.window,) * 3)


def _level(frame: HeadFrame, view: View) -> NDArray[np.float64]:
    """Index of the level window to RAS, in mm."""
    step = view.level_mm
    affine = np.eye(4)
    affine[:3, :3] = frame.axes.T * frame.scale * step
    corner = np.array(view.level_centre) - (view.window - 1) / 2 * step
    affine[:3, 3] = frame.to_patient(corner)
    return affine


def _join(
    first: NDArray[np.float32],
    grid: Grid,
    level: NDArray[np.float32],
    affine: NDArray[np.float64],
    frame: HeadFrame,
    view: View,
) -> tuple[NDArray[np.float32], Grid]:
    """Carry the level look to a grid parallel to the body; where it does not reach, the first."""
    spacing = view.level_mm * frame.scale
    span = (np.array(grid.shape) - 1) * grid.spacing_mm
    i, j, k = (int(n) for n in np.ceil(span / spacing) + 1)
    out = Grid(shape=(i, j, k), origin=grid.origin, spacing_mm=spacing)
    edge = np.minimum(np.arange(view.window), np.arange(view.window)[::-1])
    ramp = np.clip(edge / RIM, 0, 1).astype(np.float32)
    within = ramp[:, None, None] * ramp[:, None] * ramp
    weight = interpolate(within, _ras(affine), out.affine, out.shape)
    joined = np.empty((len(first), *out.shape), np.float32)
    for number, (before, after) in enumerate(zip(first, level, strict=True)):
        far = interpolate(before, grid.affine, out.affine, out.shape)
        near = interpolate(after * within, _ras(affine), out.affine, out.shape)
        joined[number] = far * (1 - weight) + near
    return joined, out
