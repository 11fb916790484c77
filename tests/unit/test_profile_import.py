"""The verb `profile import`: what is written, when, and what people and machines are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deid_node.config.profile_file import load_profile
from tests.fakes.command import run

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """<script>
<e en="T" t="00080080" n="InstitutionName">@remove()</e>
<e en="F" t="00080081" n="InstitutionAddress">@lookup(this,x)</e>
<e en="T" t="0008103e" n="SeriesDescription">@keep()</e>
</script>
"""
BAD = GOOD.replace('en="F"', 'en="T"')


def file(folder: Path, text: str, name: str = "Site A (old).script") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_import_is_written_and_can_be_loaded(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site.yaml"

    assert run("profile", "import", file(tmp_path, GOOD), "--name", "ours", "--out", out) == 0

    said = capfd.readouterr()
    assert load_profile(out).name == "ours"
    assert said.out == ""
    assert "line 4: keeps SeriesDescription" in said.err
    assert "2 imported, 0 by node, 0 refused, 1 disabled, 1 warnings" in said.err
    assert list(tmp_path.glob("*.part")) == []


def test_without_a_file_to_write_the_profile_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("profile", "import", file(tmp_path, GOOD)) == 0

    printed = capfd.readouterr().out
    path = file(tmp_path, printed, "printed.yaml")
    assert load_profile(path).name == "site-a-old"


def test_a_refused_line_leaves_nothing_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site.yaml"

    assert run("profile", "import", file(tmp_path, BAD), "--out", out) == 65

    said = capfd.readouterr()
    assert not out.exists()
    assert said.out == ""
    assert "line 3: refused: InstitutionAddress @lookup(this,x): a profile has no" in said.err
    assert "nothing was written → change them, or add --lenient" in said.err


def test_a_lenient_import_is_written_with_the_refused_lines_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "site.yaml"

    assert run("profile", "import", file(tmp_path, BAD), "--out", out, "--lenient") == 0

    assert "line 3: refused: InstitutionAddress" in capfd.readouterr().err
    assert "Imported from line 3 of the CTP script: @lookup(this,x)" in out.read_text()


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 65)])
def test_machines_are_told_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    out = tmp_path / "site.yaml"

    assert run("profile", "import", file(tmp_path, text), "--out", out, "--json") == code

    answer = json.loads(capfd.readouterr().out)
    refused = 1 if code else 0
    assert answer["format"] == "ctp"
    assert answer["written"] == (None if code else str(out))
    assert answer["lines"] == {
        "imported": 2,
        "by_node": 0,
        "refused": refused,
        "disabled": 1 - refused,
        "warnings": 1,
    }
    assert answer["imported"][1] == {
        "line": 4,
        "said": "@keep()",
        "action": "keep",
        "attributes": ["SeriesDescription"],
    }
    assert [each["line"] for each in answer["refused"]] == [3] * refused
    assert [each["line"] for each in answer["warnings"]] == [4]
    assert answer["yaml"] == (None if code else out.read_text())


def test_what_looks_like_an_emoji_is_printed_as_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = "FORMAT dicom\n%header\nREPLACE Manufacturer :id:\nREMOVE values:id: x\n"

    assert run("profile", "import", file(tmp_path, recipe), "--lenient") == 0

    said = capfd.readouterr()
    assert "value: ':id:'" in said.out
    assert "values:id: x" in said.err


def test_an_existing_file_is_replaced_by_force_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = file(tmp_path, GOOD), file(tmp_path, "mine", "site.yaml")

    assert run("profile", "import", source, "--out", out) == 64
    assert out.read_text() == "mine"
    assert "exists; add --force" in capfd.readouterr().err
    assert run("profile", "import", source, "--out", out, "--force") == 0
    assert load_profile(out).name == "site-a-old"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--format", "deid"), 78, "no section"),
        (("--name", "Not A Name"), 64, "1 to 40 of a-z"),
        (("--name", "basic"), 64, "is not 'basic'"),
        (("--out", "basic.yaml"), 64, "not basic.yaml"),
        (("--out", "site.txt"), 64, "ends in .yaml"),
        (("--out", "/nowhere/at/all/site.yaml"), 74, "cannot be written"),
        (("--format", "xml"), 64, "--format"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    assert run("profile", "import", file(tmp_path, GOOD), *arguments) == code

    said = capfd.readouterr().err.strip().splitlines()
    assert message in said[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile: mine\n", "neither a CTP script nor a deid recipe"),
        ("<script>\n<e", "line 2, column "),
        ("<!DOCTYPE script><script/>", "a DOCTYPE is not accepted"),
    ],
)
def test_a_file_of_no_such_format_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    assert run("profile", "import", file(tmp_path, text)) == 78

    [line] = capfd.readouterr().err.strip().splitlines()
    assert "Site A (old).script: " in line
    assert message in line


def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("profile", "import", tmp_path / "nowhere.script") == 78
    assert "nowhere.script: cannot be read" in capfd.readouterr().err
