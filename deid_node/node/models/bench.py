"""Measure what an imported model costs, on a head in a few strokes and in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.node.models.inference import GIB, InferenceProcess, ModelRun

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VOXELS: Final = 256
HALF_AXES: Final = (0.42, 0.38, 0.42)
"""Of the head, as shares of the field of view: from below to the top, front to back, side to side."""
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one head cost.

    Parameters
    ----------
    voxels
        Of the head, along its axes (z, y, x).
    cpu_seconds
        Of the process, loading included.
    seconds
        Wall time, loading included.
    peak_mib
        Most memory that the process had in use.
    """

    voxels: tuple[int, ...]
    cpu_seconds: float
    seconds: float
    peak_mib: int


def measure(model: Path, how: ModelRun, *, seconds: float, edge: int = VOXELS) -> Cost:
    """Run an imported model on a drawn head; what it answers is not looked at.

    Parameters
    ----------
    model
        Its folder.
    how
        How it is run.
    seconds
        Time that it may take.
    edge
        Voxels from below to the top; as many from front to back, fewer from side to side.

    Raises
    ------
    WeightsUnusable
        If the model cannot be loaded.
    ModelStopped
        If it takes longer, or fails.
    """
    image, near = _head(edge)
    began = time.monotonic()
    process = InferenceProcess(model, how, seconds=seconds, memory_bytes=64 * GIB)
    try:
        process.segment(image, (1.0, 1.0, 1.0), near)
    finally:
        process.close()
    return Cost(
        voxels=image.shape,
        cpu_seconds=round(process.used["cpu_seconds"], 2),
        seconds=round(time.monotonic() - began, 2),
        peak_mib=round(process.used["peak_bytes"] / MIB),
    )


def _head(edge: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw an ellipsoid in noisy air, and mark the lower front of it as near the face."""
    shape = (edge, edge, max(1, edge * 11 // 16))
    z, y, x = np.meshgrid(*[np.linspace(-0.5, 0.5, n) for n in shape], indexing="ij", sparse=True)
    up, back, side = HALF_AXES
    inside = (z / up) ** 2 + (y / back) ** 2 + (x / side) ** 2 < 1
    noise = np.random.default_rng(0).rayleigh(6.0, shape)
    near = inside & (y > 0) & (z < 0.1)  # noqa: PLR2004 - the array is RAS: y grows to the front
    return (400 * inside + noise).astype(np.float32), near
