"""`deid-node scrub` names patients as its profile says, in one process and in several."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pydicom
import pytest

from deid_node.config.load import create_key
from tests.fakes.command import run
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "profile: mine\nversion: 1\nextends: basic\nwhy: A profile of a test.\n"
PATIENTS = ("MRN-1", "MRN-2", "MRN-3")


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    create_key(tmp_path / "site.key")
    for number, patient_id in enumerate(2 * PATIENTS):
        dataset = mr_instance()
        dataset.PatientID = patient_id
        dataset.SOPInstanceUID = f"1.2.3.4.5.{number + 100}"
        (folder / f"IM{number}").write_bytes(written(dataset))
    return folder


def scrubbed(incoming: Path, patients: str, jobs: int) -> tuple[int, list[str]]:
    """Run the verb; give exit code and Patient ID of each file written."""
    site = incoming.parent
    (site / "mine.yaml").write_text(f"{HEAD}patients: {patients}\n")
    code = run(
        *("scrub", incoming, "--out", site / "out", "--profile", site / "mine.yaml"),
        *("--key", site / "site.key", "--jobs", jobs, "--json"),
    )
    names = [str(pydicom.dcmread(path).PatientID) for path in (site / "out").rglob("*.dcm")]
    return code, sorted(names)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_table_names_those_it_has_and_holds_the_others(
    incoming: Path, jobs: int, capfd: pytest.CaptureFixture[str]
) -> None:
    table = "PatientID,pseudonym\nMRN-1,sub-1\nMRN-3,sub-3\n"
    (incoming.parent / "subjects.csv").write_text(table)

    code, names = scrubbed(incoming, "{method: table, file: subjects.csv}", jobs)

    told = capfd.readouterr()
    assert code == 65
    assert names == ["sub-1", "sub-1", "sub-3", "sub-3"]
    assert [each["error"] for each in json.loads(told.out)["not_written"]] == [
        "PatientNotInTable"
    ] * 2
    assert "MRN" not in told.out + told.err


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sequence_numbers_each_patient_once(incoming: Path, jobs: int) -> None:
    code, names = scrubbed(incoming, "{method: sequence, file: order.txt}", jobs)

    assert code == 0
    assert names == [f"site-00{n}" for n in (1, 1, 2, 2, 3, 3)]
    assert len((incoming.parent / "order.txt").read_text().splitlines()) == 4
