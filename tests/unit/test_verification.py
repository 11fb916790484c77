"""Verification: our own output is clean, and every single fault in it is remarked."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path
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
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.second_look import source_identifiers
from deid_node.headers.verification.checks import CHECKS, Remark, Severity
from deid_node.headers.verification.texts import looks_of
from deid_node.headers.verification.verifier import Verifier
from deid_node.pipeline.deidentify import deidentify
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.recipe import recipe_of
from tests.fakes.regions import cleaning, drawn, region_for
from tests.planted import mr_instance, planted, written

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILES = sorted(path.stem for path in (Path(__file__).parents[2] / "profiles").glob("*.yaml"))
OURS = Pseudonyms(bytes(range(32)))
NAME = "2.25.1.dcm"


@cache
def scrubbed(profile: str, *, full: bool = False) -> bytes:
    source = planted()[0] if full else mr_instance()
    return HeaderScrubber(load_profile(profile), OURS).run(written(source)).encoded.part10


def remarks(*files: bytes, names: tuple[str, ...] = ()) -> set[Remark]:
    verifier = Verifier()
    for number, file in enumerate(files):
        verifier.look(names[number] if names else f"2.25.{number}.dcm", file)
    return {remark for _, remark in verifier.finish()}


def grave(found: set[Remark]) -> set[Remark]:
    return {remark for remark in found if remark.severity is not Severity.NOTE}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("full", [False, True])
def test_our_own_output_is_clean(profile: str, *, full: bool) -> None:
    assert grave(remarks(scrubbed(profile, full=full))) == set()


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


def changed(change: Callable[[Dataset], None], profile: str = "basic") -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(scrubbed(profile)))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(dataset)
        pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


def put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


def add(tag: int, vr: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: dataset.add_new(tag, vr, value)


def meta(tag: int, vr: str, value: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        dataset.file_meta.add_new(tag, vr, value)

    return change


def drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def preamble(dataset: Dataset) -> None:
    dataset.preamble = b"II*\0" + bytes(124)


def code(value: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        entry = Dataset()
        entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning = value, "DCM", "an option"
        dataset.DeidentificationMethodCodeSequence.append(entry)

    return change


def both(*changes: Callable[[Dataset], None]) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for each in changes:
            each(dataset)

    return change


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


def referring(uid: str) -> Dataset:
    entry = Dataset()
    entry.ReferencedSOPInstanceUID = uid
    return entry


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


def test_safe_private_numbers_are_allowed_where_they_are_claimed() -> None:
    file = changed(both(code("113111"), private("DS", "1.5")))

    assert not {r.where for r in grave(remarks(file))} & {"(0029,1010)", "(0029,0010)"}


def test_dates_are_allowed_where_they_are_claimed() -> None:
    file = scrubbed("research-mr")

    assert pydicom.dcmread(io.BytesIO(file)).StudyDate
    assert grave(remarks(file)) == set()


@pytest.mark.parametrize(
    "name",
    ["", "P12", "Anonymous", "ANONYMOUS^PATIENT", "REMOVED", "sub-01", "^^^^", "PABCDEFGHIJKLMNOP"],
)
def test_placeholders_and_pseudonyms_are_no_person_names(name: str) -> None:
    assert "person-name" not in {r.check for r in remarks(changed(put("PatientName", name)))}


@pytest.mark.parametrize(
    "text",
    [
        "T1 MPRAGE sag 1x1x1mm iso",
        "SIEMENS Prisma VE11C",
        "20 channel head coil",
        "TE 87.5 TR 9000 b1000",
        "syngo MR E11",
        "Head structure",
        "1.5 3 20240229.5",
        "deid-node 0.1.0",
        "2.25.20240229",
        "Head^Routine",
    ],
)
def test_words_of_mr_look_like_nobody(text: str) -> None:
    assert looks_of(text) == set()


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("19870312", "text-date"),
        ("12.03.1987", "text-date"),
        ("03/12/1987", "text-date"),
        ("12 Mar 1987", "text-date"),
        ("March 12, 1987", "text-date"),
        ("call 06221 123456", "text-telephone"),
        ("555-123-4567", "text-telephone"),
        ("Tel. 123456", "text-telephone"),
        ("12 High Street", "text-address"),
        ("69120 Heidelberg", "text-address"),
        ("https://example.org/x", "text-address"),
        ("Doe^Jane", "text-name"),
        ("Head^Jane", "text-name"),
        ("Herr Otter", "text-name"),
        ("ID 4711081", "text-number"),
        ("jane.doe@example.org", "text-email"),
    ],
)
def test_text_of_persons_looks_like_it(text: str, check: str) -> None:
    assert check in looks_of(text)


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


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("2.25.4711.dcm", None),
        ("2.25.1/2.25.2/2.25.3.dcm", None),
        ("IM_0001", None),
        ("sub-01/ses-02/anat/series_3/slice_004.dcm", None),
        ("DICOM/0A1B2C3D4E5F.dcm", None),
        ("PABCDEFGHIJKLMN22/1.dcm", None),
        ("scan_19870312.dcm", "file-name"),
        ("1987-03-12/1.dcm", "file-name"),
        ("MRN4711081.dcm", "file-name"),
        ("Doe^Jane/1.dcm", "file-name"),
        ("jane/1.dcm", "file-words"),
    ],
)
def test_names_of_files_are_checked(name: str, check: str | None) -> None:
    found = {remark.check for remark in remarks(scrubbed("basic"), names=(name,))}

    assert found & {"file-name", "file-words"} == ({check} if check else set())


def test_a_file_named_after_a_person_in_the_folder_is_remarked() -> None:
    file = changed(put("PatientName", "Zebrafish^Quentin"))

    assert Remark("file-name") in remarks(file, names=("quentin.dcm",))


@pytest.mark.parametrize(
    ("one", "other", "keyword"),
    [
        ({"PatientBirthDate": "19000101"}, {"PatientBirthDate": "19700101"}, "PatientBirthDate"),
        ({"PatientSex": "M"}, {"PatientSex": "F"}, "PatientSex"),
        ({"PatientID": "P1"}, {"PatientID": "P2"}, "PatientID"),
        ({"StudyInstanceUID": "2.25.1"}, {"StudyInstanceUID": "2.25.2"}, "StudyInstanceUID"),
    ],
)
def test_patients_and_studies_that_part_or_meet_are_remarked(
    one: dict[str, str], other: dict[str, str], keyword: str
) -> None:
    files = [changed(both(*(put(k, v) for k, v in each.items()))) for each in (one, other)]

    assert Remark("patient-split", keyword) in remarks(*files)
    assert Remark("patient-split", keyword) not in remarks(files[0], files[0])


def test_an_instance_that_is_there_twice_is_remarked() -> None:
    assert Remark("same-uid", "SOPInstanceUID") in remarks(scrubbed("basic"), scrubbed("basic"))
    assert "same-uid" not in {remark.check for remark in remarks(scrubbed("basic"))}


def test_references_within_the_folder_resolve() -> None:
    target = changed(both(put("SOPInstanceUID", "2.25.99")))
    source = changed(lambda d: setattr(d, "SourceImageSequence", [referring("2.25.99")]))

    assert "reference" in {remark.check for remark in remarks(source)}
    assert "reference" not in {remark.check for remark in remarks(source, target)}


def with_originals(file: bytes, name: str = NAME) -> set[Remark]:
    verifier = Verifier(source_identifiers(written(mr_instance())))
    verifier.look(name, file)
    return {remark for _, remark in verifier.finish()}


@pytest.mark.parametrize("profile", PROFILES)
def test_our_output_is_clean_beside_its_originals(profile: str) -> None:
    assert grave(with_originals(scrubbed(profile))) == set()


@pytest.mark.parametrize(
    ("change", "keyword"),
    [
        (put("ReceiveCoilName", "zebrafish"), "PatientName"),
        (put("ReceiveCoilName", "MRN-0815-77"), "PatientID"),
        (put("ReceiveCoilName", "07.07.1942"), "PatientBirthDate"),
        (put("SeriesInstanceUID", "1.2.3.4.5.3"), "SeriesInstanceUID"),
        (put("ContentDate", "20240229"), "StudyDate"),
    ],
)
def test_identifiers_of_the_originals_are_found(
    change: Callable[[Dataset], None], keyword: str
) -> None:
    assert Remark("original", keyword) in with_originals(changed(change))


def test_identifiers_of_the_originals_are_found_in_names_and_in_other_files() -> None:
    assert Remark("original", "PatientName") in with_originals(scrubbed("basic"), "Zebrafish.dcm")
    assert Remark("original", "PatientID") in with_originals(b"id;MRN-0815-77;")


def test_what_a_claimed_option_keeps_is_no_leak() -> None:
    kept = changed(both(put("StudyDate", "20240229"), code("113106")))
    shifted = changed(both(put("StudyDate", "20240229"), code("113107")))
    uids = changed(both(put("SeriesInstanceUID", "1.2.3.4.5.3"), code("113110")))

    assert Remark("original", "StudyDate") not in with_originals(kept)
    assert Remark("original-date", "StudyDate") in with_originals(shifted)
    assert Remark("original", "SeriesInstanceUID") not in with_originals(uids)


def test_remarks_hold_no_value() -> None:
    dataset, tokens = planted()

    told = repr(remarks(written(dataset)))

    assert [token for token in tokens if token in told] == []
