"""`deid-node verify`: a folder is clean, or exit code 65 says where it is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deid_node.config.profile_file import load_profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.command import run
from tests.planted import mr_instance, planted, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Give a folder of two instances that were scrubbed."""
    scrubber = HeaderScrubber(load_profile("research-mr"), Pseudonyms(bytes(range(32))))
    for number in (1, 2):
        source = mr_instance()
        source.SOPInstanceUID = f"1.2.3.4.5.1.{number}"
        encoded = scrubber.run(written(source)).encoded
        path = tmp_path / "clean" / "2.25.1" / f"{encoded.sop_instance_uid}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.part10)
    return tmp_path / "clean"


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Give a folder of one original and a stray file."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(written(mr_instance()))
    (folder / "notes.txt").write_text("a stray file")
    return folder


def test_a_clean_folder_gives_0(clean: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("verify", clean) == 0
    assert "2 files: 0 leaks, 0 doubts, 2 notes" in capfd.readouterr().out


def test_a_folder_with_a_leak_gives_65_and_shows_no_value(
    clean: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset, tokens = planted()
    (clean / "2.25.9.dcm").write_bytes(written(dataset))

    assert run("verify", clean) == 65

    told = capfd.readouterr().out
    assert "leak: 2.25.9.dcm: removed-attribute InstitutionAddress" in told
    assert "doubt: " not in told
    assert "--json lists all" in told
    assert [token for token in tokens if token in told] == []


def test_a_leak_alone_gives_65(clean: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = next(clean.rglob("*.dcm"))
    path.write_bytes(path.read_bytes().replace(b"SIEMENS ", b"a@b.exa "))

    assert run("verify", clean) == 65
    assert "1 leaks, 0 doubts" in capfd.readouterr().out


def test_a_doubt_alone_gives_65(clean: Path) -> None:
    (clean / "readme.txt").write_text("not DICOM")

    assert run("verify", clean) == 65


def test_json_lists_every_remark(clean: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (clean / "2.25.9.dcm").write_bytes(written(planted()[0]))

    assert run("verify", clean, "--json") == 65

    answer = json.loads(capfd.readouterr().out)
    assert answer["n_files"] == 3
    assert answer["counts"]["leak"] > 30
    assert sum(answer["counts"].values()) == len(answer["remarks"])
    assert {
        "file": "2.25.9.dcm",
        "check": "removed-attribute",
        "severity": "leak",
        "where": "InstitutionAddress",
    } in answer["remarks"]


def test_identifiers_of_the_originals_are_searched_for(
    clean: Path, originals: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", clean, "--originals", originals) == 0
    assert "1 of 2 originals cannot be read as DICOM" in " ".join(capfd.readouterr().err.split())

    (clean / "subjects.csv").write_text("4;MRN-0815-77;")
    assert run("verify", clean, "--originals", originals) == 65
    assert "leak: subjects.csv: original PatientID" in capfd.readouterr().out


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_a_file_is_a_wrong_command_line(tmp_path: Path, *, exists: bool) -> None:
    folder = tmp_path / "nothing"
    if exists:
        folder.mkdir()

    assert run("verify", folder) == 64


def test_a_file_that_cannot_be_read_is_remarked(
    clean: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(path)

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)

    assert run("verify", clean) == 65
    assert "not-dicom" in capfd.readouterr().out
