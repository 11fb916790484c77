"""The verbs of `deid-node profile`: what is asked is answered, what is wrong is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.command import run
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "profile: mine\nversion: 1\nextends: basic\nwhy: A profile of a test.\n"


def answer(capfd: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    assert run("profile", *arguments, "--json") == code
    given: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert given["schema"] == 1
    return given


def file(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(HEAD + text)
    return path


def test_list_tells_what_each_profile_is_for(capfd: pytest.CaptureFixture[str]) -> None:
    profiles = {each["name"]: each for each in answer(capfd, "list")["profiles"]}

    assert set(profiles) == {
        *("basic", "research-mr", "research-mr-longitudinal", "tcia", "hipaa-safe-harbor"),
    }
    assert "retain-device-identity" in profiles["tcia"]["options"]
    assert all(len(each["why"]) > 20 and each["version"] >= 1 for each in profiles.values())
    assert run("profile", "list") == 0
    assert "hipaa-safe-harbor" in capfd.readouterr().out


def test_show_prints_the_file_of_a_name_and_of_a_path(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("profile", "show", "tcia") == 0
    assert "retain-device-identity" in capfd.readouterr().out
    assert run("profile", "show", file(tmp_path, "")) == 0
    assert "A profile of a test." in capfd.readouterr().out
    assert run("profile", "show", "nowhere") == 78


@pytest.mark.parametrize(
    ("asked", "action", "authority", "kind"),
    [
        (["PatientName"], "pseudonym", "rule of basic.yaml, line ", "2"),
        (["(0008,0020)"], "shift", "option retain-longitudinal-modified-dates: C", "2"),
        (["StudyDate", "--profile", "basic"], "empty", "Basic Profile: Z", "2"),
        (["SamplesPerPixel"], "keep", "unlisted.standard keep-clean", "1"),
        (["(0010,9999)"], "remove", "the dictionary does not know it", None),
        (["IconImageSequence"], "remove", "structure", "3"),
        (["RequestAttributesSequence/RequestedProcedureID"], "remove", "which goes with all", "1C"),
        (["AnatomicRegionSequence/CodeMeaning"], "clean", "if the standard knows", "1"),
        (["AnatomicRegionSequence/ContextIdentifier"], "clean", "unlisted.standard", "3"),
        (["(0019,100C)"], "remove", "private: stays by safe_private", None),
        (["PulseSequenceName", "--sop-class", "EnhancedMRImageStorage"], "clean", "rule", "1C"),
    ],
)
def test_explain_names_action_authority_and_type(
    capfd: pytest.CaptureFixture[str],
    asked: list[str],
    action: str,
    authority: str,
    kind: str | None,
) -> None:
    given = answer(capfd, "explain", *asked)

    assert given["action"] == action
    assert authority in given["authority"]
    assert given["type"] == kind
    assert run("profile", "explain", *asked) == 0
    assert action in capfd.readouterr().out


def test_explain_tells_under_which_creator_a_private_element_stays(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert answer(capfd, "explain", "(0019,100C)")["why"].endswith("SIEMENS MR HEADER")
    assert answer(capfd, "explain", "(0019,100C)", "--profile", "basic")["why"] == ""
    assert answer(capfd, "explain", "(0019,000C)")["why"] == ""


def test_explain_tells_when_a_rule_costs_the_claim(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(
        tmp_path,
        "rules: [{path: RequestAttributesSequence/RequestedProcedureID, action: keep, "
        "why: Joins the order.}]\n",
    )
    inside = "RequestAttributesSequence/RequestedProcedureID"
    beside = "RequestAttributesSequence/ScheduledProcedureStepID"

    assert answer(capfd, "explain", inside, "--profile", path)["departs"]
    assert (
        "opened by mine.yaml, line 5"
        in (answer(capfd, "explain", beside, "--profile", path)["authority"])
    )
    assert run("profile", "explain", inside, "--profile", path) == 0
    assert "does not claim 113100" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("asked", "offer"),
    [
        (["PatintName"], "did you mean PatientName"),
        (["60xx,3000"], "is a mask"),
        (["StudyDate", "--sop-class", "MRImageStorag"], "did you mean MRImageStorage"),
        (["StudyDate", "--sop-class", "VerificationSOPClass"], "is no SOP Class whose"),
    ],
)
def test_what_does_not_exist_is_refused_with_an_offer(
    capfd: pytest.CaptureFixture[str], asked: list[str], offer: str
) -> None:
    assert run("profile", "explain", *asked) == 64
    assert offer in capfd.readouterr().err


def test_diff_lists_what_two_profiles_treat_differently(capfd: pytest.CaptureFixture[str]) -> None:
    found = answer(capfd, "diff", "research-mr", "tcia")["differences"]

    by_name = {each["attribute"]: (each["first"], each["second"]) for each in found}
    assert by_name["DeviceSerialNumber"] == ("remove", "keep")
    assert by_name["ContributingEquipmentSequence/DeviceSerialNumber"] == ("remove", "keep")
    assert "EchoTime" not in by_name
    assert run("profile", "diff", "research-mr", "tcia") == 0
    assert "DeviceSerialNumber: remove → keep" in capfd.readouterr().out


def test_diff_of_a_profile_and_itself_is_empty(capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(capfd, "diff", "tcia", "tcia")["differences"] == []
    assert run("profile", "diff", "tcia", "tcia", "--sop-class", "EnhancedMRImageStorage") == 0
    assert "alike" in capfd.readouterr().out


def test_schema_prints_what_editors_read(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("profile", "schema") == 0
    assert "safe_private" in json.loads(capfd.readouterr().out)["properties"]


def test_lint_names_all_mistakes_and_exits_78(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(tmp_path, "optoins: []\nage_cap: 0\n")

    given = answer(capfd, "lint", path, code=78)

    assert [(each["line"], each["place"]) for each in given["errors"]] == [
        (5, "optoins"),
        (6, "age_cap"),
    ]
    assert run("profile", "lint", path) == 78
    out = capfd.readouterr().out
    assert "error: mine.yaml, line 5: optoins: unknown key; did you mean options?" in out
    assert len(out.splitlines()) == 2


TWO_TAGS = """\
rules:
  - {tags: [StudyID], action: keep, why: The first of two.}
  - {tags: [StudyID, SeriesNumber], action: empty, why: The second of two.}
"""
TWO_MASKS = """\
rules:
  - {tags: ["0020001x"], action: remove, why: The narrow mask.}
  - {tags: ["002000xx"], action: remove, why: The wide mask.}
"""
OPENED = """\
rules:
  - path: RequestAttributesSequence/RequestedProcedureID
    action: keep
    why: A reason to test.
"""
SETTLED = """\
options: [clean-structured-content]
rules:
  - {tags: [ContentSequence, AcquisitionContextSequence, SpecimenPreparationSequence], action: remove, why: All of them.}
"""
WARNINGS = [
    (TWO_TAGS, (6, "rules.0", "never used")),
    (TWO_MASKS, (6, "rules.0", "never used")),
    (
        "rules: [{tags: [InstitutionName], action: keep, why: A reason to test.}]\n",
        (5, "rules.0", "weaker than PS3.15 for InstitutionName: "),
    ),
    (OPENED, (6, "rules.0", "for RequestAttributesSequence/RequestedProcedureID: ")),
    (
        "rules: [{vr: [AE, LO], action: keep, why: A reason to test.}]\n",
        (5, "rules.0", "no attribute of VR AE is left"),
    ),
    (SETTLED, (5, "options.0", "settle all that it grants")),
]


@pytest.mark.parametrize(("text", "expected"), WARNINGS)
def test_lint_warns_of_what_is_likely_not_meant(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    text: str,
    expected: tuple[int, str, str],
) -> None:
    given = answer(capfd, "lint", file(tmp_path, text))

    assert given["errors"] == []
    [warning] = given["warnings"]
    assert (warning["line"], warning["place"]) == expected[:2]
    assert expected[2] in warning["message"]


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{tags: [StudyID], action: keep, why: No more than once.}]\n",
        "options: [retain-safe-private, clean-recognizable-visual-features]\n",
        "options: [retain-uids]\nrules: [{vr: [LO], action: remove, why: Reaches some.}]\n",
    ],
)
def test_lint_is_silent_about_what_works(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    weak = [
        each
        for each in answer(capfd, "lint", file(tmp_path, text))["warnings"]
        if "weaker" not in each["message"]
    ]

    assert weak == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("extends: nowhere\n", "the key is there twice"),
        ("options: [clean-pixel-data]\n", "clean"),
        ("table: 2011a\n", "edition '2011a'"),
        ("patients: {method: table, file: none.csv}\n", "none.csv cannot be read"),
        (
            "options: [retain-longitudinal-full-dates, retain-longitudinal-modified-dates]\n",
            "dates are either",
        ),
    ],
)
def test_lint_finds_what_only_the_whole_profile_shows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    given = answer(capfd, "lint", file(tmp_path, text), code=78)

    assert complaint in given["errors"][0]["message"]


def test_test_passes_a_profile_that_leaves_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    given = answer(capfd, "test", "research-mr")

    assert given["planted"] > 2000
    assert given["left"] == []
    assert "113100" in given["codes"]


def test_test_names_what_a_profile_leaves_and_exits_65(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(
        tmp_path,
        "rules:\n"
        "  - {tags: [PatientComments, AcquisitionDate], action: keep, why: Left on purpose.}\n"
        "  - {path: RequestAttributesSequence/RequestedProcedureID, action: keep, why: Left as well.}\n",
    )

    given = answer(capfd, "test", path, code=65)

    assert given["left"] == [
        "AcquisitionDate",
        "PatientComments",
        "RequestAttributesSequence/RequestedProcedureID",
    ]
    assert run("profile", "test", path) == 65
    told = capfd.readouterr()
    assert "left: PatientComments" in told.out
    assert "explain ATTRIBUTE" in told.err


def test_test_tells_what_an_option_keeps_apart_from_what_is_left(
    capfd: pytest.CaptureFixture[str],
) -> None:
    given = answer(capfd, "test", "tcia")

    assert given["left"] == []
    assert given["kept_by_option"]["DeviceSerialNumber"] == "retain-device-identity"


def test_what_a_rule_keeps_and_an_option_only_cleans_is_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(
        tmp_path,
        "options: [clean-descriptors]\n"
        "rules: [{tags: [SeriesDescription], action: keep, why: A reason to test.}]\n",
    )

    given = answer(capfd, "test", path, code=65)

    assert given["left"] == ["SeriesDescription"]
    assert given["kept_by_option"] == {}


def test_test_tries_instances_and_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "one.dcm").write_bytes(written(mr_instance()))
    (folder / "note.txt").write_text("no DICOM")
    before = sorted(tmp_path.rglob("*"))

    given = answer(capfd, "test", "research-mr", "--instances", folder, code=65)

    assert given["instances"] == {"NotDicom": 1, "de-identified": 1}
    assert sorted(tmp_path.rglob("*")) == before


def test_test_gives_nobody_a_number_of_the_sites_sequence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(tmp_path, "patients: {method: sequence, file: order.txt}\n")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "one.dcm").write_bytes(written(mr_instance()))

    assert answer(capfd, "test", path, "--instances", folder)["instances"] == {"de-identified": 1}
    assert not (tmp_path / "order.txt").exists()


def test_test_holds_instances_whose_patient_the_table_does_not_have(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "subjects.csv").write_text("PatientID,pseudonym\nother,sub-1\n")
    path = file(tmp_path, "patients: {method: table, file: subjects.csv}\n")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "one.dcm").write_bytes(written(mr_instance()))

    given = answer(capfd, "test", path, "--instances", folder, code=65)

    assert given["instances"] == {"PatientNotInTable": 1}
