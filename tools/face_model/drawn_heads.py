"""Heads that `drawn_head` draws by code, without any data, as the scorer takes them.

They are plainer than the held-out ones, and no network was trained on them either: four
contrasts, three ages, thin and thick slices.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, get_args

import numpy as np
from drawn_head.head import GROWTH, Age, draw_head, grid
from drawn_head.tissue import BRAIN, CONTRASTS, Label

from face_model.head import Head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SLICES_MM = ((2.0, 2.0, 2.0), (5.0, 1.5, 1.5))
AIR = (Label.AIR, Label.AIRWAY)
CSF_MM = 90.0  # CSF farther from the brain's centre than this lies in the spine, for an adult


def drawn_heads(seed: int = 11) -> Iterator[Head]:
    """Draw the 24 heads, each the same for the same seed."""
    for age, size, contrast in product(get_args(Age), SLICES_MM, CONTRASTS):
        where = grid("axial", size)
        drawn = draw_head(
            contrast=contrast, shape=where.shape, affine=where.affine, seed=seed, age=age
        )
        scale = GROWTH[age].face
        brain = np.isin(drawn.labels, BRAIN)
        fluid = np.argwhere(drawn.labels == Label.CSF) @ where.affine[:3, :3].T
        middle = np.argwhere(brain).mean(axis=0) @ where.affine[:3, :3].T
        csf = drawn.labels == Label.CSF
        csf[csf] = np.linalg.norm(fluid - middle, axis=1) < CSF_MM * GROWTH[age].cranium
        yield Head(
            name=f"{age} {contrast} {size[0]:g} mm",
            values=drawn.values.astype(np.float32),
            affine=where.affine,
            landmarks=_landmarks(drawn.labels, where.affine),
            scale=scale,
            tissue=~np.isin(drawn.labels, AIR),
            brain=brain,
            csf=csf,
        )


def _landmarks(
    labels: NDArray[np.uint8], affine: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Centres of the features; of what there are two, one on each side of the middle."""
    found: dict[str, NDArray[np.float64]] = {}
    for label in (Label.EYES, Label.NOSE, Label.MOUTH, Label.CHIN, Label.EARS):
        at = np.argwhere(labels == label) @ affine[:3, :3].T + affine[:3, 3]
        if not len(at):
            continue
        if label in {Label.EYES, Label.EARS}:
            name = label.name.lower().removesuffix("s")
            left = at[:, 0] > np.median(at[:, 0])
            found |= {f"{name}_L": at[left].mean(axis=0), f"{name}_R": at[~left].mean(axis=0)}
        else:
            found[label.name.lower()] = at.mean(axis=0)
    return found
