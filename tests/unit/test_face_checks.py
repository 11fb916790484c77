"""What a mask leaves of a head is measured where a head drawn by geometry has it, and held."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.coverage import FEATURES, Coverage, check_coverage, measure
from deid_node.face.head_frame import PLACES, HeadFrame
from deid_node.face.head_samples import HeadSamples, sample_head
from deid_node.face.model import FaceEstimate
from deid_node.face.placement import check_placement
from deid_node.face.removal import Removal, check_removal, measure_removal
from deid_node.face.surface import Anchors, check_anchors, find_anchors
from tests.fakes.head import volume_of
from tests.unit.test_head_frame import parts_of, turn

if TYPE_CHECKING:
    from deid_node.dicom.volume import Volume

LEVEL = HeadFrame(origin=np.zeros(3), axes=np.eye(3), scale=1.0)
WALL_MM = -18.0


def head() -> HeadSamples:
    """Draw a flat face 24 mm before the globes, with a nose, a chin, ears; all before a wall removed."""
    axes = [np.arange(-102, 103, 3.0), np.arange(-126, 85, 3.0), np.arange(-141, 49, 3.0)]
    at = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    x, y, z = np.abs(at[0]), at[1], at[2]
    tissue = (x < 70) & (y < 24) & (z > -110)
    tissue |= (x < 11) & (y < 48) & (z > -45) & (z < -15)
    ear = (x < 85) & (y > -105) & (y < -70) & (z > -45) & (z < 10)
    tissue |= ear
    removed = (y > WALL_MM) & (z < 27) & (z > -126) | ((x > 68) & ear)
    return HeadSamples(at=at, tissue=tissue, removed=removed, seen=np.ones_like(tissue), level=0.5)


def put_back(whole: HeadSamples, middle: tuple[float, float, float], mm: float) -> HeadSamples:
    away = whole.at - np.array(middle, np.float32)[:, None, None, None]
    return replace(whole, removed=whole.removed & ((away**2).sum(axis=0) >= mm**2))


def judge_coverage(samples: HeadSamples, *, ears: bool = True) -> None:
    check_coverage(measure(samples, LEVEL, parts_of(LEVEL)), ears=ears)


def test_a_mask_that_takes_the_face_takes_every_feature() -> None:
    coverage = measure(head(), LEVEL, parts_of(LEVEL))

    assert set(coverage.features) == set(FEATURES)
    assert min(coverage.features[name] for name in FEATURES[:4]) == 1
    assert min(coverage.features.values()) > 0.9
    assert coverage.retreated == 1
    assert coverage.chin == 1
    judge_coverage(head())


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_that_stays_is_held_by_name(name: str) -> None:
    with pytest.raises(ImplausibleFaceMask, match=f"of the {name} would be removed"):
        judge_coverage(put_back(head(), PLACES[name], 15))


def test_half_a_ball_put_back_is_half_a_feature() -> None:
    whole = head()
    half = replace(whole, removed=whole.removed & (whole.at[0] < PLACES["right eye"][0]))

    assert measure(half, LEVEL, {}).features["right eye"] == pytest.approx(0.5, abs=0.1)


def test_ears_may_stay_where_they_are_not_asked_for() -> None:
    judge_coverage(put_back(head(), PLACES["right ear"], 15), ears=False)


def test_a_feature_is_looked_for_where_it_was_found_but_not_far_from_its_place() -> None:
    moved = put_back(head(), (31.5, -1.0, 9.0), 6)
    near = LEVEL.to_patient(np.array([31.5, -1.0, 9.0]))
    far = LEVEL.to_patient(np.array([31.5, -1.0, 45.0]))

    at_place = measure(moved, LEVEL, {}).features["right eye"]
    found = measure(moved, LEVEL, {"right eye": near}).features["right eye"]

    assert found < at_place
    assert measure(moved, LEVEL, {"right eye": far}).features["right eye"] == at_place


def test_a_feature_outside_the_field_of_view_is_not_asked_for() -> None:
    whole = head()
    seen = whole.at[2] > -65  # a third of the mouth is in view, too little to judge it by
    cut = replace(whole, seen=seen, tissue=whole.tissue & seen)

    assert "mouth" not in measure(cut, LEVEL, {}).features


def test_a_strip_of_skin_between_the_features_is_held() -> None:
    whole = head()
    strip = (np.abs(whole.at[2] + 49) < 5) & (whole.at[1] < 24)

    with pytest.raises(ImplausibleFaceMask, match="of the face's surface would stay"):
        judge_coverage(replace(whole, removed=whole.removed & ~strip))


def test_a_chin_that_stays_is_held() -> None:
    whole = head()
    chin = (whole.at[2] < -90) & (whole.at[1] < 24)

    with pytest.raises(ImplausibleFaceMask, match="of the chin's surface would stay"):
        judge_coverage(replace(whole, removed=whole.removed & ~chin))


def test_a_ray_through_a_cut_face_meets_no_skin() -> None:
    whole = head()
    hollow = (np.abs(whole.at[0]) < 20) & (whole.at[1] > -40) & (np.abs(whole.at[2] + 28) < 20)
    seen = whole.at[1] < 9
    cut = replace(whole, seen=seen, tissue=whole.tissue & seen & ~hollow)

    assert measure(cut, LEVEL, {}).retreated == 1


def test_too_few_rays_tell_nothing() -> None:
    whole = head()

    coverage = measure(replace(whole, tissue=np.zeros_like(whole.tissue)), LEVEL, {})

    assert coverage == Coverage(features={}, retreated=None, chin=None)
    check_coverage(coverage)


def test_volume_and_mask_are_read_where_the_head_lies() -> None:
    frame = HeadFrame(origin=np.array([8.0, -5.0, 12.0]), axes=turn(20, 0, 15).T, scale=0.9)
    shape, edge = (100, 100, 100), 3.0
    affine = np.diag([-edge, -edge, edge, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    index = np.moveaxis(np.indices(shape), 0, -1)
    at = frame.to_head((index @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1])
    rng = np.random.default_rng(0)
    ball = ((at - [0, 2, -28]) ** 2).sum(-1) < 60**2
    stored = (ball * 900 + rng.rayleigh(30, shape)).astype(np.int16)

    samples = sample_head(at[..., 0] > 0, volume_of(stored, affine), frame)

    inside = ((samples.at - np.array([0, 2, -28])[:, None, None, None]) ** 2).sum(axis=0)
    assert samples.tissue[inside < 55**2].all()
    assert samples.tissue[inside > 66**2].mean() < 0.01
    assert samples.removed[(samples.at[0] > 3) & samples.seen].all()
    assert not samples.removed[samples.at[0] < -3].any()


def test_brow_and_nose_are_found_on_the_skin() -> None:
    anchors = find_anchors(head())

    assert anchors.brow_mm == pytest.approx(20, abs=3)
    assert anchors.nose_mm == pytest.approx(-30, abs=3)
    check_anchors(anchors)


def rolled(whole: HeadSamples, axis: int, steps: int) -> HeadSamples:
    return replace(whole, tissue=np.roll(whole.tissue, steps, axis))


@pytest.mark.parametrize(
    ("axis", "steps", "name"), [(1, -6, "brow"), (1, 7, "brow"), (2, -7, "nose"), (2, 7, "nose")]
)
def test_a_frame_that_the_skin_contradicts_is_held(axis: int, steps: int, name: str) -> None:
    with pytest.raises(ImplausibleFaceMask, match=f"the skin has its {name} elsewhere"):
        check_anchors(find_anchors(rolled(head(), axis, steps)))


def test_skin_that_the_field_of_view_cuts_off_tells_nothing() -> None:
    whole = head()
    seen = whole.at[1] < 9

    cut = find_anchors(replace(whole, seen=seen, tissue=whole.tissue & seen))

    assert cut == Anchors(brow_mm=None, nose_mm=None)
    check_anchors(cut)


def test_a_face_without_a_ridge_has_no_nose_to_find() -> None:
    whole = head()

    assert find_anchors(replace(whole, tissue=whole.tissue & (whole.at[1] < 24))).nose_mm is None


def test_a_mask_alike_on_both_sides_passes() -> None:
    removal = measure_removal(head())

    assert removal.symmetry == pytest.approx(1)
    assert max(removal.ears_left.values()) < 0.1
    assert removal.behind_ml == 0
    check_removal(removal)


def test_a_mask_of_one_side_is_held() -> None:
    whole = head()
    one = replace(whole, removed=whole.removed & ((whole.at[0] > -20) | (whole.at[1] < -40)))

    with pytest.raises(ImplausibleFaceMask, match="on one side than on the other"):
        check_removal(measure_removal(one))


def test_a_side_outside_the_field_of_view_is_not_missed() -> None:
    whole = head()
    seen = whole.at[0] > -30
    cut = replace(whole, seen=seen, tissue=whole.tissue & seen, removed=whole.removed & seen)

    removal = measure_removal(cut)

    assert removal.symmetry == pytest.approx(1)
    assert set(removal.ears_left) == {"right ear"}


@pytest.mark.parametrize(("side", "name"), [(1, "right ear"), (-1, "left ear")])
def test_half_an_ear_is_held(side: int, name: str) -> None:
    whole = head()
    upper = (whole.at[0] * side > 60) & (whole.at[2] > -18) & (whole.at[1] < -40)
    removal = measure_removal(replace(whole, removed=whole.removed & ~upper))

    with pytest.raises(ImplausibleFaceMask, match=f"of the {name} would stay"):
        check_removal(removal)
    check_removal(removal, ears=False)


def test_tissue_behind_the_face_is_held() -> None:
    whole = head()
    back = (whole.at[1] < -60) & (whole.at[1] > -80) & (np.abs(whole.at[0]) < 30)

    with pytest.raises(ImplausibleFaceMask, match="far behind the face"):
        check_removal(measure_removal(replace(whole, removed=whole.removed | back)))


def test_nothing_removed_is_neither_even_nor_uneven() -> None:
    whole = head()

    removal = measure_removal(replace(whole, removed=np.zeros_like(whole.removed)))

    assert removal == Removal(
        symmetry=None, ears_left={"right ear": 1.0, "left ear": 1.0}, behind_ml=0
    )


def estimate(
    parts: dict[str, np.ndarray], *, settled: bool = True, scale: float = 1.0
) -> FaceEstimate:
    nothing = np.zeros((2, 2, 2), np.float32)
    return FaceEstimate(
        face=nothing,
        ears=nothing,
        brain=nothing,
        affine=np.eye(4),
        parts=parts,
        frame=replace(LEVEL, scale=scale),
        settled=settled,
    )


def wide(*, front: float = 90.0) -> Volume:
    """Lay a field of view from -150 mm to 150 mm, to the front only to `front`."""
    shape = (75, 75, round((front + 150) / 4))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-4.0, 0, 0], [0, 0, -4.0], [0, 4.0, 0]])
    affine[:3, 3] = [150, 150, -150]
    return volume_of(np.zeros(shape, np.int16), affine)


def test_parts_in_their_places_pass() -> None:
    told = estimate(parts_of(LEVEL))

    assert check_placement(told, wide()) is told.frame


def test_looks_that_disagree_are_held() -> None:
    with pytest.raises(ImplausibleFaceMask, match="two looks"):
        check_placement(estimate(parts_of(LEVEL), settled=False), wide())


@pytest.mark.parametrize("scale", [0.4, 1.4])
def test_a_head_of_no_human_size_is_held(scale: float) -> None:
    with pytest.raises(ImplausibleFaceMask, match="no human size"):
        check_placement(estimate(parts_of(LEVEL), scale=scale), wide())


def test_too_little_of_a_head_is_held() -> None:
    with pytest.raises(ImplausibleFaceMask, match="too little of a head"):
        check_placement(replace(estimate({}), frame=None), wide())


@pytest.mark.parametrize("name", ["right eye", "left eye", "nose"])
def test_a_part_that_must_be_there_and_is_not_is_held(name: str) -> None:
    with pytest.raises(ImplausibleFaceMask, match=f"the {name} was not found"):
        check_placement(estimate(parts_of(LEVEL, name)), wide())


def test_a_part_outside_the_field_of_view_is_not_missed() -> None:
    check_placement(estimate(parts_of(LEVEL, "nose")), wide(front=30.0))


@pytest.mark.parametrize(("name", "mm"), [("left eye", 12.0), ("nose", 26.0), ("brain", 60.0)])
def test_a_part_far_from_its_place_is_held(name: str, mm: float) -> None:
    parts = parts_of(LEVEL)
    parts[name] = parts[name] + np.array([0, 0, mm])

    with pytest.raises(ImplausibleFaceMask, match=f"the {name} lies too far"):
        check_placement(estimate(parts), wide())
