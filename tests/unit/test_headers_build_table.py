"""The tables that are shipped are what the tool makes of the standard's."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import build_table
import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "standard"
with_standard = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published tables of the standard are not beside the project"
)


Rebuilt = Callable[[str, dict[str, Any]], bytes]
SHIPPED = build_table.DATA


def shipped(name: str) -> bytes:
    return (SHIPPED / name).read_bytes()


@pytest.fixture
def rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rebuilt:
    """Write a table as the tool writes it, into an empty folder."""
    monkeypatch.setattr(build_table, "DATA", tmp_path)

    def bytes_of(name: str, content: dict[str, Any]) -> bytes:
        build_table.write(name, content)
        return (tmp_path / name).read_bytes()

    return bytes_of


@with_standard
def test_the_shipped_confidentiality_table_is_what_the_tool_writes(rebuilt: Rebuilt) -> None:
    source = build_table.read(SHARED / "confidentiality_profile_attributes.json")

    content = build_table.confidentiality(source, "2024e")

    assert rebuilt("confidentiality.json", content) == shipped("confidentiality.json")
    assert (SHARED / "LICENSE.txt").read_bytes() == shipped("LICENSE.dicom-standard.txt")


@with_standard
def test_the_shipped_safe_private_table_is_what_the_tool_writes(rebuilt: Rebuilt) -> None:
    source = build_table.read(SHARED / "safe_private_E.3.10-1_2017c.json")

    content = build_table.safe_private(source, "2017c")

    assert rebuilt("safe-private.json", content) == shipped("safe-private.json")


def test_the_shipped_module_tables_are_what_the_tool_writes(rebuilt: Rebuilt) -> None:
    installed = f"highdicom {importlib.metadata.version('highdicom')}"
    if json.loads(shipped("iods.json"))["source"] != installed:
        pytest.skip(f"the shipped tables are not of {installed}")

    assert rebuilt("iods.json", build_table.iods()) == shipped("iods.json")


def test_of_two_types_the_stricter_is_written() -> None:
    rows = [
        {"keyword": "EchoTime", "type": "3", "path": []},
        {"keyword": "EchoTime", "type": "2", "path": []},
        {"keyword": "CodeValue", "type": "1C", "path": ["AnatomicRegionSequence"]},
    ]

    tree = build_table.module_tree(rows)

    assert tree[0x00180081] == ["2", {}]
    assert tree[0x00082218] == ["3", {0x00080100: ["1C", {}]}]


@pytest.mark.parametrize("tag", ["0008,0050", "00Q80050"])
def test_a_row_of_an_unknown_form_stops_the_tool(tag: str) -> None:
    with pytest.raises(SystemExit, match="unknown form"):
        build_table.confidentiality([{"id": tag, "tag": tag, "basicProfile": "X"}], "test")
