"""How much work an imported model puts into one head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    Corner = tuple[int, ...]

MILLION: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What is predicted, and how precisely.

    Parameters
    ----------
    folds
        How many folds are asked; None asks all.
    engine
        ``torch``, whose float32 gives nnU-Net's own answer, or ``openvino``.
    precision
        ``f32``; with torch also ``half``, see `torch_unet`; with OpenVINO also ``i8`` or
        ``bf16``, see `openvino_unet`.
    voxels
        How many may pass each fold in windows that lie near the face, mirrored ones counted;
        see `spend`. None predicts the whole image, as nnU-Net does.
    mirrors
        Along how many of the axes that its training mirrored windows are mirrored at most, the
        last axis first; each doubles the work. None mirrors along all.
    device
        ``cpu``, or with torch ``cuda`` or ``cuda:N``, a GPU.
    """

    folds: int | None
    engine: str
    precision: str
    voxels: int | None = None
    mirrors: int | None = None
    device: str = "cpu"

    @property
    def is_exact(self) -> bool:
        """Whether all that is computed is what nnU-Net itself computes."""
        return self.engine == "torch" and self.precision == "f32"

    def mirror_axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Choose from the axes along which a model may be mirrored."""
        return _last(axes, self.mirrors)


def spend(
    voxels: int,
    windows: Sequence[Sequence[Corner]],
    axes: tuple[int, ...],
    patch: tuple[int, ...],
) -> tuple[Sequence[Corner], tuple[int, ...]]:
    """Choose the best mirrors and windows that so many voxels pay for.

    A small network is given all windows near the face and all mirrors; a large one does without
    windows before it does without mirrors, which change its answer more.

    Parameters
    ----------
    voxels
        How many may pass a network.
    windows
        Lists of corners, the best and dearest first.
    axes
        Along which windows may be mirrored.
    patch
        Size of a window.

    Returns
    -------
    sequence of corners, tuple of int
        The windows, and along which axes each is mirrored: along one at the least, if there is
        any. Where nothing is cheap enough, the last list so.
    """
    least = min(1, len(axes))
    for n in range(len(axes), least - 1, -1):
        for corners in windows:
            if len(corners) * 2**n * prod(patch) <= voxels:
                return corners, _last(axes, n)
    return windows[-1], _last(axes, least)


def _last(axes: tuple[int, ...], n: int | None) -> tuple[int, ...]:
    """Keep the last axes of an array, in the order given."""
    chosen = sorted(axes, reverse=True)[:n]
    return tuple(axis for axis in axes if axis in chosen)


EXACT: Final = Effort(folds=None, engine="torch", precision="f32")
BALANCED: Final = Effort(folds=None, engine="openvino", precision="i8", voxels=72 * MILLION)
"""34 windows of 128 x 128 x 128 voxels."""
FAST: Final = Effort(folds=None, engine="openvino", precision="i8", voxels=24 * MILLION)
"""11 such windows."""

EFFORTS: Final = {"exact": EXACT, "balanced": BALANCED, "fast": FAST}


def effort_of(accuracy: str, folds: int, device: str = "cpu") -> Effort:
    """Give an effort by its name, with a number of folds; 0 asks all.

    A GPU multiplies in half precision where less than the exact answer is asked for.
    """
    effort = replace(EFFORTS[accuracy], folds=folds or None, device=device)
    if device == "cpu":
        return effort
    return replace(effort, engine="torch", precision="f32" if effort.is_exact else "half")
