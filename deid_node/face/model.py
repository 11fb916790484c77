"""What a face model is: a card that names it, and an estimate it makes of a volume.

Nothing here knows an inference engine; the adapters in this package do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deid_node.face.grid import RAS_SIGN, Grid, extent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.shrunk import Shrunk


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a result must say about the model that made it."""

    name: str
    version: str
    sha256: str
    """Digest over all files of the model folder, in hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a second model finds, voxel by voxel of the volume.

    Parameters
    ----------
    name
        Of the model.
    face : (slices, rows, columns) ndarray of bool
        What it calls face.
    ears : (slices, rows, columns) ndarray of bool or None
        What it calls ears, which may be the same; None where it does not look for ears.
    far_ml
        How much of both lies away from what the first model calls face or ears, in ml.
    """

    name: str
    face: NDArray[np.bool_]
    ears: NDArray[np.bool_] | None
    far_ml: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceEstimate:
    """Class probabilities on the model's own grid.

    Parameters
    ----------
    face, ears, brain : (i, j, k) ndarray of float32
        Probability of each class, 0 to 1. `face` and `ears` reach into the air in front of
        and beside the head.
    affine : (4, 4) ndarray of float64
        Index (i, j, k, 1) to patient LPS, in mm. The axes of the grid run parallel to
        R→L or L→R, P→A and I→S; which way round is the affine's to say.
    parts : mapping of str to (3,) ndarray of float64
        Centres of what was found of the head, in RAS mm; keys of `head_frame.PLACES`.
    frame
        Of the head; None if too little of it was found.
    settled
        Whether looking again gave the same frame.
    seen : Shrunk or None
        The volume as the model read it, if it did so by `shrink`; whoever has the estimate
        need not smooth the volume again.
    found : Found or None
        What a second model says; None where there is none.
    """

    face: NDArray[np.float32]
    ears: NDArray[np.float32]
    brain: NDArray[np.float32]
    affine: NDArray[np.float64]
    parts: Mapping[str, NDArray[np.float64]]
    frame: HeadFrame | None
    settled: bool
    seen: Shrunk | None = None
    found: Found | None = None

    @property
    def grid(self) -> Grid:
        """The same box with indices that grow to the right, the front and the top."""
        spacing_mm = float(np.linalg.norm(self.affine[:3, :3], axis=0).min())
        low, _ = extent(self.affine, self.face.shape)
        i, j, k = self.face.shape
        return Grid(shape=(i, j, k), origin=low * RAS_SIGN, spacing_mm=spacing_mm)


class FaceModel(Protocol):
    """Something that finds the face in a head volume."""

    @property
    def card(self) -> ModelCard:
        """Name, version and digest of the weights."""
        ...

    def estimate(self, volume: Volume) -> FaceEstimate:
        """Estimate where face, ears and brain of `volume` are."""
        ...
