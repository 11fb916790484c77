"""An imported model looks beside the default one: nothing stays that either names, and gross doubt holds."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from pydicom import dcmread
from scipy import ndimage

from deid_node.dicom.pixels import pixel_words
from deid_node.dicom.series import Series
from deid_node.dicom.volume import stack
from deid_node.errors import ModelsDisagree
from deid_node.face.array_order import ArrayOrder
from deid_node.face.joint import FAR_ML, face_mask
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.model import Found, ModelCard
from deid_node.face.neighbourhood import AIR_MM, MARGIN_MM, neighbourhood
from deid_node.face.nnunet.imported import Meaning
from deid_node.face.paired import PairedModel
from deid_node.face.shrunk import Shrunk, shrink
from deid_node.pipeline.deidentify import deidentify
from tests.fakes.face import FakeFaceModel
from tests.fakes.head import head_volume
from tests.fakes.recipe import recipe_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate

POLICY = MaskPolicy()
CARD = ModelCard(name="paper", version="abc", sha256="1" * 64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FakeSegmenter:
    """Answers with labels that lie like the volume, in the order that it was asked in."""

    labels: NDArray[np.uint8]
    order: ArrayOrder
    volume: Volume
    asked: list[NDArray[np.bool_] | None] = field(default_factory=list)

    def segment(
        self,
        image: NDArray[np.float32],
        spacing_mm: tuple[float, ...],
        near: NDArray[np.bool_] | None,
    ) -> NDArray[np.uint8]:
        assert len(spacing_mm) == 3
        self.asked.append(near)
        answer = np.ascontiguousarray(self.order.turned(self.labels, self.volume))
        assert answer.shape == image.shape
        return answer


def face_of(volume: Volume, policy: MaskPolicy = POLICY) -> NDArray[np.bool_]:
    """Give what the default model alone would remove."""
    return shape_mask(FakeFaceModel().estimate(volume), volume, policy)


def joined(
    volume: Volume,
    face: NDArray[np.bool_],
    ears: NDArray[np.bool_] | None = None,
    policy: MaskPolicy = POLICY,
    far_ml: float = 0.0,
) -> NDArray[np.bool_]:
    estimate = FakeFaceModel().estimate(volume)
    found = Found(name="paper", face=face, ears=ears, far_ml=far_ml)
    return face_mask(replace(estimate, found=found), volume, policy)


def ball(volume: Volume, middle_ras: tuple[float, float, float], mm: float) -> NDArray[np.bool_]:
    """Mark the voxels round a place, in mm to the right, front and top of the middle."""
    index = np.indices(volume.stored.shape).reshape(3, -1)
    lps = volume.affine[:3, :3] @ index + volume.affine[:3, 3:]
    away = lps - np.array(middle_ras)[:, None] * np.array([[-1.0], [-1], [1]])
    return np.asarray(((away**2).sum(axis=0) < mm**2).reshape(volume.stored.shape))


@pytest.fixture(scope="module")
def volume() -> Volume:
    return head_volume()


def test_nothing_that_the_default_model_removes_stays(volume: Volume) -> None:
    alone = face_of(volume)
    shallow = alone & ~ball(volume, (40.0, 42.0, -80.0), 30.0)

    mask = joined(volume, shallow, shallow)

    assert (alone & ~shallow).any()
    assert mask[alone].all()


def test_what_only_the_imported_model_names_goes_too(volume: Volume) -> None:
    alone = face_of(volume)
    scattered = np.indices(alone.shape).sum(axis=0) % 3 == 0
    more = ball(volume, (30.0, 20.0, -75.0), 25.0) & ~alone & scattered

    mask = joined(volume, alone | more, alone)

    assert more.sum() > 5
    assert mask[more].all()


def test_no_voxel_near_the_brain_goes_whatever_the_imported_model_names(volume: Volume) -> None:
    brain = ball(volume, (0.0, 0.0, 40.0), 15.0)

    mask = joined(volume, face_of(volume) | brain)

    assert brain.any()
    assert not (mask & brain).any()


def test_a_mask_that_takes_much_brain_is_of_another_head(volume: Volume) -> None:
    brain = ball(volume, (0.0, 0.0, 40.0), 30.0)

    with pytest.raises(ModelsDisagree, match="ml of brain"):
        joined(volume, face_of(volume) | brain)


def test_a_mask_that_takes_much_tissue_far_from_the_face_waits_for_a_person(
    volume: Volume,
) -> None:
    face = face_of(volume)

    assert joined(volume, face, far_ml=FAR_ML).any()
    with pytest.raises(ModelsDisagree, match="24 ml of tissue far from the face"):
        joined(volume, face, far_ml=24.0)


@pytest.mark.parametrize("found", ["nothing", "no nose", "no left ear", "mirrored"])
def test_an_imported_model_that_misses_a_feature_is_not_believed(
    volume: Volume, found: str
) -> None:
    face = face_of(volume)
    if found == "nothing":
        face = np.zeros_like(face)
    elif found == "mirrored":
        face = ArrayOrder("RAS").restored(ArrayOrder("RPS").turned(face, volume), volume)
    else:
        where = {"no nose": (0.0, 95.0, -45.0), "no left ear": (-76.0, -18.0, -44.0)}[found]
        face = face & ~ball(volume, where, 40.0)

    with pytest.raises(ModelsDisagree):
        joined(volume, face, face)


def test_a_model_without_ears_is_not_asked_for_them(volume: Volume) -> None:
    alone = face_of(volume)
    without = face_of(volume, MaskPolicy(ears=False))

    assert joined(volume, without, None)[alone].all()
    with pytest.raises(ModelsDisagree, match="ear"):
        joined(volume, without, without)


def test_ears_stay_where_the_policy_keeps_them(volume: Volume) -> None:
    keep = MaskPolicy(ears=False)
    ears = ball(volume, (76.0, -18.0, -44.0), 15.0) & ~face_of(volume, keep)

    mask = joined(volume, face_of(volume, keep), ears, keep)

    assert ears.any()
    assert not (mask & ears).any()


def test_no_head_of_the_default_model_is_never_passed(volume: Volume) -> None:
    estimate = replace(FakeFaceModel().estimate(volume), frame=None)
    found = Found(name="paper", face=face_of(volume), ears=None)

    with pytest.raises(ModelsDisagree, match="found no head"):
        face_mask(replace(estimate, found=found), volume, POLICY)


def test_the_neighbourhood_holds_all_of_face_and_ears_and_little_more(volume: Volume) -> None:
    estimate = FakeFaceModel().estimate(volume)

    near = neighbourhood(estimate, volume)

    grid = np.argwhere((estimate.face > 0.5) | (estimate.ears > 0.5))
    to_voxel = np.linalg.inv(volume.affine) @ estimate.affine
    at = np.rint(grid @ to_voxel[:3, :3].T + to_voxel[:3, 3]).astype(int)
    within = ((at >= 0) & (at < near.shape)).all(axis=1)
    assert near[tuple(at[within].T)].all()
    marked = np.zeros(near.shape, bool)
    marked[tuple(at[within].T)] = True
    far = ndimage.distance_transform_edt(~marked, sampling=volume.spacing_mm())
    assert far[near].max() < MARGIN_MM + 8  # a voxel and a half of this volume
    assert near.mean() < 0.8


def test_air_far_from_the_patient_is_no_neighbourhood_but_what_is_dark_inside_is(
    volume: Volume,
) -> None:
    estimate = FakeFaceModel().estimate(volume)
    everywhere = neighbourhood(estimate, volume)
    body = np.argwhere(estimate.face > 0.5)
    low, high = body.min(axis=0), body.max(axis=0)
    front = (low[1] + 2 * high[1]) // 3
    hole = (low + np.array([high[0], front, high[2]])) // 2
    shown = np.zeros(estimate.face.shape, np.float32)
    shown[low[0] : high[0], low[1] : front, low[2] : high[2]] = 9
    shown[tuple(slice(n - 3, n + 4) for n in hole)] = 0
    seen = Shrunk(
        values=shown, affine=estimate.affine, spacing_mm=float(abs(estimate.affine[0, 0]))
    )

    near = neighbourhood(replace(estimate, seen=seen), volume)

    to_grid = np.linalg.inv(estimate.affine) @ volume.affine
    index = np.indices(near.shape).reshape(3, -1)[:, near.ravel()]
    foremost = (to_grid[:3, :3] @ index + to_grid[:3, 3:])[1].max()
    assert (foremost - front) * seen.spacing_mm < AIR_MM + seen.spacing_mm
    assert not (near & ~everywhere).any()
    dark = np.linalg.inv(to_grid) @ [*hole, 1]
    assert near[tuple(np.rint(dark[:3]).astype(int))]


def test_a_volume_without_a_face_has_no_neighbourhood_and_is_never_passed(volume: Volume) -> None:
    estimate = FakeFaceModel().estimate(volume)
    nothing = replace(
        estimate, face=np.zeros_like(estimate.face), ears=np.zeros_like(estimate.ears)
    )

    class Blind:
        card = FakeFaceModel().card

        def estimate(self, _volume: Volume) -> object:
            return nothing

    segmenter = FakeSegmenter(
        labels=np.zeros(volume.stored.shape, np.uint8), order=ArrayOrder("RAS"), volume=volume
    )
    model = PairedModel(
        first=Blind(),  # type: ignore[arg-type]
        second=segmenter,
        meaning=Meaning(card=CARD, orientation="RAS", face=(1,), ears=(1,)),
        accuracy="fast",
    )

    with pytest.raises(ModelsDisagree):
        face_mask(model.estimate(volume), volume, POLICY)
    assert segmenter.asked == []


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeingModel(FakeFaceModel):
    """Hands on what it saw of the volume, as the default model does."""

    def estimate(self, volume: Volume) -> FaceEstimate:
        return replace(
            super(SeeingModel, self).estimate(volume), seen=shrink(volume, self.spacing_mm)
        )


def test_far_from_the_face_tissue_counts_and_air_does_not(volume: Volume) -> None:
    back = ball(volume, (0.0, -62.0, -62.0), 9.0)
    air = ball(volume, (75.0, -95.0, 100.0), 12.0)
    labels = (face_of(volume) | back | air).astype(np.uint8)
    near = neighbourhood(SeeingModel().estimate(volume), volume)
    model = PairedModel(
        first=SeeingModel(),
        second=FakeSegmenter(labels=labels, order=ArrayOrder("RAS"), volume=volume),
        meaning=Meaning(card=CARD, orientation="RAS", face=(1,), ears=(1,)),
        accuracy="exact",
    )

    estimate = model.estimate(volume)

    found = estimate.found
    assert found is not None
    assert back.any()
    assert air.any()
    assert not (near & (back | air)).any()
    assert found.face[back].all()
    assert not found.face[air].any()
    assert np.array_equal(found.face & near, labels.astype(bool) & near)
    assert found.far_ml == pytest.approx((found.face & ~near).sum() * 7.0 * 4.5 * 4.6 / 1000)
    assert face_mask(estimate, volume, POLICY)[back].all()


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "slices"])
def test_labels_mean_what_the_card_says_and_lie_where_they_were_found(
    volume: Volume, orientation: str
) -> None:
    labels = np.random.default_rng(0).integers(0, 4, volume.stored.shape).astype(np.uint8)
    model = PairedModel(
        first=FakeFaceModel(),
        second=FakeSegmenter(labels=labels, order=ArrayOrder(orientation), volume=volume),
        meaning=Meaning(card=CARD, orientation=orientation, face=(1, 3), ears=(2,)),
        accuracy="exact",
    )

    found = model.estimate(volume).found

    assert found is not None
    assert found.ears is not None
    np.testing.assert_array_equal(found.face, (labels == 1) | (labels == 3))
    np.testing.assert_array_equal(found.ears, labels == 2)


def test_the_result_names_both_models_and_the_effort() -> None:
    series = Series(instances=tuple(dicom_series(small_head())))
    volume = stack(series, [pixel_words(each) for each in series.instances])
    near = neighbourhood(FakeFaceModel().estimate(volume), volume)
    labels = (face_of(volume) & near).astype(np.uint8)
    pairs = {
        accuracy: recipe_of(
            model=PairedModel(
                first=FakeFaceModel(),
                second=FakeSegmenter(labels=labels, order=ArrayOrder("RAS"), volume=volume),
                meaning=Meaning(card=CARD, orientation="RAS", face=(1,), ears=(1,)),
                accuracy=accuracy,
            )
        )
        for accuracy in ("exact", "fast")
    }

    result = deidentify(series, pairs["fast"])

    segment = dcmread(io.BytesIO(result.segmentation.part10)).SegmentSequence[0]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "deid-node face model paper"
    assert algorithm.AlgorithmVersion == "abc fast, with fake 1"
    assert result.record.model.startswith("paper abc fast, with fake 1 ")
    assert len({pairs["exact"].digest, pairs["fast"].digest, recipe_of().digest}) == 3
