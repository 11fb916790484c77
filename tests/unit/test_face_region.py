"""Geometry of probabilities: pieces, distances, and what lies before and beside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import KDTree

from deid_node.face.region import (
    FAR_MM,
    beside,
    distance_inside,
    divide_air,
    floating,
    in_front,
    largest,
    outward,
)


def ball(radius: float, spacing: float, n: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Give a soft ball's probability, and the true signed distance in mm."""
    away = (np.indices((n, n, n)) - (n - 1) / 2 + 0.3) * spacing
    distance = radius - np.sqrt((away**2).sum(axis=0))
    return (1 / (1 + np.exp(-2 * distance / spacing))).astype(np.float32), distance


def everywhere(probability: np.ndarray, spacing: float) -> np.ndarray:
    """Measure signed distances over the whole grid, the dear way."""
    inside = probability > 0.5
    steep = np.sqrt(sum(each**2 for each in np.gradient(probability, spacing)))
    offset = np.abs(probability - 0.5) / np.maximum(steep, 0.125 / spacing)
    offset = np.minimum(offset, spacing / 2)
    out = np.zeros(probability.shape, np.float32)
    for region, sign in ((inside, 1), (~inside, -1)):
        distance, nearest = ndimage.distance_transform_edt(
            region, sampling=spacing, return_indices=True
        )
        out[region] = (sign * (distance - offset[tuple(nearest)]))[region]
    return np.asarray(ndimage.gaussian_filter(out, 0.6))


def empty(*blocks: tuple[slice, slice, slice]) -> np.ndarray:
    out = np.zeros((12, 12, 12), np.float32)
    for block in blocks:
        out[block] = 1.0
    return out


@given(voxels=st.floats(5, 12), spacing=st.sampled_from([2.5, 3.2, 4.0]))
def test_distances_are_finer_than_the_grid(voxels: float, spacing: float) -> None:
    probability, truth = ball(voxels * spacing, spacing)

    distance = distance_inside(probability, spacing)

    near = np.abs(truth) < 2 * spacing
    assert np.abs(distance - truth)[near].max() < 0.6 * spacing
    assert (distance - truth)[near].std() < 0.2 * spacing
    assert np.abs((distance - truth)[near].mean()) < 0.2 * spacing


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.floats(0.7, 4.0),
    share=st.sampled_from([0.001, 0.02, 0.3]),
    reach=st.floats(1.0, 30.0),
    corner=st.booleans(),
)
def test_within_their_reach_distances_are_the_same_to_the_bit(
    seed: int, width: float, share: float, reach: float, *, corner: bool
) -> None:
    noise = np.random.default_rng(seed).normal(size=(30, 36, 33))
    if corner:
        noise[10:] = noise[:, 12:] = -5
    smooth = ndimage.gaussian_filter(noise, width)
    probability = 1 / (1 + np.exp(-8 * (smooth - np.quantile(smooth, 1 - share)) / smooth.std()))
    probability = probability.astype(np.float32)
    whole = everywhere(probability, 3.2)

    distance = distance_inside(probability, 3.2, reach_mm=reach)

    within = whole >= -reach
    np.testing.assert_array_equal(distance[within], whole[within])
    assert (distance[~within] < -reach).all()


@pytest.mark.parametrize(("value", "expected"), [(0.0, -FAR_MM), (1.0, FAR_MM)])
def test_a_region_without_border_is_far(value: float, expected: float) -> None:
    probability = np.full((4, 4, 4), value, np.float32)

    assert (distance_inside(probability, 4.0) == expected).all()


def test_specks_are_silenced_and_large_pieces_kept() -> None:
    face = empty(
        (slice(0, 6), slice(0, 6), slice(0, 6)), (slice(8, 12), slice(8, 12), slice(8, 12))
    )
    face[0, 11, 11] = 1.0

    kept = largest(face, share=0.1)

    assert kept[0, 11, 11] == 0
    assert kept[9, 9, 9] == 1
    assert largest(face, share=1.0)[9, 9, 9] == 0


def test_nothing_stays_nothing() -> None:
    nothing = empty()

    assert not largest(nothing, share=1.0).any()


def test_all_in_front_of_face_is_face() -> None:
    face = empty((slice(4, 8), slice(5, 6), slice(4, 8)))

    closed = in_front(face)

    assert closed[4:8, 5:, 4:8].all()
    assert not closed[:, :5].any()
    assert not closed[:4].any()


def test_all_beside_an_ear_is_ear() -> None:
    brain = empty((slice(4, 8), slice(4, 8), slice(4, 8)))
    ears = empty((slice(2, 3), slice(5, 7), slice(5, 7)), (slice(9, 10), slice(5, 7), slice(5, 7)))

    closed = outward(beside(ears, brain), brain)

    assert closed[:3, 5:7, 5:7].all()
    assert closed[9:, 5:7, 5:7].all()
    assert not closed[3:9].any()


def test_one_piece_of_ear_is_kept_on_each_side() -> None:
    brain = empty((slice(4, 8), slice(4, 8), slice(4, 8)))
    ears = empty((slice(1, 3), slice(5, 7), slice(5, 7)), (slice(9, 11), slice(5, 7), slice(5, 7)))
    ears[0, 0, 0] = ears[11, 11, 11] = 1.0

    kept = beside(ears, brain)

    assert kept[1, 5, 5] == kept[9, 5, 5] == 1
    assert kept[0, 0, 0] == kept[11, 11, 11] == 0


def test_without_a_brain_the_middle_is_that_of_the_grid() -> None:
    ears = empty((slice(1, 3), slice(5, 7), slice(5, 7)), (slice(9, 11), slice(5, 7), slice(5, 7)))

    closed = outward(ears, empty())

    assert closed[0, 5, 5] == closed[11, 5, 5] == 1
    assert not closed[3:9].any()


def test_tissue_that_would_float_is_found() -> None:
    brain = empty((slice(2, 10), slice(1, 4), slice(2, 10)))
    tissue = brain > 0
    tissue[5:7, 9:11, 5:7] = True
    tissue[0, 0, 0] = True
    removed = np.zeros(tissue.shape, bool)
    removed[:, 5:9] = True

    found = floating(tissue, removed, brain)

    assert found[5:7, 9:11, 5:7].all()
    assert found[4, 10, 5]
    assert not found[:4].any()
    assert not found[:, :8].any()


def test_scalp_does_not_float_though_the_skull_parts_it_from_the_brain() -> None:
    brain = empty((slice(3, 9), slice(3, 8), slice(3, 7)))
    tissue = brain > 0
    tissue[3:9, 1:11, 9] = True
    tissue[3:9, 10, 4:9] = True
    removed = np.zeros(tissue.shape, bool)
    removed[:, 9:, :4] = True

    assert not floating(tissue, removed, brain).any()


def test_what_does_not_touch_the_hole_does_not_float() -> None:
    brain = empty((slice(2, 10), slice(1, 4), slice(2, 10)))
    tissue = brain > 0
    tissue[5:7, 10:12, 5:7] = True
    removed = np.zeros(tissue.shape, bool)
    removed[:, 5:7] = True

    assert not floating(tissue, removed, brain).any()


def test_without_a_brain_nothing_floats() -> None:
    everything = np.ones((12, 12, 12), bool)

    assert not floating(everything, everything, empty()).any()


def halves(n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Tissue with an uneven skin on top, the right half of it to be removed, and all air."""
    height = np.random.default_rng(4).integers(6, 9, (n, n))
    tissue = np.arange(n)[None, None] < height[:, :, None]
    level = np.where(np.indices(tissue.shape)[0] >= n // 2, 5.0, -5.0).astype(np.float32)
    level[~tissue] = 5.0
    return level, tissue


def test_air_goes_with_the_tissue_nearest_to_it() -> None:
    level, tissue = halves()
    spacing = 3.0
    to_gone, to_rest = (
        KDTree(np.argwhere(each) * spacing).query(np.argwhere(~tissue) * spacing)[0]
        for each in (tissue & (level > 0), tissue & (level < 0))
    )

    divided = divide_air(level, tissue, spacing)

    np.testing.assert_array_equal(divided[tissue], level[tissue])
    between = np.asarray(to_rest - to_gone) / 2
    clear = np.abs(between) > spacing / 2  # nearer to the border smoothing may move it
    np.testing.assert_array_equal((divided[~tissue] > 0)[clear], (between > 0)[clear])
    np.testing.assert_allclose(divided[~tissue], between, atol=spacing)
    assert clear.mean() > 0.7


def test_the_border_in_the_air_is_smoother_than_the_skin_below_it() -> None:
    level, tissue = halves()
    air = divide_air(level, tissue, 3.0)[:, :, 12:]

    # unsmoothed the skin's steps go on into the air: 0.95 mm along the border
    assert np.abs(np.diff(air, 2, axis=1)).max() < 0.3


def test_pockets_within_the_head_stay_as_they_were() -> None:
    level, tissue = halves()
    pocket = (slice(4, 6), slice(4, 6), slice(2, 4))
    tissue[pocket], level[pocket] = False, 5.0

    divided = divide_air(level, tissue, 3.0)

    assert (divided[pocket] == 5.0).all()


@pytest.mark.parametrize("depth", [5.0, -5.0])
def test_where_all_goes_or_all_stays_there_is_nothing_to_divide(depth: float) -> None:
    level, tissue = halves()
    level[tissue] = depth

    np.testing.assert_array_equal(divide_air(level, tissue, 3.0), level)
