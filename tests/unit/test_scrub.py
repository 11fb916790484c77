"""Scrubbing: nothing of the person is left, and what research needs is."""

from __future__ import annotations

import copy
import io
import struct
import subprocess
import sys
from functools import cache

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage

from deid_node.config.profile_file import load_profile
from deid_node.headers.profile import SHIFT_DAYS, Action, Option, Profile, Rule
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import DEEPEST, Scrubbed, patient_identity, scrub
from tests.planted import NAME, SURVIVE, mr_instance, planted, written

OURS = Pseudonyms(bytes(range(32)))
THEIRS = Pseudonyms(bytes(range(1, 33)))
SHIPPED = ("basic", "research-mr")
SECRET = b"ZEBRAFISHQUENTIN"
KEYED = {"UI", "DA", "DT", "PN"}


@cache
def profile(name: str) -> Profile:
    return load_profile(name)


def scrubbed(dataset: Dataset, name: str = "research-mr", key: Pseudonyms = OURS) -> Scrubbed:
    return scrub(dataset, profile(name), key)


def read(part10: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(part10))


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("implicit", [False, True])
def test_none_of_the_planted_tokens_survives(name: str, *, implicit: bool) -> None:
    dataset, tokens = planted()
    source = written(dataset, implicit=implicit)
    there = [token for token in tokens if token.encode() in source]
    assert len(there) > 140

    output = written(scrubbed(read(source), name).dataset).lower()

    assert [token for token in there if token.lower().encode() in output] == []
    assert b"qzvex" not in output


@pytest.mark.parametrize("name", SHIPPED)
def test_what_an_mr_researcher_needs_survives_unchanged(name: str) -> None:
    source = read(written(mr_instance()))

    output = read(written(scrubbed(source, name).dataset))

    assert {keyword: output.get(keyword) for keyword in SURVIVE} == {
        keyword: source.get(keyword) for keyword in SURVIVE
    }


def test_research_keeps_diffusion_numbers_in_classic_mr() -> None:
    output = scrubbed(mr_instance()).dataset

    assert output.DiffusionBValue == 1000.0
    assert output.DiffusionGradientOrientation == [0.0, 0.6, 0.8]


TAGS = {
    vr: [tag for tag in DicomDictionary if dictionary_VR(tag) == vr and 0x0008 < tag >> 16 < 0x7FE0]
    for vr in {entry[0] for entry in DicomDictionary.values()}
}
NAMED_VRS = sorted(vr for vr in TAGS if len(vr) == 2 and vr != "SQ" and TAGS[vr])
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


def encoded(tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in LONG:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


@st.composite
def hidden_names(draw: st.DrawFn) -> bytes:
    """One element with the name as its value, somewhere, encoded in Explicit VR."""
    vr = draw(st.sampled_from(NAMED_VRS))
    kind = draw(st.sampled_from(["listed", "mistyped", "private", "unknown", "UN"]))
    listed = draw(st.sampled_from(TAGS[vr]))
    tag = {
        "mistyped": draw(st.sampled_from(TAGS[draw(st.sampled_from(NAMED_VRS))])),
        "private": 0x00191000 | draw(st.integers(0, 0xFF)),
        "unknown": 0x00109900 | draw(st.integers(0, 0xFF)),
    }.get(kind, listed)
    encoding = draw(st.sampled_from(["ascii", "utf-16-le", "utf-16-be"]))
    value = SECRET.decode().encode(encoding)
    element = encoded(tag, "UN" if kind == "UN" else vr, value)
    if kind == "private":
        creator = draw(st.sampled_from([b"SIEMENS MR HEADER ", b"GEMS_ACQU_01", SECRET]))
        element = encoded(0x00190010, "LO", creator) + element
    for _ in range(draw(st.integers(0, 5))):
        entry = struct.pack("<HHI", 0xFFFE, 0xE000, len(element)) + element
        element = encoded(draw(st.sampled_from(TAGS["SQ"])), "SQ", entry)
    return element


@pytest.mark.parametrize("name", SHIPPED)
@given(st.lists(hidden_names(), min_size=1, max_size=8))
def test_a_name_in_any_vr_at_any_depth_is_gone(name: str, hidden: list[bytes]) -> None:
    source = read(written(mr_instance()) + b"".join(hidden))

    output = written(scrubbed(source, name).dataset)

    folded = output.lower().replace(b"\0", b"")
    assert SECRET.lower() not in folded
    assert b"zebrafish" not in folded


def test_the_argument_is_not_changed() -> None:
    dataset, _ = planted()
    before = copy.deepcopy(dataset)

    scrubbed(dataset)

    assert dataset == before
    assert written(dataset) == written(before)


@pytest.mark.parametrize("name", SHIPPED)
def test_scrubbing_again_changes_only_what_the_key_made(name: str) -> None:
    dataset, _ = planted()
    once = scrubbed(dataset, name).dataset

    twice = scrubbed(once, name).dataset

    changed = {
        first.VR
        for first, second in zip(once.iterall(), twice.iterall(), strict=True)
        if first.value != second.value
    }
    assert list(once.keys()) == list(twice.keys())
    assert changed <= KEYED | {"LO", "SQ"}
    assert {e.keyword for e in once if e.VR == "LO" and e.value != twice[e.tag].value} == {
        "PatientID"
    }


def test_two_processes_make_the_same_bytes() -> None:
    script = (
        "import hashlib, sys; sys.path.insert(0, '.')\n"
        "from tests.unit.test_scrub import *\n"
        "print(hashlib.sha256(written(scrubbed(planted()[0]).dataset)).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]

    assert runs[0] == runs[1] != ""


def test_another_key_shares_no_uid_pseudonym_or_date() -> None:
    def secrets(dataset: Dataset) -> set[str]:
        return {
            str(element.value)
            for element in dataset.iterall()
            if element.VR in {"UI", "DA", "DT"} or element.keyword in {"PatientID", "PatientName"}
        } - {"1.2.840.10008.5.1.4.1.1.4", "None", "", "REMOVED"}

    ours = secrets(scrubbed(mr_instance()).dataset)
    theirs = secrets(scrubbed(mr_instance(), key=THEIRS).dataset)

    assert len(ours) > 6
    assert ours.isdisjoint(theirs)


def test_references_within_a_study_still_resolve() -> None:
    source = mr_instance()
    other = Dataset()
    other.ReferencedSOPClassUID = source.SOPClassUID
    other.ReferencedSOPInstanceUID = "1.2.3.4.5.99"
    source.ReferencedImageSequence = Sequence([other])
    target = mr_instance()
    target.SOPInstanceUID = "1.2.3.4.5.99"

    pointer = scrubbed(source).dataset.ReferencedImageSequence[0]

    assert pointer.ReferencedSOPInstanceUID == scrubbed(target).dataset.SOPInstanceUID
    assert pointer.ReferencedSOPClassUID == source.SOPClassUID


def test_intervals_between_visits_survive_and_dates_do_not() -> None:
    first, second = mr_instance(), mr_instance()
    second.StudyDate = "20240307"

    days = [scrubbed(visit).dataset.StudyDate for visit in (first, second)]

    assert int(days[0]) < 20240229 + SHIFT_DAYS[1]
    shift = OURS.day_shift("MRN-0815-77")
    numpy_days = [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days]
    moved = [str(np_day(text, -shift)) for text in numpy_days]
    assert moved == ["2024-02-29", "2024-03-07"]


def np_day(day: str, shift: int) -> object:
    import numpy as np  # noqa: PLC0415 - an oracle that is not the code's own calendar

    return np.datetime64(day) + np.timedelta64(shift, "D")


def test_basic_leaves_no_date_of_the_examination() -> None:
    output = scrubbed(mr_instance(), "basic").dataset

    dates = [e.value for e in output.iterall() if e.VR in {"DA", "DT", "TM"} and e.value]
    assert dates == []


def test_patients_without_an_id_do_not_become_one_patient() -> None:
    first, second = mr_instance(), mr_instance()
    for dataset, study in ((first, "1.2.1"), (second, "1.2.2")):
        dataset.PatientID = ""
        dataset.StudyInstanceUID = study

    assert patient_identity(first) != patient_identity(second)
    assert scrubbed(first).dataset.PatientID != scrubbed(second).dataset.PatientID


def test_a_missing_patient_id_is_written_as_a_pseudonym() -> None:
    dataset = mr_instance()
    del dataset.PatientID
    del dataset.PatientName

    output = scrubbed(dataset).dataset

    assert output.PatientID == output.PatientName == OURS.patient(patient_identity(dataset))


def test_uids_of_the_standard_stay_and_look_alikes_do_not() -> None:
    dataset = mr_instance()
    dataset.InstanceCreatorUID = "1.2.840.10008.20240229.4711"

    output = scrubbed(dataset).dataset

    assert output.SOPClassUID == dataset.SOPClassUID
    assert output.InstanceCreatorUID.startswith("2.25.")


def test_ages_beyond_the_cap_become_one_class() -> None:
    young = mr_instance()
    young.PatientAge = "089Y"

    assert scrubbed(young).dataset.PatientAge == "089Y"
    assert scrubbed(mr_instance()).dataset.PatientAge == "090Y"
    assert "PatientAge" not in scrubbed(young, "basic").dataset


def test_safe_private_numbers_stay_and_text_beside_them_goes() -> None:
    dataset = mr_instance()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x0D, "CS", "QUENTIN")
    block.add_new(0x08, "LO", "IMAGE NUM 4")
    source = read(written(dataset))

    output = scrubbed(source).dataset

    assert output[0x0019100C].value == 1000
    assert output[0x00190010].value == "SIEMENS MR HEADER"
    assert 0x0019100D not in output
    assert 0x00191008 not in output
    assert 0x0019100C not in scrubbed(source, "basic").dataset


def test_a_creator_without_any_element_left_goes_too() -> None:
    dataset = mr_instance()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x08, "LO", "x")

    assert 0x00190010 not in scrubbed(dataset).dataset


def test_a_private_number_that_arrives_as_un_is_read_by_its_known_vr() -> None:
    dataset = mr_instance()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "UN", b"1000")
    block.add_new(0x0E, "UN", struct.pack("<3d", 0.0, 0.6, 0.8))

    output = scrubbed(read(written(dataset))).dataset

    assert output[0x0019100C].value == 1000
    assert output[0x0019100E].value == [0.0, 0.6, 0.8]


def test_text_in_kanji_leaves_only_known_words_in_ascii() -> None:
    dataset = mr_instance()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Yamada^Tarou=山田^太郎"
    dataset.SeriesDescription = "T2 山田 FLAIR"

    output = scrubbed(read(written(dataset))).dataset

    assert output.SeriesDescription == "T2 FLAIR"
    assert "SpecificCharacterSet" not in output
    assert "山田".encode() not in written(output)


def test_an_undeclared_character_set_is_doubt() -> None:
    source = read(written(mr_instance()) + encoded(0x00081030, "LO", b"T2 M\xfcller\xff FLAIR "))

    output = scrubbed(source).dataset

    assert output.StudyDescription == "T2 FLAIR"


def test_the_patients_own_words_go_even_when_they_are_words_of_mr() -> None:
    dataset = mr_instance()
    dataset.PatientName = "FLAIR^ADA"

    assert scrubbed(dataset).dataset.SeriesDescription == "T2 sag 3mm"


def test_a_number_that_is_none_goes_without_a_warning() -> None:
    dataset = mr_instance()
    tag = Tag("EchoTime")
    dataset[tag] = RawDataElement(tag, "DS", 8, b"QUENTIN ", 0, False, True)  # noqa: FBT003 - a tuple

    assert (
        "EchoTime" not in scrubbed(dataset).dataset.dir() or not scrubbed(dataset).dataset.EchoTime
    )


def test_a_known_number_that_arrives_as_un_is_read_by_the_dictionary() -> None:
    source = read(written(mr_instance()) + encoded(0x00181314, "UN", b"42.5"))

    assert scrubbed(source).dataset.FlipAngle == 42.5


@pytest.mark.parametrize("tag", [0x00189089, 0x00280009, 0x00281052])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be"])
def test_letters_where_numbers_belong_go(tag: int, encoding: str) -> None:
    text = "QUENTIN ZEBRAFISH ADA^DR".encode(encoding)
    source = read(written(mr_instance()) + encoded(tag, dictionary_VR(tag), text))

    assert tag not in scrubbed(source).dataset


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00181314, "LT"), (0x00280010, "OB"), (0x00181250, "OB"), (0x00189087, "LO")]
)
def test_an_attribute_with_another_vr_than_the_dictionarys_goes(tag: int, vr: str) -> None:
    source = read(written(mr_instance()) + encoded(tag, vr, b"BODY"))

    output = scrubbed(source).dataset

    assert tag not in output or output[tag].is_empty


@pytest.mark.parametrize(
    ("tag", "vr", "written", "left"),
    [
        (0x00181250, "CS", b"BODY", "BODY"),
        (0x00181314, "LO", b"90", 90),
        (0x00080060, "LO", b"MR", "MR"),
        (0x0020000D, "LO", b"1.2.3 ", OURS.uid("1.2.3")),
        (0x00080020, "LO", b"QUENTIN ", None),
        (0x00101010, "ST", b"097Y", "090Y"),
    ],
)
def test_text_under_another_texts_vr_is_judged_by_its_own(
    tag: int, vr: str, written: bytes, left: object
) -> None:
    dataset = mr_instance()
    dataset[tag] = RawDataElement(Tag(tag), vr, len(written), written, 0, False, True)  # noqa: FBT003

    assert scrubbed(dataset).dataset[tag].value == left


@pytest.mark.parametrize("keyword", ["OperatorsName", "StationAETitle", "RetrieveURL"])
@pytest.mark.parametrize("action", [Action.CLEAN, Action.UID, Action.SHIFT])
def test_people_titles_and_addresses_cannot_be_cleaned_only_kept(
    keyword: str, action: Action
) -> None:
    dataset = mr_instance()
    setattr(dataset, keyword, "brain")
    tag = dataset[keyword].tag
    rule = Rule(tags=frozenset({int(tag)}), action=action, why="a reason to test")
    lenient = Profile(name="t", version=1, edition="2024e", rules=(rule,))

    output = scrub(dataset, lenient, OURS).dataset

    assert keyword not in output


def test_what_a_rule_keeps_is_kept_unless_it_names_the_patient() -> None:
    dataset = mr_instance()
    dataset.InstitutionName = "Spital Sankt Anna"
    dataset.StationName = "QUENTIN"
    rule = Rule(tags=frozenset({0x00080080, 0x00081010}), action=Action.KEEP, why="a site's wish")
    lenient = Profile(name="t", version=1, edition="2024e", rules=(rule,))

    output = scrub(dataset, lenient, OURS).dataset

    assert output.InstitutionName == "Spital Sankt Anna"
    assert "StationName" not in output


def test_kept_text_beyond_ascii_is_written_as_utf_8() -> None:
    dataset = mr_instance()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.InstitutionName = "Universitätsklinik"
    rule = Rule(tags=frozenset({0x00080080}), action=Action.KEEP, why="a site's wish")
    lenient = Profile(name="t", version=1, edition="2024e", rules=(rule,))

    output = read(written(scrub(read(written(dataset)), lenient, OURS).dataset))

    assert output.SpecificCharacterSet == "ISO_IR 192"
    assert output.InstitutionName == "Universitätsklinik"


def test_several_numbers_where_one_belongs_go() -> None:
    source = read(written(mr_instance()) + encoded(0x00189087, "FD", struct.pack("<2d", 1.5, 2.5)))

    assert "DiffusionBValue" not in scrubbed(source).dataset


def test_known_codes_stay_with_the_meaning_of_the_standard() -> None:
    dataset = mr_instance()
    known, local = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "69536005", "SCT", "QUENTIN"
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "H1", "99LOCAL", "head"
    dataset.AnatomicRegionSequence = Sequence([known, local])

    entries = scrubbed(dataset).dataset.AnatomicRegionSequence

    assert [(e.CodeValue, e.CodeMeaning) for e in entries] == [("69536005", "Head structure")]


@pytest.mark.parametrize(
    ("option", "keyword"),
    [
        (Option.RETAIN_INSTITUTION_IDENTITY, "InstitutionCodeSequence"),
        (Option.RETAIN_DEVICE_IDENTITY, "PerformedStationNameCodeSequence"),
    ],
)
def test_a_local_code_stays_where_an_option_retains_what_it_names(
    option: Option, keyword: str
) -> None:
    def local(value: str) -> Dataset:
        entry = Dataset()
        entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning = value, "99L", "Ward 7"
        return entry

    dataset = mr_instance()
    setattr(dataset, keyword, Sequence([local("W7"), local("QUENTIN")]))
    dataset.AnatomicRegionSequence = Sequence([local("W7")])
    granted = Profile(name="t", version=1, edition="2024e", options=frozenset({option}))
    without = Profile(name="t", version=1, edition="2024e")

    output = scrub(dataset, granted, OURS).dataset

    assert output[keyword].value[0].CodeValue == "W7"
    assert output[keyword].value[0].CodeMeaning == "Ward 7"
    assert b"QUENTIN" not in written(output)
    assert "AnatomicRegionSequence" not in output
    assert keyword not in scrub(dataset, without, OURS).dataset


def test_pixel_data_is_shared_and_unchanged() -> None:
    source = read(written(mr_instance()))

    output = scrubbed(source).dataset

    assert output.PixelData is source.get_item(0x7FE00010).value


def test_deeds_tell_what_was_done_and_no_value() -> None:
    dataset, tokens = planted()

    deeds = scrubbed(dataset).deeds

    told = repr(deeds) + " ".join(deed.keyword for deed in deeds)
    by_keyword = {deed.keyword: deed for deed in deeds if len(deed.path) == 1}
    assert by_keyword["PatientID"].action is Action.PSEUDONYM
    assert by_keyword["InstitutionName"].action is Action.REMOVE
    assert by_keyword["StudyDate"].action is Action.SHIFT
    assert not any(token in told for token in [*tokens, *NAME.split("^")])


def test_what_lies_too_deep_goes_even_if_a_rule_keeps_it() -> None:
    innermost = Dataset()
    innermost.TextValue = "brain"
    for _ in range(DEEPEST + 1):
        outer = Dataset()
        outer.ContentItemModifierSequence = Sequence([innermost])
        innermost = outer
    keep = Rule(tags=frozenset({0x00400441, 0x0040A160}), action=Action.KEEP, why="a site's wish")
    lenient = Profile(name="t", version=1, edition="2024e", rules=(keep,))
    shallow = innermost.ContentItemModifierSequence[0].ContentItemModifierSequence[0]

    outputs = []
    for nested in (shallow, innermost):
        dataset = mr_instance()
        dataset.update(nested)
        outputs.append(written(scrub(dataset, lenient, OURS).dataset))

    assert [b"brain" in output for output in outputs] == [True, False]


def test_an_item_that_loses_what_the_iod_demands_goes_as_a_whole() -> None:
    sop_class = encoded(0x00081150, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")
    good = sop_class + encoded(0x00081155, "UI", b"1.2.3\0")
    broken = sop_class + encoded(0x00081155, "OB", b"1.2.4\0")
    entries = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(e)) + e for e in (good, broken))
    source = read(written(mr_instance()) + encoded(0x00081140, "SQ", entries))

    kept = scrubbed(source).dataset.ReferencedImageSequence

    assert [entry.ReferencedSOPInstanceUID for entry in kept] == [OURS.uid("1.2.3")]


def test_words_of_an_id_may_stay_words_of_mr() -> None:
    dataset = mr_instance()
    dataset.PatientID = "FLAIR-BRAIN-0022"

    assert scrubbed(dataset).dataset.SeriesDescription == "T2 FLAIR sag 3mm"


def test_a_code_that_must_be_there_is_said_to_be_unknown() -> None:
    dataset = mr_instance()
    dataset.SOPClassUID = EnhancedMRImageStorage
    code, anatomy, group = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "H1", "99LOCAL", "ZEBRAFISH"
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = Sequence([code, code])
    group.FrameAnatomySequence = Sequence([anatomy])
    dataset.SharedFunctionalGroupsSequence = Sequence([group])

    shared = scrubbed(dataset).dataset.SharedFunctionalGroupsSequence[0]

    (left,) = shared.FrameAnatomySequence[0].AnatomicRegionSequence
    assert (left.CodeValue, left.CodingSchemeDesignator) == ("261665006", "SCT")
    assert left.CodeMeaning == "Unknown"


def test_functional_groups_survive_the_loss_of_one_group() -> None:
    dataset = mr_instance()
    dataset.SOPClassUID = EnhancedMRImageStorage
    code, anatomy, plane, group = Dataset(), Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "H1", "99LOCAL", "head"
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = Sequence([code])
    plane.ImagePositionPatient = [1, 2, 3]
    group.FrameAnatomySequence = Sequence([anatomy])
    orientation = Dataset()
    orientation.add_new(0x00200037, "OB", b"QUENTIN ")
    group.PlaneOrientationSequence = Sequence([orientation])
    group.PlanePositionSequence = Sequence([plane])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([group])

    frame = scrubbed(dataset).dataset.PerFrameFunctionalGroupsSequence[0]

    assert frame.PlanePositionSequence[0].ImagePositionPatient == [1, 2, 3]
    assert "PlaneOrientationSequence" not in frame
