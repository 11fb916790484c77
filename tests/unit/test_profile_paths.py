"""Rules by path: one attribute inside one sequence, and nothing beside it."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import MRImageStorage

from deid_node.headers.paths import mask_of, path_mask, path_of
from deid_node.headers.plan import Decision, explain
from deid_node.headers.profile import Action, Option, Profile, Rule, Unlisted
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import Scrubbed, scrub
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import mr_instance, written

KEY = Pseudonyms(bytes(range(32)))
REQUEST = "RequestAttributesSequence"
PROTOCOL = "ScheduledProtocolCodeSequence"


def rule(action: Action, *paths: str, tags: tuple[str, ...] = ()) -> Rule:
    return Rule(
        paths=tuple(path_mask(path) for path in paths),
        tags=frozenset(int(mask_of(tag), 16) for tag in tags if "x" not in tag),
        masks=tuple(mask_of(tag) for tag in tags if "x" in tag),
        action=action,
        why="a reason to test",
    )


def profile(*rules: Rule, **facts: object) -> Profile:
    return Profile(name="test", version=1, edition="2024e", rules=rules, **facts)  # type: ignore[arg-type]


def decided(asked: Profile, where: str) -> Decision:
    return explain(asked, path_of(where), MRImageStorage)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    entry = Dataset()
    entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning = value, scheme, meaning
    return entry


def requested() -> Dataset:
    """Give an instance whose request names a protocol, a description and an ID."""
    request = Dataset()
    request.ScheduledProtocolCodeSequence = Sequence([code("69536005", "SCT", "Head structure")])
    request.RequestedProcedureID = "REQ4711"
    request.ScheduledProcedureStepDescription = "T2 brain of Zebrafish"
    request.ScheduledProcedureStepID = "SPS4711"
    dataset = mr_instance()
    dataset.RequestAttributesSequence = Sequence([request])
    return dataset


def scrubbed(*rules: Rule, **facts: object) -> Scrubbed:
    return scrub(requested(), profile(*rules, **facts), KEY)


@pytest.mark.parametrize(
    ("written", "path", "means"),
    [
        (f"{REQUEST}/{PROTOCOL}", f"{REQUEST}/{PROTOCOL}", True),
        (f"{REQUEST}/{PROTOCOL}", PROTOCOL, False),
        (f"{REQUEST}/{PROTOCOL}", f"{REQUEST}/{PROTOCOL}/CodeValue", False),
        (f"{REQUEST}/*/CodeMeaning", f"{REQUEST}/{PROTOCOL}/CodeMeaning", True),
        (f"{REQUEST}/*/CodeMeaning", f"{REQUEST}/CodeMeaning", False),
        ("**/CodeMeaning", f"{REQUEST}/{PROTOCOL}/CodeMeaning", True),
        ("**/CodeMeaning", "CodeMeaning", True),
        ("**/CodeMeaning", "CodeMeaning/CodeValue", False),
        (f"**/{PROTOCOL}/CodeMeaning", f"{REQUEST}/{PROTOCOL}/CodeMeaning", True),
        (f"**/{PROTOCOL}/CodeMeaning", f"{REQUEST}/CodeMeaning", False),
        ("(0040,0275)/(0040,xxxx)", f"{REQUEST}/{PROTOCOL}", True),
        ("(0040,0275)/(0008,xxxx)", f"{REQUEST}/{PROTOCOL}", False),
        ("PatientID", "PatientID", True),
        ("PatientID", f"{REQUEST}/PatientID", False),
    ],
)
def test_a_path_means_what_it_spells(written: str, path: str, *, means: bool) -> None:
    assert path_mask(written).matches(path_of(path)) is means


@pytest.mark.parametrize(
    "written", ["", "/", "PatientID/", "*", "**/*", "A/**/B", "**", "PatientID/../X", "60xx,40"]
)
def test_a_path_that_names_nothing_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"is no keyword|at least one"):
        path_mask(written)


def test_a_misspelt_keyword_gets_an_offer_and_a_mask_is_no_attribute() -> None:
    with pytest.raises(ValueError, match="did you mean PatientName"):
        mask_of("PatintName")
    with pytest.raises(ValueError, match="is a mask"):
        path_of("PatientID/0040xxxx")


def test_one_nested_attribute_stays_and_nothing_beside_it() -> None:
    output = scrubbed(rule(Action.KEEP, f"{REQUEST}/{PROTOCOL}")).dataset

    [request] = output.RequestAttributesSequence
    assert [element.keyword for element in request] == [PROTOCOL]
    assert request.ScheduledProtocolCodeSequence[0].CodeValue == "69536005"
    assert "RequestAttributesSequence" not in scrubbed().dataset


def test_as_bytes_an_opened_sequence_is_the_same() -> None:
    asked = profile(rule(Action.KEEP, f"{REQUEST}/{PROTOCOL}"))

    spliced = HeaderScrubber(asked, KEY).run(written(requested()))
    read = pydicom.dcmread(io.BytesIO(spliced.encoded.part10))

    expected = scrub(requested(), asked, KEY)
    assert read.RequestAttributesSequence == expected.dataset.RequestAttributesSequence
    assert "113100" not in spliced.codes


def test_one_nested_attribute_is_cleaned() -> None:
    path = f"{REQUEST}/ScheduledProcedureStepDescription"

    [request] = scrubbed(rule(Action.CLEAN, path)).dataset.RequestAttributesSequence

    assert [element.keyword for element in request] == ["ScheduledProcedureStepDescription"]
    assert request.ScheduledProcedureStepDescription == "T2 brain of"


def test_one_nested_attribute_goes_from_a_sequence_that_stays() -> None:
    options = frozenset({Option.CLEAN_DESCRIPTORS})
    path = f"{REQUEST}/ScheduledProcedureStepDescription"

    [with_it] = scrubbed(options=options).dataset.RequestAttributesSequence
    output = scrubbed(rule(Action.REMOVE, path), options=options).dataset
    [without] = output.RequestAttributesSequence

    assert {e.keyword for e in with_it} - {e.keyword for e in without} == {
        "ScheduledProcedureStepDescription"
    }


def test_a_sequence_opened_against_the_table_costs_the_claim_of_the_basic_profile() -> None:
    keeping = rule(Action.KEEP, f"{REQUEST}/{PROTOCOL}")

    against = decided(profile(keeping), f"{REQUEST}/{PROTOCOL}")
    granted = decided(
        profile(keeping, options=frozenset({Option.CLEAN_DESCRIPTORS})), f"{REQUEST}/{PROTOCOL}"
    )

    assert against.departs
    assert not granted.departs
    assert any(deed.departs for deed in scrubbed(keeping).deeds)


def test_nothing_of_an_opened_sequence_stays_by_tag_mask_vr_or_option() -> None:
    asked = profile(
        rule(Action.KEEP, f"{REQUEST}/{PROTOCOL}"),
        rule(Action.KEEP, tags=("RequestedProcedureID", "0040xxxx")),
        Rule(vrs=frozenset({"SH", "LO"}), action=Action.KEEP, why="a reason to test"),
        rule(Action.REMOVE, tags=(REQUEST,)),
        options=frozenset({Option.CLEAN_DESCRIPTORS, Option.RETAIN_SAFE_PRIVATE}),
    )
    dataset = requested()
    [inside] = dataset.RequestAttributesSequence
    inside.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
    inside.update(code("69536005", "SCT", "Head structure"))

    [request] = scrub(dataset, asked, KEY).dataset.RequestAttributesSequence

    assert [element.keyword for element in request] == [PROTOCOL]


def test_a_later_rule_that_removes_the_sequence_by_path_closes_it() -> None:
    opening, closing = rule(Action.KEEP, f"{REQUEST}/{PROTOCOL}"), rule(Action.REMOVE, REQUEST)

    assert "RequestAttributesSequence" not in scrubbed(opening, closing).dataset
    assert "RequestAttributesSequence" in scrubbed(closing, opening).dataset


@pytest.mark.parametrize(
    ("path", "action"),
    [
        (f"**/{PROTOCOL}", Action.KEEP),
        (f"*/{PROTOCOL}", Action.KEEP),
        (f"{REQUEST}/{PROTOCOL}", Action.EMPTY),
    ],
)
def test_what_names_no_sequence_or_keeps_nothing_opens_none(path: str, action: Action) -> None:
    assert "RequestAttributesSequence" not in scrubbed(rule(action, path)).dataset


def test_no_path_opens_a_structure_that_hides_things() -> None:
    dataset = mr_instance()
    old = Dataset()
    old.PatientComments = "Zebrafish"
    dataset.OriginalAttributesSequence = Sequence([old])
    keeping = rule(Action.KEEP, "OriginalAttributesSequence/PatientComments")

    assert "OriginalAttributesSequence" not in scrub(dataset, profile(keeping), KEY).dataset


def test_a_path_wins_over_a_tag_and_the_more_exact_path_over_the_less() -> None:
    asked = profile(
        rule(Action.KEEP, "StudyID"),
        rule(Action.DUMMY, "0020xxxx"),
        rule(Action.EMPTY, tags=("StudyID", "SeriesNumber")),
    )

    assert decided(asked, "StudyID").action is Action.KEEP
    assert decided(asked, "SeriesNumber").action is Action.DUMMY


def test_of_two_equal_paths_the_later_wins() -> None:
    asked = profile(rule(Action.KEEP, "StudyID"), rule(Action.DUMMY, "StudyID"))

    assert decided(asked, "StudyID").action is Action.DUMMY


def test_explain_follows_a_path_and_names_the_sequence_that_goes() -> None:
    inside = decided(profile(), f"{REQUEST}/{PROTOCOL}/CodeMeaning")

    assert inside.action is Action.REMOVE
    assert inside.within == path_of(REQUEST)
    assert decided(profile(), "AnatomicRegionSequence/CodeMeaning").within == ()
    assert decided(profile(), "AnatomicRegionSequence/CodeMeaning").type == "1"


def test_explain_says_that_private_attributes_go_whatever_a_rule_says() -> None:
    asked = profile(Rule(masks=("0019xxxx",), action=Action.KEEP, why="a reason to test"))

    assert explain(asked, 0x0019100C, MRImageStorage).authority == "private"


@pytest.mark.parametrize("standard", ["keep-clean", "remove"])
def test_an_allow_list_leaves_what_it_names_and_what_the_iod_demands(standard: str) -> None:
    named = ("FlipAngle", "SAR", "WindowCenter")
    asked = profile(
        rule(Action.KEEP, tags=named),
        rule(Action.PSEUDONYM, tags=("PatientID",)),
        unlisted=Unlisted(standard=standard),  # type: ignore[arg-type]
    )

    left = {element.keyword for element in scrub(mr_instance(), asked, KEY).dataset}

    demanded = {
        # Type 1, 2, 1C and 2C of Patient, General Study, General Series, Frame of Reference,
        # General Equipment, General Image, Image Plane, Image Pixel, MR Image, SOP Common.
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"),
        *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
        *("Modality", "SeriesInstanceUID", "SeriesNumber", "PatientPosition", "Laterality"),
        *("FrameOfReferenceUID", "PositionReferenceIndicator", "Manufacturer", "InstanceNumber"),
        *("ContentDate", "ContentTime", "PatientOrientation", "PixelSpacing", "SliceThickness"),
        *("ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel", "Rows", "Columns"),
        *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelData"),
        *("PixelRepresentation", "ImageType", "ScanningSequence", "SequenceVariant"),
        *("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"),
        *("InversionTime", "SOPClassUID", "SOPInstanceUID"),
    }
    if standard == "remove":
        assert left <= {*named, *demanded}
        assert {*named, "EchoTime", "RepetitionTime", "Rows", "PixelData"} <= left
    else:
        assert {"MagneticFieldStrength", "PixelBandwidth", "SliceLocation"} <= left
