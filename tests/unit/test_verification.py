"""Verification: our own output is clean, and every single fault in it is remarked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pydicom
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence

from deid_node.config.profile_file import load_profile
from deid_node.dicom.series import Series
from deid_node.headers.second_look import source_identifiers
from deid_node.headers.verification.checks import CHECKS, Remark, Severity
from deid_node.headers.verification.verifier import Verifier
from deid_node.pipeline.deidentify import deidentify
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.recipe import recipe_of
from tests.fakes.regions import cleaning, drawn, region_for
from tests.planted import INSTANCES, mr_instance, planted, planted_part10, written

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.verified import (
    OURS,
    PROFILES,
    add,
    both,
    changed,
    code,
    drop,
    grave,
    meta,
    put,
    referring,
    remarks,
    scrubbed,
)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", INSTANCES)
def test_our_own_output_is_clean_beside_its_planted_original(kind: str, profile: str) -> None:
    source, _ = planted_part10(kind, implicit=False)
    encoded = HeaderScrubber(load_profile(profile), OURS).run(source).encoded
    verifier = Verifier(source_identifiers(source))
    verifier.look(f"{encoded.sop_instance_uid}.dcm", encoded.part10)

    assert grave({remark for _, remark in verifier.finish()}) == set()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_defaced_series_and_its_segmentation_are_clean(profile: str) -> None:
    series = Series(instances=tuple(dicom_series(small_head())))
    result = deidentify(series, recipe_of(profile=profile))
    assert result.segmentation is not None
    verifier = Verifier()
    for each in (*result.instances, result.segmentation):
        verifier.look(f"{each.sop_instance_uid}.dcm", each.part10)

    found = verifier.finish()

    assert {
        (path, remark) for path, remark in found if remark.severity is not Severity.NOTE
    } == set()
    assert {remark.check for _, remark in found} <= {"kept-words"}


@pytest.mark.parametrize("profile", PROFILES)
def test_an_instance_whose_pixels_were_cleaned_is_clean(profile: str) -> None:
    source, _ = drawn("RGB", frames=2)
    source.BurnedInAnnotation = "YES"
    scrubber = HeaderScrubber(cleaning(region_for(source), name=profile), OURS)

    found = remarks(scrubber.run(written(source)).encoded.part10)

    assert grave(found) == set()
    assert Remark("kept-words", "DerivationDescription") in found


def test_the_planted_source_fails_nearly_every_check() -> None:
    dataset, _ = planted()

    checks = {remark.check for remark in remarks(written(dataset))}

    assert {
        "removed-attribute", "person-name", "private", "hidden-content", "not-declared",
        "original-value", "dates-claim", "patient-id",
    } <= checks  # fmt: skip


def preamble(dataset: Dataset) -> None:
    dataset.preamble = b"II*\0" + bytes(124)


def nested(dataset: Dataset) -> None:
    entry = Dataset()
    entry.OperatorsName = "Zebrafish^Quentin"
    inner = Dataset()
    inner.ReferencedImageSequence = Sequence([entry])
    dataset.DerivationImageSequence = Sequence([Dataset(), inner])


def private(vr: str, value: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        dataset.private_block(0x0029, "MAKER", create=True).add_new(0x10, vr, value)

    return change


BROKEN: dict[str, list[tuple[Callable[[Dataset], None], str]]] = {
    "removed-attribute": [
        (put("InstitutionAddress", "Ward C"), "InstitutionAddress"),
        (put("StudyDescription", "Janes head"), "StudyDescription"),
        (put("PatientAge", "045Y"), "PatientAge"),
        (put("RequestAttributesSequence", [mr_instance()]), "RequestAttributesSequence"),
    ],
    "person-name": [
        (put("PatientName", "Zebrafish^Quentin"), "PatientName"),
        (put("OperatorsName", "OTTER"), "OperatorsName"),
        (nested, "DerivationImageSequence[2]/ReferencedImageSequence[1]/OperatorsName"),
    ],
    "name-elsewhere": [
        (
            both(put("PatientName", "Zebrafish^Quentin"), put("ScanOptions", "ZEBRAFISH_X")),
            "ScanOptions",
        )
    ],
    "text-name": [
        (put("ReceiveCoilName", "Otter^Olga"), "ReceiveCoilName"),
        (put("ReceiveCoilName", "by Dr. Otter"), "ReceiveCoilName"),
        (add(0x00104321, "UN", b"\0of OTTER^OLGA \0"), "(0010,4321)"),
    ],
    "text-email": [(put("ReceiveCoilName", "ada@example.org"), "ReceiveCoilName")],
    "text-date": [
        (put("ReceiveCoilName", "from 1942-07-07"), "ReceiveCoilName"),
        (add(0x00104321, "UN", "on 7. Mar 1942".encode("utf-16-le")), "(0010,4321)"),
    ],
    "text-telephone": [(put("ReceiveCoilName", "+49 6221 123456"), "ReceiveCoilName")],
    "text-address": [(put("ReceiveCoilName", "Kranichweg 5"), "ReceiveCoilName")],
    "text-number": [(put("ReceiveCoilName", "MRN-4711081"), "ReceiveCoilName")],
    "private": [
        (private("DS", "1.5"), "(0029,1010)"),
        (private("DS", "1.5"), "(0029,0010)"),
        (add(0x00291010, "LO", "orphan"), "(0029,1010)"),
    ],
    "private-text": [
        (both(code("113111"), private("LO", "text")), "(0029,1010)"),
        (both(code("113111"), private("OB", b"bytes ")), "(0029,1010)"),
        (both(code("113111"), private("UN", b"bytes ")), "(0029,1010)"),
    ],
    "hidden-content": [
        (add(0x60003000, "OW", b"\1\1"), "(6000,3000)"),
        (add(0x60020022, "LO", "a lesion"), "(6002,0022)"),
        (add(0x50003000, "OW", b"\1\1"), "(5000,3000)"),
        (put("IconImageSequence", [mr_instance()]), "IconImageSequence"),
        (put("EncapsulatedDocument", b"%PDF"), "EncapsulatedDocument"),
        (put("DigitalSignaturesSequence", [Dataset()]), "DigitalSignaturesSequence"),
        (put("OriginalAttributesSequence", [Dataset()]), "OriginalAttributesSequence"),
        (add(0xFFFCFFFC, "OB", b"pad!"), "DataSetTrailingPadding"),
    ],
    "meta-source": [
        (meta(0x00020016, "AE", "SCANNER3"), "(0002,0016)"),
        (meta(0x00020017, "AE", "SCANNER3"), "(0002,0017)"),
        (meta(0x00020018, "AE", "SCANNER3"), "(0002,0018)"),
        (
            both(meta(0x00020100, "UI", "1.2.3"), meta(0x00020102, "OB", b"private ")),
            "(0002,0102)",
        ),
    ],
    "meta-unknown": [(meta(0x00020031, "LO", "more"), "(0002,0031)")],
    "meta-uid": [
        (put("SOPInstanceUID", "2.25.99"), "(0002,0003)"),
        (put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "(0002,0002)"),
    ],
    "preamble": [(preamble, "")],
    "burned-in": [(put("BurnedInAnnotation", "YES"), "BurnedInAnnotation")],
    "not-declared": [
        (drop("PatientIdentityRemoved"), "PatientIdentityRemoved"),
        (put("PatientIdentityRemoved", "NO"), "PatientIdentityRemoved"),
    ],
    "method-codes": [
        (
            both(drop("DeidentificationMethod"), drop("DeidentificationMethodCodeSequence")),
            "DeidentificationMethod",
        ),
        (code("999999"), "DeidentificationMethodCodeSequence"),
        (both(code("113106"), code("113107")), "DeidentificationMethodCodeSequence"),
    ],
    "dates-claim": [
        (
            drop("LongitudinalTemporalInformationModified"),
            "LongitudinalTemporalInformationModified",
        ),
        (code("113106"), "LongitudinalTemporalInformationModified"),
        (
            put("LongitudinalTemporalInformationModified", "MODIFIED"),
            "LongitudinalTemporalInformationModified",
        ),
    ],
    "dates-remain": [(put("ContentDate", "20240229"), "ContentDate")],
    "pixels-claim": [
        (code("113101"), "BurnedInAnnotation"),
        (both(code("113101"), put("BurnedInAnnotation", "YES")), "BurnedInAnnotation"),
    ],
    "face-claim": [
        (code("113102"), "RecognizableVisualFeatures"),
        (put("RecognizableVisualFeatures", "NO"), "RecognizableVisualFeatures"),
    ],
    "original-value": [
        (put("AccessionNumber", "A4711"), "AccessionNumber"),
        (put("PatientBirthDate", "19420707"), "PatientBirthDate"),
        (put("PatientSex", "F"), "PatientSex"),
    ],
    "vendor-uid": [(put("FrameOfReferenceUID", "1.3.12.2.1107.5.2.1"), "FrameOfReferenceUID")],
    "kept-words": [
        (put("StudyDescription", "head"), "StudyDescription"),
        (put("DerivationDescription", "Face removed by a pixel mask"), "DerivationDescription"),
        (put("DerivationDescription", "Text removed by a pixel mask"), "DerivationDescription"),
    ],
    "age": [(both(code("113108"), put("PatientAge", "093Y")), "PatientAge")],
    "patient-id": [(put("PatientID", "MRN-77"), "PatientID")],
    "leftover": [
        (add(0xFFFCFFFC, "OB", b"\0\0"), "DataSetTrailingPadding"),
    ],
    "face": [(drop("PatientIdentityRemoved"), "RecognizableVisualFeatures")],
    "reference": [
        (
            lambda dataset: setattr(dataset, "SourceImageSequence", [referring("2.25.99")]),
            "SourceImageSequence[1]/ReferencedSOPInstanceUID",
        )
    ],
}


CASES = [
    pytest.param(check, change, where, id=f"{check}-{number}")
    for check, changes in BROKEN.items()
    for number, (change, where) in enumerate(changes)
]


@pytest.mark.parametrize(("check", "change", "where"), CASES)
def test_each_fault_is_remarked_where_it_is(
    check: str, change: Callable[[Dataset], None], where: str
) -> None:
    found = remarks(changed(change))

    assert check in {remark.check for remark in found}
    if where:
        assert Remark(check, where) in found


def test_every_check_is_broken_by_a_test() -> None:
    of_folders = {
        "original", "original-date", "not-dicom", "undecodable", "same-uid", "patient-split",
        "file-name", "file-words",
    }  # fmt: skip

    assert BROKEN.keys() | of_folders == CHECKS.keys()


@pytest.mark.parametrize(
    ("code_value", "keyword", "value"),
    [
        ("113105", "StudyDescription", "head"),
        ("113108", "PatientSex", "F"),
        ("113108", "PatientAge", "045Y"),
        ("113109", "DeviceSerialNumber", "4711081"),
        ("113112", "InstitutionAddress", "Kranichweg 5, 69120 Heidelberg"),
        ("113110", "FrameOfReferenceUID", "1.3.12.2.1107.5.2.1"),
    ],
)
def test_an_option_that_is_claimed_allows_what_it_keeps(
    code_value: str, keyword: str, value: str
) -> None:
    plain, claimed = (
        changed(put(keyword, value)),
        changed(both(put(keyword, value), code(code_value))),
    )

    assert keyword in {remark.where for remark in remarks(plain)}
    assert keyword not in {remark.where for remark in remarks(claimed)}


def test_a_sequence_that_should_be_gone_is_remarked_once() -> None:
    found = remarks(changed(put("RequestAttributesSequence", [mr_instance()])))

    of_table = {r.where for r in found if r.check in {"removed-attribute", "original-value"}}
    assert of_table == {"RequestAttributesSequence"}


def test_words_of_a_name_are_read_in_the_character_set_that_is_declared() -> None:
    cyrillic = both(
        put("SpecificCharacterSet", "ISO_IR 144"),
        put("PatientName", "Козлов^Иван"),
        put("ReceiveCoilName", "by козлов"),
    )

    assert Remark("name-elsewhere", "ReceiveCoilName") in remarks(changed(cyrillic))


def test_safe_private_numbers_are_allowed_where_they_are_claimed() -> None:
    file = changed(both(code("113111"), private("DS", "1.5")))

    assert not {r.where for r in grave(remarks(file))} & {"(0029,1010)", "(0029,0010)"}


def test_dates_are_allowed_where_they_are_claimed() -> None:
    file = scrubbed("research-mr")

    assert pydicom.dcmread(io.BytesIO(file)).StudyDate
    assert grave(remarks(file)) == set()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "P12",
        "Anonymous",
        "ANONYMOUS^PATIENT",
        "REMOVED",
        "sub-01",
        "^^^^",
        "PABCDEFGHIJKLMNOP",
        "Sub^Visit2",
    ],
)
def test_placeholders_and_pseudonyms_are_no_person_names(name: str) -> None:
    checks = {remark.check for remark in remarks(changed(put("PatientName", name)))}

    assert checks.isdisjoint({"person-name", "text-name", "text-number"})


@pytest.mark.parametrize("content", [b"", b"a text", b"{}" * 200])
def test_what_is_no_dicom_is_remarked(content: bytes) -> None:
    assert remarks(content) == {Remark("not-dicom")}


def test_what_breaks_off_is_remarked() -> None:
    whole = scrubbed("basic")
    nested_at = whole.index(b"\x12\x00\x64\x00SQ")

    assert Remark("undecodable") in remarks(whole[: nested_at + 30])
    assert Remark("undecodable") in remarks(whole[:150])


def test_a_group_length_is_remarked() -> None:
    whole = scrubbed("basic")
    at = whole.index(b"\x28\x00\x02\x00US")
    group_length = b"\x28\x00\x00\x00UL\x04\x00\x10\0\0\0"

    assert Remark("leftover", "(0028,0000)") in remarks(whole[:at] + group_length + whole[at:])


@given(st.binary(max_size=40), st.integers(0, 900))
def test_no_bytes_crash_it(noise: bytes, at: int) -> None:
    whole = scrubbed("research-mr")

    found = remarks(whole[:at] + noise + whole[at + len(noise) :])

    assert {remark.check for remark in found} <= CHECKS.keys()


def test_remarks_hold_no_value() -> None:
    dataset, tokens = planted()

    told = repr(remarks(written(dataset)))

    assert [token for token in tokens if token in told] == []
