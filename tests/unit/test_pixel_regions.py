"""A region is for the instances it describes, and 113101 for those whose pixels were cleaned."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from deid_node.config.load import create_key
from deid_node.config.profile_file import load_profile
from deid_node.dicom.series import Series, decode_instance
from deid_node.dicom.wire import Unsuited, read_part10
from deid_node.errors import BurnedInAnnotation, PixelsUnusable, RegionNotCleaned
from deid_node.headers.pixel_regions import rectangles_of
from deid_node.headers.profile import Action, Option, PixelRegion, Profile, Rule
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.deidentify import deidentify
from deid_node.pipeline.header_only import HeaderScrubber
from deid_node.pipeline.inspection import inspect
from tests.fakes.command import run
from tests.fakes.recipe import recipe_of
from tests.fakes.regions import RECTANGLES, cleaning, drawn, region_for
from tests.fakes.ultrasound import ultrasound_instance
from tests.planted import INSTANCES, mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.pipeline.header_only import ScrubbedInstance

KEY = Pseudonyms(bytes(range(32)))


def region(**when: str | int) -> PixelRegion:
    conditions = {tag_for_keyword(keyword) or 0: value for keyword, value in when.items()}
    return replace(region_for(drawn()[0]), when=tuple(sorted(conditions.items())))


def is_meant(dataset: Dataset, *regions: PixelRegion, implicit: bool = False) -> bool:
    """Ask for both ways of reading a file, which must agree."""
    file = written(dataset, implicit=implicit)
    answers = {
        rectangles_of(decode_instance(file), regions),
        rectangles_of(read_part10(file).dataset, regions),
        rectangles_of(dataset, regions),
    }
    assert len(answers) == 1
    return bool(answers.pop())


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("keyword", "stored", "wanted", "meant"),
    [
        ("Manufacturer", "ACME MEDICAL", "ACME MEDICAL", True),
        ("Manufacturer", " ACME MEDICAL  ", "ACME MEDICAL", True),
        ("Manufacturer", "Acme Medical", "ACME MEDICAL", False),
        ("Manufacturer", "ACME MEDICAL 2", "ACME MEDICAL", False),
        ("Manufacturer", "ACME", "ACME MEDICAL", False),
        ("Manufacturer", "", "ACME MEDICAL", False),
        ("Manufacturer", None, "ACME MEDICAL", False),
        ("Manufacturer", "ACME\\MEDICAL", "ACME", False),
        ("Manufacturer", "Müller", "Müller", True),
        ("Modality", "US", "US", True),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7", True),
        ("SeriesNumber", "7", 7, True),
        ("SeriesNumber", " 07", 7, True),
        ("SeriesNumber", "8", 7, False),
        ("SeriesNumber", "", 7, False),
        ("SamplesPerPixel", 1, 1, True),
        ("SamplesPerPixel", 3, 1, False),
    ],
)
def test_an_attribute_must_have_that_one_value(
    keyword: str, stored: object, wanted: str | int, *, implicit: bool, meant: bool
) -> None:
    dataset, _ = drawn()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    if stored is None:
        delattr(dataset, keyword)
    else:
        setattr(dataset, keyword, stored)

    assert is_meant(dataset, region(**{keyword: wanted}), implicit=implicit) is meant


@pytest.mark.parametrize("other", ["Modality", "Manufacturer", "Rows", "Columns"])
def test_every_condition_counts(other: str) -> None:
    dataset, _ = drawn()
    when = {keyword: dataset[keyword].value for keyword in ("Modality", "Manufacturer")}
    when |= {"Rows": dataset.Rows, "Columns": dataset.Columns}
    assert is_meant(dataset, region(**when))

    when[other] = when[other] + 1 if isinstance(when[other], int) else "OTHER"

    assert not is_meant(dataset, region(**when))


def test_an_attribute_with_another_vr_than_its_own_is_not_believed() -> None:
    dataset, _ = drawn()
    del dataset.Manufacturer
    dataset.add_new(0x00080070, "OB", b"1.2 ")

    assert not is_meant(dataset, region(Manufacturer="1.2"))


def test_an_attribute_inside_a_sequence_is_not_meant() -> None:
    dataset, _ = drawn()
    inner = Dataset()
    inner.Manufacturer = "ACME MEDICAL"
    dataset.SourceImageSequence = [inner]

    assert not is_meant(dataset, region(Manufacturer="ACME MEDICAL"))


def test_of_several_regions_that_are_meant_every_rectangle_counts_once() -> None:
    dataset, _ = drawn()
    first, second = region_for(dataset, RECTANGLES[:2]), region_for(dataset, RECTANGLES[1:])
    other = replace(first, when=(*first.when, (0x00200011, 99)))

    found = rectangles_of(dataset, (first, other, second))

    assert found == region_for(dataset).rectangles


def run_on(dataset: Dataset, profile: Profile) -> tuple[ScrubbedInstance, Dataset]:
    done = HeaderScrubber(profile, KEY).run(written(dataset))
    return done, pydicom.dcmread(io.BytesIO(done.encoded.part10))


def codes_in(dataset: Dataset) -> list[str]:
    return [entry.CodeValue for entry in dataset.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("stated", ["YES", "NO", None])
def test_what_a_cleaned_instance_says_of_itself(stated: str | None) -> None:
    source, _ = drawn("RGB", frames=2)
    source.ImageType = ["ORIGINAL", "SECONDARY", "OTHER"]
    source.DerivationDescription = "by Dr. Quentin"
    source.BurnedInAnnotation = stated
    for keyword in (
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
        "SmallestPixelValueInSeries",
        "LargestPixelValueInSeries",
    ):
        setattr(source, keyword, 5)

    done, output = run_on(source, cleaning(region_for(source)))

    assert codes_in(output) == list(done.codes) == ["113100", "113101"]
    assert output.BurnedInAnnotation == "NO"
    assert output.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert output.DerivationDescription == "Text removed by a pixel mask"
    (entry,) = output.DerivationCodeSequence
    assert (entry.CodeValue, entry.CodingSchemeDesignator) == ("113047", "DCM")
    assert not [each.keyword for each in output if "PixelValue" in each.keyword]
    assert output.PatientIdentityRemoved == "YES"
    assert done.deeds[-1].keyword == "PixelData"
    assert (done.deeds[-1].action, done.deeds[-1].option) == (
        Action.CLEAN,
        Option.CLEAN_PIXEL_DATA,
    )


@pytest.mark.parametrize("image_type", [None, "ORIGINAL"])
def test_an_image_type_that_is_too_short_becomes_a_whole_one(image_type: str | None) -> None:
    source, _ = drawn()
    source.ImageType = image_type

    _, output = run_on(source, cleaning(region_for(source)))

    assert (2 if image_type is None else 1) == output["ImageType"].VM
    assert "DERIVED" in output.ImageType


@pytest.mark.parametrize("stated", ["NO", None])
@pytest.mark.parametrize("make", ["SC", "MR", "CT", "SR"])
def test_an_instance_that_no_region_is_meant_for_is_as_without_regions(
    make: str, stated: str | None
) -> None:
    source = INSTANCES[make]()
    source.BurnedInAnnotation = stated
    profile = cleaning(region_for(drawn()[0]))

    done, output = run_on(source, profile)

    plain, _ = run_on(source, load_profile("basic"))
    assert done.encoded == plain.encoded
    assert "113101" not in codes_in(output)
    assert (output.get("BurnedInAnnotation") or None) == (None if make == "SR" else stated)


def test_that_holds_for_files_that_only_pydicom_reads() -> None:
    source, _ = drawn(columns=10)
    profile = cleaning(region_for(drawn()[0]))
    file = written(source, syntax=ExplicitVRBigEndian)

    done = HeaderScrubber(profile, KEY).run(file)

    assert done.codes == ("113100",)
    assert done.encoded == HeaderScrubber(load_profile("basic"), KEY).run(file).encoded


def test_text_that_no_region_is_meant_for_still_holds_the_instance() -> None:
    source, _ = drawn()
    other, _ = drawn(columns=10)
    source.BurnedInAnnotation = "YES"

    with pytest.raises(BurnedInAnnotation):
        run_on(source, cleaning(region_for(other)))


def test_an_instance_whose_region_cannot_be_cleaned_is_held_whatever_it_states() -> None:
    source, _ = drawn()
    source.PhotometricInterpretation = "PALETTE COLOR"
    source.BurnedInAnnotation = "NO"

    with pytest.raises(PixelsUnusable):
        run_on(source, cleaning(region_for(source)))


@pytest.mark.parametrize("action", [Action.REMOVE, Action.DUMMY, Action.EMPTY])
def test_pixel_data_that_a_rule_takes_away_does_not_come_back(action: Action) -> None:
    source, _ = drawn()
    rule = Rule(tags=frozenset({0x7FE00010}), action=action, why="for this test")
    profile = cleaning(region_for(source))

    with pytest.raises(PixelsUnusable):
        run_on(source, replace(profile, rules=(*profile.rules, rule)))


def test_a_cleaned_instance_is_a_new_one_under_retain_uids_and_references_follow() -> None:
    source, _ = drawn()
    referring = INSTANCES["SC"]()
    entry = Dataset()
    entry.ReferencedSOPClassUID = source.SOPClassUID
    entry.ReferencedSOPInstanceUID = source.SOPInstanceUID
    referring.ReferencedImageSequence = [entry]
    profile = cleaning(region_for(source), options=(Option.RETAIN_UIDS,))

    _, output = run_on(source, profile)
    _, pointing = run_on(referring, profile)

    assert output.SOPInstanceUID != source.SOPInstanceUID
    assert output.SeriesInstanceUID != source.SeriesInstanceUID
    assert output.StudyInstanceUID == source.StudyInstanceUID
    (reference,) = pointing.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == output.SOPInstanceUID
    assert pointing.SeriesInstanceUID == output.SeriesInstanceUID


def test_nothing_of_the_fragments_stays_beside_uncompressed_pixels() -> None:
    source, _ = drawn(frames=2)
    made = pydicom.dcmread(io.BytesIO(written(source)))
    made.compress(RLELossless, encoding_plugin="pydicom", encapsulate_ext=True)
    assert "ExtendedOffsetTable" in made
    tags = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
    rule = Rule(tags=tags, action=Action.KEEP, why="for this test")
    profile = cleaning(region_for(source))
    profile = replace(profile, rules=(*profile.rules, rule))

    done = HeaderScrubber(profile, KEY).run(written(made, syntax=RLELossless))

    output = pydicom.dcmread(io.BytesIO(done.encoded.part10))
    assert not [each for each in output if each.tag.group == 0x7FE0 and each.tag != 0x7FE00010]


def test_equal_bytes_come_out_whatever_came_before() -> None:
    source, _ = drawn()
    profile = cleaning(region_for(source))
    files = [written(each) for each in (source, mr_instance(), source, drawn(columns=10)[0])]
    warm = HeaderScrubber(profile, KEY)

    outputs = [warm.run(file).encoded for file in files]

    assert outputs == [HeaderScrubber(profile, KEY).run(file).encoded for file in files]
    assert outputs[0] == outputs[2]


def test_the_short_way_over_bytes_leaves_pixels_in_a_region_to_the_long_one() -> None:
    source, _ = drawn()
    scrubber = HeaderScrubber(cleaning(region_for(source)), KEY)

    with pytest.raises(Unsuited):
        scrubber._as_bytes(written(source))
    assert scrubber._as_bytes(written(mr_instance())).codes == ("113100",)


def heads() -> Series:
    return Series(instances=tuple(dicom_series(small_head())))


def test_defacing_holds_what_a_region_is_meant_for_and_never_claims_113101() -> None:
    recipe, instance = recipe_of(), heads().instances[0]
    meant, other = region_for(instance), region(Modality="US", Rows=5)

    def cleaned_by(each: PixelRegion) -> Profile:
        options = recipe.profile.options | {Option.CLEAN_PIXEL_DATA}
        return replace(recipe.profile, options=options, pixel_regions=(each,))

    with pytest.raises(RegionNotCleaned, match=f"^{len(heads().instances)} instances match"):
        deidentify(heads(), replace(recipe, profile=cleaned_by(meant)))
    result = deidentify(heads(), replace(recipe, profile=cleaned_by(other)))
    assert "113101" not in result.record.method_codes
    assert all(
        "113101" not in codes_in(pydicom.dcmread(io.BytesIO(each.part10)))
        for each in (*result.instances, result.segmentation)
    )


def test_defacing_still_holds_burned_in_annotation_under_such_a_profile() -> None:
    series, recipe = heads(), recipe_of()
    series.instances[1].BurnedInAnnotation = "YES"
    options = recipe.profile.options | {Option.CLEAN_PIXEL_DATA}
    regions = (region_for(series.instances[0]),)
    profile = replace(recipe.profile, options=options, pixel_regions=regions)

    with pytest.raises(BurnedInAnnotation):
        deidentify(series, replace(recipe, profile=profile))


def test_inspection_tells_that_pixels_are_cleaned() -> None:
    source, _ = drawn()
    source.BurnedInAnnotation = "YES"

    found = inspect(written(source), cleaning(region_for(source)), KEY)

    assert found.held is None
    row = next(each for each in found.rows if each.name == "PixelData")
    assert (row.action, row.changed) == (Action.CLEAN, True)
    assert "DerivationCodeSequence" in found.added


PROFILE = """\
profile: mine
version: 1
extends: basic
why: A profile of a test.
options: [clean-pixel-data]
pixel_regions:
  - when: {Modality: US, Manufacturer: ACME MEDICAL, ManufacturerModelName: Echo 5, Rows: 24, Columns: 32}
    rectangles: [[0, 0, 32, 6]]
    why: The banner with name and date that this scanner draws.
"""


def test_scrub_cleans_a_folder_by_a_profile_file_and_verify_is_content(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    colours = np.random.default_rng(7).integers(1, 256, (2, 24, 32, 3), dtype=np.uint8)
    source = ultrasound_instance(colours)
    source.BurnedInAnnotation = "YES"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(written(source))
    (tmp_path / "mine.yaml").write_text(PROFILE)
    create_key(tmp_path / "site.key")

    asked = ("--profile", tmp_path / "mine.yaml", "--key", tmp_path / "site.key")
    assert run("scrub", tmp_path / "in", "--out", tmp_path / "out", *asked) == 0
    capfd.readouterr()
    assert run("verify", tmp_path / "out", "--json") == 0

    assert json.loads(capfd.readouterr().out)
    (written_file,) = (tmp_path / "out").rglob("*.dcm")
    output = pydicom.dcmread(written_file)
    pixels = np.frombuffer(output.PixelData, np.uint8).reshape(colours.shape)
    assert not pixels[:, :6].any()
    assert (pixels[:, 6:] == colours[:, 6:]).all()
    assert codes_in(output) == ["113100", "113101"]
