"""A mask that cannot be a face is held, each with its reason; a face of any size passes."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from deid_node.dicom.volume import Volume
from deid_node.errors import ImplausibleFaceMask
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.model import FaceEstimate
from deid_node.face.plausibility import judge
from tests.fakes.face import FakeFaceModel
from tests.fakes.head import every_order, head_volume, rotation, volume_of

Case = tuple[np.ndarray, FaceEstimate, Volume]


def case(volume: Volume | None = None) -> Case:
    volume = head_volume() if volume is None else volume
    estimate = FakeFaceModel().estimate(volume)
    return shape_mask(estimate, volume, MaskPolicy()), estimate, volume


def smaller(volume: Volume, share: float) -> Volume:
    affine = volume.affine.copy()
    affine[:3] *= share
    return replace(volume, affine=affine)


def turned_round(estimate: FaceEstimate, axis: int) -> FaceEstimate:
    return replace(
        estimate,
        face=np.flip(estimate.face, axis),
        ears=np.flip(estimate.ears, axis),
    )


@pytest.mark.parametrize(
    "share", [0.55, 0.75, 1.0, 1.15], ids=["newborn", "child", "adult", "large"]
)
def test_a_face_of_any_size_passes(share: float) -> None:
    mask, estimate, volume = case(smaller(head_volume(), share))

    judge(mask, estimate, volume)


def test_a_face_passes_in_any_order_of_voxels() -> None:
    volume = head_volume(turn=rotation(20, -10))

    model = FakeFaceModel(spacing_mm=6.0, scale=1.0)
    for turned, _, _ in islice(every_order(volume), 0, None, 5):
        estimate = model.estimate(turned)
        judge(shape_mask(estimate, turned, MaskPolicy()), estimate, turned)


def test_a_brain_that_ends_far_below_the_heads_top_is_held() -> None:
    mask, estimate, volume = case()
    brain = estimate.brain.copy()
    top = np.flatnonzero((brain > 0.5).any(axis=(0, 1)))[-1]
    brain[:, :, top - 2 :] = 0

    with pytest.raises(ImplausibleFaceMask, match="top"):
        judge(mask, replace(estimate, brain=brain), volume)


def test_a_face_cut_at_the_nose_passes() -> None:
    whole = head_volume()
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, 0] * 7
    # the estimate of the whole head, of which the lower quarter is outside the field of view
    _, estimate, _ = case(whole)
    volume = volume_of(whole.stored[7:], affine)
    mask = shape_mask(estimate, volume, MaskPolicy())

    judge(mask, estimate, volume)


@pytest.mark.parametrize("name", ["face", "ears", "brain"])
def test_an_estimate_that_is_not_a_number_is_held(name: str) -> None:
    mask, estimate, volume = case()
    array = getattr(estimate, name).copy()
    array[3, 3, 3] = np.nan

    with pytest.raises(ImplausibleFaceMask, match="not numbers"):
        judge(mask, replace(estimate, **{name: array}), volume)


@pytest.mark.parametrize(("slope", "why"), [(np.inf, "not finite"), (0.0, "slope is zero")])
def test_a_rescaling_that_cannot_be_undone_is_held(slope: float, why: str) -> None:
    mask, estimate, volume = case()
    broken = replace(volume, slope=np.full(len(volume.stored), slope))

    with pytest.raises(ImplausibleFaceMask, match=why):
        judge(mask, estimate, broken)


def test_no_brain_is_no_head() -> None:
    mask, estimate, volume = case()

    with pytest.raises(ImplausibleFaceMask, match="no brain was found"):
        judge(mask, replace(estimate, brain=np.zeros_like(estimate.brain)), volume)


@pytest.mark.parametrize("share", [0.3, 2.0])
def test_a_brain_of_no_human_size_is_held(share: float) -> None:
    mask, estimate, volume = case()
    affine = estimate.affine.copy()
    affine[:3] *= share

    with pytest.raises(ImplausibleFaceMask, match="a brain of no human size"):
        judge(mask, replace(estimate, affine=affine), smaller(volume, share))


@pytest.mark.parametrize("level", [0, 300], ids=["no signal", "even signal"])
def test_a_volume_without_contrast_is_held(level: int) -> None:
    mask, estimate, volume = case()
    even = replace(volume, stored=np.full_like(volume.stored, level))

    with pytest.raises(ImplausibleFaceMask, match="not brighter"):
        judge(mask, estimate, even)


def test_noise_is_held_though_a_model_sees_a_head_in_it() -> None:
    mask, estimate, volume = case()
    noise = np.random.default_rng(0).rayleigh(50, volume.stored.shape)

    with pytest.raises(ImplausibleFaceMask, match="not brighter"):
        judge(mask, estimate, replace(volume, stored=noise.astype(np.uint16)))


def test_a_brain_outside_the_volume_is_held() -> None:
    mask, estimate, volume = case()
    affine = estimate.affine.copy()
    affine[2, 3] += 900

    with pytest.raises(ImplausibleFaceMask, match="no voxel of the volume"):
        judge(mask, replace(estimate, affine=affine), volume)


def test_no_face_is_held() -> None:
    mask, estimate, volume = case()

    with pytest.raises(ImplausibleFaceMask, match="does not fit the brain in size"):
        judge(mask, replace(estimate, face=np.zeros_like(estimate.face)), volume)


def test_a_face_much_larger_than_the_brain_is_held() -> None:
    mask, estimate, volume = case()
    face = np.where(estimate.brain < 0.5, 1.0, 0.0).astype(np.float32)

    with pytest.raises(ImplausibleFaceMask, match="does not fit the brain in size"):
        judge(mask, replace(estimate, face=face), volume)


def test_a_guessed_face_is_held() -> None:
    mask, estimate, volume = case()

    with pytest.raises(ImplausibleFaceMask, match="is sure"):
        judge(mask, replace(estimate, face=estimate.face * np.float32(0.8)), volume)


def test_a_face_at_the_back_of_the_head_is_held() -> None:
    _, estimate, volume = case()
    behind = turned_round(estimate, 1)
    mask = shape_mask(behind, volume, MaskPolicy())

    with pytest.raises(ImplausibleFaceMask, match="ear would stay"):
        judge(mask, behind, volume)


def test_a_face_beside_the_head_is_held() -> None:
    _, estimate, volume = case()
    beside = replace(estimate, face=np.roll(estimate.face, 12, axis=0))
    mask = shape_mask(beside, volume, MaskPolicy())

    with pytest.raises(ImplausibleFaceMask, match="eye would be removed"):
        judge(mask, beside, volume)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_missing_ear_is_held_where_the_volume_holds_its_place(side: str) -> None:
    mask, estimate, volume = case()
    middle = len(estimate.ears) // 2
    ears = estimate.ears.copy()
    ears[slice(None, middle) if side == "left" else slice(middle, None)] = 0
    parts = {name: at for name, at in estimate.parts.items() if name != f"{side} ear"}
    one_eared = replace(estimate, ears=ears, parts=parts)
    mask = shape_mask(one_eared, volume, MaskPolicy())

    with pytest.raises(ImplausibleFaceMask, match=f"% of the {side} ear would be removed"):
        judge(mask, one_eared, volume)
    judge(mask, one_eared, volume, ears=False)


def without_ears(columns_cut: int) -> Case:
    whole = head_volume()
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, 2] * columns_cut
    volume = volume_of(whole.stored[:, :, columns_cut:-columns_cut].copy(), affine)
    _, estimate, _ = case(whole)
    estimate = replace(estimate, ears=np.zeros_like(estimate.ears))
    return shape_mask(estimate, volume, MaskPolicy()), estimate, volume


def test_missing_ears_pass_where_the_volume_ends_before_them() -> None:
    judge(*without_ears(11))


def test_where_ears_belong_grows_with_the_head() -> None:
    # the volume reaches 80 mm to the side: ears of this small head belong at 69 mm
    with pytest.raises(ImplausibleFaceMask, match="ear would be removed"):
        judge(*without_ears(6))


def test_an_empty_mask_is_held() -> None:
    mask, estimate, volume = case()

    with pytest.raises(ImplausibleFaceMask, match="nothing would be removed"):
        judge(np.zeros_like(mask), estimate, volume)


def test_a_tiny_mask_is_held() -> None:
    mask, estimate, volume = case()
    tiny = np.zeros_like(mask)
    tiny[3, 0, 20:30] = True

    with pytest.raises(ImplausibleFaceMask, match="of the volume would be removed"):
        judge(tiny, estimate, volume)


def test_a_mask_of_nearly_everything_is_held() -> None:
    mask, estimate, volume = case()

    with pytest.raises(ImplausibleFaceMask, match="of the volume would be removed"):
        judge(np.ones_like(mask), estimate, volume)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_that_leaves_out_the_outermost_slice_is_held(axis: int) -> None:
    mask, estimate, volume = case()
    inner, outer = (np.take(mask, n, axis).mean() for n in (1, 0))
    end = 0 if min(inner, outer) > 0.05 else -1
    index = [slice(None)] * 3
    index[axis] = end  # type: ignore[call-overload]
    mask = mask.copy()
    mask[tuple(index)] = False

    with pytest.raises(ImplausibleFaceMask, match="of an outermost slice"):
        judge(mask, estimate, volume)


def test_a_mask_that_touches_the_brain_is_held() -> None:
    mask, estimate, volume = case()
    touching = mask.copy()
    touching[19, 27:32, 22:26] = True

    with pytest.raises(ImplausibleFaceMask, match="part of the brain"):
        judge(touching, estimate, volume)


def test_a_mask_that_leaves_face_is_held() -> None:
    mask, estimate, volume = case()
    half = mask.copy()
    half[:, :, 24:] = False

    with pytest.raises(ImplausibleFaceMask, match="of the face that was found"):
        judge(half, estimate, volume)


def test_a_mask_with_something_before_it_is_held() -> None:
    mask, estimate, volume = case()
    closed = mask.copy()
    closed[::2, :2] = False

    with pytest.raises(ImplausibleFaceMask, match="reaches the edge of the volume in front"):
        judge(closed, estimate, volume)


def test_the_reason_holds_no_value_of_the_volume() -> None:
    mask, estimate, volume = case()
    marked = replace(volume, stored=np.full_like(volume.stored, 31337))

    with pytest.raises(ImplausibleFaceMask) as held:
        judge(mask, estimate, marked)

    assert "31337" not in str(held.value)
