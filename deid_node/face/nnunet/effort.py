"""How much work an imported model puts into one head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What is predicted, and how precisely.

    Parameters
    ----------
    folds
        How many folds are asked; None asks all.
    mirrors
        Along how many of the axes that its training mirrored windows are mirrored too, the last
        axis first; each doubles the work. None mirrors along all.
    engine
        ``torch``, whose float32 gives nnU-Net's own answer, or ``openvino``.
    precision
        ``f32`` or, with OpenVINO, ``i8`` or ``bf16``; see `openvino_unet`.
    windows
        ``all``; ``near``: of nnU-Net's own windows those that touch the neighbourhood of the
        face; ``fitted``: as few as cover that neighbourhood.
    """

    folds: int | None
    mirrors: int | None
    engine: str
    precision: str
    windows: str

    def mirror_axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Choose from the axes along which a model may be mirrored."""
        chosen = sorted(axes, reverse=True)[: self.mirrors]
        return tuple(axis for axis in axes if axis in chosen)


EXACT: Final = Effort(folds=None, mirrors=None, engine="torch", precision="f32", windows="all")
BALANCED: Final = Effort(folds=None, mirrors=1, engine="openvino", precision="i8", windows="near")
FAST: Final = Effort(folds=None, mirrors=1, engine="openvino", precision="i8", windows="fitted")

EFFORTS: Final = {"exact": EXACT, "balanced": BALANCED, "fast": FAST}


def effort_of(accuracy: str, folds: int) -> Effort:
    """Give an effort by its name, with a number of folds; 0 asks all."""
    return replace(EFFORTS[accuracy], folds=folds or None)
