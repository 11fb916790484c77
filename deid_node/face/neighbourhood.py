"""Where a second model's word counts: near what the first one calls face, and inside the patient.

Air far from the face shows nobody: a second model is not asked about it where it need not be,
and what it calls face there is not believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from deid_node.face.brightness import is_tissue
from deid_node.face.grid import interpolate
from deid_node.face.mask import REACH
from deid_node.face.region import BORDER, distance_inside
from deid_node.face.shrunk import read
from deid_node.face.voxels import positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate

MARGIN_MM = 15.0
"""How far round the face of the first model the second one looks, if it does not look everywhere."""

AIR_MM = 6.0
"""How far from the patient it looks into the air."""


def neighbourhood(estimate: FaceEstimate, volume: Volume) -> NDArray[np.bool_]:
    """Find the voxels of a volume round all that a model calls face or ears, far air left out.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        All False where there is no face.
    """
    tissue = _tissue(estimate)
    # the air before a face, which counts as face, is not worth a window
    region = ((estimate.face > BORDER) | (estimate.ears > BORDER)) & tissue
    if not region.any():
        return np.zeros(volume.stored.shape, bool)
    near = np.minimum(_level(region, MARGIN_MM, estimate), _level(tissue, AIR_MM, estimate))
    return positive(near, estimate.grid, volume)


def patient(estimate: FaceEstimate, volume: Volume) -> NDArray[np.bool_]:
    """Find the voxels that are no air, as far as the first model's grid can tell.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        What is dark inside is patient too. All True where nothing tells what was seen.
    """
    if estimate.seen is None:
        return np.ones(volume.stored.shape, bool)
    return positive(_level(_tissue(estimate), 0.0, estimate), estimate.grid, volume)


def _level(
    region: NDArray[np.bool_], margin_mm: float, estimate: FaceEstimate
) -> NDArray[np.float32]:
    """Give how deep a place of `estimate.grid` lies in a region with a margin, in mm."""
    grid = estimate.grid
    there = interpolate(region.astype(np.float32), estimate.affine, grid.affine, grid.shape)
    reach_mm = margin_mm + REACH * grid.spacing_mm
    return distance_inside(there, grid.spacing_mm, reach_mm=reach_mm) + np.float32(margin_mm)


def _tissue(estimate: FaceEstimate) -> NDArray[np.bool_]:
    """Find the patient on the grid of an estimate, with all that is dark inside."""
    shape = estimate.face.shape
    if estimate.seen is None:
        return np.ones(shape, bool)
    tissue = is_tissue(read(estimate.seen, estimate.affine, shape))
    return np.asarray(ndimage.binary_fill_holes(tissue))
