"""Values travel between voxels and grids without changing place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from deid_node.face.grid import (
    BLOCK,
    Grid,
    block_means,
    body_affine,
    body_axes,
    extent,
    from_body,
    interpolate,
    on_voxels,
    sample,
    to_body,
)
from tests.fakes.head import every_order, head_volume, rotation, volume_of

GRID = Grid(shape=(50, 56, 50), origin=np.array([98.0, 110.0, -98.0]), spacing_mm=4.0)


def ramp(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give values that tell where they are: linear in LPS."""
    index = np.indices(shape).reshape(3, -1)
    lps = affine[:3, :3] @ index + affine[:3, 3:]
    return np.asarray(1000 + 2 * lps[0] + 3 * lps[1] - lps[2]).reshape(shape)


def test_body_order_grows_to_right_front_and_top() -> None:
    volume = head_volume(turn=rotation(20, -15))

    for turned, _, _ in every_order(volume):
        axes = body_axes(turned.affine)
        affine = body_affine(turned.affine, turned.stored.shape, axes)
        assert affine[0, 0] < 0
        assert affine[1, 1] < 0
        assert affine[2, 2] > 0


def test_body_order_can_be_undone() -> None:
    stored = np.arange(24).reshape(2, 3, 4)

    for turned, _, _ in every_order(volume_of(stored)):
        axes = body_axes(turned.affine)
        np.testing.assert_array_equal(from_body(to_body(turned.stored, axes), axes), turned.stored)


def test_body_affine_leads_to_the_same_places() -> None:
    volume = head_volume(turn=rotation(20, -15))
    places = ramp(volume.affine, volume.stored.shape)

    for turned, order, flips in every_order(volume):
        axes = body_axes(turned.affine)
        here = np.flip(places.transpose(order), flips)
        affine = body_affine(turned.affine, turned.stored.shape, axes)
        body = to_body(here, axes)
        np.testing.assert_allclose(ramp(affine, body.shape), body, atol=1e-3)


@pytest.mark.parametrize("turn", [rotation(), rotation(25, 10)], ids=["straight", "oblique"])
def test_a_ramp_is_sampled_where_the_affine_puts_it(turn: np.ndarray) -> None:
    volume = head_volume(turn=turn)
    volume = replace(volume, stored=np.rint(ramp(volume.affine, volume.stored.shape)).astype(int))

    values = sample(volume, GRID)

    expected = ramp(GRID.affine, GRID.shape)
    middle = (slice(15, 35),) * 3
    np.testing.assert_allclose(values[middle], expected[middle], atol=1.0)


def test_sampling_agrees_with_simpleitk() -> None:
    volume = head_volume(turn=rotation(20, -15))
    image = sitk.GetImageFromArray(volume.stored.astype(np.float32))
    image.SetSpacing(volume.spacing_mm()[::-1].tolist())
    image.SetDirection((volume.affine[:3, :3] / volume.spacing_mm())[:, ::-1].ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    target = sitk.Image(list(GRID.shape), sitk.sitkFloat32)
    target.SetSpacing([GRID.spacing_mm] * 3)
    target.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    target.SetOrigin(GRID.origin.tolist())

    values = sample(volume, GRID)

    # spacing above that of the grid: nothing is smoothed, so plain linear interpolation is right
    theirs = sitk.GetArrayFromImage(sitk.Resample(image, target)).transpose(2, 1, 0)
    inside = (values > 0) & (theirs > 0)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(values[inside], theirs[inside], atol=0.01)


def test_sampling_smooths_a_fine_volume() -> None:
    noise = np.random.default_rng(0).normal(1000, 100, (80, 80, 80)).astype(np.int16)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    grid = Grid(shape=(10, 10, 10), origin=np.array([-20.0, -20.0, 20.0]), spacing_mm=4.0)

    values = sample(volume_of(noise, affine), grid)

    assert values.mean() == pytest.approx(1000, abs=5)
    assert values.std() < 100 / 6


@pytest.mark.parametrize("n", [80, 81])
def test_a_fine_volume_is_thinned_out_without_a_shift(n: int) -> None:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    volume = volume_of(np.rint(ramp(affine, (n, n, n))).astype(np.int16), affine)
    grid = Grid(shape=(6, 6, 6), origin=np.array([-20.0, -20.0, 20.0]), spacing_mm=7.0)

    values = sample(volume, grid)

    np.testing.assert_allclose(values, ramp(grid.affine, grid.shape), atol=0.2)


def test_rescaling_of_each_slice_is_applied() -> None:
    volume = head_volume()
    n = len(volume.stored)
    slope, intercept = np.linspace(0.5, 2, n), np.linspace(-20, 20, n)
    stored = np.rint((1000 - intercept) / slope)[:, None, None] * np.ones_like(volume.stored)
    volume = replace(volume, stored=stored.astype(np.int16), slope=slope, intercept=intercept)

    values = sample(volume, GRID)

    np.testing.assert_allclose(values[20:30, 20:30, 20:30], 1000, atol=2)


def test_every_order_of_the_voxels_gives_the_same_bytes() -> None:
    volume = head_volume(turn=rotation(12.3, -7.1))
    volume = replace(volume, affine=volume.affine + 1 / 3 * np.eye(4)[:, [3, 1, 2, 0]] / 7)
    volume.affine[3] = [0, 0, 0, 1]
    first = sample(volume, GRID)

    for turned, _, _ in every_order(volume):
        assert sample(turned, GRID).tobytes() == first.tobytes()


@pytest.mark.parametrize("turn", [rotation(), rotation(25, 10)], ids=["straight", "oblique"])
def test_a_ramp_comes_back_to_the_voxels(turn: np.ndarray) -> None:
    volume = head_volume(turn=turn)
    array = ramp(GRID.affine, GRID.shape).astype(np.float32)

    axes = body_axes(volume.affine)
    expected = to_body(ramp(volume.affine, volume.stored.shape), axes)
    seen = 0
    for first, block in on_voxels(array, GRID, volume):
        here = expected[first : first + len(block)]
        seen += len(block)
        inside = block != 0
        assert inside.mean() > 0.3
        np.testing.assert_allclose(block[inside], here[inside], rtol=1e-4)
    assert seen == len(expected) > BLOCK


def test_straight_and_oblique_reading_agree() -> None:
    volume = head_volume()
    slightly = replace(volume, affine=volume.affine.copy())
    slightly.affine[0, 1] = 2e-4
    rng = np.random.default_rng(0)
    array = rng.normal(size=GRID.shape).astype(np.float32)

    straight = np.concatenate([block for _, block in on_voxels(array, GRID, volume)])
    oblique = np.concatenate([block for _, block in on_voxels(array, GRID, slightly)])

    np.testing.assert_allclose(straight, oblique, atol=0.05)


@given(
    index=st.tuples(*[st.floats(0, 9)] * 3),
    spacing=st.floats(0.5, 8),
)
def test_any_point_of_a_ramp_is_interpolated(index: tuple[float, ...], spacing: float) -> None:
    affine = np.diag([-spacing, -spacing, spacing, 1.0])
    array = ramp(affine, (10, 10, 10)).astype(np.float32)
    target = affine.copy()
    target[:3, 3] = affine[:3, :3] @ np.array(index)

    value = interpolate(array, affine, target, (1, 1, 1))[0, 0, 0]

    assert value == pytest.approx(float(ramp(target, (1, 1, 1))[0, 0, 0]), abs=0.05)


def test_extent_holds_every_voxel_and_no_more() -> None:
    volume = head_volume(turn=rotation(30, 40))
    index = np.indices(volume.stored.shape).reshape(3, -1)
    ras = (volume.affine[:3, :3] @ index + volume.affine[:3, 3:]) * np.array([[-1], [-1], [1]])

    low, high = extent(volume.affine, volume.stored.shape)

    np.testing.assert_allclose(low, ras.min(axis=1))
    np.testing.assert_allclose(high, ras.max(axis=1))


def test_block_means_are_means_of_blocks() -> None:
    stored = np.arange(4 * 6 * 5).reshape(4, 6, 5)
    volume = volume_of(stored, slope=np.array([1.0, 1, 2, 2]), intercept=np.array([0.0, 0, 5, 5]))

    means = block_means(volume, np.array([2, 3, 2]))

    values = volume.values()
    assert means.shape == (2, 2, 2)
    assert means[1, 0, 1] == pytest.approx(values[2:4, 0:3, 2:4].mean())


def test_blocks_longer_than_an_axis_are_that_axis() -> None:
    volume = volume_of(np.full((3, 4, 4), 7))

    means = block_means(volume, np.array([9, 2, 2]))

    assert means.shape == (1, 2, 2)
    np.testing.assert_allclose(means, 7)
