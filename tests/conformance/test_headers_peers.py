"""What another program says about the output: no new error from dciodvfy.

Errors of the input are the input's; only kinds of errors that are new count. Values in
messages are masked before anything is compared or shown.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.headers.declaration import declare
from deid_node.headers.profile import Option
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.residue import identifiers_of, residue
from deid_node.headers.scrub import scrub
from tests.planted import INSTANCES, written
from tests.planted.building import dataset_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        shutil.which("dciodvfy") is None, reason="NO dciodvfy: install Debian's dicom3tools"
    ),
]
OURS = Pseudonyms(bytes(range(32)))
SHIPPED = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
CLEANING = {"cleaning basic": "basic", "cleaning research-mr": "research-mr"}
"""Shipped profiles that keep what can be cleaned of reports and graphics."""
TRIAL = {
    "ClinicalTrialSponsorName": "Sponsor",
    "ClinicalTrialProtocolID": "P1",
    "ClinicalTrialProtocolName": "Protocol",
    "ClinicalTrialSiteID": "S1",
    "ClinicalTrialSiteName": "Site",
    "ClinicalTrialSubjectID": "7",
    "ClinicalTrialTimePointID": "V1",
    "ClinicalTrialCoordinatingCenterName": "Center",
}


def errors(path: Path) -> Counter[str]:
    done = subprocess.run(
        ["dciodvfy", str(path)], check=False, capture_output=True, text=True, errors="replace"
    )
    lines = (done.stderr + done.stdout).splitlines()
    return Counter(re.sub(r"= .*|<[^>]*>", "<>", ln) for ln in lines if ln.startswith("Error"))


def new_errors(source: Dataset, profile_name: str, folder: Path) -> Counter[str]:
    profile = load_profile(CLEANING.get(profile_name, profile_name))
    if profile_name in CLEANING:
        both = {Option.CLEAN_GRAPHICS, Option.CLEAN_STRUCTURED_CONTENT}
        profile = replace(profile, options=profile.options | both)
    done = scrub(source, profile, OURS)
    declared = declare(done.dataset, profile=profile, deeds=done.deeds, face_removed=True)
    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(written(source))
    after.write_bytes(written(declared))
    assert residue(after.read_bytes(), identifiers_of(source)) == ()
    return errors(after) - errors(before)


@pytest.mark.parametrize("kind", INSTANCES)
def test_the_instances_that_are_planted_in_are_valid(kind: str, tmp_path: Path) -> None:
    (tmp_path / "instance.dcm").write_bytes(written(INSTANCES[kind]()))

    assert errors(tmp_path / "instance.dcm").total() == (2 if kind == "MR" else 0)


@pytest.mark.parametrize("profile", [*SHIPPED, *CLEANING])
@pytest.mark.parametrize("kind", INSTANCES)
def test_an_instance_of_any_class_has_no_new_error(kind: str, profile: str, tmp_path: Path) -> None:
    assert new_errors(INSTANCES[kind](), profile, tmp_path) == Counter()


@pytest.mark.parametrize("profile", ["basic", *CLEANING])
def test_a_report_with_a_vendors_title_has_no_new_error(profile: str, tmp_path: Path) -> None:
    source = INSTANCES["SR"]()
    source.ConceptNameCodeSequence[0].CodeValue = "A-10"
    source.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99VENDOR"

    assert new_errors(source, profile, tmp_path) == Counter()


@pytest.mark.parametrize("profile", ["basic", "research-mr"])
@pytest.mark.parametrize("kind", INSTANCES)
def test_a_whole_trial_module_and_a_request_leave_no_new_error(
    kind: str, profile: str, tmp_path: Path
) -> None:
    source = INSTANCES[kind]()
    source.update(dataset_of(TRIAL))
    source.RequestAttributesSequence = [
        dataset_of({"RequestedProcedureID": "A1", "ScheduledProcedureStepID": "A2"})
    ]

    assert new_errors(source, profile, tmp_path) == Counter()


@pytest.mark.parametrize("profile", ["basic", "research-mr"])
def test_the_mr_instance_of_pydicom_has_no_new_error(profile: str, tmp_path: Path) -> None:
    source = pydicom.dcmread(str(get_testdata_file("MR_small.dcm")))

    assert new_errors(source, profile, tmp_path) == Counter()


@pytest.mark.heads
@pytest.mark.parametrize("profile", ["basic", "research-mr"])
def test_real_heads_have_no_new_error(profile: str, tmp_path: Path, shared_data: Path) -> None:
    folders = sorted(path for path in (shared_data / "heads").iterdir() if "dicom" in path.name)
    assert folders

    for folder in folders:
        instances = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in (instances[0], instances[len(instances) // 2]):
            source = pydicom.dcmread(path)
            assert new_errors(source, profile, tmp_path) == Counter()
