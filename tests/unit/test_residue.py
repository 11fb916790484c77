"""The second look finds what the source said about the person, and little else."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from deid_node.config.profile_file import load_profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.residue import Finding, Identifiers, identifiers_of, residue
from deid_node.headers.scrub import scrub
from tests.planted import mr_instance, planted, written


def source(**values: object) -> Dataset:
    dataset = mr_instance()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def output(text: bytes = b"", **values: object) -> bytes:
    """Give a scrubbed instance into which something of the source has crept."""
    scrubbed = scrub(
        mr_instance(), load_profile("research-mr"), Pseudonyms(bytes(range(32)))
    ).dataset
    for keyword, value in values.items():
        setattr(scrubbed, keyword, value)
    if text:
        scrubbed.add_new(0x00091010, "UN", text + b"\0" * (len(text) % 2))
    return written(scrubbed)


def found(part10: bytes, **values: object) -> set[str]:
    return {finding.keyword for finding in residue(part10, identifiers_of(source(**values)))}


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("PatientName", "zebrafish"),
        ("PatientName", "xxQuentinxx"),
        ("PatientID", "MRN-0815-77"),
        ("PatientBirthDate", "19420707"),
        ("PatientBirthDate", "07.07.1942"),
        ("PatientBirthDate", "1942-07-07"),
        ("PatientBirthDate", "07-Jul-1942"),
        ("PatientBirthDate", "7/07/07/1942"),
        ("StudyDate", "20240229"),
        ("StudyInstanceUID", "1.2.3.4.5.2"),
    ],
)
def test_an_identifier_that_crept_in_is_found(keyword: str, text: str, encoding: str) -> None:
    crept_in = output(b"of " + text.encode(encoding) + b" ")

    assert keyword in found(crept_in)


def test_a_clean_output_has_no_finding() -> None:
    assert residue(output(), identifiers_of(mr_instance())) == ()


def test_the_planted_source_itself_is_full_of_findings() -> None:
    dataset, _ = planted()

    keywords = {finding.keyword for finding in residue(written(dataset), identifiers_of(dataset))}

    assert {
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "SOPInstanceUID",
        "OperatorsName",
    } <= keywords


@pytest.mark.parametrize("name", ["MÜLLER-LÜDENSCHEIDT^HEINZ", "山田^太郎", "Łukasiewicz^Jan"])
def test_names_beyond_ascii_are_found_in_any_encoding_and_case(name: str) -> None:
    dataset = source(SpecificCharacterSet="ISO_IR 192", PatientName=name)
    word = name.split("^", maxsplit=1)[0].rsplit("-", maxsplit=1)[-1]

    if len(word) < 3:
        word = name.split("^", maxsplit=1)[0] + name.split("^")[1]
        dataset.PatientName = word

    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        crept_in = output(word.lower().encode(encoding))
        findings = residue(crept_in, identifiers_of(pydicom.dcmread(io.BytesIO(written(dataset)))))
        assert {finding.keyword for finding in findings} == {"PatientName"}


def test_a_name_is_found_in_the_character_set_that_the_source_declares() -> None:
    dataset = source(SpecificCharacterSet="ISO_IR 144", PatientName="Достоевский^Фёдор")

    findings = residue(output("достоевский".encode("iso8859_5")), identifiers_of(dataset))

    assert findings == (Finding("PatientName", "iso_ir_144"),)


def test_names_and_uids_inside_sequences_are_looked_for_too() -> None:
    entry = Dataset()
    entry.PatientName = "NESTLING^NORA"
    entry.ReferencedSOPInstanceUID = "1.2.826.99.1"
    dataset = source(SourceImageSequence=Sequence([entry]))
    assert dataset.SourceImageSequence[0].PatientName == "NESTLING^NORA"

    findings = residue(output(b"nestling 1.2.826.99.1 "), identifiers_of(dataset))

    assert {finding.keyword for finding in findings} == {"PatientName", "ReferencedSOPInstanceUID"}


def test_a_source_in_implicit_vr_is_understood() -> None:
    implicit = pydicom.dcmread(io.BytesIO(written(mr_instance(), implicit=True)))

    findings = residue(output(b"zebrafish "), identifiers_of(implicit))

    assert {finding.keyword for finding in findings} == {"PatientName"}


@pytest.mark.parametrize(
    ("keyword", "value", "text"),
    [
        ("PatientName", "BRAIN^TEST", b"T1 brain test"),
        ("PatientName", "BASIC^IVAN", b"Basic Application Confidentiality Profile"),
        ("PatientName", "LI^BO", b"LI BO"),
        ("PatientName", "LEE^ANNA", b"sleek havannah"),
        ("PatientID", "1", b"1 1 1"),
        ("PatientID", "4000", b"4000"),
        ("PatientID", "ANONYMOUS", b"anonymous"),
        ("PatientID", "123456", b"0.123456 1234567 "),
        ("PatientBirthDate", "19000101", b"19000101"),
        ("StudyDate", "20240229", b"120240229.5 "),
    ],
)
def test_words_and_numbers_that_mean_nothing_hold_no_series(
    keyword: str, value: str, text: bytes
) -> None:
    assert found(output(text), **{keyword: value}) == set()


def test_a_short_name_is_found_as_a_word_of_its_own() -> None:
    assert found(output(b"by Lee, 3T"), PatientName="LEE^ANNA") == {"PatientName"}


def test_pixel_data_is_not_searched() -> None:
    pixels = b"zebrafish" + bytes(128 - 9)

    assert found(output(PixelData=pixels)) == set()


def test_what_follows_pixel_data_is_searched() -> None:
    part10 = output() + b"\xfc\xff\xfc\xffOB\0\0\x0a\0\0\0zebrafish "

    assert found(part10) == {"PatientName"}


def test_fragments_of_pixel_data_are_not_searched_and_what_follows_is() -> None:
    whole = output()
    start = whole.index(b"\xe0\x7f\x10\x00OW")
    fragments = (
        b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x0a\0\0\0zebrafish \xfe\xff\xdd\xe0\0\0\0\0"
    )
    after = b"\xfc\xff\xfc\xffOB\0\0\x08\0\0\0quentin "

    assert found(whole[:start] + fragments) == set()
    assert found(whole[:start] + fragments + after) == {"PatientName"}


def test_a_sequence_of_undefined_length_is_walked_over() -> None:
    whole = output(PixelData=b"zebrafish" + bytes(119))
    start = whole.index(b"\xe0\x7f\x10\x00OW")
    sequence = (
        b"\x54\x00\x10\x00SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        b"\x08\x00\x50\x11UI\x02\x001\0\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    )

    assert found(whole[:start] + sequence + whole[start:]) == set()


@pytest.mark.parametrize("broken", [b"", b"zebrafish", b"\0" * 128 + b"DICM\x08\x00zebrafish"])
def test_bytes_that_cannot_be_walked_are_searched_whole(broken: bytes) -> None:
    assert found(broken) == ({"PatientName"} if broken else set())


def test_attributes_that_the_profile_keeps_are_not_looked_for() -> None:
    kept = frozenset({"StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"})
    dataset = source()
    del dataset.AcquisitionDateTime

    assert residue(output(b"20240229"), identifiers_of(dataset, kept=kept)) == ()


def test_identifiers_of_several_instances_join() -> None:
    joined = identifiers_of(source(PatientName="FIRST^FLORA")) | identifiers_of(
        source(PatientName="SECOND^SELMA")
    )

    findings = residue(output(b"flora selma"), joined)

    assert {finding.keyword for finding in findings} == {"PatientName"}
    assert Identifiers() | joined == joined


def test_identifiers_and_findings_show_no_value() -> None:
    identifiers = identifiers_of(mr_instance())
    findings = residue(output(b"zebrafish"), identifiers)

    assert "ebrafish" not in repr(identifiers) + repr(findings)


def test_a_broken_element_is_passed_over_without_a_warning() -> None:
    whole = written(mr_instance()) + b"\x10\x00\x20\x00LO\x64\x00" + b"L" * 100

    identifiers = identifiers_of(pydicom.dcmread(io.BytesIO(whole)))

    assert len(identifiers.uids) > 3
