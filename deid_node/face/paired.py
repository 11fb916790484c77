"""Two models that look at one head: the default one first, then one that somebody imported.

The first gives brain, ears, features and frame, by which the result is judged; the second names
voxels of the volume itself. How both are joined is told in `joint`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import ndimage

from deid_node.face.array_order import ArrayOrder
from deid_node.face.brightness import is_tissue
from deid_node.face.grid import RAS_SIGN, Grid, extent, interpolate
from deid_node.face.mask import REACH
from deid_node.face.model import Found, ModelCard
from deid_node.face.region import BORDER, distance_inside
from deid_node.face.shrunk import read
from deid_node.face.voxels import positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate, FaceModel
    from deid_node.face.nnunet.imported import Meaning

MARGIN_MM = 15.0
"""How far round the face of the first model the second one looks, if it does not look everywhere."""

AIR_MM = 6.0
"""How far from the patient it looks into the air."""


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
        return replace(estimate, found=self._found(labels))

    def _found(self, labels: NDArray[np.uint8]) -> Found:
        meaning = self.meaning
        return Found(
            name=meaning.card.name,
            face=np.isin(labels, meaning.face),
            ears=np.isin(labels, meaning.ears) if meaning.ears else None,
        )


def neighbourhood(estimate: FaceEstimate, volume: Volume) -> NDArray[np.bool_]:
    """Find the voxels of a volume round all that a model calls face or ears, far air left out.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        All False where there is no face.
    """
    region = (estimate.face > BORDER) | (estimate.ears > BORDER)
    tissue = _tissue(estimate, region.shape)
    # the air before a face, which counts as face, is not worth a window
    region &= tissue
    if not region.any():
        return np.zeros(volume.stored.shape, bool)
    spacing = float(np.linalg.norm(estimate.affine[:3, :3], axis=0).min())
    low, _ = extent(estimate.affine, region.shape)
    i, j, k = region.shape
    grid = Grid(shape=(i, j, k), origin=low * RAS_SIGN, spacing_mm=spacing)
    inside = []
    for what, margin_mm in ((region, MARGIN_MM), (tissue, AIR_MM)):
        there = interpolate(what.astype(np.float32), estimate.affine, grid.affine, grid.shape)
        depth = distance_inside(there, spacing, reach_mm=margin_mm + REACH * spacing)
        inside.append(depth + np.float32(margin_mm))
    return positive(np.minimum(*inside), grid, volume)


def _tissue(estimate: FaceEstimate, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Find the patient on the grid of an estimate, with all that is dark inside."""
    if estimate.seen is None:
        return np.ones(shape, bool)
    tissue = is_tissue(read(estimate.seen, estimate.affine, shape))
    return np.asarray(ndimage.binary_fill_holes(tissue))
