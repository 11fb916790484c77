"""The tables that are shipped are what the tool makes of the standard's."""

from __future__ import annotations

import json
from pathlib import Path

import build_table
import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "standard"
with_standard = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published tables of the standard are not beside the project"
)


def shipped(name: str) -> object:
    return json.loads((build_table.DATA / name).read_text(encoding="utf-8"))


@with_standard
def test_the_shipped_confidentiality_table_is_up_to_date() -> None:
    source = build_table.read(SHARED / "confidentiality_profile_attributes.json")

    assert build_table.confidentiality(source, "2024e") == shipped("confidentiality.json")


@with_standard
def test_the_shipped_safe_private_table_is_up_to_date() -> None:
    source = build_table.read(SHARED / "safe_private_E.3.10-1_2017c.json")

    assert build_table.safe_private(source, "2017c") == shipped("safe-private.json")


@pytest.mark.slow
def test_the_shipped_module_tables_are_up_to_date() -> None:
    assert build_table.iods() == shipped("iods.json")


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
