"""See that the head ends as far above the brain as skull and scalp are thick.

The brain's top comes from the model, the head's top from the volume alone: a model that is wrong
by a centimetre about where everything lies, each part fitting the others, is found out here.
Figures in brackets are what 112 good masks of `face_model.break_masks` gave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.grid import interpolate
from deid_node.face.head_samples import STEP_MM, grid_affine, look_up, points
from deid_node.face.shrunk import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.head_samples import HeadSamples
    from deid_node.face.model import FaceEstimate
    from deid_node.face.shrunk import Shrunk

LOW = np.array([-24.0, -110.0, 30.0])
HIGH = np.array([24.0, -50.0, 165.0])
"""Corners of the grid in head coordinates: the middle of the crown, and the air above it."""

BORDER = 0.5
"""Probability from which a voxel is brain."""

FREE_MM = 9.0
"""Air that must be seen above the head; less, and the field of view may cut off the crown."""

LEAST_LINES = 40
"""Fewer vertical lines through brain, head and air tell nothing."""

THICK_MM = (7.0, 23.0)
"""Skull and scalp above the brain, in mm of an adult [9 to 21]."""


def crown_mm(
    seen: NDArray[np.bool_], brain: NDArray[np.bool_], tissue: NDArray[np.bool_]
) -> float | None:
    """Tell how far the head reaches above the brain.

    Parameters
    ----------
    seen, brain, tissue : (i, j, k) ndarray of bool
        What is in the field of view, what is brain, and what is patient; the last axis grows
        to the top.

    Returns
    -------
    float or None
        Median over vertical lines, in mm of an adult; None where too few lines pass through
        brain and end in air.
    """
    skin = tissue.copy()
    skin[:, :, 1:] &= tissue[:, :, :-1]  # a speck of noise is one voxel deep
    tops = [_top(each) for each in (seen, skin, brain)]
    end, head, inner = tops
    free = (inner >= 0) & (head >= 0) & ((end - head) * STEP_MM >= FREE_MM)
    if free.sum() < LEAST_LINES:
        return None
    return float(np.median((head - inner)[free])) * STEP_MM


def check_crown(
    estimate: FaceEstimate, head: HeadSamples, frame: HeadFrame, shrunk: Shrunk
) -> None:
    """Hold an estimate whose brain lies too high or too low in the head.

    Parameters
    ----------
    estimate
        With the brain.
    head
        The original, read in the same frame.
    frame
        Of the head.
    shrunk
        The volume as the model read it.

    Raises
    ------
    ImplausibleFaceMask
        If the crown is seen and its thickness is no human's.
    """
    thick = measure_crown(estimate, head, frame, shrunk)
    low, high = THICK_MM
    if thick is not None and not low <= thick <= high:
        raise ImplausibleFaceMask(why="the head's top lies elsewhere than the model's brain says")


def measure_crown(
    estimate: FaceEstimate, head: HeadSamples, frame: HeadFrame, shrunk: Shrunk
) -> float | None:
    """Read brain and volume on the crown's grid and measure as `crown_mm` does."""
    affine = grid_affine(frame, LOW)
    shape = points(LOW, HIGH).shape[1:]
    brain = interpolate(estimate.brain, estimate.affine, affine, shape) > BORDER
    values = read(shrunk, affine, shape)
    inside = np.ones(shrunk.values.shape, bool)
    _, seen = look_up(inside, shrunk.affine, affine, shape)
    return crown_mm(seen, brain, values > head.level)


def _top(what: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Index of the highest voxel of each vertical line; -1 where there is none."""
    last = what.shape[2] - 1 - np.argmax(what[:, :, ::-1], axis=2)
    return np.where(what.any(axis=2), last, -1)
