"""A volume is smoothed once, keeps its place, and is read on any grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from deid_node.face.grid import Grid
from deid_node.face.shrunk import read, sample, shrink
from tests.fakes.head import every_order, head_volume, ramp, rotation, volume_of

GRID = Grid(shape=(50, 56, 50), origin=np.array([98.0, 110.0, -98.0]), spacing_mm=4.0)


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
def test_what_is_shrunk_once_is_read_on_a_turned_grid(turn: np.ndarray) -> None:
    volume = head_volume(turn=turn)
    stored = np.rint(ramp(volume.affine, volume.stored.shape)).astype(int)
    shrunk = shrink(replace(volume, stored=stored), GRID.spacing_mm)
    turned = np.eye(4)
    turned[:3, :3] = rotation(-15, 20)
    affine = turned @ GRID.affine

    straight, slanted = (read(shrunk, each, GRID.shape) for each in (GRID.affine, affine))

    middle = (slice(15, 35),) * 3
    for values, where in ((straight, GRID.affine), (slanted, affine)):
        np.testing.assert_allclose(values[middle], ramp(where, GRID.shape)[middle], atol=1.0)


def test_one_smoothing_serves_every_grid() -> None:
    noise = np.random.default_rng(1).normal(1000, 100, (50, 60, 70)).astype(np.int16)
    volume = volume_of(noise, np.diag([-1.0, -1.0, 1.0, 1.0]))
    shrunk = shrink(volume, 4.0)

    for first in (5.0, 7.3):
        grid = Grid(shape=(9, 10, 11), origin=np.array([-first, -first, first]), spacing_mm=4.0)
        again = read(shrunk, grid.affine, grid.shape)
        np.testing.assert_array_equal(again, sample(volume, grid))


def test_smoothing_has_the_width_of_the_grid() -> None:
    # one bright voxel spreads over a Gaussian whose full width at half maximum makes up for
    # the difference between the two resolutions
    stored = np.zeros((65, 65, 65), np.uint16)
    stored[32, 32, 32] = 60000
    shrunk = shrink(volume_of(stored, np.diag([-1.0, -1.0, 1.0, 1.0])), 3.0)

    assert shrunk.values.sum() == pytest.approx(60000, rel=1e-3)
    for axis in range(3):
        line = shrunk.values.sum(axis=tuple(a for a in range(3) if a != axis))
        at = np.arange(65) - 32
        deviation = np.sqrt((line * at**2).sum() / line.sum())
        assert deviation == pytest.approx(np.sqrt(3.0**2 - 1) / 2.355, rel=0.02)


@pytest.mark.parametrize("n", [31, 32, 33, 64, 65, 100])
def test_no_plane_is_lost_between_the_blocks(n: int) -> None:
    stored = np.ones((n, 8, 8), np.int16)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])

    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        turned = volume_of(np.ascontiguousarray(stored.transpose(order)), affine)
        np.testing.assert_allclose(shrink(turned, 3.2).values, 1, rtol=1e-6)
