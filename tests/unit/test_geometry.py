"""The affine is equation C.7.6.2.1-1 of PS3.3 for every voxel of a stack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from deid_node.dicom.geometry import series_affine, stack_order
from deid_node.errors import DuplicatePosition, TooFewSlices, UnevenSlices

mm = st.floats(min_value=0.2, max_value=8.0)
index = st.integers(0, 511)
AXIAL = [1, 0, 0, 0, 1, 0]


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 300),
    gap=mm,
    delta_row=mm,
    delta_column=mm,
    row=index,
    column=index,
    data=st.data(),
)
def test_any_voxel_lies_where_the_standard_puts_it(
    seed: int,
    n: int,
    gap: float,
    delta_row: float,
    delta_column: float,
    row: int,
    column: int,
    data: st.DataObject,
) -> None:
    x, y, normal = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    positions = np.array([10.0, -20.0, 30.0]) + np.outer(np.arange(n) * gap, normal)
    k = data.draw(st.integers(0, n - 1), label="slice")

    affine = series_affine(positions, [*x, *y], [delta_row, delta_column])

    # P = S + X di i + Y dj j: X follows a row, so it counts columns.
    expected = positions[k] + x * delta_column * column + y * delta_row * row
    np.testing.assert_allclose((affine @ [k, row, column, 1])[:3], expected, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 60), gap=mm)
def test_order_of_arrival_does_not_matter(seed: int, n: int, gap: float) -> None:
    rng = np.random.default_rng(seed)
    x, y, _ = Rotation.random(rng=rng).as_matrix()
    normal = np.cross(x, y)
    positions = rng.normal(size=3) * 100 + np.outer(np.arange(n) * gap, normal)
    shuffled = rng.permutation(n)

    order = stack_order(positions[shuffled], [*x, *y])

    np.testing.assert_array_equal(shuffled[order], np.arange(n))


def test_missing_slice_holds_the_series() -> None:
    positions = [[0, 0, z] for z in (0, 1, 2, 4, 5)]

    with pytest.raises(UnevenSlices, match=r"5 slices: one gap is 2\.000 mm") as caught:
        series_affine(positions, AXIAL, [1, 1])

    assert caught.value.disposition.value == "hold"


def test_slice_moved_sideways_holds_the_series() -> None:
    positions = np.array([[0, 0, 0], [0, 0, 1], [0.1, 0, 2], [0, 0, 3], [0, 0, 4]])

    with pytest.raises(UnevenSlices):
        series_affine(positions, AXIAL, [1, 1])


def test_positions_rounded_to_two_decimals_are_even() -> None:
    positions = [[0, 0, round(k / 3, 2)] for k in range(30)]

    affine = series_affine(positions, AXIAL, [1, 1])

    assert affine[2, 0] == pytest.approx(1 / 3, abs=1e-3)


def test_two_instances_at_one_position_hold_the_series() -> None:
    positions = [[0, 0, z] for z in (0, 1, 1, 2)]

    with pytest.raises(DuplicatePosition, match="4 instances share 3 slice positions"):
        stack_order(positions, AXIAL)


def test_single_slice_is_no_volume() -> None:
    with pytest.raises(TooFewSlices, match="1 slices where a volume needs at least 3"):
        stack_order([[0, 0, 0]], AXIAL)
