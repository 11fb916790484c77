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
    mirrored
        Whether mirrored windows are predicted too.
    engine
        ``torch``, whose float32 gives nnU-Net's own answer, or ``openvino``.
    precision
        ``f32`` or, with OpenVINO, ``bf16``.
    windows
        ``all``; ``near``: of nnU-Net's own windows those that touch the neighbourhood of the
        face; ``fitted``: as few as cover that neighbourhood.
    """

    folds: int | None
    mirrored: bool
    engine: str
    precision: str
    windows: str


EXACT: Final = Effort(folds=None, mirrored=True, engine="torch", precision="f32", windows="all")
BALANCED: Final = Effort(
    folds=None, mirrored=False, engine="openvino", precision="bf16", windows="near"
)
FAST: Final = Effort(
    folds=None, mirrored=False, engine="openvino", precision="bf16", windows="fitted"
)

EFFORTS: Final = {"exact": EXACT, "balanced": BALANCED, "fast": FAST}


def effort_of(accuracy: str, folds: int) -> Effort:
    """Give an effort by its name, with a number of folds; 0 asks all."""
    return replace(EFFORTS[accuracy], folds=folds or None)
