"""From an image to a network's input and back, in nnU-Net v1's order: crop, resample, normalise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.nnunet.lines import resample_quickly
from deid_node.face.nnunet.resample import resample, resample_mask, thick_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.nnunet.plans import Planned, Postprocessing

_EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A network's input, and where it comes from.

    Parameters
    ----------
    values : (i, j, k) ndarray of float32
        Standardised, along the network's axes.
    shape, spacing_mm
        Of the image.
    box
        Where in the image the values lie: all voxels that are not zero.
    """

    values: NDArray[np.float32]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    box: tuple[slice, ...]


def prepare(
    image: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    planned: Planned,
    *,
    quick: bool = False,
) -> Prepared:
    """Make a network's input of an image.

    Parameters
    ----------
    image : (z, y, x) ndarray of float32
        In the array order that the model was trained on.
    spacing_mm
        Distance of voxels along these axes.
    planned
        What the model was trained on.
    quick
        Whether values may be resampled nearly, and not exactly, as v1 does.

    Raises
    ------
    ImplausibleFaceMask
        If all of the image is zero.
    """
    box = nonzero_box(image)
    order = planned.transpose_forward
    values = image[box].transpose(order)
    spacing = tuple(spacing_mm[axis] for axis in order)
    values = np.where(np.isnan(values), np.float32(0), values)
    ratio = np.array(spacing) / np.array(planned.spacing_mm)
    shape = tuple(int(n) for n in np.round(ratio * np.array(values.shape)))
    axis = thick_axis(spacing, planned.spacing_mm)
    if quick:
        values = resample_quickly(values, shape, axis=axis)
    else:
        values = resample(values, shape, axis=axis, order=3)
    within = None
    if planned.masked_norm:
        mask = np.where(inside(image[box]), 0, -1).transpose(order)
        within = resample_mask(mask, shape, axis=axis) >= 0
    return Prepared(
        values=_standardise(values, within),
        shape=image.shape,
        spacing_mm=spacing_mm,
        box=box,
    )


def nonzero_box(image: NDArray[np.float32]) -> tuple[slice, ...]:
    """Find the box that holds all voxels that are not zero.

    Raises
    ------
    ImplausibleFaceMask
        If all of the image is zero.
    """
    found, box = image != 0, []
    for axis in range(3):
        where = np.flatnonzero(found.any(axis=tuple(a for a in range(3) if a != axis)))
        if not where.size:
            raise ImplausibleFaceMask(why="every voxel of the image is zero")
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    return tuple(box)


def inside(cropped: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the voxels in `nonzero_box` that are not zero, or lie between such."""
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(cropped != 0)
    return filled


def _standardise(
    values: NDArray[np.float32], within: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Give values mean 0 and deviation 1, over a mask if there is one; zero outside it."""
    if within is None:
        whole: NDArray[np.float32] = (values - values.mean()) / (values.std() + _EPSILON)
        return whole.astype(np.float32)
    out = np.zeros_like(values)
    chosen = values[within]
    out[within] = (chosen - chosen.mean()) / (chosen.std() + _EPSILON)
    return out


def labels_of(
    probabilities: NDArray[np.float32], prepared: Prepared, planned: Planned
) -> NDArray[np.uint8]:
    """Lay a network's answer on the image.

    Parameters
    ----------
    probabilities : (c, i, j, k) ndarray of float32
        Along the network's axes.
    prepared
        What it was given.
    planned
        What the model was trained on.

    Returns
    -------
    (z, y, x) ndarray of uint8
        The most probable label of each voxel of the image; 0 outside the box.
    """
    turned = probabilities.transpose((0, *(a + 1 for a in planned.transpose_backward)))
    shape = tuple(s.stop - s.start for s in prepared.box)
    # v1 looks for the thick axis in the network's spacing without turning it back
    axis = thick_axis(prepared.spacing_mm, planned.spacing_mm, force=planned.separate_z)
    resampled = np.stack(
        [
            resample(each, shape, axis=axis, order=planned.order, order_thick=planned.order_z)
            for each in turned
        ]
    )
    values = np.array([0, *planned.labels], np.uint8)
    out = np.zeros(prepared.shape, np.uint8)
    out[prepared.box] = values[resampled.argmax(0)]
    return out


def largest_pieces(
    labels: NDArray[np.uint8], chosen: Postprocessing, voxel_mm3: float
) -> NDArray[np.uint8]:
    """Reduce classes to their largest piece, in place.

    Parameters
    ----------
    labels : (z, y, x) ndarray of uint8
        Changed.
    chosen
        Which classes, and from which volume a smaller piece stays.
    voxel_mm3
        Volume of a voxel.
    """
    groups = chosen.classes
    if groups is None:
        groups = tuple((int(label),) for label in np.unique(labels) if label > 0)
    least = chosen.least_mm3 or (np.inf,) * len(groups)
    for group, volume in zip(groups, least, strict=True):
        pieces, count = ndimage.label(np.isin(labels, group))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if count:
            small = (sizes != sizes.max()) & (sizes * voxel_mm3 < volume)
            labels[np.isin(pieces, np.flatnonzero(small) + 1)] = 0
    return labels
