"""A face model that sees an ellipsoid head in the middle of any volume.

>>> from tests.fakes.face import FakeFaceModel
>>> FakeFaceModel().card.name
'fake'
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from deid_node.face.grid import RAS_SIGN, extent
from deid_node.face.head_frame import PLACES, HeadFrame
from deid_node.face.model import FaceEstimate, ModelCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

HEAD_MM = np.array([76.0, 98.0, 110.0])
"""Half axes of the fake head to the right, the front and the top, in mm."""

GLOBES = np.array([0.0, 66.0, -24.0])
"""Middle of the globes, in mm to the right, the front and the top of the fake head's middle."""

FIELD_MM = 212.0
"""Field of view in which the head has `HEAD_MM`; a smaller one has a smaller head."""

CARD = ModelCard(name="fake", version="1", sha256="0" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFaceModel:
    """Calls the front lower part of the middle of a volume its face.

    Volumes from 120 to 400 mm across give an estimate that `judge` finds plausible, whatever
    their voxels hold.

    Parameters
    ----------
    spacing_mm
        Edge of the voxels of the estimate, in mm.
    scale
        Size of the head relative to an adult's; None takes it from the field of view.
    card
        What the model says of itself.
    """

    spacing_mm: float = 4.0
    scale: float | None = None
    card: ModelCard = field(default=CARD)

    def estimate(self, volume: Volume) -> FaceEstimate:
        """Place brain, face and ears by the volume's geometry alone."""
        low, high = extent(volume.affine, volume.stored.shape)
        scale = self.scale or float(np.clip((high - low).min() / FIELD_MM, 0.5, 1.2))
        shape = np.ceil((high - low) / self.spacing_mm).astype(int) + 9
        corner = (low + high) / 2 - (shape - 1) / 2 * self.spacing_mm
        affine = np.diag([*(RAS_SIGN * self.spacing_mm), 1.0])
        affine[:3, 3] = corner * RAS_SIGN
        axes = [(np.arange(n) - (n - 1) / 2) * self.spacing_mm / scale for n in shape]
        x, y, z = np.meshgrid(*axes, indexing="ij")
        middle = (low + high) / 2
        frame = HeadFrame(origin=middle + GLOBES * scale, axes=np.eye(3), scale=scale)
        return _head(x, y, z, affine, frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsureModel:
    """Sees what `FakeFaceModel` sees, and is sure of nothing of it; or sees no face at all."""

    highest: float = 0.8
    card: ModelCard = CARD

    def estimate(self, volume: Volume) -> FaceEstimate:
        """Cap every probability."""
        estimate = FakeFaceModel().estimate(volume)
        return replace(
            estimate,
            face=np.minimum(estimate.face, np.float32(self.highest)),
            ears=np.minimum(estimate.ears, np.float32(self.highest)),
        )


def _head(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    affine: NDArray[np.float64],
    frame: HeadFrame,
) -> FaceEstimate:
    """Draw the classes; x, y, z are adult mm from the head's middle."""
    brain = _ball(x / 66, (y + 14) / 76, (z - 30) / 52)
    front = _soft((y - 42) / 8) * _soft((130 - y) / 8)
    below = _soft((22 - z) / 8) * _soft((z + 138) / 8) * _soft((70 - np.abs(x)) / 8)
    ears = _ball((np.abs(x) - 82) / 22, (y + 22) / 26, (z + 44) / 34)
    face = front * below
    return FaceEstimate(
        face=(face * (1 - brain)).astype(np.float32),
        ears=(ears * (1 - brain) * (1 - face)).astype(np.float32),
        brain=brain.astype(np.float32),
        affine=affine,
        parts={name: frame.to_patient(np.array(place)) for name, place in PLACES.items()},
        frame=frame,
        settled=True,
    )


def _ball(
    x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    return _soft((1 - np.sqrt(x**2 + y**2 + z**2)) * 10)


def _soft(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a signed distance into a probability."""
    return np.asarray(1 / (1 + np.exp(-4 * np.clip(steps, -10, 10))))
