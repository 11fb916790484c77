"""Intensities of a sample: any contrast at all, or one that resembles T1, T2 or FLAIR."""

from __future__ import annotations

import numpy as np

# right and left share an intensity, and all ventricles, as do parts that no sequence tells apart
_RIGHT = (41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 57, 58, 60, 62, 137, 164, 72, 5, 14, 15)
_LEFT = (2, 3, 4, 4, 7, 8, 10, 11, 12, 13, 17, 18, 25, 26, 28, 30, 136, 163, 24, 4, 4, 4)
LEFT_OF = dict(zip(_RIGHT, _LEFT, strict=True))
FLUID = (4, 24)
WHITE, GREY, EYE, SOFT, MUSCLE, MUCOSA, SKIN = (2, 7, 16, 85), (3, 8), 506, 507, 508, 509, 511
VEIN, ARTERY, BONE, MARROW, NERVE = 514, 502, 515, 516, 530
PATCHY = (SOFT, BONE, MARROW)  # fat and muscle share one label, compact and spongy bone nearly

# fluid, grey, white, eye, soft, fat (the other soft), muscle, mucosa, skin, vein, bone, marrow
T1 = (30, 90, 130, 30, 85, 210, 80, 90, 150, 60, 15, 130)
T2 = (240, 130, 90, 240, 60, 150, 45, 200, 90, 40, 10, 80)
FLAIR = (12, 130, 100, 15, 70, 170, 65, 170, 120, 40, 12, 90)


def _resembling(rng: np.random.Generator, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean intensity of each label, and of its other part where it is patchy."""
    levels = np.array((T1, T2, FLAIR)[rng.integers(3)]) * np.exp(rng.normal(0, 0.25, 12))
    fluid, grey, white, eye, soft, fat, muscle, mucosa, skin, vein, bone, marrow = levels
    known = dict.fromkeys(FLUID, fluid) | dict.fromkeys(WHITE, white) | dict.fromkeys(GREY, grey)
    known |= {EYE: eye, SOFT: fat, MUSCLE: muscle, MUCOSA: mucosa, SKIN: skin, VEIN: vein}
    known |= {ARTERY: vein, BONE: bone, MARROW: marrow, NERVE: white}
    deep = (grey + white) / 2
    mean = np.array([known.get(int(v), deep) for v in table]) * np.exp(
        rng.normal(0, 0.1, len(table))
    )
    other = mean.copy()
    other[table == SOFT] = soft
    other[table == BONE] = rng.uniform(0.2, 1) * marrow
    other[table == MARROW] = rng.uniform(0.2, 1) * bone
    return mean, other


def _arbitrary(rng: np.random.Generator, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = rng.uniform(0, 255, len(table))
    other = np.where(np.isin(table, PATCHY), rng.uniform(0, 255, len(table)), mean)
    dark = np.isin(table, (MUCOSA, VEIN, BONE, MARROW)) & (rng.random(len(table)) < 0.3)
    return np.where(dark, 0.3 * mean, mean), np.where(dark, 0.3 * other, other)


def _inverted(levels: np.ndarray) -> np.ndarray:
    peak = levels.max()
    return np.asarray(np.maximum(1.1 * peak - levels, 0.1 * peak))


def draw_intensities(rng: np.random.Generator, table: np.ndarray) -> np.ndarray:
    """Draw mean and spread of every label.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every draw.
    table : (k,) ndarray of int
        Label values; the first is 0, the air.

    Returns
    -------
    (3, k) ndarray of float32
        Mean of the label; mean of its other part (equal unless patchy); standard deviation.
    """
    mean, other = (_resembling if rng.random() < 0.4 else _arbitrary)(rng, table)
    if rng.random() < 0.15:  # fat saturation: skin, fat and marrow nearly vanish
        left = rng.uniform(0.05, 0.4)
        fatty = np.isin(table, (SKIN, SOFT, MARROW))
        mean = np.where(fatty, left * mean, mean)
        other = np.where(table == SKIN, left * other, other)
    if rng.random() < 0.15:  # contrast agent: vessels, mucosa and muscles of the eye light up
        lit = np.isin(table, (VEIN, ARTERY, MUCOSA, MUSCLE))
        gain = rng.uniform(200, 320)
        mean, other = np.where(lit, gain, mean), np.where(lit, gain, other)
    if rng.random() < 0.1:  # fluid, fat and skin dark, bone bright
        mean, other = _inverted(mean), _inverted(other)
    spread = rng.uniform(0, 20, len(table))
    if rng.random() < 0.93:  # air is dark in nearly every MR image
        mean[0] = other[0] = rng.uniform(0, 10)
        spread[0] = rng.uniform(0, 4)
    return np.stack([mean, other, spread]).astype(np.float32)
