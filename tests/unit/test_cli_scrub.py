"""``deid-node scrub`` needs no settings file, names its folders, and exits with what happened."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from deid_node.config.load import create_key
from tests.fakes.command import run
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where no settings file is."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    create_key(tmp_path / "site.key")
    return tmp_path / "site.key"


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / "IM1").write_bytes(written(mr_instance()))
    (folder / "readme.txt").write_text("a stray file")
    return folder


def test_no_settings_file_is_needed(
    incoming: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    code = run("scrub", incoming, "--out", out, "--profile", "basic", "--key", key, "--json")

    answer = json.loads(capfd.readouterr().out)
    assert code == 0
    assert answer == {
        "schema": 1,
        "files": 2,
        "states": {"written": 1, "not DICOM": 1},
        "not_written": [],
    }
    assert len(list(out.rglob("*.dcm"))) == 1


def test_profile_and_key_come_from_the_settings(
    incoming: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("init", "--folder", tmp_path / "site") == 0

    settings = tmp_path / "site" / "deid-node.toml"
    code = run("scrub", incoming, "--out", tmp_path / "out", "--config", settings)

    assert code == 0
    assert "1 instances written" in capfd.readouterr().out


def test_without_a_key_nothing_is_written(
    incoming: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run("scrub", incoming, "--out", tmp_path / "out", "--profile", "basic")

    assert code == 78
    assert "settings file not found" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_held_instance_is_told_with_its_file_and_what_to_do(
    incoming: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    burned = mr_instance()
    burned.BurnedInAnnotation = "YES"
    (incoming / "IM2").write_bytes(written(burned))
    given = ("--profile", "basic", "--key", key, "--held", tmp_path / "private")

    code = run("scrub", incoming, "--out", tmp_path / "out", *given)

    told = capfd.readouterr()
    assert code == 65
    assert f"{incoming / 'IM2'}: BurnedInAnnotation: " in told.err
    assert "→ look at the pixels" in told.err
    assert "1 instances written" in told.out
    listed = tmp_path / "private" / "held.csv"
    [row] = csv.DictReader(listed.read_text().splitlines())
    assert (row["file"], row["error"]) == (str(incoming / "IM2"), "BurnedInAnnotation")
    assert listed.stat().st_mode & 0o077 == 0


def test_many_held_instances_are_counted(
    incoming: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for k in range(25):
        (incoming / f"BAD{k}").write_bytes(written(mr_instance())[:-k])

    code = run("scrub", incoming, "--out", tmp_path / "out", "--profile", "basic", "--key", key)

    told = capfd.readouterr().err
    assert code == 65
    assert told.count("UndecodableInstance") == 20
    assert "and 4 more files were not written → --held FOLDER lists them all" in told


def test_folder_without_any_instance_is_a_failure(
    key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "notes").write_text("nothing")
    given = ("--profile", "basic", "--key", key)

    assert run("scrub", tmp_path / "incoming", "--out", tmp_path / "out", *given) == 65
    assert "no DICOM instance among the 1 files" in capfd.readouterr().err


def test_list_of_held_files_never_lies_in_the_output(
    incoming: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ("--profile", "basic", "--key", key, "--held", out / "private")

    assert run("scrub", incoming, "--out", out, *given) == 74
    assert "which is handed on" in capfd.readouterr().err


def test_output_that_cannot_be_written_is_told(
    incoming: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")

    code = run("scrub", incoming, "--out", tmp_path / "out", "--profile", "basic", "--key", key)

    assert code == 74
    assert "cannot be written" in capfd.readouterr().err


def test_help_says_that_the_node_never_sends_the_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("scrub", "--help") == 0

    told = " ".join(capfd.readouterr().out.split())
    assert "The node never sends the result anywhere" in told
    assert "FACES stay" in told
