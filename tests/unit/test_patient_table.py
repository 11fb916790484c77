"""A site's table of patients: read whole or refused by line, and who is not in it is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deid_node.config.patient_table import read_patient_table
from deid_node.config.profile_file import load_profile
from deid_node.errors import PatientNotInTable, ProfileInvalid, SeriesHeld
from deid_node.headers.profile import Patients
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from deid_node.node.patients import named_as
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path

KEY = Pseudonyms(bytes(range(32)))
PROFILE = """\
profile: mine
version: 1
extends: research-mr
why: Patients are named by the site's own table.
patients: {method: table, file: tables/subjects.csv}
"""


def site(folder: Path, *rows: str, header: str = "PatientID,pseudonym") -> Path:
    (folder / "tables").mkdir()
    path = folder / "tables" / "subjects.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    profile = folder / "mine.yaml"
    profile.write_text(PROFILE, encoding="utf-8")
    return profile


def test_a_patient_in_the_table_gets_its_pseudonym_as_id_and_name(tmp_path: Path) -> None:
    profile = load_profile(site(tmp_path, "MRN-0815-77,sub-007", "other,sub-008"))

    output = scrub(mr_instance(), profile, named_as(profile, KEY)).dataset

    assert output.PatientID == output.PatientName == "sub-007"


def test_the_day_shift_stays_that_of_the_original_id(tmp_path: Path) -> None:
    profile = load_profile(site(tmp_path, "MRN-0815-77,sub-007"))

    by_table = scrub(mr_instance(), profile, named_as(profile, KEY)).dataset
    by_key = scrub(mr_instance(), load_profile("research-mr"), KEY).dataset

    assert by_table.StudyDate == by_key.StudyDate


def test_a_patient_who_is_not_in_the_table_is_held_without_a_word_about_the_id(
    tmp_path: Path,
) -> None:
    profile = load_profile(site(tmp_path, "another,sub-007"))
    scrubber = HeaderScrubber(profile, named_as(profile, KEY))

    with pytest.raises(PatientNotInTable) as held:
        scrubber.run(written(mr_instance()))

    assert isinstance(held.value, SeriesHeld)
    assert "MRN" not in str(held.value) + held.value.next_step


def test_a_profile_with_a_table_names_nobody_by_the_key_instead(tmp_path: Path) -> None:
    profile = load_profile(site(tmp_path, "MRN-0815-77,sub-007"))

    with pytest.raises(ProfileInvalid, match="by table, none is open"):
        scrub(mr_instance(), profile, KEY)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["A1,sub-1", "A2,sub-2", "A1,sub-3"], "line 4: the Patient ID is there twice"),
        (["A1,sub-1", "A1 ,sub-3"], "line 3: the Patient ID is there twice"),
        (["A1,sub-1", "A2,sub-1"], "line 3: the pseudonym belongs to another"),
        (["A1,sub-1", "A2,A1"], "line 3: the pseudonym is an original"),
        (["A1,a2", "A2,sub-2"], "line 2: the pseudonym is an original"),
        (["A1,A1"], "line 2: the pseudonym is an original"),
        (["A1," + "x" * 65], "line 2: the pseudonym has more than 64"),
        (["A1,sub\\1"], "line 2: the pseudonym is not valid"),
        (["A1,sub^1"], "line 2: the pseudonym is not valid"),
        (["A1,süb"], "line 2: the pseudonym is not valid"),
        (["A1,sub\t1"], "line 2: the pseudonym is not valid"),
        (["A1,"], "line 2: a column is empty"),
        ([" ,sub-1"], "line 2: a column is empty"),
        (["A1"], "line 2: not two columns"),
        (["A1,sub-1,x"], "line 2: not two columns"),
        (['A1,"sub-1'], "is no CSV file"),
    ],
)
def test_a_wrong_row_is_refused_by_its_line(
    tmp_path: Path, rows: list[str], complaint: str
) -> None:
    site(tmp_path, *rows)

    with pytest.raises(ProfileInvalid, match=complaint) as refusal:
        read_patient_table(
            Patients(method="table", file="tables/subjects.csv", folder=str(tmp_path))
        )

    assert "A1" not in str(refusal.value)


@pytest.mark.parametrize("header", ["", "pseudonym,PatientID", "PatientID;pseudonym"])
def test_a_table_without_its_header_is_refused(tmp_path: Path, header: str) -> None:
    profile = load_profile(site(tmp_path, "A1,sub-1", header=header))

    with pytest.raises(ProfileInvalid, match="line 1: the header is not PatientID,pseudonym"):
        named_as(profile, KEY)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    profile = load_profile(site(tmp_path))
    (tmp_path / "tables" / "subjects.csv").unlink()

    with pytest.raises(ProfileInvalid, match=r"subjects\.csv cannot be read"):
        named_as(profile, KEY)


def test_a_table_does_not_show_its_patients() -> None:
    from deid_node.config.patient_table import PatientTable  # noqa: PLC0415 - only looked at here

    assert repr(PatientTable({"MRN": "x"})) == "PatientTable(1 patients)"
