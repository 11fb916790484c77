"""What replaces the face, in stored values, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deid_node.errors import PixelsUnusable, SettingsInvalid
from deid_node.face.fill import Fill, Method, air_values, fill
from tests.fakes.head import AIR, SHAPE, head_volume, volume_of

METHODS: list[Method] = ["noise", "min", "zero", "padding"]


def face_mask() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[3:15, :20, 12:36] = True
    return mask


@given(
    method=st.sampled_from(METHODS),
    dtype=st.sampled_from([np.int8, np.uint8, np.int16, np.uint16]),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_voxels_outside_the_mask_are_the_same_bits(
    method: Method, dtype: type[np.integer[Any]], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bounds = np.iinfo(dtype)
    stored = rng.integers(bounds.min, bounds.max, (4, 9, 8), dtype, endpoint=True)
    mask = rng.random(stored.shape) < share
    before = stored.copy()

    filled = fill(volume_of(stored), mask, Fill(method=method), seed=seed)

    assert filled.dtype == stored.dtype
    np.testing.assert_array_equal(filled[~mask], before[~mask])
    np.testing.assert_array_equal(stored, before)


def test_noise_has_the_distribution_of_the_air() -> None:
    volume, mask = head_volume(), face_mask()

    filled = fill(volume, mask, Fill(), seed=1)[mask]

    air = np.random.default_rng(2).rayleigh(AIR, 20000).astype(int)
    assert stats.ks_2samp(filled[::3], air).statistic < 0.03


def test_no_value_of_the_head_is_sampled() -> None:
    volume, mask = head_volume(), face_mask()

    filled = fill(volume, mask, Fill(), seed=1)[mask]

    assert filled.max() < 60
    assert volume.stored[mask].max() > 400


def test_the_hole_does_not_depend_on_what_lay_in_it() -> None:
    volume, mask = head_volume(), face_mask()
    other = volume_of(volume.stored.copy())
    lying = np.random.default_rng(5).integers(0, 420, int(mask.sum()))
    other.stored[mask] = np.where(volume.stored[mask] > 200, np.maximum(lying, 300), lying % 20)

    one = fill(volume, mask, Fill(), seed=1)[mask]
    two = fill(other, mask, Fill(), seed=1)[mask]

    np.testing.assert_array_equal(one, two)


def test_neighbours_in_the_hole_are_unrelated() -> None:
    volume, mask = head_volume(), face_mask()

    filled = fill(volume, mask, Fill(), seed=1)[3:15, :20, 12:36].astype(float)

    pairs = np.corrcoef(filled[:, :, 1:].ravel(), filled[:, :, :-1].ravel())
    assert abs(pairs[0, 1]) < 0.04


def test_the_seed_decides_the_noise() -> None:
    volume, mask = head_volume(), face_mask()

    one, same, other = (fill(volume, mask, Fill(), seed=seed) for seed in (7, 7, 8))

    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_noise_follows_the_rescaling_of_each_slice() -> None:
    plain, mask = head_volume(), face_mask()
    slope = np.where(np.arange(SHAPE[0]) % 2, 0.25, 1.0)
    intercept = np.where(np.arange(SHAPE[0]) % 2, -8.0, 0.0)
    stored = (plain.stored - intercept[:, None, None]) / slope[:, None, None]
    volume = volume_of(stored.astype(np.int16), slope=slope, intercept=intercept)

    filled = fill(volume, mask, Fill(), seed=1)

    values = filled * slope[:, None, None] + intercept[:, None, None]
    for parity in (0, 1):
        here = values[parity::2][mask[parity::2]]
        assert here.mean() == pytest.approx(AIR * 1.2533, abs=1.0)


@pytest.mark.parametrize("level", [0, 300], ids=["no signal", "no air"])
def test_where_air_cannot_be_measured_noise_is_the_least_value(level: int) -> None:
    stored = np.full(SHAPE, level, np.int16)
    stored[:, 20:30, 20:30] = 350 if level else 0
    volume, mask = volume_of(stored), face_mask()

    assert air_values(volume, mask) is None
    assert (fill(volume, mask, Fill(), seed=0)[mask] == level).all()


def test_air_set_to_zero_stays_zero() -> None:
    volume, mask = head_volume(), face_mask()
    silent = volume_of(np.where(volume.stored > 200, volume.stored, 0))

    assert not fill(silent, mask, Fill(), seed=0)[mask].any()


def test_bright_spots_in_the_air_are_not_sampled() -> None:
    volume, mask = head_volume(), face_mask()
    # too dim to be taken for tissue, too bright for noise
    volume.stored[-4:, -4:, -4:] = 31

    air = air_values(volume, mask)

    assert air is not None
    assert air.max() < 31


def test_padding_is_not_air() -> None:
    volume, mask = head_volume(), face_mask()
    padded = volume_of(volume.stored.copy(), padding=2)

    air = air_values(padded, mask)

    assert air is not None
    assert not (air == 2).any()


def test_voxels_under_the_mask_are_not_air() -> None:
    volume = head_volume()
    mask = np.ones(SHAPE, bool)

    assert air_values(volume, mask) is None


@pytest.mark.parametrize(
    ("method", "padding", "expected"),
    [
        ("min", None, -7),
        ("min", -7, -5),
        ("zero", None, 4),
        ("padding", -7, -7),
        ("padding", None, -7),
    ],
)
def test_constants_are_what_they_say(method: Method, padding: int | None, expected: int) -> None:
    stored = np.full((3, 4, 4), 20, np.int16)
    stored[0, 0, :2] = (-7, -5)
    volume = volume_of(stored, padding=padding, slope=np.full(3, 2.0), intercept=np.full(3, -8.0))
    mask = np.zeros(stored.shape, bool)
    mask[1] = True

    filled = fill(volume, mask, Fill(method=method), seed=0)

    assert (filled[1] == expected).all()


def test_the_least_value_is_the_least_after_rescaling() -> None:
    stored = np.full((2, 3, 3), 10, np.int16)
    volume = volume_of(stored, slope=np.array([1.0, 2.0]), intercept=np.array([0.0, -14.0]))

    filled = fill(volume, np.ones(stored.shape, bool), Fill(method="min"), seed=0)

    assert (filled[0] == 6).all()
    assert (filled[1] == 10).all()


def test_nothing_but_padding_has_no_least_value() -> None:
    volume = volume_of(np.full((2, 3, 3), -9, np.int16), padding=-9)

    filled = fill(volume, np.ones((2, 3, 3), bool), Fill(method="min"), seed=0)

    assert not filled.any()


def test_zero_that_cannot_be_stored_is_clipped() -> None:
    stored = np.full((2, 3, 3), 100, np.uint8)
    volume = volume_of(stored, intercept=np.full(2, 50.0))

    filled = fill(volume, np.ones(stored.shape, bool), Fill(method="zero"), seed=0)

    assert not filled.any()


@pytest.mark.parametrize(("dtype", "bound"), [(np.uint16, 4095), (np.int16, 4095)])
def test_a_constant_must_fit_the_bits_at_hand(dtype: type, bound: int) -> None:
    volume = volume_of(np.array([[[0, 2100]]], dtype))
    mask = np.array([[[True, False]]])

    filled = fill(volume, mask, Fill(method="constant", constant=bound), seed=0)

    assert filled.tolist() == [[[bound, 2100]]]
    for constant in (bound + 1, -1 if dtype is np.uint16 else -bound - 2):
        with pytest.raises(PixelsUnusable, match="needs more bits"):
            fill(volume, mask, Fill(method="constant", constant=constant), seed=0)


@pytest.mark.parametrize(("method", "constant"), [("constant", None), ("noise", 3), ("blur", None)])
def test_a_fill_that_makes_no_sense_is_refused(method: Method, constant: int | None) -> None:
    with pytest.raises(SettingsInvalid):
        Fill(method=method, constant=constant)


def test_a_single_voxel_is_filled_alone() -> None:
    volume = head_volume()
    mask = np.zeros(SHAPE, bool)
    mask[15, 26, 24] = True

    filled = fill(volume, mask, Fill(), seed=3)

    assert (filled != volume.stored).sum() == 1


def test_a_constant_becomes_the_nearest_stored_value() -> None:
    stored = np.full((2, 3, 3), 9, np.int16)
    volume = volume_of(stored, slope=np.array([3.0, 5.0]), intercept=np.array([1.0, 2.0]))

    filled = fill(volume, np.ones(stored.shape, bool), Fill(method="min"), seed=0)

    # 9 * 3 + 1 = 28 is the least; (28 - 2) / 5 = 5.2; zero lies at -1/3 and -2/5
    assert (filled[1] == 5).all()
    zero = fill(volume, np.ones(stored.shape, bool), Fill(method="zero"), seed=0)
    assert not zero.any()
