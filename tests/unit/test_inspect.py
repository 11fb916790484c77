"""`inspect` tells what is done to each element and why, as it is done, and never a value."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from deid_node.config.profile_file import load_profile
from deid_node.errors import NotDicom
from deid_node.headers.profile import Action
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from deid_node.pipeline.inspection import Inspection, Row, inspect
from tests.fakes.command import run
from tests.planted import mr_instance, planted, written

if TYPE_CHECKING:
    from pathlib import Path

KEY = Pseudonyms(bytes(range(32)))
SHIPPED = ("basic", "research-mr")


def inspected(dataset: Dataset, profile: str = "research-mr") -> Inspection:
    return inspect(written(dataset), load_profile(profile), KEY)


def row(dataset: Dataset, name: str, profile: str = "research-mr") -> Row:
    return next(each for each in inspected(dataset, profile).rows if each.name == name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "IM1").write_bytes(written(planted()[0]))
    return tmp_path / "IM1"


@pytest.mark.parametrize("form", [(), ("--json",), ("--all",), ("--all", "--json")])
@pytest.mark.parametrize("profile", SHIPPED)
def test_no_value_is_told(
    file: Path, profile: str, form: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", file, "--profile", profile, *form) == 0

    told = capfd.readouterr()
    text = "".join((told.out + told.err).split()).lower()
    assert len(text) > 5000
    assert not [token for token in planted()[1] if token.lower() in text]


@pytest.mark.parametrize("profile", SHIPPED)
def test_what_is_told_of_the_top_level_is_what_comes_out(profile: str) -> None:
    source = planted()[0]
    content = written(source)
    result = HeaderScrubber(load_profile(profile), KEY).run(content).encoded.part10
    before, after = dcmread(io.BytesIO(content)), dcmread(io.BytesIO(result))

    found = inspect(content, load_profile(profile), KEY)

    top = {each.path[0]: each for each in found.rows if len(each.path) == 1}
    assert set(top) == set(map(int, before.keys()))
    for tag, each in top.items():
        assert (each.action is Action.REMOVE) == (tag not in after), each.name
        if tag in after and each.vr != "SQ" and tag != 0x00080005:
            assert each.changed == (str(before[tag].value) != str(after[tag].value)), each.name
    new = {dataset_tag for dataset_tag in map(int, after.keys()) if dataset_tag not in before}
    assert len(found.added) == len(new)
    assert "PatientIdentityRemoved" in found.added


def test_each_authority_is_named_with_its_reason() -> None:
    dataset = planted()[0]

    told = {each.name: (each.authority, each.why) for each in inspected(dataset).rows}

    assert told["InstitutionName"] == ("table", "Table E.1-1: X/Z/D")
    assert told["StudyDate"] == ("option", "retain-longitudinal-modified-dates: C")
    assert told["PatientName"][0] == "rule"
    assert told["PatientName"][1].startswith("One keyed pseudonym joins")
    assert told["ImageType"] == ("unlisted", "not in Table E.1-1")
    assert told["(0010,9999)"] == ("unknown", "no attribute of the standard")
    private = [name for name in told if re.match(r"\([0-9A-F]{3}[13579BDF],", name)]
    assert len(private) > 4
    assert {told[name] for name in private} == {
        ("private", "private, on no safe list"),
        ("private", "on the list of safe private elements; nothing of the value may stay"),
    }
    icon = row(dataset, "IconImageSequence")
    assert (icon.authority, icon.action) == ("structure", Action.REMOVE)


def test_type_and_vr_are_those_of_the_iod_and_the_file() -> None:
    dataset = mr_instance()

    assert (row(dataset, "PatientID").vr, row(dataset, "PatientID").type) == ("LO", "2")
    assert row(dataset, "SOPInstanceUID").type == "1"
    assert row(dataset, "SeriesDate").type == "3"
    assert row(dataset, "DiffusionBValue").type is None
    assert row(dataset, "PatientID").length == len("MRN-0815-77") + 1
    assert row(dataset, "PixelData").length == 128


def test_what_the_iod_demands_is_said_to_be_demanded() -> None:
    found = row(mr_instance(), "AccessionNumber", "basic")

    assert found.action is Action.EMPTY
    assert found.why == "Table E.1-1: Z; the IOD demands it"


def test_text_of_which_nothing_may_stay_is_told_as_removed_though_it_was_to_be_cleaned() -> None:
    dataset = mr_instance()
    dataset.DerivationDescription = "qzvexaaa"
    found = row(dataset, "DerivationDescription")

    assert (found.planned, found.action, found.gone) == (Action.CLEAN, Action.REMOVE, 1)
    assert found.why.endswith("; nothing of the value may stay")


def test_items_of_a_sequence_count_together_and_those_that_go_are_counted() -> None:
    dataset = mr_instance()
    known, unknown = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "69536005", "SCT", "Head"
    unknown.CodeValue, unknown.CodingSchemeDesignator = "QZVEX", "99LOCAL"
    unknown.CodeMeaning = "Nobody knows"
    dataset.AnatomicRegionSequence = Sequence([known, unknown])

    found = row(dataset, "AnatomicRegionSequence.CodeValue")

    assert (found.count, found.gone, found.changed) == (2, 1, True)
    assert found.action is Action.CLEAN


def test_elements_below_what_goes_are_not_listed() -> None:
    dataset = planted()[0]

    names = [each.name for each in inspected(dataset).rows]

    assert "OtherPatientIDsSequence" in names
    assert not [name for name in names if name.startswith("OtherPatientIDsSequence.")]


@pytest.mark.parametrize("profile", SHIPPED)
def test_default_shows_what_changes_and_all_shows_the_rest(
    file: Path, profile: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def elements(*form: str) -> list[dict[str, Any]]:
        assert run("inspect", file, "--profile", profile, "--json", *form) == 0
        answer: list[dict[str, Any]] = json.loads(capfd.readouterr().out)["elements"]
        return answer

    some, every = elements(), elements("--all")

    assert len(some) < len(every)
    assert [each for each in every if each["changed"]] == some
    assert {"Rows", "PixelData"} <= {each["path"] for each in every if not each["changed"]}


def test_instance_that_would_be_held_is_told_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    burned = mr_instance()
    burned.BurnedInAnnotation = "YES"
    (tmp_path / "IM1").write_bytes(written(burned))

    assert run("inspect", tmp_path / "IM1", "--profile", "basic") == 0
    assert "WOULD BE HELD: BurnedInAnnotation" in capfd.readouterr().out
    assert run("inspect", tmp_path / "IM1", "--profile", "basic", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["held"] == "BurnedInAnnotation"
    assert {each["path"] for each in answer["elements"]} >= {"PatientName", "PatientID"}


def test_answer_does_not_depend_on_the_key() -> None:
    content = written(planted()[0])
    other = Pseudonyms(bytes(range(7, 39)))

    assert inspect(content, load_profile("basic"), KEY) == inspect(
        content, load_profile("basic"), other
    )


@pytest.mark.parametrize("method", ["table", "sequence"])
def test_table_or_sequence_of_patients_is_not_needed(
    file: Path, tmp_path: Path, method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "profile: mine\nversion: 1\nextends: basic\nwhy: A profile of a test.\n"
        f"patients: {{method: {method}, file: patients.csv}}\n"
    )

    assert run("inspect", file, "--profile", profile, "--json") == 0

    answer = json.loads(capfd.readouterr().out)
    actions = {each["path"]: each["action"] for each in answer["elements"]}
    assert (answer["held"], actions["PatientID"]) == (None, "pseudonym")
    assert not (tmp_path / "patients.csv").exists()


def test_what_a_rule_opens_by_path_is_told_apart_from_the_rest_of_its_sequence(
    tmp_path: Path, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "profile: mine\nversion: 1\nextends: basic\nwhy: A profile of a test.\nrules:\n"
        "  - {path: RequestAttributesSequence/ScheduledProcedureStepDescription, action: clean,\n"
        "     why: A rule by path of a test.}\n"
    )

    assert run("inspect", file, "--profile", profile, "--json") == 0

    elements = {each["path"]: each for each in json.loads(capfd.readouterr().out)["elements"]}
    inside = {
        name.partition(".")[2]: each["authority"]
        for name, each in elements.items()
        if name.startswith("RequestAttributesSequence.")
    }
    assert inside.pop("ScheduledProcedureStepDescription") == "rule"
    assert inside
    assert set(inside.values()) <= {"closed", "private", "structure"}


def test_file_that_is_no_instance_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").write_text("nothing " * 40)

    assert run("inspect", tmp_path / "notes", "--profile", "basic") == NotDicom.exit_code
    assert "not a DICOM file" in capfd.readouterr().err
