"""Values travel between voxels and grids without changing place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from deid_node.face.grid import (
    block_means,
    body_affine,
    body_axes,
    extent,
    from_body,
    interpolate,
    to_body,
)
from tests.fakes.head import every_order, head_volume, ramp, rotation, volume_of


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


@given(
    first=st.tuples(*[st.integers(-6, 12)] * 3),
    steps=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
)
def test_grids_of_one_lattice_hand_on_the_very_values(
    first: tuple[int, ...], steps: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    affine = np.diag([-3.2, -3.2, 3.2, 1.0])
    affine[:3, 3] = [71.3, 20.9, -55.7]
    array = np.random.default_rng(0).random((5, 6, 7), np.float32)
    target = affine @ np.diag([*steps, 1.0])
    target[:3, 3] = affine[:3, :3] @ first + affine[:3, 3]

    moved = interpolate(array, affine, target, shape)

    for at in np.ndindex(shape):
        source = tuple(np.array(first) + np.array(steps) * at)
        within = all(0 <= s < n for s, n in zip(source, array.shape, strict=True))
        assert moved[at] == (array[source] if within else 0)


@pytest.mark.parametrize("change", [(0, 0, 0.99), (0, 1, 0.1), (2, 3, 0.5)])
def test_grids_that_nearly_share_a_lattice_are_interpolated(
    change: tuple[int, int, float],
) -> None:
    row, column, by = change
    affine = np.diag([-3.2, -3.2, 3.2, 1.0])
    to_source = np.eye(4)
    to_source[row, column] = by
    array = np.random.default_rng(0).random((8, 8, 8), np.float32)

    moved = interpolate(array, affine, affine @ to_source, (6, 6, 6))

    at = to_source[:3, :3] @ np.indices((6, 6, 6)).reshape(3, -1) + to_source[:3, 3:]
    expected = ndimage.map_coordinates(array, at, order=1).reshape(6, 6, 6)
    np.testing.assert_allclose(moved, expected, atol=1e-6)
