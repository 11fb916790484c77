"""Windows over a network's input, and the mean of what is said of each voxel, as in nnU-Net v1."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]

STEP: Final = 0.5
"""Distance of windows, in windows."""
SIGMA: Final = 1 / 8
"""Width of the weight of a window, in windows."""
MIRRORS: Final = ((), (2,), (1,), (1, 2), (0,), (0, 2), (0, 1), (0, 1, 2))
"""In the order in which v1 adds them up: sums of float32 depend on it."""


def predict_windows(
    predict: Predict,
    values: NDArray[np.float32],
    patch: tuple[int, ...],
    mirror_axes: tuple[int, ...] = (),
    *,
    corners: Sequence[tuple[int, ...]] | None = None,
) -> NDArray[np.float32]:
    """Predict windows, and average.

    Parameters
    ----------
    predict
        From (i, j, k) values of the size of `patch` to (c, i, j, k) probabilities.
    values : (i, j, k) ndarray of float32
        Padded with zeros where it is smaller than a window.
    patch
        Size of a window.
    mirror_axes
        Each subset of these axes is mirrored, and the answers averaged.
    corners
        First voxels of the windows, in `values` as they are padded; by default those of
        nnU-Net, which overlap by half.

    Returns
    -------
    (c, i, j, k) ndarray of float32
        Mean of the windows, weighted towards their centres; 0 where there is none.
    """
    lacking = [max(0, p - n) for p, n in zip(patch, values.shape, strict=True)]
    padded = np.pad(values, [(n // 2, n - n // 2) for n in lacking])
    chosen = lattice(values.shape, patch) if corners is None else corners
    weight = window_weight(patch).astype(np.float32) if len(chosen) > 1 else None
    total: NDArray[np.float32] | None = None
    seen = np.zeros(padded.shape, np.float32)
    for corner in chosen:
        box = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        answer = _mirrored(predict, padded[box], mirror_axes)
        if total is None:
            total = np.zeros((len(answer), *padded.shape), np.float32)
        total[(slice(None), *box)] += answer if weight is None else answer * weight
        seen[box] += np.float32(1) if weight is None else weight
    inner = tuple(slice(n // 2, n // 2 + m) for n, m in zip(lacking, values.shape, strict=True))
    assert total is not None  # noqa: S101 - there is a window at least
    if corners is not None:
        seen[seen == 0] = 1
    out: NDArray[np.float32] = total[(slice(None), *inner)] / seen[inner]
    return out


def lattice(shape: tuple[int, ...], patch: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Give the first voxels of nnU-Net's windows over values that are padded to one at least."""
    padded = [max(p, n) for p, n in zip(patch, shape, strict=True)]
    return list(product(*(_starts(p, n) for p, n in zip(patch, padded, strict=True))))


def _mirrored(
    predict: Predict, window: NDArray[np.float32], mirror_axes: tuple[int, ...]
) -> NDArray[np.float32]:
    mirrors = [m for m in MIRRORS if set(m) <= set(mirror_axes)]
    share = np.float32(1 / len(mirrors))
    total: NDArray[np.float32] | None = None
    for axes in mirrors:
        answer = predict(np.ascontiguousarray(np.flip(window, axes)))
        part = share * np.flip(answer, tuple(a + 1 for a in axes))
        total = part if total is None else total + part
    assert total is not None  # noqa: S101 - the window itself is among the mirrors
    return total


def _starts(patch: int, size: int) -> list[int]:
    """Spread windows evenly over an axis, with steps of at most `STEP`."""
    count = int(np.ceil((size - patch) / (patch * STEP))) + 1
    step = (size - patch) / max(count - 1, 1)
    return [int(np.round(step * number)) for number in range(count)]


def window_weight(patch: tuple[int, ...]) -> NDArray[np.float64]:
    """Weigh the voxels of a window: 1 at its centre, less towards its edges."""
    point = np.zeros(patch)
    point[tuple(n // 2 for n in patch)] = 1
    smooth = ndimage.gaussian_filter(point, [n * SIGMA for n in patch], mode="constant")
    weight: NDArray[np.float64] = smooth / smooth.max()
    return weight
