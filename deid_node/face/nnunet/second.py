"""What nnunetv2 does otherwise than v1, so that its exact answer can be given too.

It normalises before it resamples, averages logits instead of probabilities, and adds windows
up in half precision with weights in half precision (nnunetv2 2.8, on the CPU).
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.face.nnunet.lines import resample_quickly
from deid_node.face.nnunet.prepare import Prepared, inside, nonzero_box
from deid_node.face.nnunet.resample import resample, thick_axis
from deid_node.face.nnunet.tiles import lattice, window_weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.nnunet.plans import Planned
    from deid_node.face.nnunet.tiles import Predict

_EPSILON: Final = 1e-8
_SCALE: Final = 10
"""Weight of a window's centre, so that those of its corners are numbers in half precision."""


def prepare_second(
    image: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    planned: Planned,
    *,
    quick: bool = False,
) -> Prepared:
    """Make a network's input of an image: crop, normalise, resample.

    Parameters
    ----------
    image : (z, y, x) ndarray of float32
        In the array order that the model was trained on.
    spacing_mm
        Distance of voxels along these axes.
    planned
        What the model was trained on.
    quick
        Whether values may be resampled nearly, and not exactly, as nnunetv2 does.

    Raises
    ------
    ImplausibleFaceMask
        If all of the image is zero.
    """
    box = nonzero_box(image)
    order = planned.transpose_forward
    # a view of the whole: the last bit of a mean depends on how values lie in memory
    values = image.copy()[box].transpose(order)
    if planned.masked_norm:
        within = inside(image[box]).transpose(order)
        chosen = values[within]
        values[within] = (chosen - chosen.mean()) / max(chosen.std(), _EPSILON)
    else:
        mean, deviation = values.mean(), values.std()
        values -= mean
        values /= max(deviation, _EPSILON)
    spacing = tuple(spacing_mm[axis] for axis in order)
    shape = tuple(
        round(own / target * n)
        for own, target, n in zip(spacing, planned.spacing_mm, values.shape, strict=True)
    )
    axis = thick_axis(spacing, planned.spacing_mm)
    if quick:
        values = resample_quickly(values, shape, axis=axis)
    else:
        values = resample(values, shape, axis=axis, order=3)
    return Prepared(
        values=values,
        shape=image.shape,
        spacing_mm=spacing_mm,
        box=box,
    )


def mean_in_half(
    folds: tuple[Predict, ...],
    values: NDArray[np.float32],
    patch: tuple[int, ...],
    mirror_axes: tuple[int, ...],
) -> NDArray[np.float16]:
    """Average the logits of all windows, mirrors and folds as nnunetv2 does.

    Parameters
    ----------
    folds
        Each from (i, j, k) values of the size of `patch` to (c, i, j, k) logits.
    values : (i, j, k) ndarray of float32
        The network's input.
    patch
        Size of a window.
    mirror_axes
        Each subset of these axes is mirrored, and the answers averaged.
    """
    total = _windows(folds[0], values, patch, mirror_axes)
    for fold in folds[1:]:
        total += _windows(fold, values, patch, mirror_axes)
    if len(folds) > 1:
        total /= np.float16(len(folds))
    return total


def _windows(
    predict: Predict,
    values: NDArray[np.float32],
    patch: tuple[int, ...],
    mirror_axes: tuple[int, ...],
) -> NDArray[np.float16]:
    lacking = [max(0, p - n) for p, n in zip(patch, values.shape, strict=True)]
    padded = np.pad(values, [(n // 2, n - n // 2) for n in lacking])
    weight = _weight(patch)
    total: NDArray[np.float16] | None = None
    seen = np.zeros(padded.shape, np.float16)
    for corner in lattice(values.shape, patch):
        box = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        answer = _mirrored(predict, padded[box], mirror_axes) * weight.astype(np.float32)
        if total is None:
            total = np.zeros((len(answer), *padded.shape), np.float16)
        part = total[(slice(None), *box)]
        part[:] = part + answer
        seen[box] += weight
    assert total is not None  # noqa: S101 - there is a window at least
    total /= seen
    inner = tuple(slice(n // 2, n // 2 + m) for n, m in zip(lacking, values.shape, strict=True))
    return total[(slice(None), *inner)]


def _mirrored(
    predict: Predict, window: NDArray[np.float32], mirror_axes: tuple[int, ...]
) -> NDArray[np.float32]:
    total = predict(np.ascontiguousarray(window))
    mirrors = [axes for n in range(len(mirror_axes)) for axes in combinations(mirror_axes, n + 1)]
    for axes in mirrors:
        answer = predict(np.ascontiguousarray(np.flip(window, axes)))
        total = total + np.flip(answer, tuple(a + 1 for a in axes))
    return total / np.float32(len(mirrors) + 1)


def _weight(patch: tuple[int, ...]) -> NDArray[np.float16]:
    weight = (window_weight(patch) * _SCALE).astype(np.float32).astype(np.float16)
    weight[weight == 0] = weight[weight > 0].min()
    return weight


def labels_of_second(
    logits: NDArray[np.float16], prepared: Prepared, planned: Planned
) -> NDArray[np.uint8]:
    """Lay a network's answer on the image.

    Parameters
    ----------
    logits : (c, i, j, k) ndarray of float16
        Along the network's axes.
    prepared, planned
        What it was given, and what the model was trained on.

    Returns
    -------
    (z, y, x) ndarray of uint8
        The label of each voxel of the image; 0 outside the box.
    """
    order = planned.transpose_forward
    shape = tuple(prepared.box[a].stop - prepared.box[a].start for a in order)
    spacing = tuple(prepared.spacing_mm[a] for a in order)
    axis = thick_axis(planned.spacing_mm, spacing, force=planned.separate_z)
    resampled = np.stack(
        [
            resample(each, shape, axis=axis, order=planned.order, order_thick=planned.order_z)
            for each in logits
        ]
    )
    values = np.array([0, *planned.labels], np.uint8)
    out = np.zeros(prepared.shape, np.uint8)
    out[prepared.box] = values[resampled.argmax(0)].transpose(planned.transpose_backward)
    return out
