"""Tell patient from air by brightness, in values that were smoothed to some mm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TISSUE_SHARE = 0.1
"""Share of the 99th percentile above which a value is patient."""

DARK = 2.0
"""Tissue is this many times as bright as the darkest tenth of what is seen, where that lies
between the two shares below: noise in the air is no tissue."""

TISSUE_SHARES = (0.1, 0.25)
"""Bounds of where tissue begins, as shares of the 99th percentile of what is seen."""


def is_tissue(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell what is patient, with all that is dimly lit; loud noise in the air counts too."""
    return np.asarray(values > TISSUE_SHARE * np.percentile(values, 99))


def tissue_level(values: NDArray[np.float32]) -> float:
    """Give the value above which something is patient and not noise; infinite without values."""
    if not values.size:
        return float("inf")
    dark, bright = np.percentile(values, [10, 99])
    low, high = TISSUE_SHARES
    return float(np.clip(DARK * dark, low * bright, high * bright))
