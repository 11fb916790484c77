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
        ``f32``; with torch also ``half``, see `torch_unet`; with OpenVINO also ``i8`` or
        ``bf16``, see `openvino_unet`.
    windows
        ``all``; ``near``: of nnU-Net's own windows those that touch the neighbourhood of the
        face; ``fitted``: as few as cover that neighbourhood.
    device
        ``cpu``, or with torch ``cuda`` or ``cuda:N``, a GPU.
    """

    folds: int | None
    mirrors: int | None
    engine: str
    precision: str
    windows: str
    device: str = "cpu"

    @property
    def is_exact(self) -> bool:
        """Whether all that is computed is what nnU-Net itself computes."""
        return self.engine == "torch" and self.precision == "f32"

    def mirror_axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Choose from the axes along which a model may be mirrored."""
        chosen = sorted(axes, reverse=True)[: self.mirrors]
        return tuple(axis for axis in axes if axis in chosen)


EXACT: Final = Effort(folds=None, mirrors=None, engine="torch", precision="f32", windows="all")
BALANCED: Final = Effort(folds=None, mirrors=1, engine="openvino", precision="i8", windows="near")
FAST: Final = Effort(folds=None, mirrors=1, engine="openvino", precision="i8", windows="fitted")

EFFORTS: Final = {"exact": EXACT, "balanced": BALANCED, "fast": FAST}


def effort_of(accuracy: str, folds: int, device: str = "cpu") -> Effort:
    """Give an effort by its name, with a number of folds; 0 asks all.

    A GPU multiplies in half precision where less than the exact answer is asked for.
    """
    effort = replace(EFFORTS[accuracy], folds=folds or None, device=device)
    if device == "cpu":
        return effort
    return replace(effort, engine="torch", precision="f32" if effort.is_exact else "half")
