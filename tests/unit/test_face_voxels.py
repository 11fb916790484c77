"""Which voxels lie where a grid is positive: the same as by interpolating every one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deid_node.face.grid import Grid
from deid_node.face.voxels import positive
from tests.fakes.head import (
    axial_affine,
    every_order,
    head_volume,
    in_first_order,
    ramp,
    rotation,
    volume_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.dicom.volume import Volume

GRID = Grid(shape=(50, 56, 50), origin=np.array([98.0, 110.0, -98.0]), spacing_mm=4.0)
TURNS = pytest.mark.parametrize("turn", [rotation(), rotation(25, 10)], ids=["straight", "oblique"])


def fine_volume(turn: np.ndarray) -> Volume:
    """Give a small volume in which a tile is hardly larger than a voxel of the grid."""
    shape = (30, 52, 40)
    return volume_of(np.zeros(shape, np.int16), axial_affine(shape, (0.9, 0.8, 1.0), turn))


def interpolated(array: np.ndarray, grid: Grid, volume: Volume) -> np.ndarray:
    """Interpolate at every voxel, the tests' own way: through LPS, in float64."""
    index = np.indices(volume.stored.shape).reshape(3, -1)
    lps = volume.affine[:3, :3] @ index + volume.affine[:3, 3:]
    inverse = np.linalg.inv(grid.affine)
    at = inverse[:3, :3] @ lps + inverse[:3, 3:]
    values = ndimage.map_coordinates(array.astype(np.float64), at, order=1)
    return np.asarray(values).reshape(volume.stored.shape)


def blobs(seed: int, width: float, above: float, grid: Grid = GRID) -> np.ndarray:
    """Draw patches of positive values that fill a share of the grid."""
    noise = np.random.default_rng(seed).normal(size=grid.shape)
    smooth = ndimage.gaussian_filter(noise, width)
    return np.asarray(smooth - np.quantile(smooth, 1 - above), np.float32)


@TURNS
@pytest.mark.parametrize("level", [700.0, 900.0, 1000.0, 1100.0])
def test_a_plane_comes_back_where_it_lies(turn: np.ndarray, level: float) -> None:
    volume = head_volume(turn=turn)
    array = (ramp(GRID.affine, GRID.shape) - level).astype(np.float32)
    truth = ramp(volume.affine, volume.stored.shape) - level
    inside = interpolated(np.ones(GRID.shape), GRID, volume) > 0

    found = positive(array, GRID, volume)

    clear = np.abs(truth) > 1e-3
    np.testing.assert_array_equal(found[clear & inside], (truth > 0)[clear & inside])
    assert not found[~inside].any()
    assert 0.01 < found.mean() < 0.99


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    degrees=st.tuples(*[st.one_of(st.just(0.0), st.floats(-30, 30))] * 2),
    width=st.sampled_from([0.0, 0.7, 2.0, 6.0]),
    above=st.sampled_from([0.001, 0.1, 0.5, 0.999]),
    drawn=st.sampled_from([head_volume, fine_volume]),
)
def test_no_voxel_is_left_out_and_none_added(
    seed: int,
    degrees: tuple[float, float],
    width: float,
    above: float,
    drawn: Callable[..., Volume],
) -> None:
    volume = drawn(turn=rotation(*degrees))
    array = blobs(seed, width, above)
    values = interpolated(array, GRID, volume)

    found = positive(array, GRID, volume)

    clear = np.abs(values) > 1e-5 * np.abs(array).max()
    # a voxel on the very edge of the grid may fall outside by rounding
    edge = interpolated(np.ones(GRID.shape), GRID, volume) != 1
    clear &= ~ndimage.binary_dilation(edge)
    np.testing.assert_array_equal(found[clear], (values > 0)[clear])


@TURNS
def test_one_positive_grid_voxel_is_found(turn: np.ndarray) -> None:
    volume = head_volume(turn=turn)
    array = np.full(GRID.shape, -1e-3, np.float32)
    array[25, 28, 30] = 1.0

    found = positive(array, GRID, volume)

    np.testing.assert_array_equal(found, interpolated(array, GRID, volume) > 0)
    assert found.any()


@TURNS
def test_beyond_the_grid_nothing_is_positive(turn: np.ndarray) -> None:
    volume = head_volume(turn=turn)
    small = replace(GRID, shape=(20, 22, 18))
    ones = np.ones(small.shape, np.float32)

    found = positive(ones, small, volume)

    inside = interpolated(ones, small, volume)
    assert 0 < found.mean() < 0.2
    assert found[inside == 1].all()
    assert not found[inside == 0].any()


@TURNS
def test_a_grid_beside_the_volume_gives_nothing(turn: np.ndarray) -> None:
    far = replace(GRID, origin=GRID.origin + 1000)

    assert not positive(np.ones(GRID.shape, np.float32), far, head_volume(turn=turn)).any()


@TURNS
def test_every_order_of_the_voxels_gives_the_same_answer(turn: np.ndarray) -> None:
    volume = head_volume(turn=turn)
    array = blobs(0, 3.0, 0.4)
    first = positive(array, GRID, volume)

    for turned, order, flips in every_order(volume):
        found = positive(array, GRID, turned)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(in_first_order(found, order, flips), first)


def test_a_slant_that_is_neglected_moves_no_voxel() -> None:
    volume = head_volume()
    slightly = replace(volume, affine=volume.affine.copy())
    slightly.affine[0, 1] = 2e-4
    array = blobs(1, 3.0, 0.4)

    straight, oblique = (positive(array, GRID, each) for each in (volume, slightly))

    assert (straight != oblique).mean() < 1e-3
