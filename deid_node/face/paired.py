"""Two models that look at one head: the default one first, then one that somebody imported.

The first gives brain, ears, features and frame, by which the result is judged; the second names
voxels of the volume itself. How both are joined is told in `joint`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deid_node.face.array_order import ArrayOrder
from deid_node.face.model import Found, ModelCard
from deid_node.face.neighbourhood import neighbourhood, patient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate, FaceModel
    from deid_node.face.nnunet.imported import Meaning


class Segmenter(Protocol):
    """Something that labels the voxels of an image."""

    def segment(
        self,
        image: NDArray[np.float32],
        spacing_mm: tuple[float, ...],
        near: NDArray[np.bool_] | None,
    ) -> NDArray[np.uint8]:
        """Label an image (z, y, x); what is `near` the face may be all that is looked at."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedModel:
    """A `FaceModel` of two models.

    Parameters
    ----------
    first
        The default model.
    second
        The imported one.
    meaning
        What the imported one is given, and what its labels mean.
    accuracy
        Name of its effort.
    """

    first: FaceModel
    second: Segmenter
    meaning: Meaning
    accuracy: str

    @property
    def card(self) -> ModelCard:
        """The imported model's name; the version tells effort and first model too."""
        own, first = self.meaning.card, self.first.card
        told = "\0".join((own.sha256, self.accuracy, repr(self.meaning), first.sha256))
        return ModelCard(
            name=own.name,
            version=f"{own.version} {self.accuracy}, with {first.name} {first.version}",
            sha256=hashlib.sha256(told.encode()).hexdigest(),
        )

    def estimate(self, volume: Volume) -> FaceEstimate:
        """Estimate by the first model, and add what the second one names."""
        estimate = self.first.estimate(volume)
        near = neighbourhood(estimate, volume)
        if not near.any():
            labels = np.zeros(volume.stored.shape, np.uint8)
        else:
            order = ArrayOrder(self.meaning.orientation)
            image, spacing = order.image(volume)
            turned = np.ascontiguousarray(order.turned(near, volume))
            found = self.second.segment(image, spacing, turned)
            labels = order.restored(found, volume)
        return replace(estimate, found=self._found(labels, near, estimate, volume))

    def _found(
        self,
        labels: NDArray[np.uint8],
        near: NDArray[np.bool_],
        estimate: FaceEstimate,
        volume: Volume,
    ) -> Found:
        """Give the labels their meaning; away from the face air has none."""
        meaning = self.meaning
        far = np.isin(labels, (*meaning.face, *meaning.ears)) & ~near
        if far.any():
            far &= patient(estimate, volume)
            labels = np.where(near | far, labels, 0)
        voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
        return Found(
            name=meaning.card.name,
            face=np.isin(labels, meaning.face),
            ears=np.isin(labels, meaning.ears) if meaning.ears else None,
            far_ml=voxel_ml * float(far.sum()),
        )
