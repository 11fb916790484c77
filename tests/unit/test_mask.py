"""The shape of what is removed: whole, open to the front, off the brain, same in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from deid_node.errors import SettingsInvalid
from deid_node.face.grid import body_axes, extent, to_body
from deid_node.face.mask import MaskPolicy, _cover, _nearest_seen, shape_mask
from deid_node.face.model import FaceEstimate
from deid_node.face.shrunk import shrink
from deid_node.face.voxels import positive
from tests.fakes.face import FakeFaceModel
from tests.fakes.head import every_order, head_volume, in_first_order, rotation, volume_of

if TYPE_CHECKING:
    from deid_node.dicom.volume import Volume

POLICY = MaskPolicy()


def read(probability: np.ndarray, estimate: FaceEstimate, volume: Volume) -> np.ndarray:
    """Interpolate a class at every voxel: the tests' own way, through LPS."""
    index = np.indices(volume.stored.shape).reshape(3, -1)
    lps = volume.affine[:3, :3] @ index + volume.affine[:3, 3:]
    inverse = np.linalg.inv(estimate.affine)
    at = inverse[:3, :3] @ lps + inverse[:3, 3:]
    values = ndimage.map_coordinates(probability, at, order=1)
    return np.asarray(values).reshape(volume.stored.shape)


def voxel_places(volume: Volume) -> np.ndarray:
    index = np.indices(volume.stored.shape).reshape(3, -1)
    places = volume.affine[:3, :3] @ index + volume.affine[:3, 3:]
    return np.asarray(places).reshape(3, *volume.stored.shape)


@pytest.fixture(scope="module", params=["straight", "oblique"])
def volume(request: pytest.FixtureRequest) -> Volume:
    return head_volume(turn=rotation(18, -12) if request.param == "oblique" else None)


@pytest.fixture(scope="module")
def estimate(volume: Volume) -> FaceEstimate:
    return FakeFaceModel().estimate(volume)


@pytest.fixture(scope="module")
def mask(volume: Volume, estimate: FaceEstimate) -> np.ndarray:
    return shape_mask(estimate, volume, POLICY)


def test_all_that_is_face_or_ears_is_masked(
    volume: Volume, estimate: FaceEstimate, mask: np.ndarray
) -> None:
    face = read(estimate.face + estimate.ears, estimate, volume) > 0.5
    off_brain = read(ndimage.maximum_filter(estimate.brain, 5), estimate, volume) < 0.1

    assert mask.dtype == bool
    assert mask.shape == volume.stored.shape
    assert mask[face & off_brain].mean() > 0.995


def test_no_brain_is_masked_nor_anything_near_it(
    volume: Volume, estimate: FaceEstimate, mask: np.ndarray
) -> None:
    brain = np.argwhere(estimate.brain > 0.5) @ estimate.affine[:3, :3].T + estimate.affine[:3, 3]
    masked = voxel_places(volume).reshape(3, -1).T[mask.ravel()]

    nearest = min(np.linalg.norm(masked - place, axis=1).min() for place in brain[::7])

    assert not (read(estimate.brain, estimate, volume)[mask] > 0.5).any()
    assert nearest >= POLICY.brain_guard_mm


def test_the_guard_of_the_ears_is_their_own() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)
    broad = ndimage.maximum_filter(estimate.brain, (13, 1, 9))
    brain = broad * (estimate.ears < 0.1) * (estimate.face < 0.1)

    near, far = (
        shape_mask(
            replace(estimate, brain=brain),
            volume,
            MaskPolicy(brain_guard_mm=12.0, ear_guard_mm=guard),
        )
        for guard in (1.0, 8.0)
    )

    ears = read(estimate.ears, estimate, volume) > 0.9
    assert near[ears].mean() > far[ears].mean() + 0.04
    face = read(estimate.face, estimate, volume) > 0.9
    np.testing.assert_array_equal(near[face], far[face])


@pytest.mark.parametrize("turn", [0.0, 14.0], ids=["straight", "slanted"])
def test_the_border_in_the_air_leaves_the_skin_at_right_angles(turn: float) -> None:
    volume = head_volume(turn=rotation(degrees_x=turn))
    mask = shape_mask(FakeFaceModel().estimate(volume), volume, POLICY)
    tissue = ndimage.gaussian_filter(volume.stored.astype(float), 1) > 150

    # as far from what is removed as from what stays, wherever it runs
    border = mask & ndimage.binary_dilation(~mask) & ~tissue
    to_gone, to_rest = (
        ndimage.distance_transform_edt(~each, sampling=volume.spacing_mm())
        for each in (tissue & mask, tissue & ~mask)
    )
    aslant = np.abs(to_gone - to_rest)[border] > 2 * volume.spacing_mm().max()
    assert border.sum() > 1000
    assert aslant.mean() < 0.005


def test_the_mask_is_open_to_the_front(volume: Volume, estimate: FaceEstimate) -> None:
    mask = shape_mask(estimate, volume, MaskPolicy(ears=False))

    to_front = to_body(mask, body_axes(volume.affine))
    begun = np.maximum.accumulate(to_front, axis=1)

    # an oblique volume's lines run slightly aslant of the mask's
    assert to_front[begun].mean() > 0.9
    assert begun.any()


def test_the_mask_ends_at_the_edge_of_the_volume_and_not_along_the_skin() -> None:
    volume = head_volume()
    mask = shape_mask(FakeFaceModel().estimate(volume), volume, POLICY)

    right, front, top = (
        np.moveaxis(to_body(mask, body_axes(volume.affine)), a, 0) for a in range(3)
    )

    assert front[-1].any()
    assert right[0].any()
    assert right[-1].any()
    assert top[0].any()
    # every masked voxel of air leads out of the volume without leaving the mask
    air = to_body(volume.stored < 200, body_axes(volume.affine))
    body = to_body(mask, body_axes(volume.affine))
    out_front = np.flip(np.logical_and.accumulate(np.flip(body, 1), axis=1), 1)
    out_sides = np.logical_and.accumulate(body, 0) | np.flip(
        np.logical_and.accumulate(np.flip(body, 0), axis=0), 0
    )
    out_down = np.logical_and.accumulate(body, 2)
    assert (out_front | out_sides | out_down)[body & air].mean() > 0.99


def test_what_lies_across_the_air_below_the_ears_stays() -> None:
    """A shoulder below the ear is neither: the air between them is shared out."""
    volume = head_volume()
    places = voxel_places(volume)
    shoulder = (np.abs(places[0]) > 85) & (places[2] < -82)
    volume.stored[shoulder] = 500

    mask = shape_mask(FakeFaceModel().estimate(volume), volume, MaskPolicy(margin_mm=6.0))

    assert shoulder.sum() > 1000
    assert not mask[shoulder].any()


def test_every_order_of_the_voxels_gives_the_same_mask() -> None:
    volume = head_volume(turn=rotation(9, 14))
    model = FakeFaceModel(spacing_mm=6.0)
    first = shape_mask(model.estimate(volume), volume, POLICY)

    for turned, order, flips in every_order(volume):
        mask = shape_mask(model.estimate(turned), turned, POLICY)
        np.testing.assert_array_equal(in_first_order(mask, order, flips), first)


def test_the_estimate_may_run_either_way_round() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)
    affine = estimate.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (estimate.face.shape[0] - 1)
    affine[:3, 0] *= -1
    flipped = replace(
        estimate,
        face=estimate.face[::-1],
        ears=estimate.ears[::-1],
        brain=estimate.brain[::-1],
        affine=affine,
    )

    one, two = (shape_mask(each, volume, POLICY) for each in (estimate, flipped))

    assert (one != two).mean() < 1e-4


def test_an_estimate_of_the_middle_is_carried_to_the_edges() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)
    cut = 8
    inner = (slice(cut, -cut),) * 3
    affine = estimate.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.full(3, cut)
    small = FaceEstimateCut(estimate, inner, affine)

    mask = shape_mask(small, volume, POLICY)

    front = to_body(mask, body_axes(volume.affine))[:, -1]
    assert front.any()


def FaceEstimateCut(  # noqa: N802 - reads as the value it makes
    estimate: FaceEstimate, box: tuple[slice, ...], affine: np.ndarray
) -> FaceEstimate:
    return replace(
        estimate,
        face=estimate.face[box],
        ears=estimate.ears[box],
        brain=estimate.brain[box],
        affine=affine,
    )


def test_a_nose_that_is_cut_off_does_not_float() -> None:
    volume = head_volume()
    places = voxel_places(volume)
    x, y, z = places[0], places[1], places[2]
    foot = (np.abs(x) < 12) & (y > -114) & (y < -60) & (z > -10) & (z < 12)
    tip = (np.abs(x) < 12) & (y < -105) & (z > -10) & (z < 50)
    volume.stored[foot | tip] = 500
    # the estimate ends below the tip, which would stand in the air before the forehead
    mask = shape_mask(FakeFaceModel().estimate(volume), volume, POLICY)

    left = (volume.stored > 200) & ~mask
    labels, n = ndimage.label(left)
    sizes = np.bincount(labels.ravel())[1:]

    assert n >= 1
    assert np.sort(sizes)[:-1].sum() <= 2
    assert mask[tip].all()
    # what floats is masked by itself: nothing before the ears or elsewhere goes with it
    plain = shape_mask(FakeFaceModel().estimate(volume), head_volume(), POLICY)
    deep = ndimage.binary_erosion(volume.stored > 200)
    assert not (mask & ~plain & (np.abs(x) > 40) & deep).any()


def test_specks_of_face_are_not_removed() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)
    face = estimate.face.copy()
    speck = np.argwhere(estimate.brain > 0.5).max(axis=0) - [14, 26, 0]
    speck[1] = 6
    face[tuple(speck)] = 1.0

    with_speck = shape_mask(replace(estimate, face=face), volume, POLICY)

    np.testing.assert_array_equal(with_speck, shape_mask(estimate, volume, POLICY))


def test_a_wider_margin_only_adds() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)

    narrow, wide = (
        shape_mask(estimate, volume, MaskPolicy(margin_mm=margin)) for margin in (0.0, 6.0)
    )

    assert (wide & ~narrow).any()
    assert not (narrow & ~wide).any()


@settings(max_examples=15)
@given(guard=st.floats(1, 12), margin=st.floats(0, 12))
def test_no_policy_reaches_the_brain(guard: float, margin: float) -> None:
    volume = head_volume()
    estimate = FakeFaceModel(spacing_mm=6.0).estimate(volume)

    mask = shape_mask(estimate, volume, MaskPolicy(margin_mm=margin, brain_guard_mm=guard))

    assert mask.any()
    assert not (read(estimate.brain, estimate, volume)[mask] > 0.5).any()


def test_ears_can_be_left() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)

    mask = shape_mask(estimate, volume, MaskPolicy(ears=False))

    ears = read(estimate.ears, estimate, volume) > 0.9
    assert ears.any()
    assert mask[ears].mean() < 0.05


def test_an_estimate_without_face_masks_nothing() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)
    nothing = np.zeros_like(estimate.face)

    mask = shape_mask(replace(estimate, face=nothing, ears=nothing), volume, POLICY)

    assert not mask.any()


@pytest.mark.parametrize(
    "lengths",
    [
        {"margin_mm": -1},
        {"margin_mm": 21},
        {"margin_mm": float("nan")},
        {"brain_guard_mm": 0.5},
        {"brain_guard_mm": 21},
        {"ear_guard_mm": 0.5},
        {"ear_guard_mm": 21},
    ],
)
def test_lengths_out_of_bounds_are_refused(lengths: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid, match=next(iter(lengths))):
        MaskPolicy(**lengths)


def test_the_guard_of_the_face_shrinks_with_the_head() -> None:
    volume = head_volume()
    estimate = FakeFaceModel().estimate(volume)
    assert estimate.frame is not None
    small = replace(estimate, frame=replace(estimate.frame, scale=estimate.frame.scale / 2))

    guarded, half, same = (
        shape_mask(each, volume, MaskPolicy(brain_guard_mm=guard, ears=False))
        for each, guard in ((estimate, 12.0), (small, 12.0), (estimate, 6.0))
    )

    np.testing.assert_array_equal(half, same)
    assert half.sum() > guarded.sum()


@pytest.mark.parametrize("turn", [0.0, 14.0], ids=["straight", "slanted"])
def test_ears_at_the_edge_of_the_field_of_view_do_not_meet_below_the_head(turn: float) -> None:
    whole = head_volume(turn=rotation(degrees_x=turn))
    estimate = FakeFaceModel().estimate(whole)
    first = 12  # the lowest slices are cut off: the field of view ends among the ears
    affine = whole.affine.copy()
    affine[:3, 3] += first * affine[:3, 0]
    cut = volume_of(whole.stored[first:], affine)

    mask = shape_mask(estimate, cut, MaskPolicy())

    lps = voxel_places(cut)
    inner_neck = (np.abs(lps[0]) < 40) & (lps[1] > -20)
    assert mask.any()
    assert not mask[inner_neck].any()


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 6), slices=st.integers(20, 60))
def test_no_slice_falls_off_the_edge_of_the_grid_by_rounding(
    seed: int, steps: int, slices: int
) -> None:
    # Slices that fall on the grid's own planes, the outermost on its very edge.
    rng = np.random.default_rng(seed)
    spacing_mm = 3.2
    affine = np.eye(4)
    sagittal = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    affine[:3, :3] = sagittal * [steps * spacing_mm / 2, 25.0, 25.0]
    affine[:3, 3] = rng.normal(size=3) * 20 - affine[:3, :3] @ [slices / 2, 3.5, 3.5]
    volume = volume_of(np.zeros((slices, 8, 8), np.uint16), affine)
    low, _ = extent(volume.affine, volume.stored.shape)
    own = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    own[:3, 3] = (low - spacing_mm * rng.integers(0, 4, 3)) * [-1, -1, 1]
    nothing = np.zeros((9, 9, 9), np.float32)
    estimate = FaceEstimate(
        face=nothing, ears=nothing, brain=nothing, affine=own, parts={}, frame=None, settled=False
    )

    grid = _cover(estimate, volume)

    assert positive(np.ones(grid.shape, np.float32), grid, volume).all()


@pytest.mark.parametrize(("margin_mm", "guard_mm"), [(0, 1), (20, 1), (0, 20)])
def test_distances_that_are_left_out_do_not_matter(
    margin_mm: float, guard_mm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = head_volume()
    policy = MaskPolicy(margin_mm=margin_mm, brain_guard_mm=guard_mm)
    estimate = FakeFaceModel(spacing_mm=2.5).estimate(volume)
    mask = shape_mask(estimate, volume, policy)
    monkeypatch.setattr("deid_node.face.mask.REACH", 1000)

    np.testing.assert_array_equal(mask, shape_mask(estimate, volume, policy))


@pytest.mark.parametrize("spacing_mm", [4.0, 9.0], ids=["of the grid", "of another grid"])
def test_what_the_model_saw_changes_nothing(
    volume: Volume, estimate: FaceEstimate, mask: np.ndarray, spacing_mm: float
) -> None:
    seen = shrink(volume, spacing_mm)

    with_seen = shape_mask(replace(estimate, seen=seen), volume, POLICY)

    np.testing.assert_array_equal(with_seen, mask)


def test_what_the_model_saw_is_not_read_again(
    volume: Volume, estimate: FaceEstimate, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = shrink(volume, 4.0)
    monkeypatch.setattr("deid_node.face.mask.shrink", None)

    assert shape_mask(replace(estimate, seen=seen), volume, POLICY).any()


@pytest.mark.parametrize("turn", [0.0, 12.0], ids=["straight", "slanted"])
def test_what_lies_outside_the_field_of_view_is_that_of_the_nearest_voxel_within(
    turn: float,
) -> None:
    volume = head_volume(turn=rotation(degrees_x=turn))
    grid = _cover(FakeFaceModel(spacing_mm=8.0).estimate(volume), volume)
    at = np.linalg.inv(volume.affine) @ grid.affine
    index = np.indices(grid.shape).reshape(3, -1)
    voxel = at[:3, :3] @ index + at[:3, 3:]
    rim = np.maximum(0, (8.0 / volume.spacing_mm() - 1) / 2)[:, None]
    top = np.array(volume.stored.shape)[:, None] - 1
    seen = np.asarray(((voxel > rim - 1e-6) & (voxel < top - rim + 1e-6)).all(axis=0))

    nearest = _nearest_seen(volume, grid).ravel()

    assert 0.2 < seen.mean() < 1
    assert seen[nearest].all()
    np.testing.assert_array_equal(nearest[seen], np.flatnonzero(seen))
    steps = np.linalg.norm(index[:, nearest] - index, axis=0)
    for unseen in np.flatnonzero(~seen)[::17]:
        least = np.linalg.norm(index[:, seen] - index[:, [unseen]], axis=0).min()
        assert steps[unseen] == pytest.approx(least)
