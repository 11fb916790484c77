"""Choose what replaces the voxels under the mask, in stored values.

What is written comes from constants and from the air round the head, value by value: nothing
that depends on what lay under the mask, so nothing of it can be won back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy import ndimage

from deid_node.errors import PixelsUnusable, SettingsInvalid
from deid_node.face.grid import block_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

Method = Literal["noise", "min", "zero", "padding", "constant"]

TISSUE_SHARE = 0.08
"""Share of the 99th percentile from which a smoothed value may be tissue; noise of MR air after
smoothing lies well below it in the heads this was tried on (0.5 to 4 %)."""

AWAY_MM = 12.0
"""Air is sampled at least this far from anything that may be tissue, in mm."""

COARSE_MM = 3.0
"""Tissue is looked for on voxels averaged to about this size, in mm."""

LEAST_AIR = 500
"""Fewer air voxels than this do not make a background that can be called measured."""

OUTLIER = 5.0
"""Air values further from their median than this many scaled median deviations are not air."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """How masked voxels are filled.

    Parameters
    ----------
    method
        ``noise`` samples the volume's own air, or acts as ``min`` where that cannot be
        measured; ``min`` is the least value; ``zero`` the stored value nearest to a rescaled
        zero; ``padding`` the Pixel Padding Value, or ``min`` where there is none;
        ``constant`` the stored value `constant`.
    constant
        Stored value for method ``constant``; None for every other method.

    Raises
    ------
    SettingsInvalid
        If `method` is unknown, or if `constant` is missing or not asked for.
    """

    method: Method = "noise"
    constant: int | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise SettingsInvalid(f"fill method must be one of {', '.join(get_args(Method))}")
        if (self.method == "constant") != (self.constant is not None):
            raise SettingsInvalid("fill method constant needs a constant, and no other takes one")


def fill(
    volume: Volume, mask: NDArray[np.bool_], fill: Fill, *, seed: int
) -> NDArray[np.integer[Any]]:
    """Replace the stored values under a mask.

    Parameters
    ----------
    volume
        The series as it came.
    mask : (slices, rows, columns) ndarray of bool
        What to replace.
    fill
        With what.
    seed
        Seed of the noise; the same seed gives the same voxels.

    Returns
    -------
    (slices, rows, columns) ndarray
        Stored values of the dtype of ``volume.stored``; voxels outside the mask are the
        same bits.

    Raises
    ------
    PixelsUnusable
        If a constant needs more bits than the stored values have.
    """
    filled = volume.stored.copy()
    stored = _stored_constant(volume, fill)
    if stored is not None:
        filled[mask] = stored
        return filled
    values = _values(volume, mask, fill)
    bounds = _representable(volume)
    rng = np.random.default_rng(seed)
    for number, here in enumerate(mask):
        # each voxel is drawn by itself, with replacement
        drawn = values[rng.integers(0, values.size, int(here.sum()))]
        unscaled = (drawn - volume.intercept[number]) / volume.slope[number]
        filled[number][here] = np.clip(np.rint(unscaled), *bounds)
    return filled


def air_values(volume: Volume, mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Collect values of the air round the head, outside the mask.

    Voxels count as air only far from everything that may be tissue, so that no voxel of the
    head is ever copied into the hole.

    Parameters
    ----------
    volume
        Any orientation.
    mask : (slices, rows, columns) ndarray of bool
        Voxels not to sample.

    Returns
    -------
    (n,) ndarray of float32 or None
        Values after the modality transform, in no spatial order; None where the volume shows
        too little air to measure.
    """
    factors = np.maximum(1, np.round(COARSE_MM / volume.spacing_mm())).astype(int)
    coarse = block_means(volume, factors)
    tissue = coarse > TISSUE_SHARE * np.percentile(coarse, 99)
    if not tissue.any():
        return None
    far = ndimage.distance_transform_edt(~tissue, sampling=volume.spacing_mm() * factors) > AWAY_MM
    pool = []
    for number, plane in enumerate(volume.stored):
        thin = far[min(number // factors[0], len(far) - 1)]
        here = _enlarge(thin, factors[1:], plane.shape) & ~mask[number]
        if volume.padding is not None:
            here &= plane != volume.padding
        pool.append(_rescale(volume, plane[here], number))
    return _without_outliers(np.concatenate(pool))


def _enlarge(
    plane: NDArray[np.bool_], factors: NDArray[np.int_], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Repeat each value; what the blocks did not reach is not air."""
    rows, columns = factors
    large = plane.repeat(rows, axis=0).repeat(columns, axis=1)[: shape[0], : shape[1]]
    out = np.zeros(shape, bool)
    out[: large.shape[0], : large.shape[1]] = large
    return out


def _rescale(
    volume: Volume, stored: NDArray[np.integer[Any]], slice_number: int
) -> NDArray[np.float32]:
    slope = np.float32(volume.slope[slice_number])
    return stored.astype(np.float32) * slope + np.float32(volume.intercept[slice_number])


def _without_outliers(values: NDArray[np.float32]) -> NDArray[np.float32] | None:
    if values.size < LEAST_AIR:
        return None
    median = np.median(values)
    deviation = 1.4826 * float(np.median(np.abs(values - median)))
    kept = values[np.abs(values - median) <= OUTLIER * deviation]
    return kept if kept.size >= LEAST_AIR else None


def _stored_constant(volume: Volume, fill: Fill) -> int | None:
    """Give the one stored value of a fill that names one."""
    if fill.method == "padding":
        return volume.padding
    if fill.constant is None:
        return None
    low, high = _representable(volume)
    if not low <= fill.constant <= high:
        raise PixelsUnusable(
            why="the constant of the fill needs more bits than their stored values have",
            n_instances=len(volume.stored),
        )
    return fill.constant


def _values(volume: Volume, mask: NDArray[np.bool_], fill: Fill) -> NDArray[np.float64]:
    """Give the values, after the modality transform, that a voxel may take."""
    air = air_values(volume, mask) if fill.method == "noise" else None
    if air is not None:
        return air.astype(np.float64)
    return np.array([0.0 if fill.method == "zero" else _least(volume)])


def _least(volume: Volume) -> float:
    """Give the least value of the volume after the modality transform, padding left out."""
    least = np.inf
    for number, plane in enumerate(volume.stored):
        shown = plane if volume.padding is None else plane[plane != volume.padding]
        if shown.size:
            least = min(least, float(_rescale(volume, shown, number).min()))
    return least if np.isfinite(least) else 0.0


def _representable(volume: Volume) -> tuple[int, int]:
    """Give the range of stored values that surely fit into Bits Stored.

    Bits Stored is at least what the values at hand need: a power of two, and its negative
    where the values are signed.
    """
    most = max(int(volume.stored.max()), -int(volume.stored.min()) - 1, 1)
    above = (1 << most.bit_length()) - 1
    signed = np.issubdtype(volume.stored.dtype, np.signedinteger)
    return (-above - 1 if signed else 0), above
