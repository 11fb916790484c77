"""What shows when files are seen together or beside their originals, and in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deid_node.headers.second_look import source_identifiers
from deid_node.headers.verification.checks import Remark
from deid_node.headers.verification.texts import looks_of
from deid_node.headers.verification.verifier import Verifier
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset
from tests.verified import (
    NAME,
    PROFILES,
    both,
    changed,
    code,
    grave,
    put,
    referring,
    remarks,
    scrubbed,
)


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
