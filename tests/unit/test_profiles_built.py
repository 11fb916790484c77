"""The schema and the tables of the documentation are what the tool makes of the profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import build_profiles
import pytest
import yaml

from deid_node.config.profile_file import shipped_profiles
from deid_node.config.profile_schema import json_schema
from deid_node.headers.profile import Action, Option

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(shipped_profiles().glob("*.yaml"))


@pytest.mark.parametrize("path", [build_profiles.SCHEMA, build_profiles.DOCS], ids=lambda p: p.name)
def test_what_is_written_is_up_to_date(path: Path) -> None:
    """Else run `python tools/build_profiles.py`."""
    assert path.read_text(encoding="utf-8") == build_profiles.built()[path]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_editors_find_the_schema_from_every_shipped_profile(path: Path) -> None:
    line = path.read_text(encoding="utf-8").splitlines()[0]

    assert line == "# yaml-language-server: $schema=profile.schema.json"
    assert (path.parent / "profile.schema.json").is_file()


def test_every_shipped_profile_has_a_column_and_a_chapter() -> None:
    page = build_profiles.DOCS.read_text(encoding="utf-8")

    assert set(build_profiles.ORDER) == {path.stem for path in FILES}
    assert all(f"### `{name}`" in page for name in build_profiles.ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_knows_every_word_of_the_shipped_profiles(path: Path) -> None:
    schema = json_schema()
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rule = schema["$defs"]["RuleFile"]

    assert content.keys() <= schema["properties"].keys()
    assert {"profile", "version", "why"} == set(schema["required"])
    assert schema["additionalProperties"] is False
    for each in content.get("rules", []):
        assert each.keys() <= rule["properties"].keys()
        assert sum(set(one["required"]) <= each.keys() for one in rule["oneOf"]) == 1
    assert set(schema["$defs"]["Action"]["enum"]) == {action.value for action in Action}
    assert set(schema["$defs"]["Option"]["enum"]) == {option.value for option in Option}


def test_the_page_names_the_right_action_for_what_everybody_asks_first() -> None:
    page = build_profiles.DOCS.read_text(encoding="utf-8")

    assert "| `PatientName` | pseudonym | pseudonym | pseudonym | pseudonym | pseudonym |" in page
    assert "| `DeviceSerialNumber` | remove | remove | remove | keep | remove |" in page
    assert page.count("0 of 2251") == 5
