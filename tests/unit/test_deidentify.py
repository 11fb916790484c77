"""One series through the whole core: face and name go, everything else stays."""

from __future__ import annotations

import io
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, PixelFormat, dicom_series
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from deid_node.config.profile_file import load_profile
from deid_node.dicom.pixels import pixel_words
from deid_node.dicom.series import Series
from deid_node.errors import (
    BurnedInAnnotation,
    ImplausibleFaceMask,
    PixelsNotRestored,
    ResidualIdentifier,
    SOPClassNotAccepted,
)
from deid_node.face.fill import Fill
from deid_node.face.shrunk import shrink
from deid_node.headers.confidentiality import Option
from deid_node.headers.paths import PathMask
from deid_node.headers.profile import Action, Rule
from deid_node.pipeline import output
from deid_node.pipeline.closing import refuse_changed_voxels
from deid_node.pipeline.deidentify import STAGES, DeidentifiedSeries, deidentify
from tests.fakes.face import FakeFaceModel
from tests.fakes.recipe import recipe_of

if TYPE_CHECKING:
    from deid_node.dicom.part10 import EncodedInstance
    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate


def series_of(pixels: PixelFormat | None = None) -> Series:
    return Series(instances=tuple(dicom_series(small_head(), pixels=pixels)))


def opened(instance: EncodedInstance) -> Dataset:
    return dcmread(io.BytesIO(instance.part10))


def array_of(instances: tuple[EncodedInstance, ...]) -> np.ndarray:
    return np.stack([opened(each).pixel_array for each in instances])


@pytest.fixture(scope="module")
def series() -> Series:
    return series_of()


@pytest.fixture(scope="module")
def result(series: Series) -> DeidentifiedSeries:
    return deidentify(series, recipe_of())


@dataclass(frozen=True, kw_only=True)
class WatchedModel(FakeFaceModel):
    """Remembers its estimates, but does not keep them."""

    made: list[weakref.ref[np.ndarray]] = field(default_factory=list)

    def estimate(self, volume: Volume) -> FaceEstimate:
        estimate = replace(super().estimate(volume), seen=shrink(volume, self.spacing_mm))
        assert estimate.seen is not None
        self.made.append(weakref.ref(estimate.seen.values))
        return estimate


def test_what_the_model_saw_is_let_go_before_the_voxels_are_filled(series: Series) -> None:
    model = WatchedModel()
    held: dict[str, bool] = {}

    def observe(stage: str) -> None:
        held[stage] = any(made() is not None for made in model.made)

    deidentify(series, replace(recipe_of(), model=model), observe=observe)

    assert held["mask"]
    assert not held["fill"]


def test_voxels_outside_the_mask_are_bit_identical(
    series: Series, result: DeidentifiedSeries
) -> None:
    came = np.stack([each.pixel_array for each in series.instances])
    leaves = array_of(result.instances)
    mask = result.evidence.mask

    assert mask.any()
    assert leaves.dtype == came.dtype
    np.testing.assert_array_equal(leaves[~mask], came[~mask])
    assert np.mean(leaves[mask] != came[mask]) > 0.5


def test_geometry_attributes_are_those_of_the_source(
    series: Series, result: DeidentifiedSeries
) -> None:
    for came, leaves in zip(series.instances, map(opened, result.instances), strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert leaves[keyword].value == came[keyword].value, keyword
        assert leaves.EchoTime == came.EchoTime
        assert leaves.RepetitionTime == came.RepetitionTime


def test_no_identifier_is_left_in_any_byte(series: Series, result: DeidentifiedSeries) -> None:
    uids = {str(series.instances[0].SeriesInstanceUID), str(series.instances[0].StudyInstanceUID)}
    uids |= {str(each.SOPInstanceUID) for each in series.instances}
    planted = [*FakePatient().identifiers(), *uids]

    for instance in (*result.instances, result.segmentation):
        left = [text for text in planted if text.encode() in instance.part10]
        # A study time of day survives by profile; the date beside it is shifted.
        assert set(left) <= {FakePatient().study_time, FakePatient().age}


def test_instances_say_what_was_done_to_them(result: DeidentifiedSeries) -> None:
    instance = opened(result.instances[0])

    assert instance.ImageType[0] == "DERIVED"
    assert instance.PatientIdentityRemoved == "YES"
    assert instance.RecognizableVisualFeatures == "NO"
    assert instance.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [code.CodeValue for code in instance.DeidentificationMethodCodeSequence]
    assert {"113100", "113102", "113105", "113107"} <= set(codes)
    assert tuple(codes) == result.record.method_codes
    assert instance.DerivationCodeSequence[0].CodeValue == "113047"


def test_smallest_and_largest_pixel_value_are_true(result: DeidentifiedSeries) -> None:
    for each in result.instances:
        instance = opened(each)
        assert instance.SmallestImagePixelValue == instance.pixel_array.min()
        assert instance.LargestImagePixelValue == instance.pixel_array.max()


def test_seg_is_the_mask_in_the_frame_of_the_new_instances(
    series: Series, result: DeidentifiedSeries
) -> None:
    segmentation = hd.seg.segread(io.BytesIO(result.segmentation.part10))
    instances = [opened(each) for each in result.instances]
    uids = [each.SOPInstanceUID for each in instances]

    pixels = segmentation.get_pixels_by_source_instance(
        uids,
        segment_numbers=[1],
        ignore_spatial_locations=False,
        assert_missing_frames_are_empty=True,
    )

    np.testing.assert_array_equal(pixels[..., 0].astype(bool), result.evidence.mask)
    assert segmentation.FrameOfReferenceUID == instances[0].FrameOfReferenceUID
    assert segmentation.FrameOfReferenceUID != series.instances[0].FrameOfReferenceUID
    assert segmentation.StudyInstanceUID == instances[0].StudyInstanceUID
    assert segmentation.SeriesInstanceUID != instances[0].SeriesInstanceUID
    assert segmentation.PatientID == instances[0].PatientID


def test_seg_names_model_and_weights(result: DeidentifiedSeries) -> None:
    segment = opened(result.segmentation).SegmentSequence[0]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]

    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "89545001"
    assert algorithm.AlgorithmName == "deid-node face model fake"
    assert algorithm.AlgorithmParameters == f"weights_sha256={'0' * 64}"


def test_equal_series_and_recipe_give_equal_bytes(result: DeidentifiedSeries) -> None:
    again = deidentify(series_of(), recipe_of())

    assert again.instances == result.instances
    assert again.segmentation == result.segmentation
    assert again.record == result.record


def test_another_key_gives_unlinkable_uids_and_other_noise(result: DeidentifiedSeries) -> None:
    other = deidentify(series_of(), recipe_of(bytes(range(1, 33))))

    ours, theirs = opened(result.instances[0]), opened(other.instances[0])
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert ours[keyword].value != theirs[keyword].value, keyword
    assert result.record.recipe != other.record.recipe


def test_source_is_not_changed() -> None:
    series = series_of()
    before = [each.to_json() for each in series.instances]

    deidentify(series, recipe_of())

    assert [each.to_json() for each in series.instances] == before


@pytest.mark.parametrize(
    "pixels",
    [
        PixelFormat(bits=8),
        PixelFormat(bits=16, signed=True),
        PixelFormat(bits=12, slope=2.5, intercept=-100.0),
        PixelFormat(bits=16, slope_by_slice=True),
    ],
    ids=["8 bits", "signed", "rescaled", "rescaled by slice"],
)
def test_every_kind_of_stored_value_keeps_what_is_not_masked(pixels: PixelFormat) -> None:
    series = series_of(pixels)

    result = deidentify(series, recipe_of(fill=Fill(method="min")))

    came = np.stack([each.pixel_array for each in series.instances])
    leaves = array_of(result.instances)
    np.testing.assert_array_equal(leaves[~result.evidence.mask], came[~result.evidence.mask])


def test_stages_are_told_in_order(series: Series) -> None:
    heard: list[str] = []

    deidentify(series, recipe_of(), observe=heard.append)

    assert tuple(heard) == STAGES


def test_burned_in_annotation_holds_the_series() -> None:
    series = series_of()
    series.instances[4].BurnedInAnnotation = "YES"

    with pytest.raises(BurnedInAnnotation, match="YES in 1 instances"):
        deidentify(series, recipe_of())


class BlindModel(FakeFaceModel):
    """Finds a brain but no face."""

    def estimate(self, volume: Volume) -> FaceEstimate:
        seen = super().estimate(volume)
        return replace(seen, face=np.zeros_like(seen.face))


def test_series_that_the_profile_is_not_for_is_held(series: Series) -> None:
    recipe = recipe_of()
    other = replace(recipe.profile, sop_classes=frozenset({EnhancedMRImageStorage}))

    with pytest.raises(SOPClassNotAccepted, match="MR Image Storage is not accepted"):
        deidentify(series, replace(recipe, profile=other))


def test_face_that_is_not_found_holds_the_series(series: Series) -> None:
    recipe = replace(recipe_of(), model=BlindModel())

    with pytest.raises(ImplausibleFaceMask):
        deidentify(series, recipe)


def test_identifier_that_the_scrubber_left_holds_the_series(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = output._declared

    def forgetful(dataset: Dataset, *others: object) -> Dataset:
        dataset.ProtocolName = f"head {FakePatient().patient_id}"
        return declared(dataset, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(output, "_declared", forgetful)

    with pytest.raises(ResidualIdentifier, match="PatientID") as caught:
        deidentify(series, recipe_of())

    assert FakePatient().patient_id not in str(caught.value)


def test_old_uid_of_another_instance_holds_the_series(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = output._declared
    old = str(series.instances[7].SOPInstanceUID)

    def forgetful(dataset: Dataset, *others: object) -> Dataset:
        dataset.ProtocolName = old[-60:] if dataset.Modality == "SEG" else "head"
        return declared(dataset, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(output, "_declared", forgetful)

    with pytest.raises(ResidualIdentifier, match="SOPInstanceUID"):
        deidentify(series, recipe_of())


def test_voxel_that_changed_outside_the_mask_holds_the_series(series: Series) -> None:
    words = [pixel_words(each) for each in series.instances]
    mask = np.zeros((len(words), *words[0].shape), bool)
    mask[3, 5, 6] = True
    changed = [each.copy() for each in words]
    changed[3][5, 6] += 1
    changed[3][5, 7] += 1
    defaced = []
    for cells in changed:
        instance = Dataset()
        instance.add_new("PixelData", "OW", cells.tobytes())
        defaced.append(instance)

    with pytest.raises(PixelsNotRestored, match="1 voxels outside the mask changed"):
        refuse_changed_voxels(defaced, words, mask)


def test_profile_that_retains_dates_and_uids_is_not_held_for_them(series: Series) -> None:
    options = frozenset({Option.RETAIN_FULL_DATES, Option.RETAIN_UIDS})
    profile = replace(load_profile("basic"), options=options)

    result = deidentify(series, replace(recipe_of(), profile=profile))

    instance = opened(result.instances[0])
    assert instance.StudyDate == FakePatient().study_date
    assert instance.StudyInstanceUID == series.instances[0].StudyInstanceUID
    assert FakePatient().patient_id.encode() not in result.instances[0].part10


def test_new_pixels_are_new_instances_under_a_profile_that_retains_uids(series: Series) -> None:
    paths = (PathMask(steps=("00080018",)),)
    keep = Rule(tags=frozenset({0x0020000E}), paths=paths, action=Action.KEEP, why="a site's wish")
    profile = replace(load_profile("basic"), options=frozenset({Option.RETAIN_UIDS}), rules=(keep,))
    first, second = series.instances[:2]
    pointing = Dataset()
    pointing.update(first)
    pointing.file_meta = first.file_meta
    reference = Dataset()
    reference.ReferencedSOPClassUID = second.SOPClassUID
    reference.ReferencedSOPInstanceUID = second.SOPInstanceUID
    pointing.ReferencedImageSequence = Sequence([reference])
    linked = Series(instances=(pointing, *series.instances[1:]))

    result = deidentify(linked, replace(recipe_of(), profile=profile))

    new = [opened(instance) for instance in result.instances]
    old = {str(each.SOPInstanceUID) for each in series.instances}
    assert old.isdisjoint(str(instance.SOPInstanceUID) for instance in new)
    assert {instance.SeriesInstanceUID for instance in new}.isdisjoint({first.SeriesInstanceUID})
    assert {instance.StudyInstanceUID for instance in new} == {first.StudyInstanceUID}
    pointer = new[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert pointer == new[1].SOPInstanceUID
    assert "113110" in result.record.method_codes
